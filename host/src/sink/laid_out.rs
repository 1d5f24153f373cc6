//! Rows as objects in a layout: divided over folders, sorted, cut into files. All of a batch's files become visible together.
//!
//! Rows are sorted by folder first. So one file is written at a time, however many folders there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;

use super::cells::Cells;
use super::digest::RowsDigest;
use super::effect::Effect;
use super::error::SinkError;
use super::file_list;
use super::files::{Files, Step};
use super::partition::Partitions;
use super::pending::Pending;
use super::place::object_place;
use super::prepared::{Prepared, Written};
use super::schema::OutputSchema;
use super::sort::{BUDGET, Order, SortOptions, Sorter, unsorted};
use super::stores::Staging;
use super::writing::Writing;
use crate::cpu::{self, PIECE_BYTES};
use crate::dataset::{Format, Layout};
use crate::job::BatchId;
use crate::object::{Location, ObjectWriter, Uploads};

/// What rows take at most that wait to be sorted, with their keys and with those that are about to be added, in bytes.
pub(crate) const SORTED: u64 = (2 * BUDGET + 4 * PIECE_BYTES) as u64;

/// A batch's rows of an output with a layout.
pub(super) struct LaidOut {
    store: Arc<dyn ObjectWriter>,
    batch: BatchId,
    schema: Arc<OutputSchema>,
    prefix: Location,
    format: Format,
    layout: Layout,
    pending: Pending,
    /// None only while another thread works on it.
    sorting: Option<Sorting>,
}

/// Rows on their way into their order.
struct Sorting {
    partitions: Partitions,
    sorter: Sorter,
    /// The columns, and behind them the number of the row's folder.
    numbered: SchemaRef,
    /// Of all rows in the order in which they came: how they are laid out does not matter to whoever compares them.
    digest: RowsDigest,
}

impl LaidOut {
    pub(super) fn begin(
        store: &Arc<dyn ObjectWriter>,
        batch: &BatchId,
        schema: &Arc<OutputSchema>,
        prefix: &Location,
        format: Format,
        layout: &Layout,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            batch: batch.clone(),
            schema: Arc::clone(schema),
            prefix: prefix.clone(),
            format,
            layout: layout.clone(),
            pending: Pending::default(),
            sorting: Some(Sorting::new(schema, layout)),
        }
    }

    async fn sort(&mut self, pending: Pending) -> Result<(), SinkError> {
        if pending.rows == 0 {
            return Ok(());
        }
        let Some(mut sorting) = self.sorting.take() else { return Ok(()) };
        let schema = Arc::clone(&self.schema);
        let sorted = cpu::run(pending.bytes, move || sorting.add(&schema, &pending.blocks).map(|()| sorting));
        self.sorting = Some(sorted.await?);
        Ok(())
    }

    /// Writes all files, and says where they are.
    async fn write_files(&self, sorter: Sorter, partitions: Partitions) -> Result<(Uploads, u64), SinkError> {
        let mut writing = Writing::new(self.store.clone(), self.format.content_type());
        let mut files = Files::new(&self.schema, self.format, &self.layout)?;
        let mut merge = cpu::run(usize::MAX, move || sorter.finish()).await?;
        let mut rest = None;
        loop {
            let cut = move || -> Result<_, SinkError> {
                let rows = if rest.is_some() { rest } else { merge.next()? };
                let Some(rows) = rows else { return Ok((files.finish()?, true, None, merge, files)) };
                let (steps, rest) = files.write(&rows)?;
                Ok((steps, false, rest, merge, files))
            };
            let (steps, is_last, left, merged, open) = cpu::run(usize::MAX, cut).await?;
            for step in steps {
                match step {
                    Step::Begin { folder, number } => {
                        let folder = partitions.folder(folder);
                        writing.begin(object_place(&self.prefix, folder, &self.batch, number, self.format)).await?;
                    }
                    Step::Bytes(bytes) => writing.write(bytes).await?,
                    Step::End => writing.end().await?,
                }
            }
            if is_last {
                return writing.finish().await;
            }
            (rest, merge, files) = (left, merged, open);
        }
    }

    /// What makes exactly these files the batch's: the list of all that it may have, those files, and the removal of others that
    /// an earlier run may have left.
    async fn effects(&self, uploads: &mut Uploads) -> Result<Vec<Effect>, SinkError> {
        let mut files = uploads.take();
        files.sort_by(|one, other| one.at.cmp(&other.at));
        let mut effects: Vec<Effect> = files.iter().cloned().map(Effect::Complete).collect();
        files.into_iter().for_each(|file| uploads.watch(file));
        let keys: BTreeSet<String> = effects
            .iter()
            .filter_map(Effect::upload)
            .filter_map(|file| file.at.key.strip_prefix(&self.prefix.key).map(str::to_owned))
            .collect();
        // The place of the batch's object where there is no layout: it may be of a run before there was one.
        let plain = object_place(&self.prefix, "", &self.batch, 0, self.format).key.split_off(self.prefix.key.len());
        let list = file_list::place(&self.prefix, &self.batch, &self.schema.name);
        let mut before = file_list::read(self.store.written(), &list).await?;
        let all: BTreeSet<String> = before.union(&keys).cloned().collect();
        before.insert(plain);
        let below = |key: &String| self.prefix.with_key(format!("{}{key}", self.prefix.key));
        effects.extend(before.difference(&keys).map(|key| Effect::Remove(below(key))));
        if !self.layout.has_one_file() && !all.is_empty() {
            let list = file_list::upload(&*self.store, &list, all).await?;
            uploads.watch(list.clone());
            effects.insert(0, Effect::List(list));
        }
        Ok(effects)
    }
}

