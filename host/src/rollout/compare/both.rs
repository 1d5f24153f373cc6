//! Items with two versions, one after the other.

use std::sync::Arc;
use std::time::SystemTime;

use super::comparison::Comparison;
use super::rows;
use super::tried::{Heard, Tried};
use crate::catalog::DatasetVersion;
use crate::job::{Batch, Item};
use crate::object::ObjectStore;

/// Runs these items of a batch with two versions, one after the other, and says what differs. Nothing is written, logged or
/// counted on the plugin's behalf. The batch says what the items share, `started` where their clock stands.
///
/// It must be polled where guests run, as `Lane::run` must. It runs one item at a time. With `instance = "batch"` both
/// versions keep an instance, so that it takes the memory of one item of each.
pub async fn compare(
    old: Arc<DatasetVersion>,
    new: Arc<DatasetVersion>,
    batch: Arc<Batch>,
    items: Vec<Item>,
    started: SystemTime,
    objects: Arc<dyn ObjectStore>,
) -> Comparison {
    let mut comparison = Comparison { schema: rows::schema_changes(&old, &new), ..Comparison::default() };
    let side = |version| Tried::new(version, &batch, started, &objects, Heard::Nothing);
    let mut sides = [side(&old), side(&new)];
    for (number, item) in items.iter().enumerate() {
        let [before, after] = &mut sides;
        // The versions take turns to be first, because the second one finds the caches warm.
        let (was, is) = if number % 2 == 0 {
            let was = before.run(item).await;
            (was, after.run(item).await)
        } else {
            let is = after.run(item).await;
            (before.run(item).await, is)
        };
        match (was, is) {
            (Some(was), Some(is)) => rows::add(&mut comparison, item, (&old.outputs, was), (&new.outputs, is)),
            _ => comparison.undecided += 1,
        }
    }
    comparison
}
