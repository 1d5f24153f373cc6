//! The vocabulary: what a message is, what a batch is, what became of it. Pure data, no I/O.
//!
//! A batch passes through types, each made only from the one before, so that a wrong order does not compile:
//! `Delivery → Batch → Claimed → Outcome → Receipt → Disposition`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// The version of the message body that this host reads: the value of its `gristmill` key.
pub const MESSAGE_VERSION: u64 = 1;

/// The largest message that Amazon SQS carries, in bytes (1 MiB since 2025; "Amazon SQS message quotas").
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// The largest input or output of a task or a child workflow, in bytes ("Step Functions service quotas").
pub const MAX_STEP_FUNCTIONS_PAYLOAD: usize = 262_144;

/// The longest task token, in bytes (`taskToken` of `SendTaskSuccess`, Step Functions API reference).
const MAX_TOKEN_BYTES: usize = 2048;

/// The longest name in a message, in bytes. An execution's ARN and a state's name have fewer characters than this, and
/// together they are a key of DynamoDB, which takes 2,048 bytes.
const MAX_NAME_BYTES: usize = 1000;

/// The longest sentence about a message that is not JSON or not a batch, in characters: the error shows what it found, and
/// that may be the whole message.
const MAX_REASON: usize = 500;

/// The token with which Step Functions waits for this batch's answer. It is a credential: it is never logged.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskToken(String);

impl TaskToken {
    /// Takes the token as Step Functions wrote it.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token itself, for the callback only.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether Step Functions may have made it.
    fn is_possible(&self) -> bool {
        (1..=MAX_TOKEN_BYTES).contains(&self.0.len())
    }
}

impl fmt::Debug for TaskToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskToken(..)")
    }
}

/// Which batch this is, however often it is delivered: the child workflow's execution and the state that sent it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BatchId {
    /// The child execution's ARN (`$$.Execution.Id`).
    pub execution: String,
    /// The name of the state that waits (`$$.State.Name`).
    pub state: String,
}

impl BatchId {
    /// The ledger's key.
    pub fn key(&self) -> String {
        format!("{}#{}", self.execution, self.state)
    }

    /// The child execution's own name, the last part of its ARN: for people, not unique.
    pub fn name(&self) -> &str {
        self.execution.rsplit(':').next().unwrap_or_default()
    }

    /// A short name that is safe in an object key, stable over deliveries and distinct between batches: the child
    /// execution's own name for people, and a part of the key's SHA-256 because that name alone is not unique.
    pub fn object_name(&self) -> String {
        let name: String = self
            .name()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
            .take(64)
            .collect();
        format!("{name}-{}", &hex::encode(Sha256::digest(self.key()))[..12])
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One item, exactly as Step Functions passed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its place in the batch, from 0.
    pub index: u32,
    /// Its JSON text, byte for byte.
    pub body: Arc<str>,
}

/// A message that was read and makes sense: the work of one child workflow.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which batch.
    pub id: BatchId,
    /// The dataset's name.
    pub dataset: String,
    /// Where the answer goes.
    pub token: TaskToken,
    /// The attempt of the state, from 0 (`$$.State.RetryCount`).
    pub attempt: u32,
    /// The digest that the message asks for instead of the dataset's component: of a component, or of a release.
    pub component: Option<Digest>,
    /// The run that the batch belongs to, where all batches of a run shall have one version.
    pub run: Option<String>,
    /// What the run's placeholders stand for, where places are templates.
    pub values: BTreeMap<String, Value>,
    /// `BatchInput`, or `null`.
    pub batch_input: Arc<str>,
    /// At least one item.
    pub items: Vec<Item>,
}

/// Why a message is no batch. It carries what could still be read, so that whoever waits can be told.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Malformed {
    /// What is wrong with the message, and where.
    pub reason: String,
    /// The token, when it could be read.
    pub token: Option<TaskToken>,
}

/// The message body as it is on the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// [`MESSAGE_VERSION`].
    pub gristmill: u64,
    /// The dataset's name.
    pub dataset: String,
    /// `$$.Task.Token`; empty where nobody waits, which is in records of a message.
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
    /// The child's input, as `ItemBatcher` makes it.
    pub input: MessageInput,
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

