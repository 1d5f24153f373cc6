//! From a plugin's folder to its component: what each language needs for that, and what to do where it is missing.

mod process;
mod python;
mod rust;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::AuthorError;
use super::language::Language;
use crate::job::Digest;

/// Where tools are kept that gristmill installs for authors.
#[derive(Clone, Debug)]
pub struct Tools {
    /// A folder of this user's cache.
    pub cache: Option<PathBuf>,
}

/// A component that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its file.
    pub component: PathBuf,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Builds the plugin in a folder, and puts its component at `component`. What tools say goes to stderr.
pub async fn build(plugin: &Path, component: &Path, tools: &Tools) -> Result<Built, AuthorError> {
    // Tools run in the plugin's folder.
    let plugin = plugin.canonicalize().map_err(AuthorError::file(plugin))?;
    let whole = std::path::absolute(component).map_err(AuthorError::file(component))?;
    match Language::of(&plugin)? {
        Language::Rust => {
            let made = rust::build(&plugin, tools).await?;
            put(&made, &whole)?;
        }
        Language::Python => python::build(&plugin, &whole, tools).await?,
    }
    let bytes = fs::read(component).map_err(AuthorError::file(component))?;
    Ok(Built { component: component.to_owned(), digest: Digest::of(&bytes), size: bytes.len() as u64 })
}

/// Puts a component in its place, whole or not at all.
fn put(made: &Path, component: &Path) -> Result<(), AuthorError> {
    let bytes = fs::read(made).map_err(AuthorError::file(made))?;
    if fs::read(component).is_ok_and(|before| before == bytes) {
        return touch(component);
    }
    let partial = component.with_extension("wasm.partial");
    fs::write(&partial, bytes).map_err(AuthorError::file(&partial))?;
    fs::rename(&partial, component).map_err(AuthorError::file(component))
}

/// Says that a component is as new as its sources.
fn touch(component: &Path) -> Result<(), AuthorError> {
    let file = fs::File::options().write(true).open(component).map_err(AuthorError::file(component))?;
    file.set_modified(SystemTime::now()).map_err(AuthorError::file(component))
}
