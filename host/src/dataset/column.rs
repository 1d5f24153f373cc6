//! The columns of an output.

use serde::{Deserialize, Serialize};

/// One column: as the manifest or the dataset file gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Whether null is a value.
    pub nullable: bool,
}

/// The contract's `column-type`, which documents what each becomes in every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the contract documents them")]
pub enum ColumnType {
    Boolean,
    Int64,
    Float64,
    Text,
    Date,
    Timestamp,
    Json,
}
