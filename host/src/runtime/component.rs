//! A plugin: a component of this contract that can be run. And what is wrong with one that cannot.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::capabilities::{CONTRACT, Guest, PluginPre, compatible, offered};
use super::cut::cut;
use crate::dataset::Manifest;
use crate::job::Digest;

const PROCESSOR: &str = "gristmill:plugin/item-processor";

/// Why a component cannot be used. Every sentence says what to do.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
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
    #[error("this component imports what this host does not offer: {}", listed(.0))]
    MissingImport(Vec<String>),
    /// Compiling it takes more than it may.
    #[error("{0}")]
    TooMuch(String),
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

    pub(super) fn broke_the_compiler() -> Self {
        Self::Engine(
            "the compiler broke on it; this is a fault of the compiler: build the component in another way".into(),
        )
    }
}

fn exports(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" (it exports {})", listed(names)) }
}

/// The first of these names, cut: there may be thousands, each of any length.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown: Vec<&str> = names.iter().take(MOST).map(|name| cut(name, 200)).collect();
    let more = names.len().saturating_sub(MOST);
    shown.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// A component that can be run: compiled, checked against the contract, and described by itself.
pub struct Plugin {
    pub(super) pre: PluginPre<Guest>,
    pub(super) io: Handle,
    /// Permits for instances that outlive their item.
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
    /// How long compiling took; none if it came from the cache.
    pub compiled_in: Option<Duration>,
}

/// The interfaces that a component imports, and those that it exports.
pub(super) fn interfaces(engine: &Engine, component: &Component) -> [Vec<String>; 2] {
    let ty = component.component_type();
    [names(ty.imports(engine)), names(ty.exports(engine))]
}

fn names<'a, T>(items: impl Iterator<Item = (&'a str, T)>) -> Vec<String> {
    items.map(|(name, _)| name.to_owned()).collect()
}

/// Refuses bytes that cannot be a component, by their preamble.
pub(super) fn preamble(bytes: &[u8]) -> Result<(), PluginError> {
    match bytes {
        // The layer field of the preamble tells a component from a module (Component Model, Binary.md).
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Err(PluginError::CoreModule),
        [0, b'a', b's', b'm', ..] => Err(PluginError::NotAComponent("its preamble is of an unknown kind".into())),
        [] => Err(PluginError::NotAComponent("it is empty".into())),
        _ => Err(PluginError::NotAComponent(format!(
            "it begins with {:?}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(8)])
        ))),
    }
}

/// Checks the component's imports and exports against the contract. The most telling complaint comes first.
pub(super) fn check(
    engine: &Engine,
    linker: &Linker<Guest>,
    component: &Component,
) -> Result<PluginPre<Guest>, PluginError> {
    let [imported, exported] = interfaces(engine, component);
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
    PluginPre::new(pre).map_err(PluginError::engine)
}
