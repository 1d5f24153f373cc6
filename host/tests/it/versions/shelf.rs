//! A registry in a folder, whose owner can do with it what a network and a thief can.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gristmill::job::Digest;
use gristmill::registry::{
    self, Attachment, Change, MAX_DOCUMENT, Name, Package, Registry, RegistryError, Release, TrialKind, Version,
};
use gristmill::trust::{KeyRef, Kms, PrivateKey, Signer};
use time::OffsetDateTime;

use crate::guest::Guest;

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().unwrap());

/// The key that [`Shelf::sign`] signs with.
pub(crate) fn key() -> &'static PrivateKey {
    &KEY
}

pub(crate) struct Shelf {
    folder: Arc<tempfile::TempDir>,
    inner: Arc<dyn Registry>,
    is_away: AtomicBool,
    stop: Mutex<Option<(Digest, Arc<Stop>)>>,
    /// How often a blob was read, and versions were listed.
    reads: Mutex<HashMap<Digest, u32>>,
    lists: AtomicU32,
}

/// Where whoever reads a certain blob waits.
#[derive(Default)]
pub(crate) struct Stop {
    come: AtomicBool,
    open: AtomicBool,
}

impl Stop {
    /// Whether somebody waits.
    pub(crate) fn has_come(&self) -> bool {
        self.come.load(Relaxed)
    }

    pub(crate) fn go_on(&self) {
        self.open.store(true, Relaxed);
    }
}

fn name() -> Name {
    "d".parse().unwrap()
}

impl Shelf {
    pub(crate) async fn new() -> Self {
        Self::in_folder(Arc::new(tempfile::tempdir().unwrap())).await
    }

    /// The same place, as a process sees it that was started later.
    pub(crate) async fn again(&self) -> Self {
        Self::in_folder(self.folder.clone()).await
    }

    async fn in_folder(folder: Arc<tempfile::TempDir>) -> Self {
        let uri = folder.path().join("registry").to_str().unwrap().to_owned();
        let inner = registry::open(&uri, async || unreachable!("a folder needs no AWS")).await.unwrap();
        Self {
            folder,
            inner,
            is_away: AtomicBool::new(false),
            stop: Mutex::default(),
            reads: Mutex::default(),
            lists: AtomicU32::new(0),
        }
    }

    /// A guest as a plugin of this version.
    pub(crate) fn component(version: &str, process: &str) -> Vec<u8> {
        Guest { version, ..Guest::new(process) }.component()
    }

    /// Adds a version, with nothing looked at as `gristmill publish` would.
    pub(crate) async fn publish(&self, version: &str, process: &str, keys: &str) -> Digest {
        let package = super::package(version, process, keys);
        self.inner.add(&package).await.unwrap();
        package.digest()
    }

    /// The same with this dataset file.
    pub(crate) async fn publish_text(&self, version: &str, process: &str, text: &str) -> Digest {
        let component = Self::component(version, process).into();
        let version = version.parse().unwrap();
        let package = Package::new(name(), version, text.to_owned().into(), component, Default::default()).unwrap();
        self.inner.add(&package).await.unwrap();
        package.digest()
    }

    /// Publishes the first version of another dataset.
    pub(crate) async fn publish_beside(&self, name: &Name, process: &str, keys: &str) -> Digest {
        let (component, version) = (Self::component("0.1.0", process).into(), "0.1.0".parse().unwrap());
        let text = super::text(keys)
            .replace("dataset = \"d\"\n", &format!("dataset = \"{name}\"\nplugin.timeout = \"10h\"\n"));
        let package = Package::new(name.clone(), version, text.into(), component, Default::default()).unwrap();
        self.inner.add(&package).await.unwrap();
        package.digest()
    }

    /// Takes that into use.
    pub(crate) async fn promote_beside(&self, name: &Name, release: Digest) {
        let change = Change::Promote { version: "0.1.0".parse().unwrap(), release, downgrade: false };
        registry::change(&*self.inner, name, &change, "somebody", OffsetDateTime::now_utc()).await.unwrap();
    }

    /// How often this was read so far.
    pub(crate) fn reads(&self, digest: &Digest) -> u32 {
        self.reads.lock().unwrap().get(digest).copied().unwrap_or_default()
    }

    /// How often versions were listed so far.
    pub(crate) fn lists(&self) -> u32 {
        self.lists.load(Relaxed)
    }

    pub(crate) async fn find_release(&self, version: &str) -> Digest {
        self.inner.find(&name(), &version.parse().unwrap()).await.unwrap().unwrap()
    }

    /// Makes a change, and says which head it is.
    pub(crate) async fn change(&self, change: &Change) -> u64 {
        let now = OffsetDateTime::now_utc();
        registry::change(&*self.inner, &name(), change, "somebody", now).await.unwrap().number
    }

    pub(crate) async fn promote(&self, version: &str) -> u64 {
        let (release, version) = (self.find_release(version).await, version.parse().unwrap());
        self.change(&Change::Promote { version, release, downgrade: false }).await
    }

    /// The same for an older version.
    pub(crate) async fn promote_again(&self, version: &str) -> u64 {
        let (release, version) = (self.find_release(version).await, version.parse().unwrap());
        self.change(&Change::Promote { version, release, downgrade: true }).await
    }

