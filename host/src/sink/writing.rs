//! Many small uploads: one is written at a time, and those that are whole are finished side by side, because a store takes its
//! time for each.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::error::{SinkError, object_error};
use crate::object::{ContentType, Location, ObjectError, ObjectWriter, Upload, Uploads};

/// How many uploads are finished at once, and how many KiB of their last parts wait meanwhile.
const AT_ONCE: usize = 16;
const WAITING_KIB: u32 = 32 << 10;

/// An upload holds at most about this much: the rest is sent.
const MAX_HELD_KIB: u32 = 8 << 10;

/// Files on their way to a store.
pub(super) struct Writing {
    store: Arc<dyn ObjectWriter>,
    holds: ContentType,
    open: Option<(Box<dyn Upload>, u64)>,
    finishing: JoinSet<Result<Uploads, ObjectError>>,
    waiting: Arc<Semaphore>,
    done: Uploads,
    bytes: u64,
}

impl Writing {
    pub(super) fn new(store: Arc<dyn ObjectWriter>, holds: ContentType) -> Self {
        let done = Uploads::new(store.clone());
        let waiting = Arc::new(Semaphore::new(WAITING_KIB as usize));
        Self { store, holds, open: None, finishing: JoinSet::new(), waiting, done, bytes: 0 }
    }

    /// Begins the next file.
    pub(super) async fn begin(&mut self, at: Location) -> Result<(), SinkError> {
        self.open = Some((self.store.upload(&at, self.holds).await.map_err(object_error)?, 0));
        Ok(())
    }

    /// Appends to the file.
    pub(super) async fn write(&mut self, bytes: Vec<u8>) -> Result<(), SinkError> {
        if let Some((upload, written)) = &mut self.open {
            *written += bytes.len() as u64;
            upload.write(Bytes::from(bytes)).await.map_err(object_error)?;
        }
        Ok(())
    }

    /// The file is whole.
    pub(super) async fn end(&mut self) -> Result<(), SinkError> {
        let Some((upload, written)) = self.open.take() else { return Ok(()) };
        self.bytes += written;
        let held = u32::try_from(written >> 10).unwrap_or(u32::MAX).clamp(1, MAX_HELD_KIB);
        while self.finishing.len() >= AT_ONCE {
            self.one_is_done().await?;
        }
        let room = loop {
            match self.waiting.clone().try_acquire_many_owned(held) {
                Ok(room) => break room,
                Err(_) => self.one_is_done().await?,
            }
        };
        let mut finished = Uploads::new(self.store.clone());
        self.finishing.spawn(async move {
            // Nobody may come for it any more: then it is removed again.
            finished.watch(upload.finish().await?);
            drop(room);
            Ok(finished)
        });
        Ok(())
    }

    /// Waits for all files. They are not visible yet.
    pub(super) async fn finish(mut self) -> Result<(Uploads, u64), SinkError> {
        while !self.finishing.is_empty() {
            self.one_is_done().await?;
        }
        Ok((self.done, self.bytes))
    }

    async fn one_is_done(&mut self) -> Result<(), SinkError> {
        match self.finishing.join_next().await {
            Some(Ok(finished)) => self.done.add(finished.map_err(object_error)?),
            // Tasks are neither cancelled nor do they panic while this is here.
            Some(Err(error)) => return Err(SinkError::Unavailable(format!("an upload was not finished: {error}"))),
            None => {}
        }
        Ok(())
    }
}
