//! Objects as guests see them: granted, one version each, read ahead of the guest and decompressed.

use std::sync::Arc;

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::component::Resource;

use super::bindings::gristmill::plugin::objects::{self, ChunkOptions, Compression, Entry, Error};
use super::guest::Guest;
use super::limits::{Held, MAX_HOST_MEMORY};
use crate::object::{Location, Metadata, ObjectError, ObjectStore};

/// One request of a sequential read; also how much of an object is fetched when it is opened.
const READ: u64 = 1 << 20;
/// Requests of one sequential read that are under way at once: what hides the latency of a store.
const READ_AHEAD: usize = 3;
/// Chunks that wait for the guest.
const CHUNKS_AHEAD: usize = 2;
const DEFAULT_CHUNK: usize = 1 << 20;
const CHUNK_SIZES: std::ops::RangeInclusive<usize> = 4 << 10..=8 << 20;
const MAX_READ: u32 = 8 << 20;
/// A decompressor works on so many bytes, and makes so many, before others on the I/O runtime have their turn.
const TURN: usize = 128 << 10;
/// The binary logarithm of the largest window of a zstd stream: 32 MiB, as the levels up to 20 have it. The decompressor
/// holds the whole window, and only the stream says how large that is.
const MAX_ZSTD_WINDOW: u32 = 25;

/// A version of an object.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct OpenObject {
    metadata: Metadata,
    first: Bytes,
    _held: Option<Held>,
}

/// A sequential read. Dropping it ends the reading ahead.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct ChunkReader {
    source: ChunkSource,
    _held: Held,
}

enum ChunkSource {
    /// The whole object came with the first request, as it does for most.
    Memory { bytes: Bytes, size: usize },
    /// A task on the I/O runtime reads ahead, as long as somebody is there to read.
    Task { chunks: mpsc::Receiver<Result<Bytes, ObjectError>>, _task: AbortOnDropHandle<()> },
}

/// A listing under way.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct ObjectListing {
    prefix: Location,
    next: Option<String>,
    done: bool,
}

impl objects::Host for Guest {
    async fn open(&mut self, uri: String) -> wasmtime::Result<Result<Resource<OpenObject>, Error>> {
        let opened = match self.granted(&uri) {
            Ok(location) => self.on_io(move |store| async move { store.open(&location, READ).await }).await,
            Err(error) => Err(error),
        };
        Ok(match opened {
            Ok((metadata, first)) => {
                // A guest with very many open objects reads their first bytes again instead.
                let held = self.host_memory.take(first.len());
                let first = if held.is_some() { first } else { Bytes::new() };
                Ok(self.table.push(OpenObject { metadata, first, _held: held })?)
            }
            Err(error) => Err(error.into()),
        })
    }

    async fn list(&mut self, prefix: String) -> wasmtime::Result<Result<Resource<ObjectListing>, Error>> {
        Ok(match self.granted(&prefix) {
            Ok(prefix) => Ok(self.table.push(ObjectListing { prefix, next: None, done: false })?),
            Err(error) => Err(error.into()),
        })
    }
}

impl objects::HostObject for Guest {
    fn metadata(&mut self, this: Resource<OpenObject>) -> wasmtime::Result<objects::Metadata> {
        let metadata = &self.table.get(&this)?.metadata;
        Ok(objects::Metadata { uri: metadata.location.to_string(), size: metadata.size, etag: metadata.etag.clone() })
    }

    async fn read(
        &mut self,
        this: Resource<OpenObject>,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let object = self.table.get(&this)?;
        let size = object.metadata.size;
        let location = object.metadata.location.clone();
        if length > MAX_READ {
            return Ok(Err(Error::TooLarge(format!(
                "{location}: a read of {length} bytes; at most {MAX_READ} at once"
            ))));
        }
        if offset > size {
            return Ok(Err(Error::Invalid(format!("{location}: offset {offset} is behind the end at {size}"))));
        }
        let end = offset.saturating_add(length.into()).min(size);
        let fetched = match (usize::try_from(offset), usize::try_from(end)) {
            (Ok(start), Ok(end)) if end <= object.first.len() => Ok(object.first.slice(start..end)),
            _ => {
                let etag = object.metadata.etag.clone();
                self.on_io(move |store| async move { store.read(&location, &etag, offset..end).await }).await
            }
        };
        Ok(match fetched {
            Ok(bytes) => {
                self.bytes_read += bytes.len() as u64;
                Ok(bytes.into())
            }
            Err(error) => Err(error.into()),
        })
    }

