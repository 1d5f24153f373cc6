//! A day of the calendar.

use std::fmt;

use serde::{Serialize, Serializer};

/// A day, as ISO 8601 writes it: `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    year: u32,
    month: u32,
    day: u32,
}

impl Day {
    /// The day that a timestamp begins with; none where it does not.
    pub(crate) fn of(timestamp: &str) -> Option<Self> {
        let bytes = timestamp.as_bytes();
        let number = |from: usize, to: usize| {
            let digits = bytes.get(from..to)?;
            digits
                .iter()
                .try_fold(0_u32, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let ends = bytes.get(10).is_none_or(|byte| matches!(byte, b'T' | b' '));
        let is_day = bytes[4] == b'-' && bytes[7] == b'-' && (1..=days(year, month)).contains(&day) && ends;
        is_day.then_some(Self { year, month, day })
    }

    /// How many days after 1970-01-01 it is.
    #[must_use]
    pub fn since_1970(self) -> i32 {
        // Years begin in March here, so that a leap day is the last of its year.
        let (month, year) = ((self.month + 9) % 12, self.year as i32 - i32::from(self.month < 3));
        let of_year = (153 * month + 2) / 5 + self.day - 1;
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        year * 365 + leap_days + of_year as i32 - 719_468
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

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_calendar_follows_the_one_before() {
        let mut expected = -719_528; // 0000-01-01
        for year in 0..10_000 {
            for month in 1..=12 {
                for day in 1..=days(year, month) {
                    let found = Day { year, month, day };
                    assert_eq!(found.since_1970(), expected, "{found}");
                    expected += 1;
                }
            }
        }
        assert_eq!(Day::of("1970-01-01").map(Day::since_1970), Some(0));
        assert_eq!(Day::of("2026-02-28T01:02:03Z").map(|day| day.to_string()).as_deref(), Some("2026-02-28"));
    }
}
