//! Sensor readings that leave their thresholds: one row for each reading.
//!
//! An item is a file of readings (`{"uri": "s3://..."}`), which is cheap, or a reading itself, as Step Functions' own readers of
//! Parquet and CSV give it.

pub mod day;
mod item;
pub mod logic;
pub mod settings;

use gristmill_plugin::table::{self, Block, Columns, Type};
use gristmill_plugin::{AnyBatchInput, Call, ColumnType, Failure, Manifest, Output, Rows};
use item::Item;
use logic::{Counts, METRICS, Reading, Summary};
use serde::Serialize;
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
    match call.item {
        Item::Reading(reading) => Rows::to("readings").emit(&counts.summary(&reading, &call.settings)?)?,
        Item::File { uri } => {
            let readings = table::open(&uri).column("deviceid", Type::Text).column("timestamp", Type::Text);
            let readings = METRICS.iter().fold(readings, |all, name| all.optional(name, Type::Float64));
            for block in readings.blocks()? {
                emit(&summaries(&block?, &uri, &call.settings, &mut counts)?)?;
            }
        }
    }
    Ok(counts)
}

/// Sums up each reading of a block.
fn summaries(block: &Block, uri: &str, settings: &Settings, counts: &mut Counts) -> Result<Vec<Summary>, Failure> {
    let (devices, timestamps) = (block.text("deviceid")?, block.text("timestamp")?);
    let mut columns = Vec::with_capacity(METRICS.len());
    for name in METRICS {
        columns.push(block.f64(name)?);
    }
    let summary = |row| {
        let mut values = [None; METRICS.len()];
        for (value, column) in values.iter_mut().zip(&columns) {
            *value = column.get(row);
        }
        let reading = Reading { deviceid: devices.get(row), timestamp: timestamps.get(row), values };
        let number = counts.readings + 1;
        counts.summary(&reading, settings).map_err(|failure| {
            Failure::reject(failure.code().to_owned(), format!("{uri}, row {number}: {}", failure.message()))
        })
    };
    (0..block.rows()).map(summary).collect()
}

/// Emits many rows at once.
fn emit(rows: &[Summary]) -> Result<(), Failure> {
    let (metrics, anomalies) = (json_texts(rows, |row| &row.metrics)?, json_texts(rows, |row| &row.anomalies)?);
    Columns::to("readings")
        .text("deviceid", rows.iter().map(|row| &*row.deviceid))
        .text("readingtimestamp", rows.iter().map(|row| &*row.readingtimestamp))
        .date("analysisdate", rows.iter().map(|row| row.analysisdate.since_1970()))
        .i64("readingscount", rows.iter().map(|row| row.readingscount))
        .text("metrics", metrics.iter().map(|text| &**text))
        .text("anomalies", anomalies.iter().map(|text| &**text))
        .i64("anomalycount", rows.iter().map(|row| row.anomalycount))
        .text("healthstatus", rows.iter().map(|row| row.healthstatus))
        .emit()
}

fn json_texts<T: Serialize>(rows: &[Summary], part: impl Fn(&Summary) -> &T) -> Result<Vec<String>, Failure> {
    let texts = rows.iter().map(|row| serde_json::to_string(part(row)));
    texts.collect::<Result<_, _>>().map_err(|error| Failure::reject("OutputInvalid", error))
}
