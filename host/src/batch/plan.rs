//! A batch without items that begins a run over a table: it decides what the run takes, and writes its slices as items.
//!
//! Whoever begins has the window until it is closed or the run is dead. A run that begins again, because its message came twice or
//! its execution was redriven, has the same window.

use std::sync::Arc;
use std::time::SystemTime;

use time::OffsetDateTime;

use super::fault::Fault;
use super::ready::Ready;
use super::services::Services;
use super::uploading::write;
use crate::callback::Answer;
use crate::catalog::DatasetVersion;
use crate::conclude::ItemsFile;
use crate::dataset::TableSpec;
use crate::job::{Batch, PlanRun, RunWindow, error_names};
use crate::ledger::LedgerError;
use crate::object::Uploads;
use crate::report::BatchReport;
use crate::sink::Effect;
use crate::windows::ask::{Ask, SourceError};
use crate::windows::history::{Closed, Held, Next, Window, WindowRun};
use crate::windows::{Planned, PlannedWindow, Table, kept, place, stop, written};

/// How often a run looks again because others begin or end at the same time.
const RACES: usize = 5;

/// How long an execution that began may not be known everywhere.
const UNKNOWN_YET: time::Duration = time::Duration::minutes(2);

/// A step of a run that is ready to be seen, or what the run is told instead.
pub(super) type Stepped = Result<(Ready, Uploads), Answer>;

/// Decides what the run takes.
pub(super) async fn prepare(
    services: &Services,
    loaded: &Arc<DatasetVersion>,
    batch: &Batch,
    plan: &PlanRun,
    now: SystemTime,
) -> Result<Stepped, Fault> {
    let dataset = &loaded.dataset;
    let Some((spec, prefix)) = dataset.table().zip(dataset.plan_prefix().and_then(|prefix| prefix.fixed())) else {
        return Ok(Err(refused(&format!("{} reads no table", batch.dataset))));
    };
    let planned = async {
        let source = services.stores.databases.named(&spec.connection).map_err(SourceError::from)?;
        let table = Table::open(source, spec).await?;
        let window = match &spec.window {
            Some(_) => Some(open(services, source, &table, spec, dataset.of(), plan, now.into()).await?),
            None => None,
        };
        let items = match &window {
            Some(PlannedWindow { number: 0, .. }) => Vec::new(),
            window => table.items(window.as_ref().and_then(window_of).as_ref()).await?,
        };
        Ok((window.unwrap_or_default(), items))
    };
    let (window, items) = match planned.await {
        Ok(planned) => planned,
        Err(NotPlanned::Held(why)) => return Ok(Err(failure(error_names::WINDOW_HELD, &why))),
        Err(NotPlanned::Source(SourceError::Refused(why))) => return Ok(Err(refused(&why))),
        Err(NotPlanned::Source(SourceError::Unavailable(why))) => return Err(Fault::Source(why)),
        Err(NotPlanned::Fault(fault)) => return Err(fault),
    };
    if let Some(late) = window.late.filter(|late| *late > 0) {
        services.metrics.late_rows(&batch.dataset, late);
        tracing::warn!(dataset = batch.dataset, table = %spec.table, late, "rows came into windows that were read before");
    }
    let mut uploads = Uploads::new(services.stores.objects.clone());
    let (mut effects, mut file) = (Vec::new(), ItemsFile { bucket: String::new(), key: String::new(), count: 0 });
    if !items.is_empty() {
        let at = place(prefix, &batch.id);
        let lines = items.iter().map(|item| Ok(format!("{item}\n")));
        let (uploaded, count) = write(services, &at, lines).await?;
        uploads.watch(uploaded.clone());
        effects.push(Effect::Complete(uploaded));
        file = ItemsFile { bucket: at.bucket, key: at.key, count };
    }
    let planned = Planned { stage: batch.dataset.clone(), items: file, window };
    ready(loaded, batch, &planned, effects).map(|ready| Ok((ready, uploads)))
}

/// The window of the run is done: the next one starts where it stops.
pub(super) async fn close(
    services: &Services,
    loaded: &Arc<DatasetVersion>,
    batch: &Batch,
    close: &RunWindow,
    now: SystemTime,
) -> Result<Stepped, Fault> {
    let of = loaded.dataset.of();
    let closed = match close.number {
        // There was nothing to take.
        0 => Closed::Already,
        window => {
            kept::change(&*services.registers, of, |history| history.close(window, &close.run, now.into())).await?
        }
    };
    let said = match closed {
        Closed::Moved => "moved",
        Closed::Already if close.number == 0 => "empty",
        Closed::Already => "moved before",
        Closed::NotOurs => return Ok(Err(failure(error_names::WINDOW_HELD, &taken_over(of)))),
    };
    let answer = serde_json::json!({"window": said, "number": close.number});
    ready(loaded, batch, &answer, Vec::new()).map(|ready| Ok((ready, Uploads::new(services.stores.objects.clone()))))
}

/// The window that a run has, if it has taken one; or what the run is told whose window another one has by now.
pub(super) async fn held(
    services: &Services,
    of: &str,
    window: Option<&RunWindow>,
) -> Result<Result<Option<Held>, Answer>, Fault> {
    let Some(RunWindow { run, number }) = window else { return Ok(Ok(None)) };
    let (history, _) = kept::history(&*services.registers, of).await?;
    let held = history.held_by(run, *number);
    Ok(held.map(Some).ok_or_else(|| failure(error_names::WINDOW_HELD, &taken_over(of))))
}

