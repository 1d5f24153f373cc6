use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const BATCH: &str = "/States/Map/ItemProcessor/States/Batch";

/// A machine without a fault.
fn json_path() -> Value {
    json!({
        "StartAt": "Map",
        "States": {"Map": {
            "Type": "Map", "MaxConcurrency": 100, "End": true,
            "ItemBatcher": {"MaxItemsPerBatch": 10, "MaxInputBytesPerBatch": 250_000},
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "Batch",
                "States": {"Batch": {
                    "Type": "Task",
                    "Resource": "arn:aws-cn:states:::sqs:sendMessage.waitForTaskToken",
                    "Parameters": {
                        "QueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
                        "MessageBody": {"task_token.$": "$$.Task.Token", "input.$": "$"},
                    },
                    "HeartbeatSeconds": 3600, "TimeoutSeconds": 7200,
                    "Retry": [{"ErrorEquals": ["Gristmill.Retryable", "States.HeartbeatTimeout"], "MaxAttempts": 3}],
                    "OutputPath": null, "End": true,
                }},
            },
        }},
    })
}

/// The same in JSONata, by the SDK's own call, one level deeper.
fn jsonata() -> Value {
    let mut machine = json_path();
    machine["QueryLanguage"] = "JSONata".into();
    let batch = machine.pointer_mut(BATCH).unwrap().as_object_mut().unwrap();
    batch.remove("Parameters");
    batch.remove("OutputPath");
    batch.insert("Output".into(), json!({}));
    batch["Resource"] = "arn:aws:states:::aws-sdk:sqs:sendMessage.waitForTaskToken".into();
    let body = "{% $string({'token': $states.context.Task.Token, 'input': $states.input}) %}";
    batch.insert("Arguments".into(), json!({"QueueUrl": "{% $queue %}", "MessageBody": body}));
    let branch = json!({"StartAt": "Map", "States": machine["States"]});
    machine["States"] = json!({"Both": {"Type": "Parallel", "Branches": [branch], "End": true}});
    machine["StartAt"] = "Both".into();
    machine
}

fn found(machine: &Value) -> Vec<Finding> {
    lint(&serde_json::to_string_pretty(machine).unwrap(), EXPECTED_WAIT).unwrap().findings
}

fn rules_of(machine: &Value) -> Vec<&'static str> {
    found(machine).iter().map(|finding| finding.rule).collect()
}

/// The machine with other fields: a pointer to each, with its value. Null takes it away.
fn with(mut machine: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let pointer = pointer.replacen("BATCH", BATCH, 1);
        let (place, name) = pointer.rsplit_once('/').unwrap();
        let place = machine.pointer_mut(place).unwrap_or_else(|| panic!("{pointer}")).as_object_mut().unwrap();
        match value {
            Value::Null => drop(place.remove(name)),
            value => drop(place.insert(name.into(), value.clone())),
        }
    }
    machine
}

#[test]
fn a_machine_without_a_fault_has_no_findings() {
    for machine in [json_path(), jsonata()] {
        assert_eq!(found(&machine), []);
        assert_eq!(lint(&machine.to_string(), EXPECTED_WAIT).unwrap().callbacks, 1);
    }
}

