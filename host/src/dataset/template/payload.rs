//! A template as Step Functions reads it: JSONPath payload templates with intrinsic functions.

use serde_json::{Map, Value};

use super::error::{TemplateError, kind};
use super::parts::{Part, parts};

pub(super) fn payload_field(name: &str, value: &Value, root: &str) -> Result<(String, Value), TemplateError> {
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

/// Whether the value as a whole must be written as an expression: a text with placeholders, or an array that holds one. For
/// an object it is enough to write single fields as expressions.
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
