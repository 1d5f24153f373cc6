//! A sequential read: fetched ahead of whoever reads, decompressed, and cut into chunks, all of it on the I/O runtime.

use std::sync::Arc;

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;
use tokio_util::task::AbortOnDropHandle;

use super::{Metadata, ObjectError, ObjectStore};

/// One request of a sequential read; also how much of an object is fetched when it is opened.
pub(crate) const READ: u64 = 1 << 20;
/// Requests of one sequential read that are under way at once. They hide the latency of a store.
const READ_AHEAD: usize = 3;
/// Chunks that wait for the reader.
const CHUNKS_AHEAD: usize = 2;
/// A decompressor takes so many bytes, and gives so many, before others on the I/O runtime have their turn.
const TURN: usize = 128 << 10;
/// The binary logarithm of the largest window of a zstd stream: 32 MiB, which levels up to 20 need. The decompressor
/// holds the whole window, and the stream alone says how large it is.
const MAX_ZSTD_WINDOW: u32 = 25;

/// How the bytes of an object are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// By the key's ending.
    Auto,
    /// Not at all.
    None,
    /// gzip, of any number of members.
    Gzip,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
}

/// An object's bytes in order. Dropping it ends the reading ahead.
pub(crate) struct Chunks(Source);

/// Where they come from.
enum Source {
    /// The whole object came with the first request, as it does for most.
    Memory { bytes: Bytes, size: usize },
    /// A task reads ahead, as long as somebody is there to read.
    Task { chunks: mpsc::Receiver<Result<Bytes, ObjectError>>, _task: AbortOnDropHandle<()> },
}

impl Chunks {
    /// Starts to read an object whose first bytes are there.
    pub(crate) fn start(
        io: &Handle,
        store: Arc<dyn ObjectStore>,
        metadata: Metadata,
        first: Bytes,
        compression: Compression,
        size: usize,
    ) -> Self {
        let compression = compression.of(&metadata.location.key);
        if first.len() as u64 == metadata.size && compression == Compression::None {
            return Self(Source::Memory { bytes: first, size });
        }
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let task = io.spawn(read_ahead(store, metadata, first, compression, size, sender));
        Self(Source::Task { chunks, _task: AbortOnDropHandle::new(task) })
    }

    /// The next chunk; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, ObjectError>> {
        match &mut self.0 {
            Source::Memory { bytes, .. } if bytes.is_empty() => None,
            Source::Memory { bytes, size } => Some(Ok(bytes.split_to(bytes.len().min(*size)))),
            Source::Task { chunks, .. } => chunks.recv().await,
        }
    }
}

/// The most memory that one sequential read takes: for chunks that wait, one on its way to the guest, one that is being
/// filled, requests under way, and the decompressor's window.
pub(crate) fn held_by_reader(chunk: usize, compression: Compression, key: &str) -> usize {
    let window = if compression.of(key) == Compression::Zstd { 1 << MAX_ZSTD_WINDOW } else { 0 };
    (CHUNKS_AHEAD + 2) * chunk + READ_AHEAD * READ as usize + window
}

impl Compression {
    /// What was asked for, or what the key's ending says.
    fn of(self, key: &str) -> Self {
        match self {
            Self::Auto if key.ends_with(".gz") => Self::Gzip,
            Self::Auto if key.ends_with(".zst") => Self::Zstd,
            Self::Auto if key.ends_with(".bz2") => Self::Bzip2,
            Self::Auto => Self::None,
            asked => asked,
        }
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
        // Nothing has to be decompressed or cut: the store's bytes are the chunk, without a copy.
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

/// The same bytes in pieces, between which others have their turn. An object can be made such that a decompressor works
/// on it for long and gives nothing.
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
        // Limited, because `read_buf` grows a full buffer.
        let room = TURN.min(size - chunk.len());
        if reader.take(room as u64).read_buf(&mut chunk).await? == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(chunk.freeze())
}

/// An error of a decoder means a damaged object, unless it wraps an error of the store.
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
