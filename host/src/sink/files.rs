//! Sorted rows as files: each folder has its own, and one that is large enough is followed by another.

use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::UInt32Type;

use super::encode::{Encoder, broken};
use super::error::SinkError;
use super::schema::OutputSchema;
use crate::dataset::{Format, Layout, Target};

/// About how many bytes of files are ready before they are sent.
const STEPS: usize = 1 << 20;

/// What is to be done for files, in this order.
#[derive(Debug)]
pub(super) enum Step {
    /// A file begins: the how manieth of this folder, from 0.
    Begin { folder: u32, number: usize },
    /// The file goes on.
    Bytes(Vec<u8>),
    /// The file is whole.
    End,
}

/// Cuts rows into files.
pub(super) struct Files {
    format: Format,
    file_size: u64,
    /// The columns that are in files.
    kept: Vec<usize>,
    schema: OutputSchema,
    open: Option<Open>,
    steps: Vec<Step>,
    /// How many bytes the steps have.
    ready: usize,
}

struct Open {
    folder: u32,
    number: usize,
    encoder: Encoder,
}

impl Files {
    /// Files of an output with this layout.
    pub(super) fn new(schema: &Arc<OutputSchema>, format: Format, layout: &Layout) -> Result<Self, SinkError> {
        let kept: Vec<usize> =
            (0..schema.columns.len()).filter(|column| !layout.leaves_out(&schema.columns[*column].name)).collect();
        let Target::Objects { prefix, .. } = &schema.target else {
            return Err(SinkError::Refused(format!("output `{}` goes to a table, not to objects", schema.name)));
        };
        // What divides rows is done with here, and names columns that files do not have.
        let layout_of_file = Layout { partition_by: Vec::new(), ..layout.clone() };
        let target = Target::Objects { prefix: prefix.clone(), format, layout: layout_of_file };
        let columns = kept.iter().map(|column| schema.columns[*column].clone()).collect();
        let schema =
            OutputSchema::new(&schema.name, columns, target).map_err(|error| SinkError::Refused(error.to_string()))?;
        let file_size = layout.file_size.unwrap_or(u64::MAX);
        Ok(Self { format, file_size, kept, schema, open: None, steps: Vec::new(), ready: 0 })
    }

    /// Takes rows that follow those before, and gives back those that are to be given again: what is to be done for many small files
    /// is not put off until it is much. Their last column is the number of their folder.
    pub(super) fn write(&mut self, all: &RecordBatch) -> Result<(Vec<Step>, Option<RecordBatch>), SinkError> {
        let folders = all.column(all.num_columns() - 1).as_primitive::<UInt32Type>().clone();
        let rows = all.project(&self.kept).map_err(broken)?;
        let mut from = 0;
        for same in folders.values().chunk_by(|one, next| one == next) {
            self.write_into(same[0], rows.slice(from, same.len()))?;
            from += same.len();
            if self.ready >= STEPS {
                break;
            }
        }
        let rest = (from < all.num_rows()).then(|| all.slice(from, all.num_rows() - from));
        self.ready = 0;
        Ok((std::mem::take(&mut self.steps), rest))
    }

    /// Ends the last file.
    pub(super) fn finish(&mut self) -> Result<Vec<Step>, SinkError> {
        self.end()?;
        Ok(std::mem::take(&mut self.steps))
    }

    fn write_into(&mut self, folder: u32, rows: RecordBatch) -> Result<(), SinkError> {
        let last = self.open.as_ref().map(|open| (open.folder, open.number, open.encoder.size() >= self.file_size));
        let number = match last {
            Some((same, number, false)) if same == folder => number,
            Some((same, number, true)) if same == folder => number + 1,
            _ => 0,
        };
        if last.is_none_or(|(before, before_number, _)| (before, before_number) != (folder, number)) {
            self.end()?;
            self.steps.push(Step::Begin { folder, number });
            let encoder = Encoder::new(self.format, &self.schema)?;
            self.open = Some(Open { folder, number, encoder });
        }
        if let Some(Open { encoder, .. }) = &mut self.open {
            encoder.write(&self.schema, &[rows])?;
            let ready = encoder.take()?;
            if !ready.is_empty() {
                self.ready += ready.len();
                self.steps.push(Step::Bytes(ready));
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), SinkError> {
        if let Some(Open { encoder, .. }) = self.open.take() {
            let rest = encoder.finish()?;
            self.ready += rest.len();
            self.steps.push(Step::Bytes(rest));
            self.steps.push(Step::End);
        }
        Ok(())
    }
}
