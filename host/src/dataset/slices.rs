//! Slices of a table in a database as items, and the window of it that a run takes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The rows of a table, in slices that are read side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// The database, by the name that the worker's configuration gives the connection.
    pub connection: String,
    /// Which table, `table` or `schema.table`: names as they are, not as SQL would fold them.
    pub table: TableName,
    /// Which columns, in this order. None for all that the table has when a run begins.
    pub columns: Option<Vec<String>>,
    /// Where one slice ends and the next one begins.
    pub slices: Slices,
    /// Which rows a run takes. None for all, in every run.
    pub window: Option<WindowSpec>,
}

/// A table's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableName {
    /// None to have it found by the connection's `search_path`.
    pub schema: Option<String>,
    /// The name in it.
    pub name: String,
}

/// How a table is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slices {
    /// By the pages in which its rows lie (`ctid`), about as many in each. The table's rows must not move while it is read, which
    /// they do when they are changed.
    Pages {
        /// How many slices.
        count: u32,
    },
    /// By a column, with about as many rows in each.
    Quantiles {
        /// The column.
        column: String,
        /// How many slices.
        count: u32,
    },
    /// By a column of whole numbers, in equal strides from `lower` to `upper`. The first slice has what is below and the rows
    /// without a value, and the last one has what is above: bounds divide rows and leave out none.
    Strides {
        /// The column.
        column: String,
        /// Where the strides begin.
        lower: i64,
        /// Where they end.
        upper: i64,
        /// How many slices.
        count: u32,
    },
}

/// The window of a table's rows that a run takes: `start <= column < stop`, each run from where the one before stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowSpec {
    /// When a row came: a column of a date or time type that the database's clock fills.
    pub column: String,
    /// How far the stop lies behind what is known to be complete. Where nothing can be known, it is required.
    pub lag: Option<Duration>,
    /// Whether rows are counted that came into earlier windows since these were read.
    pub count_late: bool,
}

impl Slices {
    /// How many slices there are at most.
    pub fn count(&self) -> u32 {
        match self {
            Self::Pages { count } | Self::Quantiles { count, .. } | Self::Strides { count, .. } => *count,
        }
    }

    /// The column that divides rows, if one does.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Pages { .. } => None,
            Self::Quantiles { column, .. } | Self::Strides { column, .. } => Some(column),
        }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
