//! Compiled components on disk, so that only the first process of a user waits for the compiler.
//!
//! Compiled code is run as it is. So a file counts only if this user's gristmill wrote it for this very component. It
//! carries a tag over the component's digest, the engine's version and settings, and all of its content, made with a
//! secret that lies beside it ([`Secret`]): putting a file into the folder, or renaming one, does not make a tag.
//! Folder and files also have to belong to this user (or to root, who may have made the image) and be writable for
//! nobody else. Any other file is ignored: the component is compiled again, and the file replaced.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use wasmtime::Engine;

use super::digest::{About, Digested};
use super::private::{REMEDY, make_private, private};
use super::secret::{Secret, TAG};
use crate::job::Digest;

const MAGIC: &[u8; 16] = b"gristmill cwasm2";
/// The magic bytes, the tag, and the length of what the component says of itself.
const HEADER: usize = MAGIC.len() + TAG + size_of::<u64>();

/// How look-ups of this process ended: what was there counted, nothing was there, or what was there did not count.
static RESULTS: [(&str, AtomicU64); 3] =
    [("hit", AtomicU64::new(0)), ("miss", AtomicU64::new(0)), ("refused", AtomicU64::new(0))];

/// How often each result came about in this process.
pub fn cache_results() -> impl Iterator<Item = (&'static str, u64)> {
    RESULTS.iter().map(|(result, counted)| (*result, counted.load(Ordering::Relaxed)))
}

/// The place of one component in the cache.
pub(super) struct Entry {
    path: PathBuf,
    /// Names the component and the engine; covered by the tag.
    of: String,
}

impl Entry {
    pub(super) fn new(folder: &Path, engine: &Engine, digest: &Digest) -> Self {
        // The hash covers wasmtime's version, its settings, and the CPU features that the code may use.
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let of = format!("{}-{:016x}", digest.hex(), hasher.finish());
        Self { path: folder.join(format!("{of}.cwasm")), of }
    }

    /// The digested component, if this user compiled it before and the file is whole.
    pub(super) fn load(&self) -> Option<Digested> {
        let path = self.path.display();
        let read = self.read();
        let [(_, hits), (_, misses), (_, refused)] = &RESULTS;
        let counter = match &read {
            Ok(Read::Ours(_)) => hits,
            Err(error) if error.kind() == ErrorKind::NotFound => misses,
            _ => refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        match read {
            Ok(Read::Ours(digested)) => return Some(*digested),
            Ok(Read::Theirs) => {
                tracing::warn!(%path, "a compiled component is damaged or was not made here; it is compiled again");
            }
            Ok(Read::Open) => {
                tracing::warn!(%path, "others may write to the cache of compiled components; it is not used: {REMEDY}");
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%path, %error, "a compiled component cannot be read; it is compiled again");
            }
        }
        None
    }

