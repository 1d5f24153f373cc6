//! A message that was read: the batch, or why it is none.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::digest::Digest;
use super::id::BatchId;
use super::item::Item;
use super::message::{MAX_MESSAGE_BYTES, MESSAGE_VERSION, Message, MessageInput, RunWindow, Step};
use super::token::{MAX_TOKEN_BYTES, TaskToken};

/// The longest name in a message, in bytes. An execution's ARN and a state's name have fewer characters than this, and
/// together they are a key of DynamoDB, which takes 2,048 bytes.
const MAX_NAME_BYTES: usize = 1000;

/// The longest sentence about a message that is not JSON or not a batch, in characters. The parser's error shows what it found,
/// which may be the whole message.
const MAX_REASON: usize = 500;

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
    /// The digest of the component or the release that the message asks for instead of the dataset's own.
    pub component: Option<Digest>,
    /// The run that the batch belongs to, where all batches of a run have one version.
    pub run: Option<String>,
    /// What the run's placeholders stand for, where places are templates.
    pub values: BTreeMap<String, Value>,
    /// `BatchInput`, or `null`.
    pub batch_input: Arc<str>,
    /// What it does, if it has no items.
    pub step: Option<Step>,
    /// The window that the run takes of a table, if it takes one.
    pub window: Option<RunWindow>,
    /// At least one item, unless it is a step.
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
        let step = match (message.plan, message.conclude, message.close) {
            (None, None, None) => None,
            (Some(plan), None, None) => Some(Step::Plan(plan)),
            (None, Some(conclude), None) => Some(Step::Conclude(conclude)),
            (None, None, Some(close)) => Some(Step::Close(close)),
            _ => return Err(refuse("a message plans, concludes or closes, and this does several of it".into())),
        };
        match (&step, message.input.items.is_empty()) {
            (None, true) => return Err(refuse("the batch has no items: `input.Items` is empty".into())),
            (Some(_), false) => {
                return Err(refuse("what plans, concludes or closes has no items, and this has some".into()));
            }
            _ => {}
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
            step,
            window: message.window.filter(|window| window.number > 0),
            batch_input: message.input.batch_input.map_or_else(|| "null".into(), |raw| raw.get().into()),
            items: items.map(|(raw, index)| Item { index, body: raw.get().into() }).collect(),
        })
    }

    /// The batch as a message, without its task token, which is a credential. Line breaks in an item's JSON become blanks, so
    /// that the message fits a line.
    pub fn message(&self) -> Result<Message, serde_json::Error> {
        let raw = |text: &str| RawValue::from_string(text.replace(['\n', '\r'], " "));
        let (plan, conclude, close) = self.step.clone().map(Step::into_fields).unwrap_or_default();
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
            plan,
            conclude,
            close,
            window: self.window.clone(),
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
    }
}
