//! The Distributed Maps of a run, one after the other: items, batches, and what a stage hands to those behind it.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::folder::Folder;
use super::plan::{filled, plan, source};
use crate::catalog::DatasetVersion;
use crate::cli::MapArgs;
use crate::commands::output::{print, warn};
use crate::conclude::ItemsFile;
use crate::dataset::{Dataset, HandOver, ItemReader, RunValues};
use crate::map::attempt::{Submit, WallClock};
use crate::map::conclusion::Conclusion;
use crate::map::progress::Progress;
use crate::map::reader::Source;
use crate::map::redo::Redo;
use crate::map::run::{self, Plan};
use crate::map::summary::{Status, Summary};
use crate::object::Location;
use crate::sink::Stores;

/// What all stages of a run share.
pub(super) struct LocalRun<'a> {
    pub(super) args: &'a MapArgs,
    pub(super) input: &'a RawValue,
    pub(super) folder: &'a Folder,
    pub(super) stores: &'a Stores,
    pub(super) submit: &'a dyn Submit,
    pub(super) interrupted: CancellationToken,
}

/// What stages handed over: by the stage, what is taken of it.
type Handed = HashMap<(String, HandOver), ItemsFile>;

/// Looks at what can be known of a stage before anything runs.
pub(super) fn check(dataset: &Dataset, input: &RawValue) -> anyhow::Result<()> {
    if !matches!(dataset.map.item_reader, ItemReader::Stage { .. }) {
        source(dataset, input)?;
    }
    filled(dataset, input).map(|_| ())
}

/// The items that a stage before has handed to this one.
fn items_of<'h>(dataset: &Dataset, handed: &'h Handed) -> anyhow::Result<&'h ItemsFile> {
    let ItemReader::Stage { stage, takes } = &dataset.map.item_reader else {
        anyhow::bail!("{} takes nothing of another stage", dataset.name)
    };
    let items = handed.get(&(stage.clone(), takes.clone()));
    items.with_context(|| format!("{}: stage {stage} handed nothing over", dataset.name))
}

impl LocalRun<'_> {
    /// Runs the stages until one does not succeed, and says what became of each.
    pub(super) async fn stages(&self, stages: &[Arc<DatasetVersion>]) -> anyhow::Result<Vec<Summary>> {
        let (mut handed, mut summaries) = (Handed::default(), Vec::new());
        for loaded in stages {
            let mut summary = self.stage(loaded, &mut handed).await?;
            summary.locate(|place| self.folder.place(place));
            let succeeded = summary.status == Status::Succeeded;
            if !self.args.json {
                print(format_args!("{summary}{}", self.folder.preview(&summary, &loaded.dataset)))?;
            }
            summaries.push(summary);
            if !succeeded {
                break;
            }
        }
        let left: Vec<&str> = stages[summaries.len()..].iter().map(|loaded| &*loaded.dataset.name).collect();
        if !left.is_empty() {
            warn(&format!("not begun: {}; the same command goes on from here", left.join(", ")));
        }
        Ok(summaries)
    }

    /// Runs one stage to its end.
    async fn stage(&self, loaded: &DatasetVersion, handed: &mut Handed) -> anyhow::Result<Summary> {
        let dataset = &loaded.dataset;
        let source = match &dataset.map.item_reader {
            ItemReader::Stage { stage, takes } => {
                let items = items_of(dataset, handed)?;
                let at = Location { bucket: items.bucket.clone(), key: items.key.clone() };
                Source::Stage { at, of: format!("`{}` by stage {stage}", takes.output) }
            }
            _ => source(dataset, self.input)?,
        };
        let looked_at = source.location().map(ToString::to_string);
        let plan = plan(dataset, self.input, source, self.folder.objects.clone())?;
        let (run, values) = (plan.run.clone(), plan.values.clone());
        let redo = Redo::look(&self.folder.ledger, self.stores, dataset, &run, self.args.again).await?;
        let plan = Plan { redo, ..plan };
        let mut progress = Progress::for_stderr(self.args.json || self.args.quiet);
        let mut summary = run::run(plan, self.submit, &WallClock::start(), &mut progress, &self.interrupted).await;
        if summary.status != Status::Succeeded {
            return Ok(summary);
        }
        if summary.items.total == 0 && matches!(dataset.map.item_reader, ItemReader::Stage { .. }) {
            // As in the state machine, a stage that takes nothing is passed by, and what it has stays.
            let nothing = ItemsFile { count: 0, ..items_of(dataset, handed)?.clone() };
            let keys = dataset
                .stage
                .iter()
                .flat_map(|stage| stage.hands_over.iter().map(|takes| (stage.name.clone(), takes.clone())));
            handed.extend(keys.map(|key| (key, nothing.clone())));
            return Ok(summary);
        }
        self.folder.forget_stale(dataset, &run, summary.batches.total()).await?;
        if summary.items.total == 0 {
            let place = looked_at.and_then(|place| self.folder.place(&place));
            let place = place.map_or_else(String::new, |place| format!(", which is {place} here"));
            warn(&format!("nothing was done: there are no items. They would be {}{place}", summary.source));
        }
        self.conclude(dataset, (&run, &values), handed, &mut summary).await?;
        Ok(summary)
    }

    /// Has a stage that succeeded concluded, if others take something of it.
    async fn conclude(
        &self,
        dataset: &Dataset,
        (run, values): (&str, &RunValues),
        handed: &mut Handed,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        let Some(stage) = &dataset.stage else { return Ok(()) };
        let Some(conclusion) = Conclusion::of(dataset, run, values)? else { return Ok(()) };
        let results = self.folder.write_results(dataset, run, &conclusion.results, &summary.rejected).await?;
        Redo::forget_conclusion(&self.folder.ledger, dataset, run).await?;
        match conclusion.run(results, self.submit, &WallClock::start(), &self.interrupted).await {
            Some(Ok(concluded)) => {
                let keys = stage.hands_over.iter().map(|takes| (stage.name.clone(), takes.clone()));
                handed.extend(keys.zip(concluded.items));
            }
            Some(Err(error)) => summary.fail(error),
            None => summary.status = Status::Interrupted,
        }
        Ok(())
    }
}
