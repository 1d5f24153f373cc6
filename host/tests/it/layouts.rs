//! Outputs whose rows are divided over folders, sorted and cut into files: what a run leaves, what the next one makes of it, and
//! what other programs read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::laptop::{Laptop, station};
use crate::support::project;

const EVERY: &str = "item_reader = { list_objects = \"s3://data/stations/\" }\nmax_items_per_batch = 1";
const BY_VALUE: &str = "prefix = \"s3://data/out/\"\nformat = \"csv\"\npartition_by = [\"PRCP\"]";

/// Every file below a folder, by its path from there, with the batch's name in the names of files left out.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let path = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let ending = name.split_once('.').unwrap().1;
            assert!(
                files.insert(format!("{parent}/*.{ending} {}", files.len()), fs::read(entry.path()).unwrap()).is_none()
            );
        }
    }
    files
}

/// The folders of the rows, each with how many files it has.
fn folders(laptop: &Laptop) -> BTreeMap<String, usize> {
    let mut folders = BTreeMap::new();
    for path in files(&laptop.object("out")).into_keys() {
        let folder = path.rsplit_once('/').unwrap().0.to_owned();
        *folders.entry(folder).or_insert(0) += 1;
    }
    folders
}

fn counted<const N: usize>(folders: [(&str, usize); N]) -> BTreeMap<String, usize> {
    folders.map(|(folder, count)| (folder.to_owned(), count)).into()
}

#[test]
fn a_run_counts_the_files_that_it_left() {
    let laptop = Laptop::with_stations([("A", 10), ("B", 10), ("C", 30)]);
    let dataset = laptop.dataset_to(&EVERY.replace("= 1", "= 3"), BY_VALUE);
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"
    exit 0
    stations: succeeded in TIME
      component  noaa-precipitation 0.1.0 (sha256:DIGEST…)
      items      3: 3 succeeded
      batches    1 done now, 0 already done before, 0 failed
      output     stations: 3 rows, 55 B, in LAPTOP/cloud/s3/data/out/ (2 objects)
    ");
    assert_eq!(folders(&laptop), counted([("PRCP=10", 1), ("PRCP=30", 1), ("_gristmill", 1)]));
    let rows = files(&laptop.object("out"));
    let (_, ten) = rows.iter().find(|(path, _)| path.starts_with("PRCP=10/")).unwrap();
    assert_eq!(String::from_utf8_lossy(ten), "pk,DATE\nA,2020-01-02\nB,2020-01-02\n");
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"
    exit 0
    stations: nothing new to do; everything had been done before
      component  noaa-precipitation 0.1.0 (sha256:DIGEST…)
      items      3: 3 succeeded
      batches    0 done now, 1 already done before, 0 failed
      output     stations: 3 rows, 55 B, in LAPTOP/cloud/s3/data/out/ (2 objects)
    ");
}

#[test]
fn a_batch_that_runs_again_moves_its_rows_and_leaves_those_of_others() {
    let laptop = Laptop::with_stations([("A", 10), ("B", 10), ("C", 30)]);
    let dataset = laptop.dataset_to(EVERY, BY_VALUE);
    assert_eq!(laptop.map(&dataset, &[]).code, Some(0));
    assert_eq!(folders(&laptop), counted([("PRCP=10", 2), ("PRCP=30", 1), ("_gristmill", 3)]));
    laptop.station("A", 70);
    laptop.station("C", 10);
    assert_eq!(laptop.map(&dataset, &[]).code, Some(0));
    assert_eq!(folders(&laptop), counted([("PRCP=10", 2), ("PRCP=70", 1), ("_gristmill", 3)]));
    // A run over fewer items: what the batch that is no more had goes with it.
    fs::remove_file(laptop.object("stations/C.csv")).unwrap();
    assert_eq!(laptop.map(&dataset, &[]).code, Some(0));
    assert_eq!(folders(&laptop), counted([("PRCP=10", 1), ("PRCP=70", 1), ("_gristmill", 2)]));
}

#[test]
fn another_layout_leaves_nothing_of_the_one_before() {
    let laptop = Laptop::with_stations([("A", 10), ("B", 30)]);
    let run = |keys: &str| {
        let output = format!("prefix = \"s3://data/out/\"\nformat = \"csv\"\n{keys}");
        assert_eq!(laptop.map(&laptop.dataset_to(EVERY, &output), &[]).code, Some(0));
        folders(&laptop)
    };
    assert_eq!(run(""), counted([("", 2)]));
    assert_eq!(run("partition_by = [\"PRCP\"]"), counted([("PRCP=10", 1), ("PRCP=30", 1), ("_gristmill", 2)]));
    assert_eq!(run("partition_by = [\"year(DATE)\"]"), counted([("year=2020", 2), ("_gristmill", 2)]));
    assert_eq!(run("sort_by = [\"pk\"]"), counted([("", 2), ("_gristmill", 2)]));
}

#[test]
fn a_file_that_was_taken_away_is_made_again() {
    let laptop = Laptop::with_stations([("A", 10), ("B", 30)]);
    let dataset = laptop.dataset_to(EVERY, BY_VALUE);
    laptop.map(&dataset, &[]);
    let before = files(&laptop.object("out"));
    fs::remove_dir_all(laptop.object("out/PRCP=30")).unwrap();
    let said = laptop.map(&dataset, &[]).out;
    assert!(said.contains("1 batch again: its outputs were gone"), "{said}");
    assert_eq!(files(&laptop.object("out")).into_values().max(), before.into_values().max());
}

