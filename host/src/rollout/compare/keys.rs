//! Whether the keys of an item's rows would be taken by the dataset's outputs, where nothing is written: in a sample, and in a comparison.

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::job::{FailureKind, error_names};
use crate::runtime::ItemFault;
use crate::sink::OutputSchema;
use crate::sink::keys::KeySet;

/// Refuses what would be refused where the rows count; what the outputs themselves would not take was refused when it was
/// emitted. `keys` has one set per output: the keys of the items before, which these are added to.
pub(crate) fn check_keys(
    outputs: &[Arc<OutputSchema>],
    keys: &mut [KeySet],
    rows: &[(usize, RecordBatch)],
) -> Result<(), ItemFault> {
    for (number, (schema, keys)) in outputs.iter().zip(keys).enumerate() {
        let blocks: Vec<_> = rows.iter().filter(|(to, _)| *to == number).map(|(_, rows)| rows.clone()).collect();
        let found = keys.check(schema, &blocks).map_err(|bad| ItemFault {
            code: error_names::BAD_KEY.into(),
            message: format!("output `{}`: {bad}", schema.name),
            kind: FailureKind::Rejected,
        })?;
        keys.insert(found);
    }
    Ok(())
}
