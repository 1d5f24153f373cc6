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
    #[serde(default)]
    output: Option<String>,
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
    for file in manifest.result_files.succeeded {
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
        let answer = self.output.as_deref().ok_or_else(|| said(&"it is not there"))?;
        let report: BatchReport = serde_json::from_str(answer).map_err(|error| said(&error))?;
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
    file: Box<dyn Upload>,
    bytes: u64,
}

impl<'s> ResultsWriter<'s> {
    /// The folder is the run's own.
    pub async fn begin(store: &'s dyn ObjectWriter, folder: &Location) -> Result<Self, ObjectError> {
        let file = store.upload(&Self::file(folder), ContentType::Json).await?;
        Ok(Self { store, folder: folder.clone(), file, bytes: 0 })
    }

    fn file(folder: &Location) -> Location {
        folder.with_key(format!("{}SUCCEEDED_0.json", folder.key))
    }

    /// The next batch's answer.
    pub async fn push(&mut self, id: &BatchId, receipt: &Receipt) -> Result<(), ObjectError> {
        let child = Child { execution_arn: id.execution.clone(), output: Some(receipt.output.clone()) };
        let before = if self.bytes == 0 { "[" } else { "," };
        self.write(format!("{before}{}", json(&child))).await
    }

    async fn write(&mut self, text: String) -> Result<(), ObjectError> {
        self.bytes += text.len() as u64;
        self.file.write(text.into()).await
    }

    /// Shows the file, and the manifest that names it.
    pub async fn finish(mut self) -> Result<Results, ObjectError> {
        let end = if self.bytes == 0 { "[]" } else { "]" };
        self.write(end.into()).await?;
        self.store.complete(&self.file.finish().await?).await?;
        let Location { bucket, key } = Self::file(&self.folder);
        let files = Files { succeeded: vec![File { key, size: self.bytes }] };
        let manifest = Manifest { destination_bucket: bucket.clone(), result_files: files };
        let at = self.folder.with_key(format!("{}manifest.json", self.folder.key));
        let mut upload = self.store.upload(&at, ContentType::Json).await?;
        upload.write(json(&manifest).into()).await?;
        self.store.complete(&upload.finish().await?).await?;
        Ok(Results { bucket, key: at.key })
    }
}

/// These types have string keys and no maps of other keys, so that writing them cannot fail.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
