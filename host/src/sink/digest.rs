//! A digest that makes the rows of an output comparable wherever they lie: in an object of any format, or in a table.

use arrow::array::RecordBatch;
use sha2::{Digest as _, Sha256};

use super::cells::Cells;
use super::encode::JsonLines;
use super::error::SinkError;
use super::schema::OutputSchema;
use crate::job::Digest;

/// How many bytes of lines are hashed at once.
const HASHED_AT_ONCE: usize = 64 << 10;

/// A SHA-256 over rows in their order. Each row is hashed as a line of JSON with all columns in the output's order, as an
/// output of JSON lines has it. How another format is encoded, and by which version of which library, does not matter.
pub struct RowsDigest {
    lines: JsonLines,
    hash: Sha256,
    rows: u64,
    bytes: u64,
}

impl RowsDigest {
    /// Of no rows yet.
    pub fn new(schema: &OutputSchema) -> Self {
        Self { lines: JsonLines::new(schema), hash: Sha256::new(), rows: 0, bytes: 0 }
    }

    /// Adds rows with the output's Arrow schema.
    pub fn add(&mut self, schema: &OutputSchema, rows: &RecordBatch) -> Result<(), SinkError> {
        self.add_cells(&Cells::of(schema, rows)?);
        Ok(())
    }

    pub(super) fn add_cells(&mut self, cells: &Cells<'_>) {
        let mut lines = std::mem::take(&mut self.lines);
        // A few lines at a time, because all of them would take as much memory as the rows.
        for row in 0..cells.rows() {
            lines.append(cells, row);
            if lines.ready().len() >= HASHED_AT_ONCE {
                self.add_lines(0, lines.ready());
                lines.clear();
            }
        }
        self.add_lines(cells.rows(), lines.ready());
        lines.clear();
        self.lines = lines;
    }

    /// Adds this many rows that are JSON lines already.
    pub(super) fn add_lines(&mut self, rows: usize, lines: &[u8]) {
        self.rows += rows as u64;
        self.bytes += lines.len() as u64;
        self.hash.update(lines);
    }

    /// How many rows there were.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many bytes they have as JSON lines.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of all rows.
    pub fn finish(self) -> Digest {
        Digest::from(self.hash)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{CSV, PARQUET, all_types, objects, rows, table};
    use super::*;
    use crate::dataset::Target;

    fn digest(target: Target, blocks: &[String]) -> (Digest, u64, u64) {
        let schema = OutputSchema::new("daily", all_types(), target).unwrap();
        let mut digest = RowsDigest::new(&schema);
        for block in blocks {
            digest.add(&schema, &rows(&schema, block)).unwrap();
        }
        let (rows, bytes) = (digest.rows(), digest.bytes());
        (digest.finish(), rows, bytes)
    }

    #[test]
    fn it_is_the_digest_of_json_lines() {
        let line = r#"{"id":"a","flag":true,"count":null,"mean":0.5,"day":"2024-01-31","at":null,"extra":{"x":[1]}}"#;
        let text = format!("{line}\n");
        let expected = (Digest::of(text.as_bytes()), 1, text.len() as u64);
        assert_eq!(digest(table(&["id"]), &[line.into()]), expected);
        assert_eq!(digest(objects(PARQUET), &[line.into()]), expected);
        assert_eq!(digest(table(&["id"]), &[]).0, Digest::of(b""));
    }

    proptest! {
        #[test]
        fn only_rows_and_their_order_count(counts in prop::collection::vec(0_i64..3, 1..8), cut in 0_usize..8) {
            let line = |(at, count): (usize, &i64)| format!("{{\"id\":\"{at}\",\"count\":{count}}}\n");
            let lines: Vec<String> = counts.iter().enumerate().map(line).collect();
            let cut = cut.min(lines.len());
            let whole = digest(objects(CSV), &[lines.concat()]);
            prop_assert_eq!(digest(objects(CSV), &[lines[..cut].concat(), lines[cut..].concat()]), whole);
            let mut turned = lines.clone();
            turned.rotate_left(cut);
            prop_assert_eq!(digest(objects(CSV), &turned).0 == whole.0, turned == lines);
        }
    }
}
