//! Rows as the bytes of an object: JSON lines, CSV, Parquet, compressed as the output says. The same blocks of rows give the
//! same bytes.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;

use super::cells::{self, Cell, Cells};
use super::compress::Compressor;
use super::error::SinkError;
use super::schema::OutputSchema;
use super::values;
use crate::dataset::{Format, Layout, PageCompression, SortBy, Target, TextCompression};

/// A Parquet row group is closed when its rows take this much memory, in bytes, unless the layout says otherwise.
const ROW_GROUP_BYTES: u64 = 16 << 20;

/// The writer that a Parquet file names, in the form that readers parse (`parquet.thrift`, `created_by`). Old readers ignore
/// the statistics of a writer whose name they cannot parse. It is the release and not the library, so that the bytes of a
/// release stay the same.
const CREATED_BY: &str =
    concat!("gristmill version ", env!("CARGO_PKG_VERSION"), " (build ", env!("CARGO_PKG_VERSION"), ")");

/// One object that is being encoded.
pub(super) struct Encoder {
    rows: Rows,
    /// What a text goes through behind its encoding.
    compressor: Compressor,
    /// How many bytes were taken.
    taken: u64,
}

enum Rows {
    JsonLines(JsonLines),
    Csv(Box<csv::Writer<Vec<u8>>>),
    Parquet(Box<Parquet>),
}

struct Parquet {
    writer: ArrowWriter<Vec<u8>>,
    row_group_bytes: usize,
}

impl Encoder {
    /// An object of these columns, in the form that the output's target says.
    pub(super) fn new(format: Format, schema: &OutputSchema) -> Result<Self, SinkError> {
        let (rows, compression) = match format {
            Format::JsonLines(compression) => (Rows::JsonLines(JsonLines::new(schema)), compression),
            Format::Csv(compression) => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                writer.write_record(schema.columns.iter().map(|column| &column.name)).map_err(broken)?;
                (Rows::Csv(Box::new(writer)), compression)
            }
            Format::Parquet(pages) => {
                let layout = if let Target::Objects { layout, .. } = &schema.target { Some(layout) } else { None };
                let properties = WriterProperties::builder()
                    .set_created_by(CREATED_BY.into())
                    .set_compression(codec(pages))
                    .set_sorting_columns(layout.and_then(|layout| sorting(layout, schema)));
                let writer = ArrowWriter::try_new(Vec::new(), schema.arrow.clone(), Some(properties.build()));
                let row_group_bytes = layout.and_then(|layout| layout.row_group_size).unwrap_or(ROW_GROUP_BYTES);
                let row_group_bytes = usize::try_from(row_group_bytes).unwrap_or(usize::MAX);
                let parquet = Parquet { writer: writer.map_err(broken)?, row_group_bytes };
                (Rows::Parquet(Box::new(parquet)), TextCompression::None)
            }
        };
        Ok(Self { rows, compressor: Compressor::new(compression).map_err(broken)?, taken: 0 })
    }

    /// Appends rows.
    pub(super) fn write(&mut self, schema: &OutputSchema, blocks: &[RecordBatch]) -> Result<(), SinkError> {
        match &mut self.rows {
            Rows::JsonLines(lines) => blocks.iter().try_for_each(|block| {
                let cells = Cells::of(schema, block)?;
                (0..cells.rows()).for_each(|row| lines.append(&cells, row));
                Ok(())
            }),
            Rows::Csv(writer) => {
                blocks.iter().try_for_each(|block| write_csv(writer, &Cells::of(schema, block)?).map_err(broken))
            }
            Rows::Parquet(parquet) => {
                // Each write takes the writer through all columns, and many items have a single row.
                let rows = concat_batches(&schema.arrow, blocks).map_err(broken)?;
                parquet.writer.write(&rows).map_err(broken)?;
                let is_full = parquet.writer.memory_size() >= parquet.row_group_bytes;
                if is_full { parquet.writer.flush().map_err(broken) } else { Ok(()) }
            }
        }
    }

    /// The lines of JSON that wait to be taken, if that is the format.
    pub(super) fn lines(&self) -> Option<&[u8]> {
        match &self.rows {
            Rows::JsonLines(lines) => Some(lines.ready()),
            Rows::Csv(_) | Rows::Parquet(_) => None,
        }
    }

    /// Takes the bytes that are ready.
    pub(super) fn take(&mut self) -> Result<Vec<u8>, SinkError> {
        let encoded = self.rows.take()?;
        let ready = self.compressor.add(encoded).map_err(broken)?;
        self.taken += ready.len() as u64;
        Ok(ready)
    }

    /// About how many bytes the object has by now, with what is not ready yet.
    pub(super) fn size(&self) -> u64 {
        let held_back =
            if let Rows::Parquet(parquet) = &self.rows { parquet.writer.in_progress_size() as u64 } else { 0 };
        self.taken + held_back
    }

    /// Whether finishing compresses what was held back.
    pub(super) fn holds_back(&self) -> bool {
        matches!(self.rows, Rows::Parquet(_)) || !self.compressor.is_plain()
    }

    /// Takes the bytes that are left.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, SinkError> {
        if let Rows::Parquet(parquet) = self.rows {
            return parquet.writer.into_inner().map_err(broken);
        }
        let mut bytes = self.take()?;
        bytes.append(&mut self.compressor.finish().map_err(broken)?);
        Ok(bytes)
    }
}

