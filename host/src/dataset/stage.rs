//! `[[stage]]`: Distributed Maps in a row. Each stage is a dataset of its own to whoever runs it; what it says beside that is here.

use serde::{Deserialize, Serialize};

/// Between the dataset's own name and that of a stage. No name has it.
const SEPARATOR: char = '.';

/// What a dataset is that is a stage of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageSpec {
    /// The name of the dataset whose file has the stage.
    pub of: String,
    /// The stage's own name.
    pub name: String,
    /// Which one it is in the file, from 0.
    pub index: usize,
    /// How many stages the file has.
    pub count: usize,
    /// The outputs that other stages of the file keep: where they share a component, each keeps some of its outputs.
    pub kept_by_others: Vec<String>,
    /// The stage that plans the window of the run, if that is this one or one before it: an index.
    pub planned_by: Option<usize>,
    /// What the stages behind it take of it, each once.
    pub hands_over: Vec<HandOver>,
}

/// Objects of a stage's output as the items of another stage.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HandOver {
    /// The output.
    pub output: String,
    /// What an item is.
    pub each: Each,
}

/// What an item of a stage is that takes the objects of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// One object.
    File,
    /// All objects of one partition.
    Partition {
        /// How many partitions before it come along with their objects, in the order of their values.
        before: u32,
    },
}

impl StageSpec {
    /// The name under which workers know the stage.
    pub fn full_name(of: &str, name: &str) -> String {
        format!("{of}{SEPARATOR}{name}")
    }

    /// The name of the state that waits for a batch: a state machine may not have one name twice, wherever its states lie.
    pub fn batch_state(full_name: &str) -> String {
        full_name.split_once(SEPARATOR).map_or_else(|| "Batch".into(), |(_, stage)| format!("{stage}: batch"))
    }

    /// The name of the dataset that a name is of, be it a stage's or its own.
    pub fn dataset_of(full_name: &str) -> &str {
        full_name.split(SEPARATOR).next().unwrap_or_default()
    }
}
