//! One object in memory, which holds whoever reads it to what may be asked.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use gristmill::object::{Location, Metadata, ObjectError, ObjectStore, Page};

/// The object; its key decides how it is decompressed.
pub(super) struct One {
    pub(super) at: Location,
    pub(super) bytes: Bytes,
}

impl One {
    pub(super) fn new(key: &str, bytes: &[u8]) -> Self {
        Self { at: Location { bucket: "b".into(), key: key.into() }, bytes: Bytes::copy_from_slice(bytes) }
    }

    pub(super) fn metadata(&self) -> Metadata {
        let size = self.bytes.len() as u64;
        Metadata { location: self.at.clone(), size, etag: "\"1\"".into(), last_modified: None }
    }

    pub(super) fn cut(&self, range: Range<u64>) -> Bytes {
        let size = self.bytes.len() as u64;
        assert!(range.start <= range.end, "{range:?} goes backwards");
        self.bytes.slice(range.start.min(size) as usize..range.end.min(size) as usize)
    }

    /// Only what the grant `s3://b/dir/` covers may be asked for.
    fn granted(&self, at: &Location) {
        assert!(at.bucket == "b" && at.key.starts_with("dir/"), "{at} is not granted");
        assert!(!at.key.split('/').any(|part| part == ".."), "{at} leads out of the grant");
    }
}

#[async_trait]
impl ObjectStore for One {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        self.granted(at);
        if *at != self.at {
            return Err(ObjectError::NotFound(format!("there is no {at}")));
        }
        // Less than is asked for, so that small objects have a rest that is read later.
        Ok((self.metadata(), self.cut(0..first.min(1024))))
    }

    async fn read(&self, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.granted(at);
        assert_eq!((at, etag), (&self.at, "\"1\""));
        assert!(range.end <= self.bytes.len() as u64, "{range:?} is behind the end");
        Ok(self.cut(range))
    }

    async fn list(&self, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError> {
        self.granted(prefix);
        let next = if next.is_none() { Some("more".into()) } else { None };
        Ok(Page { objects: vec![self.metadata(); 100], next })
    }
}
