//! What an inventory lists, and no plugin could read.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::super::format::{Emit, Stop};
use crate::job::left_out;
use crate::object::Location;

/// How many rows were no items, by the reason.
#[derive(Default)]
pub(super) struct LeftOut(BTreeMap<&'static str, u64>);

impl LeftOut {
    /// Hands an item on, or counts it.
    pub(super) fn or_emit(&mut self, item: Box<RawValue>, emit: &mut Emit<'_>) -> Result<(), Stop> {
        match left_out(item.get()) {
            Some(why) => *self.0.entry(why).or_default() += 1,
            None => emit(item.into())?,
        }
        Ok(())
    }

    /// Says it.
    pub(super) fn tell(self, inventory: &Location) {
        for (why, count) in self.0 {
            tracing::warn!(count, %inventory, "left out of the items: {why}");
        }
    }
}
