//! `objects`: what the dataset grants, one version of each object, read ahead of the guest and decompressed.

pub(super) mod handles;

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use self::handles::{ChunkReader, ObjectListing, OpenObject};
use super::bindings::gristmill::plugin::objects::{self as wit, ChunkOptions, Entry, Error};
use crate::object::chunks::{Chunks, Compression, READ, held_by_reader};
use crate::object::{Location, Metadata, ObjectError, ObjectStore};
use crate::runtime::BatchContext;
use crate::runtime::limits::{HostMemory, MAX_HOST_MEMORY};

const DEFAULT_CHUNK: usize = 1 << 20;
const CHUNK_SIZES: RangeInclusive<usize> = 4 << 10..=8 << 20;
const MAX_READ: u32 = 8 << 20;

/// What an instance has of its objects, beside the handles.
pub(in crate::runtime) struct ObjectsCtx {
    batch: Arc<BatchContext>,
    io: Handle,
    memory: HostMemory,
    bytes_read: u64,
}

impl ObjectsCtx {
    pub(super) fn new(batch: Arc<BatchContext>, io: Handle, memory: HostMemory) -> Self {
        Self { batch, io, memory, bytes_read: 0 }
    }

    /// Forgets what the item before read.
    pub(super) fn next_item(&mut self) {
        self.bytes_read = 0;
    }

    /// How many bytes the item was given.
    pub(in crate::runtime) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Counts what was read for the item.
    pub(super) fn count(&mut self, bytes: u64) {
        self.bytes_read += bytes;
    }

    /// What the host may hold for the instance.
    pub(super) fn memory(&self) -> &HostMemory {
        &self.memory
    }

    /// The runtime for I/O.
    pub(super) fn io(&self) -> &Handle {
        &self.io
    }

    /// The location behind a URI, if the dataset grants it.
    pub(super) fn granted(&self, uri: &str) -> Result<Location, ObjectError> {
        let location: Location = uri.parse()?;
        if self.batch.grants.read.iter().any(|grant| grant.contains(&location)) {
            return Ok(location);
        }
        Err(ObjectError::Denied(format!(
            "{location} is not granted: `[grants] read` of dataset {} does not cover it",
            self.batch.dataset
        )))
    }

    /// Starts a request on the I/O runtime, where no busy guest can delay it.
    pub(super) fn on_io<T, F, R>(
        &self,
        request: R,
    ) -> impl Future<Output = Result<T, ObjectError>> + Send + use<T, F, R>
    where
        R: FnOnce(Arc<dyn ObjectStore>) -> F,
        T: Send + 'static,
        F: Future<Output = Result<T, ObjectError>> + Send + 'static,
    {
        let started = self.io.spawn(request(self.batch.objects.clone()));
        async move {
            started
                .await
                .unwrap_or_else(|error| Err(ObjectError::Unavailable(format!("the host failed to read: {error}"))))
        }
    }
}

/// The context with the instance's handles: what the functions work on.
pub(super) struct ObjectsView<'a> {
    pub(super) ctx: &'a mut ObjectsCtx,
    pub(super) table: &'a mut ResourceTable,
}

/// Offers the interface to the components of this linker.
pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> ObjectsView<'_>,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasObjects>(linker, view)
}

struct HasObjects;

impl HasData for HasObjects {
    type Data<'a> = ObjectsView<'a>;
}

impl wit::Host for ObjectsView<'_> {
    async fn open(&mut self, uri: String) -> wasmtime::Result<Result<Resource<OpenObject>, Error>> {
        let opened = match self.ctx.granted(&uri) {
            Ok(location) => self.ctx.on_io(move |store| async move { store.open(&location, READ).await }).await,
            Err(error) => Err(error),
        };
        Ok(match opened {
            Ok((metadata, first)) => {
                // If there is no room for the first bytes, the guest's reads fetch them again.
                let held = self.ctx.memory.take(first.len());
                let first = if held.is_some() { first } else { Bytes::new() };
                Ok(self.table.push(OpenObject { metadata, first, _held: held })?)
            }
            Err(error) => Err(error.into()),
        })
    }

    async fn list(&mut self, prefix: String) -> wasmtime::Result<Result<Resource<ObjectListing>, Error>> {
        Ok(match self.ctx.granted(&prefix) {
            Ok(prefix) => Ok(self.table.push(ObjectListing { prefix, next: None, done: false })?),
            Err(error) => Err(error.into()),
        })
    }
}