impl Rows {
    fn take(&mut self) -> Result<Vec<u8>, SinkError> {
        match self {
            Self::JsonLines(lines) => Ok(std::mem::take(&mut lines.out)),
            Self::Csv(writer) => {
                let next = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
                std::mem::replace(&mut **writer, next).into_inner().map_err(broken)
            }
            Self::Parquet(parquet) => Ok(std::mem::take(parquet.writer.inner_mut())),
        }
    }
}

/// What readers are told of the order of the rows. Only columns of this file can be named.
fn sorting(layout: &Layout, schema: &OutputSchema) -> Option<Vec<SortingColumn>> {
    let place =
        |name: &str| schema.columns.iter().position(|column| column.name == name).and_then(|n| n.try_into().ok());
    let column = |by: &SortBy| {
        let (column_idx, descending) = (place(&by.column)?, by.descending);
        Some(SortingColumn { column_idx, descending, nulls_first: !descending })
    };
    let columns: Vec<_> = layout.sort_by.iter().map_while(column).collect();
    (!columns.is_empty()).then_some(columns)
}

fn codec(pages: PageCompression) -> Compression {
    match pages {
        PageCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
        PageCompression::Snappy => Compression::SNAPPY,
        PageCompression::Gzip => Compression::GZIP(GzipLevel::default()),
        PageCompression::None => Compression::UNCOMPRESSED,
    }
}

/// Encoding to memory fails only for rows that no decoder has checked.
pub(super) fn broken(error: impl std::fmt::Display) -> SinkError {
    SinkError::Refused(format!("the rows cannot be encoded: {error}"))
}

/// Each row has every column, in the columns' order. So readers that look at the first rows only see all columns.
#[derive(Default)]
pub(super) struct JsonLines {
    /// For each column what comes before its value: `{"id":`, `,"flag":`.
    before: Vec<Vec<u8>>,
    out: Vec<u8>,
}

impl JsonLines {
    pub(super) fn new(schema: &OutputSchema) -> Self {
        let before = schema.columns.iter().enumerate().map(|(index, column)| {
            let separator = if index == 0 { '{' } else { ',' };
            format!("{separator}{}:", serde_json::Value::from(column.name.as_str())).into_bytes()
        });
        Self { before: before.collect(), out: Vec::new() }
    }

    /// Appends a row's line.
    pub(super) fn append(&mut self, cells: &Cells<'_>, row: usize) {
        for (before, cell) in self.before.iter().zip(cells.row(row)) {
            self.out.extend_from_slice(before);
            // Writing to memory does not fail.
            let _ = append(&mut self.out, cell);
        }
        self.out.extend_from_slice(b"}\n");
    }

    /// The lines so far.
    pub(super) fn ready(&self) -> &[u8] {
        &self.out
    }

    /// Forgets the lines so far.
    pub(super) fn clear(&mut self) {
        self.out.clear();
    }
}

