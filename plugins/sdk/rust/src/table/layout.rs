//! Where the columns of a block lie: one schema message and one record batch of an Arrow IPC stream.

use std::ops::Range;

use super::flat::{Table, take, word};

/// The type of a column in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// true or false
    Boolean,
    /// A 64-bit signed integer.
    Int64,
    /// A 64-bit IEEE 754 number.
    Float64,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// A calendar day, as days since 1970-01-01.
    Date,
    /// An instant, as microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    /// A JSON text. In a block it cannot be told from [`Type::Text`].
    Json,
}

/// One column's buffers, as places in the block.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Type,
    /// None where no value is null.
    pub(super) validity: Option<Range<usize>>,
    /// The ends of texts and bytes; empty for the other types.
    pub(super) offsets: Range<usize>,
    pub(super) values: Range<usize>,
}

/// The number of rows and the columns, or what is wrong with the block.
pub(super) fn read(block: &[u8]) -> Result<(usize, Vec<Column>), &'static str> {
    let (schema, _, rest) = message(block, 0, SCHEMA)?;
    let fields = fields(schema)?;
    let (batch, body, _) = message(block, rest, BATCH)?;
    if batch.table(3).is_some() {
        return Err("its buffers are compressed");
    }
    let rows = usize::try_from(long(batch.scalar(0))).map_err(|_| "it has a negative number of rows")?;
    let nodes = batch.structs::<16>(1).ok_or("it has no nodes")?;
    let buffers = batch.structs::<16>(2).ok_or("it has no buffers")?;
    let mut buffers = buffers.iter().map(|buffer| place(buffer, &body));
    let mut buffer = || buffers.next().flatten().ok_or("a buffer is missing or lies outside of it");
    if nodes.len() != fields.len() {
        return Err("it has not one node for each column");
    }
    let mut columns = Vec::with_capacity(fields.len());
    for ((name, kind), node) in fields.into_iter().zip(nodes) {
        if usize::try_from(long(take(node, 0))) != Ok(rows) {
            return Err("its columns are not of one length");
        }
        let has_nulls = long(take(node, 8)) != 0;
        let validity = Some(buffer()?).filter(|_| has_nulls);
        let offsets = if is_variable(kind) { buffer()? } else { 0..0 };
        let column = Column { name, kind, validity, offsets, values: buffer()? };
        if !fits(&column, rows) {
            return Err("a buffer is shorter than its rows");
        }
        columns.push(column);
    }
    Ok((rows, columns))
}

const SCHEMA: u8 = 1;
const BATCH: u8 = 3;

/// A message's header, the place of its body, and where the next message begins.
fn message(block: &[u8], at: usize, kind: u8) -> Result<(Table<'_>, Range<usize>, usize), &'static str> {
    const CUT: &str = "it is cut off";
    if take(block, at) != Some([0xff; 4]) {
        return Err("a message does not begin as one");
    }
    let start = at + 8;
    let end = start.checked_add(word(block, at + 4).ok_or(CUT)?).ok_or(CUT)?;
    let root = Table::root(block.get(start..end).ok_or(CUT)?).ok_or("a message has no root")?;
    if root.scalar(1) != Some([kind]) {
        return Err("it is not one schema and one record batch");
    }
    let length = usize::try_from(long(root.scalar(3))).map_err(|_| CUT)?;
    let next = end.checked_add(length).filter(|next| *next <= block.len()).ok_or(CUT)?;
    Ok((root.table(2).ok_or("a message has no header")?, end..next, next))
}

fn fields(schema: Table<'_>) -> Result<Vec<(String, Type)>, &'static str> {
    if schema.scalar::<2>(0).is_some_and(|endianness| endianness != [0, 0]) {
        return Err("it is big-endian");
    }
    let fields = schema.tables(1).ok_or("its schema has no columns")?;
    let named = fields.map(|field| {
        let field = field.ok_or("its schema is damaged")?;
        if field.table(4).is_some() {
            return Err("a column has a dictionary");
        }
        let name = field.text(0).ok_or("a column has no name")?;
        Ok((name.to_owned(), kind(field).ok_or("a column is of a type that blocks do not have")?))
    });
    named.collect()
}

/// The numbers are those of Arrow's `Schema.fbs`.
fn kind(field: Table<'_>) -> Option<Type> {
    let [kind] = field.scalar(2)?;
    let detail = field.table(3)?;
    let unit = detail.scalar(0).map(i16::from_le_bytes);
    match kind {
        2 if detail.scalar(0).map(i32::from_le_bytes) == Some(64) && detail.scalar(1) == Some([1]) => Some(Type::Int64),
        3 if unit == Some(2) => Some(Type::Float64),
        4 => Some(Type::Binary),
        5 => Some(Type::Text),
        6 => Some(Type::Boolean),
        8 if unit == Some(0) => Some(Type::Date),
        10 if unit == Some(2) => Some(Type::Timestamp),
        _ => None,
    }
}

fn is_variable(kind: Type) -> bool {
    matches!(kind, Type::Text | Type::Binary | Type::Json)
}

fn fits(column: &Column, rows: usize) -> bool {
    let bits = rows.div_ceil(8);
    let enough = |bytes: usize, each: usize| rows.checked_mul(each).is_some_and(|needed| needed <= bytes);
    let values = match column.kind {
        Type::Boolean => bits <= column.values.len(),
        Type::Int64 | Type::Float64 | Type::Timestamp => enough(column.values.len(), 8),
        Type::Date => enough(column.values.len(), 4),
        Type::Text | Type::Binary | Type::Json => enough(column.offsets.len().saturating_sub(4), 4),
    };
    // Without rows even the first of the offsets may be missing.
    values && column.validity.as_ref().is_none_or(|validity| bits <= validity.len())
}

fn place(buffer: &[u8; 16], body: &Range<usize>) -> Option<Range<usize>> {
    let start = body.start.checked_add(usize::try_from(long(take(buffer, 0))).ok()?)?;
    let end = start.checked_add(usize::try_from(long(take(buffer, 8))).ok()?)?;
    (end <= body.end).then_some(start..end)
}

fn long(bytes: Option<[u8; 8]>) -> i64 {
    bytes.map_or(0, i64::from_le_bytes)
}
