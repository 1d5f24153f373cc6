//! The languages that plugins are written in.

use std::path::Path;

use clap::ValueEnum;

use super::error::AuthorError;

/// A language with an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust.
    Rust,
    /// Python.
    Python,
}

impl Language {
    /// All of them, each with the file by which a folder is known to be a plugin in it.
    const MARKS: [(Self, &str); 2] = [(Self::Rust, "Cargo.toml"), (Self::Python, "app.py")];

    /// The language of the plugin in a folder.
    pub fn of(folder: &Path) -> Result<Self, AuthorError> {
        if !folder.is_dir() {
            return Err(AuthorError::Refused(format!("{}: there is no such folder", folder.display())));
        }
        let found = Self::MARKS.iter().find(|(_, mark)| folder.join(mark).is_file());
        found.map(|(language, _)| *language).ok_or_else(|| {
            let marks: Vec<_> = Self::MARKS.iter().map(|(language, mark)| format!("{mark} ({language:?})")).collect();
            AuthorError::Refused(format!(
                "{}: there is no plugin here: it would have {}. `gristmill plugin new NAME` makes one",
                folder.display(),
                marks.join(" or ")
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_known_by_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let refused = Language::of(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("it would have Cargo.toml (Rust) or app.py (Python)"), "{refused}");
        std::fs::write(folder.path().join("app.py"), "").unwrap();
        assert_eq!(Language::of(folder.path()).unwrap(), Language::Python);
    }
}
