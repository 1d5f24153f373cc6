//! Where an author's plugin is opened: with the sandbox of a worker, and with stores that nothing is written to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::author::{Built, Outcome, Sample, Tools, build};
use crate::catalog::DatasetVersion;
use crate::cli::{CompileArgs, SetArgs};
use crate::commands::compiler::{cache, runtime_here, with_notice};
use crate::commands::inputs::{read_sample, variables};
use crate::commands::machine::GuestThreads;
use crate::database::Connections;
use crate::dataset::{ComponentRef, Dataset, MAX_FILE};
use crate::files;
use crate::object::folder::FolderStore;
use crate::runtime::Runtime;
use crate::sink::Stores;
use crate::sink::sqlite::SqliteSink;

/// A plugin's folder, and what it is tried with.
pub(super) struct Bench {
    /// The folder.
    pub(super) folder: PathBuf,
    variables: SetArgs,
    tools: Tools,
    runtime: Runtime,
    guests: GuestThreads,
    stores: Stores,
    _nowhere: TempDir,
}

impl Bench {
    pub(super) fn open(folder: &Path, compile: &CompileArgs, variables: SetArgs) -> anyhow::Result<Self> {
        let nowhere = tempfile::tempdir().context("a temporary folder")?;
        let stores = Stores {
            objects: Arc::new(FolderStore::new(nowhere.path())),
            tables: Arc::new(SqliteSink::open(&nowhere.path().join("tables.sqlite"))?),
            databases: Connections::unasked(),
        };
        Ok(Self {
            folder: folder.to_owned(),
            variables,
            tools: tools(compile),
            runtime: runtime_here(1, compile)?,
            guests: GuestThreads::start(1)?,
            stores,
            _nowhere: nowhere,
        })
    }

    /// Builds the component that the dataset file names.
    pub(super) async fn build(&self) -> anyhow::Result<Built> {
        Ok(build(&self.folder, &component(&self.folder)?, &self.tools).await?)
    }

    /// Opens the dataset with its component and its sample.
    pub(super) async fn load(&self) -> anyhow::Result<Sample> {
        let dataset = dataset(&self.folder, self.variables.clone())?;
        let objects = dataset.sample.as_ref().and_then(|sample| sample.objects.as_ref());
        let files = objects.map(read_sample).transpose()?.unwrap_or_default();
        let (file, name) = (dataset.file.clone(), dataset.plugin.component.to_string());
        let loaded = with_notice(&name, DatasetVersion::open(dataset, &self.runtime, &self.stores)).await?;
        Sample::new(Arc::new(loaded), &files).with_context(|| {
            format!(
                "{}: there is no sample: give it `[sample]` with `items`, and with `folder` and `prefix` for their objects",
                file.display()
            )
        })
    }

    /// Runs the sample where guests run.
    pub(super) async fn run(&self, sample: &Arc<Sample>) -> anyhow::Result<Vec<Outcome>> {
        let sample = sample.clone();
        self.on_guests(async move { sample.run().await }).await
    }

    /// Does something with the sample where guests run.
    pub(super) async fn on_guests<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let running = tokio_util::task::AbortOnDropHandle::new(self.guests.handle().spawn(work));
        running.await.context("the sample was stopped")
    }
}

pub(super) fn tools(compile: &CompileArgs) -> Tools {
    Tools { cache: cache(compile) }
}

/// The dataset file of a plugin's folder. Variables that nobody gave stand for their own names: nothing outside is reached.
fn dataset(folder: &Path, set: SetArgs) -> anyhow::Result<Dataset> {
    let file = Dataset::file(folder);
    let text = files::read_text(&file, MAX_FILE).with_context(|| file.display().to_string())?;
    let (variables, _) = variables(set, &file)?.stand_in(&text);
    Ok(Dataset::load(&file, &variables)?)
}

/// Where the component belongs: where the dataset file says, or beside the code.
pub(super) fn component(folder: &Path) -> anyhow::Result<PathBuf> {
    if !Dataset::file(folder).is_file() {
        let full = folder.canonicalize().with_context(|| folder.display().to_string())?;
        let name = full.file_name().context("this folder has no name")?;
        return Ok(folder.join(name).with_extension("wasm"));
    }
    match dataset(folder, SetArgs { set: Vec::new() })?.plugin.component {
        ComponentRef::File(file) => Ok(file),
        ComponentRef::Oci(reference) => anyhow::bail!(
            "{}: its component is {reference}: name a file there (`component = \"NAME.wasm\"`), and push that one",
            Dataset::file(folder).display()
        ),
    }
}
