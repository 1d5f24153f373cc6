//! `gristmill publish`: from a plugin's folder to a version in a registry. What a worker would refuse is refused here.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use bytesize::ByteSize;

use super::compiler::{runtime_here, with_notice};
use super::inputs::{read_sample, variables};
use super::machine::GuestThreads;
use super::output::{print, warn};
use crate::admission::Admission;
use crate::aws;
use crate::catalog::DatasetVersion;
use crate::cli::PublishArgs;
use crate::database::Connections;
use crate::dataset::{self, Dataset, MAX_FILE};
use crate::files;
use crate::job::Digest;
use crate::object::folder::FolderStore;
use crate::registry::{self, Attachment, Blob, MAX_DOCUMENT, Package, Registry, Release};
use crate::rollout::{SAMPLE_LIMIT, try_sample};
use crate::sink::Stores;
use crate::sink::sqlite::SqliteSink;
use crate::trust::{Kms, Signer};

pub(super) async fn run(args: PublishArgs) -> anyhow::Result<ExitCode> {
    let file = Dataset::file(&args.plugin);
    let text = files::read_text(&file, MAX_FILE).with_context(|| file.display().to_string())?;
    let (variables, unset) = variables(args.variables, &file)?.stand_in(&text);
    let stages = Dataset::parse_stages(&text, &file, &variables)?;
    let first = stages.first().context("no stage")?;
    let component = first.plugin.component.clone();
    let bytes = DatasetVersion::component_bytes(first).await?;
    let mut sample = BTreeMap::new();
    for objects in stages.iter().filter_map(|stage| stage.sample.as_ref()?.objects.as_ref()) {
        for (path, bytes) in read_sample(objects)? {
            let other = sample.insert(path.clone(), bytes.clone()).is_some_and(|before: Bytes| before != bytes);
            anyhow::ensure!(!other, "the samples of two stages have different files at {path}: rename one");
        }
    }

    // Nothing is written to where rows go: a place that is gone afterwards does.
    let nowhere = tempfile::tempdir()?;
    let stores = Stores {
        objects: Arc::new(FolderStore::new(nowhere.path())),
        tables: Arc::new(SqliteSink::open(&nowhere.path().join("tables.sqlite"))?),
        databases: Connections::unasked(),
    };
    let runtime = runtime_here(1, &args.compile)?;
    let opened = DatasetVersion::of_release(stages, &text, &bytes, None, &runtime, &stores);
    let loaded = Arc::new(with_notice(&component, opened).await?);
    let threads = GuestThreads::start(1)?;
    let guests = threads.handle();
    let mut tried = 0;
    for stage in loaded.stages() {
        for warning in dataset::check::warnings(&stage.dataset, &stage.plugin.imports) {
            warn(&warning.to_string());
        }
        try_sample(stage, &sample, &Admission::new(1, u64::MAX), guests, SAMPLE_LIMIT)
            .await
            .with_context(|| file.display().to_string())?;
        tried += stage.dataset.sample.as_ref().map_or(0, |sample| sample.items.len());
    }

    let name = loaded.dataset.of().parse()?;
    let version = loaded.version().parse().context("the component's own version")?;
    let package = Package::new(name, version, text.into(), bytes, sample)?;
    let (release, digest) = (&package.release, package.digest());
    let registry = registry::open(&args.registry.uri, aws::load).await?;
    if let Some(found) = registry.find(&release.name, &release.version).await?.filter(|found| *found != digest) {
        // Nothing that is refused is signed.
        anyhow::bail!(taken(&*registry, release, &found, &loaded.dataset).await);
    }
    // Signed before it can be found, so that nobody finds it unsigned.
    let kms = Kms::default();
    for key in &args.keys {
        let signer = Signer::open(key, &kms).await?;
        let signature = signer.sign(&package.document).await?;
        registry.attach(&release.name, &digest, Attachment::Signature, signature).await?;
    }
    registry.add(&package).await?;
    let signatures = registry.attached(&release.name, &digest, Attachment::Signature).await?.len();
    print(format!("{} is published as {digest}\n{}", release.title(), hints(release, tried, signatures, &unset)))?;
    Ok(ExitCode::SUCCESS)
}

/// That the version is another release already, how they differ, and where the next version's name goes.
async fn taken(registry: &dyn Registry, ours: &Release, found: &Digest, dataset: &Dataset) -> String {
    let (title, uri, file) = (ours.title(), registry.uri(), dataset.file.display());
    let document = registry.blob(&ours.name, found, MAX_DOCUMENT).await;
    let theirs = document.and_then(|document| Release::parse(&document)).ok();
    let is_of_the_file = theirs.is_some_and(|theirs| theirs.component == ours.component);
    let (differs, advice) = match (is_of_the_file, &dataset.release.version) {
        (true, None) => (
            " with the same component",
            "what changed is the dataset file or its sample: give it a version of its own, with ",
        ),
        (false, None) => ("", "give the component a version of its own, or the dataset, with "),
        (true, Some(_)) => (" with the same component", "give this one a version of its own: change "),
        (false, Some(_)) => ("", "give this one a version of its own: change "),
    };
    format!("{title} is in {uri} already, as another release{differs} ({found}): {advice}`[release] version` in {file}")
}

fn hints(release: &Release, tried: usize, signatures: usize, unset: &[String]) -> String {
    let Blob { digest, size } = release.component;
    let mut text = format!("  component   {digest} ({})\n", ByteSize(size).display().iec());
    text += &match tried {
        0 => "  sample      none: give the dataset file a `[sample]`, and a version is tried before it is used\n"
            .to_owned(),
        items => format!("  sample      items: {items}, files: {}\n", release.sample.len()),
    };
    text += &format!("  signatures  {signatures}\n");
    if !unset.is_empty() {
        text += &format!("  variables   {}: workers give them their values\n", unset.join(", "));
    }
    text + &format!("  next        gristmill promote {} {}\n", release.name, release.version)
}
