//! How far a run is, live: a bar on a terminal, plain lines elsewhere, nothing beside `--json`.
//!
//! Time is what the caller says has passed since the run began.

mod tally;

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use rustix::termios::tcgetwinsize;

pub use self::tally::BatchDone;
use self::tally::Tally;
use crate::telemetry::stderr;

/// The least time between two plain lines.
const BETWEEN_LINES: Duration = Duration::from_secs(2);

/// The width of a terminal that does not report one, in columns.
const WIDTH: usize = 80;
/// What stands before the words: a spinner, and the bar where the number of items is known and there is room.
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

/// Writes a line. That nobody reads it any more is no reason to stop the run.
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

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
}
