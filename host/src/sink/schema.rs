//! An output's columns as Arrow has them, and the rules that hold before any row is seen.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::dataset::{Column, ColumnType, Target};

/// The key of a field's metadata that tells JSON text from other text.
pub const TYPE_METADATA: &str = "gristmill.type";

/// An output whose columns are known, from the dataset file or else from the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSchema {
    /// The output's name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// The same as Arrow has it. Dates are `Date32`, timestamps `Timestamp(Microsecond, "UTC")`, JSON columns `Utf8` with
    /// the field's metadata `gristmill.type = json`.
    pub arrow: SchemaRef,
    /// Where the rows go.
    pub target: Target,
}

/// The columns do not make an output. The sentence names the output and the column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("output `{output}`: {reason}")]
pub struct BadSchema {
    /// The output's name.
    pub output: String,
    /// What is wrong with its columns, and what to do.
    pub reason: String,
}

impl OutputSchema {
    /// Checks the columns against each other and against the target's key.
    pub fn new(name: impl Into<String>, columns: Vec<Column>, target: Target) -> Result<Self, BadSchema> {
        let name = name.into();
        check(&columns, &target).map_err(|reason| BadSchema { output: name.clone(), reason })?;
        let arrow = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        Ok(Self { name, columns, arrow, target })
    }

    /// The columns' indices of the table's key, in the key's order; none for objects.
    pub fn key(&self) -> Vec<usize> {
        let Target::Table { key, .. } = &self.target else {
            return Vec::new();
        };
        key.iter().filter_map(|name| self.columns.iter().position(|column| column.name == *name)).collect()
    }
}

impl ColumnType {
    /// The word of the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Text => "text",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Json => "json",
        }
    }

    /// The type that arrays of this column have.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Text | Self::Json => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

fn field(column: &Column) -> Field {
    let field = Field::new(&column.name, column.kind.arrow(), column.nullable);
    match column.kind {
        ColumnType::Json => field.with_metadata(HashMap::from([(TYPE_METADATA.to_owned(), "json".to_owned())])),
        _ => field,
    }
}

fn check(columns: &[Column], target: &Target) -> Result<(), String> {
    if columns.is_empty() {
        return Err("it has no columns; give them in the manifest, or as `columns` in the dataset file".into());
    }
    for (index, column) in columns.iter().enumerate() {
        if column.name.is_empty() || column.name.chars().any(char::is_control) {
            return Err(format!(
                "column {} has the name {:?}; a name needs visible characters",
                index + 1,
                column.name
            ));
        }
        if columns[..index].iter().any(|other| other.name == column.name) {
            return Err(format!("column `{}` is there twice", column.name));
        }
    }
    match target {
        Target::Table { key, .. } => check_key(columns, key),
        Target::Objects { layout, .. } => match layout.complaints(columns).into_iter().next() {
            Some((key, (message, _))) => Err(format!("`{key}`: {message}")),
            None => Ok(()),
        },
    }
}

fn check_key(columns: &[Column], key: &[String]) -> Result<(), String> {
    if key.is_empty() || key.len() > 2 {
        return Err(format!(
            "`key` has {} columns; a table's key is a partition key, or a partition key and a sort key",
            key.len()
        ));
    }
    if key.len() == 2 && key[0] == key[1] {
        return Err(format!("`key` names column `{}` twice", key[0]));
    }
    for name in key {
        let Some(column) = columns.iter().find(|column| column.name == *name) else {
            let known: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
            return Err(format!("key column `{name}` is none of its columns: {}", known.join(", ")));
        };
        // DynamoDB's keys are strings and numbers. A float is no key, because two spellings of a number would be two rows.
        if !matches!(column.kind, ColumnType::Text | ColumnType::Int64 | ColumnType::Date | ColumnType::Timestamp) {
            return Err(format!(
                "key column `{name}` is {}; a key is text, int64, date or timestamp",
                column.kind.name()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CSV, all_types, objects, table};
    use super::*;

    fn column(name: &str, kind: ColumnType) -> Column {
        Column { name: name.into(), kind, nullable: true }
    }

    fn refused(columns: Vec<Column>, target: Target) -> String {
        OutputSchema::new("daily", columns, target).unwrap_err().to_string()
    }

    #[test]
    fn every_type_has_the_arrow_type_that_the_contract_names() {
        let schema = OutputSchema::new("daily", all_types(), objects(CSV)).unwrap();
        let types: Vec<_> = schema.arrow.fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(
            types,
            [
                DataType::Utf8,
                DataType::Boolean,
                DataType::Int64,
                DataType::Float64,
                DataType::Date32,
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                DataType::Utf8,
            ]
        );
        assert!(!schema.arrow.field(0).is_nullable());
        assert!(schema.arrow.field(1).is_nullable());
        assert!(schema.arrow.field(0).metadata().is_empty());
        assert_eq!(schema.arrow.field(6).metadata()[TYPE_METADATA], "json");
        assert_eq!(schema.key(), Vec::<usize>::new());
    }

    #[test]
    fn a_key_is_found_in_its_own_order() {
        let columns = vec![column("day", ColumnType::Date), column("id", ColumnType::Text)];
        let schema = OutputSchema::new("daily", columns, table(&["id", "day"])).unwrap();
        assert_eq!(schema.key(), [1, 0]);
    }

    #[test]
    fn what_makes_no_output_is_named() {
        let text = || vec![column("a", ColumnType::Text), column("x", ColumnType::Float64)];
        assert!(refused(vec![], table(&["a"])).starts_with("output `daily`: it has no columns"));
        assert_eq!(refused([text(), text()].concat(), table(&["a"])), "output `daily`: column `a` is there twice");
        assert!(refused(vec![column("", ColumnType::Text)], objects(CSV)).contains("column 1 has the name \"\""));
        assert!(refused(text(), table(&["b"])).contains("key column `b` is none of its columns: a, x"));
        assert!(refused(text(), table(&["x"])).contains("key column `x` is float64"));
        assert!(refused(text(), table(&["a", "a"])).contains("names column `a` twice"));
        assert!(refused(text(), table(&[])).contains("`key` has 0 columns"));
    }
}
