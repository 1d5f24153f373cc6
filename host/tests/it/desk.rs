//! `gristmill diff` and `gristmill replay`: what another version would change, and what was recorded again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use gristmill::registry::{self, Package};
use gristmill::{aws, job::Digest};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::emulator;
use crate::guest::Guest;
use crate::laptop::{Laptop, Said, gristmill};
use crate::rig::{Rig, copier, upload};
use crate::victim::Victim;

/// By item: the first one is the same in both versions, the second one has other rows and another value, the third one fails.
const ONE: &str = r#"
    (call $emit «rows» (i32.const 0) «{"id":1}» $out)
    (if (i32.eq (local.get $index) (i32.const 1)) (then (call $emit «rows» (i32.const 0) «{"id":2}» $out)))
    (call $text «"one"»)"#;
const TWO: &str = r#"
    (if (i32.eq (local.get $index) (i32.const 2)) (then (return (call $reject «Bad» «not today»))))
    (call $emit «rows» (i32.const 0) «{"id":1}» $out)
    (if (i32.eqz (local.get $index)) (then (return (call $text «"one"»))))
    (call $emit «rows» (i32.const 0) «{"id":3}» $out)
    (call $text «"two"»)"#;

fn component(version: &str, process: &str) -> Vec<u8> {
    Guest { version, ..Guest::new(process) }.component()
}

const TABLE: &str = "table = \"rows\"\nkey = [\"id\"]";
const OBJECTS: &str = "prefix = \"s3://data/rows/\"\nformat = \"csv\"";

fn rows_dataset(output: &str) -> String {
    format!(
        "dataset = \"rows\"\n[plugin]\ncomponent = \"rows.wasm\"\n[map]\nitems = [10, 20, 30]\nreports = \"s3://data/reports/\"\n\
         tolerated_rejected_percentage = 100\n[[output]]\nname = \"rows\"\n{output}\n"
    )
}

/// Puts a release into the laptop's registry.
async fn publish(laptop: &Laptop, name: &str, version: &str, dataset: &str, component: &[u8]) -> Digest {
    let place = laptop.root().join("registry");
    let registry = registry::open(place.to_str().unwrap(), aws::load).await.unwrap();
    let (name, version) = (name.parse().unwrap(), version.parse().unwrap());
    let (dataset, component) = (dataset.to_owned().into(), component.to_vec().into());
    let package = Package::new(name, version, dataset, component, BTreeMap::new()).unwrap();
    registry.add(&package).await.unwrap();
    package.digest()
}

/// A laptop whose registry has both versions of `rows`.
async fn with_rows(output: &str) -> Laptop {
    let laptop = Laptop::new();
    publish(&laptop, "rows", "1.0.0", &rows_dataset(output), &component("1.0.0", ONE)).await;
    publish(&laptop, "rows", "2.0.0", &rows_dataset(output), &component("2.0.0", TWO)).await;
    laptop
}

fn at_desk(laptop: &Laptop, args: &[&str]) -> Said {
    let (registry, local) = (laptop.root().join("registry"), laptop.local());
    let all = [args, &["--registry", registry.to_str().unwrap(), "--local", local.to_str().unwrap()]].concat();
    let said = laptop.run(&all);
    // How long it took is for people.
    let lines = said.out.lines().filter(|line| !line.starts_with("  time "));
    Said { out: lines.map(|line| without_digests(line) + "\n").collect(), ..said }
}

fn without_digests(line: &str) -> String {
    let mut parts = line.split("sha256:");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest =
        |part: &str| part.trim_start_matches("DIGEST").trim_start_matches(|c: char| c.is_ascii_hexdigit()).to_owned();
    parts.fold(first, |text, part| text + "sha256:DIGEST" + &rest(part))
}

