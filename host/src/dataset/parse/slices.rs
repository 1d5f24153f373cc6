//! `item_reader = { table = ... }`: slices of a table in a database.

use std::time::Duration;

use super::values::{distinct, duration, name};
use crate::dataset::read::{Slot, keys};
use crate::dataset::tree::Node;
use crate::dataset::{ItemReader, Slices, TableName, TableSpec, WindowSpec};

/// How many slices a table has at most: each is a query of its own.
const MAX_SLICES: u32 = 10_000;

/// PostgreSQL cuts longer names ("Identifiers and Key Words").
const MAX_NAME: usize = 63;

/// A table has at most 1,600 columns ("PostgreSQL Limits").
const MAX_COLUMNS: usize = 1600;

/// Longer ones are mistakes: a run would never take what is there.
const MAX_LAG: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The keys of the reader that say which rows of the table, and how they are cut.
pub(super) struct Keys<'s, 'n> {
    pub(super) table: &'s Slot<'n>,
    pub(super) connection: &'s Slot<'n>,
    pub(super) columns: &'s Slot<'n>,
    pub(super) slices: &'s Slot<'n>,
    pub(super) window: &'s Slot<'n>,
}

impl Keys<'_, '_> {
    pub(super) fn refuse_without_table(&self) {
        for (slot, key) in [
            (self.connection, "connection"),
            (self.columns, "columns"),
            (self.slices, "slices"),
            (self.window, "window"),
        ] {
            slot.refuse(&format!("`{key}` belongs to `table`: it is about a table of a database"));
        }
    }

    pub(super) fn reader(&self) -> Option<ItemReader> {
        let table = self.table.required(table_name);
        let connection = self.connection.required(name);
        let columns = self.columns.optional(|node| distinct(node, identifier, 1..=MAX_COLUMNS));
        let slices = self.slices.or(Slices::Pages { count: 1 }, slices);
        let window = self.window.optional(window);
        Some(ItemReader::Table(Box::new(TableSpec {
            connection: connection?,
            table: table?,
            columns: columns?,
            slices: slices?,
            window: window?,
        })))
    }
}

fn table_name(node: &Node<'_>) -> Option<TableName> {
    let text = node.text()?;
    let (schema, name) = match text.split_once('.') {
        Some((schema, name)) => (Some(schema), name),
        None => (None, text),
    };
    if name.contains('.') {
        let message = format!("`{text}` names neither a table nor a table of a schema");
        return node.note(message, Some("write `table` or `schema.table`; a database is the connection's"));
    }
    for part in schema.into_iter().chain([name]) {
        named(node, part)?;
    }
    Some(TableName { schema: schema.map(Into::into), name: name.into() })
}

fn identifier(node: &Node<'_>) -> Option<String> {
    named(node, node.text()?).map(Into::into)
}

fn named<'t>(node: &Node<'_>, name: &'t str) -> Option<&'t str> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
        return node.note(format!("a name of PostgreSQL has 1 to {MAX_NAME} bytes and no NUL: `{name}`"), None);
    }
    Some(name)
}

fn slices(node: &Node<'_>) -> Option<Slices> {
    keys!(let { column, count, lower, upper } = node);
    let count = count.required(|node| {
        let slices = node.integer(1..i64::from(MAX_SLICES) + 1, "a number of slices, from 1 to 10,000")?;
        Some(slices)
    });
    let column = column.optional(identifier);
    let bound = |node: &Node<'_>| node.integer(i64::MIN..i64::MAX, "a whole number");
    let (lower_value, upper_value) = (lower.optional(bound), upper.optional(bound));
    match (column?, lower_value?, upper_value?) {
        (None, None, None) => Some(Slices::Pages { count: count? }),
        (Some(column), None, None) => Some(Slices::Quantiles { column, count: count? }),
        (Some(column), Some(lower), Some(upper)) if lower < upper => {
            Some(Slices::Strides { column, lower, upper, count: count? })
        }
        (Some(_), Some(_), Some(_)) => node.note("`lower` is not below `upper`", None),
        (None, ..) => node.note("`lower` and `upper` are values of a `column`", Some("name the column too")),
        (Some(_), ..) => node.note("of `lower` and `upper` one is missing", Some("give both, or none of them")),
    }
}

fn window(node: &Node<'_>) -> Option<WindowSpec> {
    keys!(let { column, lag, count_late } = node);
    let column = column.required(identifier);
    let lag = lag.optional(|node| duration(node, Duration::ZERO..=MAX_LAG));
    let count_late = count_late.or(true, Node::boolean);
    Some(WindowSpec { column: column?, lag: lag?, count_late: count_late? })
}
