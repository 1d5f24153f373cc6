//! What makes a batch's rows visible, as data: prepared by one process, and carried out by it or by any other that finds the
//! record in the ledger.

use super::table_rows::TableRows;
use crate::object::{Location, Uploaded};

/// One step that is seen from outside. Carrying it out again changes nothing.
#[derive(Clone, Debug)]
pub enum Effect {
    /// An uploaded object appears.
    Complete(Uploaded),
    /// There are no rows, so there is no object: the one of an earlier run disappears.
    Remove(Location),
    /// Rows appear in a table.
    Put(TableRows),
}

impl Effect {
    /// Whether it puts rows into a table. A later run of the batch replaces its object whole, but leaves the rows that it does
    /// not have itself.
    pub fn puts_rows(&self) -> bool {
        matches!(self, Self::Put(_))
    }
}