/// The only report of a run.
fn report(laptop: &Laptop) -> PathBuf {
    let reports: Vec<_> = fs::read_dir(laptop.object("reports")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(reports.len(), 1, "{reports:?}");
    reports[0].clone()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_says_what_would_change_and_writes_nothing() {
    let laptop = with_rows(TABLE).await;
    let items = laptop.write("items.jsonl", "10\n\n20\n{\"Key\": \"third\"}\n");
    let diff = |old, new| at_desk(&laptop, &["diff", "rows", old, new, "--items", text(&items), "--slots", "2"]);
    assert_snapshot!(diff("1.0.0", "2.0.0").all(), @r#"
    exit 1
    rows: 1.0.0 (sha256:DIGEST…) → 2.0.0 (sha256:DIGEST…): something would change
      items      3: 1 the same, 1 changed, 1 newly failing
      rows       rows: 2 the same, 0 changed, 1 added, 1 removed
      memory     128.0 KiB before, 128.0 KiB after, at most
      item 1 (20)
        the returned value: "one" → "two"
        rows: id = 2: removed {"id":2}
        rows: id = 3: added {"id":3}
      item 2 (third)
        succeeded → Bad: not today
    "#);
    assert_snapshot!(diff("1.0.0", "1.0.0").all(), @r#"
    exit 0
    rows: 1.0.0 (sha256:DIGEST…) → 1.0.0 (sha256:DIGEST…): nothing would change
      items      3: 3 the same
      rows       rows: 4 the same, 0 changed, 0 added, 0 removed
      memory     128.0 KiB before, 128.0 KiB after, at most
    "#);
    let written: Vec<_> = fs::read_dir(laptop.local()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(written, ["s3"]);
    assert_eq!(fs::read_dir(laptop.local().join("s3/data")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_is_json_too_and_outputs_may_differ() {
    let laptop = with_rows(TABLE).await;
    let columns = format!("{TABLE}\ncolumns = {{ id = \"int64\", more = \"text?\" }}");
    publish(&laptop, "rows", "3.0.0", &rows_dataset(&columns), &component("3.0.0", ONE)).await;
    let items = laptop.write("items.jsonl", "10\n20");
    let said = at_desk(&laptop, &["diff", "rows", "1.0.0", "3.0.0", "--items", text(&items), "--json"]);
    let found: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &found["equal"], &found["new"]["version"]), (Some(1), &json!(false), &json!("3.0.0")));
    let comparison = &found["comparison"];
    assert_eq!((&comparison["items"], &comparison["same"]), (&json!(2), &json!(2)), "{found:#}");
    assert_eq!(comparison["schema"], json!([{"change": "column_added", "output": "rows", "column": "more"}]));
    assert!(comparison["memory"]["old"].as_u64().unwrap() >= 2 << 16);
    assert!(found["median_time_ratio"].as_f64().unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_that_cannot_be_tried_says_why() {
    let laptop = with_rows(TABLE).await;
    let items = laptop.write("items.jsonl", "10\n{");
    let good = laptop.write("good.jsonl", "10");
    let empty = laptop.write("empty.jsonl", "\n");
    let diff = |new, items: &Path| at_desk(&laptop, &["diff", "rows", "1.0.0", new, "--items", text(items)]).all();
    let all = [diff("2.0.0", &items), diff("9.0.0", &good), diff("2.0.0", &empty)].concat();
    assert_snapshot!(all.replace(laptop.root().to_str().unwrap(), "LAPTOP"), @r#"
    exit 2
    error: --items LAPTOP/items.jsonl:2: this is no JSON: EOF while parsing an object at line 1 column 1
    exit 2
    error: LAPTOP/registry has no rows 9.0.0: `gristmill versions rows` lists what it has
    exit 2
    error: --items LAPTOP/empty.jsonl: there are no items, one per line
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_comes_to_the_same_again() {
    let laptop = Laptop::with_stations([("A", 10), ("B", 20), ("C", 30)]);
    laptop.put("stations/D.csv", "no header");
    let map = "item_reader = { list_objects = \"s3://data/stations/\" }\nreports = \"s3://data/reports/\"\n\
               tolerated_rejected_percentage = 50";
    for output in ["table = \"stations\"\nkey = [\"pk\"]", "prefix = \"s3://data/out/\"\nformat = \"parquet\""] {
        fs::remove_dir_all(laptop.local().join(".gristmill")).ok();
        let dataset = laptop.dataset_to(map, output);
        assert_eq!(laptop.map(&dataset, &[]).code, Some(0));
        let report = report(&laptop);
        let local = laptop.local();
        let before = laptop.objects("out");
        let replay = |args: &[&str]| {
            let all = [&["replay"], args, &["--dataset", text(&dataset), "--local", text(&local)]].concat();
            laptop.run(&all)
        };
        insta::allow_duplicates! {
            assert_snapshot!(replay(&[text(&report)]).all(), @r#"
    exit 0
    stations, batch 000000: equal
      component  noaa-precipitation 0.1.0 (sha256:DIGEST…)
      items      4: 3 succeeded, 1 rejected
      output     stations: 3 rows (sha256:DIGEST)
    "#);
        }
        // From the store; from the message alone, which finds its report; and without any report.
        let uri = format!("s3://data/reports/{}", report.file_name().unwrap().to_str().unwrap());
        assert_eq!(replay(&[&uri]).out, replay(&[text(&report)]).out);
        let first: Value = serde_json::from_str(fs::read_to_string(&report).unwrap().lines().next().unwrap()).unwrap();
        let message = laptop.write("message.json", &serde_json::to_string_pretty(&first["batch"]["message"]).unwrap());
        assert_eq!(replay(&[text(&message)]).out, replay(&[text(&report)]).out);
        let kept = fs::read(&report).unwrap();
        fs::remove_file(&report).unwrap();
        let alone = replay(&[text(&message)]);
        assert_eq!(alone.code, Some(0));
        assert!(
            alone.out.starts_with("stations, batch 000000: there is nothing recorded to compare with\n"),
            "{}",
            alone.out
        );
        let elsewhere = laptop.root().join("report.jsonl");
        fs::write(&elsewhere, kept).unwrap();
        assert!(replay(&[text(&message), "--report", text(&elsewhere)]).out.contains("batch 000000: equal"));

        // Another input is another result.
        laptop.station("B", 21);
        let differs = replay(&[text(&elsewhere)]);
        laptop.station("B", 20);
        assert_eq!(differs.code, Some(1), "{}", differs.all());
        assert!(
            differs.out.contains("differs") && differs.out.contains("output stations: recorded 3 rows"),
            "{}",
            differs.out
        );
        laptop.put("stations/C.csv", "");
        let differs = replay(&[text(&elsewhere), "--json"]);
        laptop.station("C", 30);
        let differs: Value = serde_json::from_str(&differs.out).unwrap();
        assert_eq!((&differs["equal"], &differs["items"]["rejected"]), (&json!(false), &json!(2)));
        let item = &differs["differences"][1];
        assert_eq!((&item["differs"], &item["index"]), (&json!("item"), &json!(2)));
        assert!(item["now"].as_str().unwrap().starts_with("EmptyObject"), "{item}");
        assert_eq!(laptop.objects("out"), before, "nothing is written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_runs_on_the_version_that_it_ran_on_unless_another_one_is_given() {
    let laptop = with_rows(OBJECTS).await;
    let dataset = laptop.write("dataset.toml", &rows_dataset(OBJECTS));
    fs::write(laptop.root().join("rows.wasm"), component("1.0.0", ONE)).unwrap();
    assert_eq!(laptop.map(&dataset, &[]).code, Some(0));
    let report = report(&laptop);
    let replay = |args: &[&str]| at_desk(&laptop, &[&["replay", text(&report)], args].concat()).all();
    assert_snapshot!(replay(&[]), @r#"
    exit 0
    rows, batch 000000: equal
      component  hostile 1.0.0 (sha256:DIGEST…)
      items      3: 3 succeeded, 0 rejected
      output     rows: 4 rows (sha256:DIGEST)
    "#);
    assert_snapshot!(replay(&["--version", "2.0.0"]), @r#"
    exit 1
    rows, batch 000000: differs
      component  hostile 2.0.0 (sha256:DIGEST…)
      recorded   hostile 1.0.0 (sha256:DIGEST…)
      items      3: 2 succeeded, 1 rejected
      output     rows: 3 rows (sha256:DIGEST)
      output rows: recorded 4 rows (sha256:DIGEST), now 3 rows (sha256:DIGEST)
      item 1: recorded "one", now "two"
      item 2: recorded "one", now Bad: not today
    "#);
    // The file has another component by now.
    fs::write(laptop.root().join("rows.wasm"), component("2.0.0", TWO)).unwrap();
    let other = replay(&["--dataset", text(&dataset)]);
    assert!(other.starts_with("exit 2\nerror: the batch ran on component hostile 1.0.0"), "{other}");
    let unknown = replay(&["--version", "9.0.0"]);
    assert!(unknown.starts_with("exit 2") && unknown.contains("has no rows 9.0.0"), "{unknown}");
}

#[test]
fn a_batch_of_a_run_with_places_of_its_own_comes_to_the_same_again() {
    let laptop = Laptop::with_stations([("A", 10), ("B", 20)]);
    let dataset = laptop.dataset_to(
        "item_reader = { list_objects = \"s3://data/stations/\" }\nreports = \"s3://data/reports/{$.day}/\"",
        "prefix = \"s3://data/out/{$.day}/\"\nformat = \"parquet\"",
    );
    assert_eq!(laptop.map(&dataset, &["--input", r#"{"day": "01"}"#]).code, Some(0));
    let (name, report) = laptop.objects("reports/01").remove(0);
    let first: Value = serde_json::from_slice(report.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let message = laptop.write("message.json", &first["batch"]["message"].to_string());
    let local = laptop.local();
    for given in [&format!("s3://data/reports/01/{name}"), text(&message)] {
        let said = laptop.run(&["replay", given, "--dataset", text(&dataset), "--local", text(&local)]);
        assert!(said.code == Some(0) && said.out.starts_with("stations, batch 000000: equal\n"), "{}", said.all());
    }
    assert_eq!(laptop.objects("out/01").len(), 1, "it wrote nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replayed_says_why() {
    let laptop = with_rows(OBJECTS).await;
    let message = json!({
        "gristmill": 1, "dataset": "rows", "task_token": "t", "execution": "e", "state": "s", "input": {"Items": [1]},
    });
    let replay = |what: &Value| {
        let file = laptop.write("given.json", &what.to_string());
        at_desk(&laptop, &["replay", text(&file)]).all().replace(laptop.root().to_str().unwrap(), "LAPTOP")
    };
    let with = |field: &str, value: Value| {
        let mut changed = message.clone();
        changed[field] = value;
        changed
    };
    let all = [
        replay(&message),
        replay(&json!({"index": 0, "result": 1})),
        replay(&json!({"no": 1})),
        replay(&with("component", json!(Digest::of(b"nosuch")))),
        replay(&with("dataset", json!("nosuch"))),
        replay(&with("gristmill", json!(2))),
    ];
    assert_snapshot!(all.concat(), @r#"
    exit 2
    error: LAPTOP/registry: no version of rows is in use: give `--version`
    exit 2
    error: LAPTOP/given.json does not hold its batch: an earlier gristmill wrote it. Give the body of the batch's message instead
    exit 2
    error: LAPTOP/given.json is neither a report nor a message: line 1 is not a line of a report: it has neither a batch nor an item
    exit 2
    error: LAPTOP/registry has no release of rows with sha256:DIGEST: `--version VERSION` runs another one
    exit 2
    error: LAPTOP/registry: no version of nosuch is in use: give `--version`
    exit 2
    error: LAPTOP/given.json: the message is of version 2, this worker reads version 1: generate the state machine again with `gristmill asl`
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_comes_from_stdin_and_an_item_that_asks_for_another_try_has_no_result() {
    let laptop = Laptop::new();
    let component = Guest::new("(call $retry «NotYet» «later»)").component();
    fs::write(laptop.root().join("rows.wasm"), component).unwrap();
    let dataset = laptop.write("dataset.toml", &rows_dataset(OBJECTS));
    let mut command = gristmill();
    let local = laptop.local();
    command.args(["replay", "-", "--dataset", text(&dataset), "--local", text(&local)]);
    let mut replay = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let message = json!({"gristmill": 1, "dataset": "rows", "execution": "e", "state": "s", "input": {"Items": [1]}});
    std::io::Write::write_all(&mut replay.stdin.take().unwrap(), message.to_string().as_bytes()).unwrap();
    assert_snapshot!(laptop.said(replay.wait_with_output().unwrap()).all(), @r#"
    exit 2
    error: the batch came to no result: Gristmill.Retryable: dataset rows, batch e, item 0 (1): NotYet: later
    "#);
}

/// A worker's report lies in S3, and so does what the batch reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_the_cloud_comes_to_the_same_at_a_desk() {
    let rig = Rig::new(emulator::shared(), "desk").await;
    let data = "desk-data";
    let lines = |pk: &str| format!("{}\n{}\n", json!({"pk": pk, "n": 1}), json!({"pk": format!("{pk}2"), "n": 2}));
    upload(&rig.config, data, ["a", "b"].map(|key| (key.to_owned(), lines(key)))).await;
    let datasets = rig.dataset("datasets", &copier(&["rows", "lines"]), data, "", Some("format = \"parquet\""));
    let message = json!({
        "gristmill": 1, "dataset": "copies", "task_token.$": "$$.Task.Token", "attempt": 0, "state": "Batch",
        "execution.$": "$$.Execution.Id", "input": {"Items": [format!("s3://{data}/a"), format!("s3://{data}/b"), format!("s3://{data}/none")]},
    });
    let state = json!({
        "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "HeartbeatSeconds": 60,
        "Parameters": {"QueueUrl": rig.queue, "MessageBody": message}, "End": true,
    });
    let execution = rig.start(&json!({"StartAt": "Batch", "States": {"Batch": state}})).await;
    let worker = Victim::default();
    worker.is(rig.worker(&rig.endpoint, "datasets", "log"));
    rig.settled(&execution).await;
    worker.end().await;
    let before = rig.objects().await;
    let report = before.keys().find(|key| key.starts_with("reports/")).unwrap();
    let mut replay = gristmill();
    replay.envs(emulator::environment(&rig.endpoint));
    replay.args(["replay", &format!("s3://{}/{report}", rig.name), "--dataset"]).arg(datasets.join("dataset.toml"));
    let laptop = Laptop::new();
    let said = laptop.said(replay.output().unwrap());
    let out: String = said.out.lines().skip(1).map(|line| without_digests(line) + "\n").collect();
    assert!(said.out.lines().next().is_some_and(|line| line.ends_with(": equal")), "{}", said.all());
    assert_snapshot!(out, @"
    component  hostile 1.0.0 (sha256:DIGEST…)
    items      3: 2 succeeded, 1 rejected
    output     rows: 4 rows (sha256:DIGEST)
    output     lines: 4 rows (sha256:DIGEST)
    ");
    // An input that is another one by now is noticed, and nothing of all this was written.
    upload(&rig.config, data, [("b".to_owned(), lines("c"))]).await;
    let said = laptop.said(replay.output().unwrap());
    assert_eq!(said.code, Some(1), "{}", said.all());
    assert_eq!(rig.objects().await, before);
    assert_eq!(rig.rows().await.len(), 4);
}
