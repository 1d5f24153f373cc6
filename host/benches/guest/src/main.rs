//! What running in a guest costs: the NOAA logic in the runtime beside the same code compiled natively, and a fresh
//! instance for a call that does nothing. `make bench-guest` calls it.
//!
//! Everything runs on one thread of this process (the native side on one of its own process, in turns), on objects in
//! memory. Rounds alternate, so that a slow moment of the machine meets both sides, and every round has its own ratio.

use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use clap::Parser;
use gristmill::dataset::{Column, Grants, InstanceLife, Target};
use gristmill::job::Item;
use gristmill::object::{Location, Metadata, ObjectError, ObjectStore, Page};
use gristmill::runtime::{
    BatchContext, GuestMetrics, GuestRows, Lane, Limits, Plugin, RowDecoder, RowsRefused, Runtime, RuntimeConfig,
};
use gristmill::sink::OutputSchema;
use gristmill::sink::rows::{self, Rows};

const BUCKET: &str = "bench";
/// Calls of the no-op guest in one round.
const CALLS: u32 = 10_000;

#[derive(Parser)]
struct Args {
    /// A folder of station files.
    #[arg(long)]
    data: PathBuf,
    /// The native side: `plugins/noaa-precipitation/examples/native.rs`.
    #[arg(long)]
    native: PathBuf,
    /// The component of the same code.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../plugins/noaa-precipitation/noaa-precipitation.wasm"))]
    component: PathBuf,
    /// A component that does nothing.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../plugins/noop/noop.wasm"))]
    noop: PathBuf,
    /// How many bytes of station files are taken.
    #[arg(long, default_value_t = 64_000_000)]
    bytes: u64,
    #[arg(long, default_value_t = 21)]
    rounds: usize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let thread = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread.block_on(async {
        let config = RuntimeConfig { slots: 1, cache: None, io: tokio::runtime::Handle::current() };
        let runtime = Runtime::new(&config)?;
        guest_beside_native(&runtime, &args).await?;
        fresh_instances(&runtime, &args).await
    })
}

async fn guest_beside_native(runtime: &Runtime, args: &Args) -> anyhow::Result<()> {
    let files = station_files(&args.data, args.bytes)?;
    let store = Arc::new(Memory::read(&files)?);
    let bytes = store.0.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() as f64;
    let plugin = open(runtime, &args.component).await?;
    let items: Vec<Item> = (0..).zip(&store.0).map(|(index, (key, _))| item(index, key)).collect();
    let context = Arc::new(context(&plugin, store)?);
    let mut native = Native::start(&args.native, &files)?;

    let (mut guest_times, mut native_times, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=args.rounds {
        let start = Instant::now();
        let mut lane = Lane::new(plugin.clone(), context.clone());
        let mut guest_rows = 0;
        for item in &items {
            let run = lane.run(item).await;
            if let Err(fault) = run.result {
                anyhow::bail!("{}: {}: {}", item.body, fault.code, fault.message);
            }
            guest_rows += run.rows.iter().map(|(_, rows)| rows.num_rows()).sum::<usize>();
        }
        let guest_time = start.elapsed().as_secs_f64();
        let (native_time, native_rows) = native.pass()?;
        ensure!(guest_rows == native_rows, "{guest_rows} rows in the guest, {native_rows} natively");
        // The first round warms up.
        if round > 0 {
            guest_times.push(guest_time);
            native_times.push(native_time);
            ratios.push(native_time / guest_time);
        }
    }
    let speed = |times: Vec<f64>| bytes / 1e9 / median(times);
    let sides = format!(
        "guest {:.2} GB/s, native {:.2} GB/s; {} files, {:.0} MB, {} rounds",
        speed(guest_times),
        speed(native_times),
        items.len(),
        bytes / 1e6,
        args.rounds
    );
    let ratio = median(ratios);
    figure("NOAA logic in the guest : native", "at least 0.90", format!("{ratio:.2}"), ratio >= 0.9, &sides);
    Ok(())
}

async fn fresh_instances(runtime: &Runtime, args: &Args) -> anyhow::Result<()> {
    let plugin = open(runtime, &args.noop).await?;
    let context = Arc::new(context(&plugin, Arc::new(Memory(Vec::new())))?);
    let mut lane = Lane::new(plugin, context);
    let item = item(0, "nothing");
    let mut micros = Vec::new();
    for round in 0..=args.rounds {
        let start = Instant::now();
        for _ in 0..CALLS {
            let run = lane.run(&item).await;
            ensure!(run.result == Ok(None), "{:?}", run.result);
        }
        if round > 0 {
            micros.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
        }
    }
    let best = micros.iter().copied().fold(f64::INFINITY, f64::min);
    let sides = format!("best round {best:.1} µs; {} rounds of {CALLS} calls", args.rounds);
    let median = median(micros);
    figure("fresh instance + call of a no-op", "at most 40 µs", format!("{median:.1} µs"), median <= 40.0, &sides);
    Ok(())
}

/// One line per figure, in the words of `processes.py`.
fn figure(name: &str, target: &str, measured: String, met: bool, sides: &str) {
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{name} | target {target} | measured {measured} ({}) | {sides} | {}, {cores} cores, {}",
        if met { "met" } else { "missed" },
        model.unwrap_or(std::env::consts::ARCH),
        time::OffsetDateTime::now_utc().date()
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Files in the order of their names, until there are enough bytes.
fn station_files(folder: &Path, bytes: u64) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        files.push(entry?.path());
    }
    files.sort();
    let mut taken = 0;
    files.retain(|file| {
        let wanted = taken < bytes;
        taken += file.metadata().map_or(0, |metadata| metadata.len());
        wanted
    });
    ensure!(!files.is_empty(), "{}: no station files", folder.display());
    Ok(files)
}