/// Why there is no plan.
enum NotPlanned {
    Held(String),
    Source(SourceError),
    Fault(Fault),
}

impl From<SourceError> for NotPlanned {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<LedgerError> for NotPlanned {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Refused(why) => Self::Source(SourceError::Refused(why)),
            error => Self::Fault(error.into()),
        }
    }
}

/// Takes the window that is the run's turn.
async fn open(
    services: &Services,
    source: &dyn Ask,
    table: &Table<'_>,
    spec: &TableSpec,
    of: &str,
    plan: &PlanRun,
    now: OffsetDateTime,
) -> Result<PlannedWindow, NotPlanned> {
    let full = plan.input.get("full").and_then(serde_json::Value::as_bool).unwrap_or(false);
    let registers = &*services.registers;
    let column = spec.window.as_ref().map_or("", |window| &window.column);
    let windows_of = format!("{column} of {} over {}", spec.table, spec.connection);
    for _ in 0..RACES {
        let (mut history, revision) = kept::history(registers, of).await?;
        if let Some(before) = history.of_another(&windows_of).filter(|_| !full) {
            return Err(NotPlanned::Source(SourceError::Refused(format!(
                "the windows of {of} were those of {before}, and now they are to be those of {windows_of}: what is there already would \
                 never be read. Take everything once (`--full`, in the cloud the input {{\"full\": true}}), or say where to begin \
                 (`gristmill windows {of} --next-from INSTANT`)"
            ))));
        }
        let (window, late) = match history.next(&plan.run, full) {
            Next::Held(other) => {
                give_way(services, of, &other, now).await?;
                continue;
            }
            Next::Again(window) => (window, None),
            Next::New(number, start) => {
                let seen = stop::look(source).await?;
                let lag = spec.window.as_ref().and_then(|window| window.lag);
                let stop = stop::decide(&seen, lag)?;
                if let Some(start) = start.filter(|start| seen.clock < *start) {
                    return Err(NotPlanned::Source(SourceError::Refused(format!(
                        "the clock of the database says {}, and the window starts at {}: was it set back? What comes until then would \
                         be left out. Say where to begin (`gristmill windows {of} --next-from INSTANT`), or wait",
                        written(seen.clock),
                        written(start)
                    ))));
                }
                let late = match start.zip(history.seen()) {
                    // A count must not keep the run from beginning.
                    Some((start, before)) => table.late(start, before).await.unwrap_or_else(|error| {
                        tracing::warn!(dataset = of, %error, "rows that came late were not counted: `count_late = false` leaves it out");
                        None
                    }),
                    None => None,
                };
                if start.is_some_and(|start| stop <= start) {
                    return Ok(PlannedWindow { number: 0, start, stop: start, late });
                }
                (Window { number, start, stop, seen: seen.snapshot }, late)
            }
        };
        history.is_of(&windows_of);
        history.open(window.clone(), &plan.run, late, now);
        if kept::write(registers, of, &history, revision).await? {
            return Ok(PlannedWindow::of(&window, late));
        }
    }
    Err(NotPlanned::Fault(LedgerError::Unavailable(format!("others keep changing the window of {of}")).into()))
}

/// Takes the window from a run that is dead. One that is alive keeps it.
async fn give_way(services: &Services, of: &str, other: &WindowRun, now: OffsetDateTime) -> Result<(), NotPlanned> {
    let Some(run) = other.run.as_deref() else { return Ok(()) };
    let running = services.callback.is_running(run).await.map_err(|error| NotPlanned::Fault(error.into()))?;
    // What Step Functions does not know yet it may know in a moment.
    if running.unwrap_or(now - other.began < UNKNOWN_YET) {
        return Err(NotPlanned::Held(format!(
            "another run of {of} is under way and has its window: {run}, since {}. Wait for its end, or stop it",
            written(other.began)
        )));
    }
    tracing::info!(dataset = of, run, "a run ended without closing its window: it is taken again");
    kept::change(&*services.registers, of, |history| history.fail(run, now)).await?;
    Ok(())
}

fn window_of(planned: &PlannedWindow) -> Option<Window> {
    Some(Window { number: planned.number, start: planned.start, stop: planned.stop?, seen: None })
}

fn ready(
    loaded: &Arc<DatasetVersion>,
    batch: &Batch,
    output: &impl serde::Serialize,
    effects: Vec<Effect>,
) -> Result<Ready, Fault> {
    let output = serde_json::to_string(output).map_err(|error| Fault::Record(error.to_string()))?;
    let report = BatchReport::of_no_items(&batch.dataset, loaded.component());
    Ok(Ready { report, answer: Answer::Success { output }, effects, _holding: None, read: None })
}

fn refused(why: &str) -> Answer {
    failure(error_names::SOURCE_REFUSED, why)
}

fn failure(error: &str, why: &str) -> Answer {
    Answer::Failure { error: error.into(), cause: why.into() }
}

fn taken_over(of: &str) -> String {
    format!(
        "the window of {of} is not this run's any more: another run took it over, or somebody corrected it. What this run has \
         written is in no record; `gristmill windows {of}` shows who has it"
    )
}
