//! What references in a template mean: parameters and conditions.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub(super) type Fields = Map<String, Value>;

/// Why a template gives no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub(super) String);

pub(super) fn wrong<T>(why: impl Into<String>) -> Result<T, TemplateError> {
    Err(TemplateError(why.into()))
}

/// The values of a template's parameters: those that are given, else the defaults.
fn parameters(template: &Value, given: &BTreeMap<String, String>) -> Result<Fields, TemplateError> {
    let declared = template["Parameters"].as_object().cloned().unwrap_or_default();
    if let Some(name) = given.keys().find(|name| !declared.contains_key(*name)) {
        let known = declared.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return wrong(format!("the template has no parameter `{name}`; it has: {known}"));
    }
    let mut values = Fields::new();
    for (name, parameter) in &declared {
        let value = match given.get(name) {
            Some(text) if parameter["Type"] == "Number" => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Value::from(number),
                _ => return wrong(format!("parameter `{name}`: `{text}` is no number")),
            },
            Some(text) => text.as_str().into(),
            None => parameter["Default"].clone(),
        };
        for (bound, is_out) in [("MinValue", f64::lt as fn(&f64, &f64) -> bool), ("MaxValue", f64::gt)] {
            if let (Some(value), Some(bound_value)) = (value.as_f64(), parameter[bound].as_f64())
                && is_out(&value, &bound_value)
            {
                return wrong(format!("parameter `{name}`: {value} is out of range ({bound} {bound_value})"));
            }
        }
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// What references mean.
pub(super) struct Scope<'a> {
    template: &'a Value,
    parameters: Fields,
    /// How many conditions were looked up: they may name each other in a circle.
    depth: Cell<u32>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(template: &'a Value, given: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        Ok(Self { template, parameters: parameters(template, given)?, depth: Cell::new(0) })
    }

    pub(super) fn is_there(&self, resource: &Value) -> Result<bool, TemplateError> {
        resource["Condition"].as_str().map_or(Ok(true), |name| self.condition(name))
    }

    fn condition(&self, name: &str) -> Result<bool, TemplateError> {
        self.depth.set(self.depth.get() + 1);
        match self.template["Conditions"].get(name) {
            _ if self.depth.get() > 200 => wrong(format!("the condition `{name}` is named in a circle, or too often")),
            Some(condition) => self.is_true(condition),
            None => wrong(format!("there is no condition `{name}`")),
        }
    }

    fn is_true(&self, condition: &Value) -> Result<bool, TemplateError> {
        let sole = condition.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.iter().next());
        let Some((name, value)) = sole else { return wrong(format!("`{condition}` is no condition")) };
        let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
        match (name.as_str(), all) {
            ("Condition", _) => self.condition(value.as_str().unwrap_or_default()),
            ("Fn::Equals", [one, other]) => {
                let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                Ok(text(self.resolved(one)?) == text(self.resolved(other)?))
            }
            ("Fn::Not", [one]) => self.is_true(one).map(|is| !is),
            ("Fn::And", all) => all.iter().try_fold(true, |is, one| Ok(self.is_true(one)? && is)),
            ("Fn::Or", all) => all.iter().try_fold(false, |is, one| Ok(self.is_true(one)? || is)),
            _ => wrong(format!("the condition `{name}` is not understood")),
        }
    }

    /// The value with its references followed. A reference to a resource is its name.
    pub(super) fn resolved(&self, value: &Value) -> Result<Value, TemplateError> {
        let fields = match value {
            Value::Array(elements) => {
                return elements
                    .iter()
                    .map(|element| self.resolved(element))
                    .collect::<Result<_, _>>()
                    .map(Value::Array);
            }
            Value::Object(fields) => fields,
            other => return Ok(other.clone()),
        };
        let sole = fields.iter().next().filter(|_| fields.len() == 1);
        match sole.map(|(name, value)| (name.as_str(), value)) {
            Some(("Ref", Value::String(name))) if name == "AWS::NoValue" => Ok(Value::Null),
            Some(("Ref", Value::String(name))) => match self.parameters.get(name) {
                Some(Value::Null) => wrong(format!("the parameter `{name}` has no default: give it a value")),
                Some(value) => Ok(value.clone()),
                None => Ok(name.as_str().into()),
            },
            Some(("Fn::If", Value::Array(parts))) => match &parts[..] {
                [Value::String(name), yes, no] => self.resolved(if self.condition(name)? { yes } else { no }),
                _ => wrong("`Fn::If` has three parts"),
            },
            // Names and addresses, of which nothing here depends. Only references to policies in `AlarmActions` matter.
            Some(("Fn::GetAtt", Value::String(name))) => Ok(name.split('.').next().unwrap_or_default().into()),
            Some(("Fn::GetAtt", Value::Array(parts))) => Ok(parts.first().cloned().unwrap_or_default()),
            Some((name, inner)) if name.starts_with("Fn::") => Ok(inner.as_str().unwrap_or(name).into()),
            _ => {
                let fields = fields.iter().map(|(name, value)| Ok((name.clone(), self.resolved(value)?)));
                fields.collect::<Result<_, _>>().map(Value::Object)
            }
        }
    }
}
