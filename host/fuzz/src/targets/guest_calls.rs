//! Components: their bytes, their memory, and what they call. One host runs all of them, as one worker would.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use gristmill::dataset::{Column, ColumnType, Format, Grants, InstanceLife, Layout, Target, TextCompression};
use gristmill::job::Item;
use gristmill::runtime::{
    BatchContext, GuestRows, ItemRun, Lane, Limits, Plugin, RowDecoder, RowsRefused, Runtime, RuntimeConfig,
};
use gristmill::sink::{OutputSchema, rows};
use gristmill::telemetry::guest_metrics::DatasetMetrics;
use gristmill::telemetry::metrics::Metrics;

use super::store::One;
use super::{first_line, short};
use crate::guest::{Guest, MANIFEST};

const LIMITS: Limits = Limits {
    memory: 4 << 20,
    // A fuzzer finds soon how to wait; a test beside others has to wait for its turn.
    timeout: if cfg!(test) { Duration::from_secs(3) } else { Duration::from_millis(30) },
    max_output: 64 << 10,
    max_log: 4 << 10,
    instance: InstanceLife::Item,
};

/// The host of all components.
struct House {
    io: tokio::runtime::Runtime,
    runtime: Runtime,
    metrics: Arc<Metrics>,
    /// Calls the host as its item says: see `calls.wat`.
    caller: Arc<Plugin>,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config = RuntimeConfig { slots: 2, cache: None, io: io.handle().clone() };
    let runtime = Runtime::new(&config).unwrap();
    let caller = Guest {
        also: include_str!("calls.wat"),
        ..Guest::new("(call $program (local.get $body) (local.get $body-len))")
    };
    let caller = io.block_on(runtime.open(&caller.component())).unwrap_or_else(|error| panic!("{error}"));
    House { io, runtime, metrics: Arc::new(Metrics::new().unwrap()), caller: Arc::new(caller) }
});

/// A component's bytes; or, after a line `memory`, bytes that lie where its `describe` says that its manifest is.
pub fn component(data: &[u8]) -> bool {
    let bytes = match first_line(data) {
        Some(("memory", image)) => {
            let image = &image[..image.len().min(16 << 10)];
            let hex = image.iter().fold(String::new(), |mut hex, byte| {
                _ = write!(hex, "\\{byte:02x}");
                hex
            });
            let also = format!("(data (i32.const {MANIFEST}) \"{hex}\")");
            Guest { also: &also, ..Guest::default() }.component()
        }
        _ => data.to_vec(),
    };
    let house = &*HOUSE;
    match house.io.block_on(house.runtime.open(&bytes)) {
        Ok(plugin) => {
            run(Arc::new(plugin), One::new("dir/x", b""), "{}");
            true
        }
        Err(error) => {
            short(&error);
            false
        }
    }
}

/// `gz`, `zst` or `bz2`, and after the line's end an object that a guest reads to its end as that.
pub fn compressed(data: &[u8]) -> bool {
    let Some((ending @ ("gz" | "zst" | "bz2"), bytes)) = first_line(data) else { return false };
    let run = run(
        HOUSE.caller.clone(),
        One::new(&format!("dir/x.{ending}"), bytes),
        &format!("o{}c0000a1", text(&format!("s3://b/dir/x.{ending}"))),
    );
    matches!(run.result.as_ref(), Ok(Some(ends)) if ends == "\"end\"")
}

/// A program of host calls: what each letter means is in `calls.wat`. It is taken if it comes to its end.
pub fn host_calls(data: &[u8]) -> bool {
    // An item is text; a program is ASCII.
    let program: String = data.iter().map(|byte| char::from(byte & 0x7f)).collect();
    let object: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    run(HOUSE.caller.clone(), One::new("dir/x", &object), &program).result.is_ok()
}

/// A text as a program has it.
fn text(text: &str) -> String {
    format!("{}{text}", char::from(b' ' + u8::try_from(text.len()).unwrap()))
}

/// Runs one item, and holds it to the limits.
fn run(plugin: Arc<Plugin>, object: One, item: &str) -> ItemRun {
    let house = &*HOUSE;
    let context = BatchContext {
        dataset: "d".into(),
        batch: "b".into(),
        batch_input: "null".into(),
        settings: "{}".into(),
        started: SystemTime::UNIX_EPOCH,
        limits: LIMITS,
        grants: Grants { read: vec!["s3://b/dir/".parse().unwrap()], ..Grants::default() },
        objects: Arc::new(object),
        databases: Arc::default(),
        rows: Arc::new(Ids),
        metrics: Arc::new(DatasetMetrics::new(house.metrics.clone(), "d")),
    };
    let mut lane = Lane::new(plugin, Arc::new(context));
    let item = Item { index: 0, body: item.into() };
    let run = house.io.block_on(async move { lane.run(&item).await });
    match &run.result {
        Ok(value) => assert!(value.as_ref().is_none_or(|value| value.len() <= 4096 && !value.contains('\n'))),
        Err(fault) => {
            assert!(!fault.code.is_empty() && fault.code.len() <= 64, "{}", fault.code);
            assert!(fault.message.len() <= 4096 && run.rows.is_empty());
        }
    }
    let emitted: usize = run.rows.iter().map(|(_, rows)| rows.num_rows()).sum();
    // A row of JSON lines has a line's end at least, but the last.
    assert!(emitted as u64 <= LIMITS.max_output + 1, "{emitted} rows");
    assert!(house.metrics.render().len() < 1 << 20, "names of metrics are bounded");
    run
}

/// One output, `rows`, with one column, `id`.
struct Ids;

impl RowDecoder for Ids {
    fn decode(&self, output: &str, rows: GuestRows<'_>) -> Result<(usize, arrow::array::RecordBatch), RowsRefused> {
        static SCHEMA: LazyLock<OutputSchema> = LazyLock::new(|| {
            let format = Format::JsonLines(TextCompression::None);
            let target =
                Target::Objects { prefix: "s3://out/rows/".parse().unwrap(), format, layout: Layout::default() };
            let id = Column { name: "id".into(), kind: ColumnType::Int64, nullable: true };
            OutputSchema::new("rows", vec![id], target).unwrap()
        });
        if output != "rows" {
            return Err(RowsRefused::NoSuchOutput("there is only `rows`".into()));
        }
        let rows = match rows {
            GuestRows::JsonLines(bytes) => rows::Rows::JsonLines(bytes),
            GuestRows::ArrowIpc(bytes) => rows::Rows::ArrowIpc(bytes),
        };
        let decoded = rows::decode(&SCHEMA, rows).map_err(|bad| RowsRefused::Invalid(bad.to_string()))?;
        Ok((0, decoded))
    }
}
