//! Values with placeholders: evaluated here by `gristmill map`, and written as payload templates for Step Functions.
//! Both from one reading of the text, so that they mean the same.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::path::Path;
use super::scope::Scope;

/// A JSON value in which strings may hold placeholders: `{$.path}` is a field of the state's input, `{$$.Map.Item.Value.Key}`
/// a field of the context object. A string that is nothing but one placeholder becomes the field's value, of any type;
/// within a longer string the field must be a string or a number. A `{` that no `$` follows is an ordinary character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Value);

/// Why a template makes no sense, or has no value for this input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder that is no reference path.
    #[error("`{text}` holds a placeholder that cannot be read: {reason}")]
    Malformed {
        /// The whole string.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// The input or the context object has no such field.
    #[error("`{{{path}}}`: there is no such field in the {}", if path.starts_with("$$") { "context object" } else { "input" })]
    Missing {
        /// The path.
        path: String,
    },
    /// A value that cannot be a part of a longer string.
    #[error("`{{{path}}}` is {found}; within a longer text only a string or a number can stand")]
    NotText {
        /// The path.
        path: String,
        /// What is there instead.
        found: &'static str,
    },
    /// JSONPath payload templates cannot say this.
    #[error("{0}")]
    NotInJsonPath(String),
    /// A text that means a field and is none.
    #[error("`{text}` is a text like any other: {help}")]
    NoPlaceholder {
        /// The text.
        text: String,
        /// What to write instead.
        help: String,
    },
    /// What was made of it is no JSON. It always is.
    #[error("no value could be made of the template: {0}")]
    Broken(String),
    /// The text is no URI of an object, whatever the placeholders will be.
    #[error("`{0}` must start with `s3://`, a bucket and `/`")]
    NoUri(String),
}

/// A piece of a string.
enum Part<'t> {
    Text(&'t str),
    Field(Path),
}

impl Template {
    /// Puts in the fields of the input and the context object, each as it is written there.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Box<RawValue>, TemplateError> {
        let mut json = String::new();
        render(&self.0, scope, &mut json)?;
        RawValue::from_string(json).map_err(broken)
    }

    /// [`Self::render`] for whoever has values and wants one. Numbers are then what a [`Value`] can hold.
    pub fn evaluate(&self, input: &Value, context: &Value) -> Result<Value, TemplateError> {
        let scope = Scope::of_values(input, context).map_err(broken)?;
        serde_json::from_str(self.render(&scope)?.get()).map_err(broken)
    }

    /// [`Self::evaluate`] for a template that is one string, such as a URI.
    pub fn evaluate_text(&self, input: &Value, context: &Value) -> Result<String, TemplateError> {
        match self.evaluate(input, context)? {
            Value::String(text) => Ok(text),
            other => Err(TemplateError::NotText { path: written(&self.0), found: kind(&other) }),
        }
    }

    /// A template that is one string, with `value` in place of each placeholder.
    pub(crate) fn fill(&self, value: impl Fn(&Path) -> String) -> Result<String, TemplateError> {
        let text = self.0.as_str().ok_or_else(|| TemplateError::NoUri(written(&self.0)))?;
        let filled = parts(text)?.into_iter().map(|part| match part {
            Part::Text(text) => text.to_owned(),
            Part::Field(path) => value(&path),
        });
        Ok(filled.collect())
    }

    /// The reference paths of all placeholders.
    pub(crate) fn paths(&self) -> Result<Vec<Path>, TemplateError> {
        let mut found = Vec::new();
        collect(&self.0, &mut found)?;
        Ok(found)
    }

    /// The template as a field of a JSONPath payload template: `(name, value)` without placeholders,
    /// `(name.$, expression)` with them. `root` is where the input lies in the state that evaluates it: `$`.
    pub(crate) fn payload_field(&self, name: &str, root: &str) -> Result<(String, Value), TemplateError> {
        payload_field(name, &self.0, root)
    }

    /// The reference path, when the template is nothing but one placeholder.
    pub(crate) fn sole_path(&self) -> Option<Path> {
        match parts(self.0.as_str()?).ok()?.as_mut_slice() {
            [Part::Field(path)] => Some(path.clone()),
            _ => None,
        }
    }

    /// Splits a URI `s3://bucket/key` into templates of the bucket and of the key.
    pub(crate) fn split_uri(&self) -> Result<(Self, Self), TemplateError> {
        let no_uri = || TemplateError::NoUri(written(&self.0));
        let uri = self.0.as_str().ok_or_else(no_uri)?;
        let rest = uri.strip_prefix("s3://").ok_or_else(no_uri)?;
        // The first slash outside of a placeholder: a quoted name of a path may hold one too.
        let mut bucket_len = 0;
        for part in parts(rest)? {
            match part {
                Part::Field(path) => bucket_len += path.to_string().len() + "{}".len(),
                Part::Text(text) => match text.find('/') {
                    None => bucket_len += text.len(),
                    Some(slash) => {
                        let (bucket, key) = (&rest[..bucket_len + slash], &rest[bucket_len + slash + 1..]);
                        let template = |text: &str| Self(Value::String(text.into()));
                        return if bucket.is_empty() { Err(no_uri()) } else { Ok((template(bucket), template(key))) };
                    }
                },
            }
        }
        Err(no_uri())
    }
}

