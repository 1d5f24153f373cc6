//! `[map]`: the Distributed Map, in Step Functions' own words.

use std::time::Duration;

use super::{HandOver, Prefix, Range, TableSpec, Template};
use crate::job::MAX_STEP_FUNCTIONS_PAYLOAD;

/// The most that `max_input_bytes_per_batch` may be, and its default. The task that sends the message has a payload of
/// 262,144 bytes in all, and the message's other fields need room in it: a task token of up to 2,048 characters
/// (`SendTaskSuccess` in the Step Functions API reference), an execution's ARN, the dataset's name, the queue's URL.
pub const MAX_INPUT_BYTES_PER_BATCH: u32 = MAX_STEP_FUNCTIONS_PAYLOAD as u32 - 8 * 1024;

/// `[map]`: the Distributed Map state.
#[derive(Clone, Debug, PartialEq)]
pub struct MapSpec {
    /// Where the items come from.
    pub item_reader: ItemReader,
    /// `MaxItems` of the reader: no more items are read. None reads all.
    pub max_items: Option<u32>,
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
    /// `HeartbeatSeconds`, whole seconds. Step Functions counts from the moment the message is sent, so time in the queue
    /// counts too. A dead worker is made good by the queue, which delivers its message again; this is for messages that are
    /// gone. Default: half of `timeout`.
    pub heartbeat: Duration,
    /// `TimeoutSeconds` of the waiting state, whole seconds, time in the queue included. Default 1 day.
    pub timeout: Duration,
    /// `MaxAttempts` of the generated `Retry`. Default 3.
    pub max_attempts: u32,
    /// `ResultWriter`: where Step Functions writes the answers of all batches. Without it they are dropped.
    pub result_writer: Option<Prefix>,
    /// Where the full reports of batches go: the batch, and one line per item that failed or reported something. None writes
    /// no reports.
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
    /// The same listing, and what is in each object, as if it were read alone (`LOAD_AND_FLATTEN`).
    Load {
        /// The prefix, `s3://bucket/prefix`.
        uri: Template,
        /// What the objects are.
        as_: LoadAs,
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
    /// Every object that an S3 Inventory lists is an item: an object of strings.
    S3Inventory {
        /// Its `manifest.json`.
        uri: Template,
    },
    /// Every row of one Parquet object is an item.
    Parquet {
        /// The object.
        uri: Template,
    },
    /// Every row of the Parquet files that a query of Athena wrote is an item.
    AthenaRows {
        /// The manifest of the query: one URI a line.
        uri: Template,
    },
    /// The items themselves: a JSON array, or one placeholder that yields one (`{$.dates}`).
    Items(Template),
    /// Numbers or dates that are larger than a state's payload: a laptop can read them, and a state machine cannot have them.
    Range(Range),
    /// What a stage before has committed.
    Stage {
        /// The stage.
        stage: String,
        /// What is taken of it.
        takes: HandOver,
    },
    /// Every slice of a database's table is an item. A worker plans them when a run begins.
    Table(Box<TableSpec>),
}

/// What the objects of a listing are, where they are read.
#[derive(Clone, Debug, PartialEq)]
pub enum LoadAs {
    /// As [`ItemReader::Csv`].
    Csv {
        /// The names of the columns, or none when the first row of each object has them.
        headers: Option<Vec<String>>,
        /// What separates fields.
        delimiter: char,
    },
    /// As [`ItemReader::Json`].
    Json {
        /// Where in each object the array is.
        pointer: String,
    },
    /// As [`ItemReader::JsonLines`].
    JsonLines,
    /// As [`ItemReader::Parquet`].
    Parquet,
}

/// The characters that Step Functions separates fields by, with its own words for them (`CSVDelimiter`).
pub(crate) const DELIMITERS: [(char, &str); 5] =
    [(',', "COMMA"), ('|', "PIPE"), (';', "SEMICOLON"), (' ', "SPACE"), ('\t', "TAB")];
