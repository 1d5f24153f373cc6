//! Counts, speeds and times as people read them.

use std::time::Duration;

use indicatif::{DecimalBytes, HumanCount};

/// `1 row`, `2,000 rows`
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", HumanCount(count), if count == 1 { one } else { many })
}

/// `12.34 MB/s`
pub(super) fn rate(bytes: u64, elapsed: Duration) -> String {
    format!("{}/s", DecimalBytes(per_second(bytes, elapsed) as u64))
}

/// So many a second; none in no time.
pub(super) fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() }
}

/// `0.4 s`, `25 s`, `3 min 05 s`, `2 h 14 min`
pub(super) fn duration(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let said = [0.04, 9.94, 25.0, 185.0, 8077.0].map(|seconds| duration(Duration::from_secs_f64(seconds)));
        assert_eq!(said, ["0.0 s", "9.9 s", "25 s", "3 min 05 s", "2 h 14 min"]);
    }
}