/// Splits a text into what stands in it and the placeholders.
fn parts(text: &str) -> Result<Vec<Part<'_>>, TemplateError> {
    if let Some(help) = meant_otherwise(text) {
        return Err(TemplateError::NoPlaceholder { text: text.into(), help });
    }
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find("{$") {
        if at > 0 {
            parts.push(Part::Text(&rest[..at]));
        }
        let malformed = |reason| TemplateError::Malformed { text: text.into(), reason };
        let (path, after) = Path::parse_prefix(&rest[at + 1..]).map_err(malformed)?;
        rest = after.strip_prefix('}').ok_or_else(|| malformed(format!("`}}` is missing after `{path}`")))?;
        parts.push(Part::Field(path));
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// What to write instead of a text that is meant as a field, in a way that Step Functions knows and a template does not.
fn meant_otherwise(text: &str) -> Option<String> {
    let trimmed = text.trim();
    if let Some(inner) = trimmed.strip_prefix("{%") {
        let path = inner.trim_end_matches("%}").trim();
        let path = path.strip_prefix("$states.input").or_else(|| path.strip_prefix("$states.context"));
        let path = path.filter(|path| path.starts_with('.')).unwrap_or(".field");
        return Some(format!("templates are JSONPath and not JSONata; a field of the input is written `{{${path}}}`"));
    }
    if let Ok((path, "")) = Path::parse_prefix(trimmed)
        && !path.is_root()
    {
        return Some(format!("a field is written in braces, `{{{path}}}`"));
    }
    if let Some((function, _)) = trimmed.split_once('(')
        && let Some(name) = function.strip_prefix("States.")
        && trimmed.ends_with(')')
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return Some(format!(
            "`{function}` is not evaluated; write the text with its fields in braces, `a/{{$.field}}`"
        ));
    }
    if text.starts_with("s3://")
        && let Some(path) = text.match_indices("$.").find_map(|(at, _)| {
            let bare = !text[..at].ends_with(['{', '$']);
            Path::parse_prefix(&text[at..]).ok().filter(|_| bare).map(|(path, _)| path)
        })
    {
        return Some(format!("a field is written in braces, `{{{path}}}`"));
    }
    let blanks = text.match_indices('{').find_map(|(at, _)| {
        let after = &text[at + 1..];
        let path = after.trim_start();
        let (path, rest) = Path::parse_prefix(path).ok().filter(|_| after.starts_with([' ', '\t']))?;
        rest.trim_start().starts_with('}').then_some(path)
    });
    blanks.map(|path| format!("a field is written without blanks in the braces, `{{{path}}}`"))
}

fn collect(value: &Value, into: &mut Vec<Path>) -> Result<(), TemplateError> {
    match value {
        Value::String(text) => into.extend(parts(text)?.into_iter().filter_map(|part| match part {
            Part::Field(path) => Some(path),
            Part::Text(_) => None,
        })),
        Value::Array(elements) => elements.iter().try_for_each(|element| collect(element, into))?,
        Value::Object(fields) => fields.values().try_for_each(|field| collect(field, into))?,
        _ => {}
    }
    Ok(())
}

fn render(value: &Value, scope: &Scope<'_>, json: &mut String) -> Result<(), TemplateError> {
    match value {
        Value::String(text) => render_text(text, scope, json)?,
        Value::Array(elements) => {
            json.push('[');
            for (index, element) in elements.iter().enumerate() {
                json.push_str(if index == 0 { "" } else { "," });
                render(element, scope, json)?;
            }
            json.push(']');
        }
        Value::Object(fields) => {
            json.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                json.push_str(if index == 0 { "" } else { "," });
                push_text(name, json);
                json.push(':');
                render(field, scope, json)?;
            }
            json.push('}');
        }
        other => json.push_str(&other.to_string()),
    }
    Ok(())
}

