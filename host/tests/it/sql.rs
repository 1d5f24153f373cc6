//! Plugins that ask databases: what they are granted, what they are told, and what becomes of a batch whose database is away.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use serde_json::Value;

use crate::guest;
use crate::laptop::{Laptop, Said};
use crate::postgres::{Postgres, shared};

/// A dataset whose items are statements.
fn dataset(laptop: &Laptop, twice: bool, grants: &str, statements: &[&str]) -> PathBuf {
    std::fs::write(laptop.root().join("asks.wasm"), guest::asks(twice)).unwrap();
    let text = format!(
        "dataset = \"asks\"\n[plugin]\ncomponent = \"asks.wasm\"\ntimeout = \"60s\"\n[grants]\n{grants}\n[map]\n\
         items = {statements:?}\nmax_items_per_batch = 1\nmax_attempts = 1\ntolerated_rejected_percentage = 100\n\
         [[output]]\nname = \"rows\"\ntable = \"rows\"\nkey = [\"id\"]\ncolumns = {{ id = \"int64\", name = \"text?\" }}\n"
    );
    laptop.write("dataset.toml", &text)
}

fn run(laptop: &Laptop, dataset: &Path, connections: &Path) -> Value {
    let (_, summary) = laptop.map_json(dataset, &["--connections", connections.to_str().unwrap()]);
    summary
}

fn said(summary: &Value) -> String {
    let failures = summary["failures"]["first"].as_array().unwrap_or_else(|| panic!("{summary}"));
    let one =
        |failure: &Value| format!("{}: {}\n", failure["code"].as_str().unwrap(), failure["message"].as_str().unwrap());
    let mut said: Vec<String> = failures.iter().map(one).collect();
    said.sort();
    said.concat()
}

