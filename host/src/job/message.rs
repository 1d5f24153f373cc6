//! The message body on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::digest::Digest;
use super::token::TaskToken;

/// The version of the message body that this host reads: the value of its `gristmill` key.
pub const MESSAGE_VERSION: u64 = 1;

/// The largest message that Amazon SQS carries, in bytes (1 MiB since 2025; "Amazon SQS message quotas").
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// The largest input or output of a task or a child workflow, in bytes ("Step Functions service quotas").
pub const MAX_STEP_FUNCTIONS_PAYLOAD: usize = 262_144;

/// The message body as it is on the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// [`MESSAGE_VERSION`].
    pub gristmill: u64,
    /// The dataset's name.
    pub dataset: String,
    /// `$$.Task.Token`. It is empty in the record of a message, because nobody waits there.
    #[serde(default, skip_serializing_if = "TaskToken::is_empty")]
    pub task_token: TaskToken,
    /// `$$.Execution.Id`: the child execution's ARN.
    pub execution: String,
    /// `$$.State.Name`.
    pub state: String,
    /// `$$.State.RetryCount`.
    #[serde(default)]
    pub attempt: u32,
    /// A component's digest, or a release's, to run exactly this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Digest>,
    /// `$$.Execution.Id` of the Distributed Map: the execution that the child belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What the placeholders of the dataset's places stand for: fields of the Distributed Map's input and context object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
    /// In the message that concludes a stage, which has no items: what there is and what it is to become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conclude: Option<Conclude>,
    /// In the message that plans a run over a table, which has no items either: what there is to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRun>,
    /// In the message that ends a run over a window of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close: Option<RunWindow>,
    /// Where the run takes a window of a table: which one, and whose it is. What another run has taken over meanwhile does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<RunWindow>,
    /// The child's input, as `ItemBatcher` makes it.
    pub input: MessageInput,
}

/// What a batch without items does: a step of a run between its Distributed Maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before the first one: decide what the run takes of a table.
    Plan(PlanRun),
    /// Behind a stage.
    Conclude(Conclude),
    /// Behind the last one: what the run took is done.
    Close(RunWindow),
}

impl Step {
    /// As the fields of a message, of which one is there.
    pub fn into_fields(self) -> (Option<PlanRun>, Option<Conclude>, Option<RunWindow>) {
        match self {
            Self::Plan(plan) => (Some(plan), None, None),
            Self::Conclude(conclude) => (None, Some(conclude), None),
            Self::Close(close) => (None, None, Some(close)),
        }
    }
}

/// What there is to know where a run over a table is planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRun {
    /// `$$.Execution.Id`: whose run it is.
    pub run: String,
    /// The execution's input. With `"full": true` the run takes the whole table.
    #[serde(default)]
    pub input: Value,
}

/// The window of a run over a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunWindow {
    /// `$$.Execution.Id`: whose run it is.
    pub run: String,
    /// The window's number; 0 if the run took none.
    pub number: u64,
}

/// What concludes a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conclude {
    /// Where the answers of the stage's batches are; none if it had no items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Results>,
    /// What other stages take of it, in the words of the dataset file: what the state machine reads is what it asked for, whatever
    /// version the worker has.
    #[serde(default)]
    pub takes: Vec<Value>,
}

/// Where Step Functions wrote the answers of all batches: a manifest (`ResultWriterDetails` in the output of a Map state).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Results {
    /// The bucket.
    pub bucket: String,
    /// The manifest's key.
    pub key: String,
}

/// What `ItemBatcher` hands to the child workflow.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageInput {
    /// What all items share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_input: Option<Box<RawValue>>,
    /// The items.
    pub items: Vec<Box<RawValue>>,
}
