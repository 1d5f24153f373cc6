//! Rows of databases, by connections that the dataset file grants (`[grants] sql`). Where the database is, the worker knows.
//!
//! ```no_run
//! use gristmill_plugin::sql;
//!
//! # fn main() -> Result<(), gristmill_plugin::Failure> {
//! let rows = sql::query("shop", "select id, total from orders where day = $1").bind("2024-02-29").blocks()?;
//! for block in rows {
//!     let block = block?;
//!     for (id, total) in block.i64("id")?.iter().zip(block.text("total")?.iter()) {
//!         log::debug!("{id:?}: {total:?}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use crate::Failure;
use crate::bindings::gristmill::plugin::{sql as host, tables};
use crate::table::{Block, Type};

pub use host::Value;

/// A statement that is about to be asked, its parameters being `$1`, `$2`, and so on. It can only read.
pub fn query(connection: &str, statement: &str) -> Query {
    let options = host::QueryOptions { block_rows: 0, encoding: tables::Encoding::ArrowIpc };
    Query { connection: connection.to_owned(), statement: statement.to_owned(), parameters: Vec::new(), options }
}

/// A statement with what is known of its parameters.
#[must_use]
pub struct Query {
    connection: String,
    statement: String,
    parameters: Vec<Value>,
    options: host::QueryOptions,
}

impl Query {
    /// The next parameter. The server reads it as whatever type it has there: a text may be a date, a number or a UUID.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.parameters.push(value.into());
        self
    }

    /// The most rows of a block; the host chooses well.
    pub fn block_rows(mut self, rows: u32) -> Self {
        self.options.block_rows = rows;
        self
    }

    /// Asks the database.
    ///
    /// # Errors
    /// `DatabaseDenied`, `DatabaseInvalid`, `DatabaseTooLarge`; and to try again, `DatabaseUnavailable`.
    pub fn blocks(self) -> Result<Rows, Failure> {
        let rows = host::query(&self.connection, &self.statement, &self.parameters, self.options)?;
        Ok(Rows { columns: rows.columns(), rows: Some(rows), connection: self.connection })
    }
}

/// The blocks of what a statement gives, in order. After an error there are no more.
pub struct Rows {
    connection: String,
    columns: Vec<tables::Column>,
    rows: Option<host::Rows>,
}

impl Rows {
    /// The names and types of the columns, in order, also where there are no rows.
    pub fn columns(&self) -> impl Iterator<Item = (&str, Type)> {
        self.columns.iter().map(|column| (column.name.as_str(), column.type_.into()))
    }
}

impl Iterator for Rows {
    type Item = Result<Block, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.rows.as_ref()?.next().map_err(Failure::from).and_then(|bytes| {
            bytes.map(Block::new).transpose().map_err(|failure| {
                let message = format!("connection `{}`: {}", self.connection, failure.message());
                Failure::reject(failure.code().to_owned(), message)
            })
        });
        if !matches!(next, Ok(Some(_))) {
            self.rows = None;
        }
        next.transpose()
    }
}

impl From<host::Error> for Failure {
    fn from(error: host::Error) -> Self {
        use host::Error::{Denied, Invalid, TooLarge, Unavailable};
        match error {
            Denied(message) => Self::reject("DatabaseDenied", message),
            Invalid(message) => Self::reject("DatabaseInvalid", message),
            TooLarge(message) => Self::reject("DatabaseTooLarge", message),
            Unavailable(message) => Self::retry("DatabaseUnavailable", message),
        }
    }
}

impl From<tables::ValueType> for Type {
    fn from(kind: tables::ValueType) -> Self {
        match kind {
            tables::ValueType::Boolean => Self::Boolean,
            tables::ValueType::Int64 => Self::Int64,
            tables::ValueType::Float64 => Self::Float64,
            tables::ValueType::Text => Self::Text,
            tables::ValueType::Binary => Self::Binary,
            tables::ValueType::Date => Self::Date,
            tables::ValueType::Timestamp => Self::Timestamp,
            tables::ValueType::Json => Self::Json,
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int64(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float64(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// Nothing is NULL.
impl<V: Into<Value>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_keeps_its_kind_and_its_place() {
        let query = query("shop", "select 1").bind(1).bind("2024-02-29").bind(Option::<f64>::None).bind(true);
        let kinds: Vec<String> = query.parameters.iter().map(|value| format!("{value:?}")).collect();
        assert_eq!(kinds.len(), 4);
        for (kind, expected) in kinds.iter().zip(["Int64(1)", "Text(\"2024-02-29\")", "Null", "Boolean(true)"]) {
            assert!(kind.ends_with(expected), "{kind}");
        }
    }

    #[test]
    fn only_a_database_that_is_away_is_worth_another_try() {
        let failures = [
            host::Error::Denied("d".into()),
            host::Error::Invalid("i".into()),
            host::Error::TooLarge("t".into()),
            host::Error::Unavailable("u".into()),
        ];
        let failures = failures.map(Failure::from);
        let told: Vec<String> = failures.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["DatabaseDenied: d", "DatabaseInvalid: i", "DatabaseTooLarge: t", "DatabaseUnavailable: u"]);
        assert_eq!(failures.map(|failure| failure.is_retry()), [false, false, false, true]);
    }
}
