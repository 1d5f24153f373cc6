//! Numbers as people say them.

/// A time, in at most two units.
pub(super) fn time(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let two = |large: u64, unit: &str, small: u64, of: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {of}"),
    };
    match whole {
        0 if seconds > 0.0 => "under 1 s".into(),
        0..120 => format!("{whole} s"),
        120..7200 => two(whole / 60, "min", if whole < 600 { whole % 60 } else { 0 }, "s"),
        7200..172_800 => two(whole / 3600, "h", whole % 3600 / 60, "min"),
        _ => two(whole / 86_400, "days", whole % 86_400 / 3600, "h"),
    }
}

/// A number with separators.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something.
pub(super) fn many(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

/// How much happens in a second.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".into(),
        ..0.01 => "under 0.01".into(),
        ..10.0 => format!("{per_second:.2}"),
        _ => count(per_second.round() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let times = [0.0, 0.2, 95.4, 125.0, 3000.0, 7260.0, 90_000.0, 200_000.0].map(time);
        assert_eq!(times, ["0 s", "under 1 s", "95 s", "2 min 5 s", "50 min", "2 h 1 min", "25 h", "2 days 7 h"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.001, 2.5, 1234.4].map(rate), ["0", "under 0.01", "2.50", "1,234"]);
        assert_eq!([many(1, "batch", "batches"), many(2, "batch", "batches")], ["1 batch", "2 batches"]);
    }
}
