//! Compiled components on disk, so that only the first worker process on a machine waits for the compiler.
//!
//! Compiled code is run as it is, so a file counts only if this very host wrote it: its name carries the component's
//! digest and a hash of the engine's version and settings, it and its folder belong to this user (or to root, who may have
//! made the image) and are writable for nobody else, and the content must have the checksum that was written with it. A
//! file that is anything else is compiled again and replaced.

use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{Read as _, Write as _};
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
        let bytes = match self.read() {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                tracing::warn!(%path, "others may write to the cache of compiled components; it is not used: {REMEDY}");
                return None;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%path, %error, "a compiled component cannot be read; it is compiled again");
                return None;
            }
        };
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

    /// The file's bytes, if nobody else can have written them. It is the open file that is asked, not its name.
    fn read(&self) -> std::io::Result<Option<Vec<u8>>> {
        let mut file = std::fs::File::open(&self.path)?;
        if !private(&file.metadata()?) || !private(&std::fs::metadata(self.folder())?) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Keeps the compiled code for the next process. A cache that cannot be written costs time, not work.
    pub(super) fn store(&self, component: &Component) {
        if let Err(error) = self.try_store(component) {
            tracing::warn!(path = %self.path.display(), %error, "a compiled component was not kept; the next start compiles again");
        }
    }

    fn try_store(&self, component: &Component) -> wasmtime::Result<()> {
        let code = component.serialize()?;
        make_private(self.folder())?;
        if !private(&std::fs::metadata(self.folder())?) {
            wasmtime::bail!("others may write to the folder: {REMEDY}");
        }
        // A file of its own, renamed when whole: two workers may compile the same component at once. Only its owner may
        // read and write it, whatever the umask.
        let mut file = tempfile::Builder::new().suffix(".tmp").tempfile_in(self.folder())?;
        file.write_all(MAGIC)?;
        file.write_all(&xxh3_128(&code).to_le_bytes())?;
        file.write_all(&code)?;
        file.persist(&self.path)?;
        Ok(())
    }
}

const REMEDY: &str = "it has to be a folder of this user's own, with mode 700";

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
fn private(meta: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    const ROOT: u32 = 0;
    let owner = meta.uid();
    meta.mode() & WRITABLE_BY_OTHERS == 0 && (owner == ROOT || owner == rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
fn private(_meta: &Metadata) -> bool {
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
    fn another_version_has_another_name() {
        let (_folder, engine, entry) = stored();
        let other = Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        let theirs = Entry::new(entry.folder(), &other, &Digest::of(b"x"));
        assert_ne!(theirs.path, entry.path);
        // A file that was moved under this name is refused by wasmtime itself.
        theirs.store(&Component::new(&other, "(component)").unwrap());
        std::fs::rename(&theirs.path, &entry.path).unwrap();
        assert!(entry.load(&engine).is_none());
    }

    #[test]
    fn what_was_damaged_is_replaced() {
        let (_folder, engine, entry) = stored();
        std::fs::write(&entry.path, "damaged").unwrap();
        entry.store(&Component::new(&engine, "(component)").unwrap());
        assert!(entry.load(&engine).is_some());
        assert_eq!(std::fs::read_dir(entry.folder()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[cfg(unix)]
    mod on_unix {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

        use super::*;

        fn allow(path: &Path, mode: u32) {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }

        #[test]
        fn what_others_may_write_is_neither_read_nor_written() {
            let (_folder, engine, entry) = stored();
            for mode in [0o777, 0o720, 0o702] {
                allow(entry.folder(), mode);
                assert!(entry.load(&engine).is_none(), "{mode:o}");
                let error = entry.try_store(&Component::new(&engine, "(component)").unwrap()).unwrap_err();
                assert!(error.to_string().contains("mode 700"), "{error}");
            }
            allow(entry.folder(), 0o755);
            assert!(entry.load(&engine).is_some());
            allow(&entry.path, 0o660);
            assert!(entry.load(&engine).is_none());
        }

        #[test]
        fn the_file_and_a_new_folder_are_the_owners_alone() {
            let (_folder, _engine, entry) = stored();
            let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
            assert_eq!((mode(entry.folder()), mode(&entry.path)), (0o700, 0o600));
        }

        #[test]
        fn a_link_under_the_entrys_name_is_replaced_and_not_followed() {
            let (folder, engine, entry) = stored();
            let precious = folder.path().join("precious");
            std::fs::write(&precious, "text").unwrap();
            std::fs::remove_file(&entry.path).unwrap();
            symlink(&precious, &entry.path).unwrap();
            assert!(entry.load(&engine).is_none());
            entry.store(&Component::new(&engine, "(component)").unwrap());
            assert_eq!(std::fs::read_to_string(&precious).unwrap(), "text");
            assert!(entry.load(&engine).is_some());
        }

        /// Only root can give files away; for everybody else the check of the owner is the one that follows.
        #[test]
        fn what_belongs_to_somebody_else_is_not_trusted() {
            let (_folder, engine, entry) = stored();
            let given = chown(&entry.path, Some(12_345), None).is_ok();
            assert_eq!(entry.load(&engine).is_none(), given);
            let root = std::fs::metadata("/").unwrap();
            assert!(private(&root), "what is root's is trusted");
        }
    }
}
