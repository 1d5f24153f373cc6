//! `gristmill map`: the Distributed Map on one machine. An embedded queue, a folder as S3 and SQLite stand in for the cloud;
//! everything between them is what a worker runs.

mod folder;
pub(super) mod plan;
mod stage;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use async_trait::async_trait;
use indicatif::HumanCount;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::folder::Folder;
use self::plan::read_input;
use self::stage::LocalRun;
use super::compiler::{runtime_here, with_notice};
use super::inputs::{connections, variables};
use super::machine::{GuestThreads, cores, memory};
use super::output::{print_json, warn};
use crate::admission::Admission;
use crate::author::newer_than;
use crate::batch::{Identity, LEASE, Services};
use crate::callback::Answer;
use crate::callback::local::LocalCallback;
use crate::catalog::{Catalog, DatasetVersion};
use crate::cli::MapArgs;
use crate::data_catalog::local::LocalCatalog;
use crate::dataset::{ComponentRef, Dataset, Target};
use crate::job::{BatchId, TaskToken, error_names};
use crate::map::attempt::{Submit, WallClock};
use crate::map::summary::Status;
use crate::queue::embedded::EmbeddedQueue;
use crate::sink::{SinkError, Stores};
use crate::telemetry::admin::{self, Readiness};
use crate::telemetry::guests::GuestLines;
use crate::telemetry::metrics::Metrics;
use crate::text::line;
use crate::worker::{Activity, Worker};

/// How long what is left after the grace may take to let go of its batch.
const DRAIN: Duration = Duration::from_secs(1);

pub(super) async fn run(args: MapArgs, guest_lines: &GuestLines) -> anyhow::Result<ExitCode> {
    let stages = Dataset::load_stages(&args.dataset, &variables(args.variables.clone(), &args.dataset)?)?;
    if !args.quiet {
        stages.iter().for_each(note_older_component);
    }
    let input = read_input(&args.input)?;
    let slots = args.slots.unwrap_or_else(cores).max(1);
    let admission = Admission::new(slots, memory(args.memory).unwrap_or(u64::MAX));
    let metrics = Arc::new(Metrics::new()?);
    metrics.slots.set(i64::try_from(slots)?);
    let readiness = match args.watch {
        Some(address) => Some(watch(address, &metrics).await?),
        None => None,
    };
    let (folder, new) = Folder::open(&args.local)?;
    if new && !args.quiet && !args.json {
        eprintln!("{} is new", line(&args.local.display().to_string()));
    }
    // Before anything is compiled, so that wrong placeholders are reported at once.
    stages.iter().try_for_each(|stage| stage::check(stage, &input))?;
    let runtime = runtime_here(slots, &args.compile)?;
    let stores = Stores {
        objects: folder.objects.clone(),
        tables: folder.tables.clone(),
        databases: connections(&args.connections, None)?,
    };
    let component = stages.first().context("no stage")?.plugin.component.clone();
    let opened = with_notice(&component, DatasetVersion::open_stages(stages, &runtime, &stores)).await?;
    let loaded = Arc::new(opened);
    let opened: Vec<_> = loaded.stages().cloned().collect();
    for stage in &opened {
        let file = stage.dataset.file.display().to_string();
        if let Some(objection) = admission.objection(&stage.need()) {
            anyhow::bail!("{file}: {objection}");
        }
        make_tables(stage).await.context(file)?;
    }

    let catalog = Arc::new(Catalog::of(loaded));
    let threads = GuestThreads::start(slots)?;
    let guests = threads.handle();
    let queue = Arc::new(EmbeddedQueue::new(Duration::from_secs(60)));
    metrics.board.shows(catalog.clone());
    let callback = Arc::new(LocalCallback::new());
    let services = Arc::new(Services {
        data_catalog: Arc::new(LocalCatalog::new(&args.local, args.local.join("s3"))),
        catalog,
        queue: queue.clone(),
        ledger: folder.ledger.clone(),
        registers: folder.ledger.clone(),
        callback: callback.clone(),
        stores: stores.clone(),
        guests: guests.clone(),
        admission,
        lanes: slots,
        identity: Identity::Contents,
        lease: LEASE,
        // The run repeats batches by itself, as Step Functions would.
        deliveries: 1,
        metrics: metrics.clone(),
        now: SystemTime::now,
    });
    let stop = CancellationToken::new();
    // A second batch per slot keeps the slots busy while the first commits.
    let worker =
        Worker { services, pressure: Arc::default(), batches: slots + 1, drain: DRAIN, activity: Activity::default() };
    let worker = tokio::spawn(worker.run(stop.clone(), CancellationToken::new()));

    if let Some(readiness) = readiness {
        readiness.ready();
    }
    let interrupted = super::signals::interrupts();
    let submit = Embedded { queue: queue.clone(), callback };
    let run = LocalRun {
        args: &args,
        input: &input,
        folder: &folder,
        stores: &stores,
        submit: &submit,
        interrupted,
        clock: WallClock::start(),
    };
    let ran = run.stages(&opened).await;
    stop.cancel();
    queue.close();
    worker.await??;
    let summaries = ran?;
    if guest_lines.withheld() > 0 {
        let more = HumanCount(guest_lines.withheld());
        warn(&format!("plugins said {more} lines more than are shown: `--log warn,guest=info` shows all"));
    }
    if args.json {
        match (&*opened, &*summaries) {
            ([only], [summary]) if only.dataset.stage.is_none() => print_json(summary)?,
            _ => print_json(&json!({"stages": summaries}))?,
        }
    }
    Ok(match summaries.last().map_or(Status::Succeeded, |summary| summary.status) {
        Status::Succeeded => ExitCode::SUCCESS,
        Status::Failed => ExitCode::FAILURE,
        // As shells report a program that SIGINT ended.
        Status::Interrupted => ExitCode::from(130),
    })
}

