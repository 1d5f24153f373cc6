//! What makes a batch's rows visible, as data: prepared by one process, and carried out by it or by any other that finds the
//! record in the ledger.

use super::table_rows::TableRows;
use crate::object::{Location, Uploaded};

/// One step that is seen from outside. Carrying it out again changes nothing.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The list of the objects that the batch has under an output appears, before any of them does.
    List(Uploaded),
    /// An uploaded object appears.
    Complete(Uploaded),
    /// There are no rows, so there is no object: the one of an earlier run disappears.
    Remove(Location),
    /// Rows appear in a table.
    Put(TableRows),
}

impl Effect {
    /// When its turn is: what has the same turn may be carried out at once. Objects come before rows, because a record whose
    /// uploads were removed can be given up for a new run as long as no row is seen.
    pub fn turn(&self) -> u8 {
        match self {
            Self::List(_) => 0,
            Self::Complete(_) | Self::Remove(_) => 1,
            Self::Put(_) => 2,
        }
    }

    /// Whether it puts rows into a table.
    pub fn puts_rows(&self) -> bool {
        matches!(self, Self::Put(_))
    }

    /// What is stored and not visible yet.
    pub fn upload(&self) -> Option<&Uploaded> {
        match self {
            Self::List(upload) | Self::Complete(upload) => Some(upload),
            Self::Remove(_) | Self::Put(_) => None,
        }
    }
}
