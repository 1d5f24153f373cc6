//! Compiled components on disk, so that only the first worker process on a machine waits for the compiler.
//!
//! Compiled code is run as it is, so a file counts only if this very host wrote it: its name carries the component's
//! digest and a hash of the engine's version and settings, the folder must not be writable for others, and the content
//! must have the checksum that was written with it. A file that is anything else is compiled again and replaced.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;
use xxhash_rust::xxh3::xxh3_128;

use crate::job::Digest;

const MAGIC: &[u8; 16] = b"gristmill cwasm1";
const HEADER: usize = MAGIC.len() + size_of::<u128>();

/// Where one component's compiled code is.
pub(super) struct Entry {
    path: PathBuf,
}

impl Entry {
    pub(super) fn new(folder: &Path, engine: &Engine, digest: &Digest) -> Self {
        // The hash covers wasmtime's version, its settings, and the CPU features that the code may use.
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { path: folder.join(format!("{}-{:016x}.cwasm", digest.hex(), hasher.finish())) }
    }

    /// The component, if this host compiled it before and the file is whole.
    pub(super) fn load(&self, engine: &Engine) -> Option<Component> {
        let path = self.path.display();
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%path, %error, "a compiled component cannot be read; it is compiled again");
                return None;
            }
        };
        if !private(&self.path) {
            tracing::warn!(%path, "others may write to the cache of compiled components; it is not used: chmod 700 the folder");
            return None;
        }
        let Some(code) = verified(&bytes) else {
            tracing::warn!(%path, "a compiled component is damaged; it is compiled again");
            return None;
        };
        match deserialize(engine, code) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(%path, %error, "a compiled component was refused; it is compiled again");
                None
            }
        }
    }

    /// Keeps the compiled code for the next process. A cache that cannot be written costs time, not work.
    pub(super) fn store(&self, component: &Component) {
        if let Err(error) = self.try_store(component) {
            tracing::warn!(path = %self.path.display(), %error, "a compiled component was not kept; the next start compiles again");
        }
    }

    fn try_store(&self, component: &Component) -> wasmtime::Result<()> {
        let code = component.serialize()?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        make_private(folder)?;
        // Unique per process, renamed when whole: two workers may compile the same component at once.
        let unfinished = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let written = (|| {
            let mut file = std::fs::File::create(&unfinished)?;
            file.write_all(MAGIC)?;
            file.write_all(&xxh3_128(&code).to_le_bytes())?;
            file.write_all(&code)?;
            std::fs::rename(&unfinished, &self.path)
        })();
        if written.is_err() {
            let _ = std::fs::remove_file(&unfinished);
        }
        Ok(written?)
    }
}

fn verified(bytes: &[u8]) -> Option<&[u8]> {
    let (header, code) = bytes.split_at_checked(HEADER)?;
    let (magic, sum) = header.split_at(MAGIC.len());
    (magic == MAGIC && *sum == xxh3_128(code).to_le_bytes()).then_some(code)
}

#[allow(unsafe_code)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the code is what `Component::serialize` of an engine with this configuration gave: it was written by this
    // host under a name with the configuration's hash, into a folder that only this user writes, and its checksum holds.
    unsafe { Component::deserialize(engine, code) }
}

#[cfg(unix)]
fn private(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    let guarded = |path: &Path| std::fs::metadata(path).is_ok_and(|meta| meta.mode() & WRITABLE_BY_OTHERS == 0);
    guarded(file) && file.parent().is_some_and(guarded)
}

#[cfg(not(unix))]
fn private(_file: &Path) -> bool {
    true
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> (tempfile::TempDir, Engine, Entry) {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let entry = Entry::new(&folder.path().join("cache"), &engine, &Digest::of(b"x"));
        entry.store(&Component::new(&engine, "(component)").unwrap());
        (folder, engine, entry)
    }

    #[test]
    fn what_was_stored_is_loaded() {
        let (_folder, engine, entry) = stored();
        assert!(entry.load(&engine).is_some());
    }

    #[test]
    fn a_flipped_byte_anywhere_is_noticed() {
        let (_folder, engine, entry) = stored();
        let whole = std::fs::read(&entry.path).unwrap();
        for at in [0, 20, HEADER, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&entry.path, damaged).unwrap();
            assert!(entry.load(&engine).is_none(), "byte {at}");
        }
        std::fs::write(&entry.path, &whole[..HEADER - 1]).unwrap();
        assert!(entry.load(&engine).is_none());
    }

    #[test]
    #[cfg(unix)]
    fn a_folder_that_others_may_write_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, engine, entry) = stored();
        let folder = entry.path.parent().unwrap();
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(entry.load(&engine).is_none());
    }
}
