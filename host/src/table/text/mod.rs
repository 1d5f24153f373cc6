//! Text: CSV and JSON lines, unpacked ahead, decoded chunk by chunk. All columns are texts here; they are cast afterwards.

mod columns;
mod csv;
mod input;
mod json_lines;

use arrow::array::RecordBatch;
use bytes::Buf as _;

use self::csv::Csv;
pub(super) use self::csv::{Header, csv_header};
use self::input::Decoder;
pub(super) use self::input::Text;
use self::json_lines::JsonLines;
pub(super) use self::json_lines::{Names, json_names};
use super::plan::Plan;
use super::source::Source;
use crate::object::ObjectError;

/// The rows of text.
pub(super) struct Rows {
    text: Text,
    decoder: Box<dyn Decoder>,
    has_ended: bool,
    pub(super) memory: u64,
}

impl Rows {
    pub(super) fn csv(text: Text, header: Header, plan: &Plan, block_rows: usize) -> Self {
        Self::new(text, Box::new(Csv::new(header, &plan.of_file(), block_rows)))
    }

    pub(super) fn json_lines(text: Text, names: Names, plan: &Plan, block_rows: usize) -> Self {
        Self::new(text, Box::new(JsonLines::new(names, plan, block_rows)))
    }

    fn new(text: Text, decoder: Box<dyn Decoder>) -> Self {
        let memory = text.memory;
        Self { text, decoder, has_ended: false, memory }
    }

    pub(super) fn source(&self) -> &Source {
        &self.text.source
    }

    pub(super) async fn fetch(&mut self) -> Result<bool, ObjectError> {
        Ok(self.text.fetch().await? || !self.has_ended)
    }

    /// Some rows of what was fetched.
    pub(super) fn decode(&mut self) -> Result<Option<RecordBatch>, ObjectError> {
        let Self { text, decoder, has_ended, .. } = self;
        let wrong = |why| text.source.invalid(why);
        if text.is_over && text.chunk.is_empty() && !*has_ended {
            decoder.end().map_err(wrong)?;
            *has_ended = true;
        }
        let taken = decoder.take(&text.chunk).map_err(wrong)?;
        text.chunk.advance(taken);
        decoder.rows(*has_ended).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::request::{Format, Request, ValueType};
    use super::csv::header;
    use super::json_lines::named;
    use super::*;
    use crate::object::Compression;

    fn fed(mut decoder: Box<dyn Decoder>, mut bytes: &[u8], sizes: &[usize]) -> Vec<RecordBatch> {
        let mut blocks = Vec::new();
        let mut sizes = sizes.iter().cycle();
        while !bytes.is_empty() {
            let size = bytes.len().min(*sizes.next().unwrap());
            let taken = decoder.take(&bytes[..size]).unwrap();
            bytes = &bytes[taken..];
            blocks.extend(decoder.rows(false).unwrap());
        }
        decoder.end().unwrap();
        blocks.extend(decoder.rows(true).unwrap());
        blocks
    }

    proptest! {
        #[test]
        fn rows_do_not_depend_on_where_the_bytes_are_cut(
            fields in prop::collection::vec(("[a-z\"\n,é]{0,6}", any::<i16>()), 0..20),
            sizes in prop::collection::vec(1_usize..30, 1..6),
            newline in any::<bool>(),
        ) {
            let (mut csv, mut json) = (Vec::new(), Vec::new());
            for (text, number) in &fields {
                let doubled = text.replace('"', "\"\"");
                csv.extend(format!("\"{doubled}\",{number}\n").bytes());
                json.extend(format!("{}\n", serde_json::json!({ "b": number, "a": text })).bytes());
            }
            if newline {
                csv.pop();
                json.pop();
            }
            let names = ["a".to_owned(), "b".to_owned()];
            let request = Request {
                format: Format::JsonLines,
                compression: Compression::None,
                columns: None,
                key_columns: true,
                conditions: Vec::new(),
                block_rows: 3,
                memory: 0,
            };
            let plan = Plan::new(&request, "k", &columns::texts(&names), |_| ValueType::Text).unwrap();
            let of_csv = |sizes: &[usize]| fed(Box::new(Csv::new(header(b',', &names), &[0, 1], 3)), &csv, sizes);
            let of_json = |sizes: &[usize]| fed(Box::new(JsonLines::new(named(&names), &plan, 3)), &json, sizes);
            let whole = of_csv(&[usize::MAX]);
            prop_assert_eq!(whole.iter().map(RecordBatch::num_rows).sum::<usize>(), fields.len());
            prop_assert!(whole.iter().all(|block| block.num_rows() <= 3));
            prop_assert_eq!(&of_csv(&sizes), &whole);
            prop_assert_eq!(&of_json(&sizes), &of_json(&[usize::MAX]));
        }
    }
}
