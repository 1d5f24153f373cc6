//! The keys of a batch's rows: a row without its key cannot be found again, and of two rows with one key only the last
//! would stay.

use std::collections::HashSet;
use std::fmt::Write as _;

use arrow::array::RecordBatch;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::cells::{self, Cell, Cells};
use super::error::SinkError;
use super::schema::OutputSchema;
use crate::dataset::Target;

/// The longest partition key and the longest sort key, in bytes (Amazon DynamoDB, "Constraints"). They hold for every
/// table, so that what runs locally runs in the cloud.
const MAX_KEY_BYTES: [usize; 2] = [2048, 1024];

/// A row's key is missing, or another row of the batch has it. The sentence names column, row and value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadKey(String);

impl BadKey {
    pub(super) fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

/// The most memory that a row's key takes, in bytes: a hash of 16 bytes in a table that is between half full and full, and a
/// second table for a moment while it grows.
pub(crate) const KEY_BYTES: usize = 64;

/// The keys of one output that a batch has so far, as hashes. Two different keys have the same hash with a chance of 1 in
/// 2^128, and nobody can look for such keys without the seed. An output to objects has no key, and its rows are never refused.
#[derive(Debug)]
pub struct KeySet {
    keys: HashSet<u128>,
    seed: u64,
}

/// Keys that were checked and are not taken yet.
#[derive(Debug, Default)]
#[must_use = "keys that are not inserted do not count"]
pub struct Keys(HashSet<u128>);

impl Default for KeySet {
    fn default() -> Self {
        Self { keys: HashSet::new(), seed: fastrand::u64(..) }
    }
}

impl KeySet {
    /// Checks the rows that one item emitted to the output, in order, against each other and against the batch's.
    /// Rows are counted from 1 over all blocks.
    pub fn check(&self, schema: &OutputSchema, blocks: &[RecordBatch]) -> Result<Keys, BadKey> {
        let mut keys = Keys::default();
        let columns = schema.key();
        if columns.is_empty() {
            return Ok(keys);
        }
        let (mut row, mut bytes) = (0, Vec::with_capacity(64));
        for block in blocks {
            let cells = Cells::of(schema, block).map_err(|error: SinkError| BadKey(error.to_string()))?;
            keys.0.reserve(cells.rows());
            for at in 0..cells.rows() {
                row += 1;
                let key =
                    || columns.iter().map(|column| (schema.columns[*column].name.as_str(), cells.get(at, *column)));
                bytes.clear();
                encode(key(), row, &mut bytes)?;
                let hash = xxh3_128_with_seed(&bytes, self.seed);
                if self.keys.contains(&hash) {
                    return Err(BadKey(format!("row {row}: another item of the batch has the key {}", show(key()))));
                }
                if !keys.0.insert(hash) {
                    return Err(BadKey(format!("row {row}: an earlier row has the key {}", show(key()))));
                }
            }
        }
        Ok(keys)
    }

    /// Takes keys that this set has checked; the item's rows count from now on.
    pub fn insert(&mut self, keys: Keys) {
        self.keys.extend(keys.0);
    }
}

/// What a row of this table is called in a sentence: `pk = "USW00094728", day = "2024-01-31"`. Empty without a key.
pub(super) fn describe(schema: &OutputSchema, cells: &Cells<'_>, row: usize) -> String {
    let Target::Table { .. } = schema.target else {
        return String::new();
    };
    show(schema.key().into_iter().map(|column| (schema.columns[column].name.as_str(), cells.get(row, column))))
}

/// The key as bytes: each value with its length before it, so that equal bytes mean equal keys.
fn encode<'a>(key: impl Iterator<Item = (&'a str, Cell<'a>)>, row: usize, bytes: &mut Vec<u8>) -> Result<(), BadKey> {
    for ((name, cell), limit) in key.zip(MAX_KEY_BYTES) {
        let value: &[u8] = match &cell {
            Cell::Text(text) => text.as_bytes(),
            Cell::Int64(value) | Cell::Timestamp(value) => &value.to_le_bytes(),
            Cell::Date(days) => &days.to_le_bytes(),
            _ => return Err(BadKey(format!("row {row}: key column `{name}` is null"))),
        };
        if value.is_empty() {
            return Err(BadKey(format!("row {row}: key column `{name}` is an empty string")));
        }
        if value.len() > limit {
            let length = value.len();
            return Err(BadKey(format!(
                "row {row}: key column `{name}` has {length} bytes, at most {limit} are a key"
            )));
        }
        bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
        bytes.extend_from_slice(value);
    }
    Ok(())
}

