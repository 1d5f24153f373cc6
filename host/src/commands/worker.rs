//! `gristmill worker`: the fleet's process.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::signals;
use super::waiting::wait_for;
use crate::aws;
use crate::callback::step_functions::StepFunctions;
use crate::catalog::{Catalog, Stores};
use crate::cli::WorkerArgs;
use crate::ledger::Ledger;
use crate::ledger::dynamodb::DynamoLedger;
use crate::ledger::none::NoLedger;
use crate::object::s3::S3Store;
use crate::pipeline::{Identity, Pipeline};
use crate::pressure::Pressure;
use crate::queue::Queue as _;
use crate::queue::sqs::SqsQueue;
use crate::runtime::{Runtime, RuntimeConfig};
use crate::sink::dynamodb::DynamoDbSink;
use crate::telemetry::admin::{self, Readiness};
use crate::telemetry::metrics::Metrics;
use crate::worker::Worker;

/// After how many deliveries the waiting state is told of a fault of the host where the queue has no dead-letter queue,
/// which would set a number (`maxReceiveCount`): the pauses between them come to some ten minutes.
const DELIVERIES: u32 = 10;

pub(super) async fn run(args: WorkerArgs) -> anyhow::Result<ExitCode> {
    let slots = args.slots.unwrap_or_else(super::cores).max(1);
    let metrics = Arc::new(Metrics::new()?);
    metrics.slots.set(i64::try_from(slots)?);
    let readiness = Readiness::default();
    let listener = TcpListener::bind(args.admin).await.with_context(|| format!("--admin {}", args.admin))?;
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
    let runtime = Runtime::new(&RuntimeConfig { slots, cache: args.cache.or_else(user_cache), io: Handle::current() })?;
    let stores = Stores { objects: Arc::new(S3Store::new(&config)), tables: Arc::new(DynamoDbSink::new(&config)) };
    let (catalog, complaints) = Catalog::load(&args.datasets, &args.variables.variables(), &runtime, &stores)
        .await
        .with_context(|| format!("--datasets {}", args.datasets.display()))?;
    for findings in complaints {
        tracing::error!("{findings}");
    }
    for (dataset, reason) in catalog.broken() {
        tracing::error!(dataset, "this dataset cannot be worked on: {reason}");
    }
    anyhow::ensure!(
        !catalog.names().is_empty(),
        "--datasets {}: there is no dataset file that can be read (`*.toml` or `*/dataset.toml`)",
        args.datasets.display()
    );
    let ledger: Arc<dyn Ledger> = match &args.ledger {
        Some(table) => {
            let ledger = DynamoLedger::new(&config, table);
            let probe = async || Ok(ledger.probe().await?);
            let Some(()) = wait_for(&format!("--ledger {table}"), &readiness, &stop, probe).await? else {
                return stopped_early();
            };
            Arc::new(ledger)
        }
        None => {
            tracing::warn!("no --ledger: a batch that is delivered twice is worked on twice, with the same result");
            Arc::new(NoLedger)
        }
    };
    let connect = async || Ok(SqsQueue::connect(&config, &args.queue).await?);
    let Some(queue) = wait_for(&format!("--queue {}", args.queue), &readiness, &stop, connect).await? else {
        return stopped_early();
    };
    let queue = Arc::new(queue);
    let guests = super::guest_runtime(slots)?;
    anyhow::ensure!(
        !queue.visibility_timeout().is_zero(),
        "--queue {}: its visibility time-out is zero, so that every message would be worked on again and again: set one",
        args.queue
    );
    let datasets = catalog.names().join(", ");
    let pipeline = Arc::new(Pipeline {
        catalog: Arc::new(catalog),
        deliveries: queue.max_receives().unwrap_or(DELIVERIES),
        queue,
        ledger,
        callback: Arc::new(StepFunctions::new(&config)),
        objects: stores.objects,
        guests: guests.handle().clone(),
        slots: Arc::new(Semaphore::new(slots)),
        lanes: slots,
        identity: Identity::Execution,
        metrics,
        pressure: Pressure::default(),
        now: SystemTime::now,
    });
    // Told to stop in the meantime, it has nothing to say about being ready.
    if stop.is_cancelled() {
        return stopped_early();
    }
    readiness.ready();
    tracing::info!(datasets, slots, %admin, "ready");
    let worked = Worker { pipeline, batches: slots, drain: args.drain }.run(stop, hurry).await;
    guests.shutdown_background();
    worked.with_context(|| format!("--queue {}", args.queue))?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The end of a worker that was told to stop before it took any work.
fn stopped_early() -> anyhow::Result<ExitCode> {
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Where this user's programs keep what can be made again (XDG Base Directory Specification). None without a home.
fn user_cache() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("gristmill"))
}
