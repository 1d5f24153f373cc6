//! Bad input: one clear error each (what, where, what to do), and nothing else is lost.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use insta::assert_snapshot;
use serde_json::json;

use crate::guest::Guest;
use crate::laptop::{Laptop, gristmill, station};
use crate::support::plugin;

/// What `check` says, and that `map` says the same before it begins anything.
fn refused(laptop: &Laptop, dataset: &Path) -> String {
    let (check, map) = (laptop.run(&["check", dataset.to_str().unwrap()]), laptop.map(dataset, &[]));
    assert_eq!((check.code, map.code), (Some(1), Some(2)), "{}\n{}", check.all(), map.all());
    assert_eq!((check.err.as_str(), map.out.as_str()), ("", ""));
    assert_eq!(format!("error: {}", check.out), map.err);
    assert!(
        !laptop.local().join("tables.sqlite").exists() || laptop.query("SELECT name FROM sqlite_schema").is_empty()
    );
    check.out
}

/// The same with the dataset file's component being these bytes; and what `plugin inspect` says of them.
fn refused_component(bytes: &[u8]) -> String {
    let laptop = Laptop::with_stations([("A", 10)]);
    let dataset = laptop.every_station(1);
    fs::write(laptop.root().join("mine.wasm"), bytes).unwrap();
    let text = fs::read_to_string(&dataset).unwrap();
    fs::write(&dataset, text.replace(plugin("noaa-precipitation").to_str().unwrap(), "mine.wasm")).unwrap();
    let refused = refused(&laptop, &dataset);
    let inspected = laptop.run(&["plugin", "inspect", laptop.root().join("mine.wasm").to_str().unwrap()]);
    assert_eq!((inspected.code, inspected.out.as_str()), (Some(2), ""));
    format!("{refused}{}", inspected.err)
}

