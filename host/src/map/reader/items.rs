//! The stream of items that every reader gives.

use futures::stream::BoxStream;

use super::item::Item;
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
