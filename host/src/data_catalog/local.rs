//! The data catalog of `--local`: a file of JSON that people can read, and a file of SQL beside it after which DuckDB knows the
//! tables by name. The tables change by the rules of the AWS Glue Data Catalog, so that what is refused there is refused here.

use std::collections::{BTreeMap, btree_map};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::change::Plan;
use super::evolve::evolve;
use super::known::{Entry, Known};
use super::{CatalogError, Change, DataCatalog, Published, sql};
use crate::files;

/// The catalog.
const CATALOG: &str = "data_catalog.json";

/// The same for DuckDB.
const SQL: &str = "data_catalog.sql";

/// Held while the catalog is changed.
const LOCK: &str = "data_catalog.lock";

/// The most that is read of a catalog: a million partitions and more.
const MAX_CATALOG: u64 = 1 << 30;

/// A catalog in a folder.
#[derive(Clone, Debug)]
pub struct LocalCatalog {
    folder: PathBuf,
    objects: PathBuf,
}

impl LocalCatalog {
    /// The catalog in this folder, of objects whose buckets are the folders in the other one. It is made with the first table.
    pub fn new(folder: impl Into<PathBuf>, objects: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), objects: objects.into() }
    }

    /// What DuckDB reads.
    pub fn sql(&self) -> PathBuf {
        self.folder.join(SQL)
    }

    fn publish_now(&self, change: &Change) -> Result<Published, CatalogError> {
        let plan = change.plan()?;
        fs::create_dir_all(&self.folder).map_err(|error| fault(&self.folder, &error))?;
        let _locked = self.lock()?;
        let mut known = self.read()?;
        let (published, is_other) = apply(&mut known, change, plan)?;
        if is_other {
            self.write(&known)?;
        }
        // Also where nothing is other: an earlier attempt may have come no further, or the first files have come since.
        self.replace(SQL, sql::script(&known, &self.objects)?.as_bytes())?;
        Ok(published)
    }

    fn lock(&self) -> Result<File, CatalogError> {
        let path = self.folder.join(LOCK);
        let open = File::options().create(true).append(true).open(&path);
        open.and_then(|file| file.lock().map(|()| file)).map_err(|error| fault(&path, &error))
    }

    /// What is known now.
    pub(super) fn read(&self) -> Result<Known, CatalogError> {
        let path = self.folder.join(CATALOG);
        match files::read(&path, MAX_CATALOG) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                CatalogError::Refused(format!(
                    "{}: it is no data catalog: {error}; mend it, or delete it and publish again",
                    path.display()
                ))
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Known::default()),
            Err(error) => Err(fault(&path, &error)),
        }
    }

    pub(super) fn write(&self, known: &Known) -> Result<(), CatalogError> {
        let mut text = serde_json::to_vec_pretty(known)
            .map_err(|error| fault(&self.folder.join(CATALOG), &io::Error::other(error)))?;
        text.push(b'\n');
        self.replace(CATALOG, &text)
    }

    /// Puts a file in the place of another one, whole or not at all.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), CatalogError> {
        let path = self.folder.join(name);
        if files::read(&path, MAX_CATALOG).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let replace = || {
            let mut file = tempfile::Builder::new().prefix(".data_catalog-").tempfile_in(&self.folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(&self.folder)?.sync_all()
        };
        replace().map_err(|error| fault(&path, &error))
    }
}

/// Makes the change, and says whether there was anything to change.
fn apply(known: &mut Known, change: &Change, plan: Plan) -> Result<(Published, bool), CatalogError> {
    let (table, wanted) = (&change.table, change.table.definition());
    let ending = table.format.extension();
    let tables = known.databases.entry(table.database.clone()).or_default();
    let mut published = Published::default();
    let mut is_other = false;
    let entry = match tables.entry(table.name.clone()) {
        btree_map::Entry::Occupied(entry) => {
            let entry = entry.into_mut();
            if let Some(evolved) = evolve(&table.full_name(), &entry.definition, &wanted)? {
                entry.definition = evolved;
                published.evolved = true;
            }
            if entry.ending != ending {
                ending.clone_into(&mut entry.ending);
                is_other = true;
            }
            entry
        }
        btree_map::Entry::Vacant(entry) => {
            published.created = true;
            entry.insert(Entry { definition: wanted, ending: ending.to_owned(), partitions: BTreeMap::new() })
        }
    };
    let Plan { present, gone } = plan;
    if table.projection.is_some() {
        published.unchanged = (present.len() + gone.len()) as u64;
    } else {
        for (values, at) in present {
            match entry.partitions.insert(values, at.clone()) {
                None => published.added += 1,
                Some(old) if old == at => published.unchanged += 1,
                Some(_) => published.moved += 1,
            }
        }
        for values in gone {
            let count = if entry.partitions.remove(&values).is_some() {
                &mut published.removed
            } else {
                &mut published.unchanged
            };
            *count += 1;
        }
    }
    is_other |= published != Published { unchanged: published.unchanged, ..Published::default() };
    Ok((published, is_other))
}

#[async_trait]
impl DataCatalog for LocalCatalog {
    async fn publish(&self, change: &Change) -> Result<Published, CatalogError> {
        let (catalog, change) = (self.clone(), change.clone());
        tokio::task::spawn_blocking(move || catalog.publish_now(&change)).await.unwrap_or_else(|error| {
            Err(CatalogError::Unavailable(format!("the data catalog could not be written: {error}")))
        })
    }
}

fn fault(path: &Path, error: &io::Error) -> CatalogError {
    CatalogError::Refused(format!("the data catalog {} cannot be read or written: {error}", path.display()))
}
