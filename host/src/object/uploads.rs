//! Uploads that are finished and belong to no record yet. Somebody has to look after them.

use std::sync::Arc;

use futures::{StreamExt as _, stream};

use super::{ObjectWriter, Uploaded};

/// How many uploads are removed at once.
const AT_ONCE: usize = 16;

/// Uploads that are finished and in no record: nobody else knows of them. Dropped, they are removed.
pub struct Uploads {
    store: Arc<dyn ObjectWriter>,
    uploads: Vec<Uploaded>,
}

impl Uploads {
    /// None yet.
    pub fn new(store: Arc<dyn ObjectWriter>) -> Self {
        Self { store, uploads: Vec::new() }
    }

    /// Looks after this one, too.
    pub fn watch(&mut self, upload: Uploaded) {
        self.uploads.push(upload);
    }

    /// Looks after those, too.
    pub fn add(&mut self, mut others: Self) {
        self.uploads.append(&mut others.uploads);
    }

    /// Somebody else looks after them from now on.
    pub fn take(&mut self) -> Vec<Uploaded> {
        std::mem::take(&mut self.uploads)
    }

    /// From now on they may be in a record.
    pub fn keep(mut self) -> Kept {
        Kept(self.store.clone(), self.take())
    }
}

/// Uploads that may be in a record.
pub struct Kept(Arc<dyn ObjectWriter>, Vec<Uploaded>);

impl Kept {
    /// They are in none.
    pub fn not_recorded(self) -> Uploads {
        Uploads { store: self.0, uploads: self.1 }
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        let (store, uploads) = (self.store.clone(), self.take());
        if uploads.is_empty() {
            return;
        }
        self.store.cleanups().clone().run(async move {
            let store = &store;
            let removals = stream::iter(uploads).for_each_concurrent(AT_ONCE, |upload| async move {
                if let Err(error) = store.abort(&upload).await {
                    tracing::warn!(%error, "an unfinished upload was left behind");
                }
            });
            removals.await;
        });
    }
}
