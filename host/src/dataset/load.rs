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

    /// Reads a dataset file without stages, or that of a folder. Everything that is wrong with it comes at once.
    pub fn load(path: &Path, variables: &Variables) -> Result<Self, Findings> {
        only(Self::load_stages(path, variables)?, &Self::file(path))
    }

    /// Reads a dataset file, or that of a folder: its stages in their order, or the one dataset that it is.
    pub fn load_stages(path: &Path, variables: &Variables) -> Result<Vec<Self>, Findings> {
        whole(Self::load_in_part(path, variables))
    }

    /// Reads as much of a dataset file as makes sense, so that [`super::check`] can look for further problems.
    pub fn load_in_part(path: &Path, variables: &Variables) -> (Vec<Self>, Vec<Finding>) {
        let path = Self::file(path);
        match files::read_text(&path, MAX_FILE) {
            Ok(text) => parse::stages(&text, &path, variables),
            Err(error) => {
                (Vec::new(), vec![Finding::of_file(&path, format!("the dataset file cannot be read: {error}"))])
            }
        }
    }

    /// Reads the text of a dataset file that lies at `file`; components are found relative to it.
    pub fn parse(text: &str, file: &Path, variables: &Variables) -> Result<Self, Findings> {
        whole(parse::stages(text, file, variables)).and_then(|stages| only(stages, file))
    }

    /// The same of a file that may have stages.
    pub fn parse_stages(text: &str, file: &Path, variables: &Variables) -> Result<Vec<Self>, Findings> {
        whole(parse::stages(text, file, variables))
    }
}

/// What was read, if nothing is wrong with it.
fn whole((stages, findings): (Vec<Dataset>, Vec<Finding>)) -> Result<Vec<Dataset>, Findings> {
    if findings.is_empty() && !stages.is_empty() { Ok(stages) } else { Err(Findings(findings)) }
}

/// The one dataset of a file.
fn only(mut stages: Vec<Dataset>, file: &Path) -> Result<Dataset, Findings> {
    match stages.pop() {
        Some(dataset) if stages.is_empty() => Ok(dataset),
        _ => Err(Findings(vec![Finding::of_file(file, "the dataset has stages; this command knows those of one map")])),
    }
}