fn show<'a>(key: impl Iterator<Item = (&'a str, Cell<'a>)>) -> String {
    let mut shown = String::new();
    for (name, cell) in key {
        let separator = if shown.is_empty() { "" } else { ", " };
        let _ = match cell {
            Cell::Text(text) => write!(shown, "{separator}{name} = {text:?}"),
            Cell::Int64(value) => write!(shown, "{separator}{name} = {value}"),
            Cell::Date(days) => write!(shown, "{separator}{name} = {}", cells::date(days)),
            Cell::Timestamp(micros) => write!(shown, "{separator}{name} = {}", cells::timestamp(micros)),
            _ => write!(shown, "{separator}{name} = null"),
        };
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CSV, all_types, objects, rows, table};
    use super::*;

    fn keyed(key: &[&str]) -> OutputSchema {
        OutputSchema::new("daily", all_types(), table(key)).unwrap()
    }

    fn refused(set: &KeySet, schema: &OutputSchema, lines: &str) -> String {
        set.check(schema, &[rows(schema, lines)]).unwrap_err().to_string()
    }

    #[test]
    fn a_key_counts_only_once_it_is_inserted() {
        let (schema, mut set) = (keyed(&["id"]), KeySet::default());
        let block = [rows(&schema, r#"{"id":"a"}"#)];
        let keys = set.check(&schema, &block).unwrap();
        assert!(set.check(&schema, &block).is_ok());
        set.insert(keys);
        assert_eq!(
            refused(&set, &schema, "{\"id\":\"b\"}\n{\"id\":\"a\"}"),
            "row 2: another item of the batch has the key id = \"a\""
        );
        assert!(set.check(&schema, &[rows(&schema, r#"{"id":"b"}"#)]).is_ok());
    }

    #[test]
    fn a_key_is_doubled_within_an_item_also_over_its_blocks() {
        let (schema, set) = (keyed(&["id", "day"]), KeySet::default());
        let first = rows(&schema, "{\"id\":\"a\",\"day\":\"2024-01-01\"}\n{\"id\":\"a\",\"day\":\"2024-01-02\"}");
        assert!(set.check(&schema, std::slice::from_ref(&first)).is_ok());
        let second = rows(&schema, r#"{"id":"a","day":"2024-01-02"}"#);
        assert_eq!(
            set.check(&schema, &[first, second]).unwrap_err().to_string(),
            "row 3: an earlier row has the key id = \"a\", day = 2024-01-02"
        );
    }

    #[test]
    fn one_instant_is_one_key_however_it_is_written() {
        let (schema, set) = (keyed(&["at"]), KeySet::default());
        let lines =
            "{\"id\":\"a\",\"at\":\"2024-01-01T02:00:00+02:00\"}\n{\"id\":\"b\",\"at\":\"2024-01-01T00:00:00Z\"}";
        assert_eq!(refused(&set, &schema, lines), "row 2: an earlier row has the key at = 2024-01-01T00:00:00.000000Z");
    }

    #[test]
    fn keys_of_two_columns_do_not_run_into_each_other() {
        let columns = ["a", "b"].map(|name| crate::dataset::Column {
            name: name.into(),
            kind: crate::dataset::ColumnType::Text,
            nullable: false,
        });
        let schema = OutputSchema::new("pairs", columns.into(), table(&["a", "b"])).unwrap();
        let lines = "{\"a\":\"x\",\"b\":\"yz\"}\n{\"a\":\"xy\",\"b\":\"z\"}";
        assert!(KeySet::default().check(&schema, &[rows(&schema, lines)]).is_ok());
    }

    #[test]
    fn a_row_without_its_key_is_refused() {
        let set = KeySet::default();
        let by_count = keyed(&["count"]);
        assert_eq!(
            refused(&set, &by_count, "{\"id\":\"a\",\"count\":1}\n{\"id\":\"b\"}"),
            "row 2: key column `count` is null"
        );
        let by_id = keyed(&["id"]);
        assert_eq!(refused(&set, &by_id, r#"{"id":""}"#), "row 1: key column `id` is an empty string");
        let long = format!("{{\"id\":\"{}\"}}", "x".repeat(2049));
        assert_eq!(refused(&set, &by_id, &long), "row 1: key column `id` has 2049 bytes, at most 2048 are a key");
    }

    #[test]
    fn objects_have_no_keys() {
        let schema = OutputSchema::new("daily", all_types(), objects(CSV)).unwrap();
        let block = rows(&schema, "{\"id\":\"\"}\n{\"id\":\"\"}");
        assert!(KeySet::default().check(&schema, &[block]).is_ok());
    }
}
