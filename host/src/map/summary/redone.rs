//! What a run did again, by reason.

use serde::Serialize;

use crate::batch::Cause;

/// What a run did again for one reason, for its summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RedoneBatches {
    /// Why.
    pub cause: Cause,
    /// How many batches.
    pub batches: u64,
    /// The first place that has changed: an object's URI, a prefix that was listed, or `table:NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The number of its batch.
    #[serde(skip)]
    pub(in crate::map) batch: u64,
}

/// Counts one batch that was done again.
pub(super) fn add(again: &mut Vec<RedoneBatches>, batch: u64, cause: Cause, place: &str) {
    let first = Some(place).filter(|place| !place.is_empty()).map(str::to_owned);
    let one = RedoneBatches { cause, batches: 1, first, batch };
    match again.iter_mut().find(|known| known.cause == cause) {
        // Batches end in any order.
        Some(known) if batch < known.batch => *known = RedoneBatches { batches: known.batches + 1, ..one },
        Some(known) => known.batches += 1,
        None => again.push(one),
    }
}
