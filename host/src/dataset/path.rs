//! Reference paths of the Amazon States Language: they name one field of the state's input (`$.a[0].b`) or of the
//! context object (`$$.Map.Item.Value.Key`).
//!
//! Only these, not JSONPath at large: a wildcard or a filter selects any number of values, and what then becomes of them
//! differs between implementations.

use std::fmt;

use serde_json::Value;

/// A reference path, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    source: String,
    context: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
}

impl Path {
    /// Reads a path at the start of a text; returns it and what follows.
    pub(crate) fn parse_prefix(text: &str) -> Result<(Self, &str), String> {
        let context = text.starts_with("$$");
        let mut rest = text.strip_prefix(if context { "$$" } else { "$" }).ok_or("a path starts with `$` or `$$`")?;
        let mut steps = Vec::new();
        loop {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(after.len());
                if end == 0 {
                    return Err("a name must follow `.`; other names are written `['name']`".into());
                }
                steps.push(Step::Name(after[..end].into()));
                rest = &after[end..];
            } else if let Some(after) = rest.strip_prefix("['") {
                let (name, after) = quoted_name(after).ok_or("`['` is not closed by `']`")?;
                steps.push(Step::Name(name));
                rest = after;
            } else if let Some(after) = rest.strip_prefix('[') {
                let (digits, after) = after.split_once(']').ok_or("`[` is not closed by `]`")?;
                let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
                let index = digits.parse().ok().filter(|_| plain);
                steps.push(Step::Index(index.ok_or_else(|| format!("`[{digits}]` does not name one element"))?));
                rest = after;
            } else {
                let source = text[..text.len() - rest.len()].to_owned();
                return Ok((Self { source, context, steps }, rest));
            }
        }
    }

    /// The field of the input or the context that the path names.
    pub(crate) fn of<'v>(&self, input: &'v Value, context: &'v Value) -> Option<&'v Value> {
        self.steps.iter().try_fold(if self.context { context } else { input }, |value, step| match step {
            Step::Name(name) => value.get(name),
            Step::Index(index) => value.get(index),
        })
    }

    /// The path as a state sees it whose input lies at `root` (`$`, or `$.input`).
    pub(crate) fn under(&self, root: &str) -> String {
        if self.context { self.source.clone() } else { format!("{root}{}", &self.source[1..]) }
    }

    /// The first name of a context path: `Map` of `$$.Map.Item`.
    pub(crate) fn context_object(&self) -> Option<&str> {
        match self.steps.first() {
            _ if !self.context => None,
            Some(Step::Name(name)) => Some(name),
            _ => Some(""),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// The name up to `']`, and what follows; `\'` and `\\` are escapes.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            '\'' => return text[at + 1..].strip_prefix(']').map(|rest| (name, rest)),
            c => name.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_name_fields_of_input_and_context() {
        let (input, context) = (json!({"a": [{"b c": 1}], "d-e": null}), json!({"Map": {"Item": {"Index": 7}}}));
        for (text, expected) in [
            ("$", Some(&input)),
            ("$.a[0]['b c']", Some(&json!(1))),
            ("$.d-e", Some(&json!(null))),
            ("$.a[1]", None),
            ("$.a.b", None),
            ("$$.Map.Item.Index", Some(&json!(7))),
            ("$$.Execution.Id", None),
        ] {
            let (path, rest) = Path::parse_prefix(text).unwrap();
            assert_eq!((path.of(&input, &context), rest), (expected, ""), "{text}");
        }
    }

    #[test]
    fn what_does_not_name_one_field_is_refused() {
        for text in [
            "a",
            "$.",
            "$..a",
            "$.*",
            "$[*]",
            "$[-1]",
            "$[+1]",
            "$[1:2]",
            "$['a",
            "$['a'",
            "$[",
            "$.a[99999999999999999999]",
        ] {
            assert!(Path::parse_prefix(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_moves_under_another_root_but_the_context_stays() {
        let moved = |text| Path::parse_prefix(text).unwrap().0.under("$.input");
        assert_eq!(
            [moved("$"), moved("$.a"), moved("$[0]"), moved("$$.Map")],
            ["$.input", "$.input.a", "$.input[0]", "$$.Map"]
        );
    }
}
