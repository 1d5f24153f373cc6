//! What a Distributed Map's batches answered, as Step Functions' `ResultWriter` writes it ("ResultWriter (Map)" in its developer
//! guide): a manifest, and files that are arrays of child executions.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::error::ConcludeError;
use crate::dataset::StageSpec;
use crate::job::{BatchId, Results};
use crate::ledger::Receipt;
use crate::object::{ContentType, Location, Metadata, ObjectError, ObjectStore, ObjectWriter, Upload};
use crate::report::BatchReport;

/// How much is read at once.
const READ: u64 = 1 << 20;

/// A manifest names files; it is no place for more than this, in bytes.
const MAX_MANIFEST: u64 = 64 << 20;

/// What a batch has in an output.
pub(super) struct Committed {
    pub(super) id: BatchId,
    /// The object, or the prefix of several.
    pub(super) place: Location,
    /// How many objects there are, if the place is the prefix of several, which a list names.
    pub(super) files: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    destination_bucket: String,
    result_files: Files,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Files {
    #[serde(default)]
    succeeded: Vec<File>,
    #[serde(default)]
    failed: Vec<File>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    key: String,
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Child {
    execution_arn: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    /// Of one that failed: what the worker said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

/// The batches of a stage that have objects in the output.
pub(super) async fn read(
    store: Arc<dyn ObjectStore>,
    results: &Results,
    stage: &str,
    output: &str,
) -> Result<Vec<Committed>, ConcludeError> {
    let at = Location { bucket: results.bucket.clone(), key: results.key.clone() };
    let (metadata, first) = store.open(&at, MAX_MANIFEST).await.map_err(|error| of_store(&at, error))?;
    let unreadable = |why: &dyn fmt::Display| {
        ConcludeError::Refused(format!(
            "{at} is no manifest of a ResultWriter: {why}; the state machine names another object, or somebody wrote there"
        ))
    };
    if first.len() as u64 != metadata.size {
        return Err(unreadable(&format!("it has {} bytes", metadata.size)));
    }
    let manifest: Manifest = serde_json::from_slice(&first).map_err(|error| unreadable(&error))?;
    let mut committed = Vec::new();
    let Files { succeeded, failed } = manifest.result_files;
    for file in succeeded.into_iter().chain(failed) {
        let at = Location { bucket: manifest.destination_bucket.clone(), key: file.key };
        let (store, output, runtime) = (store.clone(), output.to_owned(), Handle::current());
        let state = StageSpec::batch_state(stage);
        // As many batches as there are: nothing for the threads that wait for the network.
        let found = tokio::task::spawn_blocking(move || file_of(&runtime, &*store, &at, (&state, &output))).await;
        let lost =
            |error: tokio::task::JoinError| ConcludeError::Unavailable(ObjectError::Unavailable(error.to_string()));
        committed.extend(found.map_err(lost).flatten()?);
    }
    Ok(committed)
}

fn of_store(at: &Location, error: ObjectError) -> ConcludeError {
    match error {
        ObjectError::NotFound(_) | ObjectError::Denied(_) => ConcludeError::Refused(format!(
            "the answers of the stage's batches at {at} cannot be read: {error}; allow `s3:GetObject` there"
        )),
        error => ConcludeError::Unavailable(error),
    }
}

/// The batches of one file. To be called on a thread that may block.
fn file_of(
    runtime: &Handle,
    store: &dyn ObjectStore,
    at: &Location,
    (state, output): (&str, &str),
) -> Result<Vec<Committed>, ConcludeError> {
    let (metadata, first) = runtime.block_on(store.open(at, READ)).map_err(|error| of_store(at, error))?;
    let offset = first.len() as u64;
    let mut input = Ranges { runtime, store, metadata, bytes: first, offset, failed: None };
    let mut children = Children { state, output, found: Vec::new() };
    let mut parser = serde_json::Deserializer::from_reader(&mut input);
    let read = (&mut parser).deserialize_seq(&mut children).and_then(|()| parser.end());
    match (input.failed, read) {
        (Some(error), _) => Err(of_store(at, error)),
        (None, Err(error)) => Err(ConcludeError::Refused(format!("{at} holds no answers of batches: {error}"))),
        (None, Ok(())) => Ok(children.found),
    }
}

/// Takes child executions one by one: their inputs and outputs together may be larger than memory.
struct Children<'o> {
    /// The name of the state that waited for each batch.
    state: &'o str,
    output: &'o str,
    found: Vec<Committed>,
}

impl<'de> Visitor<'de> for &mut Children<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of child executions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut children: A) -> Result<(), A::Error> {
        while let Some(child) = children.next_element::<Child>()? {
            self.found.extend(child.committed(self.state, self.output).map_err(serde::de::Error::custom)?);
        }
        Ok(())
    }
}

