//! The Distributed Maps of a run, one after the other: items, batches, and what a stage hands to those behind it.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::folder::Folder;
use super::plan::{Given, filled, plan, source};
use crate::catalog::DatasetVersion;
use crate::cli::MapArgs;
use crate::commands::output::{print, warn};
use crate::conclude::ItemsFile;
use crate::dataset::{Dataset, HandOver, ItemReader, RunValues, TableSpec};
use crate::job::{PlanRun, RunWindow};
use crate::map::attempt::{Submit, WallClock};
use crate::map::names;
use crate::map::progress::Progress;
use crate::map::reader::Source;
use crate::map::redo::Redo;
use crate::map::run::{self, Plan};
use crate::map::steps::{Steps, conclusion_id, plan_id};
use crate::map::summary::{RunError, Status, Summary};
use crate::object::Location;
use crate::sink::Stores;
use crate::text::line;
use crate::windows::{Planned, PlannedWindow, written};

/// What all stages of a run share.
pub(super) struct LocalRun<'a> {
    pub(super) args: &'a MapArgs,
    pub(super) input: &'a RawValue,
    pub(super) folder: &'a Folder,
    pub(super) stores: &'a Stores,
    pub(super) submit: &'a dyn Submit,
    pub(super) interrupted: CancellationToken,
    pub(super) clock: WallClock,
}

/// What stages handed over: by the stage, what is taken of it.
type Handed = HashMap<(String, HandOver), ItemsFile>;

/// Looks at what can be known of a stage before anything runs.
pub(super) fn check(dataset: &Dataset, input: &RawValue) -> anyhow::Result<()> {
    let given = Given::of(dataset, input);
    if !takes_of_steps(dataset) {
        source(dataset, &given)?;
    }
    filled(dataset, &given).map(|_| ())
}

/// Whether its items come of a step of the run.
fn takes_of_steps(dataset: &Dataset) -> bool {
    matches!(dataset.map.item_reader, ItemReader::Stage { .. } | ItemReader::Table(_))
}

