//! The properties of a resource, and the metrics that they name.

use std::collections::BTreeMap;

use serde_json::Value;

use super::expression::{Expression, Signal};
use super::scope::{Fields, TemplateError, wrong};

/// A resource, or a part of one.
pub(super) struct Resource<'a> {
    pub(super) name: &'a str,
    pub(super) kind: &'a str,
    pub(super) properties: Fields,
}

impl Resource<'_> {
    fn missing<T>(&self, name: &str, what: &str) -> Result<T, TemplateError> {
        wrong(format!("{}: `{name}` is missing or no {what}", self.name))
    }

    fn within(&self, fields: &Fields) -> Resource<'_> {
        Resource { name: self.name, kind: self.kind, properties: fields.clone() }
    }

    pub(super) fn inner(&self, name: &str) -> Result<Resource<'_>, TemplateError> {
        let fields = self.properties.get(name).and_then(Value::as_object);
        fields.map_or_else(|| self.missing(name, "object"), |fields| Ok(self.within(fields)))
    }

    pub(super) fn list(&self, name: &str) -> Result<Vec<Resource<'_>>, TemplateError> {
        let elements = self.properties.get(name).and_then(Value::as_array);
        let Some(elements) = elements else { return self.missing(name, "list") };
        let fields: Option<Vec<_>> = elements.iter().map(|element| Some(self.within(element.as_object()?))).collect();
        fields.map_or_else(|| self.missing(name, "list of objects"), Ok)
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, TemplateError> {
        self.properties.get(name).and_then(Value::as_str).map_or_else(|| self.missing(name, "text"), Ok)
    }

    /// A number, which CloudFormation also takes as text.
    pub(super) fn optional(&self, name: &str) -> Result<Option<f64>, TemplateError> {
        match self.properties.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
                number
                    .filter(|number| number.is_finite())
                    .map_or_else(|| self.missing(name, "number"), |number| Ok(Some(number)))
            }
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<f64, TemplateError> {
        self.optional(name)?.map_or_else(|| self.missing(name, "number"), Ok)
    }

    pub(super) fn number_or(&self, name: &str, default: f64) -> Result<f64, TemplateError> {
        Ok(self.optional(name)?.unwrap_or(default).max(0.0))
    }

    pub(super) fn whole(&self, name: &str) -> Result<u32, TemplateError> {
        let number = self.number(name)?;
        let is_whole = number.fract() == 0.0 && (0.0..=100_000.0).contains(&number);
        if is_whole { Ok(number as u32) } else { self.missing(name, "whole number of tasks") }
    }

    /// The metric, or the math, of an alarm or a target tracking policy.
    pub(super) fn expression(&self) -> Result<Expression, TemplateError> {
        if self.properties.contains_key("MetricName") {
            return self.of_minutes()?.signal();
        }
        let (mut names, mut result) = (BTreeMap::new(), None);
        let metrics = self.list("Metrics")?;
        // What an expression names may stand after it.
        let (plain, math): (Vec<_>, Vec<_>) =
            metrics.iter().partition(|metric| metric.properties.contains_key("MetricStat"));
        for metric in plain.into_iter().chain(math) {
            let expression = match metric.properties.get("Expression").and_then(Value::as_str) {
                Some(text) => {
                    Expression::parse(text, &names).map_err(|why| TemplateError(format!("{}: {why}", self.name)))?
                }
                None => metric.inner("MetricStat")?.of_minutes()?.inner("Metric")?.signal()?,
            };
            // "True" unless it is said otherwise.
            if metric.properties.get("ReturnData") != Some(&Value::Bool(false)) {
                result = Some(expression.clone());
            }
            names.insert(metric.text("Id")?.to_owned(), expression);
        }
        result.map_or_else(|| wrong(format!("{}: none of its `Metrics` returns data", self.name)), Ok)
    }

    fn of_minutes(&self) -> Result<&Self, TemplateError> {
        match self.number_or("Period", 60.0)? {
            60.0 => Ok(self),
            other => wrong(format!("{}: the simulator knows periods of 60 s, not of {other}", self.name)),
        }
    }

    fn signal(&self) -> Result<Expression, TemplateError> {
        let signal = match (self.text("Namespace")?, self.text("MetricName")?) {
            ("AWS/SQS", "ApproximateNumberOfMessagesVisible") => Signal::Visible,
            ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible") => Signal::InFlight,
            ("ECS/ContainerInsights", "RunningTaskCount") => Signal::Running,
            ("ECS/ContainerInsights", "DesiredTaskCount") => Signal::Desired,
            ("AWS/SQS", "ApproximateNumberOfMessagesDelayed") => return Ok(Expression::Number(0.0)),
            (namespace, name) => {
                return wrong(format!("{}: the metric {namespace} {name} is not known to the simulator", self.name));
            }
        };
        Ok(Expression::Metric(signal))
    }
}
