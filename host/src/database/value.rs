//! What a statement's parameters (`$1`, `$2`, …) stand for. They are bound, never spliced into it.

use std::error::Error;
use std::fmt;

use bytes::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

/// A parameter. The server decides which type it has there, and reads it as that: `Text` may be a date, a number or a UUID.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Int64(i64),
    /// A number, NaN and infinity included.
    Float64(f64),
    /// A text, or anything as a text.
    Text(String),
    /// Bytes, for `bytea`.
    Binary(Vec<u8>),
}

/// Without what it stands for: that may be somebody's name.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Boolean(_) => "Boolean(..)",
            Self::Int64(_) => "Int64(..)",
            Self::Float64(_) => "Float64(..)",
            Self::Text(_) => "Text(..)",
            Self::Binary(_) => "Binary(..)",
        })
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int64(number)
    }
}

/// As text, which the server reads as whatever type the parameter has there; bytes as they are.
impl ToSql for Value {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Self::Int64(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Self::Float64(number) => out.extend_from_slice(float(*number).as_bytes()),
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Binary(bytes) if *of == Type::BYTEA => out.extend_from_slice(bytes),
            Self::Binary(_) => return Err(format!("it is binary, and the statement wants `{of}` there").into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        match self {
            Self::Binary(_) => Format::Binary,
            _ => Format::Text,
        }
    }

    to_sql_checked!();
}

/// As PostgreSQL reads it; Rust's shortest form that means the same number.
fn float(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    if number.is_nan() { "NaN".into() } else { format!("{number:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &Value) -> String {
        let mut out = BytesMut::new();
        assert!(matches!(value.to_sql(&Type::TEXT, &mut out).unwrap(), IsNull::No));
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn values_are_texts_that_a_server_reads() {
        let values = [
            (Value::Boolean(true), "true"),
            (Value::Int64(i64::MIN), "-9223372036854775808"),
            (Value::Float64(0.1), "1e-1"),
            (Value::Float64(f64::NAN), "NaN"),
            (Value::Float64(f64::NEG_INFINITY), "-Infinity"),
            (Value::from("'; drop table t; --"), "'; drop table t; --"),
        ];
        for (value, expected) in values {
            assert_eq!(text(&value), expected);
            assert!(matches!(value.encode_format(&Type::INT4), Format::Text));
        }
    }

    #[test]
    fn bytes_are_for_bytea_alone() {
        let (bytes, mut out) = (Value::Binary(vec![0, 255]), BytesMut::new());
        bytes.to_sql(&Type::BYTEA, &mut out).unwrap();
        assert_eq!(out[..], [0, 255]);
        let refused = bytes.to_sql(&Type::TEXT, &mut out).err().unwrap().to_string();
        assert_eq!(refused, "it is binary, and the statement wants `text` there");
    }

    #[test]
    fn what_a_value_stands_for_is_not_printed() {
        assert_eq!(format!("{:?}", [Value::from("Miller"), Value::Null]), "[Text(..), Null]");
    }
}
