//! Objects under `s3://bucket/key`: Amazon S3 in the cloud, a folder on a laptop.

mod reader;

use crate::bindings::gristmill::plugin::objects as host;
use crate::{Failure, csv};

pub use host::{Chunks, Compression, Entry, Error, Listing, Metadata, Object};
pub use host::{list, open};
pub use reader::{Ranges, Reader, Stats, reader};

/// Opens an object as a table of records. `.gz`, `.zst` and `.bz2` are undone by the host.
///
/// # Errors
/// `ObjectNotFound`, `ObjectDenied`, ... where it cannot be opened, and what [`csv::Reader::new`] says of its header.
pub fn read_csv(uri: &str) -> Result<csv::Reader<Stream>, Failure> {
    Ok(csv::Reader::new(stream(uri)?)?)
}

/// Small enough to be still in the core's own cache when it is read, large enough that fetching it costs nothing.
const CHUNK: u32 = 256 << 10;

/// Opens an object to read all its bytes in order, decompressed by its key's ending.
///
/// # Errors
/// `ObjectNotFound`, `ObjectDenied`, ... where it cannot be opened.
pub fn stream(uri: &str) -> Result<Stream, Failure> {
    let options = host::ChunkOptions { size: CHUNK, compression: Compression::Auto };
    Ok(Stream { name: uri.to_owned(), chunks: open(uri)?.chunks(options)? })
}

/// The bytes of an object in order.
pub struct Stream {
    name: String,
    chunks: Chunks,
}

impl csv::Source for Stream {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.chunks.next()?)
    }
}
