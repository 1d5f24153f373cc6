//! Rows by the hundred MiB: they stop nothing that is urgent, and no process dies of them.

use std::fs;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use gristmill::ledger::{Claim, ClaimRequest, Claimed, GiveBack, Ledger, LedgerError, Receipt, Record};

use crate::guest::heavy;
use crate::house::{House, message};
use crate::laptop::Laptop;

/// A ledger that counts renewals, and needs no thread to answer.
#[derive(Default)]
struct Counting {
    renewed: AtomicUsize,
}

#[async_trait]
impl Ledger for Counting {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claim, LedgerError> {
        let ClaimRequest { id, component, now, .. } = request.clone();
        Ok(Claim::Taken(Claimed { id, fence: 1, component, resumed: false, started: now }))
    }

    async fn renew(&self, _: &Claimed, _: SystemTime, _: Duration) -> Result<(), LedgerError> {
        self.renewed.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn prepare(&self, _: &Claimed, _: &Record) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn commit(&self, _: &Claimed, _: &Receipt) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn release(&self, _: &Claimed, _: GiveBack) -> Result<(), LedgerError> {
        Ok(())
    }
}

/// The place where rows are worked on is one thread, and that is busy: rows wait for it, and the claim is renewed meanwhile.
#[test]
fn a_claim_is_renewed_while_the_rows_of_its_batch_are_worked_on() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let rows: String = (0..2_000).map(|id| format!("{{\"id\":{id}}}\n")).collect();
        let emits = format!("(call $emit «rows» (i32.const 0) «{rows}» $out) (i32.const 0)");
        let ledger = Arc::new(Counting::default());
        let house = House::with(|setup| {
            setup.guest = Some((emits.leak(), ""));
            setup.columns = 1;
            setup.lease = Duration::from_millis(300);
            setup.ledger = Some(ledger.clone());
        })
        .await;
        let mut body = message("b", &["1"]);
        body["dataset"] = "guest".into();
        let mut answer = house.waiting("b");
        // The table is there: making it would need the thread.
        let guest = house.services.catalog.get("guest").unwrap().unwrap();
        let nobody = gristmill::job::BatchId { execution: String::new(), state: String::new() };
        guest.sinks[0].stage(&nobody, &guest.outputs[0]).await.unwrap().abort().await.unwrap();
        let (free, busy) = mpsc::channel::<()>();
        let thread = tokio::task::spawn_blocking(move || busy.recv());
        house.queue.inner.send(body.to_string());
        let worker = house.worker(1, Duration::from_secs(5));
        while ledger.renewed.load(Relaxed) < 5 {
            assert!(answer.try_recv().is_err(), "the rows were worked on by a thread that others need");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        free.send(()).unwrap();
        thread.await.unwrap().unwrap();
        answer.await.unwrap();
        worker.stop().await;
    });
}

/// Items that leave 15 MiB of rows for each output.
fn heavy_laptop(outputs: &[(&str, &str)], items: usize) -> (Laptop, std::path::PathBuf) {
    let laptop = Laptop::new();
    let names: Vec<_> = outputs.iter().map(|(name, _)| *name).collect();
    let component = laptop.root().join("heavy.wasm");
    fs::write(&component, heavy(15, 16 << 10, &names)).unwrap();
    let items: String = (0..items).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    laptop.put("items.jsonl", items);
    let output = |(name, place): &(&str, &str)| {
        format!("[[output]]\nname = \"{name}\"\n{place}\ncolumns = {{ id = \"int64\", text = \"text\" }}\n")
    };
    let text = format!(
        "dataset = \"heavy\"\n[plugin]\ncomponent = {component:?}\nmax_output = \"32 MiB\"\ntimeout = \"10m\"\n\
         [map]\nitem_reader = {{ json_lines = \"s3://data/items.jsonl\" }}\nmax_items_per_batch = 8\n{}",
        outputs.iter().map(output).collect::<String>()
    );
    let dataset = laptop.write("dataset.toml", &text);
    (laptop, dataset)
}

/// The most memory that a process had, in MiB, and that it ended well.
fn peak(mut process: Child) -> u64 {
    let status = format!("/proc/{}/status", process.id());
    let mut most = 0;
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        most = most.max(kib.unwrap_or_default() / 1024);
        match process.try_wait().unwrap() {
            Some(ended) => break ended,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let said = process.wait_with_output().unwrap();
    assert!(ended.success(), "{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    most
}

const TABLE: (&str, &str) = ("rows", "table = \"rows\"\nkey = [\"id\"]");

/// What a container of 512 MiB gives to items, with two slots. An item counts with 256 MiB, so that the rows of a batch have some
/// 190 MiB, and two batches of 120 do not fit beside each other.
#[test]
fn the_rows_of_several_batches_stay_within_the_memory_that_there_is() {
    for (outputs, items) in [
        (&[TABLE][..], 16),
        (&[TABLE, ("lines", "prefix = \"s3://data/out/\"\nformat = \"json_lines\"")], 16),
        (&[("files", "prefix = \"s3://data/out/\"\nformat = \"parquet\"")], 16),
    ] {
        let (laptop, dataset) = heavy_laptop(outputs, items);
        let most = peak(laptop.begin(&dataset, &["--memory", "448MiB", "--slots", "2"]));
        eprintln!("{outputs:?}: {most} MiB");
        assert!(most <= 512, "{outputs:?}: {most} MiB");
    }
}
