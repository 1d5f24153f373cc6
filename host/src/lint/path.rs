//! Where a finding is: a JSON path, and the line of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

use crate::text;

/// A place within the machine: `$.States['Send it'].Retry[0]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    /// The field `name` below this place.
    #[must_use]
    pub(super) fn key(&self, name: &str) -> Self {
        self.step(Step::Key(name.into()))
    }

    /// The element `index` below this place.
    #[must_use]
    pub(super) fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$")?;
        for step in &self.0 {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => write!(f, ".{key}")?,
                Step::Key(key) => write!(f, "['{}']", text::line(&key.replace('\'', "\\'")))?,
            }
        }
        Ok(())
    }
}

/// The line on which each value of a JSON text begins. `serde_json` gives none for values. But it can lend the text of a value,
/// and where that lies within the whole says the rest.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: usize,
    fields: BTreeMap<String, Lines>,
    elements: Vec<Lines>,
}

impl Lines {
    /// Of a text that is JSON.
    pub(super) fn of(text: &str) -> Self {
        let breaks: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
        serde_json::from_str(text).map_or_else(|_| Self::default(), |whole| Self::within(text, &breaks, whole))
    }

    fn within(text: &str, breaks: &[usize], value: &RawValue) -> Self {
        let own = value.get();
        let at = (own.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let mut lines = Self { line: breaks.partition_point(|end| *end < at) + 1, ..Self::default() };
        if own.starts_with('{') {
            let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(own).unwrap_or_default();
            let fields = fields.into_iter().map(|(name, field)| (name.into_owned(), Self::within(text, breaks, field)));
            lines.fields = fields.collect();
        } else if own.starts_with('[') {
            let elements: Vec<&RawValue> = serde_json::from_str(own).unwrap_or_default();
            lines.elements = elements.into_iter().map(|element| Self::within(text, breaks, element)).collect();
        }
        lines
    }

    /// The line of a place; of what surrounds it if there is no such place.
    pub(super) fn line(&self, path: &Path) -> usize {
        let mut here = self;
        for step in &path.0 {
            let below = match step {
                Step::Key(key) => here.fields.get(key),
                Step::Index(index) => here.elements.get(*index),
            };
            let Some(below) = below else { break };
            here = below;
        }
        here.line
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_path_reads_like_a_json_path() {
        let path = Path::default().key("States").key("Send it's\n").key("Retry").index(0);
        assert_eq!(path.to_string(), r"$.States['Send it\'s\n'].Retry[0]");
    }

    /// Every value of any JSON, with each number on the line that it names.
    fn numbered() -> impl Strategy<Value = String> {
        let leaf = Just("0".to_owned());
        leaf.prop_recursive(5, 60, 5, |inner| {
            let list = prop::collection::vec(inner.clone(), 1..5);
            prop_oneof![
                list.clone().prop_map(|elements| format!("[\n{}\n]", elements.join(" ,\n"))),
                list.prop_map(|fields| {
                    let fields = fields.iter().enumerate().map(|(n, field)| format!("\"k\\n{n}\": {field}"));
                    format!("{{ {} }}", fields.collect::<Vec<_>>().join(",\n\n"))
                }),
            ]
        })
        .prop_map(|text| {
            let lines = text.split('\n').enumerate();
            // A line has one number at most.
            lines
                .map(|(n, line)| {
                    line.replace(": 0", &format!(": {}", n + 1)).replace("0 ,", &format!("{} ,", n + 1)) + "\n"
                })
                .collect()
        })
    }

    fn check(value: &Value, path: &Path, lines: &Lines, seen: &mut usize) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, below)| check(below, &path.key(key), lines, seen)),
            Value::Array(all) => {
                all.iter().enumerate().for_each(|(n, below)| check(below, &path.index(n), lines, seen))
            }
            Value::Number(number) if number.as_u64() != Some(0) => {
                *seen += 1;
                assert_eq!(number.as_u64(), Some(lines.line(path) as u64), "{path}");
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn each_value_is_on_its_line(text in numbered()) {
            let value: Value = serde_json::from_str(&text).unwrap();
            check(&value, &Path::default(), &Lines::of(&text), &mut 0);
        }
    }

    #[test]
    fn what_is_not_there_is_where_it_would_be() {
        let lines = Lines::of("{\"a\":\n{\"b\": 1,\n\"c\": [\n{}]}}");
        let a = Path::default().key("a");
        let line = |path: &Path| lines.line(path);
        assert_eq!(
            [line(&a), line(&a.key("no")), line(&a.key("c").index(0)), line(&a.key("c").index(9))],
            [2, 2, 4, 3]
        );
    }
}
