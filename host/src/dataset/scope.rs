//! The values that placeholders refer to: the state's input and the context object.
//!
//! Both are kept as texts, because Step Functions passes on what it does not change: numbers of more than 64 bits, `1.0` and
//! the order of an object's fields come out of a template as they went in.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// The state's input (`$`) and the objects of the context object (`$$`) that are known.
#[derive(Clone, Debug)]
pub struct Scope<'v> {
    input: Cow<'v, RawValue>,
    context: Vec<(String, Box<RawValue>)>,
}

impl<'v> Scope<'v> {
    /// A scope without a context object.
    pub fn new(input: &'v RawValue) -> Self {
        Self { input: Cow::Borrowed(input), context: Vec::new() }
    }

    /// A scope over values that are parsed already.
    pub(crate) fn of_values(input: &Value, context: &Value) -> Result<Scope<'static>, serde_json::Error> {
        let mut scope = Scope { input: Cow::Owned(to_raw_value(input)?), context: Vec::new() };
        for (name, object) in context.as_object().into_iter().flatten() {
            scope.set_context(name, to_raw_value(object)?);
        }
        Ok(scope)
    }

    /// The same scope with this object of the context object.
    #[must_use]
    pub fn with_context(mut self, name: &str, object: Box<RawValue>) -> Self {
        self.set_context(name, object);
        self
    }

    /// Puts an object of the context object into the place of the one before.
    pub fn set_context(&mut self, name: &str, object: Box<RawValue>) {
        match self.context.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = object,
            None => self.context.push((name.into(), object)),
        }
    }

    pub(super) fn input(&self) -> &RawValue {
        &self.input
    }

    pub(super) fn context(&self, name: &str) -> Option<&RawValue> {
        self.context.iter().find(|(known, _)| known == name).map(|(_, object)| &**object)
    }
}
