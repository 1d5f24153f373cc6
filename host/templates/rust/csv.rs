//! The warmest day of each weather station. An item is a CSV object, and one row comes of it.

use gristmill_plugin::ColumnType::{Date, Float64, Int64, Text};
use gristmill_plugin::csv::{Reader, Source};
use gristmill_plugin::{Call, Failure, Manifest, Output, Rows, objects};
use serde::Serialize;

gristmill_plugin::export!(describe, process);

/// What the plugin is. `gristmill check` compares it with the dataset file.
fn describe() -> Manifest {
    let stations = Output::new("stations", "The warmest day of each station.");
    let stations = stations.column("pk", Text).column("readings", Int64).nullable("warmest", Float64).nullable("day", Date);
    gristmill_plugin::manifest!().output(stations)
}

/// One item: opens the object that it names, and emits a row. `?` hands on what is wrong with the object.
fn process(call: Call) -> Result<(), Failure> {
    if let Some(station) = warmest(objects::stream(&call.uri()?)?)? {
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

/// The logic alone. It reads from anywhere, so that its tests need no sandbox.
fn warmest(object: impl Source) -> Result<Option<Station>, Failure> {
    let mut rows = Reader::new(object)?;
    let (station, day, temperature) = (rows.column("station")?, rows.column("day")?, rows.column("temperature")?);
    let mut found: Option<Station> = None;
    while let Some(row) = rows.read()? {
        let found = found.get_or_insert_default();
        if found.pk.is_empty() {
            found.pk = row.text(station)?.to_owned();
        }
        found.readings += 1;
        // An empty field is a day without a measurement.
        if row.is(temperature, "") {
            continue;
        }
        let value = row.float64(temperature)?;
        if found.warmest.is_none_or(|warmest| value > warmest) {
            (found.warmest, found.day) = (Some(value), Some(row.text(day)?.to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use gristmill_plugin::csv::Memory;

    use super::*;

    fn of(text: &str) -> Result<Option<Station>, Failure> {
        warmest(Memory::new("s3://data/readings/x.csv", [text]))
    }

    #[test]
    fn the_first_of_the_warmest_days_counts() {
        let found = of("station,day,temperature\nx,2026-01-01,1.5\nx,2026-01-02,\nx,2026-01-03,1.5\n").unwrap();
        let day = Some("2026-01-01".into());
        assert_eq!(found, Some(Station { pk: "x".into(), readings: 3, warmest: Some(1.5), day }));
    }

    #[test]
    fn what_is_no_number_rejects_the_item() {
        let failure = of("station,day,temperature\nx,2026-01-01,warm\n").unwrap_err();
        assert_eq!((failure.code(), failure.is_retry()), ("BadValue", false));
    }
}
