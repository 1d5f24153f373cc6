//! Uploads that are finished and belong to no record yet. Somebody has to look after them.

use std::sync::Arc;

use crate::object::{ObjectWriter, Uploaded};
use crate::sink::Effect;

/// Uploads that are finished and in no record: nobody else knows of them. Dropped, they are removed.
pub(super) struct Uploads {
    store: Arc<dyn ObjectWriter>,
    uploads: Vec<Uploaded>,
}

impl Uploads {
    pub(super) fn new(store: Arc<dyn ObjectWriter>) -> Self {
        Self { store, uploads: Vec::new() }
    }

    /// Looks after an output's upload, if it has one.
    pub(super) fn watch(&mut self, effect: &Effect) {
        if let Effect::Complete(upload) = effect {
            self.uploads.push(upload.clone());
        }
    }

    /// From now on they may be in a record.
    pub(super) fn keep(mut self) -> Kept {
        Kept(self.store.clone(), std::mem::take(&mut self.uploads))
    }
}

/// Uploads that may be in a record.
pub(super) struct Kept(Arc<dyn ObjectWriter>, Vec<Uploaded>);

impl Kept {
    /// They are in none.
    pub(super) fn not_recorded(self) -> Uploads {
        Uploads { store: self.0, uploads: self.1 }
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        let (store, uploads) = (self.store.clone(), std::mem::take(&mut self.uploads));
        if uploads.is_empty() {
            return;
        }
        self.store.cleanups().clone().run(async move {
            for upload in uploads {
                if let Err(error) = store.abort(&upload).await {
                    tracing::warn!(%error, "an unfinished upload was left behind");
                }
            }
        });
    }
}
