//! An inventory in memory: a manifest, and the same bytes as every file that it names.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use gristmill::object::{Location, Metadata, ObjectError, ObjectStore, Page};
use md5::{Digest as _, Md5};

use super::store::One;

pub(super) struct Inventory {
    manifest: One,
    file: Bytes,
}

impl Inventory {
    /// In the manifest, `@` stands for the file's MD5: the fuzzer would not find it.
    pub(super) fn new(manifest: &str, file: &[u8]) -> Self {
        let manifest = manifest.replace('@', &hex::encode(Md5::digest(file)));
        Self { manifest: One::new("dir/manifest.json", manifest.as_bytes()), file: Bytes::copy_from_slice(file) }
    }

    /// A manifest may name objects of any bucket.
    fn object(&self, at: &Location) -> One {
        One {
            at: at.clone(),
            bytes: if *at == self.manifest.at { self.manifest.bytes.clone() } else { self.file.clone() },
        }
    }
}

#[async_trait]
impl ObjectStore for Inventory {
    async fn open(&self, at: &Location, _: u64) -> Result<(Metadata, Bytes), ObjectError> {
        let object = self.object(at);
        Ok((object.metadata(), object.bytes))
    }

    async fn read(&self, at: &Location, _: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        Ok(self.object(at).cut(range))
    }

    async fn list(&self, prefix: &Location, _: Option<&str>) -> Result<Page, ObjectError> {
        panic!("{prefix} is not listed")
    }
}