    fn read(&self) -> Result<Read> {
        let mut file = std::fs::File::open(&self.path)?;
        // The open file is checked, not its name: another file could have that by now.
        if !private(&file.metadata()?) || !private(&std::fs::metadata(self.folder())?) {
            return Ok(Read::Open);
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let secret = Secret::of(self.folder())?;
        Ok(secret
            .and_then(|secret| self.verified(&secret, bytes.into()))
            .map_or(Read::Theirs, |digested| Read::Ours(Box::new(digested))))
    }

    fn verified(&self, secret: &Secret, bytes: Bytes) -> Option<Digested> {
        let (header, content) = bytes.split_at_checked(HEADER)?;
        let (magic, header) = header.split_at(MAGIC.len());
        let (tag, length) = header.split_at(TAG);
        if magic != MAGIC || !secret.verify(&[MAGIC, self.of.as_bytes(), length, content], tag) {
            return None;
        }
        let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let about: About = serde_json::from_slice(content.get(..length)?).ok()?;
        Some(Digested { about, code: bytes.slice(HEADER + length..) })
    }

    /// Keeps the component for the next process. A cache that cannot be written costs time, not work.
    pub(super) fn store(&self, digested: &Digested) {
        if let Err(error) = self.try_store(digested) {
            tracing::warn!(path = %self.path.display(), %error, "a compiled component was not kept; the next start compiles again");
        }
    }

    fn try_store(&self, digested: &Digested) -> Result<()> {
        make_private(self.folder())?;
        if !private(&std::fs::metadata(self.folder())?) {
            return Err(Error::other(format!("others may write to the folder: {REMEDY}")));
        }
        let secret = Secret::make(self.folder())?;
        let about = serde_json::to_vec(&digested.about)?;
        let length = (about.len() as u64).to_le_bytes();
        // The parts cannot be cut in another way: each has a fixed length, or one that is part of the tag.
        let tag = secret.sign(&[MAGIC, self.of.as_bytes(), &length, &about, &digested.code]);
        // A temporary file that is renamed when it is whole: two processes may compile the same component at once. Only
        // its owner may read and write it, whatever the umask.
        let mut file = tempfile::Builder::new().suffix(".tmp").tempfile_in(self.folder())?;
        for part in [&MAGIC[..], &tag, &length, &about, &digested.code] {
            file.write_all(part)?;
        }
        file.persist(&self.path)?;
        Ok(())
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}

/// What lies at an entry's place.
enum Read {
    /// A file that was made here, for this component.
    Ours(Box<Digested>),
    /// A file that was not.
    Theirs,
    /// A file that anybody may have made.
    Open,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dataset::Manifest;

    fn digested(name: &str) -> Digested {
        let manifest = Manifest {
            name: name.into(),
            version: "1.0.0".into(),
            description: String::new(),
            settings_schema: json!({}),
            outputs: Vec::new(),
        };
        let about = About { manifest, imports: vec!["wasi:io/poll@0.2.6".into()], exports: Vec::new() };
        Digested { about, code: format!("the code of {name}").into() }
    }

    /// A cache with an entry of each of these components.
    fn stored<const N: usize>(names: [&str; N]) -> (tempfile::TempDir, [Entry; N]) {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let cache = folder.path().join("cache");
        let entries = names.map(|name| Entry::new(&cache, &engine, &Digest::of(name.as_bytes())));
        names.iter().zip(&entries).for_each(|(name, entry)| entry.try_store(&digested(name)).unwrap());
        (folder, entries)
    }

    #[test]
    fn what_was_stored_is_loaded() {
        let (_folder, [entry]) = stored(["a"]);
        let (loaded, was) = (entry.load().unwrap(), digested("a"));
        assert_eq!((loaded.about, loaded.code), (was.about, was.code));
    }

    #[test]
    fn a_flipped_byte_anywhere_is_noticed() {
        let (_folder, [entry]) = stored(["a"]);
        let whole = std::fs::read(&entry.path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&entry.path, damaged).unwrap();
            assert!(entry.load().is_none(), "byte {at}");
        }
        for end in [0, HEADER - 1, HEADER, whole.len() - 1] {
            std::fs::write(&entry.path, &whole[..end]).unwrap();
            assert!(entry.load().is_none(), "{end} bytes");
        }
    }

    #[test]
    fn another_components_entry_under_this_ones_name_is_refused() {
        let (_folder, [a, b]) = stored(["a", "b"]);
        std::fs::copy(&a.path, &b.path).unwrap();
        assert!(b.load().is_none());
        assert_eq!(a.load().unwrap().about.manifest.name, "a");
    }

    #[test]
    fn an_entry_that_was_made_elsewhere_is_refused() {
        let (_ours, [entry]) = stored(["a"]);
        // With a cache, and so a secret, of its own.
        let (_theirs, [planted]) = stored(["a"]);
        std::fs::copy(&planted.path, &entry.path).unwrap();
        assert!(entry.load().is_none());
        entry.store(&digested("a"));
        assert!(entry.load().is_some(), "it was replaced");
    }

    #[test]
    fn what_was_kept_before_the_secret_changed_or_went_is_made_again() {
        let (_folder, [entry]) = stored(["a"]);
        let secret = entry.folder().join("secret");
        let change = || std::fs::write(&secret, [7; 64]).unwrap();
        let take_away = || std::fs::remove_file(&secret).unwrap();
        for something_happens in [&change as &dyn Fn(), &take_away] {
            something_happens();
            assert!(entry.load().is_none());
            entry.store(&digested("a"));
            assert!(entry.load().is_some());
        }
    }

    #[test]
    fn another_engine_has_another_name() {
        let (_folder, [entry]) = stored(["x"]);
        let other = Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        let theirs = Entry::new(entry.folder(), &other, &Digest::of(b"x"));
        assert_ne!(theirs.path, entry.path);
        // A file that was moved under this name is refused.
        theirs.store(&digested("x"));
        std::fs::rename(&theirs.path, &entry.path).unwrap();
        assert!(entry.load().is_none());
    }

    #[test]
    fn what_was_damaged_is_replaced() {
        let (_folder, [entry]) = stored(["a"]);
        std::fs::write(&entry.path, "damaged").unwrap();
        entry.store(&digested("a"));
        assert!(entry.load().is_some());
        assert_eq!(std::fs::read_dir(entry.folder()).unwrap().count(), 2, "the entry and the secret, and nothing else");
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
            let (_folder, [entry]) = stored(["a"]);
            for mode in [0o777, 0o720, 0o702] {
                allow(entry.folder(), mode);
                assert!(entry.load().is_none(), "{mode:o}");
                let error = entry.try_store(&digested("a")).unwrap_err();
                assert!(error.to_string().contains("mode 700"), "{error}");
            }
            allow(entry.folder(), 0o755);
            assert!(entry.load().is_some());
            allow(&entry.path, 0o660);
            assert!(entry.load().is_none());
        }

        #[test]
        fn the_file_and_a_new_folder_are_the_owners_alone() {
            let (_folder, [entry]) = stored(["a"]);
            let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
            assert_eq!((mode(entry.folder()), mode(&entry.path)), (0o700, 0o600));
        }

        #[test]
        fn a_link_under_the_entrys_name_is_replaced_and_not_followed() {
            let (folder, [entry]) = stored(["a"]);
            let precious = folder.path().join("precious");
            std::fs::write(&precious, "text").unwrap();
            std::fs::remove_file(&entry.path).unwrap();
            symlink(&precious, &entry.path).unwrap();
            assert!(entry.load().is_none());
            entry.store(&digested("a"));
            assert_eq!(std::fs::read_to_string(&precious).unwrap(), "text");
            assert!(entry.load().is_some());
        }

        /// As it is after `chmod -R a+rX`, for a user who did not make it.
        #[test]
        fn a_cache_that_came_with_an_image_may_be_readable_for_all() {
            let (_folder, [entry]) = stored(["a"]);
            allow(entry.folder(), 0o755);
            allow(&entry.folder().join("secret"), 0o644);
            allow(&entry.path, 0o644);
            assert!(entry.load().is_some());
        }

        /// Only root can give files away; for everybody else the check of the owner is the one that follows.
        #[test]
        fn what_belongs_to_somebody_else_is_not_trusted() {
            let (_folder, [entry]) = stored(["a"]);
            let given = chown(&entry.path, Some(12_345), None).is_ok();
            assert_eq!(entry.load().is_none(), given);
            let root = std::fs::metadata("/").unwrap();
            assert!(private(&root), "what is root's is trusted");
        }
    }
}
