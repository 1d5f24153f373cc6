//! JSON lines, strictly: serde_json finds where each value begins and ends, the column's type says what its text must be.
//!
//! Not arrow-json: it takes `"12"` and `1.5` for an int64, does not see that a key is doubled, and names no row.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array as _, RecordBatch};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::schema::OutputSchema;
use super::column::Builder;
use super::error::{BadRows, check_size, excerpt};

/// Columns of larger blocks give back the memory that they do not need.
const SHRUNK_BYTES: usize = 64 << 10;

pub(super) fn decode(schema: &OutputSchema, block: &[u8]) -> Result<RecordBatch, BadRows> {
    let text = std::str::from_utf8(block).map_err(|error| {
        let row = 1 + block[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        BadRows::Invalid(format!("line {row} is not UTF-8"))
    })?;
    // A guess at the number of rows. A wrong one costs little.
    let capacity = 1 + block.iter().filter(|byte| **byte == b'\n').count().min(4096);
    let mut table = Table::new(schema, capacity, block.len().min(64 << 10));
    for line in text.split('\n').filter(|line| !line.bytes().all(|byte| byte.is_ascii_whitespace())) {
        table.append(line)?;
        check_size(schema, table.rows, block.len())?;
    }
    let mut arrays: Vec<_> = table.columns.into_iter().map(Builder::finish).collect();
    // Columns that grew have room for twice their contents, and may have to wait long.
    if block.len() > SHRUNK_BYTES {
        arrays.iter_mut().for_each(|array| array.shrink_to_fit());
    }
    RecordBatch::try_new(Arc::clone(&schema.arrow), arrays).map_err(|error| BadRows::Invalid(error.to_string()))
}

/// The columns while they grow.
struct Table<'s> {
    schema: &'s OutputSchema,
    columns: Vec<Builder>,
    /// How many rows were begun: the number of the current row, from 1.
    rows: usize,
    /// For each column the last row that had a value for it.
    seen: Vec<usize>,
    /// What is wrong with the row, in our words. serde_json would add a line and a column of its own.
    fault: Option<BadRows>,
}

impl<'s> Table<'s> {
    fn new(schema: &'s OutputSchema, rows: usize, bytes: usize) -> Self {
        let columns: Vec<_> = schema.columns.iter().map(|column| Builder::new(column.kind, rows, bytes)).collect();
        Self { schema, seen: vec![0; columns.len()], columns, rows: 0, fault: None }
    }

    fn append(&mut self, line: &str) -> Result<(), BadRows> {
        self.rows += 1;
        let mut json = serde_json::Deserializer::from_str(line);
        if let Err(error) = Row(self).deserialize(&mut json).and_then(|()| json.end()) {
            return Err(self.fault.take().unwrap_or_else(|| self.syntax(line, &error)));
        }
        for (index, column) in self.schema.columns.iter().enumerate() {
            if self.seen[index] != self.rows {
                self.columns[index].append(column, self.rows, "null")?;
            }
        }
        Ok(())
    }

    fn syntax(&self, line: &str, error: &serde_json::Error) -> BadRows {
        if error.is_data() {
            return BadRows::Invalid(format!("row {} is not a JSON object: `{}`", self.rows, excerpt(line)));
        }
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        BadRows::Invalid(format!(
            "row {} is not JSON: {what} at byte {}: `{}`",
            self.rows,
            error.column(),
            excerpt(line)
        ))
    }

    /// The column of this name. Most rows have their keys in the columns' order, so `likely` is looked at first.
    fn find(&self, key: &str, likely: usize) -> Option<usize> {
        let columns = &self.schema.columns;
        match columns.get(likely) {
            Some(column) if column.name == key => Some(likely),
            _ => columns.iter().position(|column| column.name == key),
        }
    }
}

/// Reads one row into the columns.
struct Row<'t, 's>(&'t mut Table<'s>);

