//! Where objects go: a place, or a template of one, so that each run has a place of its own.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::Template;
use crate::object::{Location, ObjectError};

/// `s3://bucket/some/where/`, with placeholders or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// The same for every run.
    Fixed(Location),
    /// One for each run: placeholders of the execution's input and of its context object.
    Of(Template),
}

impl Prefix {
    /// The place, when it is the same for every run.
    pub fn fixed(&self) -> Option<&Location> {
        match self {
            Self::Fixed(place) => Some(place),
            Self::Of(_) => None,
        }
    }

    /// A place that looks like those of the runs.
    pub(super) fn example(&self) -> Result<Location, ObjectError> {
        match self {
            Self::Fixed(place) => Ok(place.clone()),
            Self::Of(template) => template.fill(|_| "x".into()).unwrap_or_default().parse(),
        }
    }

    /// The prefix as a template, with placeholders or without.
    pub(crate) fn template(&self) -> Template {
        match self {
            Self::Fixed(place) => Template(Value::String(place.to_string())),
            Self::Of(template) => template.clone(),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(place) => place.fmt(f),
            Self::Of(Template(Value::String(text))) => f.write_str(text),
            Self::Of(Template(other)) => other.fmt(f),
        }
    }
}

/// Without placeholders.
impl FromStr for Prefix {
    type Err = ObjectError;

    fn from_str(uri: &str) -> Result<Self, ObjectError> {
        uri.parse().map(Self::Fixed)
    }
}

impl From<Location> for Prefix {
    fn from(place: Location) -> Self {
        Self::Fixed(place)
    }
}
