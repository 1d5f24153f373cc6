//! A registry in a folder, on this machine or on a file system that a fleet shares (NFS, Amazon EFS).
//!
//! A file appears under its name whole and on the disk, or not at all: it is written under another name, synced, and
//! renamed where nothing may be replaced (`RENAME_NOREPLACE`, or a hard link where the file system has no such thing).
//! What a process that was killed leaves behind lies in `.incoming`, and is nobody's.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::Errno;

use super::RegistryError;
use super::layout::Keys;
use crate::files;

/// Where files are written before they get their names.
const INCOMING: &str = ".incoming";

/// Keys that are files.
#[derive(Clone)]
pub(super) struct Folder(Arc<Path>);

impl Folder {
    /// The folder at this path. It is made when something is written.
    pub(super) fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into().into())
    }

    /// Keys are made of names that cannot leave a folder: `super::Name` and its like.
    fn path(&self, key: &str) -> PathBuf {
        self.0.join(key)
    }

    fn get_now(&self, key: &str, max: u64) -> Result<Option<Bytes>, RegistryError> {
        let path = self.path(key);
        match files::read(&path, max) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                Err(RegistryError::too_large(&path.display().to_string(), max))
            }
            Err(error) => Err(read_error(&path, &error)),
        }
    }

    fn create_now(&self, key: &str, bytes: &[u8]) -> Result<bool, RegistryError> {
        let path = self.path(key);
        let fault = |error| write_error(&path, &error);
        if path.try_exists().map_err(fault)? {
            return Ok(false);
        }
        let (incoming, parent) = (self.path(INCOMING), path.parent().unwrap_or(&self.0));
        fs::create_dir_all(&incoming).and_then(|()| fs::create_dir_all(parent)).map_err(fault)?;
        let mut builder = tempfile::Builder::new();
        // The usual permissions of a new file; the default would hide it from workers of another user.
        let builder = builder.permissions(fs::Permissions::from_mode(0o666));
        let mut file = builder.tempfile_in(&incoming).map_err(fault)?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(fault)?;
        match file.persist_noclobber(&path) {
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(fault(error.error)),
            Ok(_) => {}
        }
        // The name itself is on the disk when its directory is.
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(fault)?;
        Ok(true)
    }

    fn list_now(&self, folder: &str, after: &str) -> Result<Vec<String>, RegistryError> {
        let path = self.path(folder);
        let fault = |error| read_error(&path, &error);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(fault)?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
        let names: Vec<String> = names.collect::<io::Result<_>>().map_err(fault)?;
        Ok(names.into_iter().filter(|name| name.as_str() > after).collect())
    }

    fn any_now(&self, folder: &str) -> Result<bool, RegistryError> {
        let path = self.path(folder);
        match fs::read_dir(&path) {
            Ok(mut entries) => Ok(entries.next().is_some()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(read_error(&path, &error)),
        }
    }

    /// Runs file system calls where they may block.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Self) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let folder = self.clone();
        tokio::task::spawn_blocking(move || call(&folder)).await.unwrap_or_else(|error| {
            Err(RegistryError::Unavailable(format!("the folder {} could not be used: {error}", self.0.display())))
        })
    }
}

