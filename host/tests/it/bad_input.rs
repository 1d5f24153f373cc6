//! Bad input: one clear error each (what, where, what to do), and nothing else is lost.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use insta::assert_snapshot;
use serde_json::json;

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
    assert_snapshot!(refused(&laptop, &dataset), @"");
}

#[test]
fn not_a_component() {
    assert_snapshot!(refused_component(b"#!/bin/sh\nexit 1\n"), @"");
}

#[test]
fn a_damaged_component() {
    let bytes = fs::read(plugin("noaa-precipitation")).unwrap();
    let said = refused_component(&bytes[..bytes.len() / 2]);
    assert!(said.contains("this is not a WebAssembly component: unexpected end"), "{said}");
}

#[test]
fn a_core_module() {
    assert_snapshot!(refused_component(b"\0asm\x01\0\0\0"), @"");
}

#[test]
fn a_component_for_another_version_of_the_contract() {
    let component = hollow_component("gristmill:plugin/types@0.2.0", "gristmill:plugin/item-processor@0.2.0");
    assert_snapshot!(refused_component(&component), @"");
}

#[test]
fn a_component_that_is_no_plugin() {
    assert_snapshot!(refused_component(&hollow_component("wasi:io/poll@0.2.6", "acme:tools/hammer@1.0.0")), @"");
}

#[test]
fn a_component_that_imports_what_nobody_has() {
    let component = hollow_component("acme:magic/wand@1.0.0", "gristmill:plugin/item-processor@0.1.0");
    assert_snapshot!(refused_component(&component), @"");
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
    assert_snapshot!(laptop.said(run.wait_with_output().unwrap()).all(), @"");
    assert_eq!(laptop.rows(), ["A 10 2020-01-02", "Q\"uote 170 2020-01-02", "Z 260 2020-01-02"]);
    assert!(peak < 150 << 20, "{} MB at the peak", peak >> 20);
}

#[test]
fn rejected_items_that_are_not_tolerated_fail_the_run_and_the_others_rows_are_there() {
    let laptop = Laptop::with_stations([("A", 10), ("C", 30)]);
    laptop.put("stations/B.csv", "");
    assert_snapshot!(laptop.map(&laptop.every_station(10), &[]).all(), @"");
    assert_eq!(laptop.rows(), ["A 10 2020-01-02", "C 30 2020-01-02"]);
}

#[test]
fn settings_that_break_the_schema() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let text = fs::read_to_string(laptop.every_station(1)).unwrap();
    let settings = "[settings]\ninclude_flaged = true\ninclude_flagged = \"yes\"\n[grants]";
    let dataset = laptop.write("dataset.toml", &text.replace("[grants]", settings));
    assert_snapshot!(refused(&laptop, &dataset), @"");
}

#[test]
fn no_items_at_all() {
    let laptop = Laptop::new();
    assert_snapshot!(laptop.map(&laptop.every_station(1), &[]).all(), @"");
    let (code, summary) = laptop.map_json(&laptop.dataset("items = []"), &[]);
    assert_eq!((code, &summary["items"]["total"]), (Some(0), &json!(0)));
}

#[test]
fn a_bucket_that_is_not_there() {
    let laptop = Laptop::new();
    let dataset = laptop.dataset("item_reader = { list_objects = \"s3://dada/stations/\" }");
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"");
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
    laptop.put("items.json", "{\"items\": {}}");
    run("json = \"s3://data/items.json\", pointer = \"/items\"");
    run("json = \"s3://data/items.json\", pointer = \"/itmes\"");
    laptop.put("items.csv", "Key\n\"stations/A.csv\n");
    run("csv = \"s3://data/items.csv\"");
    laptop.put("empty.csv", "");
    run("csv = \"s3://data/empty.csv\"");
    assert_snapshot!(said, @"");
}

#[test]
fn an_item_that_no_batch_can_hold() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let dataset = laptop.dataset("items = [{ Key = \"stations/A.csv\" }]\nmax_input_bytes_per_batch = 60");
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"");
}

#[test]
fn an_item_selector_that_does_not_fit() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let dataset =
        laptop.dataset("items = [{ Key = \"stations/A.csv\" }]\nitem_selector = { Key = \"{$$.Map.Item.Value.key}\" }");
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"");
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
        assert!(full.contains(&format!("60: {replayed} succeeded, 1 in failed batches")), "{replayed} of\n{full}");
        full.lines()
            .filter(|line| line.contains("full"))
            .map(|line| line.trim_start().to_owned() + "\n")
            .collect::<String>()
    };
    // Which of the files is the first without room depends on how much there was.
    let said = run("1000k") + &run("1700k");
    assert_snapshot!(said.replace("batch 0000", "batch …"), @"");
}

#[test]
fn a_table_without_a_key() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let map = "item_reader = { list_objects = \"s3://data/stations/\" }";
    assert_snapshot!(refused(&laptop, &laptop.dataset_to(map, "table = \"stations\"")), @"");
    assert_snapshot!(refused(&laptop, &laptop.dataset_to(map, "table = \"stations\"\nkey = [\"PK\"]")), @"");
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
    assert_snapshot!(laptop.map(&laptop.every_station(1), &[]).all(), @"");
    assert_eq!(laptop.query("SELECT id FROM stations"), ["mine"]);
}

#[test]
fn a_row_with_a_null_key() {
    let laptop = Laptop::with_stations([("A", 10), ("B", 20)]);
    let output = "table = \"stations\"\nkey = [\"pk\", \"sort\"]\ncolumns = { pk = \"text\", PRCP = \"int64\", DATE = \"date\", sort = \"text\" }";
    let dataset = laptop.dataset_to("item_reader = { list_objects = \"s3://data/stations/\" }", output);
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"");
}

#[test]
fn a_key_that_is_doubled_within_a_batch() {
    let laptop = Laptop::with_stations([("A", 10), ("B", 20)]);
    laptop.put("stations/C.csv", station("A", 30));
    let map = "item_reader = { list_objects = \"s3://data/stations/\" }\ntolerated_rejected_percentage = 50";
    assert_snapshot!(laptop.map(&laptop.dataset(map), &[]).all(), @"");
    assert_eq!(laptop.rows(), ["A 10 2020-01-02", "B 20 2020-01-02"], "the first one stays");
}

#[test]
fn an_output_that_goes_nowhere() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let text = fs::read_to_string(laptop.every_station(1)).unwrap();
    let dataset = laptop.write("dataset.toml", &text.replace("name = \"stations\"", "name = \"station\""));
    assert_snapshot!(refused(&laptop, &dataset), @"");
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
    assert_snapshot!(refused(&laptop, &dataset), @"");
    let dataset = laptop.write("dataset.toml", "dataset = \"x\"\n[plugin\n");
    assert_snapshot!(refused(&laptop, &dataset), @"");
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
    assert_snapshot!(said, @"");
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
