//! `gristmill map --local` once more: what is done stays done as long as what it rests on is there and the same.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::laptop::{Laptop, station};

const THREE: [(&str, i64); 3] = [("A", 10), ("B", 20), ("C", 30)];
const ITEMS: &str = r#"items = [{ Key = "stations/A.csv" }, { Key = "stations/B.csv" }, { Key = "stations/C.csv" }]"#;

/// What a run did: batches that it ran, batches that it left, and why it ran some again.
fn ran(laptop: &Laptop, dataset: &Path, args: &[&str]) -> (u64, u64, Value) {
    let (code, summary) = laptop.map_json(dataset, args);
    assert_eq!((code, &summary["status"]), (Some(0), &json!("succeeded")), "{summary:#}");
    let count = |name: &str| summary["batches"][name].as_u64().unwrap();
    (count("done"), count("replayed"), summary.get("again").cloned().unwrap_or(json!([])))
}

fn again(cause: &str, batches: u64, first: &str) -> Value {
    json!([{"cause": cause, "batches": batches, "first": first}])
}

#[test]
fn an_object_named_by_a_list_is_read_again_when_it_was_corrected() {
    let readers = [
        ITEMS,
        "item_reader = { csv = \"s3://data/list.csv\" }",
        "item_reader = { list_objects = \"s3://data/stations/\" }\nitem_selector = { Key = \"{$$.Map.Item.Value.Key}\" }",
    ];
    for map in readers {
        let laptop = Laptop::with_stations(THREE);
        laptop.put("list.csv", "Key\nstations/A.csv\nstations/B.csv\nstations/C.csv\n");
        let dataset = laptop.dataset(&format!("{map}\nmax_items_per_batch = 1"));
        assert_eq!(ran(&laptop, &dataset, &[]), (3, 0, json!([])), "{map}");
        laptop.station("B", 25);
        assert_eq!(
            ran(&laptop, &dataset, &[]),
            (1, 2, again("inputs_changed", 1, "s3://data/stations/B.csv")),
            "{map}"
        );
        assert_eq!(laptop.rows(), ["A 10 2020-01-02", "B 25 2020-01-02", "C 30 2020-01-02"], "{map}");
        assert_eq!(ran(&laptop, &dataset, &[]), (0, 3, json!([])), "{map}");
    }
    let laptop = Laptop::with_stations(THREE);
    let dataset = laptop.dataset(&format!("{ITEMS}\nmax_items_per_batch = 2"));
    laptop.map(&dataset, &[]);
    for (id, highest) in THREE {
        laptop.station(id, highest + 1);
    }
    let said = laptop.map(&dataset, &[]).out;
    let line = "  again      2 batches again: their inputs changed (s3://data/stations/A.csv, ...)\n";
    assert!(said.contains(line), "{said}");
}

#[test]
fn a_rejected_item_is_tried_again_once_its_object_is_repaired() {
    let laptop = Laptop::with_stations([("A", 10)]);
    laptop.put("stations/B.csv", "no,header\n");
    let dataset = laptop.dataset(&format!("{ITEMS}\nmax_items_per_batch = 1\ntolerated_rejected_percentage = 100"));
    assert_eq!(ran(&laptop, &dataset, &[]), (3, 0, json!([])));
    assert_eq!(laptop.rows(), ["A 10 2020-01-02"]);
    assert_eq!(ran(&laptop, &dataset, &[]), (0, 3, json!([])));
    laptop.station("C", 30);
    assert_eq!(ran(&laptop, &dataset, &[]), (1, 2, again("inputs_changed", 1, "s3://data/stations/C.csv")));
    laptop.station("B", 20);
    assert_eq!(ran(&laptop, &dataset, &[]), (1, 2, again("inputs_changed", 1, "s3://data/stations/B.csv")));
    assert_eq!(laptop.rows(), ["A 10 2020-01-02", "B 20 2020-01-02", "C 30 2020-01-02"]);
    fs::remove_file(laptop.object("stations/A.csv")).unwrap();
    assert_eq!(ran(&laptop, &dataset, &[]), (1, 2, again("inputs_changed", 1, "s3://data/stations/A.csv")));
}

