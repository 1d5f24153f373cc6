//! A CloudFormation template as JSON, from YAML with its short tags (`!Ref X` is `{"Ref": "X"}`) or from JSON, which is YAML too.

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value, json};

/// How deep a template may be. CloudFormation's own are a few levels deep.
const DEPTH: usize = 64;

/// Reads one document. The error names the line.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut whole = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| format!("it is no YAML: {error}"))?;
        let line = span.start.line();
        let value = match event {
            Event::Alias(_) => return Err(format!("line {line}: CloudFormation has no aliases")),
            Event::SequenceStart(_, tag) => {
                open.push(Open { tag: name(tag.as_deref()), value: Value::Array(Vec::new()), key: None });
                None
            }
            Event::MappingStart(_, tag) => {
                open.push(Open { tag: name(tag.as_deref()), value: json!({}), key: None });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|done| tagged(done.tag, done.value)),
            Event::Scalar(text, style, _, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if is_plain { plain(&text) } else { Value::from(text.as_ref()) };
                Some(tagged(name(tag.as_deref()), value))
            }
            _ => None,
        };
        if open.len() > DEPTH {
            return Err(format!("line {line}: it is nested more than {DEPTH} deep"));
        }
        let Some(value) = value else { continue };
        match open.last_mut() {
            Some(parent) => parent.add(value).map_err(|why| format!("line {line}: {why}"))?,
            None if whole.is_some() => return Err(format!("line {line}: it has more than one document")),
            None => whole = Some(value),
        }
    }
    whole.ok_or_else(|| "it is empty".into())
}

/// A list or a mapping whose end is not there yet.
struct Open {
    tag: Option<String>,
    value: Value,
    key: Option<String>,
}

impl Open {
    fn add(&mut self, value: Value) -> Result<(), String> {
        match (&mut self.value, self.key.take()) {
            (Value::Array(elements), _) => elements.push(value),
            (Value::Object(fields), Some(key)) => match fields.contains_key(&key) {
                true => return Err(format!("`{key}` is there twice")),
                false => drop(fields.insert(key, value)),
            },
            (_, None) => match value {
                Value::String(key) => self.key = Some(key),
                Value::Number(_) | Value::Bool(_) => self.key = Some(value.to_string()),
                _ => return Err("a key is no text".into()),
            },
            _ => {}
        }
        Ok(())
    }
}

/// The name of a function: `!Ref` and `!GetAtt`. Tags of YAML itself (`!!str`) name none.
fn name(tag: Option<&Tag>) -> Option<String> {
    tag.filter(|tag| tag.handle == "!").map(|tag| tag.suffix.clone())
}

fn tagged(tag: Option<String>, value: Value) -> Value {
    let name = match tag.as_deref() {
        None => return value,
        Some(name @ ("Ref" | "Condition")) => name.to_owned(),
        Some(name) => format!("Fn::{name}"),
    };
    Value::Object(Map::from_iter([(name, value)]))
}

/// A scalar without quotes, as YAML 1.2's core schema reads it.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ => {
            let is_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
            let whole = text.parse::<i64>().ok().map(Value::from);
            let number = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from);
            whole.or_else(number).filter(|_| is_number).unwrap_or_else(|| text.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_tags_are_functions() {
        let text =
            "A: !Ref B\nC: [!Sub \"x${Y}\", { D: !GetAtt E.F }]\nG: !If [H, 1, \"2\"]\nI: >-\n  two\n  lines\nJ:\n";
        let expected = json!({
            "A": {"Ref": "B"}, "C": [{"Fn::Sub": "x${Y}"}, {"D": {"Fn::GetAtt": "E.F"}}],
            "G": {"Fn::If": ["H", 1, "2"]}, "I": "two lines", "J": null,
        });
        assert_eq!(read(text), Ok(expected));
    }

    #[test]
    fn what_is_no_template_is_refused_with_its_line() {
        for (text, said) in [
            ("", "it is empty"),
            ("a: 1\na: 2\n", "line 2: `a` is there twice"),
            ("a: &x 1\nb: *x\n", "line 2: CloudFormation has no aliases"),
            ("a: 1\n---\nb: 1\n", "line 4: it has more than one document"),
            ("? [a]\n: 1\n", "line 1: a key is no text"),
        ] {
            assert_eq!(read(text), Err(said.into()));
        }
        let refused = read("a: [1,\nb: }").unwrap_err();
        assert!(refused.starts_with("it is no YAML: ") && refused.contains("line"), "{refused}");
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        /// JSON is YAML, so that templates in JSON are read too.
        #[test]
        fn json_is_read_as_it_is(values in prop::collection::vec((".{0,9}", -1e9f64..1e9, any::<i32>()), 0..5)) {
            let value = json!({"all": values.iter().map(|(text, n, m)| json!({"t": text, "n": n, "m": m})).collect::<Vec<_>>()});
            prop_assert_eq!(read(&value.to_string()), Ok(value));
        }
    }
}
