//! Days and instants as values of rows.

use std::fmt;

use serde::{Serialize, Serializer};

/// By these names [`Columnar`](super::Columnar) knows them.
pub(super) const DATE: &str = "gristmill date";
pub(super) const TIMESTAMP: &str = "gristmill timestamp";

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A day, counted from 1970-01-01: a value of a `date` column, both in [`Columnar`](super::Columnar) and in
/// [`Rows`](crate::Rows), where it is written as `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

/// An instant, in microseconds from 1970-01-01T00:00:00Z: a value of a `timestamp` column, both in
/// [`Columnar`](super::Columnar) and in [`Rows`](crate::Rows), where it is written in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Date {
    /// A day of the calendar; none where it has no such day.
    #[must_use]
    pub fn from_ymd(year: u32, month: u32, day: u32) -> Option<Self> {
        if year > 9999 || !(1..=days(year, month)).contains(&day) {
            return None;
        }
        // Years begin in March here, so that a leap day is the last of its year.
        let (month, year) = ((month + 9) % 12, year as i32 - i32::from(month < 3));
        let of_year = (153 * month + 2) / 5 + day - 1;
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        Some(Self(year * 365 + leap_days + of_year as i32 - 719_468))
    }

    /// Year, month and day.
    #[must_use]
    pub fn ymd(self) -> (i64, i64, i64) {
        const DAYS_OF_400_YEARS: i64 = 146_097;
        let days = i64::from(self.0) + 719_468;
        let (era, day) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (era * 400 + year + i64::from(month < 3), month, day)
    }
}

/// The number of days of a month; 0 where there is no such month.
fn days(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (day, rest) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let (second, micros) = (rest / SECOND, rest % SECOND);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        // An i64 has fewer days of microseconds than an i32 has days.
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z", Date(day as i32))
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        serializer.serialize_newtype_struct(DATE, &self.0)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        serializer.serialize_newtype_struct(TIMESTAMP, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_calendar_follows_the_one_before() {
        let mut expected = -719_528; // 0000-01-01
        for year in 0..10_000 {
            for month in 0..14 {
                for day in 0..33 {
                    let Some(found) = Date::from_ymd(year, month, day) else { continue };
                    assert_eq!(found.0, expected);
                    assert_eq!(found.ymd(), (year.into(), month.into(), day.into()));
                    expected += 1;
                }
            }
        }
        assert_eq!(expected, 2_932_897); // 10000-01-01
        assert_eq!(Date::from_ymd(1970, 1, 1), Some(Date(0)));
        assert_eq!(Date::from_ymd(10_000, 1, 1), None);
    }

    #[test]
    fn both_are_texts_in_json() {
        assert_eq!(crate::json!([Date(-1), Date(20_512)]).to_string(), r#"["1969-12-31","2026-02-28"]"#);
        let instants = crate::json!([Timestamp(-1), Timestamp(1_767_225_600_000_001)]);
        assert_eq!(instants.to_string(), r#"["1969-12-31T23:59:59.999999Z","2026-01-01T00:00:00.000001Z"]"#);
    }
}
