//! From a path or a text to a [`Dataset`].

use std::path::{Path, PathBuf};

use super::{Dataset, Finding, Findings, Variables, parse};
use crate::files;

/// The largest dataset file that is read, in bytes: an inline list of items may be long.
pub const MAX_FILE: u64 = 16 << 20;

impl Dataset {
    /// The dataset file that a path means: itself, or the `dataset.toml` of a folder.
    pub fn file(path: &Path) -> PathBuf {
        if path.is_dir() { path.join("dataset.toml") } else { path.to_owned() }
    }

    /// Reads a dataset file, or that of a folder. Everything that is wrong with it comes at once.
    pub fn load(path: &Path, variables: &Variables) -> Result<Self, Findings> {
        match Self::load_in_part(path, variables) {
            (Some(dataset), findings) if findings.is_empty() => Ok(dataset),
            (_, findings) => Err(Findings(findings)),
        }
    }

    /// Reads as much of a dataset file as makes sense, so that [`super::check`] can look for further problems.
    pub fn load_in_part(path: &Path, variables: &Variables) -> (Option<Self>, Vec<Finding>) {
        let path = Self::file(path);
        match files::read_text(&path, MAX_FILE) {
            Ok(text) => parse::dataset(&text, &path, variables),
            Err(error) => (None, vec![Finding::of_file(&path, format!("the dataset file cannot be read: {error}"))]),
        }
    }

    /// Reads the text of a dataset file that lies at `file`; components are found relative to it.
    pub fn parse(text: &str, file: &Path, variables: &Variables) -> Result<Self, Findings> {
        match parse::dataset(text, file, variables) {
            (Some(dataset), findings) if findings.is_empty() => Ok(dataset),
            (_, findings) => Err(Findings(findings)),
        }
    }
}
