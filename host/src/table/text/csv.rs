//! Delimited text as RFC 4180 has it. An empty field is a null.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Buf as _;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::super::request::CsvOptions;
use super::columns::{Columns, texts};
use super::input::{Decoder, LONGEST, Text};
use crate::object::ObjectError;

/// The most columns: a header may have as many as fit a row.
const MOST_COLUMNS: usize = 10_000;

/// What comes before the rows.
pub(in super::super) struct Header {
    pub(in super::super) schema: SchemaRef,
    records: Records,
}

/// Reads up to the first row, and says which columns there are.
pub(in super::super) async fn csv_header(text: &mut Text, options: &CsvOptions) -> Result<Header, ObjectError> {
    let delimiter = u8::try_from(options.delimiter).ok().filter(|byte| byte.is_ascii() && !b"\"\r\n".contains(byte));
    let delimiter = delimiter.ok_or_else(|| text.source.invalid("the delimiter has to be one character of ASCII"))?;
    let mut records = Records::new(delimiter);
    let mut names = options.names.clone();
    if options.header {
        let first = loop {
            let has_more = text.fetch().await?;
            let (taken, whole) = records.read(&text.chunk).map_err(|why| text.source.invalid(why))?;
            text.chunk.advance(taken);
            if whole || !has_more {
                break whole;
            }
        };
        if !first {
            return Err(text.source.invalid("it has no header: it is empty"));
        }
        if names.is_empty() {
            let fields = (0..records.count).map(|column| records.field(column).map(str::to_owned));
            names = fields.collect::<Result<_, _>>().map_err(|why| text.source.invalid(why))?;
        }
        records.count = 0;
    }
    if names.is_empty() || names.len() > MOST_COLUMNS {
        let why = format!("it has {} columns; say `names` or a header, of at most {MOST_COLUMNS}", names.len());
        return Err(text.source.invalid(why));
    }
    Ok(Header { schema: texts(&names), records })
}

/// Makes rows of records.
pub(super) struct Csv {
    records: Records,
    /// How many fields each record has.
    fields: usize,
    needed: Vec<usize>,
    columns: Columns,
}

impl Csv {
    pub(super) fn new(header: Header, needed: &[usize], block_rows: usize) -> Self {
        let Header { schema, records } = header;
        let names: Vec<String> = needed.iter().map(|column| schema.field(*column).name().clone()).collect();
        let columns = Columns::new(texts(&names), block_rows);
        Self { records, fields: schema.fields().len(), needed: needed.to_vec(), columns }
    }

    fn push(&mut self) -> Result<(), String> {
        let (count, line) = (self.records.count, self.records.line);
        if count != self.fields {
            return Err(format!("line {line} has {count} fields, and there are {} columns", self.fields));
        }
        for (place, column) in self.needed.iter().enumerate() {
            let field = self.records.field(*column)?;
            self.columns.push(place, (!field.is_empty()).then_some(field));
        }
        self.columns.row();
        self.records.count = 0;
        Ok(())
    }
}

impl Decoder for Csv {
    fn take(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut taken = 0;
        while taken < bytes.len() && !self.columns.is_full() {
            let (more, whole) = self.records.read(&bytes[taken..])?;
            taken += more;
            if whole {
                self.push()?;
            }
        }
        Ok(taken)
    }

    fn end(&mut self) -> Result<(), String> {
        // The last row may end without a newline.
        if self.records.read(&[])?.1 { self.push() } else { Ok(()) }
    }

    fn rows(&mut self, is_over: bool) -> Result<Option<RecordBatch>, String> {
        self.columns.rows(is_over)
    }
}

/// Records out of bytes.
struct Records {
    reader: Reader,
    /// The fields of one record, without their quotes.
    text: Vec<u8>,
    /// Where each field ends.
    ends: Vec<usize>,
    length: usize,
    count: usize,
    /// Where the record begins, from 1.
    line: u64,
}

impl Records {
    fn new(delimiter: u8) -> Self {
        let reader = ReaderBuilder::new().delimiter(delimiter).build();
        Self { reader, text: vec![0; 4096], ends: vec![0; 64], length: 0, count: 0, line: 1 }
    }

    /// Reads a record, or a part of it. Returns how many bytes it took, and whether the record is whole. No bytes mean the end.
    fn read(&mut self, bytes: &[u8]) -> Result<(usize, bool), String> {
        let mut taken = 0;
        if self.length == 0 && self.count == 0 {
            self.line = self.reader.line();
        }
        loop {
            let (result, read, written, ended) =
                self.reader.read_record(&bytes[taken..], &mut self.text[self.length..], &mut self.ends[self.count..]);
            taken += read;
            self.length += written;
            self.count += ended;
            match result {
                ReadRecordResult::InputEmpty => return Ok((taken, false)),
                ReadRecordResult::End => return Ok((taken, false)),
                ReadRecordResult::Record => {
                    self.length = 0;
                    return Ok((taken, true));
                }
                ReadRecordResult::OutputFull if self.text.len() >= LONGEST => {
                    return Err(format!("line {} is longer than {LONGEST} bytes: is a quote never closed?", self.line));
                }
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() > MOST_COLUMNS => {
                    return Err(format!("line {} has more than {MOST_COLUMNS} fields", self.line));
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            }
        }
    }

    /// A field of the record that is whole.
    fn field(&self, column: usize) -> Result<&str, String> {
        let start = column.checked_sub(1).map_or(0, |before| self.ends[before]);
        str::from_utf8(&self.text[start..self.ends[column]]).map_err(|_| format!("line {} is not UTF-8", self.line))
    }
}

/// A header that is not in the text.
#[cfg(test)]
pub(super) fn header(delimiter: u8, names: &[String]) -> Header {
    Header { schema: texts(names), records: Records::new(delimiter) }
}
