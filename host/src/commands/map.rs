//! `gristmill map`: the Distributed Map on one machine. An embedded queue, a folder as S3 and SQLite stand in for the cloud;
//! everything between them is what a worker runs.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use async_trait::async_trait;
use indicatif::HumanCount;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::callback::Answer;
use crate::callback::local::LocalCallback;
use crate::catalog::{Catalog, Loaded};
use crate::cli::MapArgs;
use crate::dataset::{Dataset, Scope, Target};
use crate::files;
use crate::job::{BatchId, TaskToken, error_names};
use crate::ledger::sqlite::SqliteLedger;
use crate::map::attempt::{Submit, WallClock};
use crate::map::batcher::Limits;
use crate::map::names;
use crate::map::preview;
use crate::map::progress::Progress;
use crate::map::reader::{self, Source};
use crate::map::redo::Redo;
use crate::map::run::{self, Plan};
use crate::map::select;
use crate::map::summary::{Status, Summary};
use crate::map::tolerance::Tolerance;
use crate::object::folder::FolderStore;
use crate::object::{Location, ObjectStore, ObjectWriter as _};
use crate::pipeline::{Identity, LEASE, Pipeline};
use crate::queue::embedded::EmbeddedQueue;
use crate::report::BatchReport;
use crate::sink::sqlite::SqliteSink;
use crate::sink::{SinkError, Stores};
use crate::telemetry::guests::GuestLines;
use crate::telemetry::metrics::Metrics;
use crate::text::{line, without_mark};
use crate::worker::{Activity, Worker};

/// The file of the tables in the folder that stands for the cloud.
const TABLES: &str = "tables.sqlite";
const PREVIEW_ROWS: usize = 5;
/// How long an interrupted run waits for the batches that are under way.
const GRACE: Duration = Duration::from_secs(10);
/// How long what is left after that may take to let go of its batch.
const DRAIN: Duration = Duration::from_secs(1);

pub(super) async fn run(args: MapArgs, said: &GuestLines) -> anyhow::Result<ExitCode> {
    let dataset = Dataset::load(&args.dataset, &super::variables(args.variables, &args.dataset)?)?;
    let input = read_input(&args.input)?;
    let slots = args.slots.unwrap_or_else(super::cores).max(1);
    let admission = Admission::new(slots, super::memory(args.memory).unwrap_or(u64::MAX));
    let (folder, new) = Folder::open(&args.local)?;
    if new && !args.quiet && !args.json {
        eprintln!("{} is new", line(&args.local.display().to_string()));
    }
    // Said before anything is compiled.
    let source = source(&dataset, &input)?;
    let looked_at = source.location().map(ToString::to_string);
    let plan = plan(&dataset, &input, source, folder.objects.clone())?;
    let runtime = super::compiler::runtime_here(slots, &args.compile)?;
    let stores = Stores { objects: folder.objects.clone(), tables: folder.tables.clone() };
    let component = dataset.plugin.component.clone();
    let opened = super::patiently(&component, Loaded::open(dataset, &runtime, &stores)).await;
    let loaded = Arc::new(opened?);
    let dataset = &loaded.dataset;
    if let Some(objection) = admission.objection(&loaded.need()) {
        anyhow::bail!("{}: {objection}", dataset.file.display());
    }
    make_tables(&loaded).await.with_context(|| dataset.file.display().to_string())?;
    let run = names::run_name(&dataset.name, &input);
    let redo = Redo::look(&folder.ledger, &stores, dataset, &run, args.again).await?;
    let plan = Plan { redo, ..plan };

    let threads = super::Guests::start(slots)?;
    let guests = threads.handle();
    let queue = Arc::new(EmbeddedQueue::new(Duration::from_secs(60)));
    let callback = Arc::new(LocalCallback::new());
    let pipeline = Arc::new(Pipeline {
        catalog: Arc::new(Catalog::of(loaded.clone())),
        queue: queue.clone(),
        ledger: folder.ledger.clone(),
        callback: callback.clone(),
        stores,
        guests: guests.clone(),
        admission,
        lanes: slots,
        identity: Identity::Contents,
        lease: LEASE,
        // The run repeats batches by itself, as Step Functions would.
        deliveries: 1,
        metrics: Arc::new(Metrics::new()?),
        pressure: Arc::default(),
        now: SystemTime::now,
    });
    let stop = CancellationToken::new();
    // A second batch per slot keeps the slots busy while the first commits.
    let worker = Worker { pipeline, batches: slots + 1, drain: DRAIN, activity: Activity::default() };
    let worker = tokio::spawn(worker.run(stop.clone(), CancellationToken::new()));

    let interrupted = super::signals::interrupts();
    let mut progress = Progress::for_stderr(args.json || args.quiet);
    let submit = Embedded { queue: queue.clone(), callback };
    let mut summary = run::run(plan, &submit, &WallClock::start(), &mut progress, &interrupted).await;
    stop.cancel();
    queue.close();
    worker.await??;
    if summary.status == Status::Succeeded {
        folder.forget_stale(dataset, &input, summary.batches.total()).await?;
    }
    summary.locate(|place| folder.place(place));
    if said.withheld() > 0 {
        let more = HumanCount(said.withheld());
        super::warn(&format!("plugins said {more} lines more than are shown: `--log warn,guest=info` shows all"));
    }
    if summary.status == Status::Succeeded && summary.items.total == 0 {
        let place = looked_at.and_then(|place| folder.place(&place));
        let place = place.map_or_else(String::new, |place| format!(", which is {place} here"));
        super::warn(&format!("nothing was done: there are no items. They would be {}{place}", summary.source));
    }
    if args.json {
        super::say_json(&summary)?;
    } else {
        super::say(format_args!("{summary}{}", folder.preview(&summary, dataset)))?;
    }
    Ok(match summary.status {
        Status::Succeeded => ExitCode::SUCCESS,
        Status::Failed => ExitCode::FAILURE,
        // What shells say of a program that SIGINT ended.
        Status::Interrupted => ExitCode::from(130),
    })
}

