//! What a run left of a table.

use std::collections::{BTreeMap, BTreeSet};

use super::CatalogError;
use super::partition::{Partition, hive, shown};
use super::table::Table;
use crate::object::Location;
use crate::sink::append_folder;

/// What is to be made known of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: Table,
    /// Partitions that have files now. Those of which the run knows nothing are left as they are.
    pub present: Vec<Partition>,
    /// The values of partitions that have no files any more.
    pub gone: Vec<Vec<Option<String>>>,
    /// The files of the present partitions, as the ledger has them. A catalog of folders needs none of them; one that lists
    /// files, as Apache Iceberg's does, needs each.
    pub files: Vec<File>,
}

/// A file of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub at: Location,
    /// Its size.
    pub bytes: u64,
    /// How many rows it has.
    pub rows: u64,
    /// The values of its partition.
    pub partition: Vec<Option<String>>,
}

impl Change {
    /// What these files (each with its size and its rows) make of a table: their partitions are present.
    pub fn of_files(
        table: Table,
        files: impl IntoIterator<Item = (Location, u64, u64)>,
        gone: Vec<Vec<Option<String>>>,
    ) -> Result<Self, CatalogError> {
        let (mut present, mut listed) = (BTreeMap::new(), Vec::new());
        for (at, bytes, rows) in files {
            let partition = table.partition_of(&at)?;
            listed.push(File { at, bytes, rows, partition: partition.values.clone() });
            if !table.partition_keys.is_empty() {
                present.insert(partition.location.key.clone(), partition);
            }
        }
        Ok(Self { table, present: present.into_values().collect(), gone, files: listed })
    }

    /// The change as it is made in a catalog, or why it is none.
    pub(super) fn plan(&self) -> Result<Plan, CatalogError> {
        self.table.check()?;
        let mut present = BTreeMap::new();
        for partition in &self.present {
            self.check(partition)?;
            self.check_projected(partition)?;
            present.insert(hive(&partition.values), partition.location.to_string());
        }
        let mut gone = BTreeSet::new();
        for values in &self.gone {
            self.check(&self.table.partition(values.clone()))?;
            let values = hive(values);
            if present.contains_key(&values) {
                return self.table.refused(&format!("partition {} cannot be present and gone", shown(&values)));
            }
            gone.insert(values);
        }
        Ok(Plan { present, gone })
    }

    fn check(&self, partition: &Partition) -> Result<(), CatalogError> {
        let keys = &self.table.partition_keys;
        let Partition { values, location } = partition;
        let (hive, expected) = (hive(values), self.table.partition(values.clone()));
        if values.len() != keys.len() || keys.is_empty() {
            let (found, keys) = (shown(&hive), keys.join("`, `"));
            return self.table.refused(&format!("{found} is no partition of it: its partition keys are `{keys}`"));
        }
        if *location != expected.location {
            return self.table.refused(&format!(
                "partition {} cannot lie at {location}: readers look for it at {}",
                shown(&hive),
                expected.location
            ));
        }
        Ok(())
    }

    /// Refuses a partition that has files which no reader would look for.
    fn check_projected(&self, partition: &Partition) -> Result<(), CatalogError> {
        let Some(projection) = &self.table.projection else { return Ok(()) };
        let hive = hive(&partition.values);
        for ((key, value), projected) in self.table.partition_keys.iter().zip(&hive).zip(projection) {
            if !projected.has(value) {
                return self.table.refused(&format!(
                    "nobody would find partition {}: `{value}` is none of the projected values of `{key}`; project more, or \
                     register the partitions",
                    shown(&hive)
                ));
            }
            // Whether those who project escape a value is nowhere said.
            let mut folder = String::new();
            append_folder(&mut folder, "k", Some(value));
            if folder != format!("k={value}/") {
                return self.table.refused(&format!(
                    "partition {} cannot be projected: in the path `{value}` is escaped; register the partitions",
                    shown(&hive)
                ));
            }
        }
        Ok(())
    }
}

/// A change in a catalog's terms: all values are texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// By the values of partitions: where each lies.
    pub(super) present: BTreeMap<Vec<String>, String>,
    pub(super) gone: BTreeSet<Vec<String>>,
}