impl wit::HostObject for ObjectsView<'_> {
    fn metadata(&mut self, this: Resource<OpenObject>) -> wasmtime::Result<wit::Metadata> {
        let metadata = &self.table.get(&this)?.metadata;
        Ok(wit::Metadata { uri: metadata.location.to_string(), size: metadata.size, etag: metadata.etag.clone() })
    }

    async fn read(
        &mut self,
        this: Resource<OpenObject>,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let object = self.table.get(&this)?;
        let size = object.metadata.size;
        let location = object.metadata.location.clone();
        if length > MAX_READ {
            return Ok(Err(Error::TooLarge(format!(
                "{location}: a read of {length} bytes; at most {MAX_READ} at once"
            ))));
        }
        if offset > size {
            return Ok(Err(Error::Invalid(format!("{location}: offset {offset} is behind the end at {size}"))));
        }
        let end = offset.saturating_add(length.into()).min(size);
        let fetched = match (usize::try_from(offset), usize::try_from(end)) {
            (Ok(start), Ok(end)) if end <= object.first.len() => Ok(object.first.slice(start..end)),
            _ => {
                let etag = object.metadata.etag.clone();
                self.ctx.on_io(move |store| async move { store.read(&location, &etag, offset..end).await }).await
            }
        };
        Ok(match fetched {
            Ok(bytes) => {
                self.ctx.bytes_read += bytes.len() as u64;
                Ok(bytes.into())
            }
            Err(error) => Err(error.into()),
        })
    }

    async fn chunks(
        &mut self,
        this: Resource<OpenObject>,
        options: ChunkOptions,
    ) -> wasmtime::Result<Result<Resource<ChunkReader>, Error>> {
        let object = self.table.get(&this)?;
        let size = match options.size {
            0 => DEFAULT_CHUNK,
            size => (size as usize).clamp(*CHUNK_SIZES.start(), *CHUNK_SIZES.end()),
        };
        let (compression, key) = (options.compression.into(), &object.metadata.location.key);
        let Some(held) = self.ctx.memory.take(held_by_reader(size, compression, key)) else {
            return Ok(Err(Error::TooLarge(format!(
                "{}: too many objects are read at once: what is read ahead of a guest may take {MAX_HOST_MEMORY} bytes",
                object.metadata.location
            ))));
        };
        let (metadata, first) = (object.metadata.clone(), object.first.clone());
        let chunks = Chunks::start(&self.ctx.io, self.ctx.batch.objects.clone(), metadata, first, compression, size);
        Ok(Ok(self.table.push(ChunkReader { chunks, _held: held })?))
    }

    fn drop(&mut self, this: Resource<OpenObject>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl wit::HostChunks for ObjectsView<'_> {
    async fn next(&mut self, this: Resource<ChunkReader>) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let next = self.table.get_mut(&this)?.chunks.next().await;
        Ok(match next.transpose() {
            Ok(chunk) => {
                self.ctx.bytes_read += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
                Ok(chunk.map(Vec::from))
            }
            Err(error) => Err(error.into()),
        })
    }

    fn drop(&mut self, this: Resource<ChunkReader>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl wit::HostListing for ObjectsView<'_> {
    async fn next(&mut self, this: Resource<ObjectListing>) -> wasmtime::Result<Result<Vec<Entry>, Error>> {
        let listing = self.table.get(&this)?;
        if listing.done {
            return Ok(Ok(Vec::new()));
        }
        let (prefix, next) = (listing.prefix.clone(), listing.next.clone());
        let page = self.ctx.on_io(move |store| async move { store.list(&prefix, next.as_deref()).await }).await;
        Ok(match page {
            Ok(page) => {
                let listing = self.table.get_mut(&this)?;
                listing.done = page.next.is_none();
                listing.next = page.next;
                Ok(page.objects.into_iter().map(entry).collect())
            }
            Err(error) => Err(error.into()),
        })
    }

    fn drop(&mut self, this: Resource<ObjectListing>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

fn entry(metadata: Metadata) -> Entry {
    Entry { uri: metadata.location.to_string(), size: metadata.size, etag: metadata.etag }
}

impl From<wit::Compression> for Compression {
    fn from(compression: wit::Compression) -> Self {
        match compression {
            wit::Compression::Auto => Self::Auto,
            wit::Compression::None => Self::None,
            wit::Compression::Gzip => Self::Gzip,
            wit::Compression::Zstd => Self::Zstd,
            wit::Compression::Bzip2 => Self::Bzip2,
        }
    }
}

impl From<ObjectError> for Error {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::NotFound(message) => Self::NotFound(message),
            ObjectError::Denied(message) => Self::Denied(message),
            ObjectError::Invalid(message) => Self::Invalid(message),
            ObjectError::Unavailable(message) | ObjectError::Exhausted(message) => Self::Unavailable(message),
            ObjectError::TooLarge(message) => Self::TooLarge(message),
            ObjectError::Changed(message) => Self::Changed(message),
            // Only writing returns this, and guests read.
            ObjectError::Gone(message) => Self::Unavailable(message),
        }
    }
}