impl Batch {
    /// Reads a message body.
    pub fn parse(body: &str) -> Result<Self, Malformed> {
        if body.len() > MAX_MESSAGE_BYTES {
            // The body is still searched for a token below: a child workflow may be waiting for it.
            return Err(Malformed::new(
                body,
                format!("the message has {} bytes; SQS carries at most {MAX_MESSAGE_BYTES}", body.len()),
            ));
        }
        let message: Message = serde_json::from_str(body).map_err(|error| Malformed::new(body, describe(&error)))?;
        let token = Some(message.task_token.clone()).filter(TaskToken::is_possible);
        let refuse = |reason: String| Malformed { reason, token: token.clone() };
        if message.gristmill != MESSAGE_VERSION {
            return Err(refuse(format!(
                "the message is of version {}, this worker reads version {MESSAGE_VERSION}: generate the state machine again with `gristmill asl`",
                message.gristmill
            )));
        }
        for (name, value, most) in [
            ("task_token", message.task_token.reveal(), MAX_TOKEN_BYTES),
            ("dataset", &message.dataset, MAX_NAME_BYTES),
            ("execution", &message.execution, MAX_NAME_BYTES),
            ("state", &message.state, MAX_NAME_BYTES),
            ("run", message.run.as_deref().unwrap_or("none"), MAX_NAME_BYTES),
        ] {
            if value.is_empty() {
                return Err(refuse(format!("`{name}` of the message is empty")));
            }
            if value.len() > most {
                return Err(refuse(format!("`{name}` of the message has {} bytes; at most {most}", value.len())));
            }
        }
        if message.input.items.is_empty() {
            return Err(refuse("the batch has no items: `input.Items` is empty".into()));
        }
        let items = message.input.items.into_iter().zip(0..);
        Ok(Self {
            id: BatchId { execution: message.execution, state: message.state },
            dataset: message.dataset,
            token: message.task_token,
            attempt: message.attempt,
            component: message.component,
            run: message.run,
            values: message.values,
            batch_input: message.input.batch_input.map_or_else(|| "null".into(), |raw| raw.get().into()),
            items: items.map(|(raw, index)| Item { index, body: raw.get().into() }).collect(),
        })
    }
}

impl Batch {
    /// The message that this batch was, without its task token, which is a credential. Line breaks between the tokens of an item's
    /// JSON are blanks in it, so that it fits a line.
    pub fn message(&self) -> Result<Message, serde_json::Error> {
        let raw = |text: &str| RawValue::from_string(text.replace(['\n', '\r'], " "));
        Ok(Message {
            gristmill: MESSAGE_VERSION,
            dataset: self.dataset.clone(),
            task_token: TaskToken::default(),
            execution: self.id.execution.clone(),
            state: self.id.state.clone(),
            attempt: self.attempt,
            component: self.component,
            run: self.run.clone(),
            values: self.values.clone(),
            input: MessageInput {
                batch_input: Some(&*self.batch_input).filter(|input| *input != "null").map(raw).transpose()?,
                items: self.items.iter().map(|item| raw(&item.body)).collect::<Result<_, _>>()?,
            },
        })
    }
}

impl Malformed {
    fn new(body: &str, reason: String) -> Self {
        #[derive(Deserialize)]
        struct Token {
            task_token: TaskToken,
        }
        let token = serde_json::from_str::<Token>(body).ok().map(|found| found.task_token);
        Self { reason, token: token.filter(TaskToken::is_possible) }
    }
}

fn describe(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some((end, _)) = text.char_indices().nth(MAX_REASON) {
        text.truncate(end);
        text += &format!("… at line {} column {}", error.line(), error.column());
    }
    match error.classify() {
        serde_json::error::Category::Data => format!("the message is not a batch: {text}"),
        _ => format!("the message is not JSON: {text}"),
    }
}

/// What an item calls itself, for people: an object's key, or the item itself if it is a short text or number.
pub fn item_name(item: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Named {
        Object {
            #[serde(rename = "Key")]
            key: String,
        },
        Text(String),
        Number(serde_json::Number),
    }
    let name = match serde_json::from_str(item).ok()? {
        Named::Object { key: text } | Named::Text(text) => text,
        Named::Number(number) => number.to_string(),
    };
    (name.len() <= 1024).then_some(name)
}

/// Whether an item of a listing is a "folder" that somebody made in a console: an object without bytes whose key ends in `/`.
pub fn is_folder_marker(item: &str) -> bool {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(rename = "Key")]
        key: String,
        #[serde(rename = "Size")]
        size: u64,
    }
    // Nearly no item has this in it.
    item.contains("/\"") && serde_json::from_str::<Listed>(item).is_ok_and(|it| it.size == 0 && it.key.ends_with('/'))
}

