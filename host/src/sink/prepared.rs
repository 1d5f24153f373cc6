//! What a staging hands over once everything unseen is done.

use serde::{Deserialize, Serialize};

use super::effect::Effect;
use crate::job::Digest;

/// An output that is ready to be seen.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What it will hold.
    pub written: Written,
    /// What is left to do.
    pub effects: Vec<Effect>,
}

/// What a committed output holds, for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The output's name.
    pub output: String,
    /// Where: an object's URI, the prefix of several, or `table:NAME`.
    pub place: String,
    /// How many objects, where it may be any number of them: then the place is their prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// How many rows.
    pub rows: u64,
    /// How many bytes the objects have; for a table, of the rows as JSON.
    pub bytes: u64,
    /// What the rows are, wherever they lie and in whatever format. None in what an earlier gristmill wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}
