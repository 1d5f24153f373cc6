//! Reading a file as an object.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;

use super::super::{Location, Metadata, ObjectError};
use super::errors::read_error;
use super::paths::Root;
use super::version::{metadata, unchanged};
use crate::files;

/// What the object is, and its first bytes (at most `first`).
pub(super) fn open(root: &Root, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
    let path = root.existing(at)?;
    let fault = |error| read_error(at, &path, error);
    let mut file = files::open(&path).map_err(fault)?;
    let metadata = metadata(at, &file.metadata().map_err(fault)?)?;
    let bytes = read_up_to(&mut file, first.min(metadata.size)).map_err(fault)?;
    unchanged(at, &file, &metadata.etag)?;
    Ok((metadata, bytes))
}

/// Exactly the range of the version with this tag, cut at the object's end.
pub(super) fn range(root: &Root, at: &Location, tag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
    let path = root.existing(at)?;
    let fault = |error| read_error(at, &path, error);
    // The file is opened for every read: that costs microseconds, and notices a file that was replaced.
    let mut file = files::open(&path).map_err(fault)?;
    let size = unchanged(at, &file, tag)?;
    let end = range.end.min(size);
    if range.start >= end {
        return Ok(Bytes::new());
    }
    file.seek(SeekFrom::Start(range.start)).map_err(fault)?;
    let bytes = read_up_to(&mut file, end - range.start).map_err(fault)?;
    // Checked again, because a file can be written in place while it is read.
    unchanged(at, &file, tag)?;
    Ok(bytes)
}

fn read_up_to(file: &mut File, length: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    // A file can be larger than the machine's memory: that is an error here, not an abort.
    bytes.try_reserve_exact(usize::try_from(length).map_err(io::Error::other)?).map_err(io::Error::other)?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}
