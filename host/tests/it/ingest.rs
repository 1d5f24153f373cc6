//! A table of a database into the data lake, window by window, over a real PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::golden::json as lines;
use crate::laptop::{Laptop, Said};
use crate::postgres::{Postgres, shared};
use crate::support::project;

pub(crate) const RAW: &str = "RAW/shop/shipments/original";
pub(crate) const ORIGINAL: &str = "FORMAT/shop/shipments/original";
pub(crate) const MASKED: &str = "FORMAT/shop/shipments/masked";

/// The table of the plugin's dataset file, with some rows of last year, and who may see what is under way.
pub(crate) const SHIPMENTS: &str = "
    CREATE TABLE shipments (
        shipmt_id bigint PRIMARY KEY, shipmt_date_tstmp timestamptz DEFAULT now(), shipmt_value numeric(12, 2),
        shipmt_wght numeric(12, 3), shipmt_dist_gc integer, orig_state text DEFAULT 'CA', dest_state text DEFAULT 'NY',
        quarter smallint, mode text, naics text, sctg text, hazmat text, export_yn boolean DEFAULT false, contact text
    );
    INSERT INTO shipments (shipmt_id, shipmt_date_tstmp, shipmt_value, quarter, contact)
    SELECT n, timestamptz '2024-01-01 00:00Z' + n * interval '1 hour', n + 0.25, CASE WHEN n % 7 = 0 THEN NULL ELSE n % 6 END, 'p' || n
    FROM generate_series(1, 60) AS n;";

/// A lake, and the database that fills it.
struct Lake {
    laptop: Laptop,
    admin: Client,
    connections: PathBuf,
    dataset: PathBuf,
}

impl Lake {
    async fn new(database: &str) -> Self {
        let lake = Self::blind(database).await;
        lake.sql("GRANT pg_read_all_stats TO reader").await;
        lake
    }

    /// Where the role does not see what others have under way, if nobody granted it in another database.
    async fn blind(database: &str) -> Self {
        Self::over(shared(), database).await
    }

    async fn over(server: &Postgres, database: &str) -> Self {
        let admin = server.database(database, SHIPMENTS).await;
        let laptop = Laptop::new();
        let connections = server.file(laptop.root(), database, "");
        Self { laptop, admin, connections, dataset: project("plugins/incremental-ingest/dataset.toml") }
    }

    async fn sql(&self, statements: &str) {
        self.admin.batch_execute(statements).await.unwrap();
    }

    /// One row with the time of the transaction.
    async fn ship(&self, id: i64) {
        self.sql(&format!("INSERT INTO shipments (shipmt_id, quarter) VALUES ({id}, 1)")).await;
    }

