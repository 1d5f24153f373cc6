//! A table as SQLite has it, and the statements that turn an existing table into the wanted one.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::super::error::SinkError;
use super::super::schema::OutputSchema;
use crate::dataset::ColumnType;

/// `SQLITE_MAX_COLUMN`.
const MAX_COLUMNS: usize = 2000;

/// A table as SQLite has it.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) name: String,
    columns: Vec<TableColumn>,
    /// The statement that makes it, without its mark.
    pub(super) create: String,
    /// The statement that writes one row, its values in the columns' order.
    pub(super) insert: String,
}

#[derive(Clone, PartialEq)]
pub(super) struct TableColumn {
    name: String,
    kind: String,
    /// Its place in the primary key, from 1; 0 for other columns.
    key: usize,
}

impl Table {
    pub(super) fn new(name: &str, key: &[String], schema: &OutputSchema) -> Self {
        let columns: Vec<_> = schema
            .columns
            .iter()
            .map(|column| TableColumn {
                name: column.name.clone(),
                kind: sqlite_type(column.kind).into(),
                key: key.iter().position(|name| *name == column.name).map_or(0, |place| place + 1),
            })
            .collect();
        let defined: Vec<_> =
            columns.iter().map(|column| format!("{} {}", quoted(&column.name), column.kind)).collect();
        let names: Vec<_> = columns.iter().map(|column| quoted(&column.name)).collect();
        let key: Vec<_> = key.iter().map(|name| quoted(name)).collect();
        let places = vec!["?"; columns.len()].join(", ");
        // Rows are small and looked up by their key, so they lie in the key's own tree.
        let create = format!(
            "CREATE TABLE {} ({}, PRIMARY KEY ({})) WITHOUT ROWID",
            quoted(name),
            defined.join(", "),
            key.join(", ")
        );
        let insert = format!("INSERT OR REPLACE INTO {} ({}) VALUES ({places})", quoted(name), names.join(", "));
        Self { name: name.into(), columns, create, insert }
    }

    /// The statement that makes the table, with a mark of its own in a comment. SQLite keeps the text of a table's definition,
    /// comments included, as long as the table exists. So people's tools show no table that is not theirs.
    pub(super) fn marked(&self) -> String {
        let head = format!("CREATE TABLE {} (", quoted(&self.name));
        let rest = self.create.strip_prefix(&head).unwrap_or_default();
        format!("{head}{MARK}{:016x} */ {rest}", fastrand::u64(..))
    }

    /// The mark of the existing table, if it has rows: it tells the table from a later one of its name.
    pub(super) fn mark(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
        let mut statement = connection
            .prepare_cached("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE")?;
        let found = statement.query_row([name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        let Some((name, definition)) = found.optional()? else { return Ok(None) };
        let rows: bool =
            connection.query_row(&format!("SELECT EXISTS (SELECT 1 FROM {})", quoted(&name)), [], |row| row.get(0))?;
        // A table that an earlier gristmill or somebody else made has no mark, and that tells it apart too.
        let mark =
            definition.split_once(MARK).and_then(|(_, rest)| rest.split_once(" */")).map_or("none", |(mark, _)| mark);
        Ok(rows.then(|| mark.into()))
    }

    /// The name of the existing table that SQLite takes for this one: SQLite ignores the case of letters.
    pub(super) fn called(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<Option<String>> {
        let find = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE";
        transaction.query_row(find, [name], |row| row.get(0)).optional()
    }

    /// The columns of a table that exists; empty when there is none.
    pub(super) fn existing(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<Vec<TableColumn>> {
        let mut statement = transaction.prepare("SELECT name, type, pk FROM pragma_table_info(?)")?;
        let columns = statement.query_map([name], |row| {
            Ok(TableColumn { name: row.get(0)?, kind: row.get(1)?, key: row.get::<_, u32>(2)? as usize })
        })?;
        columns.collect()
    }

    /// The statements that add the columns that the table lacks. A table with another key or type holds other rows than ours,
    /// and only its owner can say what should become of them.
    pub(super) fn differences(&self, existing: &[TableColumn], path: &Path) -> Result<Vec<String>, SinkError> {
        let key = |columns: &[TableColumn]| {
            let mut key: Vec<_> =
                columns.iter().filter(|column| column.key > 0).map(|c| (c.key, c.name.clone())).collect();
            key.sort();
            key.into_iter().map(|(_, name)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        let refuse = |what: String| {
            let (name, file) = (&self.name, path.display());
            Err(SinkError::Refused(format!(
                "table `{name}` in `{file}` {what}: change the dataset file, or rename or drop the table"
            )))
        };
        let (theirs, ours) = (key(existing), key(&self.columns));
        if theirs != ours {
            let theirs = if theirs.is_empty() { "no key".into() } else { format!("the key {theirs}") };
            return refuse(format!("has {theirs}, the output's key is {ours}"));
        }
        let mut statements = Vec::new();
        for column in &self.columns {
            match existing.iter().find(|other| other.name.eq_ignore_ascii_case(&column.name)) {
                Some(other) if other.name != column.name => {
                    let (theirs, ours) = (&other.name, &column.name);
                    return refuse(format!(
                        "has column `{theirs}`, the output's is `{ours}`, and SQLite takes both for one"
                    ));
                }
                Some(other) if !other.kind.eq_ignore_ascii_case(&column.kind) => {
                    let (name, kind) = (&column.name, &column.kind);
                    return refuse(format!("has column `{name}` of type {}, the output's is {kind}", other.kind));
                }
                Some(_) => {}
                None => statements.push(format!(
                    "ALTER TABLE {} ADD COLUMN {} {}",
                    quoted(&self.name),
                    quoted(&column.name),
                    column.kind
                )),
            }
        }
        if existing.len() + statements.len() > MAX_COLUMNS {
            return refuse(format!("would have more than {MAX_COLUMNS} columns, the most that SQLite takes"));
        }
        Ok(statements)
    }
}

/// What a table's mark begins with, within its definition.
const MARK: &str = "/* gristmill ";

fn sqlite_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Boolean | ColumnType::Int64 => "INTEGER",
        ColumnType::Float64 => "REAL",
        ColumnType::Text | ColumnType::Date | ColumnType::Timestamp | ColumnType::Json => "TEXT",
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
