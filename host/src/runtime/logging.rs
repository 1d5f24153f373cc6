//! What guests say: `wasi:logging`, stdout and stderr become log lines of the host, bounded per item.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::BatchContext;
use super::bindings::wasi::logging::logging::{Host, Level};
use super::guest::Guest;

/// A line longer than this is cut.
const MAX_LINE: usize = 4096;
/// What a line takes beside its words: time, dataset, batch. Without it a flood of empty lines would cost nothing.
const LINE_COST: usize = 64;

/// How much an item may still say. Shared between the logging interface and the standard streams.
#[derive(Clone)]
pub(super) struct LogBudget(Arc<Inner>);

struct Inner {
    dataset: Arc<str>,
    batch: Arc<str>,
    limit: u64,
    left: AtomicU64,
}

impl LogBudget {
    pub(super) fn new(context: &BatchContext) -> Self {
        let limit = context.limits.max_log;
        Self(Arc::new(Inner {
            dataset: context.dataset.clone(),
            batch: context.batch.clone(),
            limit,
            left: AtomicU64::new(limit),
        }))
    }

    pub(super) fn refill(&self) {
        self.0.left.store(self.0.limit, Ordering::Relaxed);
    }

    /// Writes one line, unless the item has said enough. The last thing it is heard saying is that it said too much.
    pub(super) fn line(&self, level: Level, context: &str, message: &str) {
        let message = cut(message, MAX_LINE);
        let context = cut(context, 128);
        let cost = (message.len() + context.len() + LINE_COST) as u64;
        let spent = self
            .0
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left > 0).then(|| left.saturating_sub(cost)));
        let Ok(before) = spent else { return };
        let (dataset, batch) = (&*self.0.dataset, &*self.0.batch);
        if before < cost {
            tracing::warn!(target: "guest", dataset, batch, limit = self.0.limit, "an item logs more than `max_log`; the rest is dropped");
            return;
        }
        match level {
            Level::Trace => tracing::trace!(target: "guest", dataset, batch, context, "{message}"),
            Level::Debug => tracing::debug!(target: "guest", dataset, batch, context, "{message}"),
            Level::Info => tracing::info!(target: "guest", dataset, batch, context, "{message}"),
            Level::Warn => tracing::warn!(target: "guest", dataset, batch, context, "{message}"),
            Level::Error | Level::Critical => tracing::error!(target: "guest", dataset, batch, context, "{message}"),
        }
    }
}

impl Host for Guest {
    fn log(&mut self, level: Level, context: String, message: String) -> wasmtime::Result<()> {
        self.log.line(level, &context, &message);
        Ok(())
    }
}

/// The longest beginning of `text` of at most `limit` bytes that is whole characters.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cut_is_the_longest_beginning_that_fits(text in any::<String>(), limit in 0_usize..100) {
            let short = cut(&text, limit);
            prop_assert!(text.starts_with(short) && short.len() <= limit);
            let next = text[short.len()..].chars().next();
            prop_assert!(next.is_none_or(|next| short.len() + next.len_utf8() > limit));
        }
    }
}