/// Says so if a component is older than what it is made of.
fn note_older_component(dataset: &Dataset) {
    let ComponentRef::File(component) = &dataset.plugin.component else { return };
    if let Some(source) = newer_than(component) {
        let (source, component) = (source.display().to_string(), component.display().to_string());
        eprintln!("note: {} is newer than {}: `gristmill plugin build` makes it anew", line(&source), line(&component));
    }
}

/// Serves the page of this run for as long as it lasts, and says where.
async fn watch(address: SocketAddr, metrics: &Arc<Metrics>) -> anyhow::Result<Readiness> {
    let listener = admin::listen(address).await.with_context(|| format!("--watch={address}"))?;
    eprintln!("watch this run at http://{}/", listener.local_addr()?);
    metrics.board.is_a_local_run();
    let readiness = Readiness::default();
    tokio::spawn(admin::serve(listener, metrics.clone(), readiness.clone()));
    Ok(readiness)
}

/// Makes the tables, or checks that they have the right key: one error now instead of one per batch.
async fn make_tables(loaded: &DatasetVersion) -> Result<(), SinkError> {
    let nobody = BatchId { execution: String::new(), state: String::new() };
    let outputs = loaded.sinks.iter().zip(&loaded.outputs);
    for (sink, output) in outputs.filter(|(_, output)| matches!(output.target, Target::Table { .. })) {
        sink.stage(&nobody, output).await?.abort().await?;
    }
    Ok(())
}

/// Puts messages into the embedded queue and waits for their answers.
struct Embedded {
    queue: Arc<EmbeddedQueue>,
    callback: Arc<LocalCallback>,
}

#[async_trait]
impl Submit for Embedded {
    async fn submit(&self, token: &TaskToken, body: String) -> Answer {
        let answer = self.callback.register(token.clone());
        self.queue.send(body);
        answer.await.unwrap_or_else(|_| Answer::Failure {
            error: error_names::HOST_FAULT.into(),
            cause: "the batch was given up without an answer".into(),
        })
    }
}
