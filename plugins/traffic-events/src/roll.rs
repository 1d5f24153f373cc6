//! A day of landed events: read into memory, and emitted with what went before.

use std::iter::repeat_n;

use gristmill_plugin::table::{self, Columns, Type};
use gristmill_plugin::{Failure, metrics};
use serde::Serialize;

use crate::item;
use crate::logic::arrival::{OCCUPANCY, POINT, SPEED, TIME};
use crate::logic::day::{Day, Event, Rows};
use crate::logic::rolling::{change, jam};

const MICROS: i64 = 1_000_000;

/// So many rows go at once, or those of a point.
const BLOCK: usize = 16 << 10;

/// What a day had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Rows that were emitted.
    rows: u64,
    /// Measuring points.
    points: u64,
    /// Events that were landed more than once, and are left out.
    duplicates: u64,
}

pub(crate) fn roll(item: &item::Day) -> Result<Counts, Failure> {
    let mut day = Day::new(item.date);
    for uri in &item.files {
        read(uri, true, |point, event| day.add(point, event))?;
    }
    for uri in &item.before {
        read(uri, false, |point, event| day.precede(point, event.second, event.speed()))?;
    }
    let mut counts = Counts::default();
    let (mut ready, mut rows) = (Vec::new(), 0);
    for point in day.into_points() {
        let of_point = point.into_rows();
        rows += of_point.events.len();
        counts.rows += of_point.events.len() as u64;
        counts.points += 1;
        counts.duplicates += of_point.duplicates;
        ready.push(of_point);
        if rows >= BLOCK {
            emit(&std::mem::take(&mut ready))?;
            rows = 0;
        }
    }
    if rows > 0 {
        emit(&ready)?;
    }
    metrics::count("traffic_events_duplicate", counts.duplicates);
    Ok(counts)
}

/// Reads a file of landed events. Of a day before nobody needs the occupancy.
fn read(
    uri: &str,
    with_occupancy: bool,
    mut take: impl FnMut(&str, Event) -> Result<(), String>,
) -> Result<(), Failure> {
    let events = table::open(uri).column(POINT, Type::Text).column(TIME, Type::Int64).column(SPEED, Type::Float64);
    let events = if with_occupancy { events.column(OCCUPANCY, Type::Float64) } else { events };
    let mut rows = 0;
    for block in events.blocks()? {
        let block = block?;
        let (points, seconds, speeds) = (block.text(POINT)?, block.i64(TIME)?, block.f64(SPEED)?);
        let occupancies = if with_occupancy { Some(block.f64(OCCUPANCY)?) } else { None };
        for row in 0..block.rows() {
            let occupancy = occupancies.and_then(|occupancies| occupancies.get(row));
            let taken = match (points.get(row), seconds.get(row)) {
                (Some(point), Some(second)) => take(point, Event::new(second, speeds.get(row), occupancy)),
                _ => Err(format!("it has no `{POINT}` or no `{TIME}`")),
            };
            taken.map_err(|why| Failure::reject("BadEvent", format!("{uri}, row {}: {why}", rows + row + 1)))?;
        }
        rows += block.rows();
    }
    Ok(())
}

fn emit(points: &[Rows]) -> Result<(), Failure> {
    let events = || points.iter().flat_map(|point| &point.events);
    let previous = || points.iter().flat_map(|point| point.previous.iter().copied());
    let of_3 = || points.iter().flat_map(|point| point.averages.of_3.iter().copied());
    let of_20 = || points.iter().flat_map(|point| point.averages.of_20.iter().copied());
    Columns::to("traffic")
        .text("uniqueId", points.iter().flat_map(|point| repeat_n(&*point.id, point.events.len())))
        .timestamp("recordTimestamp", events().map(|event| event.second * MICROS))
        .f64("currentSpeed", events().map(Event::speed))
        .f64("bezettingsgraad", events().map(Event::occupancy))
        .f64("previousSpeed", previous())
        .i64("trafficJamIndicator", of_3().map(jam))
        .i64("trafficJamIndicatorLong", of_20().map(jam))
        .i64("speedDiffIndicator", previous().zip(events()).map(|(before, event)| change(before, event.speed())))
        .f64("avgSpeed3Minutes", of_3())
        .f64("avgSpeed20Minutes", of_20())
        .emit()
}
