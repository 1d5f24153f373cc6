//! Points out of satellite images: rows are those of Python's netCDF4, whatever a file looks like; and what is wrong with a file
//! is said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::golden::{json as values_of, same};
use crate::laptop::Laptop;
use crate::support::{plugin, project};

const IMAGES: &str = "MSG/MDSSFTD/NETCDF/2018/01/01";

/// One of the plugin's scripts.
fn python(script: &str, args: &[&str]) -> String {
    let python = project("target/venv-netcdf/bin/python");
    assert!(python.is_file(), "{} is missing: run `make images` first", python.display());
    let script = project("plugins/satellite-timeseries/generate").join(script);
    let output = Command::new(python).arg(script).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What Python's netCDF4 reads of these files.
fn expected(points: &Path, files: &[PathBuf]) -> Vec<Value> {
    let paths = [points].into_iter().chain(files.iter().map(PathBuf::as_path)).map(|path| path.to_str().unwrap());
    let args: Vec<_> = ["values"].into_iter().chain(paths).collect();
    values_of(python("reference.py", &args).lines())
}

fn golden(name: &str) -> Vec<Value> {
    values_of(fs::read_to_string(project("plugins/satellite-timeseries/golden").join(name)).unwrap().lines())
}

/// The files of a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    files(from).iter().for_each(|file| copy(file, &to.join(file.file_name().unwrap())));
}

/// A laptop with the plugin's sample.
fn with_sample() -> Laptop {
    let laptop = Laptop::new();
    for part in ["MSG", "points.csv"] {
        copy(&project("plugins/satellite-timeseries/sample").join(part), &laptop.object(part));
    }
    laptop
}

/// The parts of the plugin's dataset file: what stages share, and the two of them without their samples.
fn parts() -> [String; 3] {
    let text = fs::read_to_string(project("plugins/satellite-timeseries/dataset.toml")).unwrap();
    let component = format!("{:?}", plugin("satellite-timeseries"));
    let text = text.replace("\"satellite-timeseries.wasm\"", &component);
    let part = |part: &str| part.split("[stage.sample]").next().unwrap().to_owned();
    let parts: Vec<_> = text.split("[[stage]]").map(part).collect();
    parts.try_into().unwrap()
}

/// One of the plugin's stages alone, with other items, other settings, and rows as lines of JSON.
fn dataset(laptop: &Laptop, stage: &str, items: &str, changes: &[(&str, &str)]) -> PathBuf {
    let [shared, extract, series] = parts();
    let (own, other) = if stage == "extract" { (extract, series) } else { (series, extract) };
    let (own, output) = (with_items(&own, items), other.split_once("[[stage.output]]").unwrap().1.to_owned());
    // Its component declares the output of the other stage, too.
    let text = format!("{shared}[[stage]]{own}[[stage.output]]{output}");
    laptop.write(&format!("{stage}.toml"), &changed(&text, changes))
}

fn with_items(stage: &str, items: &str) -> String {
    let reader = stage.lines().find(|line| line.starts_with("item_reader")).unwrap();
    stage.replace(reader, items)
}

fn changed(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

const LINES: [(&str, &str); 4] = [
    ("format = \"parquet\"", "format = \"json_lines\""),
    ("compression  = \"snappy\"\n", ""),
    ("partition_by = [\"point_id\"]\n", ""),
    ("sort_by      = [\"time\"]\n", ""),
];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    LINES.iter().chain(more).copied().collect()
}

/// What a run left under a prefix, in the order of time and point.
fn rows(laptop: &Laptop, prefix: &str) -> Vec<Value> {
    let objects = laptop.objects(prefix);
    let mut rows: Vec<_> =
        objects.iter().flat_map(|(_, bytes)| values_of(str::from_utf8(bytes).unwrap().lines())).collect();
    rows.sort_by_key(|row| (row["time"].as_str().unwrap().to_owned(), row["point_id"].as_i64().unwrap()));
    rows
}

fn run(laptop: &Laptop, dataset: &Path) -> Value {
    let (code, summary) = laptop.map_json(dataset, &["--set", "DATA_BUCKET=data"]);
    assert_eq!(code, Some(0), "{summary:#}");
    summary["stages"][0].clone()
}

