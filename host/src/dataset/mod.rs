//! A dataset file, checked: what a run of the dataset does, here or in the cloud. Its keys are Step Functions' own words.
//!
//! The text becomes this in `parse`; nothing else in the host looks at TOML.

pub mod check;
pub mod findings;
mod limits;
pub mod manifest;
mod notes;
mod parse;
mod path;
mod prefix;
mod read;
mod release;
pub mod schema;
mod scope;
mod template;
mod tree;
mod variables;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::findings::{Finding, Findings, Place, Position};
pub use self::manifest::{Manifest, OutputShape};
pub(crate) use self::parse::DELIMITERS;
pub use self::parse::{is_dataset, locate};
pub use self::prefix::{BadPlace, Prefix, RunValues};
pub use self::release::{CanarySpec, Pin, ReleaseSpec, SampleObjects, SampleSpec};
pub use self::scope::Scope;
pub use self::template::{Template, TemplateError};
pub use self::variables::{VariableError, Variables};
use crate::files;
use crate::job::MAX_STEP_FUNCTIONS_PAYLOAD;
use crate::object::Location;
use crate::registry::OciReference;

/// The largest dataset file that is read, in bytes: an inline list of items may be long.
pub const MAX_FILE: u64 = 16 << 20;

/// A dataset that makes sense by itself. Whether its component fits is known only once that was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Its name: `[A-Za-z0-9][A-Za-z0-9_-]{0,62}`.
    pub name: String,
    /// The file it came from.
    pub file: PathBuf,
    /// The component and its limits.
    pub plugin: PluginSpec,
    /// What the plugin is configured with: a JSON object.
    pub settings: Value,
    /// What the plugin may reach.
    pub grants: Grants,
    /// The Distributed Map.
    pub map: MapSpec,
    /// Where rows go.
    pub outputs: Vec<OutputSpec>,
    /// How versions follow each other.
    pub release: ReleaseSpec,
    /// What a version is tried on.
    pub sample: Option<SampleSpec>,
}

impl Dataset {
    /// The dataset file that a path means: itself, or the `dataset.toml` of a folder.
    pub fn file(path: &Path) -> PathBuf {
        if path.is_dir() { path.join("dataset.toml") } else { path.to_owned() }
    }

    /// Reads a dataset file, or that of a folder. Everything that is wrong with it comes at once.
    pub fn load(path: &Path, variables: &Variables) -> Result<Self, Findings> {
        match Self::load_in_part(path, variables) {
            (Some(dataset), findings) if findings.is_empty() => Ok(dataset),
            (_, findings) => Err(Findings(findings)),
        }
    }

    /// Reads a dataset file as far as it makes sense: for [`check`], which looks for more beside what is wrong already.
    pub fn load_in_part(path: &Path, variables: &Variables) -> (Option<Self>, Vec<Finding>) {
        let path = Self::file(path);
        match files::read_text(&path, MAX_FILE) {
            Ok(text) => parse::dataset(&text, &path, variables),
            Err(error) => (None, vec![Finding::of_file(&path, format!("the dataset file cannot be read: {error}"))]),
        }
    }

    /// Reads the text of a dataset file that lies at `file`; components are found relative to it.
    pub fn parse(text: &str, file: &Path, variables: &Variables) -> Result<Self, Findings> {
        match parse::dataset(text, file, variables) {
            (Some(dataset), findings) if findings.is_empty() => Ok(dataset),
            (_, findings) => Err(Findings(findings)),
        }
    }
}

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComponentRef {
    /// A file.
    File(PathBuf),
    /// An artifact in an OCI registry.
    Oci(OciReference),
}

impl fmt::Display for ComponentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Oci(reference) => reference.fmt(f),
        }
    }
}

/// `[plugin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSpec {
    /// Where the component comes from.
    pub component: ComponentRef,
    /// The sum of an instance's linear memories, in bytes. Default 64 MiB.
    pub memory: u64,
    /// How long one item may take. Default 30 s.
    pub timeout: Duration,
    /// How many bytes of rows one item may emit. Default 16 MiB.
    pub max_output: u64,
    /// How many bytes one item may log. Default 64 KiB.
    pub max_log: u64,
    /// How long an instance lives. Default: one item.
    pub instance: InstanceLife,
    /// How many items a worker runs at once, at most. None: as many as its slots and memory allow.
    pub max_slots: Option<usize>,
    /// How many batches a worker has under way at once, at most; it gives further ones back. None: as many as it can.
    pub max_batches: Option<usize>,
}

/// How long an instance of a component lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceLife {
    /// One item: no state leaks from item to item.
    Item,
    /// Some neighbours in a batch, always the same: for components that are slow to start.
    Batch,
}

/// `[grants]`: what the plugin may reach. Nothing is granted by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Prefixes whose objects may be opened and listed.
    pub read: Vec<Location>,
}

