//! What goes wrong while a plugin is written, an item for each. The sentences that its author sees are a snapshot.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use gristmill_plugin::ColumnType::{Float64, Int64, Text};
use gristmill_plugin::{Call, Failure, Manifest, Output, Rows, json, objects};

gristmill_plugin::export!(describe, process);

static SEEN: AtomicI64 = AtomicI64::new(0);

fn describe() -> Manifest {
    let rows = Output::new("rows", "What was emitted.");
    gristmill_plugin::manifest!().output(rows.column("key", Text).column("n", Int64).nullable("x", Float64))
}

/// How many records an object has.
fn records(uri: &str) -> Result<u64, Failure> {
    let mut csv = objects::read_csv(uri)?;
    while csv.read()?.is_some() {}
    Ok(csv.records())
}

fn process(call: Call) -> Result<Option<String>, Failure> {
    let key = call.item.key.as_str();
    let mut rows = Rows::to("rows");
    match key {
        "good" => rows.emit(&json!({"key": key, "n": 1}))?,
        "typo-in-output" => Rows::to("row").emit(&json!({"key": key, "n": 1}))?,
        "typo-in-column" => rows.emit(&json!({"key": key, "m": 1}))?,
        "wrong-type" => rows.emit(&json!({"key": key, "n": "1"}))?,
        "fraction" => rows.emit(&json!({"key": key, "n": 1.5}))?,
        "column-left-out" => rows.emit(&json!({"key": key}))?,
        "another-items-key" => rows.emit(&json!({"key": "good", "n": 1}))?,
        "no-grant" => drop(objects::open("s3://elsewhere/a.csv")?),
        "no-object" => drop(objects::open("s3://data/nope.csv")?),
        "no-uri" => drop(objects::open("data/a.csv")?),
        "not-csv-column" => drop(objects::read_csv("s3://data/a.csv")?.column("temprature")?),
        "panic" => drop(None::<()>.unwrap()),
        "index" => drop(key.as_bytes()[key.len()]),
        "endless-loop" => loop {
            std::hint::black_box(());
        },
        "too-much-memory" => drop(std::hint::black_box(vec![1_u8; 1 << 30])),
        "deep-recursion" => drop(std::hint::black_box(deep(1))),
        "a-file" => drop(std::fs::read("/etc/hosts").unwrap()),
        "environment" => drop(std::env::var("TABLE").unwrap()),
        "a-thread" => std::thread::spawn(|| ()).join().unwrap(),
        "large-result" => return Ok(Some("x".repeat(5000))),
        "bad-code" => return Err(Failure::reject("bad header", "no")),
        "exit" => std::process::exit(1),
        "the-clock" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            rows.emit(&json!({"key": key, "n": now}))?;
        }
        "state" => rows.emit(&json!({"key": key, "n": SEEN.fetch_add(1, Ordering::Relaxed)}))?,
        "swallowed" => rows.emit(&json!({"key": key, "n": records("s3://data/a.csv").unwrap_or(0)}))?,
        "made-a-reject" => {
            let n = records("s3://data/a.csv").map_err(|failure| Failure::reject("Bad", failure))?;
            rows.emit(&json!({"key": key, "n": n}))?;
        }
        _ => {}
    }
    Ok(None)
}

fn deep(n: u64) -> u64 {
    if n == 0 { 0 } else { std::hint::black_box(deep(std::hint::black_box(n + 1))) + 1 }
}
