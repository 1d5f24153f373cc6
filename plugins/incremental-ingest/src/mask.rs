//! What `masked` has of a value.

use gristmill_plugin::table::Date;
use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

/// How many characters `partial` leaves.
const LEFT: usize = 4;

/// The microseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// What is left of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mask {
    /// Everything.
    Keep,
    /// Nothing.
    #[default]
    Null,
    /// HMAC-SHA-256 of the value's text (RFC 2104), in hexadecimal: equal values stay equal, and nobody without the key can try which
    /// ones they are.
    Hash,
    /// The last four characters, behind stars. Of a shorter text only stars.
    Partial,
    /// The first day of its year.
    Year,
    /// The first day of its month.
    Month,
}

/// Hashes with one key.
#[derive(Clone, Debug)]
pub struct Hasher(Hmac<Sha256>);

impl Hasher {
    /// With this key, which may have any length.
    pub fn new(key: &str) -> Option<Self> {
        Hmac::new_from_slice(key.as_bytes()).ok().map(Self)
    }

    /// The hash of a value.
    pub fn hash(&self, value: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(value.as_bytes());
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The end of a text, behind as many stars as there were other characters.
pub fn partial(text: &str) -> String {
    let length = text.chars().count();
    let hidden = if length > LEFT { length - LEFT } else { length };
    text.chars().enumerate().map(|(n, character)| if n < hidden { '*' } else { character }).collect()
}

/// The first day of a day's year or month, in days since 1970.
pub fn truncated(days: i32, mask: Mask) -> i32 {
    let (year, month, _) = Date(days).ymd();
    let month = if mask == Mask::Year { 1 } else { month };
    let first = u32::try_from(year)
        .ok()
        .zip(u32::try_from(month).ok())
        .and_then(|(year, month)| Date::from_ymd(year, month, 1));
    first.map_or(days, |Date(days)| days)
}

/// The same for an instant, in microseconds since 1970.
pub fn truncated_instant(micros: i64, mask: Mask) -> i64 {
    let days = i32::try_from(micros.div_euclid(DAY)).unwrap_or(i32::MAX);
    i64::from(truncated(days, mask)) * DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_the_standard() {
        // RFC 4231, test case 2
        let hash = Hasher::new("Jefe").unwrap().hash("what do ya want for nothing?");
        assert_eq!(hash, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn little_is_left() {
        assert_eq!(partial("DE89370400440532013000"), "******************3000");
        assert_eq!((partial("1234"), partial("é12345"), partial("")), ("****".into(), "**2345".into(), String::new()));
        let day = |year, month, day| Date::from_ymd(year, month, day).unwrap().0;
        assert_eq!(truncated(day(2024, 2, 29), Mask::Month), day(2024, 2, 1));
        assert_eq!(truncated(day(1969, 12, 31), Mask::Year), day(1969, 1, 1));
        assert_eq!(truncated_instant(-1, Mask::Month), i64::from(day(1969, 12, 1)) * DAY);
    }
}
