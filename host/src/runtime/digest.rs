//! From a component's bytes to what is kept of it: its code, and what it says of itself. Here a stranger's bytes are
//! compiled, and run for the first time. [`super::digester`] decides in which process, and within which limits.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::capabilities::Guest;
use super::component::{self, PluginError};
use super::describe::describe;
use crate::dataset::Manifest;

/// What is kept of a component.
#[derive(Debug)]
pub(super) struct Digested {
    /// What it says of itself.
    pub(super) about: About,
    /// Its code, as `Component::serialize` gives it.
    pub(super) code: Bytes,
}

/// What a component is, without its code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct About {
    /// What it says of itself.
    pub(super) manifest: Manifest,
    /// The interfaces that it imports.
    pub(super) imports: Vec<String>,
    /// The interfaces that it exports.
    pub(super) exports: Vec<String>,
}

/// Compiles a component, checks it against the contract, and asks it to describe itself. Keeps a CPU busy for seconds.
pub(super) fn digest(
    engine: &Engine,
    linker: &Linker<Guest>,
    bytes: &[u8],
    io: &Handle,
) -> Result<Digested, PluginError> {
    let digest = || {
        let component = Component::from_binary(engine, bytes).map_err(malformed)?;
        let pre = component::check(engine, linker, &component)?;
        let manifest = io.block_on(describe(&pre, io))?;
        if let Some(objection) = manifest.objection() {
            return Err(PluginError::Describe(objection));
        }
        let [imports, exports] = component::interfaces(engine, &component);
        let code = component.serialize().map_err(PluginError::engine)?.into();
        Ok(Digested { about: About { manifest, imports, exports }, code })
    };
    // A component that makes the compiler panic is refused, and nothing else ends.
    catch_unwind(AssertUnwindSafe(digest)).unwrap_or_else(|_| Err(PluginError::broke_the_compiler()))
}

impl Digested {
    /// The component, ready to be run by an engine like the one that compiled it.
    #[allow(unsafe_code)]
    pub(super) fn load(&self, engine: &Engine) -> Result<Component, PluginError> {
        // SAFETY: the code is what `Component::serialize` gave in this program with these settings (wasmtime checks
        // both). It came from `digest` in this process, through a pipe from `digest` in a process that this one
        // started, or from a file with the cache's tag over this very component and engine.
        unsafe { Component::deserialize(engine, &self.code) }.map_err(PluginError::engine)
    }
}

/// Tells bytes that are no component from a component that is too much for this engine. wasmtime has no type for the
/// difference.
fn malformed(error: wasmtime::Error) -> PluginError {
    let text = format!("{error:#}");
    if text.contains("failed to parse WebAssembly") || text.contains("(at offset 0x") {
        PluginError::NotAComponent(text)
    } else {
        PluginError::Engine(text)
    }
}