/// One change each, and the one rule that says something. That every rule occurs is checked too.
#[test]
fn each_rule_finds_its_own() {
    let fifo = json!("https://sqs.eu-west-1.amazonaws.com/1/q.fifo");
    let (message, map) = ("BATCH/Parameters/MessageBody", "/States/Map");
    let group = ("BATCH/Parameters/MessageGroupId.$", json!("$$.Execution.Name"));
    let queue = ("BATCH/Parameters/QueueUrl", fifo);
    let errors = |name: &str| vec![("BATCH/Retry", json!([{"ErrorEquals": [name]}]))];
    let config = "/States/Map/ItemProcessor/ProcessorConfig";
    let cases: Vec<(&str, Vec<(&str, Value)>)> = vec![
        ("express-callback", vec![(config, json!({"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}))]),
        ("no-token", vec![(message, json!({"input.$": "$"}))]),
        ("no-token", vec![("BATCH/Parameters", json!({"MessageBody.$": "$.body"}))]),
        ("token-as-text", vec![(message, json!({"task_token": "$$.Task.Token"}))]),
        ("token-as-text", vec![(message, json!({"task_token": "{% $states.context.Task.Token %}"}))]),
        ("token-without-wait", vec![("BATCH/Resource", json!("arn:aws:states:::sqs:sendMessage"))]),
        (
            "token-outside-body",
            vec![
                (message, json!({"input.$": "$"})),
                ("BATCH/Parameters/MessageAttributes", json!({"t": {"StringValue.$": "$$.Task.Token"}})),
            ],
        ),
        ("fifo-group", vec![queue.clone()]),
        ("fifo-group", vec![queue.clone(), ("BATCH/Parameters/MessageGroupId", json!("all"))]),
        (
            "fifo-deduplication",
            vec![
                queue.clone(),
                group.clone(),
                ("BATCH/Parameters/MessageDeduplicationId.$", json!("$$.Execution.Name")),
            ],
        ),
        ("no-timeout", vec![("BATCH/TimeoutSeconds", Value::Null)]),
        ("no-timeout", vec![("BATCH/TimeoutSeconds", Value::Null), ("BATCH/HeartbeatSeconds", Value::Null)]),
        ("no-heartbeat", vec![("BATCH/HeartbeatSeconds", Value::Null)]),
        ("short-heartbeat", vec![("BATCH/HeartbeatSeconds", json!(299))]),
        (
            "short-heartbeat",
            vec![("BATCH/HeartbeatSeconds", json!(1000)), ("BATCH/Parameters/DelaySeconds", json!(900))],
        ),
        ("void-heartbeat", vec![("BATCH/HeartbeatSeconds", json!(7200))]),
        (
            "outlives-queue",
            vec![("BATCH/HeartbeatSeconds", json!(1_300_000)), ("BATCH/TimeoutSeconds", json!(2_000_000))],
        ),
        ("no-retry", vec![("BATCH/Retry", Value::Null)]),
        ("unknown-error", errors("Gristmill.Retriable")),
        ("unknown-error", errors("Gristmill.Trap")),
        ("unknown-error", errors("MyWorker.Busy")),
        ("futile-retry", errors("Gristmill.ItemsRejected")),
        ("retries-everything", errors("States.ALL")),
        ("batch-too-large", vec![("/States/Map/ItemBatcher/MaxInputBytesPerBatch", json!(262_145))]),
        ("batch-without-room", vec![("/States/Map/ItemBatcher/MaxInputBytesPerBatch", json!(262_144))]),
        ("batch-without-room", vec![("/States/Map/ItemBatcher/MaxInputBytesPerBatch", Value::Null)]),
        ("no-batches", vec![("/States/Map/ItemBatcher", Value::Null)]),
        ("tolerates-everything", vec![("/States/Map/ToleratedFailurePercentage", json!(100))]),
        ("collects-results", vec![("BATCH/OutputPath", Value::Null)]),
        ("inline-map", vec![(config, json!({"Mode": "INLINE"}))]),
        ("no-concurrency", vec![("/States/Map/MaxConcurrency", Value::Null)]),
        ("large-payload", vec![("BATCH/Parameters/MessageBody/more", json!("x".repeat(262_144)))]),
    ];
    let mut seen = BTreeSet::new();
    for (rule, changes) in &cases {
        let rules = rules_of(&with(json_path(), changes));
        // A message that is too large leaves its batch no room either.
        let rules: Vec<_> = rules.into_iter().filter(|other| *rule != "large-payload" || other == rule).collect();
        assert_eq!(rules, [*rule], "{changes:?} in {map}");
        seen.insert(*rule);
    }
    assert_eq!(rules_of(&with(json_path(), &[queue, group])), [""; 0], "a FIFO queue as it should be");
    assert_eq!(seen, rules::names().into_iter().collect());
}

#[test]
fn what_only_the_run_knows_is_no_finding() {
    let later = with(
        json_path(),
        &[
            ("BATCH/HeartbeatSeconds", Value::Null),
            ("BATCH/HeartbeatSecondsPath", json!("$.heartbeat")),
            ("BATCH/TimeoutSeconds", json!("${Timeout}")),
            ("BATCH/Retry", json!([{"ErrorEquals": ["States.ALL"], "MaxAttempts": 0}])),
            ("/States/Map/ToleratedFailurePercentage", json!("{% $all %}")),
        ],
    );
    assert_eq!(found(&later), []);
}

/// The token of other services is looked for where they would send it.
#[test]
fn other_services_callbacks_are_judged_too() {
    let lambda = [
        ("BATCH/Resource", json!("arn:aws:states:::lambda:invoke.waitForTaskToken")),
        ("BATCH/Parameters", json!({"FunctionName": "f", "Payload": {"t.$": "States.Format('{}', $$.Task['Token'])"}})),
        ("BATCH/HeartbeatSeconds", json!(30)),
    ];
    assert_eq!(found(&with(json_path(), &lambda)), []);
    let with_none = with(
        with(json_path(), &lambda),
        &[("BATCH/Parameters/Payload", json!({})), ("BATCH/TimeoutSeconds", Value::Null)],
    );
    assert_eq!(rules_of(&with_none), ["no-timeout", "no-token"]);
}

#[test]
fn what_is_no_machine_is_refused_with_a_reason() {
    let refused = |text: &str| lint(text, EXPECTED_WAIT).unwrap_err().to_string();
    insta::assert_snapshot!(
        [
            refused("{\n  \"StartAt\": ${start}\n}"),
            refused("[1]"),
            refused(r#"{"StartAt": "A", "States": []}"#),
            refused(r#"{"stateMachineArn": "a", "definition": "{}"}"#),
            refused(r#"{"Resources": {}}"#),
            refused(&"[".repeat(1_000_000)),
        ]
        .join("\n"),
        @r"
    it is no JSON: expected value at line 2 column 14; where it is the template of a definition, render it first
    it is no state machine: that is an object with `StartAt` and `States`
    it is no state machine: that is an object with `StartAt` and `States`
    it is no state machine: that is an object with `StartAt` and `States`; it looks like the answer of `describe-state-machine`: take its `definition` out first (`jq -r .definition`)
    it is no state machine: that is an object with `StartAt` and `States`; it looks like a template: take the definition of the state machine out first
    it is no JSON: recursion limit exceeded at line 1 column 128; where it is the template of a definition, render it first
    ");
}

#[test]
fn findings_have_their_lines() {
    let text = serde_json::to_string_pretty(&with(json_path(), &[("BATCH/HeartbeatSeconds", json!(1))])).unwrap();
    let [finding] = &lint(&text, EXPECTED_WAIT).unwrap().findings[..] else { panic!("{text}") };
    assert!(text.lines().nth(finding.line - 1).unwrap().contains("\"HeartbeatSeconds\": 1"), "{finding:?}");
    assert_eq!(finding.path.to_string(), "$.States.Map.ItemProcessor.States.Batch.HeartbeatSeconds");
    let marked = lint(&format!("\u{feff}{text}"), EXPECTED_WAIT).unwrap();
    assert_eq!(marked.findings, std::slice::from_ref(finding), "a byte order mark is no character");
}

/// Any JSON in the place of any field.
fn anything() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "",
        "$",
        "$$.Task.Token",
        "{% $states.context %}",
        "DISTRIBUTED",
        "States.ALL",
        "x.fifo",
        "ä",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        word.prop_map(Value::from)
    ];
    let name =
        prop::sample::select(vec!["States", "Type", "ErrorEquals", "Branches", "a.$", "MessageBody", "QueueUrl"]);
    leaf.prop_recursive(4, 20, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// Every place of a value.
fn pointers(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.into());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, below)| pointers(below, &format!("{here}/{name}"), all))
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(n, below)| pointers(below, &format!("{here}/{n}"), all))
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn whatever_stands_in_a_field_is_judged_or_refused(at in any::<prop::sample::Index>(), value in anything(), is_jsonata: bool) {
        let mut machine = if is_jsonata { jsonata() } else { json_path() };
        let mut all = Vec::new();
        pointers(&machine, "", &mut all);
        *machine.pointer_mut(&all[at.index(all.len())]).unwrap() = value;
        let text = serde_json::to_string_pretty(&machine).unwrap();
        if let Ok(linted) = lint(&text, EXPECTED_WAIT) {
            let lines = text.lines().count();
            prop_assert!(linted.findings.iter().all(|finding| (1..=lines).contains(&finding.line)));
        }
    }
}
