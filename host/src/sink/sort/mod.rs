//! Rows in an order, however many there are: what does not fit into the budget is sorted in runs that wait in temporary files, and
//! all runs are merged at the end. Rows that are equal stay in the order in which they came.

mod merge;
mod order;
mod run;

use arrow::array::RecordBatch;
pub(super) use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;

use self::merge::Merge;
pub(super) use self::order::{Order, unsorted};
use self::run::{Run, Sorted};
use super::error::SinkError;
use super::pieces::memory;

/// How much memory rows take that wait to be sorted, in bytes.
pub(super) const BUDGET: usize = 32 << 20;

/// What a row takes while it is sorted beside its own bytes and its key, which is hardly larger than the row: where it is, and
/// where its key begins.
const BESIDE: usize = 24;

/// How many runs are merged at once. Of each a block is in memory.
const RUNS: usize = 64;

/// Rows that are being sorted.
pub(super) struct Sorter {
    order: Order,
    schema: SchemaRef,
    budget: usize,
    waiting: Vec<RecordBatch>,
    bytes: usize,
    runs: Vec<Run>,
}

impl Sorter {
    /// No rows yet. They have this schema, and take no more than `budget` bytes of memory before they go to a file.
    pub(super) fn new(schema: SchemaRef, order: Order, budget: usize) -> Self {
        Self { order, schema, budget, waiting: Vec::new(), bytes: 0, runs: Vec::new() }
    }

    /// Takes rows. They should be few blocks: each costs some memory of its own.
    pub(super) fn add(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        self.bytes += memory(&rows);
        self.waiting.push(rows);
        if self.memory() < 2 * self.budget {
            return Ok(());
        }
        let sorted = self.sorted()?;
        self.runs.push(Run::spilled(&self.schema, sorted)?);
        if self.runs.len() == RUNS {
            let mut merge = Merge::new(&self.schema, &self.order, std::mem::take(&mut self.runs))?;
            self.runs = vec![Run::spilled(&self.schema, std::iter::from_fn(|| merge.next().transpose()))?];
        }
        Ok(())
    }

    /// How much memory the rows take that wait, and what sorting them takes beside: their keys and their places.
    pub(super) fn memory(&self) -> usize {
        let rows: usize = self.waiting.iter().map(RecordBatch::num_rows).sum();
        2 * self.bytes + rows * BESIDE
    }

    /// All rows in their order.
    pub(super) fn finish(mut self) -> Result<Merge, SinkError> {
        let last = self.sorted()?;
        self.runs.push(Run::waiting(last));
        Merge::new(&self.schema, &self.order, self.runs)
    }

    fn sorted(&mut self) -> Result<Sorted, SinkError> {
        self.bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let converter = self.order.converter(&self.schema)?;
        let keys = waiting.iter().map(|rows| self.order.keys(&converter, rows)).collect::<Result<Vec<_>, _>>()?;
        let places = |(block, rows): (usize, &RecordBatch)| (0..rows.num_rows()).map(move |row| (block, row));
        let mut order: Vec<(usize, usize)> = waiting.iter().enumerate().flat_map(places).collect();
        let key = |(block, row): (usize, usize)| keys[block].row(row);
        order.sort_unstable_by(|one, other| key(*one).cmp(&key(*other)).then(one.cmp(other)));
        Ok(Sorted::new(waiting, order))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray as _, Int64Array, StringArray, UInt32Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt32Type};
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<i64>, String, u32);

    fn schema() -> SchemaRef {
        let fields = [("a", DataType::Int64), ("b", DataType::Utf8), ("n", DataType::UInt32)];
        Arc::new(Schema::new(fields.map(|(name, kind)| Field::new(name, kind, true)).to_vec()))
    }

    fn block(rows: &[Row]) -> RecordBatch {
        let a: Int64Array = rows.iter().map(|row| row.0).collect();
        let b: StringArray = rows.iter().map(|row| Some(row.1.as_str())).collect();
        let n: UInt32Array = rows.iter().map(|row| Some(row.2)).collect();
        RecordBatch::try_new(schema(), vec![Arc::new(a), Arc::new(b), Arc::new(n)]).unwrap()
    }

    fn read(block: &RecordBatch) -> Vec<Row> {
        let (a, b, n) = (
            block.column(0).as_primitive::<Int64Type>(),
            block.column(1).as_string::<i32>(),
            block.column(2).as_primitive::<UInt32Type>(),
        );
        let row = |row| (a.iter().nth(row).flatten(), b.value(row).to_owned(), n.value(row));
        (0..block.num_rows()).map(row).collect()
    }

    /// Ascending with nulls first, and then descending.
    fn order() -> Order {
        let ascending = SortOptions { descending: false, nulls_first: true };
        Order::new(vec![(0, ascending), (1, SortOptions { descending: true, nulls_first: false })])
    }

    fn sort(rows: &[Row], at_once: usize, budget: usize) -> Vec<Row> {
        let mut sorter = Sorter::new(schema(), order(), budget);
        rows.chunks(at_once).for_each(|rows| sorter.add(block(rows)).unwrap());
        let mut merge = sorter.finish().unwrap();
        std::iter::from_fn(|| merge.next().unwrap()).flat_map(|block| read(&block)).collect()
    }

    #[test]
    fn many_runs_are_merged_more_than_once() {
        let rows: Vec<Row> = (0..1_000).map(|n| (Some(i64::from(n * 7_919 % 1_000)), "x".into(), n)).collect();
        // Each block is a run.
        let sorted = sort(&rows, 5, 1);
        assert!(sorted.iter().map(|row| row.0).eq((0..1_000).map(Some)), "{sorted:?}");
    }

    /// Rows of very different sizes, each run with its large ones side by side: what is read of it at once stays small.
    #[test]
    fn large_rows_do_not_make_large_blocks() {
        let large = "x".repeat(1 << 20);
        let mut sorter = Sorter::new(schema(), order(), 1);
        for _ in 0..3 {
            let text = |n: i64| if n < 8 { large.clone() } else { String::new() };
            let rows: Vec<Row> = (0..4_000).map(|n| (Some(n), text(n), 0)).collect();
            sorter.add(block(&rows)).unwrap();
        }
        for run in &mut sorter.runs {
            let largest = run.map(|block| memory(&block.unwrap())).max().unwrap();
            assert!((1 << 20..3 << 20).contains(&largest), "{largest}");
        }
    }

    #[test]
    fn no_rows_have_an_order() {
        assert_eq!(sort(&[], 1, 1), []);
    }

    proptest! {
        #[test]
        fn rows_are_sorted_whatever_the_budget(
            rows in prop::collection::vec((prop::option::of(-3_i64..3), "[ab]{0,2}"), 0..120),
            at_once in 1_usize..30,
            budget in 1_usize..4_000,
        ) {
            let rows: Vec<Row> = rows.into_iter().zip(0..).map(|((a, b), n)| (a, b, n)).collect();
            let mut expected = rows.clone();
            expected.sort_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)));
            prop_assert_eq!(sort(&rows, at_once, budget), expected);
        }
    }
}