    fn args<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let connections = self.connections.to_str().unwrap();
        let own = ["--set", "LAKE=data", "--set", "MASK_KEY=a key of some length", "--connections", connections];
        own.into_iter().chain(more.iter().copied()).collect()
    }

    fn run(&self, more: &[&str]) -> Said {
        self.laptop.map(&self.dataset, &self.args(more))
    }

    fn runs(&self, more: &[&str]) {
        let said = self.run(more);
        assert_eq!(said.code, Some(0), "{}", said.all());
    }

    /// Runs, and says why the run failed.
    fn fails(&self) -> String {
        let (code, summary) = self.laptop.map_json(&self.dataset, &self.args(&[]));
        assert_eq!(code, Some(1), "{summary}");
        summary["stages"][0]["error"]["cause"].as_str().unwrap_or_else(|| panic!("{summary}")).to_owned()
    }

    /// Runs, and says what RAW has by now.
    fn ids_read(&self) -> Vec<i64> {
        let said = self.run(&[]);
        match said.code {
            Some(0) => self.ids(RAW),
            // A standby that has not replayed anything yet.
            _ => Vec::new(),
        }
    }

    /// Waits until the stop of a run that begins now lies behind what is there now: that takes a second.
    async fn pass(&self) {
        self.sql("SELECT pg_sleep(1.1)").await;
    }

    fn zone(&self, zone: &str, columns: &str) -> Vec<Value> {
        rows_in(&self.laptop.object(zone), columns)
    }

    fn ids(&self, zone: &str) -> Vec<i64> {
        ids_in(&self.laptop.object(zone))
    }

    async fn there(&self) -> Vec<i64> {
        let rows = self.admin.query("SELECT shipmt_id FROM shipments ORDER BY 1", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Asserts that every row of the table is in every zone, once.
    async fn has_all(&self) {
        let there = self.there().await;
        for zone in [RAW, ORIGINAL, MASKED] {
            assert_eq!(self.ids(zone), there, "{zone}");
        }
    }

    fn windows(&self) -> Vec<Value> {
        let local = self.laptop.local();
        let said = self.laptop.run(&["windows", "shipments", "--local", local.to_str().unwrap(), "--json"]);
        if said.err.contains("no run of shipments has taken a window yet") {
            return Vec::new();
        }
        assert_eq!(said.code, Some(0), "{}", said.all());
        let history: Value = serde_json::from_str(&said.out).unwrap();
        history["runs"].as_array().unwrap().clone()
    }

    fn statuses(&self) -> Vec<(u64, String)> {
        let of = |run: &Value| (run["number"].as_u64().unwrap(), run["status"].as_str().unwrap().to_owned());
        self.windows().iter().map(of).collect()
    }
}

/// The rows below a folder, as DuckDB reads them.
fn rows_in(zone: &Path, columns: &str) -> Vec<Value> {
    let read = project("plugins/incremental-ingest/generate/read.py");
    let said = Command::new(project("target/venv-emulator/bin/python"))
        .args([read.as_os_str(), zone.as_os_str()])
        .args([columns, "shipmt_id"])
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    lines(String::from_utf8(said.stdout).unwrap().lines())
}

/// The shipments below a folder, once for each row.
pub(crate) fn ids_in(zone: &Path) -> Vec<i64> {
    rows_in(zone, "shipmt_id").iter().map(|row| row["shipmt_id"].as_i64().unwrap()).collect()
}

fn succeeded(windows: impl IntoIterator<Item = u64>) -> Vec<(u64, String)> {
    windows.into_iter().map(|number| (number, "succeeded".into())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_takes_what_came_since_the_one_before() {
    let lake = Lake::new("ingest").await;
    lake.runs(&[]);
    lake.has_all().await;
    lake.ship(100).await;
    lake.pass().await;
    lake.runs(&[]);
    lake.has_all().await;
    // Nothing has come: the window moves all the same, and nothing is written.
    lake.pass().await;
    lake.runs(&[]);
    lake.has_all().await;
    assert_eq!(lake.statuses(), succeeded(1..=3));
    let windows = lake.windows();
    assert_eq!((&windows[1]["start"], &windows[2]["start"]), (&windows[0]["stop"], &windows[1]["stop"]));
    // Types and masks.
    let raw = lake.zone(RAW, "shipmt_id, shipmt_value, contact, load");
    assert_eq!(raw[0], json!({"shipmt_id": 1, "shipmt_value": "1.25", "contact": "p1", "load": "full"}));
    assert_eq!(raw[60]["load"], "incremental");
    let original = lake.zone(ORIGINAL, "shipmt_id, shipmt_value, contact");
    assert_eq!(original[0], json!({"shipmt_id": 1, "shipmt_value": 1.25, "contact": "p1"}));
    let masked = lake.zone(MASKED, "shipmt_id, shipmt_value, contact");
    assert_eq!(masked[0]["contact"].as_str().unwrap().len(), 64, "{}", masked[0]);
    // Everything once more, into a place of its own.
    lake.runs(&["--full"]);
    let full: Vec<Value> = lake.zone(RAW, "shipmt_id, load").into_iter().filter(|row| row["load"] == "full").collect();
    assert_eq!(full.len(), 60 + 61, "RAW keeps what it has");
    let there = lake.there().await;
    assert_eq!(
        (lake.ids(ORIGINAL), lake.ids(MASKED)),
        (there.clone(), there),
        "and elsewhere it takes the place of all"
    );
    assert_eq!(lake.statuses(), succeeded(1..=4));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_committed_late_are_not_lost() {
    let lake = Lake::new("ingest_late").await;
    lake.runs(&[]);
    let slow = shared().admin("ingest_late").await;
    slow.batch_execute("BEGIN; INSERT INTO shipments (shipmt_id, quarter) VALUES (200, 2)").await.unwrap();
    lake.pass().await;
    lake.ship(201).await;
    lake.pass().await;
    // It stops before the transaction began: 201 has come after that, and waits.
    lake.runs(&[]);
    assert_eq!(lake.ids(RAW).len(), 60);
    slow.batch_execute("COMMIT").await.unwrap();
    lake.runs(&[]);
    lake.has_all().await;
    // A transaction that has only read so far may write with the time at which it began.
    slow.batch_execute("BEGIN; SELECT count(*) FROM shipments").await.unwrap();
    lake.pass().await;
    lake.runs(&[]);
    slow.batch_execute("INSERT INTO shipments (shipmt_id, quarter) VALUES (202, 2); COMMIT").await.unwrap();
    lake.pass().await;
    lake.runs(&[]);
    lake.has_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_known_of_late_rows_the_run_is_refused() {
    // A server of its own: what the role may see, and prepared transactions, are the whole server's.
    let server = Postgres::start();
    let lake = Lake::over(&server, "ingest_blind").await;
    let _other = server.admin("ingest_blind").await;
    let mut said = vec![lake.fails()];
    lake.sql("GRANT pg_read_all_stats TO reader").await;
    lake.sql("BEGIN; INSERT INTO shipments (shipmt_id) VALUES (300); PREPARE TRANSACTION 'two'").await;
    said.push(lake.fails());
    assert_snapshot!(said.join("\n"), @r#"
    what the run takes could not be planned: Gristmill.SourceRefused: rows that are committed late would be lost without a word: this role does not see which transactions of others are under way. Have it granted pg_read_all_stats (`GRANT pg_read_all_stats TO …`). Or give the window a `lag` that is longer than any transaction takes
    what the run takes could not be planned: Gristmill.SourceRefused: rows that are committed late would be lost without a word: there are prepared transactions, and nobody knows when they began. Have them committed or rolled back (`SELECT * FROM pg_prepared_xacts`). Or give the window a `lag` that is longer than any transaction takes
    "#);
    lake.sql("COMMIT PREPARED 'two'").await;
    lake.pass().await;
    lake.runs(&[]);
    lake.has_all().await;
    assert_eq!(lake.statuses(), succeeded([1]), "a run that was refused has no window");
}

/// What is under way on the primary a standby does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_read_only_with_a_lag() {
    let mut server = Postgres::start();
    let mut lake = Lake::over(&server, "ingest_standby").await;
    lake.sql("GRANT pg_read_all_stats TO reader").await;
    let port = server.standby();
    let connections = std::fs::read_to_string(&lake.connections).unwrap();
    std::fs::write(&lake.connections, connections.replace(&server.port.to_string(), &port.to_string())).unwrap();
    assert_snapshot!(lake.fails(), @r#"what the run takes could not be planned: Gristmill.HostFault: dataset shipments.land, batch plan: this standby has not replayed a transaction since it started: nobody knows how far it is"#);
    let text = std::fs::read_to_string(&lake.dataset).unwrap();
    let component = project("plugins/incremental-ingest/incremental-ingest.wasm");
    let text = text.replace("incremental-ingest.wasm", component.to_str().unwrap());
    let window = "window     = { column = \"shipmt_date_tstmp\"";
    assert!(text.contains(window));
    lake.dataset = lake.laptop.write("dataset.toml", &text.replace(window, &format!("{window}, lag = \"1ms\"")));
    // Something that it replays: then it knows how far it is.
    lake.ship(600).await;
    lake.pass().await;
    lake.ship(601).await;
    let began = Instant::now();
    while lake.ids_read() != [(1..=60).collect::<Vec<_>>(), vec![600]].concat() {
        assert!(began.elapsed() < Duration::from_secs(30), "the standby does not follow");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_into_a_window_that_was_read_are_counted() {
    let lake = Lake::new("ingest_counted").await;
    lake.runs(&[]);
    lake.sql("INSERT INTO shipments (shipmt_id, shipmt_date_tstmp) VALUES (400, '2024-01-01 12:00Z'), (401, NULL)")
        .await;
    lake.pass().await;
    let said = lake.run(&["--log", "warn"]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert!(said.err.contains("late=2"), "{}", said.err);
    assert_eq!(lake.windows()[1]["late"], 2);
    // The next one is about what came since then.
    lake.pass().await;
    lake.runs(&[]);
    assert_eq!(lake.windows()[2]["late"], 0);
}

/// Killed again and again: no row is lost or there twice, and windows move once.
#[tokio::test(flavor = "multi_thread")]
async fn kills_leave_the_window_where_it_was_or_move_it_once() {
    let lake = Lake::new("ingest_killed").await;
    // How long a run takes here, once the component is compiled.
    lake.runs(&[]);
    lake.ship(499).await;
    lake.pass().await;
    let begin = Instant::now();
    lake.runs(&[]);
    let whole = begin.elapsed();
    let (mut windows, mut interrupted) = (2, 0);
    for round in 0..12_u32 {
        lake.ship(500 + i64::from(round)).await;
        lake.pass().await;
        let began = Instant::now();
        let mut child = lake.laptop.begin(&lake.dataset, &lake.args(&[]));
        // From before it opens the window to after it has closed it, and never at the same place.
        let patience = whole * (round + 2) / 14;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                windows += 1;
                break;
            }
            if began.elapsed() > patience {
                child.kill().unwrap();
                child.wait().unwrap();
                interrupted += usize::from(lake.statuses().last().is_some_and(|(_, status)| status == "running"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // What was left open comes to its end, and then what has come since.
    lake.runs(&[]);
    lake.pass().await;
    lake.runs(&[]);
    lake.has_all().await;
    let statuses = lake.statuses();
    let last = statuses.len() as u64;
    assert_eq!(statuses, succeeded(1..=last), "{windows} runs came to their ends undisturbed");
    assert!(
        last > windows && interrupted > 0,
        "{last} windows, {windows} undisturbed, {interrupted} killed within one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_is_refused_while_the_first_is_under_way() {
    let lake = Lake::new("ingest_twice").await;
    // The first run waits for a lock.
    let locker = shared().admin("ingest_twice").await;
    locker.batch_execute("BEGIN; LOCK TABLE shipments IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut first = lake.laptop.begin(&lake.dataset, &lake.args(&[]));
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'ingest_twice' AND wait_event_type = 'Lock'";
    let began = Instant::now();
    while lake.admin.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "nobody waits for the table");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let second = lake.run(&[]);
    locker.batch_execute("COMMIT").await.unwrap();
    assert!(first.wait().unwrap().success());
    assert_eq!(second.code, Some(2), "{}", second.all());
    let said = second.err.replace(lake.laptop.local().to_str().unwrap(), "DIR");
    assert_snapshot!(said, @r#"error: another run of shipments is under way in LAPTOP/cloud and has its window: wait for its end, or stop it"#);
    lake.has_all().await;
    assert_eq!(lake.statuses(), succeeded([1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_can_be_looked_at_and_set_by_hand() {
    let lake = Lake::new("ingest_by_hand").await;
    lake.runs(&[]);
    let local = lake.laptop.local();
    let windows = |more: &[&str]| {
        let args = ["windows", "shipments", "--local", local.to_str().unwrap()];
        lake.laptop.run(&[&args, more].concat())
    };
    let said = windows(&["--next-from", "2024-01-03T01:00:00+01:00"]);
    assert!(said.out.contains("set by hand"), "{}", said.all());
    assert!(said.out.contains("the next window starts at 2024-01-03T00:00:00Z"), "{}", said.out);
    lake.runs(&[]);
    let again = lake.zone(RAW, "shipmt_id, load");
    let again: Vec<i64> =
        again.iter().filter(|row| row["load"] == "incremental").map(|row| row["shipmt_id"].as_i64().unwrap()).collect();
    assert_eq!(again, (48..=60).collect::<Vec<_>>());
    let other = lake.laptop.dataset("items = [1]");
    let refused = lake.laptop.map(&other, &["--full"]);
    assert_eq!(refused.code, Some(2), "{}", refused.all());
    assert!(refused.err.contains("takes no window of a table"), "{}", refused.err);
    assert_snapshot!(windows(&["--next-from", "yesterday"]).err, @r#"
    error: invalid value 'yesterday' for '--next-from <INSTANT>': an instant is written 2024-01-05T00:00:00Z (RFC 3339): the 'year' component could not be parsed

    For more information, try '--help'.
    "#);
    let nobody = lake.laptop.run(&["windows", "nobody", "--local", local.to_str().unwrap()]);
    assert_snapshot!(nobody.err, @r#"error: no run of nobody has taken a window yet: is this the dataset's name, without that of a stage?"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_table_does_not_have_is_said_before_anything_is_read() {
    let lake = Lake::new("ingest_wrong").await;
    lake.sql("ALTER TABLE shipments ADD COLUMN local timestamp").await;
    let text = std::fs::read_to_string(&lake.dataset).unwrap();
    let component = project("plugins/incremental-ingest/incremental-ingest.wasm");
    let text = text.replace("incremental-ingest.wasm", component.to_str().unwrap());
    let mut said = String::new();
    for (from, to) in [
        ("public.shipments", "public.nosuch"),
        ("public.shipments", "public.Shipments"),
        ("{ column = \"shipmt_date_tstmp\" }", "{ column = \"mode\" }"),
        ("{ column = \"shipmt_date_tstmp\" }", "{ column = \"born\" }"),
        ("{ column = \"shipmt_date_tstmp\" }", "{ column = \"local\" }"),
        (
            "{ column = \"quarter\", lower = 1, upper = 5, count = 4 }",
            "{ column = \"mode\", lower = 1, upper = 5, count = 4 }",
        ),
        ("\"sctg\", ", "\"sctgg\", "),
    ] {
        assert!(text.contains(from), "{from}");
        let dataset = lake.laptop.write("dataset.toml", &text.replace(from, to));
        let (code, summary) = lake.laptop.map_json(&dataset, &lake.args(&[]));
        assert_eq!(code, Some(1), "{summary}");
        said += summary["stages"][0]["error"]["cause"].as_str().unwrap();
        said.push('\n');
    }
    lake.sql("REVOKE SELECT ON shipments FROM reader").await;
    said += &lake.fails();
    assert_snapshot!(said, @r#"
    what the run takes could not be planned: Gristmill.SourceRefused: there is no table public.nosuch that this role can see: names are taken as they are written, with their case
    what the run takes could not be planned: Gristmill.SourceRefused: there is no table public.Shipments that this role can see: names are taken as they are written, with their case
    what the run takes could not be planned: Gristmill.SourceRefused: the column `mode` of public.shipments is of the type text: the column of a window is a timestamp or a date
    what the run takes could not be planned: Gristmill.SourceRefused: the table public.shipments has no column `born`; it has shipmt_id, shipmt_date_tstmp, shipmt_value, shipmt_wght, shipmt_dist_gc, orig_state, dest_state, quarter, mode, naics, sctg, hazmat, export_yn, contact, local
    what the run takes could not be planned: Gristmill.SourceRefused: the column `local` of public.shipments has no time zone, and is taken for UTC: rows of sessions west of it would lie below the stop when they come, and be lost without a word. Make it a `timestamptz`; or give the window a `lag` that is longer than the clocks of those who write are behind UTC
    what the run takes could not be planned: Gristmill.SourceRefused: the column `mode` of public.shipments is of the type text: `lower` and `upper` divide numbers. Leave them out to have the table divided by rows
    what the run takes could not be planned: Gristmill.SourceRefused: the table public.shipments has no column `sctgg`; it has shipmt_id, shipmt_date_tstmp, shipmt_value, shipmt_wght, shipmt_dist_gc, orig_state, dest_state, quarter, mode, naics, sctg, hazmat, export_yn, contact, local
    what the run takes could not be planned: Gristmill.SourceRefused: this role may not read the table public.shipments: have it granted (`GRANT SELECT ON "public"."shipments" TO …`)
    "#);
}