#[test]
fn a_rejected_item_is_tried_again_under_other_grants_and_nothing_else_is() {
    let laptop = Laptop::with_stations(THREE);
    let map = format!("{ITEMS}\nmax_items_per_batch = 1\ntolerated_rejected_percentage = 100");
    let text = fs::read_to_string(laptop.dataset(&map)).unwrap();
    let granted = |prefix: &str| laptop.write("granted.toml", &text.replace("\"s3://data/\"", &format!("{prefix:?}")));
    assert_eq!(ran(&laptop, &granted("s3://data/stations/A"), &[]), (3, 0, json!([])));
    assert_eq!(laptop.rows().len(), 1);
    let expected = json!([{"cause": "rules_changed", "batches": 2}]);
    assert_eq!(ran(&laptop, &granted("s3://data/stations/"), &[]), (2, 1, expected));
    assert_eq!(laptop.rows().len(), 3);
    assert_eq!(ran(&laptop, &granted("s3://data/"), &[]), (0, 3, json!([])));
}

#[test]
fn objects_and_reports_that_are_gone_are_made_again() {
    for format in ["csv", "parquet"] {
        let laptop = Laptop::with_stations(THREE);
        let map = format!("{ITEMS}\nmax_items_per_batch = 1\nreports = \"s3://data/reports/\"");
        let dataset = laptop.dataset_to(&map, &format!("prefix = \"s3://data/out/\"\nformat = \"{format}\""));
        ran(&laptop, &dataset, &[]);
        let made = laptop.objects("out");
        let name = &made[1].0;
        let uri = format!("s3://data/out/{name}");
        fs::remove_file(laptop.object("out").join(name)).unwrap();
        assert_eq!(ran(&laptop, &dataset, &[]), (1, 2, again("outputs_gone", 1, &uri)));
        assert!(laptop.objects("out") == made, "{format}: the same bytes");
        // Something else in its place is not what was made.
        laptop.put(&format!("out/{name}"), "spilled coffee");
        assert_eq!(ran(&laptop, &dataset, &[]), (1, 2, again("outputs_gone", 1, &uri)));
        assert!(laptop.objects("out") == made, "{format}: the same bytes");
        let reports = laptop.objects("reports");
        fs::remove_dir_all(laptop.object("reports")).unwrap();
        let first = format!("s3://data/reports/{}", reports[0].0);
        assert_eq!(ran(&laptop, &dataset, &[]), (3, 0, again("outputs_gone", 3, &first)));
        assert_eq!(laptop.objects("reports").len(), 3);
        assert_eq!(ran(&laptop, &dataset, &[]), (0, 3, json!([])));
    }
}

