//! What becomes of an event that has arrived: it is landed, left out, or too bad to go on.

use std::collections::HashSet;

use serde::Serialize;

/// The columns of an event, by the names that those who send them use.
pub const POINT: &str = "unieke_id";
/// When it was measured, in seconds since 1970.
pub const TIME: &str = "tijd_waarneming";
/// The mean speed in km/h.
pub const SPEED: &str = "voertuigsnelheid_rekenkundig_klasse2";
/// How many vehicles there were in the minute.
pub const OCCUPANCY: &str = "rekendata_bezettingsgraad";

/// The last second of the year 9999. What is counted in milliseconds lies behind it.
const LAST: i64 = 253_402_300_799;

/// The occupancy of a measurement that failed.
const FAILED: f64 = -1.0;

/// What was done with the events of an object: its entry in the batch's report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Those that were landed.
    pub events: u64,
    /// Those whose measurement failed: their occupancy is -1.
    pub invalid: u64,
    /// Those of measuring points that are not configured.
    pub not_configured: u64,
}

/// Decides on events one by one, and counts them.
pub struct Arrival<'a> {
    points: Option<HashSet<&'a str>>,
    counts: Counts,
}

/// The time of an event as its file has it.
#[derive(Clone, Copy, Debug)]
pub enum Time<'a> {
    /// A whole number.
    Seconds(i64),
    /// A text, or a JSON text.
    Text(&'a str),
    /// Nothing.
    Null,
}

impl<'a> Arrival<'a> {
    /// Keeps the events of these points, or of all.
    #[must_use]
    pub fn new(points: Option<&'a [String]>) -> Self {
        let points = points.map(|points| points.iter().map(String::as_str).collect());
        Self { points, counts: Counts::default() }
    }

    /// The second of an event that is landed; none for one that is left out, whatever else is wrong with it.
    ///
    /// # Errors
    /// The end of a sentence about an event that nobody can place.
    pub fn take(&mut self, point: Option<&str>, occupancy: Option<f64>, time: Time<'_>) -> Result<Option<i64>, String> {
        if occupancy == Some(FAILED) {
            self.counts.invalid += 1;
            return Ok(None);
        }
        let point = point.filter(|point| !point.is_empty()).ok_or_else(|| format!("it has no `{POINT}`"))?;
        if self.points.as_ref().is_some_and(|points| !points.contains(point)) {
            self.counts.not_configured += 1;
            return Ok(None);
        }
        let second = time.second()?;
        self.counts.events += 1;
        Ok(Some(second))
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

impl Time<'_> {
    fn second(self) -> Result<i64, String> {
        let (found, shown) = match self {
            Self::Seconds(number) => (Some(number), number.to_string()),
            Self::Text(text) => {
                let bare = bare(text);
                let is_number = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
                (is_number.then(|| bare.parse().ok()).flatten(), bare.to_owned())
            }
            Self::Null => return Err(format!("it has no `{TIME}`")),
        };
        found.filter(|second| (0..=LAST).contains(second)).ok_or_else(|| {
            format!("its `{TIME}` is {shown}, which is no whole number of seconds since 1970 up to the year 9999")
        })
    }
}

/// A JSON text without its quotation marks.
fn bare(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_a_whole_number_or_a_text_of_digits() {
        for (time, second) in [
            (Time::Seconds(0), 0),
            (Time::Seconds(LAST), LAST),
            (Time::Text("1774742400"), 1_774_742_400),
            (Time::Text("\"1774742400\""), 1_774_742_400),
        ] {
            assert_eq!(time.second(), Ok(second));
        }
        for text in ["", "\"", "1.5", "1774742400.0", "1e9", "-1", "+1", " 1", "soon", "1774742400000"] {
            let why = Time::Text(text).second().unwrap_err();
            assert_eq!(
                why,
                format!(
                    "its `tijd_waarneming` is {text}, which is no whole number of seconds since 1970 up to the year 9999"
                )
            );
        }
        assert!(Time::Text("\"soon\"").second().unwrap_err().starts_with("its `tijd_waarneming` is soon, "));
        assert_eq!(Time::Null.second(), Err("it has no `tijd_waarneming`".into()));
        assert!(Time::Seconds(-1).second().is_err());
        assert!(Time::Seconds(1_774_742_400_000).second().is_err());
    }

    #[test]
    fn what_nobody_wants_is_counted_and_cannot_be_bad() {
        let points = ["a".to_owned(), "b".to_owned()];
        let mut arrival = Arrival::new(Some(&points));
        assert_eq!(arrival.take(Some("a"), Some(2.0), Time::Seconds(60)), Ok(Some(60)));
        assert_eq!(arrival.take(Some("a"), None, Time::Text("60")), Ok(Some(60)));
        assert_eq!(arrival.take(Some("c"), None, Time::Text("soon")), Ok(None));
        assert_eq!(arrival.take(None, Some(-1.0), Time::Null), Ok(None));
        assert_eq!(arrival.take(None, Some(0.0), Time::Seconds(60)), Err("it has no `unieke_id`".into()));
        assert_eq!(arrival.take(Some(""), None, Time::Seconds(60)), Err("it has no `unieke_id`".into()));
        assert!(arrival.take(Some("b"), None, Time::Null).is_err());
        assert_eq!(arrival.counts(), Counts { events: 2, invalid: 1, not_configured: 1 });
        assert_eq!(Arrival::new(None).take(Some("c"), Some(-0.5), Time::Seconds(1)), Ok(Some(1)));
    }
}
