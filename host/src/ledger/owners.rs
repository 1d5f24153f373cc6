//! Which processes that share a folder are alive.
//!
//! Each process locks a file of its own, and the system drops the lock however the process ends. So a run that was killed goes
//! on at once, and does not wait until the dead process's leases end. It is only a short cut: the fence, and not this, keeps
//! others from writing under a claim that was taken over.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::files;

/// A process's presence in a folder, until it is dropped.
#[derive(Debug)]
pub(super) struct Owner {
    /// Its name among the owners.
    pub(super) name: String,
    _locked: File,
}

impl Owner {
    /// Enters the folder `owners`. Only one process may call this or [`remove_dead`] at a time.
    pub(super) fn enter(owners: &Path) -> io::Result<Self> {
        fs::create_dir_all(owners)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name = format!("{}-{}", std::process::id(), now.as_nanos());
        let file = File::create_new(owners.join(&name))?;
        file.lock()?;
        Ok(Self { name, _locked: file })
    }
}

/// Removes the owners that are no more, and returns their names.
pub(super) fn remove_dead(owners: &Path) -> io::Result<Vec<String>> {
    let mut dead = Vec::new();
    if !owners.is_dir() {
        return Ok(dead);
    }
    for entry in fs::read_dir(owners)? {
        let entry = entry?;
        match files::open(&entry.path())?.try_lock() {
            Ok(()) => {
                fs::remove_file(entry.path())?;
                dead.extend(entry.file_name().into_string());
            }
            Err(TryLockError::WouldBlock) => {}
            // Where files cannot be locked, everybody counts as alive.
            Err(TryLockError::Error(_)) => break,
        }
    }
    Ok(dead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_left_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let owners = directory.path().join("owners");
        assert!(remove_dead(&owners).unwrap().is_empty());
        let (one, two) = (Owner::enter(&owners).unwrap(), Owner::enter(&owners).unwrap());
        assert!(remove_dead(&owners).unwrap().is_empty());
        let name = one.name.clone();
        drop(one);
        assert_eq!(remove_dead(&owners).unwrap(), [name]);
        assert!(remove_dead(&owners).unwrap().is_empty());
        drop(two);
    }
}
