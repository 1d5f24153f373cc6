//! What a local run, its execution and its batches' executions are called: the same names for the same dataset and input.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::dataset::Dataset;

/// The run's own name: the same for the same dataset and input, so that a run that was interrupted goes on under it.
pub fn run_name(dataset: &str, input: &RawValue) -> String {
    // A dataset's name has no newline, so that no two pairs give the same text.
    hex::encode(Sha256::digest(format!("{dataset}\n{}", canonical(input, MAX_DEPTH))))[..12].into()
}

/// What the run is called that this dataset, or the one that it is a stage of, has with an input.
pub fn run_of(dataset: &Dataset, input: &RawValue) -> String {
    run_name(dataset.of(), input)
}

/// How deep an input is put in order; what is deeper is taken as it is written.
const MAX_DEPTH: u32 = 100;

/// The same text for the same value: without blanks, an object's fields in the order of their names, numbers digit by digit.
fn canonical(value: &RawValue, depth: u32) -> String {
    let text = value.get();
    let below = |value: &RawValue| canonical(value, depth - 1);
    match text.as_bytes().first() {
        Some(b'{') if depth > 0 => {
            let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else { return text.into() };
            let fields = fields.into_iter().map(|(name, field)| format!("{}:{}", Value::from(name), below(field)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Some(b'[') if depth > 0 => {
            let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(text) else { return text.into() };
            format!("[{}]", elements.into_iter().map(below).collect::<Vec<_>>().join(","))
        }
        Some(b'"') => serde_json::from_str::<Value>(text).map_or_else(|_| text.into(), |text| text.to_string()),
        _ => text.into(),
    }
}

/// The ARN of the execution that holds the Distributed Map.
pub fn execution(dataset: &str, run: &str) -> String {
    format!("arn:aws:states:local:000000000000:execution:{dataset}:{run}")
}

/// What the ARNs of all child executions begin with.
pub fn child_executions(dataset: &str, run: &str) -> String {
    format!("arn:aws:states:local:000000000000:execution:{dataset}/{run}:")
}

/// The ARN of the child execution that has this batch.
pub fn child_execution(dataset: &str, run: &str, batch: u64) -> String {
    format!("{}{batch:06}", child_executions(dataset, run))
}

/// The ARN of the execution that has a step of a run.
pub fn step(dataset: &str, run: &str, step: &str) -> String {
    format!("{}{step}", child_executions(dataset, run))
}

/// The run that has this window: each window is a run of its own.
pub fn run_of_window(run: &str, window: u64) -> String {
    match window {
        0 => run.into(),
        window => format!("{run}-{window}"),
    }
}

/// The number of the batch that this child execution has.
pub fn batch_number(child_execution: &str) -> Option<u64> {
    child_execution.rsplit(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_what_it_was_when_inputs_were_parsed() {
        for input in [json!({}), json!({"day": "2018-01-01", "n": [1, 2.5, -3, null, true], "é\n": {"b": 1, "a": ""}})]
        {
            let before = hex::encode(Sha256::digest(format!("d\n{input}")))[..12].to_owned();
            let text = serde_json::to_string_pretty(&input).unwrap();
            assert_eq!(run_name("d", &RawValue::from_string(text).unwrap()), before);
        }
    }

    #[test]
    fn the_same_run_has_the_same_name() {
        let name = |dataset, input: &str| run_name(dataset, &RawValue::from_string(input.into()).unwrap());
        assert_eq!(name("d", r#"{"a": [1, "\u0062"], "b": 2}"#), name("d", r#"{"b":2,"a":[1,"b"]}"#));
        assert_ne!(name("d", r#"{"a": 1}"#), name("d", r#"{"a": 2}"#));
        assert_ne!(name("d", "{}"), name("e", "{}"));
        let digits = "1234567890123456789012345";
        assert_ne!(name("d", &format!("[{digits}0]")), name("d", &format!("[{digits}1]")), "digits that no float has");
        let child = child_execution("noaa", &name("noaa", "{}"), 42);
        assert!(child.ends_with(":000042"), "{child}");
        assert_eq!(batch_number(&child), Some(42));
    }
}
