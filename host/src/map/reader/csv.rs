//! Delimited text, read the way Step Functions reads it ("How Step Functions parses input CSV files"), which is not RFC 4180
//! and not what CSV libraries do:
//!
//! - a backslash before a backslash, a double quote or the delimiter stands for that character, also outside quotes; any
//!   other backslash is removed;
//! - a doubled double quote is one, also in a field that is not quoted;
//! - a row with too few fields is filled with empty strings, and surplus fields are skipped.
//!
//! What the documentation leaves open is settled here: a field is quoted if its first character is a double quote; a single
//! double quote elsewhere is a character like any other; blank lines are no rows; a quote that never ends is an error, and so
//! is a carriage return outside of quotes that no newline follows. Columns at the end of the first row that have no name, as
//! spreadsheets write them, are none: their fields are surplus ones.

use std::io::BufRead;

use serde_json::value::RawValue;

use super::format::{Emit, MAX_ITEM_BYTES, Stop};

/// The longest header that Step Functions reads, in bytes.
const MAX_HEADER_BYTES: usize = 10 * 1024;

/// Reads the rows; each is an object of strings, in the order of the columns.
pub(super) fn read(
    input: &mut dyn BufRead,
    headers: Option<Vec<String>>,
    delimiter: char,
    emit: &mut Emit<'_>,
) -> Result<(), Stop> {
    let delimiter = u8::try_from(delimiter).ok().filter(|byte| byte.is_ascii() && !b"\"\\\r\n".contains(byte));
    let delimiter = delimiter.ok_or_else(|| Stop::Format("the delimiter must be one of `, | ; tab space`".into()))?;
    let mut rows = Rows::new(input, delimiter);
    let mut row = Row::default();
    let headers = match headers {
        Some(headers) => headers,
        None if !rows.next(&mut row)? => return Err(Stop::Format("has no header: the object is empty".into())),
        None if row.text.len() > MAX_HEADER_BYTES => {
            return Err(Stop::Format(format!(
                "the header is longer than {MAX_HEADER_BYTES} bytes (Step Functions' limit)"
            )));
        }
        None => named(row.fields()?.map(str::to_owned).collect())?,
    };
    let keys = keys(&headers).map_err(Stop::Format)?;
    while rows.next(&mut row)? {
        emit(object(&keys, row.fields()?, row.line)?.into())?;
    }
    Ok(())
}

/// The columns up to the last one that has a name.
fn named(mut headers: Vec<String>) -> Result<Vec<String>, Stop> {
    let last = headers.iter().rposition(|name| !name.trim().is_empty());
    headers.truncate(last.ok_or_else(|| Stop::Format("has no header: its first row names no column".into()))? + 1);
    Ok(headers)
}

/// `{"name":` and then `,"name":` for each column: what stands before its value.
pub(super) fn keys(headers: &[String]) -> Result<Vec<String>, String> {
    let mut keys = Vec::with_capacity(headers.len());
    for (index, name) in headers.iter().enumerate() {
        if headers[..index].contains(name) && name.is_empty() {
            let place = index + 1;
            return Err(format!(
                "column {place} and one before it have no name: name them in the object, or give `headers`"
            ));
        }
        if headers[..index].contains(name) {
            let name: String = name.chars().take(60).collect();
            return Err(format!("two columns are named `{name}`: an item could have only one of them"));
        }
        keys.push(format!("{}{}:", if index == 0 { '{' } else { ',' }, serde_json::Value::from(name.as_str())));
    }
    Ok(keys)
}

/// A row as an object: a field for each key, empty where the row has ended.
pub(super) fn object<T: AsRef<str>>(
    keys: &[String],
    fields: impl IntoIterator<Item = T>,
    line: u64,
) -> Result<Box<RawValue>, Stop> {
    let wrong = |reason: &dyn std::fmt::Display| Stop::Format(format!("line {line}: {reason}"));
    let mut json = Vec::with_capacity(keys.iter().map(|key| key.len() + 16).sum());
    let mut fields = fields.into_iter();
    for key in keys {
        json.extend_from_slice(key.as_bytes());
        let field = fields.next();
        serde_json::to_writer(&mut json, field.as_ref().map_or("", AsRef::as_ref)).map_err(|error| wrong(&error))?;
    }
    json.push(b'}');
    let json = String::from_utf8(json).map_err(|error| wrong(&error))?;
    RawValue::from_string(json).map_err(|error| wrong(&error))
}