/// The reports of the items that succeeded.
fn reports(laptop: &Laptop) -> Vec<Value> {
    let lines: Vec<_> = laptop
        .objects("reports")
        .into_iter()
        .flat_map(|(_, bytes)| values_of(String::from_utf8(bytes).unwrap().lines()))
        .collect();
    lines.into_iter().filter(|line| line["result"].is_object()).map(|line| line["result"].clone()).collect()
}

fn failures(summary: &Value) -> String {
    let said =
        |failure: &Value| format!("{}: {}\n", failure["code"].as_str().unwrap(), failure["message"].as_str().unwrap());
    summary["failures"]["first"].as_array().unwrap().iter().map(said).collect()
}

#[test]
fn the_sample_has_the_rows_of_netcdf4() {
    let laptop = with_sample();
    run(&laptop, &dataset(&laptop, "extract", "items = [\"20180101\"]", &LINES));
    same(&rows(&laptop, "output/intermediate"), &golden("values.jsonl"));
}

#[test]
fn a_file_may_be_an_item() {
    let laptop = with_sample();
    let items =
        format!("item_reader = {{ list_objects = \"s3://data/{IMAGES}/\" }}\nbatch_input = {{ Bucket = \"data\" }}");
    run(&laptop, &dataset(&laptop, "extract", &items, &LINES));
    same(&rows(&laptop, "output/intermediate"), &golden("values.jsonl"));
}

#[test]
fn what_the_first_stage_left_of_a_point_becomes_its_series() {
    let laptop = with_sample();
    copy(&project("plugins/satellite-timeseries/sample/output"), &laptop.object("output"));
    let item = |point: u8| {
        let file = |name| format!("\"s3://data/output/intermediate/point_id={point}/{name}.parquet\"");
        format!("{{ partition = {{ point_id = \"{point}\" }}, files = [{}, {}] }}", file("a"), file("b"))
    };
    let items = format!("items = [{}, {}]", item(2), item(5));
    run(
        &laptop,
        &dataset(
            &laptop,
            "series",
            &items,
            &with(&[("[stage.map]\n", "[stage.map]\nreports = \"s3://data/reports/\"\n")]),
        ),
    );
    same(&rows(&laptop, "output/final"), &golden("series.jsonl"));
    let expected = json!({"files": 2, "rows": 6, "repeated": 2, "differed": 1});
    assert_eq!(reports(&laptop), [expected.clone(), expected]);
}

#[test]
fn a_day_that_comes_again_gives_no_row_twice() {
    let laptop = with_sample();
    let [shared, extract, series] = parts();
    let (extract, series) = (
        with_items(&extract, "items = [\"20180101\"]"),
        changed(&series, &with(&[("catalog ", "runs = \"replace\"\ncatalog ")])),
    );
    let both = laptop.write("dataset.toml", &format!("{shared}[[stage]]{extract}[[stage]]{series}"));
    let written = || {
        let folders = files(&laptop.object("output/intermediate"));
        let points = folders.iter().filter(|folder| folder.to_str().unwrap().contains("/point_id="));
        points.map(|point| files(point).len()).sum::<usize>()
    };
    for executions in 1..=2 {
        // Another execution has another batch, whose files come beside those of the first one.
        let input = json!({ "execution": executions }).to_string();
        let (code, summary) = laptop.map_json(&both, &["--set", "DATA_BUCKET=data", "--input", &input]);
        assert_eq!(code, Some(0), "{summary:#}");
        assert_eq!(written(), executions * summary["stages"][1]["items"]["total"].as_u64().unwrap() as usize);
        same(&rows(&laptop, "output/final"), &golden("values.jsonl"));
    }
}

