//! Whether an item's rows would be taken by the dataset's outputs, where nothing is written: in a sample, and in a comparison.

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::job::{FailureKind, error_names};
use crate::runtime::Fault;
use crate::sink::keys::KeySet;
use crate::sink::{self, OutputSchema};

/// Refuses what would be refused where the rows count. `keys` has one set per output: the keys of the items before, which these
/// are added to.
pub(crate) fn fits(
    outputs: &[Arc<OutputSchema>],
    keys: &mut [KeySet],
    rows: &[(usize, RecordBatch)],
) -> Result<(), Fault> {
    let rejected = |code: &str, schema: &OutputSchema, why: String| Fault {
        code: code.into(),
        message: format!("output `{}`: {why}", schema.name),
        kind: FailureKind::Rejected,
    };
    for (output, rows) in rows {
        let schema = &outputs[*output];
        sink::refusal(schema, rows).map_err(|why| rejected(error_names::BAD_OUTPUT, schema, why))?;
    }
    for (number, (schema, keys)) in outputs.iter().zip(keys).enumerate() {
        let blocks: Vec<_> = rows.iter().filter(|(to, _)| *to == number).map(|(_, rows)| rows.clone()).collect();
        let found = keys.check(schema, &blocks);
        keys.insert(found.map_err(|bad| rejected(error_names::BAD_KEY, schema, bad.to_string()))?);
    }
    Ok(())
}
