//! Days and instants as texts.

use gristmill_plugin::table::Date;

/// The year, month and day of `20180131` or `2018-01-31`; none where there is no such day.
#[must_use]
pub fn day(text: &str) -> Option<[&str; 3]> {
    let parts = match text.len() {
        8 => [text.get(..4)?, text.get(4..6)?, text.get(6..)?],
        10 if text.get(4..5) == Some("-") && text.get(7..8) == Some("-") => {
            [text.get(..4)?, text.get(5..7)?, text.get(8..)?]
        }
        _ => return None,
    };
    let [year, month, day] = parts.map(number);
    Date::from_ymd(year?, month?, day?).map(|_| parts)
}

/// Whether a text begins with a day and a time of day, as in `2018-01-31T09:30:00Z`: then texts of one form have the order of
/// their instants.
#[must_use]
pub fn is_instant(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(10) else { return false };
    let time = rest.strip_prefix(['T', ' ']).unwrap_or_default();
    let part = |from: usize, below| time.get(from..from + 2).and_then(number).is_some_and(|number| number < below);
    day(date).is_some() && part(0, 24) && time.get(2..3) == Some(":") && part(3, 60)
}

fn number(digits: &str) -> Option<u32> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_day_is_the_same_with_and_without_dashes(year in 0_u32..10_000, month in 0_u32..14, of_month in 0_u32..33) {
            let (short, long) = (format!("{year:04}{month:02}{of_month:02}"), format!("{year:04}-{month:02}-{of_month:02}"));
            prop_assert_eq!(day(&short).is_some(), Date::from_ymd(year, month, of_month).is_some());
            prop_assert_eq!(day(&short), day(&long));
            prop_assert_eq!(is_instant(&format!("{long}T23:59:00Z")), day(&short).is_some());
        }

        #[test]
        fn any_text_may_be_asked(text in "\\PC{0,12}") {
            prop_assert!(!is_instant(&text));
            prop_assert!(day(&text).is_none_or(|parts| parts.concat().bytes().all(|byte| byte.is_ascii_digit())));
        }
    }

    #[test]
    fn an_instant_has_a_day_and_a_time() {
        for text in ["2018-01-31T09:30:00Z", "2018-01-31 09:30", "2018-01-31T09:30:00.000+00:00"] {
            assert!(is_instant(text), "{text}");
        }
        for text in
            ["2018-01-31", "2018-02-30T09:30:00Z", "2018-01-31T24:30", "2018-01-31T09.30", "20180131T093000Z", "é"]
        {
            assert!(!is_instant(text), "{text}");
        }
    }
}
