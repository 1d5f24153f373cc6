//! What a run over a table is told when it is planned.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::history::Window;
use crate::conclude::ItemsFile;
use crate::job::BatchId;
use crate::object::Location;

/// What the state that waits for the plan is told: a pointer to the slices, and the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The stage.
    pub stage: String,
    /// The slices; none of them if there is nothing in the window.
    pub items: ItemsFile,
    /// What the run takes, if it is a window.
    pub window: PlannedWindow,
}

/// The window of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedWindow {
    /// Its number; 0 if the run takes none.
    pub number: u64,
    /// None takes everything from the beginning.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub start: Option<OffsetDateTime>,
    /// Where the next one starts.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub stop: Option<OffsetDateTime>,
    /// How many rows came into earlier windows since these were read, or were changed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<u64>,
}

impl PlannedWindow {
    /// The window of a run that has something to take.
    pub fn of(window: &Window, late: Option<u64>) -> Self {
        Self { number: window.number, start: window.start, stop: Some(window.stop), late }
    }
}

/// An instant as windows have it: in RFC 3339.
pub fn written(instant: OffsetDateTime) -> String {
    instant.format(&Rfc3339).unwrap_or_else(|_| instant.to_string())
}

/// Where the slices of a run are written, below an output. Readers of tables leave out what begins with `_`.
pub fn place(prefix: &Location, batch: &BatchId) -> Location {
    prefix.with_key(format!("{}_gristmill/_{}.slices.jsonl", prefix.key, batch.object_name()))
}