impl<'de> DeserializeSeed<'de> for Row<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(table) = self;
        let schema = table.schema;
        let mut likely = 0;
        while let Some(index) = map.next_key_seed(Key { table: &mut *table, likely })? {
            let Some(index) = index else {
                // The fault is known; the key's value is of no interest.
                return map.next_value::<IgnoredAny>().and_then(|_| Err(A::Error::custom("refused")));
            };
            let column = &schema.columns[index];
            let raw = map.next_value::<&RawValue>()?;
            let result = match std::mem::replace(&mut table.seen[index], table.rows) == table.rows {
                true => Err(BadRows::Invalid(format!("row {} has key `{}` twice", table.rows, column.name))),
                false => table.columns[index].append(column, table.rows, raw.get()),
            };
            if let Err(fault) = result {
                table.fault = Some(fault);
                return Err(A::Error::custom("refused"));
            }
            likely = index + 1;
        }
        Ok(())
    }
}

/// Reads one key as the column's index. None when there is no such column; `Table::fault` then says so.
struct Key<'t, 's> {
    table: &'t mut Table<'s>,
    likely: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let found = self.table.find(key, self.likely);
        if found.is_none() {
            let known: Vec<_> = self.table.schema.columns.iter().map(|column| column.name.as_str()).collect();
            self.table.fault = Some(BadRows::Invalid(format!(
                "row {}: key `{}` is no column of output `{}`; it has {}",
                self.table.rows,
                excerpt(key),
                self.table.schema.name,
                known.join(", ")
            )));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};

    use super::super::super::tests::{CSV, JSON_LINES, all_types, objects};
    use super::super::{MAX_DECODED_BYTES, Rows, decode};
    use super::*;
    use crate::dataset::{Column, ColumnType};

    fn schema() -> OutputSchema {
        OutputSchema::new("daily", all_types(), objects(JSON_LINES)).unwrap()
    }

    fn read(block: &str) -> RecordBatch {
        decode(&schema(), Rows::JsonLines(block.as_bytes())).unwrap()
    }

    fn refused(block: impl AsRef<[u8]>) -> String {
        decode(&schema(), Rows::JsonLines(block.as_ref())).unwrap_err().to_string()
    }

