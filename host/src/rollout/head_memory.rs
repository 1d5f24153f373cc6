//! How far a registry was when this machine saw it last: heads only ever come after it.

use std::path::{Path, PathBuf};

use crate::files;
use crate::job::Digest;
use crate::registry::RegistryError;

/// A file with a number.
pub(super) struct HeadMemory(PathBuf);

impl HeadMemory {
    /// What is remembered of the registry at this URI, below a folder that only this user may write.
    pub(super) fn below(folder: &Path, uri: &str) -> Self {
        Self(folder.join(format!("registry-{}", &Digest::of(uri.as_bytes()).hex()[..16])))
    }

    /// The highest number that was seen; 0 if none was.
    pub(super) fn number(&self) -> u64 {
        files::read_text(&self.0, 64).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// Without a memory work goes on: what it would have noticed is rare, and the registry is not what failed.
    pub(super) fn remember(&self, number: u64) {
        if number <= self.number() {
            return;
        }
        let folder = self.0.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = folder.and_then(|()| std::fs::write(&self.0, format!("{number}\n"))) {
            tracing::debug!(%error, "how far the registry was is not remembered");
        }
    }

    pub(super) fn taken_back(&self, uri: &str, newest: u64, seen: u64) -> RegistryError {
        RegistryError::Damaged(format!(
            "{uri}: its newest head is {newest}, and head {seen} was seen on this machine before: somebody took the registry back to \
             an older state. If that was meant, remove {}",
            self.0.display()
        ))
    }
}
