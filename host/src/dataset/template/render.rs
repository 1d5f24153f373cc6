//! A template evaluated here.

use serde_json::Value;
use serde_json::value::RawValue;

use super::error::{TemplateError, kind};
use super::parts::{Part, parts};
use crate::dataset::path::Path;
use crate::dataset::scope::Scope;

pub(super) fn render(value: &Value, scope: &Scope<'_>, json: &mut String) -> Result<(), TemplateError> {
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
    match serde_json::from_str(json).map_err(TemplateError::broken)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(TemplateError::NotText { path: path.to_string(), found: kind(&other) }),
    }
}

fn push_text(text: &str, json: &mut String) {
    json.push_str(&Value::from(text).to_string());
}
