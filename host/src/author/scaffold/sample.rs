//! The objects of a new plugin's sample: the same readings in whatever the plugin reads.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::json;

use super::from::From;
use crate::author::error::AuthorError;

const READINGS: &str = include_str!("../../../templates/sample/readings.csv");

/// A station's readings: the day, and the temperature if there was one.
struct Station<'a> {
    name: &'a str,
    readings: Vec<(&'a str, Option<f64>)>,
}

/// An object for each station, by its key.
pub(super) fn objects(from: From) -> Result<Vec<(String, Vec<u8>)>, AuthorError> {
    let stations = stations();
    let object = |station: &Station<'_>| {
        let bytes = match from {
            From::Csv | From::Lambda => csv(station),
            From::Json => lines(station),
            From::Parquet => parquet(station)?,
        };
        Ok((format!("readings/{}.{}", station.name, from.ending()), bytes))
    };
    stations.iter().map(object).collect()
}

/// The same row with another key.
pub(super) fn with_key(row: &str, key: &str) -> String {
    let rest = row.split_once(',').map_or("", |(_, rest)| rest);
    format!("{{\"pk\":{},{rest}\n", json!(key))
}

fn stations() -> Vec<Station<'static>> {
    let mut stations: Vec<Station<'static>> = Vec::new();
    for line in READINGS.lines().skip(1) {
        let mut fields = line.split(',');
        let (name, day) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let temperature = fields.next().and_then(|text| text.parse().ok());
        match stations.last_mut().filter(|station| station.name == name) {
            Some(station) => station.readings.push((day, temperature)),
            None => stations.push(Station { name, readings: vec![(day, temperature)] }),
        }
    }
    stations
}

fn csv(station: &Station<'_>) -> Vec<u8> {
    let mut text = "station,day,temperature\n".to_owned();
    for (day, temperature) in &station.readings {
        let temperature = temperature.map(|value| format!("{value:.1}")).unwrap_or_default();
        text += &format!("{},{day},{temperature}\n", station.name);
    }
    text.into_bytes()
}

fn lines(station: &Station<'_>) -> Vec<u8> {
    let line = |(day, temperature): &(&str, Option<f64>)| {
        format!("{}\n", json!({"station": station.name, "day": day, "temperature": temperature}))
    };
    station.readings.iter().map(line).collect::<String>().into_bytes()
}

fn parquet(station: &Station<'_>) -> Result<Vec<u8>, AuthorError> {
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(station.readings.iter().map(|_| station.name)));
    let days: ArrayRef = Arc::new(StringArray::from_iter_values(station.readings.iter().map(|(day, _)| day)));
    let temperatures: ArrayRef = Arc::new(station.readings.iter().map(|(_, value)| *value).collect::<Float64Array>());
    let failed = |error: String| AuthorError::Refused(format!("the sample: {error}"));
    let columns = [("station", names, false), ("day", days, false), ("temperature", temperatures, true)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| failed(error.to_string()))?;
    let mut bytes = Cursor::new(Vec::new());
    let writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None);
    let mut writer = writer.map_err(|error| failed(error.to_string()))?;
    writer.write(&batch).and_then(|()| writer.close()).map_err(|error| failed(error.to_string()))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objects_together_are_the_readings() {
        let mut all: Vec<String> = Vec::new();
        for (_, bytes) in objects(From::Csv).unwrap() {
            all.extend(String::from_utf8(bytes).unwrap().lines().skip(1).map(str::to_owned));
        }
        assert_eq!(all, READINGS.lines().skip(1).collect::<Vec<_>>());
        for (from, begin) in [(From::Json, &b"{\""[..]), (From::Parquet, b"PAR1")] {
            let objects = objects(from).unwrap();
            assert_eq!(objects.len(), 3);
            assert!(objects.iter().all(|(_, bytes)| bytes.starts_with(begin)), "{from:?}");
        }
    }

    #[test]
    fn a_row_gets_another_key() {
        assert_eq!(with_key("{\"pk\":\"a\",\"n\":1}", "k"), "{\"pk\":\"k\",\"n\":1}\n");
    }
}