fn render_text(text: &str, scope: &Scope<'_>, json: &mut String) -> Result<(), TemplateError> {
    let field = |path: &Path| path.of(scope).ok_or_else(|| TemplateError::Missing { path: path.to_string() });
    let parts = parts(text)?;
    if let [Part::Field(path)] = parts.as_slice() {
        json.push_str(field(path)?.get());
        return Ok(());
    }
    let mut filled = String::new();
    for part in &parts {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Field(path) => filled.push_str(&as_text(path, field(path)?)?),
        }
    }
    push_text(&filled, json);
    Ok(())
}

/// A field within a longer text.
fn as_text(path: &Path, field: &RawValue) -> Result<String, TemplateError> {
    let json = field.get();
    // A whole number has all its digits, however many; a fraction is written as the number that it is.
    if json.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(json.into());
    }
    match serde_json::from_str(json).map_err(broken)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(TemplateError::NotText { path: path.to_string(), found: kind(&other) }),
    }
}

fn push_text(text: &str, json: &mut String) {
    json.push_str(&Value::from(text).to_string());
}

fn broken(error: serde_json::Error) -> TemplateError {
    TemplateError::Broken(error.to_string())
}

fn payload_field(name: &str, value: &Value, root: &str) -> Result<(String, Value), TemplateError> {
    if name.ends_with(".$") {
        let refusal = format!("the name `{name}` ends with `.$`, which Step Functions would read as a path");
        return Err(TemplateError::NotInJsonPath(refusal));
    }
    Ok(if needs_expression(value)? {
        (format!("{name}.$"), Value::String(expression(value, root)?))
    } else {
        (name.into(), payload(value, root)?)
    })
}

fn payload(value: &Value, root: &str) -> Result<Value, TemplateError> {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, field)| payload_field(name, field, root));
            Ok(Value::Object(fields.collect::<Result<Map<_, _>, _>>()?))
        }
        Value::Array(elements) => elements.iter().map(|element| payload(element, root)).collect(),
        other => Ok(other.clone()),
    }
}

/// Whether the value itself must be written as an expression: a text with placeholders, or an array that holds one. An
/// object never must, its fields are written as expressions each by itself.
fn needs_expression(value: &Value) -> Result<bool, TemplateError> {
    match value {
        Value::String(text) => Ok(parts(text)?.iter().any(|part| matches!(part, Part::Field(_)))),
        Value::Array(elements) => {
            elements.iter().try_fold(false, |needed, element| Ok(needed | needs_expression(element)?))
        }
        _ => Ok(false),
    }
}

/// A path or an intrinsic function ("Intrinsic Functions" of the Amazon States Language).
fn expression(value: &Value, root: &str) -> Result<String, TemplateError> {
    match value {
        Value::String(text) => Ok(match parts(text)?.as_slice() {
            [Part::Field(path)] => path.under(root),
            parts => format_call(parts, root),
        }),
        Value::Array(elements) => {
            let elements = elements.iter().map(|element| expression(element, root)).collect::<Result<Vec<_>, _>>()?;
            Ok(format!("States.Array({})", elements.join(", ")))
        }
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Ok("null".into()),
        other => Err(TemplateError::NotInJsonPath(format!(
            "{} cannot stand in an array beside a placeholder: `States.Array` takes texts, numbers, null and arrays of them",
            kind(other)
        ))),
    }
}