/// The most that `max_input_bytes_per_batch` may be, and its default. The task that sends the message has a payload of
/// 262,144 bytes in all, and the message's other fields need room in it: a task token of up to 2,048 characters
/// (`SendTaskSuccess` in the Step Functions API reference), an execution's ARN, the dataset's name, the queue's URL.
pub const MAX_INPUT_BYTES_PER_BATCH: u32 = MAX_STEP_FUNCTIONS_PAYLOAD as u32 - 8 * 1024;

/// `[map]`: the Distributed Map state.
#[derive(Clone, Debug, PartialEq)]
pub struct MapSpec {
    /// Where the items come from.
    pub item_reader: ItemReader,
    /// What each item becomes (`ItemSelector`); none leaves items as they are.
    pub item_selector: Option<Template>,
    /// What all items of a batch share (`BatchInput`).
    pub batch_input: Option<Template>,
    /// `MaxItemsPerBatch`. Default 100.
    pub max_items_per_batch: u32,
    /// `MaxInputBytesPerBatch`. Default and most: [`MAX_INPUT_BYTES_PER_BATCH`].
    pub max_input_bytes_per_batch: u32,
    /// `MaxConcurrency`: batches at once, at most 10,000 (Step Functions). Default 1,000.
    pub max_concurrency: u32,
    /// `ToleratedFailureCount`: items. A failed batch counts with all its items (Step Functions' rule).
    pub tolerated_failure_count: Option<u64>,
    /// `ToleratedFailurePercentage`, whole percent from 0 to 100. Default 0. Beside a count, 0 is no limit of its own:
    /// the first limit that is crossed fails the map, so nothing would be left of the count.
    pub tolerated_failure_percentage: f64,
    /// How many percent of a batch's items may be rejected before the batch fails with `Gristmill.ItemsRejected`. The
    /// rows of the other items count in either case, and every rejected item is reported. Default 0.
    pub tolerated_rejected_percentage: f64,
    /// `HeartbeatSeconds`, whole seconds. It runs from when the message is sent, so a batch must not wait longer than this
    /// in the queue for a worker either: keep `max_concurrency` near the fleet's slots. Default 2 min.
    pub heartbeat: Duration,
    /// `TimeoutSeconds` of the waiting state, whole seconds, time in the queue included. Default 1 day.
    pub timeout: Duration,
    /// `MaxAttempts` of the generated `Retry`. Default 3.
    pub max_attempts: u32,
    /// `ResultWriter`: where Step Functions writes the answers of all batches. Without it they are dropped.
    pub result_writer: Option<Prefix>,
    /// A prefix for the full reports of batches: the batch, and one line per item that failed or had something to say. None
    /// writes none.
    pub reports: Option<Prefix>,
}

/// Where items come from (`ItemReader`).
#[derive(Clone, Debug, PartialEq)]
pub enum ItemReader {
    /// `listObjectsV2`: every object under a prefix is an item `{Etag, Key, LastModified, Size, StorageClass}`.
    ListObjects {
        /// The prefix, `s3://bucket/prefix`.
        uri: Template,
    },
    /// Every row of one CSV object is an item: an object of strings.
    Csv {
        /// The object.
        uri: Template,
        /// The names of the columns, or none when the first row has them.
        headers: Option<Vec<String>>,
        /// One of `, | ; tab space`, as Step Functions has them. Default `,`.
        delimiter: char,
    },
    /// Every element of an array in one JSON object is an item.
    Json {
        /// The object.
        uri: Template,
        /// Where the array is (`ItemsPointer`, RFC 6901); empty for the whole document.
        pointer: String,
    },
    /// Every line of one JSON lines object is an item.
    JsonLines {
        /// The object.
        uri: Template,
    },
    /// The items themselves: a JSON array, or one placeholder that yields one (`{$.dates}`).
    Items(Template),
}

/// `[[output]]`
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSpec {
    /// The name in the plugin's manifest.
    pub name: String,
    /// Where the rows go.
    pub target: Target,
    /// The columns, when the dataset file gives them: they replace the manifest's.
    pub columns: Option<Vec<Column>>,
}

/// Where an output's rows go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A table: DynamoDB, or SQLite under `--local`.
    Table {
        /// Its name.
        table: String,
        /// One or two columns: the partition key and the sort key.
        key: Vec<String>,
    },
    /// One object per batch under a prefix.
    Objects {
        /// The prefix, which ends with `/`: `s3://bucket/some/where/`.
        prefix: Prefix,
        /// How rows are written.
        format: Format,
    },
}

/// How rows are written to objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line, `.jsonl`.
    JsonLines,
    /// RFC 4180 with a header, `.csv`.
    Csv,
    /// Apache Parquet, zstd, `.parquet`.
    Parquet,
}

/// One column: as the manifest or the dataset file gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Whether null is a value.
    pub nullable: bool,
}

/// The contract's `column-type`; what each becomes in every format is said there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the contract documents them")]
pub enum ColumnType {
    Boolean,
    Int64,
    Float64,
    Text,
    Date,
    Timestamp,
    Json,
}
