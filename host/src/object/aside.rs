//! A store that reads from one place and writes to another, so that no reader sees what is written.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Cleanups, ContentType, Location, Metadata, ObjectError, ObjectStore, ObjectWriter, Page, Upload, Uploaded,
};

/// Reads here, and writes aside.
pub struct Aside {
    /// Where objects are read and listed.
    pub inputs: Arc<dyn ObjectStore>,
    /// Where objects are written and removed.
    pub outputs: Arc<dyn ObjectWriter>,
}

#[async_trait]
impl ObjectStore for Aside {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        self.inputs.open(at, first).await
    }

    async fn read(&self, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.inputs.read(at, etag, range).await
    }

    async fn list(&self, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError> {
        self.inputs.list(prefix, next).await
    }
}

#[async_trait]
impl ObjectWriter for Aside {
    fn written(&self) -> &dyn ObjectStore {
        self.outputs.written()
    }

    async fn upload(&self, at: &Location, holds: ContentType) -> Result<Box<dyn Upload>, ObjectError> {
        self.outputs.upload(at, holds).await
    }

    async fn complete(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        self.outputs.complete(upload).await
    }

    async fn abort(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        self.outputs.abort(upload).await
    }

    async fn abort_uploads(&self, at: &Location) -> Result<usize, ObjectError> {
        self.outputs.abort_uploads(at).await
    }

    async fn abort_uploads_named(&self, prefix: &Location, name: &str) -> Result<usize, ObjectError> {
        self.outputs.abort_uploads_named(prefix, name).await
    }

    async fn delete(&self, at: &Location) -> Result<(), ObjectError> {
        self.outputs.delete(at).await
    }

    fn cleanups(&self) -> &Cleanups {
        self.outputs.cleanups()
    }
}