#[test]
fn rows_of_tables_that_are_gone_are_made_again() {
    let laptop = Laptop::with_stations(THREE);
    laptop.put("stations/D.csv", "ID,DATE,ELEMENT,DATA_VALUE,M_FLAG,Q_FLAG,S_FLAG,OBS_TIME\n");
    let dataset = laptop.every_station(1);
    assert_eq!(ran(&laptop, &dataset, &[]).0, 4);
    let rows = laptop.rows();
    let file = laptop.local().join("tables.sqlite");
    let sql = |statement: &str| rusqlite::Connection::open(&file).unwrap().execute_batch(statement).unwrap();
    let losses: [&dyn Fn(); 4] =
        [&|| fs::remove_file(&file).unwrap(), &|| sql("DROP TABLE stations"), &|| sql("DELETE FROM stations"), &|| {
            sql("DROP TABLE stations; CREATE TABLE stations (pk TEXT PRIMARY KEY, PRCP INTEGER, DATE TEXT)")
        }];
    for (n, lose) in losses.into_iter().enumerate() {
        lose();
        // The batch of D has no rows, so it lost none.
        assert_eq!(ran(&laptop, &dataset, &[]), (3, 1, again("outputs_gone", 3, "table:stations")), "{n}");
        assert_eq!(laptop.rows(), rows, "{n}");
        assert_eq!(ran(&laptop, &dataset, &[]), (0, 4, json!([])), "{n}");
    }
    // Another run that made the table anew has not made the rows of this one.
    laptop.put("2024/E.csv", station("E", 50));
    let map = "item_reader = { list_objects = \"s3://data/{$.prefix}/\" }";
    let of = |prefix: &str| {
        let input = format!(r#"{{"prefix": "{prefix}"}}"#);
        ran(&laptop, &laptop.dataset(map), &["--input", &input])
    };
    assert_eq!((of("stations").0, of("2024").0), (1, 1));
    sql("DROP TABLE stations");
    assert_eq!(of("2024"), (1, 0, again("outputs_gone", 1, "table:stations")));
    assert_eq!(of("stations"), (1, 0, again("outputs_gone", 1, "table:stations")));
    assert_eq!(laptop.rows().len(), 4);
}

#[test]
fn everything_is_done_again_when_asked_for() {
    let laptop = Laptop::with_stations(THREE);
    let dataset = laptop.every_station(2);
    assert_eq!(ran(&laptop, &dataset, &["--again"]), (2, 0, json!([])), "it is the first time");
    assert_eq!(ran(&laptop, &dataset, &["--again"]), (2, 0, json!([{"cause": "asked", "batches": 2}])));
    assert_eq!(ran(&laptop, &dataset, &[]), (0, 2, json!([])));
}

#[test]
fn what_changed_and_is_in_no_batch_any_more_leaves_nothing_behind() {
    let laptop = Laptop::with_stations(THREE);
    let dataset = laptop.dataset_to(
        "item_reader = { list_objects = \"s3://data/stations/\" }\nmax_items_per_batch = 1",
        "prefix = \"s3://data/out/\"\nformat = \"csv\"",
    );
    ran(&laptop, &dataset, &[]);
    assert_eq!(laptop.objects("out").len(), 3);
    fs::remove_file(laptop.object("stations/C.csv")).unwrap();
    // Its input is not what it was, but nobody asks for it.
    assert_eq!(ran(&laptop, &dataset, &[]), (0, 2, json!([])));
    assert_eq!(laptop.objects("out").len(), 2);
}

#[test]
fn an_output_without_rows_names_no_file() {
    let laptop = Laptop::new();
    laptop.put("stations/A.csv", "ID,DATE,ELEMENT,DATA_VALUE,M_FLAG,Q_FLAG,S_FLAG,OBS_TIME\n");
    let map = "item_reader = { list_objects = \"s3://data/stations/\" }";
    let dataset = laptop.dataset_to(map, "prefix = \"s3://data/out/\"\nformat = \"csv\"");
    let said = laptop.map(&dataset, &[]).out;
    assert!(said.contains("  output     stations: no rows, no file\n") && !said.contains("s3/data/out"), "{said}");
    let (_, summary) = laptop.map_json(&dataset, &[]);
    let output = json!({"output": "stations", "place": "s3://data/out/", "objects": 0, "rows": 0, "bytes": 0});
    assert_eq!(summary["outputs"], json!([output]));
}

#[test]
fn objects_of_another_input_come_beside_and_those_of_the_same_are_replaced() {
    let laptop = Laptop::with_stations([("A", 10)]);
    laptop.put("2024/B.csv", station("B", 20));
    let map = "item_reader = { list_objects = \"s3://data/{$.prefix}/\" }";
    let dataset = laptop.dataset_to(map, "prefix = \"s3://data/out/\"\nformat = \"csv\"");
    let of = |prefix: &str, args: &[&str]| {
        let input = format!(r#"{{"prefix": "{prefix}"}}"#);
        ran(&laptop, &dataset, &[&["--input", &input], args].concat())
    };
    assert_eq!((of("stations", &[]).0, of("2024", &[]).0), (1, 1));
    let both = laptop.objects("out");
    assert_eq!(both.len(), 2);
    assert_eq!((of("stations", &["--again"]).0, of("2024", &["--again"]).0), (1, 1));
    assert!(laptop.objects("out") == both);
}
