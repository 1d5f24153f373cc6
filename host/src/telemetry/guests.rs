//! Limits how many lines of guests are shown where nobody asked for them: enough to see that they log, and what.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// The log target of guests' lines, whether they log them (`wasi:logging`) or print them.
pub const GUEST: &str = "guest";

/// The most lines of one run that are shown, and the most bytes of them.
const MAX_LINES: u64 = 1000;
const MAX_BYTES: u64 = 256 << 10;

/// Counts the lines of guests, and lets them through up to a limit if there is one. The limit is over all items of a
/// run; before it, each item has its own (`max_log`).
#[derive(Debug, Default)]
pub struct GuestLines {
    bounded: bool,
    lines: AtomicU64,
    bytes: AtomicU64,
    withheld: AtomicU64,
}

impl GuestLines {
    /// Lets everything through.
    pub fn all() -> Self {
        Self::default()
    }

    /// Lets the first lines through.
    pub fn first() -> Self {
        Self { bounded: true, ..Self::default() }
    }

    /// How many lines were held back so far.
    pub fn withheld(&self) -> u64 {
        self.withheld.load(Ordering::Relaxed)
    }

    fn admit(&self, event: &Event<'_>) -> bool {
        if !self.bounded {
            return true;
        }
        let mut length = Length(0);
        event.record(&mut length);
        let bytes = self.bytes.fetch_add(length.0, Ordering::Relaxed) + length.0;
        let admitted = self.lines.fetch_add(1, Ordering::Relaxed) < MAX_LINES && bytes <= MAX_BYTES;
        if !admitted {
            self.withheld.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }
}

impl<S: Subscriber> Filter<S> for GuestLines {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        event.metadata().target() != GUEST || self.admit(event)
    }
}

/// The length of a line's fields together.
struct Length(u64);

impl Visit for Length {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self, "{value:?}");
    }
}

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Counts the lines of guests and others that come through.
    struct Seen(Arc<[AtomicU64; 2]>);

    impl<S: Subscriber> Layer<S> for Seen {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0[usize::from(event.metadata().target() == GUEST)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines of others and of guests are seen, and how many are withheld.
    fn seen(guests: GuestLines, log: impl Fn()) -> ([u64; 2], u64) {
        let (guests, seen) = (Arc::new(guests), Arc::new([AtomicU64::new(0), AtomicU64::new(0)]));
        let filter: Arc<dyn Filter<_> + Send + Sync> = guests.clone();
        let layer = Seen(seen.clone()).with_filter(filter);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        ([0, 1].map(|of| seen[of].load(Ordering::Relaxed)), guests.withheld())
    }

    fn say(times: u64, text: &str) {
        for _ in 0..times {
            tracing::info!(target: "guest", "{text}");
        }
        tracing::warn!("the host's own lines have no bound");
    }

    #[test]
    fn the_first_lines_are_shown_and_the_rest_is_counted() {
        assert_eq!(seen(GuestLines::first(), || say(MAX_LINES + 7, "x")), ([1, MAX_LINES], 7));
        assert_eq!(seen(GuestLines::first(), || say(100, &"x".repeat(4096))), ([1, 64], 36));
        assert_eq!(seen(GuestLines::all(), || say(MAX_LINES + 7, "x")), ([1, MAX_LINES + 7], 0));
    }
}
