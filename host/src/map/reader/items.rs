//! The stream of items that every reader gives.

use futures::stream::BoxStream;
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::format::Stop;
use super::item::Item;
use super::object;
use crate::object::{Location, ObjectError};

/// The items in order. After an error nothing follows.
pub type Items = BoxStream<'static, Result<Item, ReadError>>;

/// Items could not be read. Says which object, and which line, row or element.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The object could not be had.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The object is not what the dataset file says it is.
    #[error("{at}: {reason}")]
    Format {
        /// The object.
        at: Location,
        /// What is wrong, and where in the object.
        reason: String,
    },
}

impl ReadError {
    /// Why reading stopped at the object. None where nobody takes items any more.
    pub(super) fn of(stop: Stop, at: &Location) -> Option<Self> {
        let format = |reason| Some(Self::Format { at: at.clone(), reason });
        match stop {
            Stop::Gone => None,
            Stop::Format(reason) => format(reason),
            Stop::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<ObjectError>()) {
                Some(cause) => Some(Self::Object(cause.clone())),
                None => format(object::explain(&error, at)),
            },
        }
    }
}

/// An item that was made here.
pub(super) fn of_value(value: Value) -> Result<Item, ReadError> {
    let text =
        to_raw_value(&value).map_err(|error| ObjectError::Invalid(format!("an item cannot be written: {error}")))?;
    Ok(text.into())
}
