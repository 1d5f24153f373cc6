//! Rows as objects: one object per batch and output, whose key follows from the batch, so that a batch that runs again
//! replaces its own object and no other. Outputs with another layout are staged in `laid_out`.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;

use super::digest::RowsDigest;
use super::effect::Effect;
use super::encode::Encoder;
use super::error::{SinkError, object_error};
use super::file_list;
use super::laid_out::LaidOut;
use super::pending::Pending;
use super::place::object_place;
use super::prepared::{Prepared, Written};
use super::schema::OutputSchema;
use super::stores::{Sink, Staging};
use crate::cpu;
use crate::dataset::{Format, Layout, Target};
use crate::job::BatchId;
use crate::object::{Location, ObjectWriter, Upload};

/// Takes rows for [`Target::Objects`].
pub struct ObjectsSink {
    store: Arc<dyn ObjectWriter>,
}

impl ObjectsSink {
    /// Writes to this store.
    pub fn new(store: Arc<dyn ObjectWriter>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Sink for ObjectsSink {
    async fn stage(&self, batch: &BatchId, schema: &Arc<OutputSchema>) -> Result<Box<dyn Staging>, SinkError> {
        let Place { prefix, format, layout } = place(schema)?;
        if !layout.is_plain() {
            return Ok(Box::new(LaidOut::begin(&self.store, batch, schema, prefix, format, layout)));
        }
        let at = object_place(prefix, "", batch, 0, format);
        Ok(Box::new(Staged {
            store: Arc::clone(&self.store),
            at,
            schema: Arc::clone(schema),
            format,
            pending: Pending::default(),
            writing: None,
            digest: RowsDigest::new(schema),
        }))
    }

    async fn remove_staged(&self, batch: &BatchId, schema: &OutputSchema) -> Result<(), SinkError> {
        let Place { prefix, format, layout } = place(schema)?;
        if layout.has_one_file() {
            let at = object_place(prefix, "", batch, 0, format);
            return self.store.abort_uploads(&at).await.map(|_| ()).map_err(object_error);
        }
        self.store.abort_uploads_named(prefix, &batch.object_name()).await.map_err(object_error)?;
        let list = file_list::place(prefix, batch, &schema.name);
        self.store.abort_uploads(&list).await.map(|_| ()).map_err(object_error)
    }
}

/// Where objects of an output are, and how they are.
struct Place<'a> {
    prefix: &'a Location,
    format: Format,
    layout: &'a Layout,
}

fn place(schema: &OutputSchema) -> Result<Place<'_>, SinkError> {
    let Target::Objects { prefix, format, layout } = &schema.target else {
        return Err(SinkError::Refused(format!("output `{}` goes to a table, not to objects", schema.name)));
    };
    let prefix = prefix.fixed().ok_or_else(|| {
        SinkError::Refused(format!("output `{}` has no place yet: only a run knows `{prefix}`", schema.name))
    })?;
    Ok(Place { prefix, format: *format, layout })
}

struct Staged {
    store: Arc<dyn ObjectWriter>,
    at: Location,
    schema: Arc<OutputSchema>,
    format: Format,
    pending: Pending,
    /// None until there are rows: an output without rows has no object.
    writing: Option<Writing>,
    /// The digest of all rows that are not pending.
    digest: RowsDigest,
}

struct Writing {
    encoder: Encoder,
    upload: Box<dyn Upload>,
}

#[async_trait]
impl Staging for Staged {
    async fn write(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        for enough in self.pending.add(&rows) {
            self.encode(enough).await?;
        }
        Ok(())
    }

    async fn prepare(mut self: Box<Self>) -> Result<Prepared, SinkError> {
        let rest = std::mem::take(&mut self.pending);
        self.encode(rest).await?;
        let (bytes, effect) = match self.writing.take() {
            None => (0, Effect::Remove(self.at.clone())),
            Some(Writing { encoder, mut upload }) => {
                let work = if encoder.holds_back() { usize::MAX } else { 0 };
                let rest = cpu::run(work, move || encoder.finish()).await?;
                send(&mut upload, rest).await?;
                let uploaded = upload.finish().await.map_err(object_error)?;
                (uploaded.size, Effect::Complete(uploaded))
            }
        };
        let (output, place) = (self.schema.name.clone(), self.at.to_string());
        let rows = self.digest.rows();
        let written = Written { output, place, files: None, rows, bytes, digest: Some(self.digest.finish()) };
        Ok(Prepared { written, effects: vec![effect] })
    }

    async fn abort(self: Box<Self>) -> Result<(), SinkError> {
        match self.writing {
            Some(Writing { upload, .. }) => upload.abort().await.map_err(object_error),
            None => Ok(()),
        }
    }
}

impl Staged {
    /// Encodes rows and sends what that gives.
    async fn encode(&mut self, pending: Pending) -> Result<(), SinkError> {
        if pending.rows == 0 {
            return Ok(());
        }
        let Writing { mut encoder, mut upload } = match self.writing.take() {
            Some(writing) => writing,
            None => Writing {
                encoder: Encoder::new(self.format, &self.schema)?,
                upload: self.store.upload(&self.at, self.format.content_type()).await.map_err(object_error)?,
            },
        };
        let schema = Arc::clone(&self.schema);
        let mut digest = std::mem::replace(&mut self.digest, RowsDigest::new(&schema));
        let bytes = pending.bytes;
        let encode = move || -> Result<_, SinkError> {
            encoder.write(&schema, &pending.blocks)?;
            match encoder.lines() {
                Some(lines) => digest.add_lines(pending.rows, lines),
                None => pending.blocks.iter().try_for_each(|rows| digest.add(&schema, rows))?,
            }
            let ready = encoder.take()?;
            Ok((encoder, ready, digest))
        };
        let (encoder, ready, digest) = cpu::run(bytes, encode).await?;
        send(&mut upload, ready).await?;
        self.digest = digest;
        self.writing = Some(Writing { encoder, upload });
        Ok(())
    }
}

pub(super) async fn send(upload: &mut Box<dyn Upload>, bytes: Vec<u8>) -> Result<(), SinkError> {
    if bytes.is_empty() {
        return Ok(());
    }
    upload.write(Bytes::from(bytes)).await.map_err(object_error)
}
