//! How far a run is, live: a bar on a terminal, plain lines elsewhere, nothing beside `--json`.
//!
//! Time is what the caller says has passed since the run began.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressStyle};
use rustix::termios::tcgetwinsize;

use crate::telemetry::stderr;

/// The least time between two plain lines.
const BETWEEN_LINES: Duration = Duration::from_secs(2);

/// How wide a terminal is that does not say it.
const WIDTH: usize = 80;
/// How wide the bar is, and what is before the words: a spinner, and the bar where the number of items is known and there is room.
const BAR: usize = 28;
const SPINNER: &str = "{spinner} {wide_msg}";
const SPINNER_AND_BAR: &str = "{spinner} {bar:28} {wide_msg}";

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
            let bar = ProgressBar::new_spinner().with_style(style(SPINNER));
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
                let (with_bar, text) = self.tally.fitting(elapsed, terminal_width());
                bar.set_style(style(if with_bar { SPINNER_AND_BAR } else { SPINNER }));
                bar.set_position(self.tally.items);
                bar.set_message(text);
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

/// How many columns the terminal has now: it may have changed.
fn terminal_width() -> usize {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => WIDTH,
    }
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

    /// What fits a terminal of this width beside the spinner, and whether the bar fits too. What tells least goes first: the bar,
    /// then batches, speed, the time left, failures. What is wider still is cut by `wide_msg`.
    fn fitting(&self, elapsed: Duration, width: usize) -> (bool, String) {
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
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;

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