#[test]
fn values_that_no_folder_can_have_are_rejected_and_nothing_else_is_lost() {
    let laptop = Laptop::new();
    let long = "x".repeat(2048);
    for (name, id) in [("1", "a/b=c"), ("2", &long), ("3", "é +%2B"), ("4", "plain")] {
        laptop.put(&format!("stations/{name}.csv"), station(id, 10));
    }
    let map = EVERY.replace("= 1", "= 4\ntolerated_rejected_percentage = 50");
    let output = "prefix = \"s3://data/out/\"\nformat = \"json_lines\"\npartition_by = [\"pk\"]";
    let dataset = laptop.dataset_to(&map, output);
    assert_snapshot!(laptop.map(&dataset, &[]).all(), @"
    exit 0
    stations: succeeded in TIME
      component  noaa-precipitation 0.1.0 (sha256:DIGEST…)
      items      4: 3 succeeded, 1 rejected
      batches    1 done now, 0 already done before, 0 failed
      output     stations: 3 rows, 96 B, in LAPTOP/cloud/s3/data/out/ (3 objects)
      failures   1 × Gristmill.BadKey
                   stations/2.csv: output `stations`: row 1: the value of `pk` makes a folder's name of 2051 bytes; it has at most 255
    ");
    let folder = |name: &str| (name.to_owned(), 1);
    let expected = ["_gristmill", "pk=a%2Fb%3Dc", "pk=plain", "pk=é +%252B"].map(folder);
    assert_eq!(folders(&laptop), expected.into());
}

#[test]
fn what_cannot_be_laid_out_is_said_before_anything_runs() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let keys = "partition_by = [\"pk\", \"hour(DATE)\", \"PRPC\"]\nsort_by = [\"pk\"]\nfile_size = \"1 KiB\"\nrow_group_size = \"1 MiB\"";
    let output = format!("prefix = \"s3://data/out/\"\nformat = \"csv\"\n{keys}");
    assert_snapshot!(laptop.map(&laptop.dataset_to(EVERY, &output), &[]).all(), @r#"
    exit 2
    error: LAPTOP/dataset.toml:16:13: output[0].file_size: 1.0 KiB is out of range: it must be 1.0 MiB to 64.0 GiB
    LAPTOP/dataset.toml:17:1: output[0].row_group_size: row groups belong to `format = "parquet"`
    "#);
    let output = "prefix = \"s3://data/out/\"\nformat = \"csv\"\npartition_by = [\"pk\", \"hour(DATE)\", \"PRPC\"]\nsort_by = [\"pk\"]";
    assert_snapshot!(laptop.map(&laptop.dataset_to(EVERY, output), &[]).all(), @"
    exit 2
    error: LAPTOP/dataset.toml:14:1: output[0].partition_by: `DATE` is of type `date` and cannot divide rows so
        help: such a column is of type `timestamp`
    LAPTOP/dataset.toml:14:1: output[0].partition_by: `PRPC` is not among the columns
        help: did you mean `PRCP`?
    LAPTOP/dataset.toml:15:1: output[0].sort_by: `pk` is the same in all rows of a file
    ");
}

/// A folder of files is one table for others, with the columns that stand in the paths, in the order that was asked for.
const READERS: &str = r#"
import json, sys
import duckdb, pyarrow.dataset
folder = sys.argv[1]
columns = ["pk", "PRCP", "DATE", "year", "month"]
rows = lambda table: sorted(json.dumps([str(row[name]) for name in columns]) for row in table)
table = pyarrow.dataset.dataset(folder, format="parquet", partitioning=pyarrow.dataset.HivePartitioning(
    pyarrow.schema([("year", pyarrow.string()), ("month", pyarrow.string()), ("pk", pyarrow.string())])))
arrow = rows(table.to_table().to_pylist())
relation = duckdb.sql(f"SELECT * FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true, hive_types_autocast = false)")
names = [column[0] for column in relation.description]
assert rows(dict(zip(names, row)) for row in relation.fetchall()) == arrow
sorted_by = {tuple(column.column_index for column in fragment.metadata.row_group(0).sorting_columns) for fragment in table.get_fragments()}
print(json.dumps({"rows": [json.loads(row) for row in arrow], "sorted_by": sorted(sorted_by)}))
"#;

#[test]
fn others_read_the_folders_as_one_table() {
    let laptop = Laptop::new();
    for n in 0..40 {
        laptop.station(&format!("S{n:02}"), n % 7 + 1);
    }
    laptop.put("stations/strange.csv", station("a/b=c é", 99));
    let keys = "partition_by = [\"year(DATE)\", \"month(DATE)\", \"pk\"]\nsort_by = [\"PRCP desc\", \"DATE\"]";
    let output = format!("prefix = \"s3://data/out/\"\nformat = \"parquet\"\n{keys}");
    let said = laptop.map(&laptop.dataset_to(&EVERY.replace("= 1", "= 7"), &output), &[]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    let python = project("target/venv-emulator/bin/python");
    let read = Command::new(python).args(["-c", READERS]).arg(laptop.object("out")).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let found: Value = serde_json::from_slice(&read.stdout).unwrap();
    let row = |pk: &str, prcp: i64| json!([pk, prcp.to_string(), "2020-01-02", "2020", "01"]);
    let mut expected: Vec<_> = (0..40).map(|n| row(&format!("S{n:02}"), n % 7 + 1)).collect();
    expected.push(row("a/b=c é", 99));
    assert_eq!(found, json!({"rows": expected, "sorted_by": [[0, 1]]}));
}
