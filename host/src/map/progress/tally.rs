//! What has been done so far, and as much of it as fits a line.

use std::time::Duration;

use indicatif::HumanCount;

use crate::map::units::{counted, duration, rate};

/// How wide the bar is, in columns.
const BAR: usize = 28;

/// A batch that has its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchDone {
    /// All its items.
    pub items: u64,
    /// What they read, in bytes.
    pub bytes: u64,
    /// How many of them have no result.
    pub failures: u64,
    /// Whether an earlier run had done it: then it says nothing about speed.
    pub replayed: bool,
}

/// What has been done so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) total: Option<u64>,
    pub(super) items: u64,
    batches: u64,
    failures: u64,
    /// Of the items: those that ran now.
    ran: u64,
    /// What those read, in bytes.
    bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, batch: BatchDone) {
        self.items += batch.items;
        self.batches += 1;
        self.failures += batch.failures;
        if !batch.replayed {
            self.ran += batch.items;
            self.bytes += batch.bytes;
        }
    }

    pub(super) fn text(&self, elapsed: Duration) -> String {
        self.parts(elapsed).map(|part| part.unwrap_or_default()).concat()
    }

    /// Items, batches, speed, failures, time left: each begins with what separates it from the one before.
    fn parts(&self, elapsed: Duration) -> [Option<String>; 5] {
        let total = self.total.map_or_else(String::new, |total| format!("/{}", HumanCount(total)));
        let after = |text: String| format!(" · {text}");
        [
            Some(format!("{}{total} items", HumanCount(self.items))),
            Some(after(counted(self.batches, "batch", "batches"))),
            (self.bytes > 0).then(|| after(rate(self.bytes, elapsed))),
            Some(after(counted(self.failures, "failure", "failures"))),
            self.left(elapsed).map(|left| after(format!("{} left", duration(left)))),
        ]
    }

    /// The text that fits a terminal of this width beside the spinner, and whether the bar fits too. The least important parts go
    /// first: the bar, then batches, speed, the time left, failures. Text that is still too wide is cut by `wide_msg`.
    pub(super) fn fitting(&self, elapsed: Duration, width: usize) -> (bool, String) {
        let mut parts = self.parts(elapsed);
        let room = width.saturating_sub("- ".len());
        let wide = |parts: &[Option<String>]| parts.iter().flatten().map(|part| part.chars().count()).sum::<usize>();
        let with_bar = self.total.is_some() && wide(&parts) + BAR + " ".len() <= room;
        for least in [1, 2, 4, 3] {
            if wide(&parts) > room {
                parts[least] = None;
            }
        }
        (with_bar, parts.map(|part| part.unwrap_or_default()).concat())
    }

    /// The time left, if the rest goes as fast as what ran so far.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let rest = self.total?.checked_sub(self.items).filter(|rest| *rest > 0)?;
        if self.ran == 0 {
            return None;
        }
        Duration::try_from_secs_f64(elapsed.as_secs_f64() * rest as f64 / self.ran as f64).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_tells_least_goes_first() {
        let tally = Tally {
            total: Some(1_500_000),
            items: 1_234_567,
            batches: 12_345,
            failures: 15,
            ran: 1_234_567,
            bytes: 123_456_789_012,
        };
        let fitting = |width| {
            let (bar, text) = tally.fitting(Duration::from_secs(3600), width);
            format!("{}{text}", if bar { "[bar] " } else { "" })
        };
        insta::assert_snapshot!([120, 110, 80, 70, 60, 50, 20].map(fitting).join("\n"), @"
        [bar] 1,234,567/1,500,000 items · 12,345 batches · 34.29 MB/s · 15 failures · 12 min 54 s left
        1,234,567/1,500,000 items · 12,345 batches · 34.29 MB/s · 15 failures · 12 min 54 s left
        1,234,567/1,500,000 items · 34.29 MB/s · 15 failures · 12 min 54 s left
        1,234,567/1,500,000 items · 15 failures · 12 min 54 s left
        1,234,567/1,500,000 items · 15 failures · 12 min 54 s left
        1,234,567/1,500,000 items · 15 failures
        1,234,567/1,500,000 items
        ");
    }

    proptest! {
        #[test]
        fn a_line_fits_the_terminal(
            total in prop::option::of(0_u64..1_000_000_000), items: u32, batches: u32, failures: u32, bytes: u64,
            seconds in 0_u64..10_000_000, width in 40_usize..200,
        ) {
            let items = u64::from(items);
            let tally = Tally { total, items, batches: batches.into(), failures: failures.into(), ran: items, bytes };
            let (bar, text) = tally.fitting(Duration::from_secs(seconds), width);
            let wide = 2 + text.chars().count() + if bar { BAR + 1 } else { 0 };
            prop_assert!(wide <= width, "{wide} columns of {width}: {text}");
        }
    }

    #[test]
    fn no_total_and_no_speed_mean_no_time_left() {
        let tally = |total, items, ran| Tally { total, items, ran, ..Tally::default() };
        assert_eq!(tally(None, 5, 5).left(Duration::from_secs(1)), None);
        assert_eq!(tally(Some(10), 5, 0).left(Duration::from_secs(1)), None);
        assert_eq!(tally(Some(5), 5, 5).left(Duration::from_secs(1)), None);
        assert_eq!(tally(Some(15), 5, 5).left(Duration::from_secs(1)), Some(Duration::from_secs(2)));
    }
}
