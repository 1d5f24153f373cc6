//! What a command is given: files, the values of variables, and objects to read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use bytes::Bytes;

use crate::aws::{self, SdkConfig};
use crate::cli::{ConnectionsArgs, SetArgs};
use crate::database::Connections;
use crate::dataset::{Dataset, MAX_FILE, SampleObjects, Variables};
use crate::files;
use crate::object::ObjectWriter;
use crate::object::folder::FolderStore;
use crate::object::s3::S3Store;
use crate::registry::MAX_SAMPLE;

/// The largest file that is read where the user names one (items, an input, a report), in bytes.
pub(super) const MAX_GIVEN: u64 = 1 << 30;

/// How many files and folders are looked at for a sample, so that links which lead in a circle come to an end.
const MAX_ENTRIES: usize = 10_000;

/// The values of a dataset file's variables. A `--set` that the file does not use is an error: most likely its name is
/// misspelt, and the variable that was meant would keep another value.
pub(super) fn variables(args: SetArgs, dataset: &Path) -> anyhow::Result<Variables> {
    let file = Dataset::file(dataset);
    // A file that cannot be read is reported where it is loaded.
    if let Ok(text) = files::read_text(&file, MAX_FILE) {
        let names = args.set.iter().map(|(name, _)| name.as_str());
        if let Some(why) = Variables::without_place(names, &text) {
            anyhow::bail!("--set: {}: {why}", file.display());
        }
    }
    Ok(args.variables())
}

/// The databases of the file that `--connections` names, none without one.
pub(super) fn connections(args: &ConnectionsArgs, config: Option<&SdkConfig>) -> anyhow::Result<Connections> {
    args.connections
        .as_deref()
        .map_or_else(|| Ok(Connections::default()), |file| Connections::load(file, config).context("--connections"))
}

/// The objects of the folder that `--local` names, or of S3.
pub(super) async fn objects(local: Option<&Path>) -> anyhow::Result<Arc<dyn ObjectWriter>> {
    if let Some(folder) = local {
        anyhow::ensure!(folder.is_dir(), "--local {}: there is no such folder", folder.display());
        return Ok(Arc::new(FolderStore::new(folder.join("s3"))));
    }
    let config = aws::load().await;
    anyhow::ensure!(
        config.region().is_some(),
        "no AWS region is known: set AWS_REGION, or a region in the profile that AWS_PROFILE names; or read copies with \
         `--local DIR`"
    );
    Ok(Arc::new(S3Store::new(&config)))
}

/// The files of a sample by their paths below its folder.
pub(super) fn read_sample(objects: &SampleObjects) -> anyhow::Result<BTreeMap<String, Bytes>> {
    let (mut found, mut size, mut seen) = (BTreeMap::new(), 0, 0);
    let mut folders = vec![objects.folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("sample.folder {}", folder.display()))? {
            let path = entry?.path();
            seen += 1;
            anyhow::ensure!(
                seen <= MAX_ENTRIES,
                "the sample {} has more than {MAX_ENTRIES} files and folders: does a link lead back into it?",
                objects.folder.display()
            );
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = files::read(&path, MAX_SAMPLE).with_context(|| path.display().to_string())?;
            size += bytes.len() as u64;
            anyhow::ensure!(
                size <= MAX_SAMPLE,
                "the sample {} is larger than {} MiB: every worker reads it, for every version",
                objects.folder.display(),
                MAX_SAMPLE >> 20
            );
            found.insert(key(&path, &objects.folder)?, bytes.into());
        }
    }
    Ok(found)
}

/// A path as a part of an object's key, which has `/` between its parts everywhere.
fn key(path: &Path, folder: &Path) -> anyhow::Result<String> {
    let parts: Option<Vec<&str>> = path.strip_prefix(folder)?.iter().map(|part| part.to_str()).collect();
    Ok(parts.with_context(|| format!("{}: its name is not UTF-8", path.display()))?.join("/"))
}
