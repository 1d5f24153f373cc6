//! What keeps an author from going on, and what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why a plugin could not be made or built.
#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
    /// A tool is not there. One command brings it.
    #[error("{what}: run\n{command}")]
    Missing {
        /// What is missing.
        what: String,
        /// What to type.
        command: String,
    },
    /// A tool failed, and has said why on the terminal.
    #[error("{0}")]
    Failed(String),
    /// It cannot be done so. The sentence says what to do instead.
    #[error("{0}")]
    Refused(String),
    /// A file could not be read or written.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl AuthorError {
    /// Says which file it was.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