    #[test]
    fn every_type_is_read() {
        let rows = read(concat!(
            r#"{"id":"a\u00e9\n","flag":true,"count":-9223372036854775808,"mean":0.30000000000000004,"#,
            r#""day":"2024-02-29","at":"2024-01-31T14:00:00+02:00","extra":{"b":[1.0,null], "a":"x"}}"#
        ));
        assert_eq!(rows.schema(), schema().arrow);
        assert_eq!(rows.column(0).as_string::<i32>().value(0), "aé\n");
        assert!(rows.column(1).as_boolean().value(0));
        assert_eq!(rows.column(2).as_primitive::<Int64Type>().value(0), i64::MIN);
        assert_eq!(rows.column(3).as_primitive::<Float64Type>().value(0), 0.300_000_000_000_000_04);
        assert_eq!(rows.column(4).as_primitive::<Date32Type>().value(0), 19_782);
        assert_eq!(rows.column(5).as_primitive::<TimestampMicrosecondType>().value(0), 1_706_702_400_000_000);
        assert_eq!(rows.column(6).as_string::<i32>().value(0), r#"{"b":[1.0,null], "a":"x"}"#);
    }

    #[test]
    fn keys_come_in_any_order_and_nullable_ones_may_be_left_out() {
        let rows = read("{\"count\":1,\"id\":\"a\"}\r\n\n  \r\n{\"mean\":2,\"id\":\"b\",\"count\":null}");
        assert_eq!(rows.num_rows(), 2);
        assert_eq!(rows.column(0).as_string::<i32>().value(1), "b");
        assert_eq!(rows.column(2).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None]);
        assert_eq!(rows.column(3).as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), [None, Some(2.0)]);
        assert_eq!(rows.column(6).null_count(), 2);
    }

    #[test]
    fn a_block_without_rows_is_an_empty_batch() {
        for block in ["", "\n", " \r\n\t\n"] {
            assert_eq!(read(block).num_rows(), 0, "{block:?}");
        }
    }

    #[test]
    fn json_of_any_kind_stays_as_it_was_written() {
        for value in ["1", "-0.10", "\"x\\ud83d\\ude00\"", "true", "[]", "{}", "12345678901234567890123.5"] {
            let rows = read(&format!("{{\"id\":\"a\",\"extra\":{value}}}"));
            assert_eq!(rows.column(6).as_string::<i32>().value(0), value);
        }
        let rows = read("{\"id\":\"a\",\"extra\":{\r\"b\":1}}");
        assert_eq!(rows.column(6).as_string::<i32>().value(0), "{ \"b\":1}");
    }

    #[test]
    fn what_does_not_fit_is_named_by_row_and_column() {
        let second = |row: &str| refused(format!("{{\"id\":\"a\"}}\n\n{row}\n"));
        assert_eq!(
            second(r#"{"id":"b","PRCP":1}"#),
            "row 2: key `PRCP` is no column of output `daily`; it has id, flag, count, mean, day, at, extra"
        );
        assert_eq!(second(r#"{"id":"b","id":"c"}"#), "row 2 has key `id` twice");
        assert_eq!(second(r#"{"id":"b","count":null,"count":1}"#), "row 2 has key `count` twice");
        assert_eq!(second(r#"{"count":1}"#), "row 2: column `id` has no value, and it is not nullable");
        assert_eq!(second(r#"{"id":null}"#), "row 2: column `id` has no value, and it is not nullable");
        assert_eq!(second(r#"{"id":7}"#), "row 2: column `id` takes a string, found `7`");
        assert_eq!(second(r#"["b"]"#), "row 2 is not a JSON object: `[\"b\"]`");
        assert!(second(r#"{"id":"b""#).starts_with("row 2 is not JSON: EOF while parsing an object at byte 9"));
        assert!(second(r#"{"id":"b"} {"id":"c"}"#).starts_with("row 2 is not JSON: trailing characters"));
        assert!(second(r#"{"id":"b","extra":{"x":}}"#).starts_with("row 2 is not JSON: expected value"));
    }

    #[test]
    fn no_value_is_bent_to_fit() {
        for (column, value) in [
            ("flag", "1"),
            ("flag", "\"true\""),
            ("count", "1.0"),
            ("count", "1e3"),
            ("count", "\"1\""),
            ("count", "9223372036854775808"),
            ("mean", "\"1\""),
            ("mean", "1e999"),
            ("mean", "true"),
            ("day", "\"2024-02-30\""),
            ("day", "20240101"),
            ("at", "\"2024-01-31\""),
            ("at", "\"2024-01-31T12:00:00\""),
            ("at", "1706702400"),
            ("id", "\"\\ud800\""),
            ("id", "[\"a\",\"b\"]"),
        ] {
            let text = match column {
                "id" => format!("{{\"id\":{value}}}"),
                _ => format!("{{\"id\":\"a\",\"{column}\":{value}}}"),
            };
            let error = refused(&text);
            assert!(error.starts_with(&format!("row 1: column `{column}` takes ")), "{text}: {error}");
            assert!(error.ends_with(&format!("found `{value}`")), "{text}: {error}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_named_by_line() {
        assert_eq!(refused(b"{\"id\":\"a\"}\n{\"id\":\"\xff\"}"), "line 2 is not UTF-8");
    }

    #[test]
    fn long_values_are_cut_in_the_sentence() {
        let error = refused(format!("{{\"id\":\"a\",\"count\":\"{}\"}}", "é".repeat(1000)));
        assert!(error.len() < 300 && error.ends_with("…`"), "{error}");
    }

    #[test]
    fn small_lines_cannot_make_large_batches() {
        let columns = (0..2_000).map(|n| Column { name: format!("c{n}"), kind: ColumnType::Boolean, nullable: true });
        let wide = OutputSchema::new("wide", columns.collect(), objects(CSV)).unwrap();
        let rows = MAX_DECODED_BYTES / (2_000 * 8) + 1;
        let error = decode(&wide, Rows::JsonLines("{}\n".repeat(rows).as_bytes())).unwrap_err();
        assert!(matches!(error, BadRows::TooLarge(_)), "{error}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_bytes_panic(block: Vec<u8>) {
            let _ = decode(&schema(), Rows::JsonLines(&block));
        }

        #[test]
        fn any_text_and_number_survives(id: String, count: i64, mean in proptest::num::f64::NORMAL) {
            let line = serde_json::json!({ "id": id, "count": count, "mean": mean }).to_string();
            let rows = read(&line);
            assert_eq!(rows.column(0).as_string::<i32>().value(0), id);
            assert_eq!(rows.column(2).as_primitive::<Int64Type>().value(0), count);
            assert_eq!(rows.column(3).as_primitive::<Float64Type>().value(0), mean);
        }
    }
}