#[async_trait]
impl Staging for LaidOut {
    async fn write(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        for enough in self.pending.add(&rows) {
            self.sort(enough).await?;
        }
        Ok(())
    }

    fn held(&self) -> u64 {
        let sorting = self.sorting.as_ref().map_or(0, |sorting| sorting.sorter.memory());
        (self.pending.bytes + sorting) as u64
    }

    async fn prepare(mut self: Box<Self>) -> Result<Prepared, SinkError> {
        let rest = std::mem::take(&mut self.pending);
        self.sort(rest).await?;
        let lost = || SinkError::Refused(format!("output `{}`: its rows could not be sorted", self.schema.name));
        let Sorting { partitions, sorter, digest, .. } = self.sorting.take().ok_or_else(lost)?;
        let (mut uploads, bytes) = self.write_files(sorter, partitions).await?;
        let effects = self.effects(&mut uploads).await?;
        let files = effects.iter().filter(|effect| matches!(effect, Effect::Complete(_))).count() as u64;
        let (output, rows) = (self.schema.name.clone(), digest.rows());
        let (place, files) = if self.layout.has_one_file() {
            (object_place(&self.prefix, "", &self.batch, 0, self.format).to_string(), None)
        } else {
            (self.prefix.to_string(), Some(files))
        };
        // Whoever asked looks after them from here on.
        uploads.take();
        Ok(Prepared { written: Written { output, place, files, rows, bytes, digest: Some(digest.finish()) }, effects })
    }

    async fn abort(self: Box<Self>) -> Result<(), SinkError> {
        // Nothing is uploaded before all rows are sorted.
        Ok(())
    }
}

impl Sorting {
    fn new(schema: &OutputSchema, layout: &Layout) -> Self {
        let number = Field::new("folder", DataType::UInt32, false);
        let fields = schema.arrow.fields().iter().cloned().chain([Arc::new(number)]);
        let numbered = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let by_folder = (schema.columns.len(), SortOptions { descending: false, nulls_first: true });
        let columns = layout.sort_by.iter().filter_map(|by| {
            let column = schema.columns.iter().position(|column| column.name == by.column)?;
            // A null is less than every value.
            Some((column, SortOptions { descending: by.descending, nulls_first: !by.descending }))
        });
        let order = Order::new([by_folder].into_iter().chain(columns).collect());
        Self {
            partitions: Partitions::new(schema, layout),
            sorter: Sorter::new(numbered.clone(), order, BUDGET),
            numbered,
            digest: RowsDigest::new(schema),
        }
    }

    fn add(&mut self, schema: &OutputSchema, blocks: &[RecordBatch]) -> Result<(), SinkError> {
        // Copied, so that the items' blocks are free, and few: many items have a single row.
        let rows = concat_batches(&schema.arrow, blocks).map_err(unsorted)?;
        let cells = Cells::of(schema, &rows)?;
        self.digest.add_cells(&cells);
        let folders: ArrayRef = Arc::new(self.partitions.of(&cells)?);
        let columns = rows.columns().iter().cloned().chain([folders]).collect();
        self.sorter.add(RecordBatch::try_new(self.numbered.clone(), columns).map_err(unsorted)?)
    }
}
