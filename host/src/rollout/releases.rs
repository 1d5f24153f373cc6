//! From a release's digest to a dataset that can be worked on. Whatever is wrong with it is found here, before any batch runs on
//! it: signatures before the component is compiled, imports before it runs, and its own sample before anything else.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::fetched::Fetched;
use super::known::KnownReleases;
use super::pace::PERIOD;
use super::sample;
use crate::admission::Admission;
use crate::catalog::{DatasetVersion, NotOpened, VersionSource};
use crate::dataset::Variables;
use crate::job::Digest;
use crate::registry::{self, MAX_DOCUMENT, Name, Registry, RegistryError, Release, Version};
use crate::runtime::Runtime;
use crate::sink::Stores;
use crate::trust::Policy;

/// Opens releases of a registry.
pub struct Releases {
    /// Where they are.
    pub registry: Arc<dyn Registry>,
    /// Who has to have signed them.
    pub policy: Policy,
    /// The values of `${NAME}` in their dataset files.
    pub variables: Variables,
    /// What compiles them: with all cores, until [`Releases::in_background`].
    pub runtime: Runtime,
    /// Where their outputs go.
    pub stores: Stores,
    /// What their items need is asked here, also those of samples.
    pub admission: Arc<Admission>,
    /// Where samples run.
    pub guests: Handle,
    /// What was opened.
    pub known: KnownReleases,
}

impl Releases {
    /// From now on compiles only with what CPU nobody else wants.
    pub fn in_background(&self) {
        match self.runtime.in_background() {
            Ok(runtime) => _ = self.known.background.set(runtime),
            Err(error) => tracing::warn!(%error, "components are not compiled in the background"),
        }
    }

    /// A release that takes long to read, or whose sample takes long, holds up no other one: only compilers wait for each other,
    /// where the runtime starts them. What is in the cache waits for none of them.
    async fn open_now(&self, name: &Name, digest: &Digest) -> Result<Arc<DatasetVersion>, NotOpened> {
        let room = self.known.in_memory.acquire().await;
        let fetched = Fetched::get(&*self.registry, &self.policy, name, digest).await?;
        let runtime = self.known.background.get().unwrap_or(&self.runtime);
        let loaded = Arc::new(fetched.load(&self.variables, runtime, &self.stores).await?);
        let Fetched { release, sample: objects, .. } = fetched;
        // The component's bytes are gone.
        drop(room);
        let refused = |why: String| NotOpened::Refused(format!("{}: {why}", release.title()));
        for stage in loaded.stages() {
            if let Some(objection) = self.admission.objection(&stage.need()) {
                return Err(refused(objection));
            }
            let tried = sample::test(stage, &objects, &self.admission, &self.guests, sample::LIMIT).await;
            tried.map_err(|failure| refused(failure.to_string()))?;
        }
        Ok(loaded)
    }

    /// What is known of a release without looking: that it is open, or why it was refused just now.
    pub fn known(&self, name: &Name, digest: &Digest) -> Option<Result<Arc<DatasetVersion>, NotOpened>> {
        self.known.known(name, digest)
    }

    /// Looks anew for what was not there: the registry has changed.
    pub(super) fn look_again(&self) {
        self.known.look_again();
    }
}

#[async_trait]
impl VersionSource for Releases {
    fn opened(&self, name: &Name, wanted: &Digest) -> Option<Arc<DatasetVersion>> {
        self.known.find(name.as_str(), |loaded| loaded.release == Some(*wanted) || loaded.plugin.digest == *wanted)
    }

    async fn find(&self, name: &Name, wanted: &Digest) -> Result<Option<Digest>, NotOpened> {
        if let Some(found) = self.known.found(name, wanted) {
            return Ok(found);
        }
        let _turn = self.known.finding.take(name, wanted).await;
        if let Some(found) = self.known.found(name, wanted) {
            return Ok(found);
        }
        let found = find_release(&*self.registry, name, wanted).await?;
        self.known.remember(name, wanted, found);
        Ok(found)
    }

    async fn open(&self, name: &Name, digest: &Digest) -> Result<Arc<DatasetVersion>, NotOpened> {
        if let Some(known) = self.known.known(name, digest) {
            return known;
        }
        let _turn = self.known.opening.take(name, digest).await;
        // Somebody else may have opened it meanwhile.
        if let Some(known) = self.known.known(name, digest) {
            return known;
        }
        let opened = self.open_now(name, digest).await;
        match &opened {
            Ok(loaded) => self.known.keep(loaded.clone()),
            Err(NotOpened::Refused(why)) => self.known.refuse(name, digest, why),
            Err(NotOpened::Later(_)) => {}
        }
        opened
    }

    async fn promotes(&self, dataset: &str) -> Result<bool, RegistryError> {
        let mut promoted = self.known.promoted.lock().await;
        let names = match promoted.take().filter(|(asked, _)| asked.elapsed() < PERIOD) {
            Some(known) => known,
            None => {
                let head = registry::newest(&*self.registry).await?;
                (Instant::now(), head.into_iter().flat_map(|head| head.names.into_keys()).collect())
            }
        };
        let (_, names) = promoted.insert(names);
        Ok(names.iter().any(|name| name.as_str() == dataset))
    }
}

/// The release with this digest, or the newest with this component.
pub async fn find_release(registry: &dyn Registry, name: &Name, wanted: &Digest) -> Result<Option<Digest>, NotOpened> {
    match registry.blob(name, wanted, MAX_DOCUMENT).await.map(|document| Release::parse(&document)) {
        Ok(Ok(release)) if release.name == *name => return Ok(Some(*wanted)),
        // Another dataset's.
        Ok(Ok(_)) => return Ok(None),
        // A component is no document, and may be larger than one.
        Ok(Err(_)) | Err(RegistryError::NotFound(_) | RegistryError::Invalid(_) | RegistryError::Damaged(_)) => {}
        Err(error) => return Err(error.into()),
    }
    // One that cannot be read hides no other. But then nobody knows that there is none.
    let mut unread = None;
    for version in registry.versions(name).await?.into_iter().rev() {
        match of_version(registry, name, &version).await {
            Ok(Some((digest, release))) if release.component.digest == *wanted => return Ok(Some(digest)),
            Ok(_) | Err(RegistryError::Damaged(_) | RegistryError::NotFound(_)) => {}
            Err(error) if error.is_of_one_entry() => unread = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    unread.map_or(Ok(None), |error| Err(error.into()))
}

async fn of_version(
    registry: &dyn Registry,
    name: &Name,
    version: &Version,
) -> Result<Option<(Digest, Release)>, RegistryError> {
    let Some(digest) = registry.find(name, version).await? else { return Ok(None) };
    let document = registry.blob(name, &digest, MAX_DOCUMENT).await?;
    Release::parse(&document).map(|release| Some((digest, release)))
}
