//! What another version of a dataset would have changed: each item runs with both versions, nothing of it is kept, and the rows,
//! the returned values and the failures are compared.
//!
//! An item is a pure function of itself, the settings and what it reads. So whatever differs is the version's doing, or that of an
//! object that changed in between.

mod both;
mod comparison;
mod keys;
mod ran;
mod rows;
mod text;
mod tried;

pub use self::both::compare;
pub use self::comparison::{Comparison, Difference, MAX_DIFFERENCES, Memory, Rows, SchemaChange, Subject, Times};
pub(crate) use self::keys::check_keys;
pub use self::ran::Ran;
pub use self::rows::{add as add_item, schema_changes};
pub use self::tried::{Heard, Tried};
