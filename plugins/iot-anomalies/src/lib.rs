//! Sensor readings that leave their thresholds: one row for each reading.
//!
//! An item is a file of readings (`{"uri": "s3://..."}`), which is cheap, or a reading itself, as Step Functions' own readers of
//! Parquet and CSV give it.

mod item;
pub mod logic;
pub mod settings;

use gristmill_plugin::table::{self, Block, Columnar, Type};
use gristmill_plugin::{AnyBatchInput, Call, ColumnType, Failure, Manifest, Output};
use item::Item;
use logic::{Counts, METRICS, Reading};
use settings::Settings;

gristmill_plugin::export!(describe, process);

fn describe() -> Manifest {
    gristmill_plugin::manifest!().settings_schema(Settings::SCHEMA).output(
        Output::new("readings", "What each reading says of its device's health.")
            .column("deviceid", ColumnType::Text)
            .column("readingtimestamp", ColumnType::Text)
            .column("analysisdate", ColumnType::Date)
            .column("readingscount", ColumnType::Int64)
            .column("metrics", ColumnType::Json)
            .column("anomalies", ColumnType::Json)
            .column("anomalycount", ColumnType::Int64)
            .column("healthstatus", ColumnType::Text),
    )
}

fn process(call: Call<Settings, Item, AnyBatchInput>) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    let mut rows = Columnar::to("readings");
    match call.item {
        Item::Reading(reading) => rows.emit(&counts.summary(&reading.as_deref(), &call.settings)?)?,
        Item::File { uri } => {
            let readings = table::open(&uri).column("deviceid", Type::Text).column("timestamp", Type::Text);
            let readings = METRICS.iter().fold(readings, |all, name| all.optional(name, Type::Float64));
            for block in readings.blocks()? {
                let block = block?;
                for reading in readings_of(&block)? {
                    let number = counts.readings + 1;
                    let summary = counts.summary(&reading, &call.settings).map_err(|failure| {
                        let why = format!("{uri}, row {number}: {}", failure.message());
                        Failure::reject(failure.code().to_owned(), why)
                    })?;
                    rows.emit(&summary)?;
                }
            }
        }
    }
    Ok(counts)
}

/// The readings of a block, in order.
fn readings_of(block: &Block) -> Result<impl Iterator<Item = Reading<&str>>, Failure> {
    let (devices, timestamps) = (block.text("deviceid")?, block.text("timestamp")?);
    let mut columns = Vec::with_capacity(METRICS.len());
    for name in METRICS {
        columns.push(block.f64(name)?);
    }
    Ok((0..block.rows()).map(move |row| {
        let mut values = [None; METRICS.len()];
        for (value, column) in values.iter_mut().zip(&columns) {
            *value = column.get(row);
        }
        Reading { deviceid: devices.get(row), timestamp: timestamps.get(row), values }
    }))
}
