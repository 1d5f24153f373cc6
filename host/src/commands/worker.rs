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
use crate::aws;
use crate::callback::step_functions::StepFunctions;
use crate::catalog::Catalog;
use crate::cli::WorkerArgs;
use crate::ledger::Ledger;
use crate::ledger::dynamodb::DynamoLedger;
use crate::ledger::none::NoLedger;
use crate::object::s3::S3Store;
use crate::pipeline::{Identity, Pipeline};
use crate::queue::Queue as _;
use crate::queue::sqs::SqsQueue;
use crate::runtime::{Runtime, RuntimeConfig};
use crate::sink::Stores;
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

    let config = aws::load().await;
    let runtime = Runtime::new(&RuntimeConfig { slots, cache: args.cache.or_else(user_cache), io: Handle::current() })?;
    let stores = Stores {
        objects: Arc::new(S3Store::new(&config)),
        tables: Arc::new(DynamoDbSink::new(aws_sdk_dynamodb::Client::new(&config))),
    };
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
        Some(table) => Arc::new(DynamoLedger::new(&config, table)),
        None => {
            tracing::warn!("no --ledger: a batch that is delivered twice is worked on twice, with the same result");
            Arc::new(NoLedger)
        }
    };
    let queue =
        Arc::new(SqsQueue::connect(&config, &args.queue).await.with_context(|| format!("--queue {}", args.queue))?);
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
        stores,
        guests: guests.handle().clone(),
        slots: Arc::new(Semaphore::new(slots)),
        lanes: slots,
        identity: Identity::Execution,
        lease: args.lease,
        metrics,
        now: SystemTime::now,
    });
    let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
    let (stopped, hurried, ready) = (stop.clone(), hurry.clone(), readiness.clone());
    tokio::spawn(async move {
        signals::stop().await;
        tracing::info!("stopping: no new batches are taken");
        ready.set(false);
        stopped.cancel();
        signals::stop().await;
        hurried.cancel();
    });
    readiness.set(true);
    tracing::info!(datasets, slots, %admin, "ready");
    let worked = Worker { pipeline, batches: slots, drain: args.drain }.run(stop, hurry).await;
    guests.shutdown_background();
    worked.with_context(|| format!("--queue {}", args.queue))?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Where this user's programs keep what can be made again (XDG Base Directory Specification). None without a home.
fn user_cache() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("gristmill"))
}