    async fn chunks(
        &mut self,
        this: Resource<OpenObject>,
        options: ChunkOptions,
    ) -> wasmtime::Result<Result<Resource<ChunkReader>, Error>> {
        let object = self.table.get(&this)?;
        let size = match options.size {
            0 => DEFAULT_CHUNK,
            size => (size as usize).clamp(*CHUNK_SIZES.start(), *CHUNK_SIZES.end()),
        };
        let compression = effective(options.compression, &object.metadata.location.key);
        let Some(held) = self.host_memory.take(held_by_reader(size, compression)) else {
            return Ok(Err(Error::TooLarge(format!(
                "{}: too many objects are read at once: what is read ahead of a guest may take {MAX_HOST_MEMORY} bytes",
                object.metadata.location
            ))));
        };
        let whole = object.first.len() as u64 == object.metadata.size;
        let source = if whole && compression == Compression::None {
            ChunkSource::Memory { bytes: object.first.clone(), size }
        } else {
            let (metadata, first) = (object.metadata.clone(), object.first.clone());
            let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
            let store = self.context.objects.clone();
            let task = self.io.spawn(read_ahead(store, metadata, first, compression, size, sender));
            ChunkSource::Task { chunks, _task: AbortOnDropHandle::new(task) }
        };
        Ok(Ok(self.table.push(ChunkReader { source, _held: held })?))
    }