async fn open(runtime: &Runtime, component: &Path) -> anyhow::Result<Arc<Plugin>> {
    let name = component.display();
    let bytes = std::fs::read(component).with_context(|| format!("{name}: build it with `make plugins`"))?;
    Ok(Arc::new(runtime.open(&bytes).await.with_context(|| name.to_string())?))
}

fn item(index: u32, key: &str) -> Item {
    Item { index, body: serde_json::json!({ "Key": key }).to_string().into() }
}

fn context(plugin: &Plugin, objects: Arc<Memory>) -> anyhow::Result<BatchContext> {
    let schema = |name: &str, columns: &[Column]| {
        OutputSchema::new(name, columns.to_vec(), Target::Table { table: name.into(), key: vec!["pk".into()] })
    };
    let outputs = plugin.manifest.outputs.iter().map(|output| schema(&output.name, &output.columns));
    Ok(BatchContext {
        dataset: "bench".into(),
        batch: "bench".into(),
        batch_input: serde_json::json!({ "Bucket": BUCKET }).to_string().into(),
        settings: "{}".into(),
        started: SystemTime::now(),
        limits: Limits {
            memory: 64 << 20,
            timeout: Duration::from_secs(60),
            max_output: 16 << 20,
            max_log: 64 << 10,
            instance: InstanceLife::Item,
        },
        grants: Grants { read: vec![Location { bucket: BUCKET.into(), key: String::new() }], ..Grants::default() },
        objects,
        databases: Arc::default(),
        rows: Arc::new(Decoder(outputs.collect::<Result<_, _>>()?)),
        metrics: Arc::new(NoMetrics),
    })
}

/// The other side: a process that makes one pass over the same files for every line that it is sent.
struct Native {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Native {
    fn start(program: &Path, files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        let mut process = command
            .args(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let requests = process.stdin.take().context("no standard input")?;
        let answers = BufReader::new(process.stdout.take().context("no standard output")?);
        Ok(Self { process, requests, answers })
    }

    /// Seconds and rows.
    fn pass(&mut self) -> anyhow::Result<(f64, usize)> {
        writeln!(self.requests)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let (nanoseconds, rows) = answer.trim().split_once(' ').context("the native side failed")?;
        Ok((nanoseconds.parse::<f64>()? / 1e9, rows.parse()?))
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Objects in memory.
struct Memory(Vec<(String, Bytes)>);

impl Memory {
    fn read(files: &[PathBuf]) -> anyhow::Result<Self> {
        let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let object = |file: &PathBuf| Ok((name(file), std::fs::read(file)?.into()));
        Ok(Self(files.iter().map(object).collect::<anyhow::Result<_>>()?))
    }

    fn find(&self, at: &Location) -> Result<&Bytes, ObjectError> {
        let found = self.0.iter().find(|(key, _)| *key == at.key);
        found.map(|(_, bytes)| bytes).ok_or_else(|| ObjectError::NotFound(at.to_string()))
    }
}

#[async_trait]
impl ObjectStore for Memory {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        let bytes = self.find(at)?;
        let size = bytes.len() as u64;
        let metadata = Metadata { location: at.clone(), size, etag: "\"1\"".into(), last_modified: None };
        Ok((metadata, bytes.slice(..first.min(size) as usize)))
    }

    async fn read(&self, at: &Location, _: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        Ok(self.find(at)?.slice(range.start as usize..range.end as usize))
    }

    async fn list(&self, at: &Location, _: Option<&str>) -> Result<Page, ObjectError> {
        Err(ObjectError::Denied(at.to_string()))
    }
}

/// The host's own decoding of rows: it is part of what a guest costs.
struct Decoder(Vec<OutputSchema>);

impl RowDecoder for Decoder {
    fn decode(&self, output: &str, rows: GuestRows<'_>) -> Result<(usize, RecordBatch), RowsRefused> {
        let number = self.0.iter().position(|schema| schema.name == output);
        let number = number.ok_or_else(|| RowsRefused::NoSuchOutput(output.into()))?;
        let rows = match rows {
            GuestRows::JsonLines(bytes) => Rows::JsonLines(bytes),
            GuestRows::ArrowIpc(bytes) => Rows::ArrowIpc(bytes),
        };
        let rows = rows::decode(&self.0[number], rows).map_err(|bad| RowsRefused::Invalid(bad.to_string()))?;
        Ok((number, rows))
    }
}

struct NoMetrics;

impl GuestMetrics for NoMetrics {
    fn count(&self, _: &str, _: u64) {}
    fn observe(&self, _: &str, _: f64) {}
}
