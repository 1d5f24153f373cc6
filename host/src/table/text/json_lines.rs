//! JSON lines: one object a line. A column that a line leaves out is null there.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::plan::Plan;
use super::super::request::{Request, ValueType};
use super::columns::{Columns, texts};
use super::input::{Decoder, LONGEST, Text};
use crate::object::ObjectError;

/// Without names, the columns are those of so many first rows.
const LOOKED_AT: usize = 1_000;

/// The columns that lines may have.
pub(in super::super) struct Names {
    pub(in super::super) schema: SchemaRef,
    /// Whether a line with another one is an error: then nobody has named them.
    are_all: bool,
}

/// The columns that are asked for, or those of the first rows.
pub(in super::super) async fn json_names(text: &mut Text, request: &Request) -> Result<Names, ObjectError> {
    if let Some(wanted) = &request.columns {
        let mut names: Vec<String> = wanted.iter().map(|wanted| wanted.name.clone()).collect();
        for condition in &request.conditions {
            if !names.contains(&condition.column) {
                names.push(condition.column.clone());
            }
        }
        return Ok(Names { schema: texts(&names), are_all: false });
    }
    let mut head = Vec::new();
    while head.len() <= LONGEST && text.fetch().await? {
        head.extend_from_slice(&std::mem::take(&mut text.chunk));
        if head.contains(&b'\n') {
            break;
        }
    }
    let (mut names, mut known) = (Vec::new(), HashMap::new());
    let whole = head.iter().rposition(|byte| *byte == b'\n').map_or(head.len(), |end| end + 1);
    for line in head[..whole].split(|byte| *byte == b'\n').filter(|line| !is_blank(line)).take(LOOKED_AT) {
        let see = |name: &str| {
            known.entry(name.to_owned()).or_insert_with(|| names.push(name.to_owned()));
            None
        };
        // What is wrong with a line is said when it is decoded.
        let _ = parse(line, see, &mut []);
    }
    text.chunk = Bytes::from(head);
    Ok(Names { schema: texts(&names), are_all: true })
}

/// Makes rows of lines.
pub(super) struct JsonLines {
    /// The beginning of a line whose end is in another chunk.
    begun: Vec<u8>,
    line: u64,
    /// The column of a name, of all that there may be; none for one that nobody asks for.
    columns_of: HashMap<String, Option<usize>>,
    are_all: bool,
    /// Whether the values of a column stay JSON.
    are_json: Vec<bool>,
    columns: Columns,
}

impl JsonLines {
    pub(super) fn new(names: Names, plan: &Plan, block_rows: usize) -> Self {
        let needed = plan.of_file();
        let name = |column: &usize| names.schema.field(*column).name().clone();
        let planned = plan.columns.iter().chain(plan.conditions.iter().map(|(planned, _)| planned));
        let json: Vec<usize> = planned
            .filter(|planned| planned.column.value_type == ValueType::Json)
            .filter_map(|planned| planned.index())
            .collect();
        let places = names.schema.fields().iter().enumerate();
        let columns_of = places
            .map(|(column, field)| (field.name().clone(), needed.iter().position(|needed| *needed == column)))
            .collect();
        Self {
            begun: Vec::new(),
            line: 0,
            columns_of,
            are_all: names.are_all,
            are_json: needed.iter().map(|column| json.contains(column)).collect(),
            columns: Columns::new(texts(&needed.iter().map(name).collect::<Vec<_>>()), block_rows),
        }
    }

    fn push(&mut self, line: &[u8]) -> Result<(), String> {
        self.line += 1;
        let line = if self.line == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        if is_blank(line) {
            return Ok(());
        }
        let mut values = vec![None; self.are_json.len()];
        let mut unknown = None;
        let find = |name: &str| {
            let found = self.columns_of.get(name);
            if found.is_none() && unknown.is_none() {
                unknown = Some(name.to_owned());
            }
            found.copied().flatten()
        };
        parse(line, find, &mut values).map_err(|error| format!("line {} is no JSON object: {error}", self.line))?;
        if let Some(name) = unknown.filter(|_| self.are_all) {
            return Err(format!("line {} has `{name}`, which no line before has: name the columns", self.line));
        }
        for (place, (value, is_json)) in values.into_iter().zip(&self.are_json).enumerate() {
            let value = value.map(RawValue::get).filter(|text| *text != "null");
            let text = match value {
                Some(text) if text.starts_with('"') && !is_json => {
                    let text: String =
                        serde_json::from_str(text).map_err(|error| format!("line {}: {error}", self.line))?;
                    Some(Cow::Owned(text))
                }
                other => other.map(Cow::Borrowed),
            };
            self.columns.push(place, text.as_deref());
        }
        self.columns.row();
        Ok(())
    }
}

impl Decoder for JsonLines {
    fn take(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut taken = 0;
        while taken < bytes.len() && !self.columns.is_full() {
            let rest = &bytes[taken..];
            let Some(end) = memchr::memchr(b'\n', rest) else {
                self.begin(rest)?;
                return Ok(bytes.len());
            };
            taken += end + 1;
            if self.begun.is_empty() {
                self.push(&rest[..end])?;
            } else {
                self.begin(&rest[..end])?;
                let line = std::mem::take(&mut self.begun);
                self.push(&line)?;
            }
        }
        Ok(taken)
    }

    fn end(&mut self) -> Result<(), String> {
        let line = std::mem::take(&mut self.begun);
        if line.is_empty() { Ok(()) } else { self.push(&line) }
    }

    fn rows(&mut self, is_over: bool) -> Result<Option<RecordBatch>, String> {
        self.columns.rows(is_over)
    }
}

impl JsonLines {
    fn begin(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.begun.len() + bytes.len() > LONGEST {
            return Err(format!("line {} is longer than {LONGEST} bytes", self.line + 1));
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// Reads the values of an object into the places that `find` gives for their names.
fn parse<'a>(
    line: &'a [u8],
    find: impl FnMut(&str) -> Option<usize>,
    values: &mut [Option<&'a RawValue>],
) -> serde_json::Result<()> {
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    Object { find, values }.deserialize(&mut deserializer)?;
    deserializer.end()
}

struct Object<'v, 'a, F> {
    find: F,
    values: &'v mut [Option<&'a RawValue>],
}

impl<'a, F: FnMut(&str) -> Option<usize>> DeserializeSeed<'a> for Object<'_, 'a, F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a, F: FnMut(&str) -> Option<usize>> Visitor<'a> for Object<'_, 'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(place) = map.next_key_seed(Place(&mut self.find))? {
            let value = map.next_value::<&RawValue>()?;
            if let Some(place) = place
                && self.values[place].replace(value).is_some()
            {
                return Err(A::Error::custom("it has a name twice"));
            }
        }
        Ok(())
    }
}

/// The place of a name.
struct Place<'f, F>(&'f mut F);

impl<'a, F: FnMut(&str) -> Option<usize>> DeserializeSeed<'a> for Place<'_, F> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<F: FnMut(&str) -> Option<usize>> Visitor<'_> for Place<'_, F> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok((self.0)(name))
    }
}

/// Names that somebody has named.
#[cfg(test)]
pub(super) fn named(names: &[String]) -> Names {
    Names { schema: texts(names), are_all: false }
}
