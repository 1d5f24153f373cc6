//! Several sorted runs as one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows};

use super::order::{Order, unsorted};
use super::run::{BLOCK_ROWS, Run};
use crate::cpu::PIECE_BYTES;
use crate::sink::error::SinkError;
use crate::sink::pieces::memory;

/// The block of a run that rows are taken from.
struct Current {
    block: RecordBatch,
    keys: Rows,
    next: usize,
    /// About how many bytes a row has.
    row_bytes: usize,
    /// Where the block is among those of the rows that are being collected, if it has any of them.
    listed: Option<usize>,
}

/// Sorted runs, block by block. Of equal rows those of an earlier run come first.
pub(in crate::sink) struct Merge {
    order: Order,
    converter: RowConverter,
    runs: Vec<Run>,
    current: Vec<Option<Current>>,
    /// The key of the next row of each run that has one.
    heads: BinaryHeap<Reverse<(Box<[u8]>, usize)>>,
}

impl Merge {
    pub(super) fn new(schema: &SchemaRef, order: &Order, mut runs: Vec<Run>) -> Result<Self, SinkError> {
        let converter = order.converter(schema)?;
        let mut merge =
            Self { order: order.clone(), converter, runs: Vec::new(), current: Vec::new(), heads: BinaryHeap::new() };
        if runs.len() > 1 {
            for (number, run) in runs.iter_mut().enumerate() {
                merge.current.push(None);
                if let Some(block) = run.next() {
                    merge.begin(number, block?)?;
                }
            }
        }
        merge.runs = runs;
        Ok(merge)
    }

    /// The next rows; none at the end.
    pub(in crate::sink) fn next(&mut self) -> Result<Option<RecordBatch>, SinkError> {
        // One run needs no comparison.
        if let [run] = &mut self.runs[..] {
            return run.next().transpose();
        }
        let (mut blocks, mut picked, mut bytes) = (Vec::new(), Vec::new(), 0);
        self.current.iter_mut().flatten().for_each(|current| current.listed = None);
        while picked.len() < BLOCK_ROWS && bytes < PIECE_BYTES {
            let Some(Reverse((_, number))) = self.heads.pop() else { break };
            let Some(current) = &mut self.current[number] else { continue };
            let listed = *current.listed.get_or_insert_with(|| {
                blocks.push(current.block.clone());
                blocks.len() - 1
            });
            // As long as no other run has a row that comes first, this run's rows follow each other.
            loop {
                picked.push((listed, current.next));
                current.next += 1;
                bytes += current.row_bytes;
                if current.next == current.keys.num_rows() || picked.len() == BLOCK_ROWS || bytes >= PIECE_BYTES {
                    break;
                }
                let key = current.keys.row(current.next);
                if self.heads.peek().is_some_and(|Reverse((other, run))| (&**other, *run) < (key.as_ref(), number)) {
                    break;
                }
            }
            if current.next < current.keys.num_rows() {
                let key = current.keys.row(current.next).as_ref().into();
                self.heads.push(Reverse((key, number)));
            } else {
                self.current[number] = None;
                if let Some(block) = self.runs[number].next() {
                    self.begin(number, block?)?;
                }
            }
        }
        if picked.is_empty() {
            return Ok(None);
        }
        let blocks: Vec<&RecordBatch> = blocks.iter().collect();
        interleave_record_batch(&blocks, &picked).map(Some).map_err(unsorted)
    }

    /// Goes on with a run's next block, which has rows.
    fn begin(&mut self, number: usize, block: RecordBatch) -> Result<(), SinkError> {
        let keys = self.order.keys(&self.converter, &block)?;
        if keys.num_rows() > 0 {
            let key = keys.row(0).as_ref().into();
            self.heads.push(Reverse((key, number)));
            let row_bytes = memory(&block) / keys.num_rows();
            self.current[number] = Some(Current { block, keys, next: 0, row_bytes, listed: None });
        }
        Ok(())
    }
}