/// A component's digest: the SHA-256 of its bytes, written `sha256:<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest in hexadecimal, without the algorithm's name.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl From<Sha256> for Digest {
    /// The digest of what was hashed.
    fn from(hash: Sha256) -> Self {
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a digest: expected `sha256:` and 64 hexadecimal digits");
        let digits = text.strip_prefix("sha256:").ok_or_else(wrong)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong())?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why an item has no result, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The same call would fail again: the item is reported and never repeated.
    Rejected,
    /// Something outside was not ready: the batch is worth another attempt.
    Retryable,
}

/// One item that has no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFailure {
    /// The item's place in the batch.
    pub index: u32,
    /// The item's own name, when it has one (`Key` of an object), for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What it is counted by. `Gristmill.*` was found by the host, everything else is the plugin's own word.
    pub code: String,
    /// What happened, for the person who has to act.
    pub message: String,
    /// What follows.
    pub kind: FailureKind,
}

/// The names of errors as ASL sees them (`ErrorEquals`), and as item failures carry them when the host found the fault.
pub mod error_names {
    /// More items of the batch were rejected than the dataset tolerates.
    pub const ITEMS_REJECTED: &str = "Gristmill.ItemsRejected";
    /// Something outside was not ready; the generated state machine retries it.
    pub const RETRYABLE: &str = "Gristmill.Retryable";
    /// The worker or its stores failed again and again; the generated state machine retries it.
    pub const HOST_FAULT: &str = "Gristmill.HostFault";
    /// An output or the place of reports refuses (no such table, another key, no permission), or the ledger still does at the last
    /// delivery. It refuses again until somebody changes something, so that the generated state machine does not retry it.
    pub const OUTPUT_REFUSED: &str = "Gristmill.OutputRefused";
    /// The message could not be read, or names a dataset that the fleet does not have.
    pub const BAD_MESSAGE: &str = "Gristmill.BadMessage";
    /// The dataset's component cannot be used: missing, no component, another contract.
    pub const BAD_PLUGIN: &str = "Gristmill.BadPlugin";
    /// An item trapped.
    pub const TRAP: &str = "Gristmill.Trap";
    /// An item ran longer than the dataset's `timeout`.
    pub const TIMEOUT: &str = "Gristmill.Timeout";
    /// An item wanted more memory than the dataset's `memory`.
    pub const MEMORY_LIMIT: &str = "Gristmill.MemoryLimit";
    /// An item emitted rows that were refused.
    pub const BAD_OUTPUT: &str = "Gristmill.BadOutput";
    /// An item emitted more than the dataset's `max_output`.
    pub const OUTPUT_LIMIT: &str = "Gristmill.OutputLimit";
    /// A row without its key, or with a key that another row of the batch has.
    pub const BAD_KEY: &str = "Gristmill.BadKey";
}

