//! `gristmill worker`: the fleet's process.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use bytesize::ByteSize;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::inputs::connections;
use super::machine::{GuestThreads, cores, memory};
use super::waiting::wait_for;
use super::{compiler, signals};
use crate::admission::Admission;
use crate::aws;
use crate::batch::{Identity, Services};
use crate::callback::step_functions::StepFunctions;
use crate::catalog::Catalog;
use crate::cli::WorkerArgs;
use crate::data_catalog::glue::Glue;
use crate::job::error_names;
use crate::ledger::Ledger;
use crate::ledger::dynamodb::DynamoLedger;
use crate::ledger::fleet::{Fleet, FleetOfOne};
use crate::ledger::none::NoLedger;
use crate::ledger::registers::Registers;
use crate::object::s3::S3Store;
use crate::queue::Queue as _;
use crate::queue::sqs::SqsQueue;
use crate::registry;
use crate::rollout::{KnownReleases, Releases, Shadows, Watch};
use crate::sink::Stores;
use crate::sink::dynamodb::DynamoDbSink;
use crate::telemetry::admin::{self, Readiness};
use crate::telemetry::emf;
use crate::telemetry::metrics::Metrics;
use crate::trust::{Kms, Policy};
use crate::worker::pressure::Pressure;
use crate::worker::protection::{self, EcsAgent};
use crate::worker::{Activity, Worker, depth};

/// After how many deliveries a fault of the host is reported to the waiting state, if the queue has no dead-letter queue with
/// its `maxReceiveCount`. The pauses between so many deliveries come to some ten minutes.
const DELIVERIES: u32 = 10;