/// A value as JSON.
pub(super) fn append(out: &mut Vec<u8>, cell: Cell<'_>) -> std::io::Result<()> {
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Boolean(value) => serde_json::to_writer(out, &value)?,
        Cell::Int64(value) => serde_json::to_writer(out, &value)?,
        Cell::Float64(value) => serde_json::to_writer(out, &value)?,
        Cell::Text(text) if needs_no_escape(text) => quoted(out, text.as_bytes()),
        Cell::Text(text) => serde_json::to_writer(out, text)?,
        Cell::Date(days) => match values::date_text(days) {
            Some(text) => quoted(out, &text),
            None => write!(out, "\"{}\"", cells::date(days))?,
        },
        Cell::Timestamp(micros) => match values::timestamp_text(micros) {
            Some(text) => quoted(out, &text),
            None => write!(out, "\"{}\"", cells::timestamp(micros))?,
        },
        Cell::Json(text) => out.extend_from_slice(text.as_bytes()),
    }
    Ok(())
}

fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

/// Whether a text is in JSON as it is. All bytes are looked at, because many of them at once are looked at faster than some in turn.
fn needs_no_escape(text: &str) -> bool {
    let escape = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    !text.bytes().fold(false, |found, byte| found | escape(byte))
}

/// A null is an empty field, because RFC 4180 has no other way to write it.
fn write_csv(writer: &mut csv::Writer<Vec<u8>>, cells: &Cells<'_>) -> csv::Result<()> {
    for row in 0..cells.rows() {
        for cell in cells.row(row) {
            match cell {
                Cell::Null => writer.write_field(""),
                Cell::Boolean(value) => writer.write_field(if value { "true" } else { "false" }),
                Cell::Int64(value) => writer.write_field(value.to_string()),
                Cell::Float64(value) => writer.write_field(serde_json::Value::from(value).to_string()),
                Cell::Text(text) | Cell::Json(text) => writer.write_field(text),
                Cell::Date(days) => writer.write_field(cells::date(days)),
                Cell::Timestamp(micros) => writer.write_field(cells::timestamp(micros)),
            }?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::compress::decompress;
    use super::super::tests::{CSV, FORMATS, JSON_LINES, PARQUET, all_types, objects, rows};
    use super::*;

    const LINES: &str = concat!(
        r#"{"id":"a,\"b\"\n","flag":true,"count":-3,"mean":1,"day":"2024-01-31","at":"2024-01-31T12:00:00+01:00","#,
        r#""extra":{"x":[1.50]}}"#,
        "\n",
        r#"{"id":"c"}"#
    );

    fn encode(format: Format, blocks: &[&str]) -> Vec<u8> {
        let schema = OutputSchema::new("daily", all_types(), objects(format)).unwrap();
        let mut encoder = Encoder::new(format, &schema).unwrap();
        let blocks: Vec<_> = blocks.iter().map(|lines| rows(&schema, lines)).collect();
        encoder.write(&schema, &blocks).unwrap();
        let mut bytes = encoder.take().unwrap();
        bytes.extend(encoder.finish().unwrap());
        bytes
    }

    #[test]
    fn json_lines_have_every_column_and_json_as_it_is() {
        assert_eq!(
            String::from_utf8(encode(JSON_LINES, &[LINES])).unwrap(),
            concat!(
                r#"{"id":"a,\"b\"\n","flag":true,"count":-3,"mean":1.0,"day":"2024-01-31","#,
                r#""at":"2024-01-31T11:00:00.000000Z","extra":{"x":[1.50]}}"#,
                "\n",
                r#"{"id":"c","flag":null,"count":null,"mean":null,"day":null,"at":null,"extra":null}"#,
                "\n"
            )
        );
    }

    proptest! {
        #[test]
        fn texts_are_those_of_serde_json(text in any::<String>(), plain in "[a-z \\[\u{7f}é]{0,40}", escaped in "[\"\\\\\\x00-\\x1f]{0,2}") {
            for text in [text, plain.clone(), plain + &escaped] {
                let mut out = Vec::new();
                append(&mut out, Cell::Text(&text)).unwrap();
                prop_assert_eq!(out, serde_json::to_vec(&text).unwrap());
            }
        }
    }

    #[test]
    fn csv_has_a_header_and_quotes() {
        assert_eq!(
            String::from_utf8(encode(CSV, &[LINES])).unwrap(),
            concat!(
                "id,flag,count,mean,day,at,extra\n",
                "\"a,\"\"b\"\"\n\",true,-3,1.0,2024-01-31,2024-01-31T11:00:00.000000Z,\"{\"\"x\"\":[1.50]}\"\n",
                "c,,,,,,\n"
            )
        );
    }

    #[test]
    fn the_same_rows_give_the_same_bytes() {
        let (first, second) = LINES.split_at(LINES.rfind('\n').unwrap());
        for format in FORMATS {
            let once = encode(format, &[LINES]);
            assert_eq!(once, encode(format, &[LINES]), "{format:?}");
            assert_eq!(once, encode(format, &[first, second]), "{format:?}");
            assert_ne!(once, encode(format, &[first]), "{format:?}");
        }
    }

    #[test]
    fn a_compressed_text_is_the_plain_text() {
        for compression in [TextCompression::Gzip, TextCompression::Zstd] {
            for (plain, format) in [(JSON_LINES, Format::JsonLines(compression)), (CSV, Format::Csv(compression))] {
                let bytes = encode(format, &[LINES]);
                assert_eq!(decompress(compression, &bytes), encode(plain, &[LINES]), "{format:?}");
            }
        }
    }

    #[test]
    fn parquet_is_compressed_as_it_was_asked_for() {
        use parquet::file::reader::{FileReader as _, SerializedFileReader};
        for (pages, codec) in [
            (PageCompression::default(), Compression::ZSTD(ZstdLevel::default())),
            (PageCompression::Snappy, Compression::SNAPPY),
            (PageCompression::Gzip, Compression::GZIP(GzipLevel::default())),
            (PageCompression::None, Compression::UNCOMPRESSED),
        ] {
            let bytes = bytes::Bytes::from(encode(Format::Parquet(pages), &[LINES]));
            let reader = SerializedFileReader::new(bytes).unwrap();
            let group = reader.metadata().row_group(0);
            assert!(group.columns().iter().all(|column| column.compression() == codec), "{pages:?}");
        }
    }

    /// A reader that does not find `NAME version VERSION (build HASH)` takes the statistics for those of a faulty writer.
    #[test]
    fn parquet_says_who_wrote_it_in_the_form_that_readers_parse() {
        use parquet::file::reader::FileReader as _;
        let bytes = bytes::Bytes::from(encode(PARQUET, &[LINES]));
        let reader = parquet::file::reader::SerializedFileReader::new(bytes).unwrap();
        let created_by = reader.metadata().file_metadata().created_by().unwrap();
        let (name, rest) = created_by.split_once(" version ").unwrap();
        let (version, build) = rest.split_once(" (build ").unwrap();
        assert_eq!((name, version), ("gristmill", env!("CARGO_PKG_VERSION")));
        assert!(build.ends_with(')') && !build.contains(' '), "{created_by}");
        assert!(reader.metadata().row_group(0).column(0).statistics().is_some());
    }

    #[test]
    fn a_long_parquet_object_leaves_memory_group_by_group() {
        let schema = OutputSchema::new("daily", all_types(), objects(PARQUET)).unwrap();
        let mut encoder = Encoder::new(PARQUET, &schema).unwrap();
        let mut state = 1_u64;
        let mut letter = || {
            // Text that zstd cannot make much smaller.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + (state >> 58) as u8)
        };
        let mut parts = Vec::new();
        for _ in 0..24 {
            let text: String = (0..1 << 20).map(|_| letter()).collect();
            let line = serde_json::json!({ "id": text }).to_string();
            encoder.write(&schema, &[rows(&schema, &line)]).unwrap();
            parts.push(encoder.take().unwrap().len());
        }
        assert!(
            parts.iter().any(|bytes| *bytes as u64 > ROW_GROUP_BYTES / 2),
            "nothing was given out before the end: {parts:?}"
        );
        assert!((encoder.finish().unwrap().len() as u64) < ROW_GROUP_BYTES);
    }
}
