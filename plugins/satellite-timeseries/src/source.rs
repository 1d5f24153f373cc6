//! An object as the storage that hdf5-reader reads from.

use std::sync::Arc;

use gristmill_plugin::Failure;
use gristmill_plugin::objects::Reader;
use hdf5_reader::error::{Error, Result};
use hdf5_reader::{Hdf5File, OpenOptions, Storage, StorageBuffer};

/// Objects up to this size come in one request, which costs less than choosing.
pub const WHOLE: u64 = 8 << 20;
/// Of larger ones, directories are read in pieces of this size.
const PIECE: u64 = 128 << 10;
/// The largest directory of an object within a file.
const LARGEST_HEADER: usize = 1 << 20;

/// Opens a file.
///
/// # Errors
/// `BadImage` where it is no HDF5, and what the host says.
pub fn open(reader: &Reader) -> std::result::Result<Hdf5File, Failure> {
    let options =
        OpenOptions { max_object_header_bytes: LARGEST_HEADER, chunk_cache_bytes: 0, ..OpenOptions::default() };
    let file = Hdf5File::from_storage_with_options(Arc::new(Bytes(reader.clone())), options);
    let file = file.map_err(|error| bad(reader, &error))?;
    let (wanted, size) = (file.superblock().eof_address, reader.size());
    // What is left of it could look whole.
    if wanted > size {
        return Err(Failure::reject("BadImage", format!("it is cut off: of {wanted} bytes, {size} are there")));
    }
    Ok(file)
}

/// A reader that asks for little of a large object.
#[must_use]
pub fn sparing(reader: Reader) -> Reader {
    if reader.size() <= WHOLE { reader } else { reader.pieces(PIECE) }
}

/// What was wrong: the host's own error if there was one, so that an object that was not available is no bad file.
pub(crate) fn bad(reader: &Reader, error: &Error) -> Failure {
    let host = reader.take_error().filter(|failure| failure.code() != "ObjectInvalid");
    host.unwrap_or_else(|| Failure::reject("BadImage", format!("it is no NetCDF-4 file, or damaged: {error}")))
}

struct Bytes(Reader);

impl Storage for Bytes {
    fn len(&self) -> u64 {
        self.0.size()
    }

    fn read_range(&self, offset: u64, len: usize) -> Result<StorageBuffer> {
        // Before there is room for them: a damaged file asks for anything.
        if offset.checked_add(len as u64).is_none_or(|end| end > self.len()) {
            let available = self.len().saturating_sub(offset);
            return Err(Error::UnexpectedEof { offset, needed: len as u64, available });
        }
        let mut bytes = vec![0; len];
        self.0.read_at(offset, &mut bytes).map_err(|failure| Error::Other(failure.to_string()))?;
        Ok(StorageBuffer::from_vec(bytes))
    }
}