/// How long shadows may take to report, once all batches have ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub(super) async fn run(args: WorkerArgs) -> anyhow::Result<ExitCode> {
    let slots = args.slots.unwrap_or_else(cores).max(1);
    let metrics = Arc::new(Metrics::new()?);
    metrics.slots.set(i64::try_from(slots)?);
    let memory = memory(args.memory);
    metrics.memory.set(memory.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or_default());
    let admission = Admission::new(slots, memory.unwrap_or(u64::MAX));
    let readiness = Readiness::default();
    let listener = admin::listen(args.admin).await.with_context(|| format!("--admin {}", args.admin))?;
    let admin = listener.local_addr()?;
    tokio::spawn(admin::serve(listener, metrics.clone(), readiness.clone()));
    tracing::info!(%admin, "starting");

    let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
    let (stopped, hurried, stopping) = (stop.clone(), hurry.clone(), readiness.clone());
    tokio::spawn(async move {
        signals::stop().await;
        tracing::info!("stopping: no new batches are taken");
        stopping.not_ready("it stops");
        stopped.cancel();
        signals::stop().await;
        hurried.cancel();
    });

    let config = aws::load().await;
    anyhow::ensure!(
        config.region().is_some(),
        "no AWS region is known: set AWS_REGION, or a region in the profile that AWS_PROFILE names"
    );
    let runtime = compiler::runtime(slots, &args.compile, memory)?;
    let stores = Stores {
        objects: Arc::new(S3Store::new(&config)),
        tables: Arc::new(DynamoDbSink::new(&config)),
        databases: connections(&args.connections, Some(&config))?,
    };
    let (ledger, fleet, registers): (Arc<dyn Ledger>, Arc<dyn Fleet>, Arc<dyn Registers>) = match &args.ledger {
        Some(table) => {
            let ledger = DynamoLedger::new(&config, table);
            let probe = async || Ok(ledger.probe().await?);
            let Some(()) = wait_for(&format!("--ledger {table}"), &readiness, &stop, probe).await? else {
                return stopped_early();
            };
            let ledger = Arc::new(ledger);
            (ledger.clone(), ledger.clone(), ledger)
        }
        None => {
            tracing::warn!("no --ledger: a batch that is delivered twice is worked on twice, with the same result");
            (Arc::new(NoLedger), Arc::new(FleetOfOne::default()), Arc::new(NoLedger))
        }
    };
    let variables = args.variables.variables();
    let catalog = Arc::new(Catalog::with(fleet));
    if let Some(folder) = &args.datasets {
        let complaints = catalog.load_folder(folder, &variables, &runtime, &stores).await;
        for findings in complaints.with_context(|| format!("--datasets {}", folder.display()))? {
            tracing::error!("{findings}");
        }
        anyhow::ensure!(
            !catalog.names().is_empty() || args.registry.is_some(),
            "--datasets {}: there is no dataset file that can be read (`*.toml` or `*/dataset.toml`)",
            folder.display()
        );
    }
    catalog.admit(&admission);
    if args.ledger.is_none() {
        for dataset in catalog.names() {
            let Some(Ok(loaded)) = catalog.get(&dataset) else { continue };
            if loaded.stages().any(|stage| !stage.dataset.grants.sql.is_empty()) {
                tracing::warn!(
                    dataset,
                    "this dataset asks databases, whose rows may change: without --ledger a repeated batch may leave rows of both attempts"
                );
            }
        }
    }
    metrics.board.shows(catalog.clone());
    for (dataset, reason) in catalog.broken() {
        tracing::error!(dataset, "this dataset cannot be worked on: {reason}");
    }
    let threads = GuestThreads::start(slots)?;
    let guests = threads.handle();
    let mut shadowing = None;
    if let Some(uri) = &args.registry {
        let registry = registry::open(uri, async || config.clone()).await?;
        let policy = match &args.trust {
            Some(file) => Policy::load(file, &Kms::new(&config)).await?,
            None => Policy::none(),
        };
        let releases = Releases {
            registry: registry.clone(),
            policy,
            variables,
            runtime: runtime.clone(),
            stores: stores.clone(),
            admission: admission.clone(),
            guests: guests.clone(),
            known: KnownReleases::default(),
        };
        let mut watch = Watch::new(catalog.clone(), Arc::new(releases), metrics.clone(), super::promote::whoever());
        if let Some(folder) = compiler::cache(&args.compile) {
            watch = watch.remembering(&folder);
        }
        let watch = Arc::new(tokio::sync::Mutex::new(watch));
        let look = async || Ok(watch.lock().await.start().await?);
        let Some(()) = wait_for(&format!("--registry {uri}"), &readiness, &stop, look).await? else {
            return stopped_early();
        };
        let stopped = stop.clone();
        tokio::spawn(async move { watch.lock().await.run(stopped).await });
        if let Some(work) = catalog.shadows() {
            let shadows = Shadows {
                work,
                objects: stores.objects.clone(),
                guests: guests.clone(),
                admission: admission.clone(),
                registry,
                worker: format!("{} {}", super::promote::whoever(), std::process::id()),
            };
            shadowing = Some(tokio::spawn(shadows.run(stop.clone())));
        }
    }
    tokio::spawn(warn_of_outputs(catalog.clone(), metrics.clone()));
    let urls: Vec<&str> = args.queues.iter().map(String::as_str).collect();
    let mut queues = Vec::new();
    for url in args.queues.clone() {
        let connect = async || Ok(SqsQueue::connect(&config, &url).await?);
        let Some(queue) = wait_for(&format!("--queue {url}"), &readiness, &stop, connect).await? else {
            return stopped_early();
        };
        anyhow::ensure!(
            !queue.visibility_timeout().is_zero(),
            "--queue {url}: its visibility time-out is zero, so that every message would be worked on again and again: set one"
        );
        queues.push((url, Arc::new(queue)));
    }
    // Shared by all queues: they strain the same services.
    let pressure = Arc::new(Pressure::default());
    let datasets = catalog.names().join(", ");
    let callback = Arc::new(StepFunctions::new(&config));
    let services = |queue: Arc<SqsQueue>| Services {
        data_catalog: Arc::new(Glue::new(&config)),
        catalog: catalog.clone(),
        deliveries: queue.max_receives().unwrap_or(DELIVERIES),
        queue,
        ledger: ledger.clone(),
        registers: registers.clone(),
        callback: callback.clone(),
        stores: stores.clone(),
        guests: guests.clone(),
        admission: admission.clone(),
        lanes: slots,
        identity: Identity::Execution,
        lease: args.lease,
        metrics: metrics.clone(),
        now: SystemTime::now,
    };
    // A worker that was told to stop meanwhile does not report that it is ready.
    if stop.is_cancelled() {
        return stopped_early();
    }
    let activity = Activity::default();
    let protection = Protection::start(&activity, &metrics);
    let all_counted = CancellationToken::new();
    let emf = args.emf.then(|| tokio::spawn(emf::print(metrics.clone(), all_counted.clone())));
    // A worker per queue, each with permits of its own: a poll of an empty queue holds a permit while it waits, which must not
    // hold back another queue. Slots and memory are shared through the admission.
    let mut workers = JoinSet::new();
    for (url, queue) in queues {
        let name = depth::label(&url, &urls).to_owned();
        tokio::spawn(depth::watch(queue.clone(), name, metrics.clone(), stop.clone()));
        let worker = Worker {
            services: Arc::new(services(queue)),
            pressure: pressure.clone(),
            batches: slots,
            drain: args.drain,
            activity: activity.clone(),
        };
        let work = worker.run(stop.clone(), hurry.clone());
        workers.spawn(async move { work.await.with_context(|| format!("--queue {url}")) });
    }
    readiness.ready();
    let memory = memory.map_or("unlimited".into(), |bytes| ByteSize(bytes).display().iec().to_string());
    tracing::info!(datasets, slots, memory, %admin, "ready");
    let mut worked = Ok(());
    while let Some(ended) = workers.join_next().await {
        // A queue that refuses us ends the work on the others, in order.
        stop.cancel();
        worked = worked.and(ended.map_err(anyhow::Error::from).flatten());
    }
    if let Some(shadowing) = shadowing {
        let _ = tokio::time::timeout(LAST_WORDS, shadowing).await;
    }
    protection.end().await;
    all_counted.cancel();
    if let Some(emf) = emf {
        let _ = emf.await;
    }
    worked?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Logs which datasets cannot be served, and why: one line each. The worker is ready for the others, and a dataset that is
