//! An item as it was read.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// An element of an array, a row, a line, an object of a listing; or a field of an object, with its name.
#[derive(Clone, Debug)]
pub struct Item {
    /// The field's name, where the items are the fields of an object.
    pub key: Option<String>,
    /// Its JSON text, byte for byte.
    pub value: Box<RawValue>,
}

impl Item {
    /// What the child workflow gets: a field as Step Functions writes it, `{"Key": ..., "Value": ...}`.
    pub fn into_json(self) -> Result<Box<RawValue>, serde_json::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Field<'i> {
            key: &'i str,
            value: &'i RawValue,
        }
        match &self.key {
            None => Ok(self.value),
            Some(key) => to_raw_value(&Field { key, value: &self.value }),
        }
    }

    /// How many bytes it has, about.
    pub(super) fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, String::len) + self.value.get().len()
    }
}

impl PartialEq for Item {
    /// Byte for byte.
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value.get() == other.value.get()
    }
}

impl From<Box<RawValue>> for Item {
    fn from(value: Box<RawValue>) -> Self {
        Self { key: None, value }
    }
}
