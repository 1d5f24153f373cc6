//! The edges of the commands: what strangers' texts do to a terminal, what guests print, and slips of the pen on the command line.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;

use crate::guest::Guest;
use crate::laptop::{Laptop, gristmill};

/// A laptop with a dataset over this guest, with these items.
fn with_guest(guest: &Guest<'_>, items: &str) -> (Laptop, PathBuf) {
    let laptop = Laptop::new();
    fs::write(laptop.root().join("mine.wasm"), guest.component()).unwrap();
    let dataset = laptop.write(
        "dataset.toml",
        &format!(
            "dataset = \"talk\"\n[plugin]\ncomponent = \"mine.wasm\"\n[map]\nitems = {items}\ntolerated_rejected_percentage = 100\n\
             [[output]]\nname = \"rows\"\ntable = \"rows\"\nkey = [\"id\"]\ncolumns = {{ id = \"int64\" }}\n"
        ),
    );
    (laptop, dataset)
}

/// Log lines without their time.
fn log_lines(stderr: &str) -> Vec<&str> {
    let lines = stderr.lines().filter(|line| line.contains("guest"));
    lines.map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest.trim())).collect()
}

const PRINTS: &str = "(call $write (call $stdout) «printed
» $out) (call $log (i32.const 2) «here» «logged») (call $log (i32.const 1) «here» «too much») (i32.const 0)";

#[test]
fn what_a_guest_prints_is_seen_with_its_item() {
    let (laptop, dataset) = with_guest(&Guest::new(PRINTS), "[{ Key = \"a.csv\" }, { n = 1 }]");
    let said = laptop.map(&dataset, &["--slots", "1"]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    let batch = said.err.split("batch=\"").nth(1).unwrap().split('"').next().unwrap();
    let lines = log_lines(&said.err).join("\n").replace(batch, "BATCH");
    for expected in [
        "INFO guest: printed dataset=\"talk\" batch=\"BATCH\" item=0 key=\"a.csv\" context=\"stdout\"",
        "INFO guest: logged dataset=\"talk\" batch=\"BATCH\" item=0 key=\"a.csv\" context=\"here\"",
        "INFO guest: printed dataset=\"talk\" batch=\"BATCH\" item=1 context=\"stdout\"",
    ] {
        assert!(lines.contains(expected), "no {expected} in\n{lines}");
    }
    assert!(!said.err.contains("too much"), "{}", said.err);
}

#[test]
fn what_guests_say_can_be_kept_away_and_has_a_bound() {
    let (laptop, dataset) = with_guest(&Guest::new(PRINTS), "[1]");
    assert_eq!(laptop.map(&dataset, &["--quiet"]).err, "");

    let items: Vec<String> = (0..800).map(|n| n.to_string()).collect();
    let (laptop, dataset) = with_guest(&Guest::new(PRINTS), &format!("[{}]", items.join(",")));
    let said = laptop.map(&dataset, &[]);
    assert_eq!(log_lines(&said.err).len(), 1001, "the lines, and the sentence about the others");
    let more = "warning: plugins said 600 lines more than are shown: `--log warn,guest=info` shows all\n";
    assert!(said.err.ends_with(more), "{}", said.err);
    let (laptop, dataset) = with_guest(&Guest::new(PRINTS), &format!("[{}]", items.join(",")));
    assert_eq!(log_lines(&laptop.map(&dataset, &["--log", "warn,guest=info"]).err).len(), 1600);
}

#[test]
fn a_guest_writes_no_line_of_the_hosts() {
    let forged = "(call $log (i32.const 2) «x» «well
2026-01-01T00:00:00Z  INFO batch fate=\"acked\" dataset=\"talk\"\u{1b}[2J») (i32.const 0)";
    let (laptop, dataset) = with_guest(&Guest::new(forged), "[1]");
    let text = laptop.map(&dataset, &[]).err;
    assert!(!text.lines().any(|line| line.starts_with("2026-01-01")) && !text.contains('\u{1b}'), "{text}");
    let (laptop, dataset) = with_guest(&Guest::new(forged), "[1]");
    let json = laptop.map(&dataset, &["--log-format", "json"]).err;
    let line = json.lines().find(|line| line.contains("well")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["target"], &line["item"], &line["key"]), (&"guest".into(), &0.into(), &"1".into()));
    assert!(line["message"].as_str().unwrap().starts_with("well\n2026-01-01"), "{line}");
}