/// mended needs no restart.
async fn warn_of_outputs(catalog: Arc<Catalog>, metrics: Arc<Metrics>) {
    for dataset in catalog.names() {
        let Some(Ok(loaded)) = catalog.get(&dataset) else { continue };
        let mut reasons = Vec::new();
        for stage in loaded.stages() {
            reasons.extend(stage.refusals().await);
        }
        if !reasons.is_empty() {
            let error = error_names::OUTPUT_REFUSED;
            metrics.board.outputs_refused(&dataset, &reasons);
            tracing::warn!(
                dataset,
                error,
                "batches of this dataset will fail until this is mended: {}",
                reasons.join("; ")
            );
        }
    }
}

/// The end of a worker that was told to stop before it took any work.
fn stopped_early() -> anyhow::Result<ExitCode> {
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The task's protection from scale-in, where there is an ECS agent to ask.
struct Protection {
    end: CancellationToken,
    kept: Option<JoinHandle<()>>,
}

impl Protection {
    fn start(activity: &Activity, metrics: &Arc<Metrics>) -> Self {
        let end = CancellationToken::new();
        let agent = match std::env::var("ECS_AGENT_URI").ok().map(|uri| EcsAgent::at(&uri)) {
            Some(Ok(agent)) => Some(agent),
            Some(Err(error)) => {
                tracing::warn!(%error, "this task is not protected from scale-in");
                None
            }
            None => None,
        };
        let keep = |agent| protection::keep(agent, activity.watch(), metrics.clone(), end.clone());
        let kept = agent.map(|agent| tokio::spawn(keep(agent)));
        Self { end, kept }
    }

    async fn end(self) {
        self.end.cancel();
        if let Some(kept) = self.kept {
            let _ = kept.await;
        }
    }
}