fn rows(laptop: &Laptop) -> Vec<String> {
    laptop.query("SELECT id || ' ' || coalesce(name, 'null') FROM rows ORDER BY id")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_statement_gives_becomes_rows() {
    let server = shared();
    server
        .database(
            "asks",
            "CREATE TABLE t (id int, name text); INSERT INTO t VALUES (1, 'one'), (2, NULL), (7, 'seven')",
        )
        .await;
    let laptop = Laptop::new();
    let connections = server.file(laptop.root(), "asks", "");
    let statements = [
        "select id, name from t where id < 3",
        "SELECT id, name from t where id = $1",
        "select 10 + n as id, repeat('x', 200000) as name from generate_series(1, 60) n",
        "select nothing from t",
        "select 1.5 as id",
        "select null::int as id",
    ];
    let dataset = dataset(&laptop, false, "sql = [\"shop\"]", &statements);
    let summary = run(&laptop, &dataset, &connections);
    assert_eq!(rows(&laptop)[..3], ["1 one", "2 null", "7 seven"], "{summary}");
    assert_eq!(rows(&laptop).len(), 63);
    assert!(summary["bytes_read"].as_u64().is_none_or(|read| read > 12_000_000), "{summary}");
    assert_snapshot!(said(&summary), @r#"
    1: connection `shop`: column "nothing" does not exist at character 8 (SQLSTATE 42703)
    Gristmill.BadOutput: output `rows`: column `id` is int64: Arrow's Utf8 does not become that without loss, Int64 does
    Gristmill.BadOutput: output `rows`: row 1: column `id` has no value, and it is not nullable
    "#);
    // Done is done, also where a database may have other rows by now.
    assert_eq!(run(&laptop, &dataset, &connections)["batches"]["done"], Value::from(0), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_to_be_granted_and_known() {
    let server = shared();
    server.database("granted", "").await;
    let laptop = Laptop::new();
    let connections = server.file(laptop.root(), "granted", "");
    let file = ["--connections", connections.to_str().unwrap()];
    let all = |said: Said| said.all();
    let mut told = String::new();
    let not_granted = dataset(&laptop, false, "", &["select 1 as id"]);
    told += &said(&run(&laptop, &not_granted, &connections));
    told += &all(laptop.run(&["check", not_granted.to_str().unwrap()]));
    let unknown = dataset(&laptop, false, "sql = [\"shop\", \"shopp\"]", &["select 1 as id"]);
    told += &all(laptop.map(&unknown, &file));
    told += &all(laptop.map(&unknown, &[]));
    told += &all(laptop.run(&["check", unknown.to_str().unwrap(), file[0], file[1]]));
    told += &all(laptop.run(&["check", unknown.to_str().unwrap()]));
    let no_name = dataset(&laptop, false, "sql = [\"postgresql://reader@db/shop\"]", &["select 1 as id"]);
    told += &all(laptop.run(&["check", no_name.to_str().unwrap()]));
    let granted = dataset(&laptop, false, "sql = [\"shop\"]", &["select 1 as id"]);
    std::fs::write(&connections, "[shop]\nurl = \"postgresql://reader:secret@db/shop\"\n").unwrap();
    told += &all(laptop.map(&granted, &file));
    assert_snapshot!(told, @r#"
    0: connection `shop` is not granted: `[grants] sql` of dataset asks does not name it
    exit 0
    LAPTOP/dataset.toml: dataset asks with hostile 1.0.0 (sha256:DIGEST): nothing to complain about; outputs: rows
    warning: LAPTOP/dataset.toml:5:2: grants.sql: the plugin imports `gristmill:plugin/sql@0.1.0`, and no connection is granted
        help: if it asks one, grant its connection by name: `[grants]` with `sql = ["NAME"]`
    exit 2
    error: LAPTOP/dataset.toml:6:16: grants.sql[1]: there is no connection `shopp`: the file of `--connections` has no such connection; it has `shop`
    exit 2
    error: LAPTOP/dataset.toml:6:8: grants.sql[0]: there is no connection `shop`: no connections are known here: name a file of them with `--connections FILE`
    LAPTOP/dataset.toml:6:16: grants.sql[1]: there is no connection `shopp`: no connections are known here: name a file of them with `--connections FILE`
    exit 1
    LAPTOP/dataset.toml:6:16: grants.sql[1]: there is no connection `shopp`: the file of `--connections` has no such connection; it has `shop`
    exit 0
    LAPTOP/dataset.toml: dataset asks with hostile 1.0.0 (sha256:DIGEST): nothing to complain about; outputs: rows
    exit 1
    LAPTOP/dataset.toml:6:8: grants.sql[0]: `postgresql://reader@db/shop` is no name of a connection
        help: give the name that the worker's `--connections` file has for it; a name is 1 to 63 letters, digits, `_` and `-`, and starts with a letter or digit
    exit 2
    error: --connections: LAPTOP/granted.toml: "shop": url: a password does not belong there: say in `password` where it is
    "#);
}

/// An item that holds rows of one statement while it asks another one would wait for itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_item_may_ask_while_it_still_has_rows_if_there_is_a_session_for_it() {
    let server = shared();
    server.database("twice", "").await;
    let laptop = Laptop::new();
    let connections = server.file(laptop.root(), "twice", "connections = 2");
    let dataset = dataset(&laptop, true, "sql = [\"shop\"]", &["select generate_series(1, 3) as id"]);
    let summary = run(&laptop, &dataset, &connections);
    assert_eq!(rows(&laptop).len(), 3, "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_not_the_items_fault() {
    let mut server = Postgres::start();
    server.database("away", "CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await;
    let laptop = Laptop::new();
    let connections = server.file(laptop.root(), "away", "");
    let dataset = dataset(&laptop, false, "sql = [\"shop\"]", &["select id from t"]);
    server.order("stop");
    let away = run(&laptop, &dataset, &connections);
    assert_eq!(away["items"]["rejected"], Value::from(0), "{away}");
    assert_eq!(away["status"], "failed", "{away}");
    assert!(away.to_string().contains("cannot be reached"), "{away}");
    server.order("start");
    let back = run(&laptop, &dataset, &connections);
    assert_eq!(back["status"], "succeeded", "{back}");
    assert_eq!(rows(&laptop), ["1 null"]);
}
