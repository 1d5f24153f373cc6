//! A copy of one file, which is held against its MD5 while it is made, and read in place of the file.

use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use tempfile::SpooledTempFile;

use super::super::format::Stop;
use crate::object::{Location, Metadata, ObjectError, ObjectStore, Page};

/// The copy of a file is in memory up to this size, and on disk beyond it.
const IN_MEMORY: usize = 8 * 1024 * 1024;

/// Bytes that were found to be what the manifest says.
pub(super) struct Copy {
    bytes: SpooledTempFile,
    size: u64,
}

impl Copy {
    /// Copies the file whose MD5 is `expected`.
    pub(super) fn verified(mut file: impl Read, expected: &str, manifest: &Location) -> Result<Self, Stop> {
        let (mut bytes, mut size, mut md5) = (SpooledTempFile::new(IN_MEMORY), 0, Md5::new());
        let unkept = |error: io::Error| {
            let folder = std::env::temp_dir();
            Stop::Format(format!("cannot be copied into {} to be verified: {error}", folder.display()))
        };
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(absent(error, manifest)),
            };
            md5.update(read);
            bytes.write_all(read).map_err(unkept)?;
            size += read.len() as u64;
        }
        let found = hex::encode(md5.finalize());
        if !found.eq_ignore_ascii_case(expected) {
            let expected: String = expected.chars().take(40).collect();
            return Err(Stop::Format(format!(
                "its MD5 is {found}, and {manifest} says {expected}: it was damaged or replaced; copy it again from where S3 \
                 wrote it, or take another inventory"
            )));
        }
        bytes.rewind().map_err(unkept)?;
        Ok(Self { bytes, size })
    }

    /// Its bytes in order.
    pub(super) fn reader(self) -> impl Read {
        BufReader::new(self.bytes)
    }

    /// A store that has nothing but this, as the object that was copied: errors name that one.
    pub(super) fn store(self, at: Location) -> OneObject {
        OneObject { at, size: self.size, bytes: Mutex::new(self.bytes) }
    }
}

fn absent(error: io::Error, manifest: &Location) -> Stop {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<ObjectError>()) {
        Some(ObjectError::NotFound(_)) => Stop::Format(format!(
            "is not there, although {manifest} names it: a rule of the bucket removed it, or it was not copied along; take \
             an inventory whose files are there"
        )),
        _ => Stop::Io(error),
    }
}

/// A store of one object, whatever is asked for.
pub(super) struct OneObject {
    at: Location,
    size: u64,
    bytes: Mutex<SpooledTempFile>,
}

impl OneObject {
    fn range(&self, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let (start, end) = (range.start.min(self.size), range.end.min(self.size));
        let mut found = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX)];
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let read = bytes.seek(SeekFrom::Start(start)).and_then(|_| bytes.read_exact(&mut found));
        read.map_err(|error| ObjectError::Unavailable(format!("the copy of {}: {error}", self.at)))?;
        Ok(found.into())
    }
}

#[async_trait]
impl ObjectStore for OneObject {
    async fn open(&self, _: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        let object = Metadata { location: self.at.clone(), size: self.size, etag: String::new(), last_modified: None };
        Ok((object, self.range(0..first)?))
    }

    async fn read(&self, _: &Location, _: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.range(range)
    }

    async fn list(&self, _: &Location, _: Option<&str>) -> Result<Page, ObjectError> {
        Ok(Page::default())
    }
}
