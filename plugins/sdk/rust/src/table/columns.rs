//! Columns on their way to an output: many rows at once, without JSON.

use super::Type;
use super::write::{Slot, Writer};
use crate::Failure;
use crate::bindings::gristmill::plugin::output as host;

/// Columns of one length, which are rows of an output.
///
/// ```no_run
/// use gristmill_plugin::table::Columns;
///
/// # fn main() -> Result<(), gristmill_plugin::Failure> {
/// Columns::to("hot")
///     .text("deviceid", ["a", "b"])
///     .f64("temperature", [Some(35.5), None])
///     .emit()
/// # }
/// ```
#[must_use]
pub struct Columns {
    output: &'static str,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    kind: Type,
    rows: usize,
    nulls: usize,
    /// A bit for each row; none of them is set where it is null.
    validity: Vec<u8>,
    /// The ends of texts; empty for the other types.
    offsets: Vec<u8>,
    values: Vec<u8>,
}

impl Columns {
    /// Columns for this output.
    pub fn to(output: &'static str) -> Self {
        Self { output, columns: Vec::new() }
    }

    /// A column of texts, or of JSON texts where the output has those. A null is `None`, as in all columns.
    pub fn text<'a>(self, name: &str, values: impl IntoIterator<Item = impl Into<Option<&'a str>>>) -> Self {
        let mut column = Column::new(name, Type::Text);
        column.offsets.extend([0; 4]);
        for value in values {
            let value = value.into();
            column.values.extend(value.unwrap_or_default().as_bytes());
            // More than that is refused when it is emitted.
            column.offsets.extend((column.values.len() as u32).to_le_bytes());
            column.row(value.is_some());
        }
        self.with(column)
    }

    /// A column of numbers, which have to be finite.
    pub fn f64(self, name: &str, values: impl IntoIterator<Item = impl Into<Option<f64>>>) -> Self {
        self.fixed(name, Type::Float64, values, f64::to_le_bytes)
    }

    /// A column of integers.
    pub fn i64(self, name: &str, values: impl IntoIterator<Item = impl Into<Option<i64>>>) -> Self {
        self.fixed(name, Type::Int64, values, i64::to_le_bytes)
    }

    /// A column of days since 1970-01-01.
    pub fn date(self, name: &str, values: impl IntoIterator<Item = impl Into<Option<i32>>>) -> Self {
        self.fixed(name, Type::Date, values, i32::to_le_bytes)
    }

    /// A column of instants, in microseconds since 1970-01-01T00:00:00Z.
    pub fn timestamp(self, name: &str, values: impl IntoIterator<Item = impl Into<Option<i64>>>) -> Self {
        self.fixed(name, Type::Timestamp, values, i64::to_le_bytes)
    }

    /// A column of true and false.
    pub fn bool(self, name: &str, values: impl IntoIterator<Item = impl Into<Option<bool>>>) -> Self {
        let mut column = Column::new(name, Type::Boolean);
        for value in values {
            let value = value.into();
            push(&mut column.values, column.rows, value.unwrap_or_default());
            column.row(value.is_some());
        }
        self.with(column)
    }

    /// Hands them over.
    ///
    /// # Errors
    /// `OutputInvalid` where the columns are not of one length or the host refuses them, `NoSuchOutput`, `OutputTooLarge`.
    pub fn emit(self) -> Result<(), Failure> {
        let block = self.block()?;
        Ok(host::emit(self.output, &host::Rows::ArrowIpc(block))?)
    }

    /// The block that is handed over, an Arrow IPC stream.
    ///
    /// # Errors
    /// `OutputInvalid` as with [`Columns::emit`].
    pub fn block(&self) -> Result<Vec<u8>, Failure> {
        let rows = self.columns.first().map_or(0, |column| column.rows);
        if let Some(other) = self.columns.iter().find(|column| column.rows != rows) {
            let (output, first, other, many) = (self.output, &self.columns[0].name, &other.name, other.rows);
            let why = format!("columns of {output}: {first} has {rows} rows, {other} has {many}");
            return Err(Failure::reject("OutputInvalid", why));
        }
        if let Some(large) = self.columns.iter().find(|column| i32::try_from(column.values.len()).is_err()) {
            let why = format!("column {} of {} has more than 2 GiB: emit fewer rows at once", large.name, self.output);
            return Err(Failure::reject("OutputInvalid", why));
        }
        let mut stream = message(SCHEMA, 0, |writer, header| self.schema(writer, header));
        let (mut buffers, mut body) = (Vec::new(), Vec::new());
        for column in &self.columns {
            let validity: &[u8] = if column.nulls == 0 { &[] } else { &column.validity };
            let offsets = (!column.offsets.is_empty()).then_some(&column.offsets[..]);
            for buffer in [Some(validity), offsets, Some(&column.values)].into_iter().flatten() {
                buffers.push([body.len() as i64, buffer.len() as i64]);
                body.extend_from_slice(buffer);
                body.resize(body.len().next_multiple_of(8), 0);
            }
        }
        let nodes: Vec<_> = self.columns.iter().map(|column| [column.rows as i64, column.nulls as i64]).collect();
        stream.extend(message(BATCH, body.len() as i64, |writer, header| {
            let slots = [Slot::Long(rows as i64), Slot::Reference, Slot::Reference];
            if let [of_nodes, of_buffers] = writer.table(header, slots)[..] {
                writer.pairs(of_nodes, &nodes);
                writer.pairs(of_buffers, &buffers);
            }
        }));
        stream.extend(body);
        stream.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        Ok(stream)
    }

    fn schema(&self, writer: &mut Writer, header: usize) {
        for vector in writer.table(header, [Slot::None, Slot::Reference]) {
            let fields = writer.references(vector, self.columns.len());
            for (field, column) in fields.into_iter().zip(&self.columns) {
                let nullable = Slot::Byte(1);
                let slots = [
                    Slot::Reference,
                    nullable,
                    Slot::Byte(code(column.kind)),
                    Slot::Reference,
                    Slot::None,
                    Slot::Reference,
                ];
                if let [name, detail, children] = writer.table(field, slots)[..] {
                    writer.text(name, &column.name);
                    kind(writer, detail, column.kind);
                    writer.references(children, 0);
                }
            }
        }
    }

    fn fixed<T: Default, const N: usize>(
        self,
        name: &str,
        kind: Type,
        values: impl IntoIterator<Item = impl Into<Option<T>>>,
        bytes: impl Fn(T) -> [u8; N],
    ) -> Self {
        let mut column = Column::new(name, kind);
        for value in values {
            let value = value.into();
            column.row(value.is_some());
            column.values.extend(bytes(value.unwrap_or_default()));
        }
        self.with(column)
    }

    fn with(mut self, column: Column) -> Self {
        self.columns.push(column);
        self
    }
}