/// What steers a terminal.
fn steers(text: &str) -> bool {
    text.contains(|c: char| {
        (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

#[test]
fn a_strangers_component_and_items_do_not_steer_the_terminal() {
    let evil = "1.0.0\u{1b}[2J\r\u{9b}\u{202e}\n  can reach nothing";
    let process = "(call $reject «bad» «why\u{1b}[2J\r\u{202e}\n  items      1: 1 succeeded»)";
    let guest = Guest { process, ..Guest::default() };
    let (laptop, dataset) = with_guest(&guest, "[{ Key = \"a\\u001b[2J\\r\\u202eb\" }]");
    let faked = laptop.root().join("faked.wasm");
    fs::write(&faked, Guest { version: evil, ..Guest::default() }.component()).unwrap();
    let inspected = laptop.run(&["plugin", "inspect", faked.to_str().unwrap()]);
    let mapped = laptop.map(&dataset, &[]);
    for said in [&inspected, &mapped] {
        let all = format!("{}{}", said.out, said.err);
        assert!(!steers(&all), "{all:?}");
        assert!(all.contains("\\u{1b}[2J"), "{all}");
    }
    // A version that nobody can see is none.
    assert_eq!((inspected.code, inspected.err.lines().count()), (Some(2), 1), "{inspected:?}");
    assert_eq!(mapped.out.lines().filter(|line| line.starts_with("  items ")).count(), 1, "{}", mapped.out);

    // Programs have what was said, to the letter.
    let printed = laptop.map(&dataset, &["--again", "--json"]).out;
    assert!(!steers(&printed), "{printed:?}");
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        json["failures"]["first"][0]["message"], "why\u{1b}[2J\r\u{202e}\n  items      1: 1 succeeded",
        "{json}"
    );
}

#[test]
fn a_folder_with_a_dataset_file_is_a_dataset() {
    let laptop = Laptop::with_stations([("A", 10)]);
    laptop.every_station(1);
    let folder = laptop.root().to_str().unwrap().to_owned();
    assert_snapshot!(laptop.run(&["check", &folder]).all(), @"
    exit 0
    LAPTOP/dataset.toml: dataset stations with noaa-precipitation 0.1.0 (sha256:DIGEST): nothing to complain about; outputs: stations
    ");
    assert_eq!(laptop.map(Path::new(&folder), &[]).code, Some(0));
    assert_eq!(laptop.run(&["asl", &folder, "--queue-url", "https://sqs.us-east-1.amazonaws.com/1/q"]).code, Some(0));
    let empty = laptop.root().join("cloud");
    let said = laptop.run(&["check", empty.to_str().unwrap()]);
    assert_snapshot!(said.all(), @"
    exit 1
    LAPTOP/cloud/dataset.toml: the dataset file cannot be read: No such file or directory (os error 2)
    ");
}

#[test]
fn what_is_set_has_a_place_in_the_file() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let text = fs::read_to_string(laptop.every_station(1)).unwrap();
    let dataset = laptop.write("dataset.toml", &text.replace("s3://data/stations/", "s3://${BUCKET}/stations/"));
    let path = dataset.to_str().unwrap();
    assert_eq!(laptop.map(&dataset, &["--set", "BUCKET=data"]).code, Some(0));
    let commands: [&[&str]; 3] = [&["check", path], &["map", path, "--local", "x"], &["asl", path, "--queue-url", "q"]];
    for command in commands {
        let said = laptop.run(&[command, &["--set", "BUKET=data"]].concat());
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
        assert_eq!(
            said.err,
            "error: --set: LAPTOP/dataset.toml: there is no `${BUKET}` in it: did you mean `BUCKET`?\n"
        );
    }
}

#[test]
fn a_folder_is_made_where_it_was_meant_to_be() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let dataset = laptop.every_station(1);
    let map =
        |local: PathBuf| laptop.said(gristmill().arg("map").arg(&dataset).arg("--local").arg(local).output().unwrap());
    assert_snapshot!(map(laptop.root().join("clod/demo")).all(), @"
    exit 2
    error: --local LAPTOP/clod/demo: there is neither this folder nor LAPTOP/clod to make it in: correct the path, or make that folder
    ");
    assert!(!laptop.root().join("clod").exists());
    let said = map(laptop.root().join("clod"));
    assert!(said.err.starts_with("LAPTOP/clod is new\n"), "{}", said.all());
    assert!(!map(laptop.root().join("clod")).err.contains("is new"));
}

/// `gristmill map` by somebody who is not root, for whom every folder can be written.
fn map_as_nobody(laptop: &Laptop, dataset: &Path) -> Command {
    let mut command = laptop.map_command(dataset, &[]);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534);
    }
    command
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let dataset = laptop.every_station(1);
    for (path, mode) in [(laptop.root().to_owned(), 0o755), (laptop.local(), 0o555)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let said = laptop.said(map_as_nobody(&laptop, &dataset).output().unwrap());
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    let sentence = "error: --local LAPTOP/cloud: this user may not write LAPTOP/cloud: give it the permission (`chmod u+w LAPTOP/cloud`), or name another folder: Permission denied";
    assert!(said.err.starts_with(sentence), "{}", said.err);
    fs::set_permissions(laptop.local(), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_byte_order_mark_means_nothing() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let text = fs::read_to_string(laptop.every_station(1)).unwrap();
    let text = text.replace("list_objects = \"s3://data/stations/\"", "list_objects = \"s3://data/{$.folder}/\"");
    let dataset = laptop.write("dataset.toml", &format!("\u{feff}{text}"));
    let input = laptop.write("input.json", "\u{feff}{\"folder\": \"stations\"}");
    let said = laptop.map(&dataset, &["--input", &format!("@{}", input.display())]);
    assert_eq!((said.code, laptop.rows().len()), (Some(0), 1), "{}", said.all());
    // Places are counted without it.
    let wrong = laptop.write("dataset.toml", &format!("\u{feff}datast = 1\n{text}"));
    let said = laptop.run(&["check", wrong.to_str().unwrap()]);
    assert!(said.out.contains("dataset.toml:1:1: datast: unknown key"), "{}", said.all());
}
