//! A day as GHCN-Daily writes it.

use std::fmt;

/// A day of the calendar, `YYYYMMDD` as a number: the order of the numbers is that of the days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(u32);

impl Day {
    /// Reads `YYYYMMDD`; none where that is no day.
    ///
    /// Every row that counts has one, so the eight digits are read at once, as the bytes of one word.
    #[inline]
    pub(crate) fn parse(field: &[u8]) -> Option<Self> {
        const HIGH_HALVES: u64 = u64::from_le_bytes([0xf0; 8]);
        const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
        const SIXES: u64 = u64::from_le_bytes([6; 8]);
        let word = u64::from_le_bytes(field.try_into().ok()?);
        // `0` to `9` are 0x30 to 0x39; six more than the next byte, 0x3a, is 0x40.
        let all_digits = word & HIGH_HALVES == ZEROS && (word.wrapping_add(SIXES)) & HIGH_HALVES == ZEROS;
        if !all_digits {
            return None;
        }
        // Ten times each digit plus the next: every other byte is then a number of two digits, and none overflows.
        let digits = word ^ ZEROS;
        let [century, _, year, _, month, _, day, _] = (digits * 10 + (digits >> 8)).to_le_bytes().map(u32::from);
        let year = century * 100 + year;
        let exists = (1..=12).contains(&month) && day >= 1 && (day <= 28 || day <= days(year, month));
        exists.then_some(Self(year * 10_000 + month * 100 + day))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = self;
        write!(f, "{:04}-{:02}-{:02}", number / 10_000, number / 100 % 100, number % 100)
    }
}

/// The number of days of a month.
fn days(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_is_read_and_no_other() {
        let mut number = 0;
        for year in 1800..2200 {
            for month in 0..=99 {
                for day in 0..=99 {
                    let field = format!("{year:04}{month:02}{day:02}");
                    let parsed = Day::parse(field.as_bytes());
                    let exists = matches!(month, 1..=12) && day >= 1 && day <= days(year, month);
                    assert_eq!(parsed.map(|day| day.to_string().replace('-', "")), exists.then_some(field));
                    number += u32::from(exists);
                }
            }
        }
        assert_eq!(number, 400 * 365 + 97); // A Gregorian cycle has 97 leap days.
    }

    #[test]
    fn every_byte_that_is_no_digit_is_seen_everywhere() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut field = *b"20001111";
                field[place] = byte;
                assert!(byte.is_ascii_digit() || Day::parse(&field).is_none(), "{field:?}");
            }
        }
        assert_eq!(Day::parse(b"2000111"), None);
        assert_eq!(Day::parse(b"200011110"), None);
    }
}