/// The input as it was given: numbers keep their digits.
fn read_input(argument: &str) -> anyhow::Result<Box<RawValue>> {
    let text = match argument.strip_prefix('@') {
        Some(file) => {
            files::read_given_text(Path::new(file), super::MAX_GIVEN).with_context(|| format!("--input {argument}"))?
        }
        None => argument.to_owned(),
    };
    serde_json::from_str(without_mark(&text)).with_context(|| format!("--input {argument}: this is no JSON"))
}

/// Makes the tables, or finds that they are there with the right key: one error now instead of one per batch.
async fn make_tables(loaded: &Loaded) -> Result<(), SinkError> {
    let nobody = BatchId { execution: String::new(), state: String::new() };
    let outputs = loaded.sinks.iter().zip(&loaded.outputs);
    for (sink, output) in outputs.filter(|(_, output)| matches!(output.target, Target::Table { .. })) {
        sink.stage(&nobody, output).await?.abort().await?;
    }
    Ok(())
}

/// What placeholders are about: the input, and the context object of this run.
fn scope<'i>(dataset: &Dataset, input: &'i RawValue) -> anyhow::Result<Scope<'i>> {
    let id = names::execution(&dataset.name, &names::run_name(&dataset.name, input));
    Ok(Scope::new(input).with_context("Execution", select::execution(&id, input)?))
}

/// Where the items are, with the input's fields filled in.
fn source(dataset: &Dataset, input: &RawValue) -> anyhow::Result<Source> {
    Source::resolve(&dataset.map.item_reader, &scope(dataset, input)?)
        .map_err(|error| anyhow::anyhow!("{}: [map] {error}", dataset.file.display()))
}

