//! What the catalog of `--local` keeps in its file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::definition::Definition;

/// What is known of all tables.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Known {
    /// By database, then by table.
    pub(super) databases: BTreeMap<String, BTreeMap<String, Entry>>,
}

/// What is known of a table.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub(super) definition: Definition,
    /// How the names of its files end.
    pub(super) ending: String,
    #[serde(default, with = "registered")]
    pub(super) partitions: BTreeMap<Vec<String>, String>,
}

/// Partitions as a list, because a key of JSON is one text.
mod registered {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Registered {
        values: Vec<String>,
        location: String,
    }

    pub(super) fn serialize<S: Serializer>(
        partitions: &BTreeMap<Vec<String>, String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let partition = |(values, location): (&Vec<String>, &String)| Registered {
            values: values.clone(),
            location: location.clone(),
        };
        serializer.collect_seq(partitions.iter().map(partition))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Vec<String>, String>, D::Error> {
        let partitions = Vec::<Registered>::deserialize(deserializer)?;
        Ok(partitions.into_iter().map(|partition| (partition.values, partition.location)).collect())
    }
}
