//! One column while it grows, value by value, each given as its JSON text.

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};

use super::super::values;
use super::error::{BadRows, excerpt, no_value, takes};
use crate::dataset::{Column, ColumnType};

/// One column while it grows.
pub(super) enum Builder {
    Boolean(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Text(StringBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Json(StringBuilder),
}

impl Builder {
    pub(super) fn new(kind: ColumnType, rows: usize, bytes: usize) -> Self {
        match kind {
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            ColumnType::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            ColumnType::Float64 => Self::Float64(Float64Builder::with_capacity(rows)),
            ColumnType::Text => Self::Text(StringBuilder::with_capacity(rows, bytes)),
            ColumnType::Date => Self::Date(Date32Builder::with_capacity(rows)),
            ColumnType::Timestamp => {
                let builder = TimestampMicrosecondBuilder::with_capacity(rows);
                Self::Timestamp(builder.with_data_type(ColumnType::Timestamp.arrow()))
            }
            ColumnType::Json => Self::Json(StringBuilder::with_capacity(rows, bytes)),
        }
    }

    /// Appends a value given as its JSON text, which is valid.
    pub(super) fn append(&mut self, column: &Column, row: usize, raw: &str) -> Result<(), BadRows> {
        if raw == "null" {
            if !column.nullable {
                return Err(no_value(row, &column.name));
            }
            self.append_null();
            return Ok(());
        }
        self.append_value(raw).ok_or_else(|| {
            let (name, found) = (&column.name, excerpt(raw));
            BadRows::Invalid(format!("row {row}: column `{name}` takes {}, found `{found}`", takes(column.kind)))
        })
    }

    fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Text(builder) | Self::Json(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
        }
    }

    fn append_value(&mut self, raw: &str) -> Option<()> {
        match self {
            Self::Boolean(builder) => builder.append_value(raw.parse().ok()?),
            Self::Int64(builder) => builder.append_value(raw.parse().ok()?),
            // Not serde_json's own number, which may be off in the last bit.
            Self::Float64(builder) if is_number(raw) => {
                builder.append_value(raw.parse().ok().filter(|value: &f64| value.is_finite())?);
            }
            Self::Float64(_) => return None,
            Self::Text(builder) => with_string(raw, |text| builder.append_value(text))?,
            Self::Date(builder) => builder.append_value(with_string(raw, values::parse_date)??),
            Self::Timestamp(builder) => builder.append_value(with_string(raw, values::parse_timestamp)??),
            // A line break in JSON is white space between tokens. A blank in its place keeps the value on one line.
            Self::Json(builder) if has_line_break(raw) => builder.append_value(raw.replace(['\n', '\r'], " ")),
            Self::Json(builder) => builder.append_value(raw),
        }
        Some(())
    }

    pub(super) fn finish(self) -> ArrayRef {
        match self {
            Self::Boolean(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Int64(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Float64(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Text(mut builder) | Self::Json(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Date(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Timestamp(mut builder) => ArrayBuilder::finish(&mut builder),
        }
    }
}

/// Whether a text is on several lines.
pub(super) fn has_line_break(text: &str) -> bool {
    memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some()
}

/// Whether a valid JSON text is a number.
fn is_number(raw: &str) -> bool {
    raw.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Gives the string that a JSON text is, or none when it is something else.
fn with_string<T>(raw: &str, take: impl FnOnce(&str) -> T) -> Option<T> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.as_bytes().contains(&b'\\') {
        return serde_json::from_str::<String>(raw).ok().map(|text| take(&text));
    }
    Some(take(inner))
}
