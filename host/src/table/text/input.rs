//! What text is before it is rows: unpacked bytes, and what makes rows of them.

use arrow::array::RecordBatch;
use bytes::Bytes;
use tokio::runtime::Handle;

use super::super::cut::{BLOCK, BLOCKS};
use super::super::request::Request;
use super::super::source::Source;
use crate::object::ObjectError;
use crate::object::chunks::{Chunks, held_by_reader};

const CHUNK: usize = 1 << 20;
/// The longest row.
pub(super) const LONGEST: usize = 2 * BLOCK;

/// Unpacked bytes in order.
pub(in super::super) struct Text {
    pub(in super::super) source: Source,
    chunks: Chunks,
    /// What was fetched and not decoded yet.
    pub(super) chunk: Bytes,
    pub(super) is_over: bool,
    /// The most that reading takes.
    pub(super) memory: u64,
}

impl Text {
    pub(in super::super) fn open(io: &Handle, mut source: Source, request: &Request) -> Result<Self, ObjectError> {
        let held = held_by_reader(CHUNK, request.compression, &source.object.location.key) as u64;
        let memory = held + BLOCKS + 2 * LONGEST as u64;
        if memory > request.memory {
            let room = request.memory;
            return Err(source.too_large(format!("reading it takes {memory} bytes of memory; there are {room}")));
        }
        let chunks = source.chunks(io, request.compression, CHUNK);
        Ok(Self { source, chunks, chunk: Bytes::new(), is_over: false, memory })
    }

    /// Fetches the next chunk when the one before is used up. False at the end.
    pub(super) async fn fetch(&mut self) -> Result<bool, ObjectError> {
        if self.chunk.is_empty() && !self.is_over {
            match self.chunks.next().await.transpose()? {
                Some(chunk) => {
                    self.source.fetched += chunk.len() as u64;
                    self.chunk = chunk;
                }
                None => self.is_over = true,
            }
        }
        Ok(!self.chunk.is_empty())
    }
}

/// Makes rows of bytes. Errors are ends of sentences.
pub(super) trait Decoder: Send {
    /// Takes bytes until all are taken or a block is full. Returns how many it took.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, String>;

    /// Takes what is left when there are no more bytes.
    fn end(&mut self) -> Result<(), String>;

    /// The rows, if a block is full or everything was taken.
    fn rows(&mut self, is_over: bool) -> Result<Option<RecordBatch>, String>;
}
