//! From items to numbered batches, lazily: read, select, group.

use futures::StreamExt as _;

use super::batcher::{self, Batcher};
use super::reader;
use super::select::Selector;
use super::summary::RunError;

/// The batches of a run, in order.
pub(super) struct Feed<'p> {
    items: reader::Items,
    selector: Option<Selector<'p>>,
    batcher: Batcher,
    /// The number of the next batch.
    number: u64,
    /// How many items were read so far.
    read: u64,
    ended: bool,
}

/// A batch and its number, from 0.
pub(super) struct NumberedBatch {
    pub(super) number: u64,
    pub(super) batch: batcher::Items,
}

impl<'p> Feed<'p> {
    pub(super) fn new(items: reader::Items, selector: Option<Selector<'p>>, batcher: Batcher) -> Self {
        Self { items, selector, batcher, number: 0, read: 0, ended: false }
    }

    /// How many items were read so far: all, when [`Feed::next`] has said that there are no more batches.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// The next batch; none at the end. Dropping the future early loses nothing. Not to be called after an error.
    pub(super) async fn next(&mut self) -> Result<Option<NumberedBatch>, RunError> {
        let batch = loop {
            if self.ended {
                break self.batcher.finish();
            }
            let full = match self.items.next().await {
                None => {
                    self.ended = true;
                    None
                }
                Some(item) => self.take(item)?,
            };
            if full.is_some() {
                break full;
            }
        };
        Ok(batch.map(|batch| {
            self.number += 1;
            NumberedBatch { number: self.number - 1, batch }
        }))
    }

    fn take(&mut self, item: Result<reader::Item, reader::ReadError>) -> Result<Option<batcher::Items>, RunError> {
        let failed = |name: &'static str, cause: String| RunError { name, cause };
        let item = item.map_err(|error| failed("States.ItemReaderFailed", error.to_string()))?;
        let item = match &mut self.selector {
            Some(selector) => selector
                .apply(self.read, &item)
                .map_err(|error| failed("States.ParameterPathFailure", error.to_string()))?,
            None => item.into_json().map_err(|error| failed("States.ItemReaderFailed", error.to_string()))?,
        };
        self.read += 1;
        self.batcher.push(item).map_err(|error| failed("States.DataLimitExceeded", error.to_string()))
    }
}