/// What became of the message. Every message ends as one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Answered and deleted.
    Acked,
    /// Visible again after this time, for this reason.
    Returned {
        /// How long the message stays hidden.
        after: Duration,
        /// Why, for the log.
        reason: String,
        /// Whether something failed; else somebody else has the batch, or shall have it.
        fault: bool,
    },
    /// In the dead-letter queue, because nobody can work on it.
    DeadLettered {
        /// Why, for the log and the dead-letter queue.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut value = serde_json::json!({
            "gristmill": 1, "dataset": "d", "task_token": "t", "execution": "arn:x:child-1", "state": "s", "attempt": 2,
            "input": {"BatchInput": {"Bucket": "b"}, "Items": [{"Key":"k"}, 7]}
        });
        change(&mut value);
        value.to_string()
    }

    #[test]
    fn what_marks_a_folder_is_told_from_objects() {
        let listed =
            |key: &str, size: u64| format!(r#"{{"Etag":"\"e\"","Key":"{key}","Size":{size},"StorageClass":"X"}}"#);
        assert!(is_folder_marker(&listed("csv/", 0)) && is_folder_marker(r#"{"Size" : 0,"Key" : "a/b/"}"#));
        for item in
            [&*listed("csv/", 1), &listed("csv/a", 0), r#"{"Key":"a/"}"#, r#""a/""#, r#"{"Size":0,"x":"a/"}"#, "{"]
        {
            assert!(!is_folder_marker(item), "{item}");
        }
    }

    #[test]
    fn a_message_becomes_a_batch_with_the_items_untouched() {
        let text = r#"{"gristmill":1,"dataset":"d","task_token":"t","execution":"e","state":"s","attempt":0,"input":{"Items":[ {"b": 1.50,"a":[ ]} ]}}"#;
        let batch = Batch::parse(text).unwrap();
        assert_eq!(&*batch.items[0].body, r#"{"b": 1.50,"a":[ ]}"#);
        assert_eq!(&*batch.batch_input, "null");
    }

    #[test]
    fn what_is_wrong_is_said_and_the_token_is_saved() {
        for (change, expected) in [
            (
                Box::new(|v: &mut serde_json::Value| v["input"]["Items"] = serde_json::json!([]))
                    as Box<dyn FnOnce(&mut _)>,
                "no items",
            ),
            (Box::new(|v: &mut serde_json::Value| v["gristmill"] = 9.into()), "version 9"),
            (Box::new(|v: &mut serde_json::Value| v["state"] = "".into()), "`state`"),
            (Box::new(|v: &mut serde_json::Value| v["input"] = 3.into()), "not a batch"),
        ] {
            let malformed = Batch::parse(&body(change)).unwrap_err();
            assert!(malformed.reason.contains(expected), "{malformed}");
            assert_eq!(malformed.token, Some(TaskToken::new("t")));
        }
        assert!(Batch::parse("{").unwrap_err().token.is_none());
        assert!(Batch::parse(&body(|v| v["task_token"] = "".into())).unwrap_err().token.is_none());
    }

    #[test]
    fn what_is_too_long_is_refused_in_few_words() {
        for field in ["dataset", "execution", "state", "task_token"] {
            let malformed = Batch::parse(&body(|v| v[field] = "x".repeat(2049).into())).unwrap_err();
            assert!(malformed.reason.contains(field) && malformed.reason.contains("2049 bytes"), "{malformed}");
            // No answer reaches anybody under a token that is none.
            assert_eq!(malformed.token.is_some(), field != "task_token");
        }
        let malformed = Batch::parse(&body(|v| v["attempt"] = "x".repeat(100_000).into())).unwrap_err();
        assert!(malformed.reason.len() < 700 && malformed.reason.ends_with("… at line 1 column 100013"), "{malformed}");
        assert_eq!(malformed.token, Some(TaskToken::new("t")));
    }

    #[test]
    fn a_batch_gives_its_message_back_without_the_token() {
        let text = r#"{"gristmill":1,"dataset":"d","execution":"e","state":"s","attempt":2,"run":"r","input":{"BatchInput":{"b": 1.50},"Items":[ {"a":[
 ]},"t"]}}"#;
        let batch = Batch::parse(&text.replacen('{', r#"{"task_token":"secret","#, 1)).unwrap();
        let message = serde_json::to_string(&batch.message().unwrap()).unwrap();
        assert_eq!(message, text.replace("[ {", "[{").replace('\n', " "));
        assert!(Batch::parse(&message).unwrap_err().to_string().contains("`task_token` of the message is empty"));
    }

    #[test]
    fn objects_are_named_by_the_execution_and_the_state_alone() {
        let name =
            |change: &dyn Fn(&mut serde_json::Value)| Batch::parse(&body(|v| change(v))).unwrap().id.object_name();
        let first = name(&|_| ());
        // Delivered again, tried again, redriven, with another version, with items that were put otherwise: the same object.
        for (field, value) in [
            ("task_token", serde_json::json!("another")),
            ("attempt", serde_json::json!(7)),
            ("component", serde_json::json!(Digest::of(b"another").to_string())),
            ("input", serde_json::json!({"Items": [1]})),
        ] {
            assert_eq!(name(&|v| v[field] = value.clone()), first, "{field}");
        }
        assert_ne!(name(&|v| v["execution"] = "arn:x:child-2".into()), first);
        assert_ne!(name(&|v| v["execution"] = "arn:y:child-1".into()), first, "the child's own name is not unique");
        assert_ne!(name(&|v| v["state"] = "another".into()), first);
    }

    #[test]
    fn items_have_names() {
        assert_eq!(item_name(r#"{"Size":1,"Key":"k"}"#).as_deref(), Some("k"));
        assert_eq!(item_name(r#""2018-01-01""#).as_deref(), Some("2018-01-01"));
        assert_eq!(item_name("17").as_deref(), Some("17"));
        assert_eq!(item_name(r#"{"a":1}"#), None);
    }

    #[test]
    fn a_token_is_not_in_debug_output() {
        assert!(
            !format!("{:?}", Batch::parse(&body(|v| v["task_token"] = "secret".into())).unwrap()).contains("secret")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = Batch::parse(&text);
        }

        #[test]
        fn object_names_are_safe_and_distinct(a in ".{0,80}", b in ".{0,80}") {
            let name = |execution: &str| BatchId { execution: execution.into(), state: "s".into() }.object_name();
            prop_assert!(name(&a).chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
            prop_assert_eq!(name(&a) == name(&b), a == b);
        }
    }
}