#[async_trait]
impl Keys for Folder {
    async fn get(&self, key: &str, max: u64) -> Result<Option<Bytes>, RegistryError> {
        let key = key.to_owned();
        self.blocking(move |folder| folder.get_now(&key, max)).await
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<bool, RegistryError> {
        let key = key.to_owned();
        self.blocking(move |folder| folder.create_now(&key, &bytes)).await
    }

    async fn list(&self, folder: &str, after: &str) -> Result<Vec<String>, RegistryError> {
        let (name, after) = (folder.to_owned(), after.to_owned());
        self.blocking(move |folder| folder.list_now(&name, &after)).await
    }

    async fn any(&self, folder: &str) -> Result<bool, RegistryError> {
        let name = folder.to_owned();
        self.blocking(move |folder| folder.any_now(&name)).await
    }

    fn place(&self, key: &str) -> String {
        self.path(key).display().to_string()
    }
}

fn read_error(path: &Path, error: &io::Error) -> RegistryError {
    let text = format!("{} could not be read: {error}", path.display());
    let damaged = || RegistryError::Damaged(format!("{text}; gristmill did not put it there: remove it"));
    match error.kind() {
        ErrorKind::PermissionDenied => RegistryError::Denied(format!(
            "{text}. Whoever runs gristmill needs the right to read the registry's folder"
        )),
        ErrorKind::NotADirectory => RegistryError::Invalid(format!("{text}. Is this the folder of a registry?")),
        // A pipe, a device, a folder, links in a circle: nothing that will be a file another time.
        ErrorKind::InvalidInput | ErrorKind::IsADirectory => damaged(),
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => damaged(),
        _ => RegistryError::Unavailable(text),
    }
}

fn write_error(path: &Path, error: &io::Error) -> RegistryError {
    let text = format!("{} could not be written: {error}", path.display());
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => RegistryError::Denied(format!(
            "{text}. Whoever publishes and promotes needs the right to write into the registry's folder"
        )),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists | ErrorKind::IsADirectory => {
            RegistryError::Invalid(format!("{text}. Is this the folder of a registry?"))
        }
        _ => RegistryError::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::{self, Tampered};
    use super::super::layout::Layout;
    use super::super::{MAX_DOCUMENT, Name, Package, Registry};
    use super::*;
    use crate::job::Digest;
    use std::collections::BTreeMap;

    struct Tampering(tempfile::TempDir);

    impl Tampered for Tampering {
        async fn open(&self) -> Arc<dyn Registry> {
            Arc::new(Layout::new("REGISTRY", Folder::new(self.0.path().join("registry"))))
        }

        async fn damage(&self, _: &Name, digest: &Digest) {
            let path = self.0.path().join("registry/blobs/sha256").join(digest.hex());
            let mut bytes = fs::read(&path).unwrap();
            bytes[3] ^= 1;
            fs::write(path, bytes).unwrap();
        }
    }

    #[tokio::test]
    async fn a_folder_keeps_the_contract_of_registries() {
        let place = Tampering(tempfile::tempdir().unwrap());
        contract::suite(&place).await;
        let left = fs::read_dir(place.0.path().join("registry").join(INCOMING)).unwrap().count();
        assert_eq!(left, 0, "nothing unfinished is left");
    }

    #[tokio::test]
    async fn what_was_damaged_and_removed_is_published_again() {
        let place = Tampering(tempfile::tempdir().unwrap());
        let (name, version) = ("d".parse().unwrap(), "1.0.0".parse().unwrap());
        let package = Package::new(name, version, "toml".into(), "wasm".into(), BTreeMap::new()).unwrap();
        let (name, component) = (&package.release.name, &package.release.component.digest);
        let registry = place.open().await;
        registry.add(&package).await.unwrap();
        place.damage(name, component).await;
        assert!(matches!(registry.add(&package).await, Err(RegistryError::Damaged(_))));
        fs::remove_file(place.0.path().join("registry/blobs/sha256").join(component.hex())).unwrap();
        registry.add(&package).await.unwrap();
        assert_eq!(registry.blob(name, component, 4).await.unwrap(), "wasm");
    }

    #[tokio::test]
    async fn a_file_is_no_registry() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let registry = Layout::new("file", Folder::new(folder.path().join("file")));
        let read = registry.newest().await.unwrap_err();
        let written = registry.advance(1, "x".into()).await.unwrap_err();
        for error in [read, written] {
            assert!(
                matches!(&error, RegistryError::Invalid(text) if text.contains("Is this the folder of a registry?")),
                "{error:?}"
            );
        }
    }

    #[test]
    fn of_many_who_create_a_file_one_is_first() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::new(folder.path());
        for round in 0..50 {
            let key = format!("a/{round}");
            let wins = std::thread::scope(|scope| {
                let racers: Vec<_> = (0..8)
                    .map(|racer| {
                        (racer, {
                            let (folder, key) = (&folder, &key);
                            scope.spawn(move || folder.create_now(key, &[racer; 9]))
                        })
                    })
                    .collect();
                let results = racers.into_iter().map(|(racer, thread)| (racer, thread.join().unwrap().unwrap()));
                results.filter(|(_, won)| *won).map(|(racer, _)| racer).collect::<Vec<_>>()
            });
            assert_eq!(wins.len(), 1);
            assert_eq!(folder.get_now(&key, 9).unwrap().unwrap(), vec![wins[0]; 9]);
        }
    }

    #[test]
    fn what_is_no_file_is_damage_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("circle", folder.path().join("circle")).unwrap();
        files::tests::named_pipe(&folder.path().join("pipe"));
        fs::create_dir(folder.path().join("folder")).unwrap();
        let keys = Folder::new(folder.path());
        for key in ["pipe", "circle", "folder"] {
            let keys = keys.clone();
            let refused = files::tests::at_once(move || keys.get_now(key, MAX_DOCUMENT)).unwrap_err();
            let said = |text: &str| text.contains(&format!("/{key} could not be read")) && text.contains("remove it");
            assert!(matches!(&refused, RegistryError::Damaged(text) if said(text)), "{refused:?}");
        }
    }

    #[test]
    fn nothing_larger_than_allowed_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::new(folder.path());
        folder.create_now("k", b"0123456789").unwrap();
        assert_eq!(folder.get_now("k", 10).unwrap().unwrap(), "0123456789");
        assert!(matches!(folder.get_now("k", 9), Err(RegistryError::Damaged(_))));
        assert_eq!(folder.get_now("no", MAX_DOCUMENT).unwrap(), None);
    }
}
