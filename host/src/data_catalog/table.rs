//! A table as it is to be known.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::{Column, Definition, Storage};
use super::partition::{Partition, folder_name};
use super::projection::{ENABLED, TEMPLATE, Values};
use super::{CatalogError, name};
use crate::dataset::{Format, Target};
use crate::object::Location;
use crate::sink::{OutputSchema, append_folder};
use crate::table::hive;

/// A table: what an output writes, and under which name people find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The database's name. It has to be there.
    pub database: String,
    /// The table's name. The table is made if it is not there.
    pub name: String,
    /// Where its files lie: a prefix that ends with `/`.
    pub location: Location,
    /// The columns in its files.
    pub columns: Vec<Column>,
    /// The columns in its paths, in their order. All are texts, as they stand there: `01` is a month, and no number.
    pub partition_keys: Vec<String>,
    /// What its files are.
    pub format: Format,
    /// The values of each partition key, in their order, if readers are to work out the partitions. Otherwise each is registered.
    pub projection: Option<Vec<Values>>,
}

impl Table {
    /// The table of an output that writes objects to this place. Its partitions are registered.
    pub fn of_output(
        schema: &OutputSchema,
        location: &Location,
        database: impl Into<String>,
        name: impl Into<String>,
    ) -> Result<Self, CatalogError> {
        let Target::Objects { format, layout, .. } = &schema.target else {
            let output = &schema.name;
            return Err(CatalogError::Refused(format!(
                "output `{output}` writes no objects: a data catalog knows tables of objects only"
            )));
        };
        let storage = Storage::of(*format);
        let in_files = schema.columns.iter().filter(|column| !layout.leaves_out(&column.name));
        let table = Self {
            database: database.into(),
            name: name.into(),
            location: location.clone(),
            columns: in_files.map(|column| Column::new(&column.name, storage.hive(column.kind))).collect(),
            partition_keys: layout.partition_by.iter().map(|by| by.name().to_owned()).collect(),
            format: *format,
            projection: None,
        };
        table.check().map(|()| table)
    }

    /// For people.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// Refuses what no catalog could hold.
    pub(super) fn check(&self) -> Result<(), CatalogError> {
        name::database(&self.database)?;
        name::table(&self.name)?;
        let mut known = BTreeSet::new();
        for column in self.columns.iter().map(|column| &column.name).chain(&self.partition_keys) {
            name::column(&self.full_name(), column)?;
            if !known.insert(column.to_lowercase()) {
                return self.refused(&format!(
                    "two columns are called `{}` in a data catalog, which knows lower case only; give one of them another name",
                    column.to_lowercase()
                ));
            }
        }
        if self.columns.is_empty() {
            return self.refused("it has no columns");
        }
        if !self.location.key.is_empty() && !self.location.key.ends_with('/') {
            return self.refused(&format!("it cannot lie at {}: end the prefix with `/`", self.location));
        }
        let Some(values) = &self.projection else { return Ok(()) };
        if values.is_empty() || values.len() != self.partition_keys.len() {
            return self.refused(&format!(
                "{} partition keys cannot be projected by {} ranges of values",
                self.partition_keys.len(),
                values.len()
            ));
        }
        for (key, values) in self.partition_keys.iter().zip(values) {
            if let Some(why) = values.complaint() {
                return self.refused(&format!("the values of `{key}` make no projection: {why}"));
            }
            // A `.` ends a name among a table's properties, and `}` one in the template of places.
            if key.contains(['.', '{', '}', '$']) {
                return self.refused(&format!("no projection can name `{key}`: give the column another name"));
            }
        }
        Ok(())
    }

    /// What a catalog keeps of it.
    pub(super) fn definition(&self) -> Definition {
        Definition {
            location: self.location.to_string(),
            storage: Storage::of(self.format),
            columns: self.columns.clone(),
            partition_keys: self.partition_keys.iter().map(|key| Column::new(key, "string")).collect(),
            projection: self.properties().unwrap_or_default(),
        }
    }

    /// The properties of a projected table. The names of folders are as the files have them, the rest is Hive's lower case.
    fn properties(&self) -> Option<BTreeMap<String, String>> {
        let values = self.projection.as_ref()?;
        let mut place = self.location.to_string();
        let mut properties = BTreeMap::from([(ENABLED.to_owned(), "true".to_owned())]);
        for (key, values) in self.partition_keys.iter().zip(values) {
            let hive = key.to_lowercase();
            place.push_str(&format!("{}=${{{hive}}}/", folder_name(key)));
            properties.extend(values.properties(&hive));
        }
        properties.insert(TEMPLATE.to_owned(), place);
        Some(properties)
    }

    /// The partition of these values, in the keys' order. None is a null, and an empty text is one, too.
    pub fn partition(&self, values: Vec<Option<String>>) -> Partition {
        let mut key = self.location.key.clone();
        for (name, value) in self.partition_keys.iter().zip(&values) {
            append_folder(&mut key, name, value.as_deref());
        }
        Partition { values, location: self.location.with_key(key) }
    }

    /// The partition that an object of this table lies in. One without partition keys has the same for all.
    pub fn partition_of(&self, object: &Location) -> Result<Partition, CatalogError> {
        let below = object.key.strip_prefix(&self.location.key).filter(|_| object.bucket == self.location.bucket);
        let values: Vec<_> = below.map(hive::columns).into_iter().flatten().map(|(_, value)| value).collect();
        let is_whole = below.is_some() && values.len() == self.partition_keys.len();
        let partition = self.partition(values);
        // The same folders to the letter, and nothing between them and the object.
        if is_whole && object.key.rsplit_once('/').map_or("", |(folders, _)| folders) == partition.folders() {
            return Ok(partition);
        }
        let mut example = self.location.to_string();
        self.partition_keys.iter().for_each(|key| append_folder(&mut example, key, Some("…")));
        self.refused(&format!("{object} does not lie in a partition of it, {example}"))
    }

    pub(super) fn refused<T>(&self, why: &str) -> Result<T, CatalogError> {
        Err(CatalogError::Refused(format!("table `{}`: {why}", self.full_name())))
    }
}