    pub(crate) async fn attempt(&self, version: &str, kind: TrialKind, share: &str) -> u64 {
        let (release, version, share) =
            (self.find_release(version).await, version.parse().unwrap(), share.parse().unwrap());
        self.change(&Change::Try { version, release, kind, share, downgrade: false }).await
    }

    /// Signs a release with [`key`].
    pub(crate) async fn sign(&self, release: &Digest) {
        let file = self.folder.path().join("signing.key");
        if !file.exists() {
            std::fs::write(&file, key().to_pem().unwrap().0.as_ref()).unwrap();
        }
        let signer = Signer::open(&KeyRef::parse(file.to_str().unwrap()).unwrap(), &Kms::default()).await.unwrap();
        let document = self.inner.blob(&name(), release, MAX_DOCUMENT).await.unwrap();
        let signature = signer.sign(&document).await.unwrap();
        self.inner.attach(&name(), release, Attachment::Signature, signature).await.unwrap();
    }

    /// From now on nobody gets an answer, or everybody again.
    pub(crate) fn be_away(&self, away: bool) {
        self.is_away.store(away, Relaxed);
    }

    /// Whoever reads this release's document has to wait there.
    pub(crate) fn stop_at(&self, release: &Digest) -> Arc<Stop> {
        let stop = Arc::new(Stop::default());
        *self.stop.lock().unwrap() = Some((*release, stop.clone()));
        stop
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("registry").join(path)
    }

    pub(crate) async fn flip_component(&self, release: &Digest) {
        let document = self.inner.blob(&name(), release, MAX_DOCUMENT).await.unwrap();
        let component = Release::parse(&document).unwrap().component.digest;
        self.flip_blob(&component);
    }

    pub(crate) fn flip_blob(&self, digest: &Digest) {
        flip(&self.path(&format!("blobs/sha256/{}", digest.hex())));
    }

    pub(crate) fn flip_signatures(&self, release: &Digest) {
        for entry in std::fs::read_dir(self.path(&format!("names/d/signature/{}", release.hex()))).unwrap() {
            flip(&entry.unwrap().path());
        }
    }

    /// Puts a folder where a file should be.
    pub(crate) fn put_folder(&self, path: &str) {
        std::fs::create_dir_all(self.path(path)).unwrap();
    }

    pub(crate) fn overwrite_head(&self, number: u64, document: &[u8]) {
        std::fs::write(self.path(&format!("heads/{number:016}.json")), document).unwrap();
    }

    pub(crate) fn remove_head(&self, number: u64) {
        std::fs::remove_file(self.path(&format!("heads/{number:016}.json"))).unwrap();
    }

    fn answers(&self) -> Result<(), RegistryError> {
        match self.is_away.load(Relaxed) {
            true => Err(RegistryError::Unavailable("the registry is away".into())),
            false => Ok(()),
        }
    }
}

/// Flips a bit in the middle of a file. Files of a registry are not meant to be written again, and say so.
fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, bytes).unwrap();
}

#[async_trait]
impl Registry for Shelf {
    fn uri(&self) -> &str {
        self.inner.uri()
    }

    async fn is_there(&self) -> Result<bool, RegistryError> {
        self.answers()?;
        self.inner.is_there().await
    }

    async fn add(&self, package: &Package) -> Result<(), RegistryError> {
        self.answers()?;
        self.inner.add(package).await
    }

    async fn find(&self, name: &Name, version: &Version) -> Result<Option<Digest>, RegistryError> {
        self.answers()?;
        self.inner.find(name, version).await
    }

    async fn versions(&self, name: &Name) -> Result<Vec<Version>, RegistryError> {
        self.answers()?;
        self.lists.fetch_add(1, Relaxed);
        self.inner.versions(name).await
    }

    async fn blob(&self, name: &Name, digest: &Digest, max: u64) -> Result<Bytes, RegistryError> {
        *self.reads.lock().unwrap().entry(*digest).or_default() += 1;
        let stop = self.stop.lock().unwrap().clone().filter(|(at, _)| at == digest);
        if let Some((_, stop)) = stop {
            stop.come.store(true, Relaxed);
            while !stop.open.load(Relaxed) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        self.answers()?;
        self.inner.blob(name, digest, max).await
    }

    async fn attach(&self, name: &Name, release: &Digest, kind: Attachment, bytes: Bytes) -> Result<(), RegistryError> {
        self.answers()?;
        self.inner.attach(name, release, kind, bytes).await
    }

    async fn attached(&self, name: &Name, release: &Digest, kind: Attachment) -> Result<Vec<Bytes>, RegistryError> {
        self.answers()?;
        self.inner.attached(name, release, kind).await
    }

    async fn head(&self, number: u64) -> Result<Option<Bytes>, RegistryError> {
        self.answers()?;
        self.inner.head(number).await
    }

    async fn newest(&self) -> Result<u64, RegistryError> {
        self.answers()?;
        self.inner.newest().await
    }

    async fn advance(&self, number: u64, head: Bytes) -> Result<bool, RegistryError> {
        self.answers()?;
        self.inner.advance(number, head).await
    }
}
