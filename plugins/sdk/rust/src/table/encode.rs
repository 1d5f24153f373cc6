//! Columns as a block: an Arrow IPC stream of one batch.

use super::Type;
use super::column::Column;
use super::write::{Slot, Writer};

/// The block of columns that have so many rows each.
pub(super) fn block(rows: usize, columns: &[Column]) -> Vec<u8> {
    let (mut places, mut end) = (Vec::new(), 0_usize);
    for buffer in columns.iter().flat_map(buffers) {
        places.push([end as i64, buffer.len() as i64]);
        end += buffer.len().next_multiple_of(8);
    }
    let nodes: Vec<_> = columns.iter().map(|column| [column.rows as i64, column.nulls as i64]).collect();
    let mut stream = message(SCHEMA, 0, |writer, header| schema(writer, header, columns));
    let batch = message(BATCH, end as i64, |writer, header| {
        let slots = [Slot::Long(rows as i64), Slot::Reference, Slot::Reference];
        if let [of_nodes, of_buffers] = writer.table(header, &slots)[..] {
            writer.pairs(of_nodes, &nodes);
            writer.pairs(of_buffers, &places);
        }
    });
    stream.reserve_exact(batch.len() + end + END.len());
    stream.extend_from_slice(&batch);
    for buffer in columns.iter().flat_map(buffers) {
        stream.extend_from_slice(buffer);
        // The messages are padded to eight bytes, too.
        stream.resize(stream.len().next_multiple_of(8), 0);
    }
    stream.extend_from_slice(&END);
    stream
}

/// What a column consists of, in Arrow's order. Where nothing is null, its validity is left out.
fn buffers(column: &Column) -> impl Iterator<Item = &[u8]> {
    let validity: &[u8] = if column.nulls == 0 { &[] } else { &column.validity };
    let offsets = (!column.offsets.is_empty()).then_some(&column.offsets[..]);
    [Some(validity), offsets, Some(&column.values)].into_iter().flatten()
}

fn schema(writer: &mut Writer, header: usize, columns: &[Column]) {
    for vector in writer.table(header, &[Slot::None, Slot::Reference]) {
        let fields = writer.references(vector, columns.len());
        for (field, column) in fields.into_iter().zip(columns) {
            let nullable = Slot::Byte(1);
            let slots = [
                Slot::Reference,
                nullable,
                Slot::Byte(code(column.kind)),
                Slot::Reference,
                Slot::None,
                Slot::Reference,
            ];
            if let [name, detail, children] = writer.table(field, &slots)[..] {
                writer.text(name, &column.name);
                kind(writer, detail, column.kind);
                writer.references(children, 0);
            }
        }
    }
}

// The numbers below are those of Arrow's `Message.fbs` and `Schema.fbs`.

const SCHEMA: u8 = 1;
const BATCH: u8 = 3;
const VERSION_5: i16 = 4;
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

fn message(kind: u8, body: i64, header: impl FnOnce(&mut Writer, usize)) -> Vec<u8> {
    let (mut writer, root) = Writer::new();
    let slots = [Slot::Short(VERSION_5), Slot::Byte(kind), Slot::Reference, Slot::Long(body)];
    if let [place] = writer.table(root, &slots)[..] {
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
        Type::Int64 => drop(writer.table(from, &[Slot::Int(BITS), Slot::Byte(SIGNED)])),
        Type::Float64 => drop(writer.table(from, &[Slot::Short(DOUBLE)])),
        Type::Binary | Type::Text | Type::Json | Type::Boolean => drop(writer.table(from, &[])),
        Type::Date => drop(writer.table(from, &[Slot::Short(DAY)])),
        Type::Timestamp => {
            for zone in writer.table(from, &[Slot::Short(MICROSECOND), Slot::Reference]) {
                writer.text(zone, "UTC");
            }
        }
    }
}
