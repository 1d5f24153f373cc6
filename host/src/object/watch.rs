//! A store that remembers whether it failed its reader, so that nobody takes that for the item's fault. An item whose
//! time ran out while it waited for the store is not to blame, and neither is one that asks for a retry because of the
//! store.
//!
//! If asked to, it also remembers what it was asked for and what it answered.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::trace::Trace;
use super::{Location, Metadata, ObjectError, ObjectStore, Page};

/// How long one request (8 MiB at most) may take before the store counts as not keeping up. Less than the default time
/// of an item (30 s), so that it is noticed before the item ends.
const SLOW: Duration = Duration::from_secs(10);

/// A store as the items of one batch use it.
pub struct WatchedStore {
    inner: Arc<dyn ObjectStore>,
    slow: Duration,
    trouble: Mutex<Option<ObjectError>>,
    trace: Option<Mutex<Trace>>,
}

impl WatchedStore {
    /// Watches this store for items with this time limit.
    pub fn new(inner: Arc<dyn ObjectStore>, timeout: Duration) -> Self {
        Self { inner, slow: SLOW.min(timeout / 2), trouble: Mutex::default(), trace: None }
    }

    /// The same store, which remembers what was read if `traced`.
    #[must_use]
    pub fn traced(self, traced: bool) -> Self {
        Self { trace: traced.then(Mutex::default), ..self }
    }

    /// What was read so far, if the store remembers it.
    pub fn trace(&self) -> Option<Trace> {
        self.trace.as_ref().map(|trace| trace.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// The first thing that went wrong on the store's side: no answer, or one that took too long.
    pub fn trouble(&self) -> Option<ObjectError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, trouble: ObjectError) {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(trouble);
    }

    fn remember(&self, what: impl FnOnce(&mut Trace)) {
        if let Some(trace) = &self.trace {
            what(&mut trace.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    async fn watch<T>(
        &self,
        at: &Location,
        request: impl Future<Output = Result<T, ObjectError>>,
    ) -> Result<T, ObjectError> {
        let mut request = std::pin::pin!(request);
        let result = match tokio::time::timeout(self.slow, &mut request).await {
            Ok(result) => result,
            Err(_) => {
                let slow = humantime::format_duration(self.slow);
                self.note(ObjectError::Unavailable(format!("{at}: the store had not answered after {slow}")));
                request.await
            }
        };
        if let Err(trouble @ (ObjectError::Unavailable(_) | ObjectError::Exhausted(_))) = &result {
            self.note(trouble.clone());
        }
        result
    }
}

#[async_trait]
impl ObjectStore for WatchedStore {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        let opened = self.watch(at, self.inner.open(at, first)).await;
        self.remember(|trace| trace.opened(at, &opened));
        opened
    }

    async fn read(&self, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.watch(at, self.inner.read(at, etag, range)).await
    }

    async fn list(&self, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError> {
        let page = self.watch(prefix, self.inner.list(prefix, next)).await;
        self.remember(|trace| trace.listed(prefix, next, &page));
        page
    }
}