#[test]
fn every_mask_and_every_layout_is_read_as_netcdf4_reads_it() {
    let laptop = Laptop::new();
    python("cases.py", &[laptop.object("").to_str().unwrap()]);
    let changes = with(&[("points.csv", "cases.csv"), ("[3201, 3201]", "[60, 80]")]);
    run(&laptop, &dataset(&laptop, "extract", "items = [\"2018-01-02\"]", &changes));
    let files = files(&laptop.object("MSG/MDSSFTD/NETCDF/2018/01/02"));
    let expected = expected(&laptop.object("cases.csv"), &files);
    assert_eq!(expected.len(), files.len() * 52);
    let named = |row: &Value| {
        (files.iter().find(|file| file.to_str().unwrap().contains(&minute(row))).unwrap().clone(), row.clone())
    };
    let rows = rows(&laptop, "output/intermediate");
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(named(row), named(expected));
    }
    assert_eq!(rows.len(), expected.len());
}

/// The time of a row as the names of files have it.
fn minute(row: &Value) -> String {
    let digits: String = row["time"].as_str().unwrap().chars().filter(char::is_ascii_digit).collect();
    digits[..12].to_owned()
}

#[test]
fn of_a_large_image_little_is_read() {
    let laptop = Laptop::new();
    let bucket = laptop.object("");
    let bucket = bucket.to_str().unwrap();
    python("generate.py", &[bucket, "--files", "1"]);
    let large = ["--first", "20180102", "--files", "1", "--chunk", "512", "--noise", "0.01", "--fletcher32"];
    python("generate.py", &[&[bucket], &large[..]].concat());
    let mut expected_rows = Vec::new();
    for (day, most) in [("2018/01/01", 1.0), ("2018/01/02", 0.3)] {
        let [image] = &files(&laptop.object(&format!("MSG/MDSSFTD/NETCDF/{day}")))[..] else { panic!() };
        let items = format!("items = [\"{}\"]", day.replace('/', ""));
        let summary = run(&laptop, &dataset(&laptop, "extract", &items, &LINES));
        let size = fs::metadata(image).unwrap().len() + fs::metadata(laptop.object("points.csv")).unwrap().len();
        let share = summary["bytes_read"].as_f64().unwrap() / size as f64;
        assert!(share <= most, "{share} of {size} bytes");
        expected_rows.extend(expected(&laptop.object("points.csv"), std::slice::from_ref(image)));
        let found: Vec<_> = rows(&laptop, "output/intermediate");
        same(&found, &expected_rows[expected_rows.len() - found.len()..]);
        assert_eq!(found.len(), 100);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_reported_with_its_key() {
    let laptop = Laptop::new();
    python("cases.py", &[laptop.object("").to_str().unwrap()]);
    let day = laptop.object("MSG/MDSSFTD/NETCDF/2018/01/05");
    fs::rename(laptop.object("bad"), &day).unwrap();
    let good = laptop.object("MSG/MDSSFTD/NETCDF/2018/01/02/product_201801020000.nc");
    for name in ["g-good.nc", "h-again.nc"] {
        fs::copy(&good, day.join(name)).unwrap();
    }
    let bytes = fs::read(&good).unwrap();
    fs::write(day.join("cut.nc"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(day.join("no-image.nc"), "no image").unwrap();
    fs::write(day.join("empty.nc"), "").unwrap();
    fs::write(day.join("not-yet.nc.part"), "no image either, and no .nc").unwrap();
    let changes = with(&[
        ("points.csv", "cases.csv"),
        ("[3201, 3201]", "[60, 80]"),
        ("tolerated_rejected_percentage = 20", "tolerated_rejected_percentage = 100"),
    ]);
    let items = "items = [\"20180105\", \"20180106\", \"2018-13-01\", 20180105]";
    let summary = run(&laptop, &dataset(&laptop, "extract", items, &changes));
    same(&rows(&laptop, "output/intermediate"), &expected(&laptop.object("cases.csv"), &[good]));
    let [report] = &reports(&laptop)[..] else { panic!() };
    let said = |name: &str| {
        let entries = report[name].as_array().unwrap().iter().map(|entry| format!("{entry}\n")).collect::<String>();
        entries.replace("s3://data/MSG/MDSSFTD/NETCDF/2018/01/05", "DAY")
    };
    let counted = ["files", "rows", "unread_files", "repeated_files"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(counted, [1, 52, 10, 1]);
    assert_snapshot!(said("repeated"), @r#"{"counts":"DAY/h-again.nc","uri":"DAY/g-good.nc"}"#);
    assert_snapshot!(said("unread"), @r#"
    {"code":"OtherGrid","message":"`DSSF_TOT` has the shape [2, 60, 80], where one grid of [60, 80] was expected","uri":"DAY/two-times.nc"}
    {"code":"BadVariable","message":"the elements of `DSSF_TOT` are no numbers","uri":"DAY/texts.nc"}
    {"code":"BadVariable","message":"`DSSF_TOT`: the attribute `scale_factor` is the text \"0.1\" and not a number","uri":"DAY/text-scale.nc"}
    {"code":"OtherGrid","message":"`DSSF_TOT` has the shape [1, 60, 81], where one grid of [60, 80] was expected","uri":"DAY/other-grid.nc"}
    {"code":"NoVariable","message":"it has no variable `FRACTION_DIFFUSE`","uri":"DAY/no-variable.nc"}
    {"code":"NoTime","message":"it has no attribute `time_coverage_start`","uri":"DAY/no-time.nc"}
    {"code":"BadImage","message":"it is no NetCDF-4 file, or damaged: invalid HDF5 magic bytes","uri":"DAY/no-image.nc"}
    {"code":"BadImage","message":"it is no NetCDF-4 file, or damaged: invalid HDF5 magic bytes","uri":"DAY/empty.nc"}
    {"code":"BadImage","message":"it is cut off: of 34760 bytes, 17380 are there","uri":"DAY/cut.nc"}
    {"code":"BadTime","message":"its attribute `time_coverage_start` is \"yesterday\", and no date and time as in \"2018-01-31T09:30:00Z\"","uri":"DAY/bad-time.nc"}
    "#);
    assert_snapshot!(failures(&summary), @r#"
    NoFiles: there is no file that ends in .nc under s3://data/MSG/MDSSFTD/NETCDF/2018/01/06/
    BadItem: "2018-13-01" is no day, as "20180131" is one
    BadItem: the item 20180105 cannot be used: it is neither a text nor an object but 20180105
    "#);
}

#[test]
fn what_a_day_cannot_do_without_ends_it() {
    let laptop = with_sample();
    let [first, ..] = &files(&laptop.object(IMAGES))[..] else { panic!() };
    fs::write(first, "no image").unwrap();
    let said = |from, to| {
        let all = ("tolerated_rejected_percentage = 20", "tolerated_rejected_percentage = 100");
        let summary = run(&laptop, &dataset(&laptop, "extract", "items = [\"20180101\"]", &with(&[(from, to), all])));
        assert_eq!(rows(&laptop, "output/intermediate"), Vec::<Value>::new());
        failures(&summary)
            .replace("NETCDF4_LSASAF_MSG_MDSSFTD_MSG-Disk_", "")
            .replace(IMAGES, "DAY")
            .replace("; ", ";\n")
    };
    assert_snapshot!(said("unreadable = \"report\"", "unreadable = \"reject\""), @r#"
    Unreadable: 1 of 3 files could not be read;
    s3://data/DAY/201801011000.nc: BadImage: it is no NetCDF-4 file, or damaged: invalid HDF5 magic bytes (`unreadable = "report"` in the settings takes the others)
    "#);
    assert_snapshot!(said("[3201, 3201]", "[3712, 3712]"), @"
    Unreadable: 3 of 3 files could not be read;
    s3://data/DAY/201801011030.nc: OtherGrid: `DSSF_TOT` has the shape [1, 3201, 3201], where one grid of [3712, 3712] was expected;
    s3://data/DAY/201801011015.nc: OtherGrid: `DSSF_TOT` has the shape [1, 3201, 3201], where one grid of [3712, 3712] was expected;
    s3://data/DAY/201801011000.nc: BadImage: it is no NetCDF-4 file, or damaged: invalid HDF5 magic bytes
    ");
    let outside = "PointOutside: point 0 at row 2170, column 1066 lies outside the grid of 1000 x 1000\n";
    assert_eq!(said("[3201, 3201]", "[1000, 1000]"), outside);
    let outside = "PointOutside: point 1 at row 3, column 3201 lies outside the grid of 3201 x 3201\n";
    assert_eq!(said("\"s3://${DATA_BUCKET}/points.csv\"             #", "[[1, 2], [3, 3201]] #"), outside);
}
