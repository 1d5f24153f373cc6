//! An object of arrival: read, judged event by event, and emitted as columns.

use gristmill_plugin::table::{self, Block, Columns, Format, Texts, Type, Values};
use gristmill_plugin::{Failure, metrics, objects};

use crate::logic::arrival::{Arrival, Counts, OCCUPANCY, POINT, SPEED, TIME, Time};

const MICROS: i64 = 1_000_000;

pub(crate) fn land(uri: &str, points: Option<&[String]>) -> Result<Counts, Failure> {
    let mut arrival = Arrival::new(points);
    let mut rows = 0;
    let events = table::open(uri).format(format(uri)?).column(POINT, Type::Text).columns([TIME]);
    for block in events.column(SPEED, Type::Float64).column(OCCUPANCY, Type::Float64).blocks()? {
        let block = block?;
        land_block(&block, &mut arrival).map_err(|(row, failure)| {
            let why = format!("{uri}, row {}: {}", rows + row + 1, failure.message());
            Failure::reject(failure.code().to_owned(), why)
        })?;
        rows += block.rows();
    }
    let counts = arrival.counts();
    metrics::count("traffic_events_landed", counts.events);
    metrics::count("traffic_events_invalid", counts.invalid);
    metrics::count("traffic_events_not_configured", counts.not_configured);
    Ok(counts)
}

/// The error has the row that it is about.
fn land_block(block: &Block, arrival: &mut Arrival<'_>) -> Result<(), (usize, Failure)> {
    let of_all = |failure| (0, failure);
    let points = block.text(POINT).map_err(of_all)?;
    let occupancies = block.f64(OCCUPANCY).map_err(of_all)?;
    let times = Times::of(block).map_err(of_all)?;
    let mut kept = Vec::with_capacity(block.rows());
    for row in 0..block.rows() {
        let taken = arrival.take(points.get(row), occupancies.get(row), times.get(row));
        if let Some(second) = taken.map_err(|why| (row, Failure::reject("BadEvent", why)))? {
            kept.push((row, second));
        }
    }
    let speeds = block.f64(SPEED).map_err(of_all)?;
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    Columns::to("events")
        .text(POINT, kept.iter().map(|(row, _)| points.get(*row)))
        .i64(TIME, kept.iter().map(|(_, second)| *second))
        .f64(SPEED, kept.iter().map(|(row, _)| finite(speeds.get(*row))))
        .f64(OCCUPANCY, kept.iter().map(|(row, _)| finite(occupancies.get(*row))))
        .timestamp("recordTimestamp", kept.iter().map(|(_, second)| second * MICROS))
        .emit()
        .map_err(of_all)
}

/// Times as the file has them: Parquet has numbers, and JSON lines have JSON.
enum Times<'a> {
    Numbers(Values<'a, i64>),
    Texts(Texts<'a>),
}

impl<'a> Times<'a> {
    fn of(block: &'a Block) -> Result<Self, Failure> {
        let kind = block.columns().find(|(name, _)| *name == TIME).map(|(_, kind)| kind);
        match kind {
            Some(Type::Int64) => block.i64(TIME).map(Self::Numbers),
            Some(Type::Text) | None => block.text(TIME).map(Self::Texts),
            Some(other) => {
                let why = format!("its `{TIME}` is of type {other:?}, which is no whole number of seconds");
                Err(Failure::reject("BadEvent", why))
            }
        }
    }

    fn get(&self, row: usize) -> Time<'_> {
        match self {
            Self::Numbers(numbers) => numbers.get(row).map_or(Time::Null, Time::Seconds),
            Self::Texts(texts) => texts.get(row).map_or(Time::Null, Time::Text),
        }
    }
}

/// What is no Parquet has JSON lines: Firehose gives its objects no ending.
fn format(uri: &str) -> Result<Format, Failure> {
    const ENDINGS: [&str; 2] = [".parquet", ".pq"];
    const LINES: [&str; 3] = [".jsonl", ".json", ".ndjson"];
    const COMPRESSED: [&str; 3] = [".gz", ".zst", ".bz2"];
    let plain = COMPRESSED.iter().find_map(|ending| uri.strip_suffix(ending));
    let ends_in = |endings: &[&str]| endings.iter().any(|ending| plain.unwrap_or(uri).ends_with(ending));
    if plain.is_some() || ends_in(&LINES) {
        return Ok(Format::JsonLines);
    }
    if ends_in(&ENDINGS) || objects::open(uri)?.read(0, 4)? == b"PAR1" {
        return Ok(Format::Parquet);
    }
    Ok(Format::JsonLines)
}