fn format_call(parts: &[Part<'_>], root: &str) -> String {
    let (mut format, mut arguments) = (String::new(), String::new());
    for part in parts {
        match part {
            Part::Text(text) => text.chars().for_each(|c| {
                if matches!(c, '\'' | '{' | '}' | '\\') {
                    format.push('\\');
                }
                format.push(c);
            }),
            Part::Field(path) => {
                format.push_str("{}");
                arguments.push_str(", ");
                arguments.push_str(&path.under(root));
            }
        }
    }
    // A text without placeholders, as the elements of an array may be, is a literal of its own.
    if arguments.is_empty() { format!("'{format}'") } else { format!("States.Format('{format}'{arguments})") }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn evaluated(template: Value) -> Result<Value, String> {
        let input = json!({"bucket": "b", "days": ["x", "y"], "n": 2.5, "none": null});
        let context = json!({"Map": {"Item": {"Index": 3, "Value": {"Key": "k/1"}}}});
        Template(template).evaluate(&input, &context).map_err(|error| error.to_string())
    }

    fn field(value: Value) -> Result<(String, Value), String> {
        Template(value).payload_field("f", "$").map_err(|error| error.to_string())
    }

    #[test]
    fn a_sole_placeholder_keeps_the_type_and_a_longer_text_is_text() {
        assert_eq!(evaluated(json!("{$.days}")).unwrap(), json!(["x", "y"]));
        assert_eq!(evaluated(json!("{$.none}")).unwrap(), json!(null));
        assert_eq!(evaluated(json!("s3://{$.bucket}/{$$.Map.Item.Value.Key}?{$.n}")).unwrap(), json!("s3://b/k/1?2.5"));
        assert_eq!(
            evaluated(json!({"i": ["{$$.Map.Item.Index}", {"d": "{$.days[1]}"}], "{$.n}": true})).unwrap(),
            json!({"i": [3, {"d": "y"}], "{$.n}": true}),
            "names are not templates"
        );
    }

    #[test]
    fn what_cannot_be_evaluated_is_named() {
        assert_eq!(evaluated(json!("{$.x.y}")).unwrap_err(), "`{$.x.y}`: there is no such field in the input");
        assert_eq!(
            evaluated(json!("{$$.Map.X}")).unwrap_err(),
            "`{$$.Map.X}`: there is no such field in the context object"
        );
        assert_eq!(
            evaluated(json!("day {$.days}")).unwrap_err(),
            "`{$.days}` is an array; within a longer text only a string or a number can stand"
        );
        assert_eq!(
            evaluated(json!("{$.a b}")).unwrap_err(),
            "`{$.a b}` holds a placeholder that cannot be read: `}` is missing after `$.a`"
        );
    }

    #[test]
    fn a_field_comes_out_as_it_went_in() {
        let raw = |text: &str| RawValue::from_string(text.into()).unwrap();
        let input = raw(r#"{"n": 123456789012345678901234567890, "huge": 1e400, "x": {"z": 1.0, "a" : -0, "a": 1E5}}"#);
        let scope = Scope::new(&input).with_context("Map", raw(r#"{"Item":{"Value":{"id":98765432109876543210.5}}}"#));
        for (template, expected) in [
            (json!("{$.n}"), "123456789012345678901234567890"),
            (json!("{$.huge}"), "1e400"),
            (
                json!({"y": "{$.x}", "b": [1, "{$$.Map.Item.Value.id}"]}),
                r#"{"b":[1,98765432109876543210.5],"y":{"z": 1.0, "a" : -0, "a": 1E5}}"#,
            ),
            (json!("id-{$.n}/{$.x.z}/\"{$.x.a}"), r#""id-123456789012345678901234567890/1.0/\"100000.0""#),
        ] {
            assert_eq!(Template(template).render(&scope).unwrap().get(), expected);
        }
    }

    #[test]
    fn what_is_meant_as_a_field_and_is_none_is_said() {
        for (text, help) in [
            ("$.stations", "a field is written in braces, `{$.stations}`"),
            ("$$.Map.Item.Value.Key", "a field is written in braces, `{$$.Map.Item.Value.Key}`"),
            (
                "{% $states.input.stations %}",
                "templates are JSONPath and not JSONata; a field of the input is written `{$.stations}`",
            ),
            (
                "{% $uppercase($states.input.a) %}",
                "templates are JSONPath and not JSONata; a field of the input is written `{$.field}`",
            ),
            ("s3://b/$.day/x", "a field is written in braces, `{$.day}`"),
            ("{ $.a }", "a field is written without blanks in the braces, `{$.a}`"),
            ("x/{\t$.a}/", "a field is written without blanks in the braces, `{$.a}`"),
            (
                "States.Format('{}', $.a)",
                "`States.Format` is not evaluated; write the text with its fields in braces, `a/{$.field}`",
            ),
        ] {
            let expected = format!("`{text}` is a text like any other: {help}");
            assert_eq!(evaluated(json!(text)).unwrap_err(), expected);
            assert_eq!(field(json!([text])).unwrap_err(), expected);
            assert_eq!(Template(json!({"a": [text]})).paths().unwrap_err().to_string(), expected);
        }
        for text in
            ["$", "$5", "costs $", "{ a }", "States.", "a $.b", "US$.x y", "s3://b/{x$}/$5/$", "{\"a\": \"{%\"}"]
        {
            assert_eq!(evaluated(json!(text)).unwrap(), json!(text));
        }
    }

    #[test]
    fn payloads_are_what_step_functions_reads() {
        for (value, name, payload) in [
            (json!("{$.days}"), "f.$", json!("$.days")),
            (
                json!("a {$.n}'s {\\} {$$.Map.Item.Index}"),
                "f.$",
                json!(r"States.Format('a {}\'s \{\\\} {}', $.n, $$.Map.Item.Index)"),
            ),
            (json!("plain {} '"), "f", json!("plain {} '")),
            (
                json!({"a": {"b": "{$.n}"}, "c": [1, {"d": "{$.n}"}]}),
                "f",
                json!({"a": {"b.$": "$.n"}, "c": [1, {"d.$": "$.n"}]}),
            ),
            (
                json!(["{$.n}", "it's", 1, null, ["x {$.n}"]]),
                "f.$",
                json!(r"States.Array($.n, 'it\'s', 1, null, States.Array(States.Format('x {}', $.n)))"),
            ),
        ] {
            assert_eq!(field(value).unwrap(), (name.into(), payload));
        }
        assert_eq!(
            Template(json!({"a": "{$.n}"})).payload_field("f", "$.input").unwrap().1,
            json!({"a.$": "$.input.n"})
        );
    }

    #[test]
    fn what_jsonpath_cannot_say_is_refused() {
        assert!(field(json!(["{$.n}", true])).unwrap_err().starts_with("true or false cannot stand in an array"));
        assert!(field(json!(["{$.n}", {"a": 1}])).unwrap_err().starts_with("an object cannot stand in an array"));
        assert!(field(json!({"a.$": 1})).unwrap_err().contains("`a.$`"));
    }

    #[test]
    fn uris_are_split_outside_of_placeholders() {
        let split =
            |uri: &str| Template(json!(uri)).split_uri().map(|(bucket, key)| (written(&bucket.0), written(&key.0)));
        assert_eq!(split("s3://b/k/x").unwrap(), ("b".into(), "k/x".into()));
        assert_eq!(split("s3://b/").unwrap(), ("b".into(), String::new()));
        assert_eq!(split("s3://x-{$['a/b']}-y/{$.k}/z").unwrap(), ("x-{$['a/b']}-y".into(), "{$.k}/z".into()));
        for wrong in ["{$.uri}", "s3://b", "s3:///k", "b/k", "s3://{$.b}"] {
            assert!(split(wrong).is_err(), "{wrong}");
        }
    }

    /// What Step Functions makes of an expression, from its specification and not from the code above.
    fn states_format(call: &str, input: &Value) -> String {
        let mut chars = call.strip_prefix("States.Format('").unwrap().chars();
        let mut pieces = vec![String::new()];
        loop {
            match chars.next().unwrap() {
                '\\' => pieces.last_mut().unwrap().push(chars.next().unwrap()),
                '{' => {
                    assert_eq!(chars.next(), Some('}'), "an unescaped brace");
                    pieces.push(String::new());
                }
                '}' => panic!("an unescaped brace"),
                '\'' => break,
                c => pieces.last_mut().unwrap().push(c),
            }
        }
        let arguments = chars.as_str().strip_suffix(')').unwrap();
        let mut values =
            arguments.split(", ").skip(1).map(|path| input[path.strip_prefix("$.").unwrap()].as_str().unwrap());
        let mut text = pieces.remove(0);
        for piece in pieces {
            text.push_str(values.next().unwrap());
            text.push_str(&piece);
        }
        text
    }

    proptest! {
        #[test]
        fn here_and_in_step_functions_a_text_means_the_same(
            before in "[^$]{0,12}", after in "[^$]{1,12}", a in ".{0,8}", b in ".{0,8}"
        ) {
            let template = Template(Value::String(format!("{before}{{$.a}}{after}{{$.b}}")));
            let input = json!({"a": a, "b": b});
            let (_, call) = template.payload_field("f", "$").unwrap();
            prop_assert_eq!(template.evaluate(&input, &Value::Null).unwrap(), states_format(call.as_str().unwrap(), &input));
        }

        #[test]
        fn a_value_without_placeholders_stays(text in "[^$]*", n in any::<i64>()) {
            let value = json!({"a": [text, n], "b": {"c": text}});
            prop_assert_eq!(evaluated(value.clone()).unwrap(), value.clone());
            prop_assert_eq!(field(value.clone()).unwrap(), ("f".into(), value));
        }

        #[test]
        fn no_text_panics(text in r"[{}$.a\[\]'\\0-9 /s:]*") {
            let template = Template(json!([text]));
            let _ = (template.evaluate(&Value::Null, &Value::Null), template.payload_field("f", "$"));
            let _ = Template(json!(format!("s3://{text}"))).split_uri();
        }
    }
}