/// A component without code: it imports and exports one empty instance, under these names.
fn hollow_component(import: &str, export: &str) -> Vec<u8> {
    let section = |id: u8, content: &[u8]| [&[id, u8::try_from(content.len()).unwrap()], content].concat();
    let name = |name: &str| [&[0, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
    [
        b"\0asm\x0d\0\x01\0".to_vec(),
        section(7, &[1, 0x42, 0]), // a type: an instance without exports
        section(10, &[&[1], &*name(import), &[5, 0]].concat()), // an import of that type
        section(11, &[&[1], &*name(export), &[5, 0, 0]].concat()), // and an export of what was imported
    ]
    .concat()
}

#[test]
fn a_component_that_is_missing() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let text = fs::read_to_string(laptop.every_station(1)).unwrap();
    let dataset =
        laptop.write("dataset.toml", &text.replace(plugin("noaa-precipitation").to_str().unwrap(), "nosuch.wasm"));
    assert_snapshot!(refused(&laptop, &dataset), @"
    LAPTOP/dataset.toml:3:1: plugin.component: the component LAPTOP/nosuch.wasm cannot be read: No such file or directory (os error 2)
        help: build the plugin, or correct the key
    ");
}

#[test]
fn not_a_component() {
    assert_snapshot!(refused_component(b"(component)"), @r#"
    LAPTOP/dataset.toml:3:1: plugin.component: LAPTOP/mine.wasm: this is not a WebAssembly component: it begins with "(compone"
    error: LAPTOP/mine.wasm: this is not a WebAssembly component: it begins with "(compone"
    "#);
}

#[test]
fn a_damaged_component() {
    let bytes = fs::read(plugin("noaa-precipitation")).unwrap();
    let said = refused_component(&bytes[..bytes.len() / 2]);
    assert!(said.contains("LAPTOP/mine.wasm: this is not a WebAssembly component: failed to parse"), "{said}");
}

#[test]
fn a_core_module() {
    assert_snapshot!(refused_component(b"\0asm\x01\0\0\0"), @"
    LAPTOP/dataset.toml:3:1: plugin.component: LAPTOP/mine.wasm: this is a core WebAssembly module, not a component: build it for `wasm32-wasip2`, or wrap it with `wasm-tools component new`
    error: LAPTOP/mine.wasm: this is a core WebAssembly module, not a component: build it for `wasm32-wasip2`, or wrap it with `wasm-tools component new`
    ");
}

#[test]
fn a_component_for_another_version_of_the_contract() {
    let component = hollow_component("gristmill:plugin/types@0.2.0", "gristmill:plugin/item-processor@0.2.0");
    assert_snapshot!(refused_component(&component), @"
    LAPTOP/dataset.toml:3:1: plugin.component: LAPTOP/mine.wasm: this component was built for version 0.2.0 of the contract (`gristmill:plugin/item-processor@0.2.0`); this host has 0.1.0: rebuild it with the SDK of this version
    error: LAPTOP/mine.wasm: this component was built for version 0.2.0 of the contract (`gristmill:plugin/item-processor@0.2.0`); this host has 0.1.0: rebuild it with the SDK of this version
    ");
}

#[test]
fn a_component_that_is_no_plugin() {
    assert_snapshot!(refused_component(&hollow_component("wasi:io/poll@0.2.6", "acme:tools/hammer@1.0.0")), @"
    LAPTOP/dataset.toml:3:1: plugin.component: LAPTOP/mine.wasm: this component exports no `gristmill:plugin/item-processor@0.1.0`: it is not a gristmill plugin (it exports acme:tools/hammer@1.0.0)
    error: LAPTOP/mine.wasm: this component exports no `gristmill:plugin/item-processor@0.1.0`: it is not a gristmill plugin (it exports acme:tools/hammer@1.0.0)
    ");
}

#[test]
fn a_component_that_imports_what_nobody_has() {
    let component = hollow_component("acme:magic/wand@1.0.0", "gristmill:plugin/item-processor@0.1.0");
    assert_snapshot!(refused_component(&component), @"
    LAPTOP/dataset.toml:3:1: plugin.component: LAPTOP/mine.wasm: this component imports what this host does not offer: acme:magic/wand@1.0.0
    error: LAPTOP/mine.wasm: this component imports what this host does not offer: acme:magic/wand@1.0.0
    ");
}

#[test]
fn objects_of_every_bad_kind_cost_their_items_and_no_other() {
    let laptop = Laptop::with_stations([("A", 10), ("Z", 260)]);
    let (header, rows) = station("B", 20).split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    laptop.put("stations/empty.csv", "");
    laptop.put("stations/no-header.csv", &rows);
    laptop.put("stations/truncated.csv.gz", &gzip(station("B", 20).as_bytes())[..40]);
    laptop.put("stations/not-utf-8.csv", [header.as_bytes(), b"\n\xff\xfe,20200101,PRCP,1,,,C,\n"].concat());
    laptop.put("stations/not-a-number.csv", format!("{header}\nB,20200101,PRCP,1.5,,,C,0700\n"));
    laptop.put(
        "stations/quotes-and-crlf.csv",
        station("Q\"uote", 170).replace("Q\"uote", "\"Q\"\"uote\"").replace('\n', "\r\n"),
    );
    // The line is a hole in the file: nothing takes 100 MB of the disk.
    laptop.put("stations/long-line.csv", format!("{header}\nB,20200101,PRCP,"));
    File::options().append(true).open(laptop.object("stations/long-line.csv")).unwrap().set_len(100 << 20).unwrap();
    let items =
        ["A", "empty", "no-header", "missing", "not-utf-8", "not-a-number", "quotes-and-crlf", "long-line", "Z"];
    let mut lines: String = items.map(|name| format!("{{\"Key\":\"stations/{name}.csv\"}}\n")).concat();
    lines += "{\"Key\":\"stations/truncated.csv.gz\"}\n{\"key\":\"stations/A.csv\"}\n17\n";
    laptop.put("items.jsonl", lines);
    let dataset =
        laptop.dataset("item_reader = { json_lines = \"s3://data/items.jsonl\" }\ntolerated_rejected_percentage = 80");
    let mut run = laptop.begin(&dataset, &[]);
    let peak = peak_memory(&mut run);
    assert_snapshot!(laptop.said(run.wait_with_output().unwrap()).all(), @r#"
    exit 0
    stations: succeeded in TIME
      component  noaa-precipitation 0.1.0 (sha256:DIGEST…)
      items      12: 3 succeeded, 9 rejected
      batches    1 done now, 0 already done before, 0 failed
      output     stations: 3 rows, 131 B, in LAPTOP/cloud/tables.sqlite
      failures   2 × BadItem
                   batch 000000, item 10: the item {"key":"stations/A.csv"} cannot be used: missing field `Key` at line 1 column 24
                   17: the item 17 cannot be used: invalid type: integer `17`, expected struct S3Object at line 1 column 2
                 1 × BadHeader
                   stations/no-header.csv: s3://data/stations/no-header.csv has no column "ID" in its header, which is "B,20200101,PRCP,19,,,C,0700"
                 1 × BadValue
                   stations/not-a-number.csv: s3://data/stations/not-a-number.csv: line 2 has "1.5" as DATA_VALUE, which is not a whole number
                 1 × EmptyObject
                   stations/empty.csv: s3://data/stations/empty.csv is empty, there is no header
                 1 × NotUtf8
                   stations/not-utf-8.csv: s3://data/stations/not-utf-8.csv: line 2 has a ID that is not UTF-8
                 1 × ObjectInvalid
                   stations/truncated.csv.gz: s3://data/stations/truncated.csv.gz: the compressed bytes are damaged or cut off: unexpected end of file
                 1 × ObjectNotFound
                   stations/missing.csv: there is no object s3://data/stations/missing.csv
                 1 × RecordTooLong
                   stations/long-line.csv: s3://data/stations/long-line.csv: line 2 starts a record of more than 8388608 bytes; is there a quote that is never closed?

    stations begins with
    ┌────────┬──────┬────────────┐
    │ pk     ┆ PRCP ┆ DATE       │
    ╞════════╪══════╪════════════╡
    │ A      ┆ 10   ┆ 2020-01-02 │
    │ Q"uote ┆ 170  ┆ 2020-01-02 │
    │ Z      ┆ 260  ┆ 2020-01-02 │
    └────────┴──────┴────────────┘
    "#);
    assert_eq!(laptop.rows(), ["A 10 2020-01-02", "Q\"uote 170 2020-01-02", "Z 260 2020-01-02"]);
    assert!(peak < 150 << 20, "{} MB at the peak", peak >> 20);
}

#[test]
fn rejected_items_that_are_not_tolerated_fail_the_run_and_the_others_rows_are_there() {
    let laptop = Laptop::with_stations([("A", 10), ("C", 30)]);
    laptop.put("stations/B.csv", "");
    assert_snapshot!(laptop.map(&laptop.every_station(10), &[]).all(), @"
    exit 1
    stations: FAILED after TIME
      States.ExceedToleratedFailureThreshold: 3 items failed, tolerated_failure_percentage is 0
      What is done stays done; the same command runs only the rest.
      component  noaa-precipitation 0.1.0 (sha256:DIGEST…)
      items      3: 2 succeeded, 1 rejected
      batches    0 done now, 0 already done before, 1 failed
      output     stations: 2 rows, 82 B, in LAPTOP/cloud/tables.sqlite
      failures   1 × EmptyObject
                   stations/B.csv: s3://data/stations/B.csv is empty, there is no header

    stations begins with
    ┌────┬──────┬────────────┐
    │ pk ┆ PRCP ┆ DATE       │
    ╞════╪══════╪════════════╡
    │ A  ┆ 10   ┆ 2020-01-02 │
    │ C  ┆ 30   ┆ 2020-01-02 │
    └────┴──────┴────────────┘
    ");
    assert_eq!(laptop.rows(), ["A 10 2020-01-02", "C 30 2020-01-02"]);
}

#[test]
fn settings_that_break_the_schema() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let text = fs::read_to_string(laptop.every_station(1)).unwrap();
    let settings = "[settings]\ninclude_flaged = true\ninclude_flagged = \"yes\"\n[grants]";
    let dataset = laptop.write("dataset.toml", &text.replace("[grants]", settings));
    assert_snapshot!(refused(&laptop, &dataset), @r#"
    LAPTOP/dataset.toml:5:1: settings.include_flaged: the plugin `noaa-precipitation` has no setting `include_flaged`
        help: did you mean `include_flagged`?
    LAPTOP/dataset.toml:6:1: settings.include_flagged: "yes" is not of type "boolean"
    "#);
}

#[test]
fn no_items_at_all() {
    let laptop = Laptop::new();
    assert_snapshot!(laptop.map(&laptop.every_station(1), &[]).all(), @"
    exit 0
    warning: nothing was done: there are no items. They would be the objects under s3://data/stations/, which is LAPTOP/cloud/s3/data/stations/ here
    stations: there are no items: the objects under s3://data/stations/
      items      0: 0 succeeded
      batches    0 done now, 0 already done before, 0 failed
    ");
    let (code, summary) = laptop.map_json(&laptop.dataset("items = []"), &[]);
    assert_eq!((code, &summary["items"]["total"]), (Some(0), &json!(0)));
}

#[test]
fn a_bucket_that_is_not_there() {
    let laptop = Laptop::new();
    let dataset = laptop.dataset("item_reader = { list_objects = \"s3://dada/stations/\" }");
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"
    exit 1
    stations: FAILED after TIME
      States.ItemReaderFailed: there is no bucket `dada`: expected the directory LAPTOP/cloud/s3/dada
      What is done stays done; the same command runs only the rest.
      items      0: 0 succeeded
      batches    0 done now, 0 already done before, 0 failed
    ");
}

#[test]
fn items_that_cannot_be_read() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let mut said = String::new();
    let mut run = |reader: &str| {
        said += &laptop
            .map(&laptop.dataset(&format!("item_reader = {{ {reader} }}")), &[])
            .all()
            .lines()
            .nth(2)
            .map(|line| format!("{line}\n"))
            .unwrap()
    };
    run("json_lines = \"s3://data/missing.jsonl\"");
    laptop.put("items.jsonl", "{\"Key\":\"stations/A.csv\"}\n{\"Key\":\n");
    run("json_lines = \"s3://data/items.jsonl\"");
    laptop.put("items.json", "{\"items\": true}");
    run("json = \"s3://data/items.json\", pointer = \"/items\"");
    run("json = \"s3://data/items.json\", pointer = \"/itmes\"");
    laptop.put("items.csv", "Key\n\"stations/A.csv\n");
    run("csv = \"s3://data/items.csv\"");
    laptop.put("empty.csv", "");
    run("csv = \"s3://data/empty.csv\"");
    assert_snapshot!(said, @"
    States.ItemReaderFailed: there is no object s3://data/missing.jsonl
    States.ItemReaderFailed: s3://data/items.jsonl: line 2: not JSON: EOF while parsing a value at column 7
    States.ItemReaderFailed: s3://data/items.json: invalid type: boolean `true`, expected an array or an object at `/items` at line 1 column 14
    States.ItemReaderFailed: s3://data/items.json: the document has no `itmes` at line 1 column 15
    States.ItemReaderFailed: s3://data/items.csv: line 2: the row has a double quote that never ends
    States.ItemReaderFailed: s3://data/empty.csv: has no header: the object is empty
    ");
}

#[test]
fn an_item_that_no_batch_can_hold() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let dataset = laptop.dataset("items = [{ Key = \"stations/A.csv\" }]\nmax_input_bytes_per_batch = 60");
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"
    exit 1
    stations: FAILED after TIME
      States.DataLimitExceeded: item 0 (stations/A.csv) makes a batch of 67 bytes by itself, more than max_input_bytes_per_batch = 60: let an item selector take only what the plugin needs, or make batch_input smaller
      What is done stays done; the same command runs only the rest.
      items      1: 0 succeeded, 1 not run
      batches    0 done now, 0 already done before, 0 failed
    ");
}

#[test]
fn an_item_selector_that_does_not_fit() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let dataset =
        laptop.dataset("items = [{ Key = \"stations/A.csv\" }]\nitem_selector = { Key = \"{$$.Map.Item.Value.key}\" }");
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"
    exit 1
    stations: FAILED after TIME
      States.ParameterPathFailure: the item selector does not fit item 0 (stations/A.csv): `{$$.Map.Item.Value.key}`: there is no such field in the context object
      What is done stays done; the same command runs only the rest.
      items      0: 0 succeeded
      batches    0 done now, 0 already done before, 0 failed
    ");
}

#[test]
fn a_disk_without_room() {
    let laptop = Laptop::with_stations([]);
    for n in 0..60 {
        laptop.put(&format!("stations/S{n:02}.csv"), station(&format!("S{n:02}"), n));
    }
    let dataset = laptop.dataset(
        "item_reader = { list_objects = \"s3://data/stations/\" }\nmax_items_per_batch = 1\nmax_concurrency = 1\nmax_attempts = 0",
    );
    // A disk of 2 MB that is nearly full, in a mount namespace of its own; then there is room, and the same command again.
    let script = r#"
        mount --bind "$1" "$1.before" && mount -t tmpfs -o size=2m none "$1" && cp -r "$1.before/s3" "$1" || exit 99
        head -c "$2" /dev/zero > "$1/other"
        cd "$1" && shift 2
        "$@"; echo "exit $?"
        rm other
        "$@"; echo "exit $?"
    "#;
    fs::create_dir(laptop.root().join("cloud.before")).unwrap();
    let run = |other: &str| {
        let mut shell = Command::new("unshare");
        shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(laptop.local()).arg(other);
        let map = laptop.map_command(&dataset, &[]);
        shell.arg(map.get_program()).args(map.get_args());
        shell.envs(map.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let said = laptop.said(shell.output().unwrap());
        assert_eq!(said.code, Some(0), "this test mounts a small disk of its own: {}", said.all());
        let (full, room) = said.out.split_once("exit 1\n").expect("the first run fails");
        let (before, room) = room.split_once(" already done before").unwrap();
        let replayed: u64 = before.rsplit_once(' ').unwrap().1.parse().unwrap();
        assert!(room.contains("stations: 60 rows") && room.ends_with("exit 0\n"), "{room}");
        assert!(full.contains(&format!(": {replayed} succeeded, ")), "{replayed} of\n{full}");
        full.lines()
            .filter(|line| line.contains("full"))
            .map(|line| line.trim_start().to_owned() + "\n")
            .collect::<String>()
    };
    // Which file is the first without room depends on how much there is.
    for said in (run("1000k") + &run("1650k")).lines() {
        assert!(said.starts_with("Gristmill.OutputRefused: "), "{said}");
        let expected = [
            "the disk with `LAPTOP/cloud/tables.sqlite` is full: make room and run again; what was committed stays",
            "the ledger refused: the disk with `LAPTOP/cloud/.gristmill/ledger.sqlite` is full: make room and run again",
        ];
        assert!(expected.iter().any(|expected| said.ends_with(expected)), "{said}");
    }
}

#[test]
fn a_table_without_a_key() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let map = "item_reader = { list_objects = \"s3://data/stations/\" }";
    assert_snapshot!(refused(&laptop, &laptop.dataset_to(map, "table = \"stations\"")), @"LAPTOP/dataset.toml:9:1: output[0]: the key `key` is missing");
    assert_snapshot!(refused(&laptop, &laptop.dataset_to(map, "table = \"stations\"\nkey = [\"PK\"]")), @"
    LAPTOP/dataset.toml:12:1: output[0].key: the key column `PK` is not among the columns
        help: did you mean `pk`?
    ");
}

#[test]
fn a_table_that_exists_with_another_key() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let tables = rusqlite::Connection::open(laptop.local().join("tables.sqlite")).unwrap();
    tables
        .execute_batch(
            "CREATE TABLE stations (id TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO stations VALUES ('mine')",
        )
        .unwrap();
    assert_snapshot!(laptop.map(&laptop.every_station(1), &[]).all(), @"
    exit 2
    error: LAPTOP/dataset.toml: table `stations` in `LAPTOP/cloud/tables.sqlite` has the key `id`, the output's key is `pk`: change the dataset file, or rename or drop the table
    ");
    assert_eq!(laptop.query("SELECT id FROM stations"), ["mine"]);
}

#[test]
fn a_row_with_a_null_key() {
    let laptop = Laptop::with_stations([("A", 10), ("B", 20)]);
    let output = "table = \"stations\"\nkey = [\"pk\", \"sort\"]\ncolumns = { pk = \"text\", PRCP = \"int64\", DATE = \"date\", sort = \"text\" }";
    let dataset = laptop.dataset_to("item_reader = { list_objects = \"s3://data/stations/\" }", output);
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"
    exit 1
    stations: FAILED after TIME
      States.ExceedToleratedFailureThreshold: 2 items failed, tolerated_failure_percentage is 0
      What is done stays done; the same command runs only the rest.
      component  noaa-precipitation 0.1.0 (sha256:DIGEST…)
      items      2: 0 succeeded, 2 rejected
      batches    0 done now, 0 already done before, 1 failed
      output     stations: 0 rows, 0 B, in LAPTOP/cloud/tables.sqlite
      failures   2 × Gristmill.BadOutput
                   stations/A.csv: output `stations`: row 1: column `sort` has no value, and it is not nullable
                   stations/B.csv: output `stations`: row 1: column `sort` has no value, and it is not nullable
    ");
}

#[test]
fn a_row_that_dynamodb_could_not_take() {
    let laptop = Laptop::new();
    let deep = format!("{{\"id\":1,\"extra\":{}{}}}", "[".repeat(40), "]".repeat(40));
    let process = format!(
        "(if (i32.eqz (local.get $index)) (then (call $emit «rows» (i32.const 0) «{deep}» $out))
           (else (call $emit «rows» (i32.const 0) «{{\"id\":2,\"extra\":[]}}» $out))) (i32.const 0)"
    );
    fs::write(laptop.root().join("deep.wasm"), Guest::new(&process).component()).unwrap();
    let dataset = laptop.write(
        "dataset.toml",
        "dataset = \"rows\"\n[plugin]\ncomponent = \"deep.wasm\"\n[map]\nitems = [1, 2]\ntolerated_rejected_percentage = 50\n\
         [[output]]\nname = \"rows\"\ntable = \"rows\"\nkey = [\"id\"]\ncolumns = { id = \"int64\", extra = \"json\" }\n",
    );
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"
    exit 0
    rows: succeeded in TIME
      component  hostile 1.0.0 (sha256:DIGEST…)
      items      2: 1 succeeded, 1 rejected
      batches    1 done now, 0 already done before, 0 failed
      output     rows: 1 row, 20 B, in LAPTOP/cloud/tables.sqlite
      failures   1 × Gristmill.BadOutput
                   1: output `rows`: DynamoDB cannot take the row with id = 1: column `extra` holds JSON that is deeper than the 32 levels of DynamoDB

    rows begins with
    ┌────┬───────┐
    │ id ┆ extra │
    ╞════╪═══════╡
    │ 2  ┆ []    │
    └────┴───────┘
    ");
}

#[test]
fn a_key_that_is_doubled_within_a_batch() {
    let laptop = Laptop::with_stations([("A", 10), ("B", 20)]);
    laptop.put("stations/C.csv", station("A", 30));
    let map = "item_reader = { list_objects = \"s3://data/stations/\" }\ntolerated_rejected_percentage = 50";
    assert_snapshot!(laptop.map(&laptop.dataset(map), &[]).all(), @r#"
    exit 0
    stations: succeeded in TIME
      component  noaa-precipitation 0.1.0 (sha256:DIGEST…)
      items      3: 2 succeeded, 1 rejected
      batches    1 done now, 0 already done before, 0 failed
      output     stations: 2 rows, 82 B, in LAPTOP/cloud/tables.sqlite
      failures   1 × Gristmill.BadKey
                   stations/C.csv: output `stations`: row 1: another item of the batch has the key pk = "A"

    stations begins with
    ┌────┬──────┬────────────┐
    │ pk ┆ PRCP ┆ DATE       │
    ╞════╪══════╪════════════╡
    │ A  ┆ 10   ┆ 2020-01-02 │
    │ B  ┆ 20   ┆ 2020-01-02 │
    └────┴──────┴────────────┘
    "#);
    assert_eq!(laptop.rows(), ["A 10 2020-01-02", "B 20 2020-01-02"], "the first one stays");
}

#[test]
fn an_output_that_goes_nowhere() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let text = fs::read_to_string(laptop.every_station(1)).unwrap();
    let dataset = laptop.write("dataset.toml", &text.replace("name = \"stations\"", "name = \"station\""));
    assert_snapshot!(refused(&laptop, &dataset), @r#"
    LAPTOP/dataset.toml:10:3: output: the plugin's output `stations` goes nowhere
        help: add an `[[output]]` with `name = "stations"` and where its rows go
    LAPTOP/dataset.toml:11:1: output[0].name: the plugin `noaa-precipitation` has no output `station`
        help: did you mean `stations`?
    "#);
}

#[test]
fn every_mistake_of_a_dataset_file_at_once() {
    let laptop = Laptop::new();
    let dataset = laptop.write(
        "dataset.toml",
        r#"
dataset = "stations!"
[plugin]
component = "noaa-precipitation.wasm"
memmory = "64 MiB"
timeout = "soon"
[grants]
read = ["s3://${NO_SUCH_BUCKET}/"]
[map]
item_reader = { list_object = "s3://data/" }
max_concurrency = 0
[[output]]
name = "stations"
table = "stations"
key = "pk"
format = "parquett"
"#,
    );
    assert_snapshot!(refused(&laptop, &dataset), @r#"
    LAPTOP/dataset.toml:2:11: dataset: `stations!` is not a name
        help: a name is 1 to 63 letters, digits, `_` and `-`, and starts with a letter or digit
    LAPTOP/dataset.toml:5:1: plugin.memmory: unknown key `memmory`
        help: did you mean `memory`?
    LAPTOP/dataset.toml:6:11: plugin.timeout: expected a time span such as "30s" or "2h 30m", found the text "soon"
    LAPTOP/dataset.toml:8:9: grants.read[0]: `${NO_SUCH_BUCKET}` is not set
        help: give `--set NO_SUCH_BUCKET=...`, or set the environment variable `NO_SUCH_BUCKET`
    LAPTOP/dataset.toml:10:15: map.item_reader: expected one of the keys `list_objects`, `csv`, `json`, `json_lines`, `parquet`, `s3_inventory`, `athena_files`, `athena_rows`, `numbers`, `dates`, `stage` and `table`
    LAPTOP/dataset.toml:10:17: map.item_reader.list_object: unknown key `list_object`
        help: did you mean `list_objects`?
    LAPTOP/dataset.toml:11:19: map.max_concurrency: expected a number from 1 to 10,000 (Step Functions' most), found 0
    LAPTOP/dataset.toml:15:7: output[0].key: expected an array, found the text "pk"
    LAPTOP/dataset.toml:16:1: output[0].format: `format` belongs to `prefix`
    "#);
    let dataset = laptop.write("dataset.toml", "dataset = \"x\"\n[plugin\n");
    assert_snapshot!(refused(&laptop, &dataset), @"LAPTOP/dataset.toml:2:8: this is not TOML: unclosed table, expected `]`");
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let laptop = Laptop::new();
    let dataset = laptop.every_station(1);
    let mut said = String::new();
    for args in [["--input", "{"], ["--input", "@nosuch.json"], ["--set", "NAME"], ["--slots", "many"]] {
        said += laptop.map(&dataset, &args).all().lines().nth(1).unwrap();
        said += "\n";
    }
    said += &laptop.map(Path::new("nosuch.toml"), &[]).err;
    let file = laptop.write("file", "");
    let output = gristmill().arg("map").arg(&dataset).arg("--local").arg(&file).output().unwrap();
    said += &laptop.said(output).err;
    assert_snapshot!(said, @"
    error: --input {: this is no JSON: EOF while parsing an object at line 1 column 1
    error: --input @nosuch.json: No such file or directory (os error 2)
    error: invalid value 'NAME' for '--set <NAME=VALUE>': `NAME` is not NAME=VALUE (a name is letters, digits and `_`)
    error: invalid value 'many' for '--slots <N>': invalid digit found in string
    error: nosuch.toml: the dataset file cannot be read: No such file or directory (os error 2)
    error: --local LAPTOP/file: this is a file, not a folder
    ");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(bytes).unwrap();
    gzip.wait_with_output().unwrap().stdout
}

/// Waits until the process has ended; the most memory that it was seen to have, in bytes.
fn peak_memory(run: &mut Child) -> u64 {
    let status = PathBuf::from(format!("/proc/{}/status", run.id()));
    let mut peak = 0;
    while run.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0) * 1024);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(peak > 0, "nothing was seen of the process");
    peak
}

#[test]
fn a_definition_that_is_none() {
    let laptop = Laptop::new();
    let refused = |name: &str, text: &str| {
        let file = laptop.write(name, text);
        let said = laptop.run(&["lint", "--json", file.to_str().unwrap()]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{}", said.err);
        said.err
    };
    let large = format!("[{}0]", "0,".repeat(5_000_000));
    let said = [
        refused("no.json", "StartAt: Map"),
        refused("list.json", "[]"),
        refused("large.json", &large),
        laptop.run(&["lint", laptop.root().join("missing.json").to_str().unwrap()]).err,
    ];
    assert_snapshot!(said.concat(), @r"
    error: LAPTOP/no.json: it is no JSON: expected value at line 1 column 1; where it is the template of a definition, render it first
    error: LAPTOP/list.json: it is no state machine: that is an object with `StartAt` and `States`
    error: LAPTOP/large.json: it has more than 1048576 bytes, and Step Functions takes no larger definition
    error: LAPTOP/missing.json: No such file or directory (os error 2)
    ");
}

/// What a machine names cannot steer the terminal, and looks like no finding of ours.
#[test]
fn a_definition_with_hostile_names() {
    let laptop = Laptop::new();
    let callback = json!({"Type": "Task", "Resource": "a:sqs:sendMessage.waitForTaskToken", "End": true, "Retry": [
        {"ErrorEquals": ["Gristmill.\u{1b}[2J\nerror: all is well"]}
    ]});
    let machine = json!({"StartAt": "A", "States": {"A\n\u{1b}[2Jerror: x": callback}});
    let file = laptop.write("machine.json", &machine.to_string());
    let said = laptop.run(&["lint", file.to_str().unwrap()]);
    assert_eq!(said.code, Some(1));
    assert!(!said.out.contains('\u{1b}') && !said.out.lines().any(|line| line.starts_with("error")), "{}", said.out);
    assert!(said.out.contains("[unknown-error]"), "{}", said.out);
    let as_json = laptop.run(&["lint", "--json", file.to_str().unwrap()]);
    let linted: serde_json::Value = serde_json::from_str(&as_json.out).unwrap();
    assert_eq!((linted["callbacks"].as_u64(), linted["findings"][0]["line"].as_u64()), (Some(1), Some(1)));
}
