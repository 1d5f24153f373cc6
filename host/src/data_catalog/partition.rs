//! A part of a table: the rows that share their values in the columns of the path.

use crate::object::Location;
use crate::sink::append_folder;

/// What stands for a null in paths and among a partition's values.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// A partition, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its values in the order of the partition keys, unescaped. None is a null.
    pub values: Vec<Option<String>>,
    /// Its folder below the table's place, with `/` at its end.
    pub location: Location,
}

impl Partition {
    /// The key of its location without the `/` at its end.
    pub(super) fn folders(&self) -> &str {
        self.location.key.strip_suffix('/').unwrap_or(&self.location.key)
    }
}

/// Values as Hive has them: texts.
pub(super) fn hive(values: &[Option<String>]) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty()).unwrap_or_else(|| NULL.into());
    values.iter().map(text).collect()
}

/// A partition for people.
pub(super) fn shown(values: &[String]) -> String {
    format!("({})", values.join(", "))
}

/// What stands before `=` in the name of a key's folders.
pub(super) fn folder_name(key: &str) -> String {
    let mut folder = String::new();
    append_folder(&mut folder, key, Some("x"));
    folder.trim_end_matches("=x/").to_owned()
}
