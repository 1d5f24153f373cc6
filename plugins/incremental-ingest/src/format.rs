//! A file of the raw zone, with types, and once more without what nobody may see.

use std::iter::repeat_n;

use gristmill_plugin::Failure;
use gristmill_plugin::table::{self, Block, Columns, Format, Type};

use crate::item::File;
use crate::land::{copied, loaded};
use crate::mask::{Hasher, Mask, partial, truncated, truncated_instant};
use crate::settings::{Kind, Settings};

/// Reads the file into both zones, and says how many rows it has.
pub(crate) fn format(file: &File, settings: &Settings) -> Result<usize, Failure> {
    let hasher = hasher(settings)?;
    let mut rows = 0;
    for block in typed(file, settings)? {
        let block = block?;
        let mut original = loaded(Columns::to("original"), &file.partition, block.rows())?;
        let mut masked = loaded(Columns::to("masked"), &file.partition, block.rows())?;
        for (name, kind) in own(&block) {
            original = copied(original, &block, name, kind)?;
            let mask = settings.columns.get(name).map_or(Mask::default(), |column| column.mask);
            masked = masked_column(masked, &block, (name, kind), mask, hasher.as_ref())?;
        }
        original.emit()?;
        masked.emit()?;
        rows += block.rows();
    }
    Ok(rows)
}

/// The columns of the table. Those that say where rows lie stand in the path.
fn own(block: &Block) -> impl Iterator<Item = (&str, Type)> {
    block.columns().filter(|(name, _)| ![crate::LOAD, crate::LOAD_DATE, crate::WINDOW].contains(name))
}

/// The blocks of a file, each column as the settings want it.
fn typed(file: &File, settings: &Settings) -> Result<table::Blocks, Failure> {
    let there = table::open(&file.uri).format(Format::Parquet).block_rows(1).blocks()?.columns();
    let mut typed = table::open(&file.uri).format(Format::Parquet);
    for (name, kind) in &there {
        let wanted = settings.columns.get(name).and_then(|column| column.r#type);
        typed = typed.column(name, wanted.map_or(*kind, Kind::of_table));
    }
    if let Some(name) = settings.columns.keys().find(|name| there.iter().all(|(there, _)| there != *name)) {
        let why = format!("the table has no column `{name}` (any more), and `[settings.columns]` names it");
        return Err(Failure::reject("NoColumn", why));
    }
    typed.blocks()
}

fn hasher(settings: &Settings) -> Result<Option<Hasher>, Failure> {
    let hashed = settings.columns.iter().find(|(_, column)| column.mask == Mask::Hash);
    match (hashed, &settings.hash_key) {
        (Some((name, _)), None) => {
            let why = format!("`{name}` is to be hashed, and `hash_key` is not set");
            Err(Failure::reject("NoKey", why))
        }
        (_, key) => Ok(key.as_deref().and_then(Hasher::new)),
    }
}

fn masked_column(
    columns: Columns,
    block: &Block,
    (name, kind): (&str, Type),
    mask: Mask,
    hasher: Option<&Hasher>,
) -> Result<Columns, Failure> {
    let misplaced = |what: &str| {
        let why = format!("`{name}` is of type {kind:?}, which has no {what}: mask it otherwise");
        Failure::reject("BadMask", why)
    };
    match (mask, kind) {
        (Mask::Keep, _) => copied(columns, block, name, kind),
        (Mask::Null, _) => nulls(columns, block, name, kind),
        (Mask::Hash, _) => {
            let Some(hasher) = hasher else { return nulls(columns, block, name, Type::Text) };
            let hashes: Vec<Option<String>> = match kind {
                Type::Int64 => block.i64(name)?.iter().map(|n| n.map(|n| hasher.hash(&n.to_string()))).collect(),
                Type::Text | Type::Json => {
                    block.text(name)?.iter().map(|text| text.map(|text| hasher.hash(text))).collect()
                }
                _ => return Err(misplaced("hash")),
            };
            Ok(columns.text(name, hashes.iter().map(Option::as_deref)))
        }
        (Mask::Partial, Type::Text) => {
            let ends: Vec<Option<String>> = block.text(name)?.iter().map(|text| text.map(partial)).collect();
            Ok(columns.text(name, ends.iter().map(Option::as_deref)))
        }
        (Mask::Partial, _) => Err(misplaced("end")),
        (Mask::Year | Mask::Month, Type::Date) => {
            Ok(columns.date(name, block.date(name)?.iter().map(|day| day.map(|day| truncated(day, mask)))))
        }
        (Mask::Year | Mask::Month, Type::Timestamp) => {
            Ok(columns
                .timestamp(name, block.timestamp(name)?.iter().map(|at| at.map(|at| truncated_instant(at, mask)))))
        }
        (Mask::Year | Mask::Month, _) => Err(misplaced("year")),
    }
}

fn nulls(columns: Columns, block: &Block, name: &str, kind: Type) -> Result<Columns, Failure> {
    let rows = block.rows();
    Ok(match kind {
        Type::Boolean => columns.bool(name, repeat_n(None, rows)),
        Type::Int64 => columns.i64(name, repeat_n(None, rows)),
        Type::Float64 => columns.f64(name, repeat_n(None, rows)),
        Type::Date => columns.date(name, repeat_n(None, rows)),
        Type::Timestamp => columns.timestamp(name, repeat_n(None, rows)),
        Type::Text | Type::Json | Type::Binary => columns.text(name, repeat_n(None::<&str>, rows)),
    })
}

impl Kind {
    fn of_table(self) -> Type {
        match self {
            Self::Boolean => Type::Boolean,
            Self::Int64 => Type::Int64,
            Self::Float64 => Type::Float64,
            Self::Text => Type::Text,
            Self::Date => Type::Date,
            Self::Timestamp => Type::Timestamp,
        }
    }
}
