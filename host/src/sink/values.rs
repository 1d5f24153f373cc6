//! Days and instants as text and as Arrow's numbers, within the years 0000 to 9999 that RFC 3339 can write.
//!
//! Instants are always written with six digits of a second, so that their order as text is their order in time. So they may be
//! a sort key.

use std::ops::RangeInclusive;

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

/// The Julian day of 1970-01-01, where Arrow's `Date32` begins.
const EPOCH: i32 = 2_440_588;

/// 0000-01-01 to 9999-12-31, in days since 1970-01-01.
pub(super) const DATES: RangeInclusive<i32> = -719_528..=2_932_896;

/// The first to the last microsecond of these days.
pub(super) const TIMESTAMPS: RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;

/// Reads `YYYY-MM-DD` as days since 1970-01-01.
pub(super) fn parse_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes[range].iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i32::from(byte - b'0')))
    };
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let month = Month::try_from(u8::try_from(digits(5..7)?).ok()?).ok()?;
    let date = Date::from_calendar_date(digits(0..4)?, month, u8::try_from(digits(8..10)?).ok()?).ok()?;
    Some(date.to_julian_day() - EPOCH)
}

/// Writes a day of [`DATES`] as `YYYY-MM-DD`.
pub(super) fn format_date(days: i32) -> Option<String> {
    String::from_utf8(date_text(days)?.into()).ok()
}

/// What [`format_date`] writes, in ASCII. Every row of an output may have one, which is why this is not left to `format!`.
pub(super) fn date_text(days: i32) -> Option<[u8; 10]> {
    let (year, month, day) = calendar(days)?;
    let mut text = *b"0000-00-00";
    digits(&mut text[..4], year.unsigned_abs());
    digits(&mut text[5..7], month.into());
    digits(&mut text[8..], day.into());
    Some(text)
}

/// Writes a number over zeros.
fn digits(zeros: &mut [u8], mut number: u32) {
    for zero in zeros.iter_mut().rev() {
        *zero += (number % 10) as u8;
        number /= 10;
    }
}

/// The year, month and day of a day of [`DATES`].
pub(super) fn calendar(days: i32) -> Option<(i32, u8, u8)> {
    let days = DATES.contains(&days).then_some(days)?;
    let (year, month, day) = Date::from_julian_day(days + EPOCH).ok()?.to_calendar_date();
    Some((year, month.into(), day))
}

/// The day of an instant in UTC, in days since 1970-01-01, and the hour of that day.
pub(super) fn day_and_hour(micros: i64) -> (i32, u8) {
    const HOUR: i64 = 3_600_000_000;
    let hours = micros.div_euclid(HOUR);
    let day = i32::try_from(hours.div_euclid(24)).unwrap_or(i32::MAX);
    (day, u8::try_from(hours.rem_euclid(24)).unwrap_or_default())
}

/// Reads RFC 3339 as microseconds since 1970; none when that would lose a digit.
pub(super) fn parse_timestamp(text: &str) -> Option<i64> {
    let nanos = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos();
    let micros = i64::try_from(nanos / 1000).ok()?;
    (nanos % 1000 == 0 && TIMESTAMPS.contains(&micros)).then_some(micros)
}

/// Writes an instant of [`TIMESTAMPS`] as `YYYY-MM-DDTHH:MM:SS.ffffffZ`.
pub(super) fn format_timestamp(micros: i64) -> Option<String> {
    String::from_utf8(timestamp_text(micros)?.into()).ok()
}

/// What [`format_timestamp`] writes, in ASCII; see [`date_text`].
pub(super) fn timestamp_text(micros: i64) -> Option<[u8; 27]> {
    const SECOND: i64 = 1_000_000;
    const DAY: i64 = 86_400 * SECOND;
    let micros = TIMESTAMPS.contains(&micros).then_some(micros)?;
    // Both fit: there are not so many days, and no day has so many seconds.
    let (day, of_day) = (micros.div_euclid(DAY) as i32, micros.rem_euclid(DAY));
    let (second, micros) = ((of_day / SECOND) as u32, (of_day % SECOND) as u32);
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    text[..10].copy_from_slice(&date_text(day)?);
    digits(&mut text[11..13], second / 3_600);
    digits(&mut text[14..16], second / 60 % 60);
    digits(&mut text[17..19], second % 60);
    digits(&mut text[20..26], micros);
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_are_read_and_written() {
        for (text, days) in [("1970-01-01", 0), ("1969-12-31", -1), ("2024-02-29", 19_782), ("0000-01-01", -719_528)] {
            assert_eq!(parse_date(text), Some(days), "{text}");
            assert_eq!(format_date(days).as_deref(), Some(text));
        }
        assert_eq!(DATES, parse_date("0000-01-01").unwrap()..=parse_date("9999-12-31").unwrap());
        assert_eq!(format_date(DATES.end() + 1), None);
        assert_eq!(format_date(i32::MAX), None);
        assert_eq!(format_date(i32::MIN), None);
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in
            ["", "2023-02-29", "2024-13-01", "2024-1-01", "2024-01-01T", "+024-01-01", "2024/01/01", "20é-01-01"]
        {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn instants_become_utc_and_keep_their_order_as_text() {
        let read = |text| parse_timestamp(text).and_then(format_timestamp).unwrap();
        assert_eq!(read("2024-01-31T12:00:00Z"), "2024-01-31T12:00:00.000000Z");
        assert_eq!(read("2024-01-31T14:00:00.5+02:00"), "2024-01-31T12:00:00.500000Z");
        assert_eq!(read("1969-12-31T23:59:59.999999Z"), "1969-12-31T23:59:59.999999Z");
        assert!(read("2024-01-31T12:00:00Z") < read("2024-01-31T12:00:00.5Z"));
    }

    proptest! {
        #[test]
        fn days_and_instants_are_written_as_the_library_writes_them(days in DATES, micros in TIMESTAMPS) {
            let date = Date::from_julian_day(days + EPOCH).unwrap();
            prop_assert_eq!(format_date(days).unwrap(), date.to_string());
            let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).unwrap();
            let text = format_timestamp(micros).unwrap();
            prop_assert_eq!(OffsetDateTime::parse(&text, &Rfc3339).unwrap(), at);
            prop_assert_eq!(text.len(), 27);
        }
    }

    #[test]
    fn what_is_no_instant_or_would_lose_digits_is_refused() {
        for text in
            ["", "2024-01-31", "2024-01-31T12:00:00", "2024-01-31T12:00:00.1234567Z", "0000-01-01T00:00:00+01:00"]
        {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
        let (first, last) = ("0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z");
        assert_eq!(TIMESTAMPS, parse_timestamp(first).unwrap()..=parse_timestamp(last).unwrap());
        assert_eq!(format_timestamp(TIMESTAMPS.end() + 1), None);
        assert_eq!(format_timestamp(i64::MAX), None);
        assert_eq!(format_timestamp(i64::MIN), None);
    }
}