/// One row's fields, unquoted, end to end.
#[derive(Default)]
pub(super) struct Row {
    text: Vec<u8>,
    /// Where each field ends.
    ends: Vec<usize>,
    /// The line on which the row begins, from 1.
    pub(super) line: u64,
}

impl Row {
    pub(super) fn fields(&self) -> Result<impl Iterator<Item = &str>, Stop> {
        let text = std::str::from_utf8(&self.text);
        let text = text.map_err(|_| Stop::Format(format!("line {}: not UTF-8", self.line)))?;
        // Delimiters are ASCII, so that fields end between characters.
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        Ok(starts.zip(&self.ends).map(move |(start, &end)| text.get(start..end).unwrap_or_default()))
    }
}

/// Where in a field the parser is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Plain,
    Quoted,
    /// Behind a double quote that ends the quoted part, unless another one follows.
    QuoteInQuoted,
    /// Behind a double quote outside quotes, which is one with another that follows.
    QuoteInPlain,
}

pub(super) struct Rows<'a> {
    input: &'a mut dyn BufRead,
    delimiter: u8,
    line: u64,
}

impl<'a> Rows<'a> {
    /// The rows of a text; the delimiter is an ASCII character.
    pub(super) fn new(input: &'a mut dyn BufRead, delimiter: u8) -> Self {
        Self { input, delimiter, line: 1 }
    }

    /// Reads the next row that is not blank; false at the end.
    pub(super) fn next(&mut self, row: &mut Row) -> Result<bool, Stop> {
        row.text.clear();
        row.ends.clear();
        row.line = self.line;
        let mut at = At::Start;
        // A backslash or a carriage return whose meaning the next byte decides.
        let mut pending = None;
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return end_of_input(row, at);
            }
            let mut used = 0;
            let mut done = false;
            for &byte in buffer {
                used += 1;
                match pending.take() {
                    Some(b'\\') if byte == b'\\' || byte == b'"' || byte == self.delimiter => {
                        row.text.push(byte);
                        at = if matches!(at, At::Quoted) { At::Quoted } else { At::Plain };
                        continue;
                    }
                    Some(b'\r') if byte != b'\n' => {
                        let line = self.line;
                        return Err(Stop::Format(format!(
                            "line {line}: a carriage return that no newline follows; lines end in a newline, or in both"
                        )));
                    }
                    _ => {}
                }
                match (at, byte) {
                    (_, b'\n') if at != At::Quoted => {
                        self.line += 1;
                        if at == At::Start && row.ends.is_empty() {
                            row.line = self.line; // a blank line
                            continue;
                        }
                        row.ends.push(row.text.len());
                        done = true;
                        break;
                    }
                    (At::Start, b'"') => at = At::Quoted,
                    (At::Quoted, b'"') => at = At::QuoteInQuoted,
                    (At::QuoteInQuoted, b'"') => {
                        row.text.push(b'"');
                        at = At::Quoted;
                    }
                    (At::Plain, b'"') => {
                        row.text.push(b'"');
                        at = At::QuoteInPlain;
                    }
                    (At::QuoteInPlain, b'"') => at = At::Plain,
                    (At::Quoted, b'\\') => pending = Some(byte),
                    (At::Quoted, _) => {
                        self.line += u64::from(byte == b'\n');
                        row.text.push(byte);
                    }
                    (_, b'\\' | b'\r') => {
                        // A lone `\r` line must stay blank, so it does not begin a field.
                        pending = Some(byte);
                        if byte == b'\\' || at != At::Start {
                            at = At::Plain;
                        }
                    }
                    (_, _) if byte == self.delimiter => {
                        row.ends.push(row.text.len());
                        at = At::Start;
                    }
                    (_, _) => {
                        row.text.push(byte);
                        at = At::Plain;
                    }
                }
            }
            self.input.consume(used);
            if done {
                return Ok(true);
            }
            if row.text.len() + row.ends.len() > MAX_ITEM_BYTES {
                let reason = format!("line {}: the row is longer than {MAX_ITEM_BYTES} bytes", row.line);
                return Err(Stop::Format(format!("{reason}; is a double quote missing, or the object no CSV at all?")));
            }
        }
    }
}

/// The end of the object ends a row too. A backslash or carriage return right before it is dropped.
fn end_of_input(row: &mut Row, at: At) -> Result<bool, Stop> {
    if at == At::Quoted {
        return Err(Stop::Format(format!("line {}: the row has a double quote that never ends", row.line)));
    }
    if at == At::Start && row.ends.is_empty() {
        return Ok(false);
    }
    row.ends.push(row.text.len());
    Ok(true)
}
