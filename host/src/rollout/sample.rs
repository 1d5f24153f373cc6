//! A release is tried on its own sample before it is used: every item has to succeed, with rows that its outputs take. Nothing is
//! written, and nothing is read but the sample.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::compare::check_keys;
use crate::admission::Admission;
use crate::catalog::DatasetVersion;
use crate::dataset::SampleSpec;
use crate::job::{Batch, BatchId, Digest, Item, TaskToken, error_names};
use crate::object::{Location, Metadata, ObjectError, ObjectStore, Page};
use crate::runtime::Lane;
use crate::sink::keys::KeySet;
use crate::telemetry::guest_metrics::DatasetMetrics;
use crate::telemetry::metrics::Metrics;

/// How long the items of a sample may take, all together: time in which they run, not in which they wait for a slot. A worker that
/// starts waits for it.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What a release did with its sample.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("on item {index} of its own sample: {code}: {message}")]
pub struct SampleFailed {
    index: usize,
    code: String,
    message: String,
}

/// Runs the sample, if the dataset has one.
pub async fn test(
    loaded: &Arc<DatasetVersion>,
    objects: &BTreeMap<String, Bytes>,
    admission: &Arc<Admission>,
    guests: &Handle,
    limit: Duration,
) -> Result<(), SampleFailed> {
    let Some(sample) = &loaded.dataset.sample else { return Ok(()) };
    let failed = |index, code: &str, message: String| SampleFailed { index, code: code.into(), message };
    let store: Arc<dyn ObjectStore> = Arc::new(SampleStore::new(sample, objects));
    let batch = batch(loaded, sample);
    // Numbers of their own: what a sample counts has not happened.
    let metrics = Metrics::new().map_err(|error| failed(0, "Gristmill.HostFault", error.to_string()))?;
    let metrics = Arc::new(DatasetMetrics::new(Arc::new(metrics), &loaded.dataset.name));
    let context = Arc::new(loaded.context(&batch, SystemTime::UNIX_EPOCH, &store, &Arc::default(), metrics));
    let need = loaded.need();
    let mut keys: Vec<KeySet> = loaded.outputs.iter().map(|_| KeySet::default()).collect();
    let mut left = limit;
    for (index, item) in batch.items.into_iter().enumerate() {
        let stopped = || failed(index, "Gristmill.HostFault", "the host stops".into());
        let permit = admission.acquire(&need).await.ok_or_else(stopped)?;
        let began = Instant::now();
        let mut lane = Lane::new(loaded.plugin.clone(), context.clone());
        let running = guests.spawn(async move {
            let _permit = permit;
            lane.run(&item).await
        });
        let late = |_| {
            let limit = humantime::format_duration(limit);
            failed(
                index,
                error_names::TIMEOUT,
                format!("all items of a sample have {limit} together: give it less to do"),
            )
        };
        let run = timeout(left, AbortOnDropHandle::new(running)).await.map_err(late)?.map_err(|_| stopped())?;
        left = left.saturating_sub(began.elapsed());
        let fits = run.result.and_then(|_| check_keys(&loaded.outputs, &mut keys, &run.rows));
        fits.map_err(|fault| failed(index, &fault.code, fault.message))?;
    }
    Ok(())
}

/// The sample as a batch that nobody waits for.
pub fn batch(loaded: &DatasetVersion, sample: &SampleSpec) -> Batch {
    let map = &loaded.dataset.map;
    let constant = || map.batch_input.as_ref().and_then(|input| input.evaluate(&json!({}), &Value::Null).ok());
    let input = sample.batch_input.clone().or_else(constant).unwrap_or_default();
    let items = sample.items.iter().zip(0..);
    Batch {
        values: Default::default(),
        step: None,
        window: None,
        id: BatchId { execution: "sample".into(), state: "Sample".into() },
        dataset: loaded.dataset.name.clone(),
        token: TaskToken::new("nobody"),
        attempt: 0,
        component: None,
        run: None,
        batch_input: input.to_string().into(),
        items: items.map(|(item, index)| Item { index, body: item.to_string().into() }).collect(),
    }
}

/// The sample's files as objects.
pub struct SampleStore {
    prefix: Option<Location>,
    objects: BTreeMap<String, (Metadata, Bytes)>,
}

impl SampleStore {
    /// The files by their paths below the sample's folder.
    pub fn new(sample: &SampleSpec, files: &BTreeMap<String, Bytes>) -> Self {
        let prefix = sample.objects.as_ref().map(|objects| objects.prefix.clone());
        let mut objects = BTreeMap::new();
        for (path, bytes) in files {
            let Some(prefix) = &prefix else { break };
            let location = prefix.with_key(format!("{}{path}", prefix.key));
            let etag = format!("\"{}\"", Digest::of(bytes).hex());
            let metadata = Metadata { location, size: bytes.len() as u64, etag, last_modified: None };
            objects.insert(metadata.location.key.clone(), (metadata, bytes.clone()));
        }
        Self { prefix, objects }
    }

    fn object(&self, at: &Location) -> Result<&(Metadata, Bytes), ObjectError> {
        let ours = self.prefix.as_ref().is_some_and(|prefix| prefix.bucket == at.bucket);
        let found = self.objects.get(&at.key).filter(|_| ours);
        found.ok_or_else(|| ObjectError::NotFound(format!("{at} is not in the sample")))
    }
}

fn cut(bytes: &Bytes, range: std::ops::Range<u64>) -> Bytes {
    let size = bytes.len() as u64;
    let (start, end) = (range.start.min(size), range.end.min(size));
    bytes.slice(start as usize..end.max(start) as usize)
}

#[async_trait]
impl ObjectStore for SampleStore {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        let (metadata, bytes) = self.object(at)?;
        Ok((metadata.clone(), cut(bytes, 0..first)))
    }

    async fn read(&self, at: &Location, _: &str, range: std::ops::Range<u64>) -> Result<Bytes, ObjectError> {
        Ok(cut(&self.object(at)?.1, range))
    }

    async fn list(&self, prefix: &Location, _: Option<&str>) -> Result<Page, ObjectError> {
        let ours = self.prefix.as_ref().is_some_and(|own| own.bucket == prefix.bucket);
        let under = self.objects.values().map(|(metadata, _)| metadata.clone());
        let objects = under.filter(|metadata| ours && metadata.location.key.starts_with(&prefix.key)).collect();
        Ok(Page { objects, next: None })
    }
}
