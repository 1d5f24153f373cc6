//! The logic alone: it reads chunks from anywhere, so that it is tested and measured without a host.

use gristmill_plugin::Failure;
use gristmill_plugin::csv::{Column, Reader, Record, Source};
use serde::{Deserialize, Serialize};

use crate::day::Day;

/// The dataset file's `[settings]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether values that failed one of NOAA's quality checks (Q_FLAG) count too.
    pub include_flagged: bool,
}

impl Settings {
    /// Their JSON Schema.
    pub const SCHEMA: &str = r#"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "include_flagged": {
                "description": "Whether values that failed one of NOAA's quality checks (Q_FLAG) count too.",
                "type": "boolean",
                "default": false
            }
        },
        "additionalProperties": false
    }"#;
}

/// A station's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Highest {
    /// The station's ID.
    pub pk: String,
    /// The highest value, in tenths of a millimetre.
    #[serde(rename = "PRCP")]
    pub prcp: i64,
    /// The day of that value, the first one where several have it: `YYYY-MM-DD`.
    #[serde(rename = "DATE")]
    pub date: String,
}

/// What was seen of an object: the item's entry in the batch's report, also where there is no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All rows.
    pub rows: u64,
    /// Those whose ELEMENT is PRCP.
    pub prcp_rows: u64,
    /// Those of them that were passed over for their Q_FLAG.
    pub flagged_skipped: u64,
    /// Those of them that were passed over because their value is [`MISSING`].
    pub missing_skipped: u64,
}

/// What NOAA's products write where nothing was measured. In a station's file there should be no row at all.
const MISSING: i64 = -9999;

/// Finds the highest precipitation of a station's file.
///
/// # Errors
/// Rejects an object without a header or a column that is needed, and one with a PRCP row that has no whole number as
/// DATA_VALUE, no day as DATE, or another station's ID.
pub fn highest_precipitation(object: impl Source, settings: &Settings) -> Result<(Option<Highest>, Counts), Failure> {
    let mut rows = Reader::new(object)?;
    let columns = Columns {
        id: rows.column("ID")?,
        date: rows.column("DATE")?,
        value: rows.column("DATA_VALUE")?,
        quality: rows.column("Q_FLAG")?,
    };
    rows.only(rows.column("ELEMENT")?, "PRCP");

    let mut counts = Counts::default();
    let mut highest: Option<(String, i64, Day)> = None;
    while let Some(row) = rows.read()? {
        counts.prcp_rows += 1;
        if !settings.include_flagged && !row.bytes(columns.quality).is_empty() {
            counts.flagged_skipped += 1;
            continue;
        }
        let value = row.int64(columns.value)?;
        if value == MISSING {
            counts.missing_skipped += 1;
            continue;
        }
        let day = columns.day(&row)?;
        match &mut highest {
            None => highest = Some((row.text(columns.id)?.to_owned(), value, day)),
            Some((station, ..)) if !row.is(columns.id, &station) => {
                let expected = format!("{station}, the station of the rows before");
                return Err(row.bad_value(columns.id, &expected).into());
            }
            Some((_, best, best_day)) => {
                if value > *best || (value == *best && day < *best_day) {
                    (*best, *best_day) = (value, day);
                }
            }
        }
    }
    counts.rows = rows.records();
    let row = highest.map(|(pk, prcp, day)| Highest { pk, prcp, date: day.to_string() });
    Ok((row, counts))
}

struct Columns {
    id: Column,
    date: Column,
    value: Column,
    quality: Column,
}

impl Columns {
    #[inline]
    fn day(&self, row: &Record<'_>) -> Result<Day, Failure> {
        Day::parse(row.bytes(self.date)).ok_or_else(|| row.bad_value(self.date, "a day as YYYYMMDD").into())
    }
}
