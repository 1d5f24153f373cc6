//! Where tools are, and how what they made gets into its place.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::error::AuthorError;

/// Where tools are kept that gristmill installs for authors.
#[derive(Clone, Debug)]
pub struct Tools {
    /// A folder of this user's cache.
    pub cache: Option<PathBuf>,
}

/// Puts a component in its place, whole or not at all.
pub(super) fn put(made: &Path, component: &Path) -> Result<(), AuthorError> {
    let bytes = fs::read(made).map_err(AuthorError::file(made))?;
    if fs::read(component).is_ok_and(|before| before == bytes) {
        return touch(component);
    }
    let partial = component.with_extension("wasm.partial");
    fs::write(&partial, bytes).map_err(AuthorError::file(&partial))?;
    fs::rename(&partial, component).map_err(AuthorError::file(component))
}

/// Says that a component is as new as its sources.
pub(super) fn touch(component: &Path) -> Result<(), AuthorError> {
    let file = fs::File::options().write(true).open(component).map_err(AuthorError::file(component))?;
    file.set_modified(SystemTime::now()).map_err(AuthorError::file(component))
}
