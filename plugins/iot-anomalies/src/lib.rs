//! Sensor readings that leave their thresholds: one row for each reading.
//!
//! An item is a file of readings (`{"uri": "s3://..."}`), which is cheap, or a reading itself, as Step Functions' own readers of
//! Parquet and CSV give it.

mod item;
pub mod logic;
pub mod settings;

use gristmill_plugin::table::{self, Block, Type};
use gristmill_plugin::{AnyBatchInput, Call, ColumnType, Failure, Manifest, Output, Rows};
use item::Item;
use logic::{Counts, METRICS, Reading, Summary};
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
    let (mut rows, mut counts) = (Rows::<Summary>::to("readings"), Counts::default());
    match call.item {
        Item::Reading(reading) => rows.emit(&counts.summary(&reading, &call.settings)?)?,
        Item::File { uri } => {
            let readings = table::open(&uri).column("deviceid", Type::Text).column("timestamp", Type::Text);
            let readings = METRICS.iter().fold(readings, |all, name| all.optional(name, Type::Float64));
            for block in readings.blocks()? {
                file(&block?, &uri, &call.settings, &mut counts, &mut rows)?;
            }
        }
    }
    rows.flush()?;
    Ok(counts)
}

fn file(
    block: &Block,
    uri: &str,
    settings: &Settings,
    counts: &mut Counts,
    rows: &mut Rows<Summary>,
) -> Result<(), Failure> {
    let (devices, timestamps) = (block.text("deviceid")?, block.text("timestamp")?);
    let mut columns = Vec::with_capacity(METRICS.len());
    for name in METRICS {
        columns.push(block.f64(name)?);
    }
    for row in 0..block.rows() {
        let mut values = [None; METRICS.len()];
        for (value, column) in values.iter_mut().zip(&columns) {
            *value = column.get(row);
        }
        let reading = Reading { deviceid: devices.get(row), timestamp: timestamps.get(row), values };
        let number = counts.readings + 1;
        let summary = counts.summary(&reading, settings);
        rows.emit(&summary.map_err(|failure| {
            Failure::reject(failure.code().to_owned(), format!("{uri}, row {number}: {}", failure.message()))
        })?)?;
    }
    Ok(())
}
