//! One version of an object, as the Parquet reader asks for its ranges.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;

use crate::object::{Metadata, ObjectError, ObjectStore};

/// Requests that are under way at once.
const REQUESTS: usize = 4;

/// The object.
pub(super) struct Source {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) object: Metadata,
    /// What its end says of it, read before.
    pub(super) footer: Arc<ParquetMetaData>,
    /// The most bytes that are asked for at once.
    pub(super) memory: u64,
}

impl AsyncFileReader for Source {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        let ranges = self.get_byte_ranges(vec![range]);
        async move { Ok(ranges.await?.pop().unwrap_or_default()) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        let (store, object, memory) = (self.store.clone(), self.object.clone(), self.memory);
        async move {
            let mut total = 0_u64;
            for range in &ranges {
                if range.start > range.end || range.end > object.size {
                    return Err(ParquetError::General(format!("bytes {range:?} are asked for, of {}", object.size)));
                }
                total = total.saturating_add(range.end - range.start);
            }
            if total > memory {
                return Err(ParquetError::General(format!("{total} bytes are asked for at once, of {memory}")));
            }
            let reads = ranges.into_iter().map(|range| {
                let (store, object) = (store.clone(), object.clone());
                async move { read(&*store, &object, range).await.map_err(|error| ParquetError::External(error.into())) }
            });
            let reads: Vec<_> = reads.collect();
            futures::stream::iter(reads).buffered(REQUESTS).try_collect().await
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        let footer = self.footer.clone();
        async move { Ok(footer) }.boxed()
    }
}

/// Exactly these bytes.
pub(super) async fn read(
    store: &dyn ObjectStore,
    object: &Metadata,
    range: Range<u64>,
) -> std::result::Result<Bytes, ObjectError> {
    let bytes = store.read(&object.location, &object.etag, range.clone()).await?;
    if bytes.len() as u64 == range.end - range.start {
        return Ok(bytes);
    }
    Err(ObjectError::Unavailable(format!("{}: of bytes {range:?}, {} came", object.location, bytes.len())))
}

/// What the reader met, as a sentence that names the object: the object's fault, unless the store said so.
pub(super) fn fault(object: &Metadata, error: ParquetError) -> ObjectError {
    if let ParquetError::External(inner) = &error
        && let Some(inner) = inner.downcast_ref::<ObjectError>()
    {
        return inner.clone();
    }
    ObjectError::Invalid(format!("{} cannot be read as Parquet: {error}", object.location))
}
