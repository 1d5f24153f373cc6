//! One version of an object, and what was fetched of it.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use parquet::errors::ParquetError;
use tokio::runtime::Handle;

use crate::object::chunks::{Chunks, Compression};
use crate::object::{Location, Metadata, ObjectError, ObjectStore};

/// How much of an object comes with the first request: all of it, for most.
const FIRST: u64 = 1 << 20;
/// Requests that are under way at once.
const REQUESTS: usize = 4;
/// The most of what is wrong that is told, in bytes.
const LONGEST: usize = 1_000;
/// Ranges that are so close are fetched as one. That costs less time than another request.
const GAP: u64 = 64 << 10;
/// What is fetched in vain for that, at most.
pub(super) const IN_VAIN: u64 = 2 << 20;

/// The object.
pub(super) struct Source {
    store: Arc<dyn ObjectStore>,
    pub(super) object: Metadata,
    /// Its first bytes.
    first: Bytes,
    /// How many bytes were fetched.
    pub(super) fetched: u64,
}

impl Source {
    pub(super) async fn open(store: Arc<dyn ObjectStore>, at: &Location) -> Result<Self, ObjectError> {
        let (object, first) = store.open(at, FIRST).await?;
        let fetched = first.len() as u64;
        Ok(Self { store, object, first, fetched })
    }

    /// The first bytes of the object.
    pub(super) fn first(&self) -> &[u8] {
        &self.first
    }

    /// Whether these bytes are there already.
    pub(super) fn has(&self, range: &Range<u64>) -> bool {
        range.end <= self.first.len() as u64
    }

    /// All its bytes in order, unpacked.
    pub(super) fn chunks(&mut self, io: &Handle, compression: Compression, size: usize) -> Chunks {
        let first = std::mem::take(&mut self.first);
        self.fetched = 0;
        Chunks::start(io, self.store.clone(), self.object.clone(), first, compression, size)
    }

    /// Exactly these bytes, which lie within the object.
    pub(super) async fn read(&mut self, range: Range<u64>) -> Result<Bytes, ObjectError> {
        Ok(self.read_all(&[range]).await?.pop().unwrap_or_default())
    }

    /// Exactly the bytes of each range. Those close to each other come in one request.
    pub(super) async fn read_all(&mut self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ObjectError> {
        let first = self.first.len() as u64;
        let together = merged(ranges.iter().filter(|range| range.end > first && !range.is_empty()).cloned().collect());
        let requests: Vec<_> = together
            .iter()
            .map(|range| {
                let (store, object, range) = (self.store.clone(), self.object.clone(), range.clone());
                async move {
                    let bytes = store.read(&object.location, &object.etag, range.clone()).await?;
                    if bytes.len() as u64 == range.end - range.start {
                        return Ok(bytes);
                    }
                    let came = bytes.len();
                    Err(ObjectError::Unavailable(format!("{}: of bytes {range:?}, {came} came", object.location)))
                }
            })
            .collect();
        let pieces: Vec<Bytes> = futures::stream::iter(requests).buffered(REQUESTS).try_collect().await?;
        self.fetched += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let piece = |range: &Range<u64>| {
            if range.is_empty() {
                return Bytes::new();
            }
            if range.end <= first {
                return self.first.slice(range.start as usize..range.end as usize);
            }
            let place = together.partition_point(|piece| piece.end < range.end);
            let start = (range.start - together[place].start) as usize;
            pieces[place].slice(start..start + (range.end - range.start) as usize)
        };
        Ok(ranges.iter().map(piece).collect())
    }

    /// What the Parquet reader met, as a sentence that names the object.
    pub(super) fn fault(&self, error: &ParquetError) -> ObjectError {
        ObjectError::Invalid(format!("{} cannot be read as Parquet: {}", self.object.location, short(error)))
    }

    /// Works on bytes of the object. Decoders panic on some damaged files.
    pub(super) fn calmly<T>(&self, work: impl FnOnce() -> Result<T, ObjectError>) -> Result<T, ObjectError> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(self.panicked(&*panic)))
    }

    pub(super) fn panicked(&self, panic: &(dyn Any + Send)) -> ObjectError {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        self.invalid(format!("it cannot be read: {}", text.unwrap_or("it is damaged")))
    }

    /// A sentence about the object.
    pub(super) fn invalid(&self, why: impl std::fmt::Display) -> ObjectError {
        ObjectError::Invalid(format!("{}: {}", self.object.location, short(why)))
    }

    pub(super) fn too_large(&self, why: impl std::fmt::Display) -> ObjectError {
        ObjectError::TooLarge(format!("{}: {why}", self.object.location))
    }
}

/// Names and values of a file, which may be in what is wrong with it, have any length.
fn short(why: impl std::fmt::Display) -> String {
    let mut text = why.to_string();
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

/// The ranges in order, those close to each other as one.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let (mut together, mut left) = (Vec::<Range<u64>>::new(), IN_VAIN);
    for range in ranges {
        match together.last_mut() {
            Some(last) if range.start.saturating_sub(last.end) <= GAP.min(left) => {
                left -= range.start.saturating_sub(last.end);
                last.end = last.end.max(range.end);
            }
            _ => together.push(range),
        }
    }
    together
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn merged_ranges_hold_every_one_in_the_place_that_is_looked_at(
            starts in prop::collection::vec((0_u64..1 << 24, 1_u64..100_000), 0..200)
        ) {
            let ranges: Vec<_> = starts.iter().map(|(start, length)| *start..start + length).collect();
            let together = merged(ranges.clone());
            let bytes = |ranges: &[Range<u64>]| ranges.iter().map(|range| range.end - range.start).sum::<u64>();
            prop_assert!(together.windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert!(bytes(&together) <= bytes(&ranges) + IN_VAIN);
            for range in ranges {
                let place = &together[together.partition_point(|piece| piece.end < range.end)];
                prop_assert!(place.start <= range.start && range.end <= place.end);
            }
        }
    }
}
