//! Reference paths of the Amazon States Language: they name one field of the state's input (`$.a[0].b`) or of the
//! context object (`$$.Map.Item.Value.Key`).
//!
//! Only these, not JSONPath at large: a wildcard or a filter selects any number of values, and what then becomes of them
//! differs between implementations.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::scope::Scope;

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

    /// The field of the input or the context that the path names, as it is written there.
    pub(crate) fn of<'v>(&self, scope: &'v Scope<'_>) -> Option<&'v RawValue> {
        let (start, steps) = match (self.context, self.steps.split_first()) {
            (false, _) => (scope.input(), self.steps.as_slice()),
            (true, Some((Step::Name(name), steps))) => (scope.context(name)?, steps),
            (true, _) => return None,
        };
        steps.iter().try_fold(start, step_into)
    }

    /// The path as seen by a state whose input lies at `root` (`$`, or `$.input`).
    pub(crate) fn under(&self, root: &str) -> String {
        if self.context { self.source.clone() } else { format!("{root}{}", &self.source[1..]) }
    }

    /// Whether it names the input or the context object as a whole.
    pub(crate) fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// The path as the name of a field: `input.day` of `$.day`, `context.Execution.Name` of `$$.Execution.Name`.
    pub(crate) fn name(&self) -> String {
        let root = if self.context { "context" } else { "input" };
        format!("{root}{}", self.source.trim_start_matches('$'))
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

fn step_into<'v>(value: &'v RawValue, step: &Step) -> Option<&'v RawValue> {
    serde_json::Deserializer::from_str(value.get()).deserialize_any(Into(step)).ok()?
}

/// Finds one field or element of a value without parsing the others.
struct Into<'s>(&'s Step);

impl<'de> Visitor<'de> for Into<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Name(name)) = fields.next_key()? {
            match self.0 {
                // The last of several fields with one name counts, as in most JSON parsers.
                Step::Name(wanted) if name == *wanted => found = Some(fields.next_value()?),
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let Step::Index(wanted) = self.0 else { return Ok(None) };
        for _ in 0..*wanted {
            if elements.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = elements.next_element()?;
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

/// A field's name, copied only where it is written with escapes.
#[derive(serde::Deserialize)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

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

    #[test]
    fn paths_name_fields_of_input_and_context_as_they_are_written() {
        let raw = |text: &str| RawValue::from_string(text.into()).unwrap();
        let text = r#"{"a": [{"b c": 1.0}, 12345678901234567890123 ], "d-e": null,"twice":1, "twice": 2,"\u0061b": 3}"#;
        let input = raw(text);
        let scope = Scope::new(&input).with_context("Map", raw(r#"{"Item": {"Index": 7}}"#));
        for (path, expected) in [
            ("$", Some(text)),
            ("$.a[0]['b c']", Some("1.0")),
            ("$.a[1]", Some("12345678901234567890123")),
            ("$.d-e", Some("null")),
            ("$.twice", Some("2")),
            ("$.ab", Some("3")),
            ("$.a[2]", None),
            ("$.a.b", None),
            ("$.d-e.x", None),
            ("$[0]", None),
            ("$$.Map.Item.Index", Some("7")),
            ("$$.Execution.Id", None),
        ] {
            let (parsed, rest) = Path::parse_prefix(path).unwrap();
            assert_eq!((parsed.of(&scope).map(RawValue::get), rest), (expected, ""), "{path}");
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
