//! Values with placeholders: evaluated here by `gristmill map`, and written as payload templates for Step Functions.
//! Both from one reading of the text, so that they mean the same.

mod error;
mod parts;
mod payload;
mod render;

use serde_json::Value;
use serde_json::value::RawValue;

pub use self::error::TemplateError;
use self::error::{kind, written};
use self::parts::{Part, parts};
use super::path::Path;
use super::scope::Scope;

/// A JSON value in which strings may hold placeholders: `{$.path}` is a field of the state's input, `{$$.Map.Item.Value.Key}`
/// a field of the context object. A string that is nothing but one placeholder becomes the field's value, of any type;
/// within a longer string the field must be a string or a number. A `{` that no `$` follows is an ordinary character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Value);

impl Template {
    /// Puts in the fields of the input and the context object, each as it is written there.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Box<RawValue>, TemplateError> {
        let mut json = String::new();
        render::render(&self.0, scope, &mut json)?;
        RawValue::from_string(json).map_err(TemplateError::broken)
    }

    /// [`Self::render`] from values to a value. Numbers are limited to what a [`Value`] can hold.
    pub fn evaluate(&self, input: &Value, context: &Value) -> Result<Value, TemplateError> {
        let scope = Scope::of_values(input, context).map_err(TemplateError::broken)?;
        serde_json::from_str(self.render(&scope)?.get()).map_err(TemplateError::broken)
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
        payload::payload_field(name, &self.0, root)
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

#[cfg(test)]
mod tests;
