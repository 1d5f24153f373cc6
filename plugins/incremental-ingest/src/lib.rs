//! New rows of a table of a database, in two stages. An item says by its shape which one is meant.
//!
//! *Land*: a slice of the table (`{"connection": ..., "query": ..., "parameters": ..., "window": ...}`). Its rows go to the output
//! `raw` as they are.
//!
//! *Format*: a file of the raw zone (`{"uri": ..., "partition": ...}`). Its rows go to the output `original` with the types that the
//! settings give the columns, and to `masked` without what nobody may see.

mod format;
mod item;
mod land;
pub mod mask;
pub mod settings;

use gristmill_plugin::{Call, ColumnType, Failure, Manifest, Output};
use item::Item;
use serde::Serialize;
use serde_json::Value;
use settings::Settings;

gristmill_plugin::export!(describe, process);

/// Whether a run took everything: the column that divides the zones first.
pub(crate) const LOAD: &str = "load";
/// The day on which the window stopped (UTC).
pub(crate) const LOAD_DATE: &str = "load_date";
/// The window itself, by its stop: a window that is read again replaces what it had.
pub(crate) const WINDOW: &str = "window";

fn describe() -> Manifest {
    // What columns a table has only the dataset file knows.
    let zone = |name, description| {
        Output::new(name, description)
            .column(LOAD, ColumnType::Text)
            .column(LOAD_DATE, ColumnType::Date)
            .column(WINDOW, ColumnType::Text)
    };
    gristmill_plugin::manifest!()
        .settings_schema(Settings::SCHEMA)
        .output(zone("raw", "The rows as the database gives them."))
        .output(zone("original", "The rows with their types."))
        .output(zone("masked", "The rows without what nobody may see."))
}

/// What was done: the item's entry in the batch's report.
#[derive(Serialize)]
struct Report {
    rows: usize,
}

fn process(call: Call<Settings, Item, Value>) -> Result<Report, Failure> {
    let rows = match &call.item {
        Item::Slice(slice) => land::land(slice)?,
        Item::File(file) => format::format(file, &call.settings)?,
    };
    Ok(Report { rows })
}
