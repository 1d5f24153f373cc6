//! Whatever type a file has, as one of the few that blocks have. What would lose something is an error.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use serde::de::IgnoredAny;

use super::cut::BLOCK;
use super::request::ValueType;

/// UTC, for Arrow, which knows the names of time zones only with a database of them.
const NO_OFFSET: &str = "+00:00";

/// The type that follows from a file's.
pub(super) fn natural(of: &DataType) -> ValueType {
    match of {
        DataType::Boolean => ValueType::Boolean,
        DataType::Dictionary(_, values) => natural(values),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            ValueType::Binary
        }
        DataType::Date32 | DataType::Date64 => ValueType::Date,
        DataType::Timestamp(..) => ValueType::Timestamp,
        nested if nested.is_nested() => ValueType::Json,
        whole if whole.is_integer() => ValueType::Int64,
        number if number.is_floating() => ValueType::Float64,
        _ => ValueType::Text,
    }
}

/// The same values in another type. One that it cannot hold is an error.
pub(super) fn cast(values: &ArrayRef, to: ValueType) -> Result<ArrayRef, ArrowError> {
    let from = values.data_type();
    match (from, to) {
        (DataType::Utf8View, _) => cast(&strict(values, &DataType::Utf8)?, to),
        (DataType::Utf8, ValueType::Json) => checked_json(values),
        (from, ValueType::Json) if !from.is_nested() => Ok(Arc::new(json_texts(values)?)),
        (from, ValueType::Json | ValueType::Text) if from.is_nested() => Ok(Arc::new(json_texts(values)?)),
        (from, ValueType::Int64) if from.is_floating() => {
            let numbers = strict(values, &DataType::Float64)?;
            if let Some(odd) = numbers.as_primitive::<Float64Type>().iter().flatten().find(|n| n.fract() != 0.0) {
                return Err(ArrowError::CastError(format!("{odd} is no whole number")));
            }
            strict(&numbers, &DataType::Int64)
        }
        // Arrow cuts towards zero, which moves what is before 1970 to the next microsecond.
        (DataType::Timestamp(TimeUnit::Nanosecond, _), ValueType::Timestamp) => {
            let micros = values
                .as_primitive::<TimestampNanosecondType>()
                .unary::<_, TimestampMicrosecondType>(|nanos| nanos.div_euclid(1_000));
            Ok(Arc::new(micros.with_timezone("UTC")))
        }
        (_, ValueType::Timestamp) => {
            let micros = strict(values, &DataType::Timestamp(TimeUnit::Microsecond, Some(NO_OFFSET.into())))?;
            Ok(Arc::new(micros.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("UTC")))
        }
        _ => strict(values, &to.arrow()),
    }
}

/// What went wrong, without Arrow's name for it.
pub(super) fn words(error: ArrowError) -> String {
    match error {
        ArrowError::CastError(text) | ArrowError::ParseError(text) => text,
        other => other.to_string(),
    }
}

fn strict(values: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(values, to, &CastOptions { safe: false, ..CastOptions::default() })
}

/// Texts that are JSON already.
fn checked_json(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    for text in values.as_string::<i32>().iter().flatten() {
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|error| ArrowError::CastError(format!("a text is not JSON: {error}")))?;
    }
    Ok(values.clone())
}

/// Values as Arrow writes them in JSON lines: a line has one column, whose name has one letter.
pub(super) fn json_texts(values: &ArrayRef) -> Result<StringArray, ArrowError> {
    let named: ArrayRef = match values.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(instants) => Arc::new(instants.clone().with_timezone(NO_OFFSET)),
        None => values.clone(),
    };
    let rows = RecordBatch::try_from_iter_with_nullable([("v", named, true)])?;
    let mut lines = Limited { bytes: Vec::new(), is_over: false };
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut lines);
    let written = writer.write(&rows).and_then(|()| writer.finish());
    drop(writer);
    if lines.is_over {
        return Err(ArrowError::MemoryError(format!("its JSON has more than {BLOCK} bytes")));
    }
    written?;
    let lines = String::from_utf8(lines.bytes).map_err(|error| ArrowError::CastError(error.to_string()))?;
    let inner = |line: &str| line.strip_prefix("{\"v\":")?.strip_suffix('}').map(str::to_owned);
    let texts = lines.lines().enumerate().map(|(row, line)| if values.is_null(row) { None } else { inner(line) });
    Ok(texts.collect())
}

/// As many bytes as fit a block. A small file can say that one long text is in a million lists.
struct Limited {
    bytes: Vec<u8>,
    is_over: bool,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_over |= self.bytes.len() + bytes.len() > BLOCK;
        if self.is_over {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
