//! Traffic events in two stages. An item says by its shape which one is meant.
//!
//! *Land*: an object of arrival (`{"Key": ...}` or `{"uri": ...}`), as JSON lines or Parquet. Its events go to the output
//! `events`, which the dataset file divides by the day of the event.
//!
//! *Roll*: a day of landed events with the day before (`{"partition": ..., "files": [...], "before": [...]}`). Its rows go to the
//! output `traffic`, with averages over the last rows of each measuring point, across midnight.

mod item;
mod land;
pub mod logic;
mod roll;
pub mod settings;

use gristmill_plugin::{Bucket, Call, ColumnType, Failure, Manifest, Output};
use item::Item;
use logic::arrival::{self, OCCUPANCY, POINT, SPEED, TIME};
use serde::Serialize;
use settings::Settings;

gristmill_plugin::export!(describe, process);

fn describe() -> Manifest {
    let events = Output::new("events", "What has arrived, under the names that it came with.")
        .column(POINT, ColumnType::Text)
        .column(TIME, ColumnType::Int64)
        .nullable(SPEED, ColumnType::Float64)
        .nullable(OCCUPANCY, ColumnType::Float64)
        .column("recordTimestamp", ColumnType::Timestamp);
    let traffic = Output::new("traffic", "Each event with the averages over the last rows of its measuring point.")
        .column("uniqueId", ColumnType::Text)
        .column("recordTimestamp", ColumnType::Timestamp)
        .nullable("currentSpeed", ColumnType::Float64)
        .nullable("bezettingsgraad", ColumnType::Float64)
        .nullable("previousSpeed", ColumnType::Float64)
        .column("trafficJamIndicator", ColumnType::Int64)
        .column("trafficJamIndicatorLong", ColumnType::Int64)
        .column("speedDiffIndicator", ColumnType::Int64)
        .nullable("avgSpeed3Minutes", ColumnType::Float64)
        .nullable("avgSpeed20Minutes", ColumnType::Float64);
    gristmill_plugin::manifest!().settings_schema(Settings::SCHEMA).output(events).output(traffic)
}

/// What was done: the item's entry in the batch's report.
#[derive(Serialize)]
#[serde(untagged)]
enum Report {
    Landed(arrival::Counts),
    Rolled(roll::Counts),
}

fn process(call: Call<Settings, Item, Bucket>) -> Result<Report, Failure> {
    let Call { dataset, settings, batch_input, item, index } = call;
    let uri = match item {
        Item::Day(day) => return roll::roll(&day).map(Report::Rolled),
        Item::File(uri) => uri,
        Item::Object(item) => Call { dataset, settings: (), batch_input, item, index }.uri()?,
    };
    land::land(&uri, settings.points.as_deref()).map(Report::Landed)
}
