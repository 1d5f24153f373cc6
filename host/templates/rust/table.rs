//! The warmest day of each weather station. An item is a @KIND@ object, and one row comes of it.

use gristmill_plugin::ColumnType::{Date, Float64, Int64, Text};
use gristmill_plugin::table::{self, Type};
use gristmill_plugin::{Call, Failure, Manifest, Output, Rows};
use serde::Serialize;

gristmill_plugin::export!(describe, process);

/// What the plugin is. `gristmill check` compares it with the dataset file.
fn describe() -> Manifest {
    let stations = Output::new("stations", "The warmest day of each station.");
    let stations = stations.column("pk", Text).column("readings", Int64).nullable("warmest", Float64).nullable("day", Date);
    gristmill_plugin::manifest!().output(stations)
}

/// One item. The host decodes the object, and reads only the columns that are asked for. `?` hands on what is wrong with it.
fn process(call: Call) -> Result<(), Failure> {
    let readings = table::open(&call.uri()?)
        .column("station", Type::Text)
        .column("day", Type::Text)
        .column("temperature", Type::Float64);
    let mut station = Station::default();
    for block in readings.blocks()? {
        let block = block?;
        let (stations, days, temperatures) = (block.text("station")?, block.text("day")?, block.f64("temperature")?);
        for row in 0..block.rows() {
            station.add(stations.get(row), days.get(row), temperatures.get(row));
        }
    }
    if station.readings > 0 {
        Rows::to("stations").emit(&station)?;
    }
    Ok(())
}

/// A row: its fields are the output's columns.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Station {
    pk: String,
    readings: u64,
    warmest: Option<f64>,
    day: Option<String>,
}

impl Station {
    /// The logic alone. It takes values from anywhere, so that its tests need no sandbox.
    fn add(&mut self, station: Option<&str>, day: Option<&str>, temperature: Option<f64>) {
        if self.pk.is_empty() {
            self.pk = station.unwrap_or_default().to_owned();
        }
        self.readings += 1;
        // A null is a day without a measurement.
        if let Some(value) = temperature.filter(|value| self.warmest.is_none_or(|warmest| *value > warmest)) {
            (self.warmest, self.day) = (Some(value), day.map(ToOwned::to_owned));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_warmest_days_counts() {
        let mut station = Station::default();
        for (day, temperature) in [("2026-01-01", Some(1.5)), ("2026-01-02", None), ("2026-01-03", Some(1.5))] {
            station.add(Some("x"), Some(day), temperature);
        }
        let day = Some("2026-01-01".into());
        assert_eq!(station, Station { pk: "x".into(), readings: 3, warmest: Some(1.5), day });
    }
}
