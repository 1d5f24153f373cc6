//! The words of the contract as those of the room that reads tables.

use super::super::bindings::gristmill::plugin::tables as wit;
use crate::table::{Column, Comparison, CsvOptions, Encoding, Format, Literal, Predicate, Request, ValueType, Wanted};

/// What is asked for, with so much memory.
pub(super) fn request(options: wit::ScanOptions, memory: u64) -> Request {
    let wanted = |wanted: wit::Wanted| Wanted {
        name: wanted.name,
        value_type: wanted.type_.map(value_type),
        optional: wanted.optional,
    };
    Request {
        format: format(options.format),
        compression: options.compression.into(),
        columns: options.columns.map(|columns| columns.into_iter().map(wanted).collect()),
        key_columns: true,
        conditions: options.where_.into_iter().map(predicate).collect(),
        block_rows: options.block_rows as usize,
        memory,
    }
}

fn format(format: wit::Format) -> Format {
    match format {
        wit::Format::Auto => Format::Auto,
        wit::Format::Parquet => Format::Parquet,
        wit::Format::Csv(options) => {
            let wit::CsvOptions { header, names, delimiter } = options;
            Format::Csv(CsvOptions { header, names, delimiter })
        }
        wit::Format::JsonLines => Format::JsonLines,
    }
}

pub(in crate::runtime::capabilities) fn encoding(encoding: wit::Encoding) -> Encoding {
    match encoding {
        wit::Encoding::ArrowIpc => Encoding::ArrowIpc,
        wit::Encoding::JsonLines => Encoding::JsonLines,
    }
}

pub(in crate::runtime::capabilities) fn column(column: &Column) -> wit::Column {
    let type_ = match column.value_type {
        ValueType::Boolean => wit::ValueType::Boolean,
        ValueType::Int64 => wit::ValueType::Int64,
        ValueType::Float64 => wit::ValueType::Float64,
        ValueType::Text => wit::ValueType::Text,
        ValueType::Binary => wit::ValueType::Binary,
        ValueType::Date => wit::ValueType::Date,
        ValueType::Timestamp => wit::ValueType::Timestamp,
        ValueType::Json => wit::ValueType::Json,
    };
    wit::Column { name: column.name.clone(), type_, nullable: column.nullable }
}

fn value_type(value_type: wit::ValueType) -> ValueType {
    match value_type {
        wit::ValueType::Boolean => ValueType::Boolean,
        wit::ValueType::Int64 => ValueType::Int64,
        wit::ValueType::Float64 => ValueType::Float64,
        wit::ValueType::Text => ValueType::Text,
        wit::ValueType::Binary => ValueType::Binary,
        wit::ValueType::Date => ValueType::Date,
        wit::ValueType::Timestamp => ValueType::Timestamp,
        wit::ValueType::Json => ValueType::Json,
    }
}

fn predicate(predicate: wit::Predicate) -> Predicate {
    let comparison = match predicate.comparison {
        wit::Comparison::Equal => Comparison::Equal,
        wit::Comparison::NotEqual => Comparison::NotEqual,
        wit::Comparison::Less => Comparison::Less,
        wit::Comparison::LessOrEqual => Comparison::LessOrEqual,
        wit::Comparison::Greater => Comparison::Greater,
        wit::Comparison::GreaterOrEqual => Comparison::GreaterOrEqual,
        wit::Comparison::IsNull => Comparison::IsNull,
        wit::Comparison::IsNotNull => Comparison::IsNotNull,
    };
    let value = predicate.value.map(|value| match value {
        wit::Literal::Boolean(value) => Literal::Boolean(value),
        wit::Literal::Int64(value) => Literal::Int64(value),
        wit::Literal::Float64(value) => Literal::Float64(value),
        wit::Literal::Text(value) => Literal::Text(value),
    });
    Predicate { column: predicate.column, comparison, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_keeps_its_name() {
        use wit::{Comparison as Compared, ValueType as Of};
        let name = |word: &dyn std::fmt::Debug| format!("{word:?}").rsplit("::").next().unwrap().to_owned();
        for word in [
            Compared::Equal,
            Compared::NotEqual,
            Compared::Less,
            Compared::LessOrEqual,
            Compared::Greater,
            Compared::GreaterOrEqual,
            Compared::IsNull,
            Compared::IsNotNull,
        ] {
            let asked = predicate(wit::Predicate { column: "c".into(), comparison: word, value: None });
            assert_eq!(name(&asked.comparison), name(&word));
        }
        for word in [Of::Boolean, Of::Int64, Of::Float64, Of::Text, Of::Binary, Of::Date, Of::Timestamp, Of::Json] {
            let found = value_type(word);
            assert_eq!(name(&found), name(&word));
            let back = column(&Column { name: "c".into(), value_type: found, nullable: false });
            assert_eq!(name(&back.type_), name(&word));
        }
    }
}