impl Child {
    fn committed(self, state: &str, output: &str) -> Result<Option<Committed>, String> {
        let said = |why: &dyn fmt::Display| format!("the answer of {}: {why}", self.execution_arn);
        let report: BatchReport = match (&self.output, &self.cause) {
            (Some(answer), _) => serde_json::from_str(answer).map_err(|error| said(&error))?,
            // The rows of a batch that failed because too many of its items were rejected count, where the map tolerates it. One
            // that failed in another way has not come so far.
            (None, Some(cause)) => match serde_json::from_str(cause) {
                Ok(report) => report,
                Err(_) => return Ok(None),
            },
            (None, None) => return Err(said(&"it is not there")),
        };
        let written = report.outputs.into_iter().find(|written| written.output == output);
        let Some(written) = written.filter(|written| written.rows > 0) else { return Ok(None) };
        let place = written.place.parse().map_err(|error: ObjectError| said(&error))?;
        let id = BatchId { execution: self.execution_arn, state: state.into() };
        Ok(Some(Committed { id, place, files: written.files }))
    }
}

/// An object's bytes, range after range of the version that was opened.
struct Ranges<'s> {
    runtime: &'s Handle,
    store: &'s dyn ObjectStore,
    metadata: Metadata,
    bytes: Bytes,
    /// Behind the bytes that are here.
    offset: u64,
    failed: Option<ObjectError>,
}

impl Read for Ranges<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && self.offset < self.metadata.size {
            let range = self.offset..self.metadata.size.min(self.offset + READ);
            let read = self.store.read(&self.metadata.location, &self.metadata.etag, range);
            match self.runtime.block_on(read) {
                Ok(bytes) => {
                    self.offset += bytes.len() as u64;
                    self.bytes = bytes;
                }
                Err(error) => {
                    self.failed = Some(error.clone());
                    return Err(io::Error::other(error));
                }
            }
        }
        let length = self.bytes.len().min(buffer.len());
        self.bytes.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Writes the answers of a local run's batches where a `ResultWriter` would, and in its form.
pub struct ResultsWriter<'s> {
    store: &'s dyn ObjectWriter,
    folder: Location,
    succeeded: Array,
}

impl<'s> ResultsWriter<'s> {
    /// The folder is the run's own.
    pub async fn begin(store: &'s dyn ObjectWriter, folder: &Location) -> Result<Self, ObjectError> {
        let succeeded = Array::begin(store, below(folder, "SUCCEEDED_0.json")).await?;
        Ok(Self { store, folder: folder.clone(), succeeded })
    }

    /// The answer of the next batch that succeeded.
    pub async fn push(&mut self, id: &BatchId, receipt: &Receipt) -> Result<(), ObjectError> {
        let child = Child { execution_arn: id.execution.clone(), output: Some(receipt.output.clone()), cause: None };
        self.succeeded.push(&child).await
    }

    /// Shows the answers, with those of the batches that failed and left rows, and the manifest that names the files.
    pub async fn finish(self, failed: impl IntoIterator<Item = (String, BatchReport)>) -> Result<Results, ObjectError> {
        let mut array = Array::begin(self.store, below(&self.folder, "FAILED_0.json")).await?;
        for (execution_arn, report) in failed {
            array.push(&Child { execution_arn, output: None, cause: Some(json(&report)) }).await?;
        }
        let succeeded = vec![self.succeeded.finish(self.store).await?];
        let files = Files { succeeded, failed: vec![array.finish(self.store).await?] };
        let manifest = Manifest { destination_bucket: self.folder.bucket.clone(), result_files: files };
        let at = below(&self.folder, "manifest.json");
        let mut upload = self.store.upload(&at, ContentType::Json).await?;
        upload.write(json(&manifest).into()).await?;
        self.store.complete(&upload.finish().await?).await?;
        Ok(Results { bucket: at.bucket, key: at.key })
    }
}

/// A file of child executions that is being written.
struct Array {
    key: String,
    upload: Box<dyn Upload>,
    bytes: u64,
}

impl Array {
    async fn begin(store: &dyn ObjectWriter, at: Location) -> Result<Self, ObjectError> {
        Ok(Self { upload: store.upload(&at, ContentType::Json).await?, key: at.key, bytes: 0 })
    }

    async fn push(&mut self, child: &Child) -> Result<(), ObjectError> {
        let before = if self.bytes == 0 { "[" } else { "," };
        self.write(format!("{before}{}", json(child))).await
    }

    async fn write(&mut self, text: String) -> Result<(), ObjectError> {
        self.bytes += text.len() as u64;
        self.upload.write(text.into()).await
    }

    async fn finish(mut self, store: &dyn ObjectWriter) -> Result<File, ObjectError> {
        let end = if self.bytes == 0 { "[]" } else { "]" };
        self.write(end.into()).await?;
        store.complete(&self.upload.finish().await?).await?;
        Ok(File { key: self.key, size: self.bytes })
    }
}

fn below(folder: &Location, name: &str) -> Location {
    folder.with_key(format!("{}{name}", folder.key))
}

/// These types have string keys and no maps of other keys, so that writing them cannot fail.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
