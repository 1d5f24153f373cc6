//! Why an item has no result.

use std::borrow::Cow;
use std::fmt;

use crate::bindings::gristmill::plugin::types;
use crate::bindings::gristmill::plugin::{objects, output};

/// Why an item has no result: what `process` returns instead of one. Errors of this crate become one with `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    again: bool,
    code: Cow<'static, str>,
    message: String,
}

impl Failure {
    /// The input is bad. The item is reported and never tried again.
    ///
    /// The code is a short stable name such as `BadHeader`, by which reports and metrics count: at most 64 of
    /// `A-Z a-z 0-9 . _ -`. The message is for the person who has to act.
    pub fn reject(code: impl Into<Cow<'static, str>>, message: impl fmt::Display) -> Self {
        Self { again: false, code: code.into(), message: message.to_string() }
    }

    /// Something outside was not ready. The host tries the item again, a bounded number of times.
    pub fn retry(code: impl Into<Cow<'static, str>>, message: impl fmt::Display) -> Self {
        Self { again: true, ..Self::reject(code, message) }
    }

    /// Whether it is worth another try.
    #[must_use]
    pub fn is_retry(&self) -> bool {
        self.again
    }

    /// The name by which reports and metrics count.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        let fault = types::Fault { code: failure.code.into_owned(), message: failure.message };
        match failure.again {
            true => Self::Retry(fault),
            false => Self::Reject(fault),
        }
    }
}

impl From<objects::Error> for Failure {
    fn from(error: objects::Error) -> Self {
        use objects::Error::{Changed, Denied, Invalid, NotFound, TooLarge, Unavailable};
        match error {
            NotFound(message) => Self::reject("ObjectNotFound", message),
            Denied(message) => Self::reject("ObjectDenied", message),
            Invalid(message) => Self::reject("ObjectInvalid", message),
            TooLarge(message) => Self::reject("ObjectTooLarge", message),
            Unavailable(message) => Self::retry("ObjectUnavailable", message),
            Changed(message) => Self::retry("ObjectChanged", message),
        }
    }
}

impl From<output::Error> for Failure {
    fn from(error: output::Error) -> Self {
        match error {
            output::Error::NoSuchOutput(message) => Self::reject("NoSuchOutput", message),
            output::Error::Invalid(message) => Self::reject("OutputInvalid", message),
            output::Error::TooLarge(message) => Self::reject("OutputTooLarge", message),
        }
    }
}
