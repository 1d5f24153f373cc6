//! `gristmill map --local`: the Distributed Map on one machine, run after run.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::guest::Guest;
use crate::laptop::{Laptop, gristmill, station};
use crate::support::project;

const THREE: [(&str, i64); 3] = [("A", 10), ("B", 20), ("C", 30)];

#[test]
fn a_run_says_what_was_done_and_shows_some_rows() {
    let laptop = Laptop::with_stations(THREE);
    assert_snapshot!(laptop.map(&laptop.every_station(2), &[]).all(), @"
    exit 0
    stations: succeeded in TIME
      component  noaa-precipitation 0.1.0 (sha256:DIGEST…)
      items      3: 3 succeeded
      batches    2 done now, 0 already done before, 0 failed
      output     stations: 3 rows, 123 B, in LAPTOP/cloud/tables.sqlite

    stations begins with
    ┌────┬──────┬────────────┐
    │ pk ┆ PRCP ┆ DATE       │
    ╞════╪══════╪════════════╡
    │ A  ┆ 10   ┆ 2020-01-02 │
    │ B  ┆ 20   ┆ 2020-01-02 │
    │ C  ┆ 30   ┆ 2020-01-02 │
    └────┴──────┴────────────┘
    ");
}

#[test]
fn a_second_run_has_nothing_to_do_and_writes_nothing() {
    let laptop = Laptop::with_stations(THREE);
    let dataset = laptop.dataset_to(
        "item_reader = { list_objects = \"s3://data/stations/\" }",
        "prefix = \"s3://data/out/\"\nformat = \"json_lines\"",
    );
    laptop.map(&dataset, &[]);
    let written = || {
        let names = laptop.objects("out");
        names
            .iter()
            .map(|(name, _)| fs::metadata(laptop.object("out").join(name)).unwrap().modified().unwrap())
            .collect::<Vec<_>>()
    };
    let before = written();
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"
    exit 0
    stations: nothing new to do; everything had been done before
      component  noaa-precipitation 0.1.0 (sha256:DIGEST…)
      items      3: 3 succeeded
      batches    0 done now, 1 already done before, 0 failed
      output     stations: 3 rows, 123 B, in LAPTOP/cloud/s3/data/out/000000-f0c6ca9af293.jsonl
    ");
    assert_eq!((before.len(), written()), (1, before));
}

#[test]
fn what_changed_is_done_again_and_nothing_else() {
    let laptop = Laptop::with_stations(THREE);
    let dataset = laptop.every_station(1);
    let run = || {
        let (code, summary) = laptop.map_json(&dataset, &[]);
        assert_eq!((code, &summary["status"]), (Some(0), &json!("succeeded")));
        (summary["batches"]["done"].as_u64().unwrap(), summary["batches"]["replayed"].as_u64().unwrap())
    };
    assert_eq!(run(), (3, 0));
    laptop.station("B", 25);
    assert_eq!(run(), (1, 2), "the file that changed");
    laptop.station("D", 40);
    assert_eq!(run(), (1, 3), "the file that was added");
    assert_eq!(laptop.rows(), ["A 10 2020-01-02", "B 25 2020-01-02", "C 30 2020-01-02", "D 40 2020-01-02"]);
    fs::remove_file(laptop.object("stations/D.csv")).unwrap();
    assert_eq!(run(), (0, 3), "the last file was removed");
    assert_eq!(laptop.rows().len(), 4, "rows of a table stay, as they do in DynamoDB");
    laptop.station("D", 40);
    assert_eq!(run(), (1, 3), "a file that came back");
}

#[test]
fn other_settings_are_other_work() {
    let laptop = Laptop::with_stations(THREE);
    let dataset = laptop.every_station(1);
    laptop.map(&dataset, &[]);
    let text = fs::read_to_string(&dataset).unwrap();
    fs::write(&dataset, text.replace("[grants]", "[settings]\ninclude_flagged = true\n[grants]")).unwrap();
    assert_eq!(laptop.map_json(&dataset, &[]).1["batches"], json!({"done": 3, "replayed": 0, "failed": 0}));
}

#[test]
fn objects_of_batches_that_are_no_more_are_removed() {
    for format in ["csv", "json_lines", "parquet", "csv\"\ncompression = \"gzip"] {
        let (all, some) = (Laptop::with_stations(THREE), Laptop::with_stations([("A", 10), ("C", 30)]));
        let run = |laptop: &Laptop| {
            let dataset = laptop.dataset_to(
                "item_reader = { list_objects = \"s3://data/stations/\" }\nmax_items_per_batch = 1",
                &format!("prefix = \"s3://data/out/\"\nformat = \"{format}\""),
            );
            assert_eq!(laptop.map_json(&dataset, &[]).0, Some(0));
            laptop.objects("out")
        };
        assert_eq!(run(&all).len(), 3, "{format}");
        fs::remove_file(all.object("stations/B.csv")).unwrap();
        assert!(run(&all) == run(&some), "{format}: as if the station had never been there");
    }
}

/// Whoever reads them needs no gristmill: Python's gzip is another library than ours. What reads items finds in the name how.
#[test]
fn compressed_objects_are_the_plain_ones_under_a_longer_name() {
    let laptop = Laptop::with_stations(THREE);
    let run = |output: &str| {
        let map = "item_reader = { list_objects = \"s3://data/stations/\" }";
        let dataset = laptop.dataset_to(map, &format!("prefix = \"s3://data/out/\"\n{output}"));
        assert_eq!(laptop.map_json(&dataset, &[]).1["batches"], json!({"done": 1, "replayed": 0, "failed": 0}));
        assert_eq!(laptop.map_json(&dataset, &[]).1["batches"], json!({"done": 0, "replayed": 1, "failed": 0}));
        let object = laptop.objects("out").remove(0);
        fs::remove_file(laptop.object("out").join(&object.0)).unwrap();
        object
    };
    for (format, reader) in [("csv", "csv"), ("json_lines", "json_lines")] {
        let items = |(name, bytes): &(String, Vec<u8>)| {
            laptop.put(name, bytes);
            let reader = format!("[map]\nitem_reader = {{ {reader} = \"s3://data/{name}\" }}\n");
            let dataset =
                laptop.write("items.toml", &format!("dataset = \"d\"\nplugin.component = \"p.wasm\"\n{reader}"));
            laptop.run(&["items", dataset.to_str().unwrap(), "--local", laptop.local().to_str().unwrap()]).out
        };
        let plain = run(&format!("format = \"{format}\""));
        for (compression, ending) in [("gzip", ".gz"), ("zstd", ".zst")] {
            let compressed = run(&format!("format = \"{format}\"\ncompression = \"{compression}\""));
            assert_eq!(compressed.0, format!("{}{ending}", plain.0));
            assert_eq!(items(&compressed), items(&plain));
            assert_eq!(items(&compressed).lines().count(), 3);
            if compression == "gzip" {
                let file = laptop.object(&compressed.0);
                let script = "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
                let mut python = Command::new(project("target/venv-emulator/bin/python"));
                assert!(python.args(["-c", script]).arg(file).output().unwrap().stdout == plain.1);
            }
        }
    }
}

#[test]
fn objects_of_a_batch_that_failed_and_was_tolerated_stay() {
    let laptop = Laptop::with_stations(THREE);
    laptop.put("stations/B.csv", "no,header\n");
    let dataset = laptop.dataset_to(
        "item_reader = { list_objects = \"s3://data/stations/\" }\nmax_items_per_batch = 1\ntolerated_failure_count = 1",
        "prefix = \"s3://data/out/\"\nformat = \"csv\"",
    );
    for _ in 0..2 {
        assert_eq!(laptop.map_json(&dataset, &[]).0, Some(0));
        let rows: Vec<_> =
            laptop.objects("out").into_iter().map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect();
        assert_eq!(rows, ["pk,PRCP,DATE\nA,10,2020-01-02\n", "pk,PRCP,DATE\nC,30,2020-01-02\n"]);
    }
}

/// Enough work that a run can be caught in the middle of it.
fn much_work(output: &str) -> (Laptop, std::path::PathBuf) {
    let laptop = Laptop::new();
    for n in 0..BATCHES {
        let id = format!("S{n:03}");
        let file = station(&id, n);
        let (header, rows) = file.split_once('\n').unwrap();
        laptop.put(&format!("stations/{id}.csv"), format!("{header}\n{}", rows.repeat(2_000)));
    }
    let map = "item_reader = { list_objects = \"s3://data/stations/\" }\nmax_items_per_batch = 1\nmax_concurrency = 1";
    let dataset = laptop.dataset_to(map, output);
    (laptop, dataset)
}

const BATCHES: i64 = 60;

/// Waits until the ledger has a few batches, and says how many.
fn caught_in_the_middle(laptop: &Laptop, run: &mut Child) {
    let start = Instant::now();
    while laptop.committed() < 3 {
        assert!(run.try_wait().unwrap().is_none(), "the run ended before it could be caught");
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was committed");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills a run in the middle and starts it again; says what the second one did.
fn killed_and_restarted(laptop: &Laptop, dataset: &Path) {
    let mut run = laptop.begin(dataset, &[]);
    caught_in_the_middle(laptop, &mut run);
    run.kill().unwrap();
    run.wait().unwrap();
    let committed = laptop.committed();
    assert!((3..BATCHES.cast_unsigned()).contains(&committed), "{committed} batches were committed");
    let (code, summary) = laptop.map_json(dataset, &[]);
    assert_eq!(code, Some(0));
    let rest = BATCHES.cast_unsigned() - committed;
    assert_eq!(summary["batches"], json!({"done": rest, "replayed": committed, "failed": 0}), "nothing is done twice");
    assert_eq!(summary["outputs"][0]["rows"], BATCHES);
}

#[test]
fn a_killed_run_goes_on_and_its_table_is_the_same() {
    let to_table = "table = \"stations\"\nkey = [\"pk\"]";
    let (undisturbed, dataset) = much_work(to_table);
    assert_eq!(undisturbed.map_json(&dataset, &[]).0, Some(0));
    let (laptop, dataset) = much_work(to_table);
    killed_and_restarted(&laptop, &dataset);
    assert_eq!(laptop.rows(), undisturbed.rows());
}

#[test]
fn a_killed_run_goes_on_and_its_objects_are_the_same_bytes() {
    for format in ["csv", "json_lines", "parquet", "json_lines\"\ncompression = \"zstd"] {
        let to_objects = format!("prefix = \"s3://data/out/\"\nformat = \"{format}\"");
        let (undisturbed, dataset) = much_work(&to_objects);
        assert_eq!(undisturbed.map_json(&dataset, &[]).0, Some(0));
        let (laptop, dataset) = much_work(&to_objects);
        killed_and_restarted(&laptop, &dataset);
        assert!(laptop.objects("out") == undisturbed.objects("out"), "{format}");
    }
}

#[test]
fn an_interrupted_run_says_how_to_go_on_and_does() {
    let (laptop, dataset) = much_work("table = \"stations\"\nkey = [\"pk\"]");
    let mut run = laptop.begin(&dataset, &[]);
    caught_in_the_middle(&laptop, &mut run);
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    let said = laptop.said(run.wait_with_output().unwrap());
    assert_eq!(said.code, Some(130));
    assert_snapshot!(said.err, @"stopping when the batches that are under way are done; Ctrl-C again stops at once");
    assert_eq!(said.out.lines().next(), Some("stations: interrupted after TIME; the same command goes on from here"));
    let committed = laptop.committed();
    let (code, summary) = laptop.map_json(&dataset, &[]);
    assert_eq!((code, &summary["batches"]["replayed"]), (Some(0), &json!(committed)));
    assert_eq!(laptop.rows().len(), BATCHES as usize);
}

/// Runs a dataset whose items name stations' files, and gives the rows.
fn rows_of(laptop: &Laptop, map: &str, args: &[&str]) -> Vec<String> {
    let (code, summary) = laptop.map_json(&laptop.dataset(map), args);
    assert_eq!(code, Some(0), "{summary:#}");
    laptop.rows().iter().map(|row| row.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn items_are_the_rows_of_a_csv_object() {
    let laptop = Laptop::with_stations(THREE);
    laptop.put("list.csv", "Key,Note\nstations/A.csv,\"first, of all\"\nstations/C.csv,\r\n");
    assert_eq!(rows_of(&laptop, "item_reader = { csv = \"s3://data/list.csv\" }", &[]), ["A", "C"]);
    let laptop = Laptop::with_stations(THREE);
    laptop.put("list.csv", "x;stations/B.csv\ny;stations/C.csv\n");
    let map = "item_reader = { csv = \"s3://data/list.csv\", headers = [\"Note\", \"Key\"], delimiter = \";\" }";
    assert_eq!(rows_of(&laptop, map, &[]), ["B", "C"]);
}

#[test]
fn items_are_the_elements_of_a_json_array() {
    let laptop = Laptop::with_stations(THREE);
    laptop.put("list.json", r#"{"days": [{"files": 1}, {"files": [{"Key": "stations/B.csv"}]}]}"#);
    let map = "item_reader = { json = \"s3://data/list.json\", pointer = \"/days/1/files\" }";
    assert_eq!(rows_of(&laptop, map, &[]), ["B"]);
}

#[test]
fn items_are_the_lines_of_an_object() {
    let laptop = Laptop::with_stations(THREE);
    laptop.put("list.jsonl", "{\"Key\": \"stations/A.csv\"}\n\n{\"Key\": \"stations/B.csv\"}");
    assert_eq!(rows_of(&laptop, "item_reader = { json_lines = \"s3://data/list.jsonl\" }", &[]), ["A", "B"]);
}

#[test]
fn items_are_given_in_the_dataset_file_or_in_the_input() {
    let laptop = Laptop::with_stations(THREE);
    assert_eq!(rows_of(&laptop, "items = [{ Key = \"stations/C.csv\" }]", &[]), ["C"]);
    let laptop = Laptop::with_stations(THREE);
    let input = r#"{"work": {"files": [{"Key": "stations/A.csv"}, {"Key": "stations/C.csv"}]}}"#;
    assert_eq!(rows_of(&laptop, "items = \"{$.work.files}\"", &["--input", input]), ["A", "C"]);
    let laptop = Laptop::with_stations(THREE);
    let file = format!("@{}", laptop.write("input.json", input).display());
    assert_eq!(rows_of(&laptop, "items = \"{$.work.files}\"", &["--input", &file]), ["A", "C"]);
}

#[test]
fn an_item_selector_and_the_input_make_the_items() {
    let laptop = Laptop::with_stations(THREE);
    let map = "items = [\"A\", \"B\"]\n\
               item_selector = { Key = \"{$.folder}/{$$.Map.Item.Value}.csv\", Size = \"{$$.Map.Item.Index}\" }";
    assert_eq!(rows_of(&laptop, map, &["--input", r#"{"folder": "stations"}"#]), ["A", "B"]);
}

#[test]
fn the_input_says_where_items_are_read_from_and_another_input_is_another_run() {
    let laptop = Laptop::with_stations(THREE);
    laptop.put("2024/D.csv", station("D", 40));
    let map = "item_reader = { list_objects = \"s3://data/{$.prefix}/\" }";
    assert_eq!(rows_of(&laptop, map, &["--input", r#"{"prefix": "2024"}"#]), ["D"]);
    assert_eq!(rows_of(&laptop, map, &["--input", r#"{"prefix": "stations"}"#]), ["A", "B", "C", "D"]);
    let (_, summary) = laptop.map_json(&laptop.dataset(map), &["--input", r#"{"prefix": "2024"}"#]);
    assert_eq!(summary["batches"], json!({"done": 0, "replayed": 1, "failed": 0}));
}

#[test]
fn batches_are_cut_by_bytes() {
    let laptop = Laptop::with_stations(THREE);
    let items = "items = [{ Key = \"stations/A.csv\" }, { Key = \"stations/B.csv\" }, { Key = \"stations/C.csv\" }]";
    // {"BatchInput":{"Bucket":"data"},"Items":[]} and two items of 24 bytes with a comma.
    for (bytes, batches) in [(43 + 24 + 1 + 24, 2), (43 + 24 + 24, 3)] {
        let dataset = laptop.dataset(&format!("{items}\nmax_input_bytes_per_batch = {bytes}"));
        let (_, summary) = laptop.map_json(&dataset, &[]);
        let counts = &summary["batches"];
        assert_eq!(counts["done"].as_u64().unwrap() + counts["replayed"].as_u64().unwrap(), batches, "{bytes}");
    }
}

/// Twelve items of which two have no file, in batches of two, one of them in the second batch and one in the fifth.
fn run_with_failures(tolerated: &str) -> (Option<i32>, Value) {
    let laptop = Laptop::new();
    for n in 0..12 {
        let id = format!("S{n:02}");
        let text = if n == 3 || n == 8 { String::new() } else { station(&id, n) };
        laptop.put(&format!("stations/{id}.csv"), text);
    }
    let map = "item_reader = { list_objects = \"s3://data/stations/\" }\nmax_items_per_batch = 2\nmax_concurrency = 1";
    let (code, summary) = laptop.map_json(&laptop.dataset(&format!("{map}\n{tolerated}")), &[]);
    if summary["status"] == "succeeded" {
        assert_eq!(laptop.rows().len(), 10, "nothing is lost");
    }
    (code, summary)
}

#[test]
fn failures_are_tolerated_by_count_and_by_percentage() {
    // Two batches fail, and a failed batch counts with all its items: four.
    for tolerated in
        ["tolerated_failure_count = 4", "tolerated_failure_percentage = 34", "tolerated_rejected_percentage = 50"]
    {
        let (code, summary) = run_with_failures(tolerated);
        assert_eq!((code, &summary["status"]), (Some(0), &json!("succeeded")), "{tolerated}");
        let items = json!({"total": 12, "succeeded": 10, "rejected": 2, "failed": 0, "replayed": 0});
        assert_eq!(summary["items"], items, "{tolerated}");
        assert_eq!(summary["failures"]["by_code"], json!({"EmptyObject": 2}), "{tolerated}");
    }
    for (not_tolerated, cause) in [
        ("tolerated_failure_count = 3", "4 items failed, tolerated_failure_count is 3"),
        ("tolerated_failure_percentage = 33", "4 of 12 items failed, tolerated_failure_percentage is 33"),
        ("tolerated_rejected_percentage = 49", "2 items failed, tolerated_failure_percentage is 0"),
    ] {
        let (code, summary) = run_with_failures(not_tolerated);
        let error = json!({"name": "States.ExceedToleratedFailureThreshold", "cause": cause});
        assert_eq!((code, &summary["status"], &summary["error"]), (Some(1), &json!("failed"), &error));
    }
}

#[test]
fn json_is_all_that_stdout_has_and_stderr_has_nothing() {
    let laptop = Laptop::with_stations(THREE);
    let output = laptop.map_command(&laptop.every_station(2), &["--json"]).output().unwrap();
    let mut summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(laptop.said(output).err, "");
    for varies in ["elapsed_seconds", "bytes_per_second", "items_per_second"] {
        assert!(summary[varies].as_f64().unwrap() > 0.0, "{varies}");
        summary[varies] = json!("…");
    }
    summary["components"][0]["digest"] = json!("…");
    let text = serde_json::to_string_pretty(&summary).unwrap();
    assert_snapshot!(text.replace(laptop.root().to_str().unwrap(), "LAPTOP"), @r#"
    {
      "batches": {
        "done": 2,
        "failed": 0,
        "replayed": 0
      },
      "bytes_per_second": "…",
      "bytes_read": 680,
      "components": [
        {
          "digest": "…",
          "name": "noaa-precipitation",
          "version": "0.1.0"
        }
      ],
      "dataset": "stations",
      "elapsed_seconds": "…",
      "failures": {
        "by_code": {},
        "first": []
      },
      "items": {
        "failed": 0,
        "rejected": 0,
        "replayed": 0,
        "succeeded": 3,
        "total": 3
      },
      "items_per_second": "…",
      "outputs": [
        {
          "bytes": 123,
          "local": "LAPTOP/cloud/tables.sqlite",
          "objects": 0,
          "output": "stations",
          "place": "table:stations",
          "rows": 3
        }
      ],
      "reports": [],
      "source": "the objects under s3://data/stations/",
      "status": "succeeded"
    }
    "#);
}

#[test]
fn one_slot_gives_the_same_as_many() {
    let results = ["1", "7"].map(|slots| {
        let laptop = Laptop::with_stations(THREE);
        assert_eq!(laptop.map(&laptop.every_station(2), &["--slots", slots]).code, Some(0));
        laptop.rows()
    });
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0].len(), 3);
}

/// What a guest knows that nobody told it: how many items its instance served, and what it drew at random. The items take
/// turns at being slow, so that eight lanes never meet them in the same way.
const REMEMBERS: &str = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (local.set $i (i32.mul (i32.rem_u (local.get $body-len) (i32.const 3)) (i32.const 3000000)))
    (loop $spin (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if $spin (i32.gt_s (local.get $i) (i32.const 0))))
    (local.set $n (i64.mul (i64.extend_i32_u (global.get $calls)) (i64.const 10000000000)))
    (call $number (i64.add (local.get $n) (i64.rem_u (call $random) (i64.const 10000000000))))";

/// The items' results of a run over a guest that remembers, in batches of so many.
fn remembered(items: usize, batch: usize, slots: &str) -> Vec<String> {
    let laptop = Laptop::new();
    let guest = Guest { also: "(global $calls (mut i32) (i32.const 0))", outputs: &[], ..Guest::new(REMEMBERS) };
    fs::write(laptop.root().join("guest.wasm"), guest.component()).unwrap();
    let items: Vec<String> = (0..items).map(|n| format!("{{ n = {} }}", 10_u64.pow(n as u32 * 7 % 13))).collect();
    let dataset = laptop.write(
        "dataset.toml",
        &format!(
            "dataset = \"guest\"\n[plugin]\ncomponent = \"guest\"\ninstance = \"batch\"\n\
             [map]\nitems = [{}]\nmax_items_per_batch = {batch}\nreports = \"s3://data/reports/\"\n",
            items.join(", ")
        ),
    );
    let said = laptop.map(&dataset, &["--slots", slots]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    let reports = laptop.objects("reports").into_iter().map(|(_, text)| String::from_utf8(text).unwrap());
    reports.flat_map(|text| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn items_that_share_an_instance_share_it_with_the_same_items_in_every_run() {
    let one = remembered(200, 100, "1");
    assert_eq!(one.len(), 200);
    assert!(one.iter().any(|line| line.starts_with("{\"index\":6,\"result\":7")), "an instance is kept: {one:?}");
    for _ in 0..2 {
        assert_eq!(remembered(200, 100, "8"), one);
    }
}

#[test]
fn two_runs_at_once_share_the_work() {
    let (laptop, dataset) = much_work("table = \"stations\"\nkey = [\"pk\"]");
    let run = || laptop.map_command(&dataset, &["--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let summaries: Vec<Value> = [run(), run()]
        .into_iter()
        .map(|run| run.wait_with_output().unwrap())
        .inspect(|output| assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)))
        .map(|output| serde_json::from_slice(&output.stdout).unwrap())
        .collect();
    let done: u64 = summaries.iter().map(|summary| summary["batches"]["done"].as_u64().unwrap()).sum();
    assert_eq!(done, BATCHES.cast_unsigned());
    assert_eq!(laptop.rows().len(), BATCHES as usize);
}

#[test]
fn progress_is_lines_where_there_is_no_terminal() {
    let laptop = Laptop::with_stations(THREE);
    let output = laptop.map_command(&laptop.every_station(2), &[]).output().unwrap();
    let lines = String::from_utf8(output.stderr).unwrap();
    let words: Vec<&str> = lines.trim_end().split(" · ").collect();
    assert_eq!(words[..2], ["3/3 items", "2 batches"]);
    assert_eq!(words[3..], ["0 failures"]);
    assert!(words[2].ends_with("B/s"), "{}", words[2]);
}

#[test]
fn the_help_has_the_exit_codes() {
    let help = String::from_utf8(gristmill().args(["map", "--help"]).output().unwrap().stdout).unwrap();
    assert_snapshot!(&help[help.find("Exit codes").unwrap()..], @"
    Exit codes:
        0  every batch is done, or no more failed than the dataset tolerates
        1  the run failed: too many failures, or items that cannot be read
        2  the run did not begin: a wrong command line, dataset file, component or folder
      130  interrupted; the same command goes on from there
    ");
}

#[test]
fn a_run_has_a_place_of_its_own() {
    let laptop = Laptop::with_stations(THREE);
    let dataset = laptop.dataset_to(
        "item_reader = { list_objects = \"s3://data/stations/\" }\nreports = \"s3://data/reports/{$.day}/\"",
        "prefix = \"s3://data/out/{$.day}/{$$.Execution.Name}/\"\nformat = \"csv\"",
    );
    let run = |day: &str| laptop.map(&dataset, &["--input", &json!({"day": day}).to_string()]);
    let days = || -> Vec<String> {
        let folders = fs::read_dir(laptop.object("out")).unwrap().map(|day| day.unwrap().path());
        let mut days: Vec<_> = folders.map(|day| day.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        days.sort();
        days
    };
    assert_eq!((run("01").code, run("02").code), (Some(0), Some(0)));
    assert_eq!(days(), ["01", "02"]);
    assert_eq!((laptop.objects("reports/01").len(), laptop.objects("reports/02").len()), (1, 1));
    assert!(run("01").out.contains("nothing new to do"));
    for bad in ["", "..", "../elsewhere", "a/b"] {
        let said = run(bad);
        assert_eq!(said.code, Some(2), "{bad}: {}", said.all());
        assert!(said.err.contains("`{$.day}` of `s3://data/out/{$.day}/{$$.Execution.Name}/` is"), "{}", said.err);
    }
    let said = laptop.map(&dataset, &[]);
    assert!(said.code == Some(2) && said.err.contains("there is no such field in the input"), "{}", said.all());
    assert_eq!(days(), ["01", "02"], "nothing was written elsewhere");
}
