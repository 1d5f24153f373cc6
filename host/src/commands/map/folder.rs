//! The folder that stands for the cloud: objects, tables and the ledger.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use crate::conclude::ResultsWriter;
use crate::dataset::{Dataset, Target};
use crate::job::{BatchId, Results};
use crate::ledger::sqlite::SqliteLedger;
use crate::map::summary::Summary;
use crate::map::{names, preview};
use crate::object::folder::FolderStore;
use crate::object::{Location, ObjectWriter as _};
use crate::report::BatchReport;
use crate::sink::file_list;
use crate::sink::sqlite::SqliteSink;
use crate::text::line;

/// The file of the tables in the folder that stands for the cloud.
const TABLES: &str = "tables.sqlite";
const PREVIEW_ROWS: usize = 5;

/// The folder that stands for the cloud.
pub(super) struct Folder {
    root: PathBuf,
    pub(super) objects: Arc<FolderStore>,
    pub(super) tables: Arc<SqliteSink>,
    pub(super) ledger: Arc<SqliteLedger>,
}

impl Folder {
    /// Opens the folder, and says whether it is new. It is made only if its parent is there: otherwise the path is most likely
    /// misspelt.
    pub(super) fn open(root: &Path) -> anyhow::Result<(Self, bool)> {
        let folder = root.display();
        anyhow::ensure!(!root.is_file(), "--local {folder}: this is a file, not a folder");
        let new = !root.exists();
        if new {
            let around = root.parent().filter(|around| !around.as_os_str().is_empty()).unwrap_or(Path::new("."));
            anyhow::ensure!(
                around.is_dir(),
                "--local {folder}: there is neither this folder nor {} to make it in: correct the path, or make that folder",
                around.display()
            );
            std::fs::create_dir(root).with_context(|| format!("--local {folder}"))?;
        }
        writable(root)?;
        let opened = Self {
            root: root.to_owned(),
            objects: Arc::new(FolderStore::new(root.join("s3"))),
            tables: Arc::new(SqliteSink::open(&root.join(TABLES))?),
            ledger: Arc::new(SqliteLedger::open(root)?),
        };
        Ok((opened, new))
    }

    /// Takes the window of a dataset for this process. Whoever had it before and has not closed it is dead.
    pub(super) fn lock_window(&self, dataset: &str) -> anyhow::Result<File> {
        let path = self.root.join(".gristmill").join(format!("{dataset}.window.lock"));
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "another run of {dataset} is under way in {} and has its window: wait for its end, or stop it",
                self.root.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// The file or folder of a place of the summary.
    pub(super) fn place(&self, place: &str) -> Option<String> {
        let path = match place.strip_prefix("s3://") {
            Some(key) => self.root.join("s3").join(key),
            None => self.root.join(TABLES),
        };
        Some(path.display().to_string())
    }

    /// Deletes the objects of batches beyond the last one. A run that is repeated over fewer items has fewer batches, and the
    /// objects must be those of one run over today's items. Rows of tables stay, as they would in DynamoDB.
    pub(super) async fn forget_stale(&self, dataset: &Dataset, run: &str, batches: u64) -> anyhow::Result<()> {
        for (id, receipt) in self.ledger.committed_under(&names::child_executions(&dataset.name, run)).await? {
            if names::batch_number(&id.execution).is_none_or(|number| number < batches) {
                continue;
            }
            if let Ok(report) = serde_json::from_str::<BatchReport>(&receipt.output) {
                for object in self.objects_of(&id, &report).await? {
                    self.objects.delete(&object).await?;
                }
            }
            self.ledger.forget(&id).await?;
        }
        Ok(())
    }

    /// Writes what the batches of a run answered, as Step Functions would.
    pub(super) async fn write_results(
        &self,
        dataset: &Dataset,
        run: &str,
        prefix: &Location,
        rejected: &[(u64, BatchReport)],
    ) -> anyhow::Result<Results> {
        let folder = prefix.with_key(format!("{}{run}/", prefix.key));
        let mut results = ResultsWriter::begin(&*self.objects, &folder).await?;
        for (id, receipt) in self.ledger.committed_under(&names::child_executions(&dataset.name, run)).await? {
            if names::batch_number(&id.execution).is_some() {
                results.push(&id, &receipt).await?;
            }
        }
        let failed =
            rejected.iter().map(|(batch, report)| (names::child_execution(&dataset.name, run, *batch), report.clone()));
        Ok(results.finish(failed).await?)
    }

    /// The objects that a batch has, and the lists of them.
    async fn objects_of(&self, id: &BatchId, report: &BatchReport) -> anyhow::Result<Vec<Location>> {
        let mut objects = Vec::new();
        for output in &report.outputs {
            let Ok(place) = output.place.parse::<Location>() else { continue };
            let prefix = match output.files {
                Some(_) => place,
                None => {
                    let end = place.key.rfind('/').map_or(0, |slash| slash + 1);
                    let prefix = place.with_key(&place.key[..end]);
                    objects.push(place);
                    prefix
                }
            };
            let list = file_list::place(&prefix, id, &output.output);
            let files = file_list::read(&*self.objects, &list).await?;
            objects.extend(files.into_iter().map(|key| prefix.with_key(format!("{}{key}", prefix.key))));
            objects.push(list);
        }
        Ok(objects)
    }

    /// A few rows of each table, so that the user sees that it worked.
    pub(super) fn preview(&self, summary: &Summary, dataset: &Dataset) -> String {
        let mut text = String::new();
        for output in &dataset.outputs {
            let Target::Table { table, .. } = &output.target else { continue };
            if summary.outputs.iter().any(|written| written.output == output.name && written.rows > 0)
                && let Ok((headers, rows)) = self.tables.first_rows(table, PREVIEW_ROWS)
            {
                text += &format!("\n{} begins with\n{}\n", line(table), preview::table(&headers, &rows));
            }
        }
        text
    }
}

/// Checks that this user may write where the run will. SQLite's own error would only say that it cannot open a file.
fn writable(root: &Path) -> anyhow::Result<()> {
    let tables = root.join(TABLES);
    let probe = |tried: std::io::Result<std::fs::File>, place: &Path| {
        match tried {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| {
            let place = place.display();
            format!("--local {}: this user may not write {place}: give it the permission (`chmod u+w {place}`), or name another folder", root.display())
        }),
        _ => Ok(()),
    }
    };
    probe(tempfile::tempfile_in(root), root)?;
    probe(OpenOptions::new().append(true).open(&tables), &tables)
}
