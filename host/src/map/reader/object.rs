//! One object's bytes as a blocking reader, decompressed by the ending of its key.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::pin::Pin;
use std::sync::Arc;

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, ZstdDecoder};
use bytes::Bytes;
use futures::{Stream, TryStreamExt as _, stream};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::runtime::Handle;
use tokio_util::io::StreamReader;

use super::format::Stop;
use super::kind;
use crate::object::{Location, ObjectStore};

/// The mark that programs on Windows put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// How much is read at once.
const RANGE: u64 = 1024 * 1024;

/// Opens the object as text in UTF-8; a byte order mark at its start is skipped, and what is evidently something else is
/// refused. To be called on a thread that may block.
pub(super) fn open(runtime: &Handle, store: Arc<dyn ObjectStore>, at: &Location) -> Result<impl BufRead + use<>, Stop> {
    let bytes = StreamReader::new(Box::pin(ranges(store, at.clone())));
    let inner: Pin<Box<dyn AsyncRead + Send>> = match compression(at) {
        Some("gzip") => {
            let mut decoder = GzipDecoder::new(bytes);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Some("zstd") => {
            let mut decoder = ZstdDecoder::new(bytes);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Some(_) => {
            let mut decoder = BzDecoder::new(bytes);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        None => Box::pin(bytes),
    };
    let mut input = BufReader::with_capacity(128 * 1024, Blocking { inner, runtime: runtime.clone() });
    let mut start = Vec::new();
    input.by_ref().take(kind::LOOK as u64).read_to_end(&mut start)?;
    if let Some(kind) = kind::foreign(&start) {
        return Err(Stop::Format(format!("no text that could be read; by its first bytes it is {kind}")));
    }
    if start.starts_with(BYTE_ORDER_MARK) {
        start.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(Read::chain(Cursor::new(start), input))
}

/// The object's bytes as they lie in the store. To be called on a thread that may block.
pub(super) fn raw(runtime: &Handle, store: Arc<dyn ObjectStore>, at: &Location) -> impl Read + use<> {
    let inner = Box::pin(StreamReader::new(Box::pin(ranges(store, at.clone()))));
    Blocking { inner, runtime: runtime.clone() }
}

/// What went wrong while the object was read and decompressed.
pub(super) fn explain(error: &io::Error, at: &Location) -> String {
    match compression(at) {
        Some(format) => format!("cannot be read as {format}, which the ending of its key says it is: {error}"),
        None => error.to_string(),
    }
}

fn compression(at: &Location) -> Option<&'static str> {
    match at.key.rsplit_once('.')?.1 {
        "gz" => Some("gzip"),
        "zst" => Some("zstd"),
        "bz2" => Some("bzip2"),
        _ => None,
    }
}

/// The object's bytes, range after range of the version that was opened.
fn ranges(store: Arc<dyn ObjectStore>, at: Location) -> impl Stream<Item = io::Result<Bytes>> + Send {
    /// How far we are: nothing read yet, or the version's tag, its size and where to go on.
    type Position = Option<(String, u64, u64)>;
    stream::try_unfold(None::<(String, u64, u64)>, move |position: Position| {
        let (store, at) = (store.clone(), at.clone());
        async move {
            let Some((etag, size, offset)) = position else {
                let (metadata, first) = store.open(&at, RANGE).await?;
                let read = first.len() as u64;
                return Ok(Some((first, Some((metadata.etag, metadata.size, read)))));
            };
            if offset >= size {
                return Ok(None);
            }
            let bytes = store.read(&at, &etag, offset..size.min(offset + RANGE)).await?;
            if bytes.is_empty() {
                let cut = format!("{at} ended after {offset} of {size} bytes");
                return Err(crate::object::ObjectError::Unavailable(cut));
            }
            let next = offset + bytes.len() as u64;
            Ok(Some((bytes, Some((etag, size, next)))))
        }
    })
    .map_err(io::Error::other)
}

/// An asynchronous reader, read from a thread that may block.
struct Blocking {
    inner: Pin<Box<dyn AsyncRead + Send>>,
    runtime: Handle,
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(self.inner.read(buffer))
    }
}