    fn drop(&mut self, this: Resource<OpenObject>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl objects::HostChunks for Guest {
    async fn next(&mut self, this: Resource<ChunkReader>) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let next = match &mut self.table.get_mut(&this)?.source {
            ChunkSource::Memory { bytes, .. } if bytes.is_empty() => None,
            ChunkSource::Memory { bytes, size } => Some(Ok(bytes.split_to(bytes.len().min(*size)))),
            ChunkSource::Task { chunks, .. } => chunks.recv().await,
        };
        Ok(match next.transpose() {
            Ok(chunk) => {
                self.bytes_read += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
                Ok(chunk.map(Vec::from))
            }
            Err(error) => Err(error.into()),
        })
    }

    fn drop(&mut self, this: Resource<ChunkReader>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl objects::HostListing for Guest {
    async fn next(&mut self, this: Resource<ObjectListing>) -> wasmtime::Result<Result<Vec<Entry>, Error>> {
        let listing = self.table.get(&this)?;
        if listing.done {
            return Ok(Ok(Vec::new()));
        }
        let (prefix, next) = (listing.prefix.clone(), listing.next.clone());
        let page = self.on_io(move |store| async move { store.list(&prefix, next.as_deref()).await }).await;
        Ok(match page {
            Ok(page) => {
                let listing = self.table.get_mut(&this)?;
                listing.done = page.next.is_none();
                listing.next = page.next;
                Ok(page.objects.into_iter().map(entry).collect())
            }
            Err(error) => Err(error.into()),
        })
    }

    fn drop(&mut self, this: Resource<ObjectListing>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl Guest {
    /// The location behind a URI, if the dataset grants it.
    fn granted(&self, uri: &str) -> Result<Location, ObjectError> {
        let location: Location = uri.parse()?;
        if self.context.grants.read.iter().any(|grant| grant.contains(&location)) {
            return Ok(location);
        }
        Err(ObjectError::Denied(format!(
            "{location} is not granted: `[grants] read` of dataset {} does not cover it",
            self.context.dataset
        )))
    }

    /// Starts a request on the I/O runtime: there a busy guest cannot delay it, nor it a heartbeat.
    fn on_io<T, F, R>(&self, request: R) -> impl Future<Output = Result<T, ObjectError>> + Send + use<T, F, R>
    where
        R: FnOnce(Arc<dyn ObjectStore>) -> F,
        T: Send + 'static,
        F: Future<Output = Result<T, ObjectError>> + Send + 'static,
    {
        let started = self.io.spawn(request(self.context.objects.clone()));
        async move {
            started
                .await
                .unwrap_or_else(|error| Err(ObjectError::Unavailable(format!("the host failed to read: {error}"))))
        }
    }
}

/// The most that one sequential read holds: chunks that wait, one on its way to the guest and one that is being filled,
/// requests under way, and what the decompressor keeps.
fn held_by_reader(chunk: usize, compression: Compression) -> usize {
    let window = if compression == Compression::Zstd { 1 << MAX_ZSTD_WINDOW } else { 0 };
    (CHUNKS_AHEAD + 2) * chunk + READ_AHEAD * READ as usize + window
}

fn effective(asked: Compression, key: &str) -> Compression {
    match asked {
        Compression::Auto if key.ends_with(".gz") => Compression::Gzip,
        Compression::Auto if key.ends_with(".zst") => Compression::Zstd,
        Compression::Auto if key.ends_with(".bz2") => Compression::Bzip2,
        Compression::Auto => Compression::None,
        asked => asked,
    }
}

/// Reads the object in order, undoes its compression, and hands over chunks until the guest is gone.
async fn read_ahead(
    store: Arc<dyn ObjectStore>,
    metadata: Metadata,
    first: Bytes,
    compression: Compression,
    size: usize,
    chunks: mpsc::Sender<Result<Bytes, ObjectError>>,
) {
    let uri = metadata.location.to_string();
    let stored = stored_bytes(store, metadata, first);
    if compression == Compression::None && size as u64 >= READ {
        // Nothing to undo and nothing to cut: what the store gave is the chunk, without another copy.
        let mut stored = std::pin::pin!(stored);
        while let Some(chunk) = stored.next().await {
            let failed = chunk.is_err();
            if chunks.send(chunk).await.is_err() || failed {
                return;
            }
        }
        return;
    }
    let stored = StreamReader::new(Box::pin(in_turns(stored).map_err(std::io::Error::other)));
    let mut plain: Box<dyn AsyncRead + Send + Unpin> = match compression {
        Compression::Gzip => {
            let mut decoder = GzipDecoder::new(stored);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        Compression::Zstd => {
            let mut decoder = ZstdDecoder::with_params(stored, &[DParameter::window_log_max(MAX_ZSTD_WINDOW)]);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        Compression::Bzip2 => {
            let mut decoder = BzDecoder::new(stored);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        Compression::None | Compression::Auto => Box::new(stored),
    };
    loop {
        let chunk = fill(&mut plain, size).await.map_err(|error| stream_error(&uri, error));
        let last = chunk.as_ref().map_or(true, Bytes::is_empty);
        if !matches!(&chunk, Ok(bytes) if bytes.is_empty()) && chunks.send(chunk).await.is_err() {
            return;
        }
        if last {
            return;
        }
    }
}

/// The object's bytes in order, several requests ahead.
fn stored_bytes(
    store: Arc<dyn ObjectStore>,
    metadata: Metadata,
    first: Bytes,
) -> impl Stream<Item = Result<Bytes, ObjectError>> + Send {
    let start = first.len() as u64;
    let Metadata { location, size, etag, .. } = metadata;
    let ranges = (start..size).step_by(READ as usize).map(move |from| from..(from + READ).min(size));
    let rest = futures::stream::iter(ranges)
        .map(move |range| {
            let (store, location, etag) = (store.clone(), location.clone(), etag.clone());
            async move { store.read(&location, &etag, range).await }
        })
        .buffered(READ_AHEAD);
    futures::stream::iter((!first.is_empty()).then_some(Ok(first))).chain(rest)
}

/// The same bytes in pieces, between which others have their turn: an object can be made so that a decompressor works
/// long on it and has nothing to show for it.
fn in_turns(
    stored: impl Stream<Item = Result<Bytes, ObjectError>> + Send,
) -> impl Stream<Item = Result<Bytes, ObjectError>> + Send {
    let pieces = stored.map_ok(|mut bytes| {
        let count = bytes.len().div_ceil(TURN);
        futures::stream::iter((0..count).map(move |_| Ok(bytes.split_to(bytes.len().min(TURN)))))
    });
    pieces.try_flatten().then(|piece| async {
        tokio::task::yield_now().await;
        piece
    })
}

async fn fill(reader: &mut (impl AsyncRead + Unpin), size: usize) -> std::io::Result<Bytes> {
    let mut chunk = BytesMut::with_capacity(size);
    while chunk.len() < size {
        // `read_buf` grows a full buffer; the chunk ends where it was meant to.
        let room = TURN.min(size - chunk.len());
        if reader.take(room as u64).read_buf(&mut chunk).await? == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(chunk.freeze())
}

/// What a decoder reports is the object's damage, unless the store's own error is inside.
fn stream_error(uri: &str, error: std::io::Error) -> ObjectError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<ObjectError>()) {
        Some(inner) => inner.clone(),
        // zstd's own words for a window beyond the limit.
        None if error.to_string().contains("requires too much memory") => ObjectError::TooLarge(format!(
            "{uri}: the zstd window is larger than {} MiB: compress it without `--long` and `--ultra`",
            (1 << MAX_ZSTD_WINDOW) >> 20
        )),
        None => ObjectError::Invalid(format!("{uri}: the compressed bytes are damaged or cut off: {error}")),
    }
}

fn entry(metadata: Metadata) -> Entry {
    Entry { uri: metadata.location.to_string(), size: metadata.size, etag: metadata.etag }
}

impl From<ObjectError> for Error {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::NotFound(message) => Self::NotFound(message),
            ObjectError::Denied(message) => Self::Denied(message),
            ObjectError::Invalid(message) => Self::Invalid(message),
            ObjectError::Unavailable(message) | ObjectError::Exhausted(message) => Self::Unavailable(message),
            ObjectError::TooLarge(message) => Self::TooLarge(message),
            ObjectError::Changed(message) => Self::Changed(message),
            // Of writing; guests read.
            ObjectError::Gone(message) => Self::Unavailable(message),
        }
    }
}
