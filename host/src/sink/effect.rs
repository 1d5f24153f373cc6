//! What makes a batch's rows visible, as data: prepared by one process, and carried out by it or by any other that finds the
//! record in the ledger.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::cells::Cells;
use super::digest::RowsDigest;
use super::pieces::memory;
use super::{Ours, OutputSchema, Prepared, SinkError, TableSink, Written};
use crate::cpu;
use crate::dataset::Target;
use crate::object::{Location, ObjectError, ObjectWriter, Uploaded};

/// One step that is seen from outside. Carrying it out again changes nothing.
#[derive(Clone, Debug)]
pub enum Effect {
    /// An uploaded object appears.
    Complete(Uploaded),
    /// There are no rows, so there is no object: the one of an earlier run disappears.
    Remove(Location),
    /// Rows appear in a table.
    Put(TableRows),
}

/// Rows of a table, in the order of the items.
#[derive(Clone, Debug)]
pub struct TableRows {
    /// The table, its key and its columns.
    pub schema: Arc<OutputSchema>,
    /// The rows, with the schema's Arrow schema.
    pub blocks: Vec<RecordBatch>,
}

impl Effect {
    /// Carries it out, as long as the batch is ours.
    pub async fn apply(
        &self,
        objects: &dyn ObjectWriter,
        tables: &dyn TableSink,
        ours: &Ours,
    ) -> Result<(), SinkError> {
        let work = async {
            match self {
                Self::Put(rows) => tables.put(rows, ours).await,
                Self::Complete(upload) => objects.complete(upload).await.map_err(object_error),
                Self::Remove(at) => objects.delete(at).await.map_err(object_error),
            }
        };
        ours.during(work).await
    }

    /// Whether rows of a table appear. An object is replaced whole by whatever a later run makes of its batch; a row that the
    /// later run does not have stays.
    pub fn puts_rows(&self) -> bool {
        matches!(self, Self::Put(_))
    }
}

impl TableRows {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.blocks.iter().all(|block| block.num_rows() == 0)
    }

    /// What the table will hold of it, for the report.
    fn measure(&self) -> Result<Written, SinkError> {
        let mut digest = RowsDigest::new(&self.schema);
        self.cells()?.iter().for_each(|cells| digest.add_cells(cells));
        let place = match &self.schema.target {
            Target::Table { table, .. } => format!("table:{table}"),
            Target::Objects { prefix, .. } => prefix.to_string(),
        };
        let (output, rows, bytes) = (self.schema.name.clone(), digest.rows(), digest.bytes());
        Ok(Written { output, place, rows, bytes, digest: Some(digest.finish()) })
    }

    /// All that is left to do for rows that wait in memory, with what the table will hold of them.
    pub(super) async fn prepare(self) -> Result<Prepared, SinkError> {
        let (written, rows) = cpu::run(self.memory(), move || (self.measure(), self)).await;
        Ok(Prepared { written: written?, effect: Effect::Put(rows) })
    }

    /// The memory that the rows take, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.blocks.iter().map(memory).sum()
    }

    pub(super) fn cells(&self) -> Result<Vec<Cells<'_>>, SinkError> {
        self.blocks.iter().map(|block| Cells::of(&self.schema, block)).collect()
    }
}

/// Which of a sink's errors a store's error is. The sentence names the object already.
pub(super) fn object_error(error: ObjectError) -> SinkError {
    match error {
        ObjectError::Unavailable(_) | ObjectError::Changed(_) => SinkError::Unavailable(error.to_string()),
        ObjectError::Gone(_) => SinkError::Gone(error.to_string()),
        ObjectError::NotFound(_)
        | ObjectError::Denied(_)
        | ObjectError::Invalid(_)
        | ObjectError::TooLarge(_)
        | ObjectError::Exhausted(_) => SinkError::Refused(error.to_string()),
    }
}
