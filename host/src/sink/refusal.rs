//! Rows that no place would take.

use arrow::array::RecordBatch;

use super::dynamodb;
use super::schema::OutputSchema;
use crate::dataset::Target;

/// Why the place of this output could not take these rows, if so. It is the item's fault, and found as the item emits them. Local
/// places refuse what the cloud would refuse, so that no place has to be asked.
pub(crate) fn refusal(schema: &OutputSchema, rows: &RecordBatch) -> Result<(), String> {
    match schema.target {
        Target::Table { .. } => dynamodb::check(schema, rows),
        Target::Objects { .. } => Ok(()),
    }
}
