//! A release that was read and verified, and what becomes of it when it is compiled.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;

use crate::catalog::{DatasetVersion, NotOpened};
use crate::dataset::{Dataset, MAX_FILE, Variables};
use crate::job::Digest;
use crate::registry::{Attachment, Blob, MAX_DOCUMENT, Name, Registry, Release, Version};
use crate::runtime::Runtime;
use crate::sink::Stores;
use crate::trust::Policy;

/// A release that was read and verified, and not compiled yet.
pub struct Fetched {
    /// What it is.
    pub release: Release,
    /// Its own name.
    pub digest: Digest,
    /// The dataset file.
    pub text: String,
    /// The component.
    pub component: Bytes,
    /// The sample's objects by their path.
    pub sample: BTreeMap<String, Bytes>,
    /// Who signed it.
    pub signers: Vec<String>,
}

impl Fetched {
    /// Reads a release and verifies it: its bytes against their digests, its signatures against the policy.
    pub async fn get(
        registry: &dyn Registry,
        policy: &Policy,
        name: &Name,
        digest: &Digest,
    ) -> Result<Self, NotOpened> {
        let document = registry.blob(name, digest, MAX_DOCUMENT).await?;
        let release = Release::parse(&document)?;
        if release.name != *name {
            let why = format!("release {digest} is of {}, and was asked for as one of {name}", release.title());
            return Err(NotOpened::Refused(why));
        }
        // Who asks for none is given none: there may be many.
        let signatures = match policy.is_none() {
            true => Vec::new(),
            false => registry.attached(name, digest, Attachment::Signature).await?,
        };
        let signers = policy.verify(&document, &signatures);
        let signers = signers.map_err(|error| NotOpened::Refused(format!("{}: {error}", release.title())))?;
        if release.dataset.size > MAX_FILE {
            let (title, size) = (release.title(), release.dataset.size);
            let why = format!("{title}: its dataset file has {size} bytes, and {MAX_FILE} are the most that is read");
            return Err(NotOpened::Refused(why));
        }
        let fetch = async |blob: &Blob| registry.blob(name, &blob.digest, blob.size).await;
        let text = fetch(&release.dataset).await?;
        let component = fetch(&release.component).await?;
        let mut sample = BTreeMap::new();
        for (path, blob) in &release.sample {
            sample.insert(path.clone(), fetch(blob).await?);
        }
        let text = String::from_utf8(text.to_vec()).map_err(|error| {
            NotOpened::Refused(format!("{}: its dataset file is no text: {error}", release.title()))
        })?;
        Ok(Self { release, digest: *digest, text, component, sample, signers })
    }

    /// The dataset file, with the variables of this process put in: its stages, or the one dataset that it is.
    pub fn stages(&self, variables: &Variables) -> Result<Vec<Dataset>, NotOpened> {
        let file = PathBuf::from(format!("{}-{}", self.release.name, self.release.version)).join("dataset.toml");
        let refused = |why: String| NotOpened::Refused(format!("{}: {why}", self.release.title()));
        let stages = Dataset::parse_stages(&self.text, &file, variables);
        let stages = stages.map_err(|findings| refused(findings.to_string()))?;
        if let Some(other) = stages.iter().find(|dataset| dataset.of() != self.release.name.as_str()) {
            return Err(refused(format!("its file is of dataset {}", other.of())));
        }
        Ok(stages)
    }

    /// The dataset with its component compiled, and both checked against each other.
    pub async fn load(
        &self,
        variables: &Variables,
        runtime: &Runtime,
        stores: &Stores,
    ) -> Result<DatasetVersion, NotOpened> {
        let stages = self.stages(variables)?;
        let refused = |why: String| NotOpened::Refused(format!("{}: {why}", self.release.title()));
        let release = Some(self.digest);
        let loaded = DatasetVersion::of_release(stages, &self.text, &self.component, release, runtime, stores).await;
        let loaded = loaded.map_err(|findings| refused(findings.to_string()))?;
        let called: Option<Version> = loaded.version().parse().ok();
        if called.as_ref() != Some(&self.release.version) {
            let by = if loaded.dataset.release.version.is_some() {
                "dataset file calls it"
            } else {
                "component calls itself"
            };
            return Err(refused(format!("its {by} {}", loaded.version())));
        }
        Ok(loaded)
    }
}