/// The dataset's `[map]` with the input's fields filled in.
fn plan(dataset: &Dataset, input: &RawValue, source: Source, objects: Arc<dyn ObjectStore>) -> anyhow::Result<Plan> {
    let map = &dataset.map;
    let scope = scope(dataset, input)?;
    let values = dataset.run_values(&scope).context("a place of the outputs or of `[map]`")?;
    // What makes no place for a batch makes none for all.
    dataset.placed(&values)?;
    let batch_input = map.batch_input.as_ref().map(|template| template.render(&scope).context("[map] batch_input"));
    Ok(Plan {
        dataset: dataset.name.clone(),
        input: input.to_owned(),
        source: source.to_string(),
        items: reader::read(objects, source),
        select: map.item_selector.clone(),
        batch_input: batch_input.transpose()?,
        values,
        limits: Limits { items: map.max_items_per_batch as usize, bytes: map.max_input_bytes_per_batch as usize },
        max_concurrency: map.max_concurrency,
        tolerance: Tolerance::new(map.tolerated_failure_count, map.tolerated_failure_percentage),
        max_attempts: map.max_attempts,
        grace: GRACE,
        redo: Redo::default(),
    })
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

/// Whether this user may write where the run will: SQLite only says that it cannot open a file.
fn writable(root: &Path) -> anyhow::Result<()> {
    let tables = root.join(TABLES);
    let probe = |tried: std::io::Result<std::fs::File>, place: &Path| {
        match tried {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| {
            let place = place.display();
            format!("--local {}: this user may not write {place}: give it the permission (`chmod u+w {place}`), or name another folder", root.display())
        }),
        _ => Ok(()),
    }
    };
    probe(tempfile::tempfile_in(root), root)?;
    probe(OpenOptions::new().append(true).open(&tables), &tables)
}

/// The folder that stands for the cloud.
struct Folder {
    root: PathBuf,
    objects: Arc<FolderStore>,
    tables: Arc<SqliteSink>,
    ledger: Arc<SqliteLedger>,
}

impl Folder {
    /// The folder, and whether it is new. It is made if the one around it is there: a path with a slip of the pen is none that
    /// somebody wants.
    fn open(root: &Path) -> anyhow::Result<(Self, bool)> {
        let folder = root.display();
        anyhow::ensure!(!root.is_file(), "--local {folder}: this is a file, not a folder");
        let new = !root.exists();
        if new {
            let around = root.parent().filter(|around| !around.as_os_str().is_empty()).unwrap_or(Path::new("."));
            anyhow::ensure!(
                around.is_dir(),
                "--local {folder}: neither this folder is there nor {}, in which it could be made: correct the path, or make it",
                around.display()
            );
            std::fs::create_dir(root).with_context(|| format!("--local {folder}"))?;
        }
        writable(root)?;
        let opened = Self {
            root: root.to_owned(),
            objects: Arc::new(FolderStore::new(root.join("s3"))),
            tables: Arc::new(SqliteSink::open(&root.join(TABLES))?),
            ledger: Arc::new(SqliteLedger::open(root)?),
        };
        Ok((opened, new))
    }

    /// The file or folder of a place of the summary.
    fn place(&self, place: &str) -> Option<String> {
        let path = match place.strip_prefix("s3://") {
            Some(key) => self.root.join("s3").join(key),
            None => self.root.join(TABLES),
        };
        Some(path.display().to_string())
    }

    /// A run that was repeated over fewer items has fewer batches. What the batches beyond the last one had written as
    /// objects is taken away, so that the objects are those of one run over today's items. Rows of tables stay, as they
    /// would in DynamoDB.
    async fn forget_stale(&self, dataset: &Dataset, input: &RawValue, batches: u64) -> anyhow::Result<()> {
        let run = names::run_name(&dataset.name, input);
        for (id, receipt) in self.ledger.committed_under(&names::child_executions(&dataset.name, &run)).await? {
            if names::batch_number(&id.execution).is_none_or(|number| number < batches) {
                continue;
            }
            if let Ok(report) = serde_json::from_str::<BatchReport>(&receipt.output) {
                for object in report.outputs.iter().filter_map(|output| output.place.parse::<Location>().ok()) {
                    self.objects.delete(&object).await?;
                }
            }
            self.ledger.forget(&id).await?;
        }
        Ok(())
    }

    /// A few rows of each table, so that the user sees that it worked.
    fn preview(&self, summary: &Summary, dataset: &Dataset) -> String {
        let mut text = String::new();
        for output in &dataset.outputs {
            let Target::Table { table, .. } = &output.target else { continue };
            if summary.outputs.iter().any(|written| written.output == output.name && written.rows > 0)
                && let Ok((headers, rows)) = self.tables.first_rows(table, PREVIEW_ROWS)
            {
                text += &format!("\n{} begins with\n{}\n", line(table), preview::table(&headers, &rows));
            }
        }
        text
    }
}