impl Column {
    fn new(name: &str, kind: Type) -> Self {
        let (name, validity, offsets, values) = (name.to_owned(), Vec::new(), Vec::new(), Vec::new());
        Self { name, kind, rows: 0, nulls: 0, validity, offsets, values }
    }

    fn row(&mut self, is_valid: bool) {
        push(&mut self.validity, self.rows, is_valid);
        self.rows += 1;
        self.nulls += usize::from(!is_valid);
    }
}

fn push(bits: &mut Vec<u8>, at: usize, is_set: bool) {
    if at.is_multiple_of(8) {
        bits.push(0);
    }
    if let Some(last) = bits.last_mut() {
        *last |= u8::from(is_set) << (at % 8);
    }
}

// The numbers below are those of Arrow's `Message.fbs` and `Schema.fbs`.

const SCHEMA: u8 = 1;
const BATCH: u8 = 3;
const VERSION_5: i16 = 4;

fn message(kind: u8, body: i64, header: impl FnOnce(&mut Writer, usize)) -> Vec<u8> {
    let (mut writer, root) = Writer::new();
    let slots = [Slot::Short(VERSION_5), Slot::Byte(kind), Slot::Reference, Slot::Long(body)];
    if let [place] = writer.table(root, slots)[..] {
        header(&mut writer, place);
    }
    let metadata = writer.finish();
    let mut bytes = vec![0xff; 4];
    bytes.extend((metadata.len() as u32).to_le_bytes());
    bytes.extend(metadata);
    bytes
}

fn code(kind: Type) -> u8 {
    match kind {
        Type::Int64 => 2,
        Type::Float64 => 3,
        Type::Binary => 4,
        Type::Text | Type::Json => 5,
        Type::Boolean => 6,
        Type::Date => 8,
        Type::Timestamp => 10,
    }
}

fn kind(writer: &mut Writer, from: usize, kind: Type) {
    const BITS: i32 = 64;
    const SIGNED: u8 = 1;
    const DOUBLE: i16 = 2;
    const DAY: i16 = 0;
    const MICROSECOND: i16 = 2;
    match kind {
        Type::Int64 => drop(writer.table(from, [Slot::Int(BITS), Slot::Byte(SIGNED)])),
        Type::Float64 => drop(writer.table(from, [Slot::Short(DOUBLE)])),
        Type::Binary | Type::Text | Type::Json | Type::Boolean => drop(writer.table(from, [])),
        Type::Date => drop(writer.table(from, [Slot::Short(DAY)])),
        Type::Timestamp => {
            for zone in writer.table(from, [Slot::Short(MICROSECOND), Slot::Reference]) {
                writer.text(zone, "UTC");
            }
        }
    }
}
