//! A message's body, as SQS delivers it.

use gristmill::job::{Batch, MAX_MESSAGE_BYTES, MESSAGE_VERSION, Message, MessageInput, Step, item_name};
use serde_json::value::RawValue;

use super::short;

/// A batch that was read is written and read again: nothing of it is lost, and no byte of an item is another.
pub fn message(data: &[u8]) -> bool {
    let Ok(body) = std::str::from_utf8(data) else { return false };
    let batch = match Batch::parse(body) {
        Ok(batch) => batch,
        Err(malformed) => {
            short(&malformed);
            assert!(malformed.token.is_none_or(|token| !token.reveal().is_empty()));
            return false;
        }
    };
    assert_eq!(batch.items.is_empty(), batch.step.is_some());
    assert!((0..).zip(&batch.items).all(|(index, item)| item.index == index));
    let name = batch.id.object_name();
    assert!(name.len() <= 77 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    for item in &batch.items {
        assert!(item_name(&item.body).is_none_or(|name| name.len() <= 1024));
    }
    let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("what was taken is JSON");
    let (plan, conclude, close) = batch.step.clone().map(Step::into_fields).unwrap_or_default();
    let written = Message {
        values: batch.values.clone(),
        plan,
        conclude,
        close,
        window: batch.window.clone(),
        run: batch.run.clone(),
        gristmill: MESSAGE_VERSION,
        dataset: batch.dataset.clone(),
        task_token: batch.token.clone(),
        execution: batch.id.execution.clone(),
        state: batch.id.state.clone(),
        attempt: batch.attempt,
        component: batch.component,
        input: MessageInput {
            batch_input: Some(raw(&batch.batch_input)),
            items: batch.items.iter().map(|item| raw(&item.body)).collect(),
        },
    };
    let written = serde_json::to_string(&written).expect("a message can be written");
    if written.len() <= MAX_MESSAGE_BYTES {
        let again = Batch::parse(&written).expect("a message that was written can be read");
        assert_eq!(again.token, batch.token);
        assert_eq!(again.step, batch.step);
        assert_eq!((again.id, again.dataset, again.attempt), (batch.id, batch.dataset, batch.attempt));
        assert_eq!(
            (again.component, again.batch_input, again.items),
            (batch.component, batch.batch_input, batch.items)
        );
    }
    true
}
