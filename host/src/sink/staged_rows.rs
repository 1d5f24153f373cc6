//! The staging of every table: rows wait in memory, where the items have put them already.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;

use super::digest::RowsDigest;
use super::effect::Effect;
use super::error::SinkError;
use super::prepared::{Prepared, Written};
use super::schema::OutputSchema;
use super::stores::Staging;
use super::table_rows::TableRows;
use crate::cpu;
use crate::dataset::Target;

/// Rows of one batch and table. They wait as record batches, which are much smaller than what a store makes of them, and no
/// transaction spans the batch's run.
pub(super) struct StagedRows(TableRows);

impl StagedRows {
    /// No rows yet.
    pub(super) fn new(schema: &Arc<OutputSchema>) -> Self {
        Self(TableRows { schema: Arc::clone(schema), blocks: Vec::new() })
    }
}

#[async_trait]
impl Staging for StagedRows {
    async fn write(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        self.0.blocks.push(rows);
        Ok(())
    }

    async fn prepare(self: Box<Self>) -> Result<Prepared, SinkError> {
        let rows = self.0;
        let (written, rows) = cpu::run(rows.memory(), move || (measure(&rows), rows)).await;
        Ok(Prepared { written: written?, effects: vec![Effect::Put(rows)] })
    }

    async fn abort(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
}

/// What the table will hold of these rows, for the report.
fn measure(rows: &TableRows) -> Result<Written, SinkError> {
    let mut digest = RowsDigest::new(&rows.schema);
    rows.cells()?.iter().for_each(|cells| digest.add_cells(cells));
    let place = match &rows.schema.target {
        Target::Table { table, .. } => format!("table:{table}"),
        Target::Objects { prefix, .. } => prefix.to_string(),
    };
    let (output, rows, bytes) = (rows.schema.name.clone(), digest.rows(), digest.bytes());
    Ok(Written { output, place, files: None, rows, bytes, digest: Some(digest.finish()) })
}
