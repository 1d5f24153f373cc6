//! A slice of the table, as it is.

use std::iter::repeat_n;

use gristmill_plugin::table::{Block, Columns, Type};
use gristmill_plugin::{Failure, sql};

use crate::item::{Load, Slice};
use crate::{LOAD, LOAD_DATE, WINDOW};

/// Reads the slice into the raw zone, and says how many rows it has.
pub(crate) fn land(slice: &Slice) -> Result<usize, Failure> {
    let load = slice.window.load();
    let mut rows = 0;
    let mut query = sql::query(&slice.connection, &slice.query);
    for parameter in &slice.parameters {
        query = query.bind(parameter.as_str());
    }
    for block in query.blocks()? {
        let block = block?;
        let mut columns = loaded(Columns::to("raw"), &load, block.rows())?;
        for (name, kind) in block.columns() {
            columns = copied(columns, &block, name, kind)?;
        }
        columns.emit()?;
        rows += block.rows();
    }
    Ok(rows)
}

/// The columns that say where rows lie.
pub(crate) fn loaded(columns: Columns, load: &Load, rows: usize) -> Result<Columns, Failure> {
    let date = load.date()?;
    Ok(columns
        .text(LOAD, repeat_n(load.load.as_str(), rows))
        .date(LOAD_DATE, repeat_n(date, rows))
        .text(WINDOW, repeat_n(load.window.as_str(), rows)))
}

/// One column more, as it is.
pub(crate) fn copied(columns: Columns, block: &Block, name: &str, kind: Type) -> Result<Columns, Failure> {
    Ok(match kind {
        Type::Boolean => columns.bool(name, block.bool(name)?.iter()),
        Type::Int64 => columns.i64(name, block.i64(name)?.iter()),
        Type::Float64 => columns.f64(name, block.f64(name)?.iter()),
        Type::Date => columns.date(name, block.date(name)?.iter()),
        Type::Timestamp => columns.timestamp(name, block.timestamp(name)?.iter()),
        Type::Text | Type::Json => columns.text(name, block.text(name)?.iter()),
        Type::Binary => {
            let why = format!(
                "the column `{name}` is binary, which the zones have no type for: read a view that has it encoded"
            );
            return Err(Failure::reject("BadColumn", why));
        }
    })
}