impl LocalRun<'_> {
    /// Runs the stages until one does not succeed, and says what became of each.
    pub(super) async fn stages(&self, stages: &[Arc<DatasetVersion>]) -> anyhow::Result<Vec<Summary>> {
        let Some(first) = stages.first() else { return Ok(Vec::new()) };
        let (mut handed, mut summaries) = (Handed::default(), Vec::new());
        let mut given = Given::of(&first.dataset, self.input);
        let has_window = stages.iter().any(|loaded| loaded.dataset.window().is_some());
        if self.args.full {
            let of = line(first.dataset.of());
            anyhow::ensure!(
                has_window,
                "--full: {of} takes no window of a table, but everything in any case: leave it out"
            );
            given.run += "-full";
        }
        let _lock = has_window.then(|| self.folder.lock_window(first.dataset.of())).transpose()?;
        let mut window = None;
        for loaded in stages {
            let mut summary = self.stage(loaded, &mut given, &mut window, &mut handed).await?;
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
        if let Some((dataset, close)) = window
            && let Some(last) = summaries.last_mut().filter(|last| last.status == Status::Succeeded && left.is_empty())
        {
            self.close(dataset, &given, close, last).await?;
        }
        Ok(summaries)
    }

    /// Runs one stage to its end.
    async fn stage<'s>(
        &self,
        loaded: &'s DatasetVersion,
        given: &mut Given<'_>,
        window: &mut Option<(&'s Dataset, RunWindow)>,
        handed: &mut Handed,
    ) -> anyhow::Result<Summary> {
        let dataset = &loaded.dataset;
        let source = match &dataset.map.item_reader {
            ItemReader::Stage { stage, takes } => {
                let items = handed.get(&(stage.clone(), takes.clone()));
                let items = items.with_context(|| format!("{}: stage {stage} handed nothing over", dataset.name))?;
                let what = format!("what was committed to `{}` by stage {stage}", takes.output);
                Source::Step { at: place_of(items), what }
            }
            ItemReader::Table(table) => match self.plan(dataset, given).await? {
                Ok(planned) => {
                    *window = window_of(dataset, given, &planned.window).or(window.take());
                    given.run = names::run_of_window(&given.run, planned.window.number);
                    Source::Step { at: place_of(&planned.items), what: slices_of(table, &planned.window) }
                }
                Err(failed) => {
                    let what = format!("the slices of {}", table.table);
                    return Ok(Summary::without_items(&dataset.name, what, failed));
                }
            },
            _ => source(dataset, given)?,
        };
        let looked_at = source.location().map(ToString::to_string);
        let held = window.as_ref().map(|(_, window)| window);
        let plan = Plan { window: held.cloned(), ..plan(dataset, given, source, self.folder.objects.clone())? };
        let (run, values) = (plan.run.clone(), plan.values.clone());
        let redo = Redo::look(&self.folder.ledger, self.stores, dataset, &run, self.args.again).await?;
        let plan = Plan { redo, ..plan };
        let mut progress = Progress::for_stderr(self.args.json || self.args.quiet);
        let mut summary = run::run(plan, self.submit, &WallClock::start(), &mut progress, &self.interrupted).await;
        if summary.status != Status::Succeeded {
            return Ok(summary);
        }
        if summary.items.total == 0 && takes_of_steps(dataset) {
            // As in the state machine, a stage that takes nothing is passed by, and what it has stays. Of a window that was read again
            // nothing is there any more.
            match held {
                Some(held) => {
                    self.folder.forget_stale(dataset, &run, 0).await?;
                    self.conclude(dataset, (&run, &values), Some(held), handed, &mut summary).await?;
                }
                None => hand_over_nothing(dataset, handed),
            }
            return Ok(summary);
        }
        self.folder.forget_stale(dataset, &run, summary.batches.total()).await?;
        if summary.items.total == 0 {
            let place = looked_at.and_then(|place| self.folder.place(&place));
            let place = place.map_or_else(String::new, |place| format!(", which is {place} here"));
            warn(&format!("nothing was done: there are no items. They would be {}{place}", summary.source));
        }
        self.conclude(dataset, (&run, &values), held, handed, &mut summary).await?;
        Ok(summary)
    }

    /// Has it decided what the run takes of a table.
    async fn plan(&self, dataset: &Dataset, given: &Given<'_>) -> anyhow::Result<Result<Planned, Option<RunError>>> {
        let (values, _) = filled(dataset, given)?;
        let steps = self.steps(dataset, &given.run, &values);
        Redo::forget_step(&self.folder.ledger, plan_id(&dataset.name, &given.run)).await?;
        let input = serde_json::json!({"full": self.args.full});
        let plan = PlanRun { run: names::execution(dataset.of(), &given.run), input };
        Ok(match steps.plan(plan).await {
            Some(planned) => planned.map_err(Some),
            None => Err(None),
        })
    }

    /// Has a stage that succeeded concluded, if others take something of it.
    async fn conclude(
        &self,
        dataset: &Dataset,
        (run, values): (&str, &RunValues),
        window: Option<&RunWindow>,
        handed: &mut Handed,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        let Some(stage) = &dataset.stage else { return Ok(()) };
        let steps = Steps { window, ..self.steps(dataset, run, values) };
        let Some(results) = steps.results()? else { return Ok(()) };
        let results = match summary.items.total {
            0 if window.is_some() => None,
            _ => Some(self.folder.write_results(dataset, run, &results, &summary.rejected).await?),
        };
        Redo::forget_step(&self.folder.ledger, conclusion_id(&dataset.name, run)).await?;
        match steps.conclude(results).await {
            Some(Ok(concluded)) => {
                let keys = stage.hands_over.iter().map(|takes| (stage.name.clone(), takes.clone()));
                handed.extend(keys.zip(concluded.items));
            }
            Some(Err(error)) => summary.fail(error),
            None => summary.status = Status::Interrupted,
        }
        Ok(())
    }

    /// Has the window closed when everything is done: the next run starts where it stops.
    async fn close(
        &self,
        dataset: &Dataset,
        given: &Given<'_>,
        close: RunWindow,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        let (values, _) = filled(dataset, given)?;
        match self.steps(dataset, &given.run, &values).close(close).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => summary.fail(error),
            None => summary.status = Status::Interrupted,
        }
        Ok(())
    }

    fn steps<'s>(&'s self, dataset: &'s Dataset, run: &'s str, values: &'s RunValues) -> Steps<'s> {
        Steps {
            dataset,
            run,
            values,
            window: None,
            submit: self.submit,
            clock: &self.clock,
            shutdown: &self.interrupted,
        }
    }
}

/// What a stage without items hands over.
fn hand_over_nothing(dataset: &Dataset, handed: &mut Handed) {
    let nothing = ItemsFile { bucket: String::new(), key: String::new(), count: 0 };
    let takes = dataset.stage.iter().flat_map(|stage| stage.hands_over.iter().map(|takes| (&stage.name, takes)));
    handed.extend(takes.map(|(stage, takes)| ((stage.clone(), takes.clone()), nothing.clone())));
}

/// Where the items of a step are.
fn place_of(items: &ItemsFile) -> Option<Location> {
    (items.count > 0).then(|| Location { bucket: items.bucket.clone(), key: items.key.clone() })
}

/// The window that a run has taken, if it has, and the stage that has planned it.
fn window_of<'s>(dataset: &'s Dataset, given: &Given<'_>, window: &PlannedWindow) -> Option<(&'s Dataset, RunWindow)> {
    dataset.window()?;
    let run = names::execution(dataset.of(), &given.run);
    (window.number > 0).then_some((dataset, RunWindow { run, number: window.number }))
}

fn slices_of(table: &TableSpec, window: &PlannedWindow) -> String {
    let of = format!("the slices of {} in {}", table.table, table.connection);
    let Some((spec, stop)) = table.window.as_ref().zip(window.stop.map(written)) else { return of };
    let column = &spec.column;
    match (window.number, window.start.map(written)) {
        (0, _) => format!("{of} with a `{column}` since {stop}: nothing can be taken yet"),
        (_, Some(start)) => format!("{of} with {start} <= `{column}` < {stop}"),
        (_, None) => format!("{of} with `{column}` < {stop}"),
    }
}
