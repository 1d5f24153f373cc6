//! From bytes to a plugin: what is wrong with them is said before anything runs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::bindings::{self, CONTRACT, PluginPre};
use super::cache;
use super::guest::Guest;
use super::heap;
use super::lane;
use crate::dataset::Manifest;
use crate::job::Digest;

const PROCESSOR: &str = "gristmill:plugin/item-processor";

/// Why a component cannot be used. Every sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The bytes are not WebAssembly.
    #[error("this is not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// A core module, which has no types.
    #[error(
        "this is a core WebAssembly module, not a component: build it for `wasm32-wasip2`, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// A component for another version of the contract.
    #[error(
        "this component was built for version {found} of the contract (`{name}`); this host has {CONTRACT}: rebuild it with the SDK of this version"
    )]
    OtherContract {
        /// The import or export that says so.
        name: String,
        /// The version it asks for.
        found: String,
    },
    /// A component that is no plugin.
    #[error("this component exports no `{PROCESSOR}@{CONTRACT}`: it is not a gristmill plugin{}", exports(.0))]
    NotAPlugin(Vec<String>),
    /// It wants what the host does not have.
    #[error("this component imports what this host does not offer: {}", .0.join(", "))]
    MissingImport(Vec<String>),
    /// `describe` failed or made no sense.
    #[error("the component does not describe itself: {0}")]
    Describe(String),
    /// The compiler or the engine failed.
    #[error("the component could not be prepared: {0}")]
    Engine(String),
}

impl PluginError {
    pub(super) fn engine(error: wasmtime::Error) -> Self {
        Self::Engine(format!("{error:#}"))
    }
}

fn exports(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" (it exports {})", names.join(", ")) }
}

/// A component that can be run: compiled, of this contract, and known by what it says of itself.
pub struct Plugin {
    pub(super) pre: PluginPre<Guest>,
    pub(super) io: Handle,
    /// Places for instances that outlive their item.
    pub(super) kept: Arc<Semaphore>,
    /// What it says of itself.
    pub manifest: Manifest,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The interfaces that it imports: what it can reach.
    pub imports: Vec<String>,
    /// The interfaces that it exports.
    pub exports: Vec<String>,
    /// The size of the component in bytes.
    pub size: u64,
    /// How long it took to compile; none if it came from the cache.
    pub compiled_in: Option<Duration>,
}

impl Plugin {
    pub(super) async fn open(
        component: Component,
        pre: PluginPre<Guest>,
        digest: Digest,
        size: u64,
        compiled_in: Option<Duration>,
        io: Handle,
        kept: Arc<Semaphore>,
    ) -> Result<Self, PluginError> {
        let manifest = lane::describe(&pre, &io).await?;
        let ty = component.component_type();
        let (imports, exports) = (names(ty.imports(pre.engine())), names(ty.exports(pre.engine())));
        Ok(Self { pre, io, kept, manifest, digest, imports, exports, size, compiled_in })
    }
}

fn names<'a, T>(items: impl Iterator<Item = (&'a str, T)>) -> Vec<String> {
    items.map(|(name, _)| name.to_owned()).collect()
}

/// Compiles, or loads what was compiled before by this very engine.
pub(super) fn compile(
    engine: &Engine,
    bytes: &[u8],
    digest: &Digest,
    cache: Option<&Path>,
) -> Result<(Component, Option<Duration>), PluginError> {
    match bytes {
        // The layer field of the preamble tells a component from a module (Component Model, Binary.md).
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => {}
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => return Err(PluginError::CoreModule),
        [0, b'a', b's', b'm', ..] => {
            return Err(PluginError::NotAComponent("its preamble is of an unknown kind".into()));
        }
        [] => return Err(PluginError::NotAComponent("it is empty".into())),
        _ => {
            return Err(PluginError::NotAComponent(format!(
                "it begins with {:?}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(8)])
            )));
        }
    }
    let entry = cache.map(|folder| cache::Entry::new(folder, engine, digest));
    if let Some(component) = entry.as_ref().and_then(|entry| entry.load(engine)) {
        return Ok((component, None));
    }
    let start = Instant::now();
    let component = Component::from_binary(engine, bytes).map_err(malformed)?;
    let compiled_in = start.elapsed();
    if let Some(entry) = entry {
        entry.store(&component);
    }
    heap::give_back();
    Ok((component, Some(compiled_in)))
}

/// Whether the bytes make no component, or one that is too much for this engine. wasmtime has no type for the difference.
fn malformed(error: wasmtime::Error) -> PluginError {
    let text = format!("{error:#}");
    if text.contains("failed to parse WebAssembly") || text.contains("(at offset 0x") {
        PluginError::NotAComponent(text)
    } else {
        PluginError::Engine(text)
    }
}

/// Checks the component's imports and exports against the contract, the most telling complaint first.
pub(super) fn check(
    engine: &Engine,
    linker: &Linker<Guest>,
    component: &Component,
) -> Result<PluginPre<Guest>, PluginError> {
    let ty = component.component_type();
    let exported = names(ty.exports(engine));
    let imported = names(ty.imports(engine));
    for name in exported.iter().chain(&imported) {
        if let Some((interface, version)) = name.split_once('@')
            && interface.starts_with("gristmill:plugin/")
            && !compatible(version)
        {
            return Err(PluginError::OtherContract { name: name.clone(), found: version.to_owned() });
        }
    }
    if !exported.iter().any(|name| name.starts_with(PROCESSOR)) {
        return Err(PluginError::NotAPlugin(exported));
    }
    let unknown: Vec<String> = imported.into_iter().filter(|name| !offered(name)).collect();
    if !unknown.is_empty() {
        return Err(PluginError::MissingImport(unknown));
    }
    let pre =
        linker.instantiate_pre(component).map_err(|error| PluginError::MissingImport(vec![format!("{error:#}")]))?;
    bindings::PluginPre::new(pre).map_err(PluginError::engine)
}

/// Versions of the contract that this host runs: additions within 0.1 break nobody.
fn compatible(version: &str) -> bool {
    version.starts_with("0.1.")
}

/// Whether the host offers an interface of this name. That its functions are the expected ones is checked after.
fn offered(name: &str) -> bool {
    const OURS: [&str; 4] = ["types", "objects", "output", "metrics"];
    const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];
    let Some((interface, version)) = name.split_once('@') else { return false };
    match interface.split_once('/') {
        Some(("gristmill:plugin", interface)) => OURS.contains(&interface) && compatible(version),
        Some(("wasi:logging", _)) => version == "0.1.0-draft",
        Some((package, _)) => {
            package.strip_prefix("wasi:").is_some_and(|package| WASI.contains(&package)) && version.starts_with("0.2.")
        }
        None => false,
    }
}
