//! `wasi:logging`: what guests say, here and on stdout and stderr, becomes log lines of the host. They are bounded per
//! item.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::component::{HasSelf, Linker};

use super::bindings::wasi::logging::logging::{self as wit, Host, Level};
use crate::job::{Item, item_name};
use crate::runtime::BatchContext;
use crate::runtime::cut::cut;

/// A line longer than this is cut.
const MAX_LINE: usize = 4096;
/// What a line takes beside its message: time, dataset, batch, item. Without it a flood of empty lines would cost
/// nothing.
const LINE_COST: usize = 64;
/// So many bytes of an item's name are in each of its lines.
const MAX_NAME: usize = 128;

/// The item that speaks, and how much it may still say. Clones share both: the standard streams of WASI have one.
#[derive(Clone)]
pub(super) struct LoggingCtx(Arc<Inner>);

struct Inner {
    dataset: Arc<str>,
    batch: Arc<str>,
    limit: u64,
    left: AtomicU64,
    speaker: Mutex<Speaker>,
}

/// The item whose lines these are. Its name is looked for at its first line, because most items say nothing.
struct Speaker {
    item: Item,
    name: Option<Option<Arc<str>>>,
    /// Whether the host has noted something about it.
    is_noted: bool,
}

impl Speaker {
    fn of(item: &Item) -> Self {
        Self { item: item.clone(), name: None, is_noted: false }
    }

    /// Its place in the batch, and its name.
    fn who(&mut self) -> (u32, Option<Arc<str>>) {
        let body = &self.item.body;
        let name = self.name.get_or_insert_with(|| item_name(body).map(|name| cut(&name, MAX_NAME).into()));
        (self.item.index, name.clone())
    }
}

impl LoggingCtx {
    pub(super) fn new(batch: &BatchContext, item: &Item) -> Self {
        let limit = batch.limits.max_log;
        Self(Arc::new(Inner {
            dataset: batch.dataset.clone(),
            batch: batch.batch.clone(),
            limit,
            left: AtomicU64::new(limit),
            speaker: Mutex::new(Speaker::of(item)),
        }))
    }

    /// From now on this item speaks. It has said nothing yet.
    pub(super) fn next_item(&self, item: &Item) {
        *self.speaker() = Speaker::of(item);
        self.0.left.store(self.0.limit, Ordering::Relaxed);
    }

    fn speaker(&self) -> MutexGuard<'_, Speaker> {
        self.0.speaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line of the host's own, unless the item has one already: it may do the same a thousand times.
    pub(super) fn note(&self, context: &str, message: &str) {
        if !std::mem::replace(&mut self.speaker().is_noted, true) {
            self.line(Level::Info, context, message);
        }
    }

    /// Writes one line, unless the item has said enough. When it has, one last line says so.
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
        let (item, key) = self.speaker().who();
        let key = key.as_deref();
        if before < cost {
            tracing::warn!(target: "guest", dataset, batch, item, key, limit = self.0.limit, "an item logs more than `max_log`; the rest is dropped");
            return;
        }
        match level {
            Level::Trace => tracing::trace!(target: "guest", dataset, batch, item, key, context, "{message}"),
            Level::Debug => tracing::debug!(target: "guest", dataset, batch, item, key, context, "{message}"),
            Level::Info => tracing::info!(target: "guest", dataset, batch, item, key, context, "{message}"),
            Level::Warn => tracing::warn!(target: "guest", dataset, batch, item, key, context, "{message}"),
            Level::Error | Level::Critical => {
                tracing::error!(target: "guest", dataset, batch, item, key, context, "{message}")
            }
        }
    }
}

/// Offers the interface to the components of this linker.
pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    ctx: fn(&mut T) -> &mut LoggingCtx,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasSelf<LoggingCtx>>(linker, ctx)
}

impl Host for LoggingCtx {
    fn log(&mut self, level: Level, context: String, message: String) -> wasmtime::Result<()> {
        self.line(level, &context, &message);
        Ok(())
    }
}
