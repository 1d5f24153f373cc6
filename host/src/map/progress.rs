//! How far a run is, live: a bar on a terminal, plain lines elsewhere, nothing beside `--json`.
//!
//! Time is what the caller says has passed since the run began.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::telemetry::stderr;

/// The least time between two plain lines.
const BETWEEN_LINES: Duration = Duration::from_secs(2);

/// Shows how far a run is.
pub struct Progress {
    tally: Tally,
    show: Show,
}

enum Show {
    Bar(ProgressBar),
    Lines { out: Box<dyn Write + Send>, last: Duration },
    Nothing,
}

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

impl Progress {
    /// The form that suits this process: `quiet` for none.
    pub fn for_stderr(quiet: bool) -> Self {
        let show = if quiet {
            Show::Nothing
        } else if io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner().with_style(style("{spinner} {msg}"));
            // The spinner turns while long batches run.
            bar.enable_steady_tick(Duration::from_millis(200));
            stderr::share_with(&bar);
            Show::Bar(bar)
        } else {
            return Self::lines(Box::new(io::stderr()));
        };
        Self { tally: Tally::default(), show }
    }

    /// Plain lines: one every 2 seconds at most, and one at the end.
    pub fn lines(out: Box<dyn Write + Send>) -> Self {
        Self { tally: Tally::default(), show: Show::Lines { out, last: Duration::ZERO } }
    }

    /// All items have been read; there are so many.
    pub fn total_known(&mut self, items: u64, elapsed: Duration) {
        self.tally.total = Some(items);
        if let Show::Bar(bar) = &self.show {
            bar.set_length(items);
            bar.set_style(style("{spinner} {bar:28} {msg}"));
        }
        self.update(elapsed);
    }

    /// A batch has its answer.
    pub fn batch_done(&mut self, batch: BatchDone, elapsed: Duration) {
        self.tally.add(batch);
        self.update(elapsed);
    }

    /// Shows a sentence between what else is shown: a batch that is tried again, a run that stops.
    pub fn note(&mut self, text: &str) {
        match &mut self.show {
            Show::Bar(bar) => bar.println(text),
            Show::Lines { out, .. } => line(out, text),
            Show::Nothing => {}
        }
    }

    /// The run is over. A bar goes away: the summary says it all.
    pub fn finish(&mut self, elapsed: Duration) {
        match &mut self.show {
            Show::Bar(bar) => bar.finish_and_clear(),
            Show::Lines { out, .. } => line(out, &self.tally.text(elapsed)),
            Show::Nothing => {}
        }
    }

    fn update(&mut self, elapsed: Duration) {
        match &mut self.show {
            Show::Bar(bar) => {
                bar.set_position(self.tally.items);
                bar.set_message(self.tally.text(elapsed));
            }
            Show::Lines { out, last } if elapsed >= *last + BETWEEN_LINES => {
                *last = elapsed;
                line(out, &self.tally.text(elapsed));
            }
            Show::Lines { .. } | Show::Nothing => {}
        }
    }
}

/// A reader of the lines that has gone away is no reason to stop the run.
fn line(out: &mut impl Write, text: &str) {
    let _ = writeln!(out, "{text}");
}

/// The templates are constants of this file; a wrong one falls back to indicatif's own.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}

/// What has been done so far.
#[derive(Debug, Default)]
struct Tally {
    total: Option<u64>,
    items: u64,
    batches: u64,
    failures: u64,
    /// Of the items: those that ran now.
    ran: u64,
    /// What those read, in bytes.
    bytes: u64,
}

impl Tally {
    fn add(&mut self, batch: BatchDone) {
        self.items += batch.items;
        self.batches += 1;
        self.failures += batch.failures;
        if !batch.replayed {
            self.ran += batch.items;
            self.bytes += batch.bytes;
        }
    }

    fn text(&self, elapsed: Duration) -> String {
        let total = self.total.map_or_else(String::new, |total| format!("/{}", HumanCount(total)));
        let batches = counted(self.batches, "batch", "batches");
        let mut text = format!("{}{total} items · {batches}", HumanCount(self.items));
        if self.bytes > 0 {
            text += &format!(" · {}", rate(self.bytes, elapsed));
        }
        text += &format!(" · {}", counted(self.failures, "failure", "failures"));
        if let Some(left) = self.left(elapsed) {
            text += &format!(" · {} left", duration(left));
        }
        text
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
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_every_two_seconds_and_at_the_end() {
        let out = Lines::default();
        let mut progress = Progress::lines(Box::new(out.clone()));
        let at = Duration::from_millis;
        let batch = BatchDone { items: 100, bytes: 10_000_000, failures: 1, replayed: false };
        progress.batch_done(BatchDone { replayed: true, bytes: 5, ..batch }, at(100));
        progress.batch_done(batch, at(1999));
        progress.batch_done(batch, at(2000));
        progress.total_known(1000, at(2500));
        progress.batch_done(batch, at(3999));
        progress.batch_done(batch, at(4000));
        progress.finish(at(4100));
        insta::assert_snapshot!(String::from_utf8(out.0.lock().unwrap().clone()).unwrap(), @"
        300 items · 3 batches · 10.00 MB/s · 3 failures
        500/1,000 items · 5 batches · 10.00 MB/s · 5 failures · 5.0 s left
        500/1,000 items · 5 batches · 9.76 MB/s · 5 failures · 5.1 s left
        ");
    }

    #[test]
    fn durations_are_short() {
        let said = [0.04, 9.94, 25.0, 185.0, 8077.0].map(|seconds| duration(Duration::from_secs_f64(seconds)));
        assert_eq!(said, ["0.0 s", "9.9 s", "25 s", "3 min 05 s", "2 h 14 min"]);
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
