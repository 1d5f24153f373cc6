//! A state machine as the rules see it: its states, however deep, each with what surrounds it.

use serde_json::{Map, Value};

use super::finding::LintError;
use super::path::Path;

pub(super) type Fields = Map<String, Value>;

/// One state.
pub(super) struct State<'a> {
    pub(super) path: Path,
    pub(super) fields: &'a Fields,
    /// Whether it speaks JSONata; else JSONPath.
    pub(super) is_jsonata: bool,
    /// Whether it runs within an Express child of a Distributed Map.
    pub(super) is_express: bool,
    /// The innermost Map state around it.
    pub(super) map: Option<&'a Fields>,
}

/// What a field gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Given {
    Nothing,
    Number(f64),
    /// Only the run will know: a `...Path`, a JSONata expression, or a variable of a template.
    Later,
}

impl Given {
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Nothing | Self::Later => None,
        }
    }
}

/// The states of a text, in its order of names.
pub(super) fn states(machine: &Value) -> Result<Vec<State<'_>>, LintError> {
    let Some(top) = machine.as_object().filter(|top| is_machine(top)) else {
        return Err(LintError::NoMachine(instead(machine)));
    };
    let mut found = Vec::new();
    let outside = State { path: Path::default(), fields: top, is_jsonata: false, is_express: false, map: None };
    collect(top, &outside, &mut found);
    Ok(found)
}

fn is_machine(fields: &Fields) -> bool {
    fields.get("States").is_some_and(Value::is_object) && fields.get("StartAt").is_some_and(Value::is_string)
}

/// What a file is that is no machine, where that can be told.
fn instead(value: &Value) -> &'static str {
    match value {
        Value::Object(fields) if fields.get("definition").is_some_and(Value::is_string) => {
            "; it looks like the answer of `describe-state-machine`: take its `definition` out first \
             (`jq -r .definition`)"
        }
        Value::Object(fields) if fields.contains_key("Resources") => {
            "; it looks like a template: take the definition of the state machine out first"
        }
        _ => "",
    }
}

/// The states of a machine, a branch or a processor.
fn collect<'a>(machine: &'a Fields, outside: &State<'a>, found: &mut Vec<State<'a>>) {
    let is_jsonata = |fields: &Fields, outer: bool| match fields.get("QueryLanguage").and_then(Value::as_str) {
        Some(language) => language == "JSONata",
        None => outer,
    };
    let of_all = is_jsonata(machine, outside.is_jsonata);
    let states = machine.get("States").and_then(Value::as_object).into_iter().flatten();
    for (name, state) in states {
        let Some(fields) = state.as_object() else { continue };
        let state = State {
            path: outside.path.key("States").key(name),
            fields,
            is_jsonata: is_jsonata(fields, of_all),
            is_express: outside.is_express,
            map: outside.map,
        };
        for (path, within) in state.inner() {
            let inside = State {
                path,
                // A state's own language is not that of the states within it.
                is_jsonata: of_all,
                is_express: state.is_express || is_express(within),
                map: if state.is("Map") { Some(fields) } else { state.map },
                fields: within,
            };
            collect(within, &inside, found);
        }
        found.push(state);
    }
}

fn is_express(processor: &Fields) -> bool {
    processor.get("ProcessorConfig").is_some_and(|config| config["ExecutionType"] == "EXPRESS")
}

impl<'a> State<'a> {
    pub(super) fn is(&self, kind: &str) -> bool {
        self.text("Type") == Some(kind)
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.fields.get(name).and_then(Value::as_str)
    }

    pub(super) fn at(&self, field: &str) -> Path {
        self.path.key(field)
    }

    /// A number, or the path to one.
    pub(super) fn number(&self, name: &str) -> Given {
        given(self.fields, name)
    }

    /// Whether it waits for a task token.
    pub(super) fn waits(&self) -> bool {
        self.is("Task") && self.text("Resource").is_some_and(|resource| resource.ends_with(".waitForTaskToken"))
    }

    /// Whether it sends a message to SQS.
    pub(super) fn sends(&self) -> bool {
        self.is("Task") && self.text("Resource").is_some_and(|resource| resource.contains(":sqs:sendMessage"))
    }

    /// What it sends: the field's name, and its value.
    pub(super) fn sent(&self) -> Option<(&'static str, &'a Value)> {
        let name = if self.is_jsonata { "Arguments" } else { "Parameters" };
        Some((name, self.fields.get(name)?))
    }

    /// The processor of a Map (`Iterator` in older machines).
    pub(super) fn processor(&self) -> Option<(&'static str, &'a Fields)> {
        ["ItemProcessor", "Iterator"].into_iter().find_map(|name| Some((name, self.fields.get(name)?.as_object()?)))
    }

    pub(super) fn is_distributed(&self) -> bool {
        let config = self.processor().and_then(|(_, processor)| processor.get("ProcessorConfig"));
        config.is_some_and(|config| config["Mode"] == "DISTRIBUTED")
    }

    /// Whether a state within it, however deep, waits for a task token.
    pub(super) fn holds_callbacks(&self) -> bool {
        let mut found = Vec::new();
        for (path, within) in self.inner() {
            collect(within, &State { path, fields: within, ..*self }, &mut found);
        }
        found.iter().any(State::waits)
    }

    /// The machines within it.
    fn inner(&self) -> Vec<(Path, &'a Fields)> {
        let branches = self.fields.get("Branches").and_then(Value::as_array).into_iter().flatten().enumerate();
        let branches =
            branches.filter_map(|(n, branch)| Some((self.path.key("Branches").index(n), branch.as_object()?)));
        let processor = self.processor().map(|(name, processor)| (self.path.key(name), processor));
        branches.chain(processor).collect()
    }
}

/// A number, or the path to one.
pub(super) fn given(fields: &Fields, name: &str) -> Given {
    match fields.get(name) {
        Some(value) => value.as_f64().map_or(Given::Later, Given::Number),
        None if fields.contains_key(&format!("{name}Path")) => Given::Later,
        None => Given::Nothing,
    }
}
