//! From a plugin's folder to its component: what each language needs for that, and what to do where it is missing.

mod process;
mod python;
mod rust;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};

pub use self::tools::Tools;
use self::tools::put;
use super::error::AuthorError;
use super::language::Language;
use crate::job::Digest;

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
