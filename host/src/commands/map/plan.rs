//! The dataset's `[map]` with the input's fields filled in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use serde_json::value::RawValue;

use crate::commands::inputs::MAX_GIVEN;
use crate::dataset::{Dataset, RunValues, Scope};
use crate::files;
use crate::map::batcher::Limits;
use crate::map::reader::{self, Items, Source};
use crate::map::redo::Redo;
use crate::map::run::Plan;
use crate::map::tolerance::Tolerance;
use crate::map::{names, select};
use crate::object::ObjectStore;
use crate::text::without_mark;

/// How long an interrupted run waits for the batches that are under way.
const GRACE: Duration = Duration::from_secs(10);

/// The input as it was given: numbers keep their digits.
pub(in crate::commands) fn read_input(argument: &str) -> anyhow::Result<Box<RawValue>> {
    let text = match argument.strip_prefix('@') {
        Some(file) => {
            files::read_given_text(Path::new(file), MAX_GIVEN).with_context(|| format!("--input {argument}"))?
        }
        None => argument.to_owned(),
    };
    serde_json::from_str(without_mark(&text)).with_context(|| format!("--input {argument}: this is no JSON"))
}

/// A run, and what it was given.
#[derive(Clone)]
pub(in crate::commands) struct Given<'i> {
    /// The run's own name.
    pub(super) run: String,
    pub(super) input: &'i RawValue,
}

impl<'i> Given<'i> {
    /// The run that a dataset, or the one that it is a stage of, has with an input.
    pub(in crate::commands) fn of(dataset: &Dataset, input: &'i RawValue) -> Self {
        Self { run: names::run_of(dataset, input), input }
    }

    /// The values of placeholders: the input, and the context object of this run.
    fn scope(&self, dataset: &Dataset) -> anyhow::Result<Scope<'i>> {
        let id = names::execution(&dataset.name, &self.run);
        Ok(Scope::new(self.input).with_context("Execution", select::execution(&id, self.input)?))
    }
}

/// Where the items are, with the input's fields filled in.
pub(in crate::commands) fn source(dataset: &Dataset, given: &Given<'_>) -> anyhow::Result<Source> {
    Source::resolve(&dataset.map.item_reader, &given.scope(dataset)?)
        .map_err(|error| anyhow::anyhow!("{}: [map] {error}", dataset.file.display()))
}

/// The items of a source, and no more than the dataset asks for. To be called within a tokio runtime.
pub(in crate::commands) fn items(dataset: &Dataset, source: Source, objects: Arc<dyn ObjectStore>) -> Items {
    let items = reader::read(objects, source);
    match dataset.map.max_items {
        Some(most) => items.take(most as usize).boxed(),
        None => items,
    }
}

/// What stands in the places of the run, and what its batches share.
pub(super) fn filled(dataset: &Dataset, given: &Given<'_>) -> anyhow::Result<(RunValues, Option<Box<RawValue>>)> {
    let scope = given.scope(dataset)?;
    let values = dataset.run_values(&scope).context("a place of the outputs or of `[map]`")?;
    // A place that cannot be made for one batch cannot be made for any.
    dataset.placed(&values)?;
    let shared = dataset.map.batch_input.as_ref();
    let shared = shared.map(|template| template.render(&scope).context("[map] batch_input")).transpose()?;
    Ok((values, shared))
}

/// The dataset's `[map]` with the input's fields filled in.
pub(super) fn plan(
    dataset: &Dataset,
    given: &Given<'_>,
    source: Source,
    objects: Arc<dyn ObjectStore>,
) -> anyhow::Result<Plan> {
    let map = &dataset.map;
    let (values, batch_input) = filled(dataset, given)?;
    Ok(Plan {
        dataset: dataset.name.clone(),
        run: given.run.clone(),
        input: given.input.to_owned(),
        source: source.to_string(),
        items: items(dataset, source, objects),
        select: map.item_selector.clone(),
        batch_input,
        values,
        limits: Limits { items: map.max_items_per_batch as usize, bytes: map.max_input_bytes_per_batch as usize },
        max_concurrency: map.max_concurrency,
        tolerance: Tolerance::new(map.tolerated_failure_count, map.tolerated_failure_percentage),
        max_attempts: map.max_attempts,
        grace: GRACE,
        window: None,
        redo: Redo::default(),
    })
}
