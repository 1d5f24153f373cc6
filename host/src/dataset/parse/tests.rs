use std::path::Path;
use std::time::Duration;

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::json;

use super::locate;
use crate::dataset::*;

fn variables() -> Variables {
    Variables::new([("DATA_BUCKET".into(), "data".into())], [])
}

fn parse(text: &str) -> Result<Dataset, Findings> {
    Dataset::parse(text, Path::new("sets/d.toml"), &variables())
}

/// A dataset whose `[map]` is this text.
fn map(text: &str) -> Result<MapSpec, String> {
    let text = format!("dataset = \"d\"\nplugin.component = \"p\"\n[map]\n{text}");
    parse(&text).map(|dataset| dataset.map).map_err(|findings| findings.to_string())
}

/// The outputs of a dataset with these tables.
fn outputs(text: &str) -> Result<Vec<OutputSpec>, String> {
    let text = format!("dataset = \"d\"\nplugin.component = \"p\"\nmap.items = []\n{text}");
    parse(&text).map(|dataset| dataset.outputs).map_err(|findings| findings.to_string())
}

#[test]
fn a_whole_file_is_understood() {
    let dataset = parse(
        r#"
        dataset = "noaa-precipitation"
        [plugin]
        component = "noaa-precipitation"
        memory = "128 MiB"
        timeout = "1m 30s"
        max_output = 1024
        instance = "batch"
        max_slots = 3
        max_batches = 2
        [settings]
        since = 1900-01-01
        limits = { high = 3.5, flags = ["A", true], literal = "$${X}" }
        [grants]
        read = ["s3://${DATA_BUCKET}/csv/"]
        [map]
        item_reader = { list_objects = "s3://${DATA_BUCKET}/csv/{$.year}/" }
        item_selector = { Key = "{$$.Map.Item.Value.Key}" }
        batch_input.Bucket = "${DATA_BUCKET}"
        max_items_per_batch = 7
        max_input_bytes_per_batch = "100 KiB"
        max_concurrency = 12
        tolerated_failure_count = 3
        tolerated_failure_percentage = 5
        tolerated_rejected_percentage = 2.5
        heartbeat = "90s"
        timeout = "2h"
        max_attempts = 0
        result_writer = "s3://results/runs/"
            reports = "s3://results/reports/"
        [[output]]
        name = "stations"
        table = "noaa-precipitation"
        key = ["pk"]
        [output.columns]
        pk = "text"
        PRCP = "int64?"
        DATE = "date"
        [[output]]
        name = "daily"
        prefix = "s3://results/daily/"
        format = "parquet"
        [release]
        version = "0.1.1"
        pin = "batch"
        [release.canary]
        min_items = 1000
        tolerated_failure_percentage = 0.5
        tolerated_slowdown_percentage = 20
        promote_after = "1h"
        [sample]
        items = [{ Key = "csv/a.csv" }, 7]
        batch_input.Bucket = "${DATA_BUCKET}"
        folder = "sample"
        prefix = "s3://${DATA_BUCKET}/"
        "#,
    )
    .unwrap();
    let template = |value| Template(value);
    let column = |name: &str, kind, nullable| Column { name: name.into(), kind, nullable };
    assert_eq!(
        dataset,
        Dataset {
            name: "noaa-precipitation".into(),
            file: "sets/d.toml".into(),
            plugin: PluginSpec {
                component: ComponentRef::File("sets/noaa-precipitation.wasm".into()),
                memory: 128 << 20,
                timeout: Duration::from_secs(90),
                max_output: 1024,
                max_log: 64 << 10,
                instance: InstanceLife::Batch,
                max_slots: Some(3),
                max_batches: Some(2),
            },
            settings: json!({"since": "1900-01-01", "limits": {"high": 3.5, "flags": ["A", true], "literal": "${X}"}}),
            grants: Grants { read: vec!["s3://data/csv/".parse().unwrap()], sql: Vec::new() },
            map: MapSpec {
                item_reader: ItemReader::ListObjects { uri: template(json!("s3://data/csv/{$.year}/")) },
                max_items: None,
                item_selector: Some(template(json!({"Key": "{$$.Map.Item.Value.Key}"}))),
                batch_input: Some(template(json!({"Bucket": "data"}))),
                max_items_per_batch: 7,
                max_input_bytes_per_batch: 100 << 10,
                max_concurrency: 12,
                tolerated_failure_count: Some(3),
                tolerated_failure_percentage: 5.0,
                tolerated_rejected_percentage: 2.5,
                heartbeat: Duration::from_secs(90),
                timeout: Duration::from_secs(7200),
                max_attempts: 0,
                result_writer: Some("s3://results/runs/".parse().unwrap()),
                reports: Some("s3://results/reports/".parse().unwrap()),
            },
            outputs: vec![
                OutputSpec {
                    runs: None,
                    catalog: None,
                    name: "stations".into(),
                    target: Target::Table { table: "noaa-precipitation".into(), key: vec!["pk".into()] },
                    columns: Some(vec![
                        column("pk", ColumnType::Text, false),
                        column("PRCP", ColumnType::Int64, true),
                        column("DATE", ColumnType::Date, false),
                    ]),
                },
                OutputSpec {
                    runs: None,
                    catalog: None,
                    name: "daily".into(),
                    target: Target::Objects {
                        prefix: "s3://results/daily/".parse().unwrap(),
                        format: Format::Parquet(PageCompression::Zstd),
                        layout: Layout::default(),
                    },
                    columns: None,
                },
            ],
            release: ReleaseSpec {
                version: Some("0.1.1".parse().unwrap()),
                pin: Pin::Batch,
                canary: CanarySpec {
                    min_items: 1000,
                    tolerated_failure_percentage: 0.5,
                    tolerated_slowdown_percentage: 20.0,
                    promote_after: Duration::from_secs(3600),
                },
            },
            sample: Some(SampleSpec {
                items: vec![json!({"Key": "csv/a.csv"}), json!(7)],
                batch_input: Some(json!({"Bucket": "data"})),
                objects: Some(SampleObjects { folder: "sets/sample".into(), prefix: "s3://data/".parse().unwrap() }),
            }),
            stage: None,
        }
    );
}

#[test]
fn a_sample_has_items_and_both_halves_of_its_objects() {
    let sample = |text: &str| {
        let text = format!("dataset = \"d\"\nplugin.component = \"p\"\nmap.items = []\n[sample]\n{text}");
        parse(&text).map(|dataset| dataset.sample).map_err(|findings| findings.to_string())
    };
    for (text, expected) in [
        ("", "the key `items` is missing"),
        ("items = []", "a sample has 1 to 100 items, this one has 0"),
        ("items = [1]\nfolder = \"x\"", "`folder` and `prefix` come together"),
        ("items = [1]\nprefix = \"s3://b/\"", "`folder` and `prefix` come together"),
        ("items = [1]\nfolder = \"x\"\nprefix = \"b/\"", "it must start with `s3://`"),
    ] {
        let refused = sample(text).unwrap_err();
        assert!(refused.contains(expected), "{refused}");
    }
    let expected = SampleSpec { items: vec![json!(1)], batch_input: None, objects: None };
    assert_eq!(sample("items = [1]"), Ok(Some(expected)));
}

#[test]
fn what_is_left_out_has_the_documented_defaults() {
    let dataset = parse("dataset = \"d\"\nplugin.component = \"lib/p.wasm\"\nmap.items = \"{$.dates}\"").unwrap();
    assert_eq!(
        dataset.plugin,
        PluginSpec {
            component: ComponentRef::File("sets/lib/p.wasm".into()),
            memory: 64 << 20,
            timeout: Duration::from_secs(30),
            max_output: 16 << 20,
            max_log: 64 << 10,
            instance: InstanceLife::Item,
            max_slots: None,
            max_batches: None,
        }
    );
    assert_eq!(
        dataset.map,
        MapSpec {
            item_reader: ItemReader::Items(Template(json!("{$.dates}"))),
            max_items: None,
            item_selector: None,
            batch_input: None,
            max_items_per_batch: 100,
            max_input_bytes_per_batch: 253_952,
            max_concurrency: 1000,
            tolerated_failure_count: None,
            tolerated_failure_percentage: 0.0,
            tolerated_rejected_percentage: 0.0,
            heartbeat: Duration::from_secs(43_200),
            timeout: Duration::from_secs(86_400),
            max_attempts: 3,
            result_writer: None,
            reports: None,
        }
    );
    assert_eq!((dataset.settings, dataset.grants, dataset.outputs), (json!({}), Grants::default(), vec![]));
}

#[test]
fn a_batch_may_wait_for_half_of_its_time() {
    let heartbeat = |keys: &str| map(&format!("items = []\n{keys}")).unwrap().heartbeat;
    assert_eq!(heartbeat("timeout = '1h'"), Duration::from_secs(1_800));
    assert_eq!(heartbeat("timeout = '2s'"), Duration::from_secs(1));
    assert_eq!(heartbeat("timeout = '1h'\nheartbeat = '59m'"), Duration::from_secs(3_540));
}

#[test]
fn item_readers() {
    let reader = |text: &str| map(&format!("item_reader = {text}")).unwrap().item_reader;
    let uri = |text: &str| Template(json!(text));
    assert_eq!(
        reader(r#"{ csv = "s3://b/k.csv", headers = ["a", "b"], delimiter = "\t" }"#),
        ItemReader::Csv { uri: uri("s3://b/k.csv"), headers: Some(vec!["a".into(), "b".into()]), delimiter: '\t' }
    );
    assert_eq!(
        reader(r#"{ csv = "s3://b/k.csv", delimiter = "SEMICOLON" }"#),
        ItemReader::Csv { uri: uri("s3://b/k.csv"), headers: None, delimiter: ';' }
    );
    assert_eq!(
        reader(r#"{ json = "s3://b/{$.k}", pointer = "/a/0/b~1c" }"#),
        ItemReader::Json { uri: uri("s3://b/{$.k}"), pointer: "/a/0/b~1c".into() }
    );
    assert_eq!(reader(r#"{ json_lines = "s3://b/k" }"#), ItemReader::JsonLines { uri: uri("s3://b/k") });
    assert_eq!(reader(r#"{ s3_inventory = "s3://b/k" }"#), ItemReader::S3Inventory { uri: uri("s3://b/k") });
    assert_eq!(reader(r#"{ parquet = "s3://b/k" }"#), ItemReader::Parquet { uri: uri("s3://b/k") });
    assert_eq!(reader(r#"{ athena_rows = "s3://b/k" }"#), ItemReader::AthenaRows { uri: uri("s3://b/k") });
}

#[test]
fn readers_that_are_another_one_in_short() {
    let read = |text: &str| map(&format!("item_reader = {text}")).unwrap();
    let reader = |text: &str| read(text).item_reader;
    let uri = Template(json!("s3://b/{$.query}-manifest.csv"));
    assert_eq!(
        reader(r#"{ athena_files = "s3://b/{$.query}-manifest.csv" }"#),
        ItemReader::Csv { uri, headers: Some(vec!["uri".into()]), delimiter: '\t' }
    );
    for (text, items) in [
        ("{ numbers = { from = 0, to = 3 } }", json!([0, 1, 2, 3])),
        ("{ numbers = { from = -5, to = 4, step = 5 } }", json!([-5, 0])),
        ("{ numbers = { from = 7, to = 7, step = 9 } }", json!([7])),
        ("{ dates = { from = '2020-02-28', to = '2020-03-01' } }", json!(["2020-02-28", "2020-02-29", "2020-03-01"])),
        ("{ dates = { from = '20200229', to = '20200301' } }", json!(["20200229", "20200301"])),
        ("{ dates = { from = '1969-12-31', to = '1970-01-07', step = '7days' } }", json!(["1969-12-31", "1970-01-07"])),
        (
            "{ dates = { from = '2018-12-31', to = '2019-01-01', step = '17h 30m' } }",
            json!(["2018-12-31T00:00:00Z", "2018-12-31T17:30:00Z", "2019-01-01T11:00:00Z"]),
        ),
    ] {
        assert_eq!(reader(text), ItemReader::Items(Template(items)), "{text}");
    }
    assert_eq!(read(r#"{ json_lines = "s3://b/k", max_items = 5 }"#).max_items, Some(5));
}

#[test]
fn a_range_beyond_a_payload_has_the_same_items_as_those_within() {
    let range = |text: &str| match map(&format!("item_reader = {text}")).unwrap().item_reader {
        ItemReader::Range(range) => range.items().collect::<Vec<_>>(),
        other => panic!("{text}: {other:?}"),
    };
    let quarters = range("{ dates = { from = '2018-01-01', to = '2018-12-31', step = '15m' } }");
    assert_eq!((quarters.len(), quarters.last()), (35_040, Some(&json!("2018-12-31T23:45:00Z"))));
    let days = range("{ dates = { from = '19000101', to = '20260101', step = '1day' } }");
    assert_eq!((days.len(), days.last()), (46_022, Some(&json!("20260101"))));
    let numbers = range("{ numbers = { from = -9, to = 999990, step = 3 } }");
    assert_eq!((numbers.len(), &numbers[1], numbers.last()), (333_334, &json!(-6), Some(&json!(999_990))));
}

#[test]
fn ranges_that_are_none_or_too_large_are_named() {
    for (text, expected) in [
        (
            "{ numbers = { from = 1, to = 0 } }",
            "map.item_reader.numbers: `from` is beyond `to`: there would be no items",
        ),
        ("{ numbers = { from = 1 } }", "the key `to` is missing"),
        ("{ numbers = { from = 1, to = 2, step = 0 } }", "expected a step of at least 1, found 0"),
        (
            "{ numbers = { from = -9007199254740991, to = 9007199254740991 } }",
            "18014398509481983 items are more than Step Functions reads (100,000,000)",
        ),
        ("{ dates = { from = '2018-1-01', to = '2018-02-30' } }", "dates.to: expected a date such as"),
        ("{ dates = { from = '20180229', to = '20180301' } }", "dates.from: expected a date such as"),
        ("{ dates = { from = '2018é101', to = '20180301' } }", "dates.from: expected a date such as"),
        ("{ dates = { from = '20180101', to = '2018-03-01' } }", "`from` and `to` are written in two ways"),
        ("{ dates = { from = '2018-02-02', to = '2018-02-01' } }", "`from` is later than `to`"),
        ("{ dates = { from = '0000-01-01', to = '9999-12-31', step = '1s' } }", "items are more than Step Functions"),
        ("{ dates = { from = '2018-01-01', to = '2018-01-02', step = '1500ms' } }", "a step is whole seconds"),
        ("{ dates = { from = '2018-01-01', to = '2018-01-02' }, max_items = 1 }", "`to` says where the items end"),
        ("{ json_lines = 's3://b/k', max_items = 0 }", "expected a number from 1 to 100,000,000"),
        ("{ athena_files = 's3://b/k', headers = ['a'] }", "`headers` belongs to `csv`"),
        ("{ list_objects = 's3://b/', load = 'json', headers = ['a'] }", "`headers` belongs to `csv`"),
        ("{ list_objects = 's3://b/', load = 'parquet', pointer = '/a' }", "`pointer` belongs to `json`"),
        ("{ list_objects = 's3://b/', load = 'orc' }", "item_reader.load: `orc` is not a valid value"),
        ("{ csv = 's3://b/k', load = 'csv' }", "`load` belongs to `list_objects`"),
        ("{ athena_files = 's3://b/' }", "`s3://b/` does not name an object"),
        ("{ s3_inventory = 's3://b/' }", "`s3://b/` does not name an object"),
        ("{ s3_inventory = 's3://b/k', delimiter = ';' }", "`delimiter` belongs to `csv`"),
        ("{ athena_files = 's3://b/k', csv = 's3://b/k' }", "expected one of the keys `list_objects`"),
    ] {
        let error = map(&format!("item_reader = {text}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn six_mistakes_come_at_once_each_with_its_place() {
    let text = r#"dataset = "noaa precipitation"
colour = "blue"

[plugin]
component = "noaa-precipitation"
memory = "64 MB of it"

[map]
item_reader = { list_objects = "s3://${INPUT_BUCKET}/csv/" }
max_item_per_batch = 100
heartbeat = "2 days"

[[output]]
name = "stations"
table = "noaa-precipitation"
key = ["pk"]
columns = { pk = "text?", PRCP = "integer" }
"#;
    assert_snapshot!(parse(text).unwrap_err(), @r#"
    sets/d.toml:1:11: dataset: `noaa precipitation` is not a name
        help: a name is 1 to 63 letters, digits, `_` and `-`, and starts with a letter or digit
    sets/d.toml:2:1: colour: unknown key `colour`
        help: valid here: `dataset`, `plugin`, `settings`, `grants`, `map`, `output`, `release`, `sample`, `stage`
    sets/d.toml:6:10: plugin.memory: expected a size such as "64 MiB", found the text "64 MB of it"
    sets/d.toml:9:32: map.item_reader.list_objects: `${INPUT_BUCKET}` is not set
        help: give `--set INPUT_BUCKET=...`, or set the environment variable `INPUT_BUCKET`
    sets/d.toml:10:1: map.max_item_per_batch: unknown key `max_item_per_batch`
        help: did you mean `max_items_per_batch`?
    sets/d.toml:11:13: map.heartbeat: the heartbeat must be shorter than the timeout of 1day
    sets/d.toml:17:34: output[0].columns.PRCP: `integer` is not a column's type
        help: valid here: `boolean`, `int64`, `float64`, `text`, `date`, `timestamp`, `json`
    "#);
}

#[test]
fn mistakes_in_the_map_are_named() {
    assert_snapshot!(map("").unwrap_err(), @r"sets/d.toml:3:1: map: the key `item_reader` or `items` is missing");
    assert_snapshot!(map(r#"
        item_reader = { csv = "s3://b/", headers = ["a", "a"], delimiter = ":", pointer = "/a" }
        item_selector = { Key = "{$$.Map.Item.Value.Key", Index = [ "{$$.map.Item.Index}" ] }
        batch_input = { Key = "{$$.Map.Item.Value.Key}" }
        max_items_per_batch = 0
        max_input_bytes_per_batch = "256 KiB"
        max_concurrency = 10_001
        tolerated_failure_count = -1
        tolerated_failure_percentage = 0.5
        tolerated_rejected_percentage = 101
        heartbeat = "1h"
        timeout = "30m"
        max_attempts = "many"
        result_writer = "results/"
    "#).unwrap_err(), @r#"
    sets/d.toml:5:31: map.item_reader.csv: `s3://b/` does not name an object
    sets/d.toml:5:52: map.item_reader.headers: `a` is there twice
    sets/d.toml:5:76: map.item_reader.delimiter: expected one of the delimiters that Step Functions has: `,` `|` `;`, a space or a tab (`\t`), found the text ":"
    sets/d.toml:5:81: map.item_reader.pointer: `pointer` belongs to `json`
    sets/d.toml:6:33: map.item_selector.Key: `{$$.Map.Item.Value.Key` holds a placeholder that cannot be read: `}` is missing after `$$.Map.Item.Value.Key`
    sets/d.toml:6:69: map.item_selector.Index[0]: `{$$.map.Item.Index}`: the context object has no `map` here
        help: did you mean `Map`?
    sets/d.toml:7:31: map.batch_input.Key: `{$$.Map.Item.Value.Key}`: the context object has no `Map` here
        help: valid here: `Execution`, `State`, `StateMachine`
    sets/d.toml:8:31: map.max_items_per_batch: expected a number of items, at least 1, found 0
    sets/d.toml:9:37: map.max_input_bytes_per_batch: 256.0 KiB is out of range: it must be 1 B to 248.0 KiB
    sets/d.toml:10:27: map.max_concurrency: expected a number from 1 to 10,000 (Step Functions' most), found 10001
    sets/d.toml:11:35: map.tolerated_failure_count: expected a number of items, at least 0, found -1
    sets/d.toml:12:40: map.tolerated_failure_percentage: Step Functions takes whole percent here
        help: for finer limits there is `tolerated_failure_count`
    sets/d.toml:13:41: map.tolerated_rejected_percentage: expected a number from 0 to 100, found 101
    sets/d.toml:14:21: map.heartbeat: the heartbeat must be shorter than the timeout of 30m
    sets/d.toml:16:24: map.max_attempts: expected a number from 0 to 99,999,999 (Step Functions' most), found the text "many"
    sets/d.toml:17:25: map.result_writer: `results/` is not an object's URI: it must start with `s3://`
    "#);
    assert_snapshot!(map(r#"
        item_reader = { list_objects = "s3://b/", json = "s3://b/k" }
        item_selector = "{$$.Map.Item.Value}"
        batch_input = { n = [ "{$.n}", true ], "a.$" = 1 }
        timeout = "1500ms"
    "#).unwrap_err(), @r#"
    sets/d.toml:5:23: map.item_reader: expected one of the keys `list_objects`, `csv`, `json`, `json_lines`, `parquet`, `s3_inventory`, `athena_files`, `athena_rows`, `numbers`, `dates`, `stage` and `table`
    sets/d.toml:6:25: map.item_selector: expected a table, found the text "{$$.Map.Item.Value}"
    sets/d.toml:7:23: map.batch_input: the name `a.$` ends with `.$`, which Step Functions would read as a path
    sets/d.toml:8:19: map.timeout: Step Functions counts in whole seconds
    "#);
    assert_snapshot!(map("items = 3\nitem_reader = { csv = 's3://b/k' }").unwrap_err(), @r"sets/d.toml:4:9: map.items: items come from `item_reader` or from `items`, not from both");
    assert_snapshot!(map("items = 3").unwrap_err(), @r#"
    sets/d.toml:4:9: map.items: `items` is neither an array nor a placeholder
        help: give an array of items, or one placeholder that stands for an array or object of the input: `"{$.dates}"`
    "#);
    assert_snapshot!(map("item_reader = { list_objects = \"{$.uri}\", headers = [] }").unwrap_err(), @r"
    sets/d.toml:4:32: map.item_reader.list_objects: `{$.uri}` must start with `s3://`, a bucket and `/`
    sets/d.toml:4:43: map.item_reader.headers: `headers` belongs to `csv`
    ");
    assert_snapshot!(map("item_reader = 4\ntimeout = \"1500ms\"").unwrap_err(), @r"
    sets/d.toml:4:15: map.item_reader: expected a table, found 4
    sets/d.toml:5:11: map.timeout: Step Functions counts in whole seconds
    ");
    let items = vec!["x".repeat(1000); 260];
    assert_snapshot!(map(&format!("items = {items:?}")).unwrap_err(), @r#"
    sets/d.toml:4:9: map.items: the items are larger than a state's payload (256 KiB, Step Functions)
        help: put them into an object on S3 and read it with `item_reader = { json = "s3://..." }`
    "#);
}

#[test]
fn mistakes_in_outputs_are_named() {
    assert_snapshot!(outputs(r#"
        [[output]]
        name = "a"
        table = "no table!"
        key = []
        format = "csv"
        [[output]]
        name = "a"
        prefix = "s3://b/rows.parquet"
        format = "parket"
        key = ["x"]
        [[output]]
        table = "abc"
        prefix = "s3://b/x/"
        columns = {}
        [[output]]
        name = "c"
    "#).unwrap_err(), @r"
    sets/d.toml:7:17: output[0].table: `no table!` is not a table's name
        help: a table's name is 3 to 255 letters, digits, `_`, `-` and `.` (Amazon DynamoDB)
    sets/d.toml:8:15: output[0].key: expected at least 1 and at most 2 names, found 0
    sets/d.toml:9:9: output[0].format: `format` belongs to `prefix`
    sets/d.toml:12:18: output[1].prefix: the prefix `s3://b/rows.parquet` does not end with `/`
        help: every batch writes an object of its own under the prefix: write `s3://b/rows.parquet/`
    sets/d.toml:13:18: output[1].format: `parket` is not a valid value
        help: did you mean `parquet`?
    sets/d.toml:14:9: output[1].key: `key` belongs to `table`
    sets/d.toml:15:9: output[2]: the key `name` is missing
    sets/d.toml:17:18: output[2].prefix: an output goes to a `table` or to objects under a `prefix`, not to both
    sets/d.toml:18:19: output[2].columns: an output has at least one column
    sets/d.toml:19:9: output[3]: the key `table` or `prefix` is missing
    ");
    assert_snapshot!(outputs(r#"
        [[output]]
        name = "a"
        prefix = "s3://b/x/"
        format = "csv"
        [[output]]
        name = "a"
        prefix = "s3://b/x/"
        format = "csv"
        [[output]]
        name = "b"
        table = "abc"
        key = ["p", "q"]
        columns = { P = "text", q = "float64" }
        [[output]]
        name = "c"
        table = "abc"
        key = ["p", "q"]
        columns = { p = "text", q = "date?" }
    "#).unwrap_err(), @r"
    sets/d.toml:9:9: output[1]: there are two outputs with the name `a`
    sets/d.toml:16:15: output[2].key: the key column `p` is not among the columns
        help: did you mean `P`?
    sets/d.toml:16:15: output[2].key: the key column `q` is of type `float64`
        help: a key is of type `text`, `int64`, `date`, `timestamp`
    sets/d.toml:18:9: output[3]: `c` goes to the same place as `b`
        help: a table has one key, and rows of both would replace each other: give each a table
    sets/d.toml:21:15: output[3].key: the key column `q` may be null; a key may not
    ");
    assert_snapshot!(outputs("[output]\nname = 'a'").unwrap_err(), @r"
    sets/d.toml:4:1: output: outputs are a list of tables
        help: write `[[output]]`
    ");
}

#[test]
fn objects_are_compressed_in_the_ways_of_their_format() {
    let format = |text: &str| {
        let output = outputs(&format!("[[output]]\nname = 'a'\nprefix = 's3://b/x/'\n{text}"))?.remove(0);
        let Target::Objects { format, .. } = output.target else { panic!("{output:?}") };
        Ok::<_, String>(format)
    };
    assert_eq!(format("format = 'csv'"), Ok(Format::Csv(TextCompression::None)));
    assert_eq!(format("format = 'csv'\ncompression = 'gzip'"), Ok(Format::Csv(TextCompression::Gzip)));
    assert_eq!(format("format = 'json_lines'\ncompression = 'none'"), Ok(Format::JsonLines(TextCompression::None)));
    assert_eq!(format("format = 'json_lines'\ncompression = 'zstd'"), Ok(Format::JsonLines(TextCompression::Zstd)));
    assert_eq!(format("format = 'parquet'"), Ok(Format::Parquet(PageCompression::Zstd)));
    assert_eq!(format("format = 'parquet'\ncompression = 'snappy'"), Ok(Format::Parquet(PageCompression::Snappy)));
    assert_eq!(format("format = 'parquet'\ncompression = 'none'"), Ok(Format::Parquet(PageCompression::None)));
    assert_snapshot!(format("format = 'csv'\ncompression = 'snappy'").unwrap_err(), @r"
    sets/d.toml:8:15: output[0].compression: `snappy` is no compression of `csv`
        help: valid for `csv`: `none`, `gzip`, `zstd`
    ");
    assert_snapshot!(format("format = 'parquet'\ncompression = 'lz4'").unwrap_err(), @r"
    sets/d.toml:8:15: output[0].compression: `lz4` is no compression of `parquet`
        help: valid for `parquet`: `zstd`, `snappy`, `gzip`, `none`
    ");
    let wrong = format("format = 'json_lines'\ncompression = true").unwrap_err();
    assert_snapshot!(wrong, @"sets/d.toml:8:15: output[0].compression: expected a text, found true");
    let beside = outputs("[[output]]\nname = 'a'\ntable = 'abc'\nkey = ['k']\ncompression = 'gzip'").unwrap_err();
    assert_snapshot!(beside, @"sets/d.toml:8:1: output[0].compression: `compression` belongs to `prefix`");
}

/// Parquet's names say nothing of its pages.
#[test]
fn outputs_beside_each_other_have_other_names() {
    let both = |one: &str, other: &str| {
        let output = |name: &str, text: &str| format!("[[output]]\nname = '{name}'\nprefix = 's3://b/x/'\n{text}\n");
        outputs(&(output("a", one) + &output("b", other))).map(|_| ())
    };
    assert_eq!(both("format = 'csv'", "format = 'csv'\ncompression = 'gzip'"), Ok(()));
    assert_eq!(both("format = 'csv'\ncompression = 'zstd'", "format = 'json_lines'\ncompression = 'zstd'"), Ok(()));
    let same = both("format = 'parquet'", "format = 'parquet'\ncompression = 'none'").unwrap_err();
    assert_snapshot!(same, @"sets/d.toml:8:1: output[1]: `b` goes to the same place as `a`");
    assert_eq!(both("format = 'csv'", "format = 'csv'\ncompression = 'none'").unwrap_err(), same);
}

#[test]
fn what_is_to_come_is_refused_today() {
    assert_snapshot!(outputs("[window]\ncolumn = 't'").unwrap_err(), @r"
    sets/d.toml:4:2: window: unknown key `window`
        help: valid here: `dataset`, `plugin`, `settings`, `grants`, `map`, `output`, `release`, `sample`, `stage`
    ");
}

#[test]
fn a_component_may_lie_in_an_oci_registry() {
    let of = |reference: &str| parse(&format!("dataset = 'd'\nmap.items = []\nplugin.component = '{reference}'"));
    let found = of("oci://ghcr.io/acme/p:1.0.0").unwrap().plugin.component;
    assert_eq!(found, ComponentRef::Oci("oci://ghcr.io/acme/p:1.0.0".parse().unwrap()));
    assert_snapshot!(of("oci://registry/p@sha256:00").unwrap_err(), @"sets/d.toml:3:20: plugin.component: `oci://registry/p@sha256:00` is not a component in an OCI registry: it needs a tag or a digest. Expected oci://HOST/REPOSITORY:TAG, or @sha256:DIGEST");
    assert_snapshot!(of("https://registry/p").unwrap_err(), @r"
    sets/d.toml:3:20: plugin.component: `https://registry/p` is not a component that can be found
        help: give a name (`NAME.wasm` beside this file), a path that ends with `.wasm`, or `oci://HOST/REPOSITORY:TAG`
    ");
}

#[test]
fn what_is_no_toml_is_said_with_its_place() {
    assert_snapshot!(parse("dataset = \"d\"\nplugin = [\n").unwrap_err(), @r"sets/d.toml:2:11: this is not TOML: unclosed array, expected `]`");
    assert_snapshot!(Dataset::load(Path::new("/no/such/dataset.toml"), &variables()).unwrap_err(), @r"/no/such/dataset.toml: the dataset file cannot be read: No such file or directory (os error 2)");
}

#[test]
fn all_unset_variables_come_at_once() {
    assert_snapshot!(outputs(r#"
        settings = { "a" = ["${X} ${Y}"], b = "${DATA_BUCKET} ${oops" }
        grants.read = ["s3://${X}/"]
    "#).unwrap_err(), @r"
    sets/d.toml:5:29: settings.a[0]: `${X}` is not set
        help: give `--set X=...`, or set the environment variable `X`
    sets/d.toml:5:29: settings.a[0]: `${Y}` is not set
        help: give `--set Y=...`, or set the environment variable `Y`
    sets/d.toml:5:47: settings.b: `${oops` is no variable
        help: a variable is `${NAME}`, of letters, digits and `_`; a literal `${` is written `$${`
    sets/d.toml:6:24: grants.read[0]: `${X}` is not set
        help: give `--set X=...`, or set the environment variable `X`
    ");
}

#[test]
fn a_variable_cannot_bring_keys_of_its_own() {
    let variables = Variables::new([("NAME".into(), "x\"\nmemory = \"4 GiB".into())], []);
    let text = "dataset = 'd'\nmap.items = []\nplugin.component = 'p'\nsettings.name = \"${NAME}\"";
    let dataset = Dataset::parse(text, Path::new("d.toml"), &variables).unwrap();
    assert_eq!(dataset.settings, json!({"name": "x\"\nmemory = \"4 GiB"}));
    assert_eq!(dataset.plugin.memory, 64 << 20);
}

#[test]
fn findings_that_know_only_their_place_are_located() {
    let finding =
        |place: Place| Finding { file: "d.toml".into(), position: None, place, message: String::new(), help: None };
    let settings = Place::default().key("settings");
    let mut findings = [
        finding(settings.key("b").index(1).key("c")),
        finding(settings.key("missing")),
        finding(Place::default().key("output").index(1).key("key")),
        finding(Place::default().key("grants")),
    ];
    let text = "dataset = 'd'\n[settings]\na = 1\nb = [1, { c = 2 }]\n[[output]]\n[[output]]\nkey = []\n";
    locate(&mut findings, text);
    let positions = findings.map(|finding| finding.position.map(|at| (at.line, at.column)));
    assert_eq!(positions, [Some((1, 1)), Some((2, 2)), Some((4, 11)), Some((7, 1))]);
}

proptest! {
    #[test]
    fn no_text_panics(text in r#"([a-z_]{1,8}|[\[\]{}="'.,#$\n ]|[0-9]{1,3}|"[^"\n]{0,9}"){0,40}"#) {
        if let Err(findings) = parse(&text) {
            prop_assert!(!findings.0.is_empty(), "refused without a reason");
        }
    }

    /// Every key with every kind of value: what is wrong is said, what is right is taken, nothing panics.
    #[test]
    fn no_value_panics(key in 0..KEYS.len(), value in prop_oneof![
        r#"-?[0-9]{1,19}"#, r#""[^"\\\x00-\x1f\x7f]{0,12}""#, r#"-?[0-9]{1,3}\.[0-9]"#, r#""[0-9]{1,22} ?(s|ms|h|y|days|MiB|KB|TB)""#,
        Just("nan".into()), Just("true".into()), Just("[]".into()), Just("[[{}], 1]".into()), Just("{}".into()),
        Just("1979-05-27T07:32:00Z".into()), Just("\"{$.a}\"".into()), Just("\"s3://{$.a}/{$$.Map}\"".into()), Just("[{ name = 1 }, {}]".into())
    ]) {
        let text = format!("{} = {value}", KEYS[key]);
        let Err(findings) = parse(&text) else { return Err(TestCaseError::fail("one key is not a dataset")) };
        prop_assert!(!findings.0.is_empty());
        prop_assert!(!findings.to_string().contains("unknown key"), "{findings}");
    }
}

const KEYS: [&str; 39] = [
    "dataset",
    "plugin",
    "plugin.component",
    "plugin.memory",
    "plugin.timeout",
    "plugin.max_output",
    "plugin.max_log",
    "plugin.instance",
    "plugin.max_slots",
    "plugin.max_batches",
    "settings",
    "settings.x",
    "grants",
    "grants.read",
    "map",
    "map.item_reader",
    "map.item_reader.list_objects",
    "map.item_reader.csv",
    "map.item_reader.headers",
    "map.item_reader.delimiter",
    "map.item_reader.json",
    "map.item_reader.pointer",
    "map.item_reader.json_lines",
    "map.items",
    "map.item_selector",
    "map.batch_input",
    "map.max_items_per_batch",
    "map.max_input_bytes_per_batch",
    "map.max_concurrency",
    "map.tolerated_failure_count",
    "map.tolerated_failure_percentage",
    "map.tolerated_rejected_percentage",
    "map.heartbeat",
    "map.timeout",
    "map.max_attempts",
    "map.result_writer",
    "output",
    "dataset.x",
    "settings.y",
];

#[test]
fn what_stores_would_refuse_is_refused_before() {
    let complaint = |text: &str| outputs(text).unwrap_err();
    let table = |name: &str, table: &str, rest: &str| {
        format!("[[output]]\nname = '{name}'\ntable = '{table}'\nkey = ['id']\n{rest}\n")
    };
    assert_snapshot!(complaint(&(table("a", "events", "") + &table("b", "Events", ""))), @r"
    sets/d.toml:9:1: output[1]: the tables `events` and `Events` differ in upper and lower case alone
        help: SQLite, which stands for DynamoDB under `--local`, takes both for one: give one of them another name
    ");
    assert_snapshot!(complaint(&(table("a", "events", "") + &table("b", "events", "").replace("id", "pk"))), @r"
    sets/d.toml:9:1: output[1]: `b` goes to the same place as `a`
        help: a table has one key, and rows of both would replace each other: give each a table
    ");
    assert_snapshot!(complaint(&table("a", "events", "columns = { id = 'text', ID = 'text' }")), @r"
    sets/d.toml:8:11: output[0].columns: the columns `id` and `ID` differ in upper and lower case alone
        help: SQLite, which stands for DynamoDB under `--local`, takes both for one: give one of them another name
    ");
    assert_snapshot!(complaint(&table("a", "SQLite_events", "")), @r"
    sets/d.toml:6:9: output[0].table: `SQLite_events` is not a table's name
        help: names that begin with `sqlite_` are SQLite's own, which stands for DynamoDB under `--local`
    ");
    assert_snapshot!(complaint(&table("a", "events-{$.day}", "")), @r"
    sets/d.toml:6:9: output[0].table: `events-{$.day}`: a table's name is no template
        help: a table is one for all runs; the `prefix` of an output can have one for each
    ");
    let many: Vec<_> = (0..2101).map(|n| format!("c{n} = 'text'")).collect();
    assert!(
        complaint(&table("a", "abc", &format!("columns = {{ id = 'text', {} }}", many.join(", "))))
            .contains("2102 columns")
    );
    let long = "k".repeat(256);
    let key = table("a", "abc", &format!("columns = {{ {long} = 'text' }}")).replace("'id'", &format!("'{long}'"));
    assert!(complaint(&key).contains("one of a key has at most 255"));
    let under = |prefix: &str| outputs(&format!("[[output]]\nname = 'a'\nprefix = '{prefix}'\nformat = 'csv'"));
    assert!(under(&format!("s3://b/{}", "a/".repeat(433))).is_ok());
    assert!(under(&format!("s3://b/{}", "a/".repeat(434))).unwrap_err().contains("leave room"));
    assert!(under("s3://b/a//b/").unwrap_err().contains("has an empty part"));
    assert!(under("s3://b//").unwrap_err().contains("has an empty part"));
    assert!(under(&format!("s3://b/{}/", "a".repeat(256))).unwrap_err().contains("256 bytes"));
    assert!(under("s3://b/").is_ok());
    let reports = |prefix: &str, more: &str| {
        outputs(&format!(
            "map.reports = 's3://b/x/'\n[[output]]\nname = 'a'\nprefix = '{prefix}'\nformat = 'json_lines'{more}"
        ))
    };
    assert!(reports("s3://b/y/", "").is_ok());
    assert!(reports("s3://b/x/", "\ncompression = 'gzip'").is_ok(), "`.jsonl.gz` is another name than `.jsonl`");
    assert_snapshot!(reports("s3://b/x/", "").unwrap_err(), @r"
    sets/d.toml:5:1: output[0]: `a` goes to the same place as `[map] reports`
    ");
}

#[test]
fn a_run_can_have_places_of_its_own() {
    let text = "[[output]]\nname = 'a'\nprefix = 's3://b/{$.day}/{$$.Execution.Name}/'\nformat = 'csv'";
    let Target::Objects { prefix, .. } = outputs(text).unwrap().remove(0).target else { panic!() };
    assert_eq!(prefix.to_string(), "s3://b/{$.day}/{$$.Execution.Name}/");
    assert!(prefix.fixed().is_none());
    let map = map("items = []\nreports = 's3://b/r/{$.day}/'\nresult_writer = 's3://{$.bucket}/'").unwrap();
    assert_eq!(map.reports.unwrap().to_string(), "s3://b/r/{$.day}/");
}

#[test]
fn templates_elsewhere_are_errors() {
    let text = r#"
dataset = "d"
plugin.component = "p"
grants.read = ["s3://b/{$.day}/"]
sample = { items = [1], folder = "s", prefix = "s3://b/{$.day}/" }
[map]
items = []
reports = "s3://b/{$$.Map.Item.Value.Key}/"
result_writer = "{$.place}"
[[output]]
name = "a"
prefix = "s3://b/{$.day/"
format = "csv"
[[output]]
name = "b"
prefix = "s3://b/{$.day}"
format = "csv"
"#;
    assert_snapshot!(parse(text).unwrap_err(), @r"
    sets/d.toml:4:16: grants.read[0]: `s3://b/{$.day}/`: this is the same for every run, and no template
        help: placeholders can stand in the `prefix` of an output, `reports`, `result_writer`, readers and what items are made of
    sets/d.toml:5:48: sample.prefix: `s3://b/{$.day}/`: this is the same for every run, and no template
        help: placeholders can stand in the `prefix` of an output, `reports`, `result_writer`, readers and what items are made of
    sets/d.toml:8:11: map.reports: `{$$.Map.Item.Value.Key}`: the context object has no `Map` here
        help: valid here: `Execution`, `StateMachine`
    sets/d.toml:9:17: map.result_writer: `{$.place}` must start with `s3://`, a bucket and `/`
    sets/d.toml:12:10: output[0].prefix: `s3://b/{$.day/` holds a placeholder that cannot be read: `}` is missing after `$.day`
    sets/d.toml:16:10: output[1].prefix: the prefix `s3://b/{$.day}` does not end with `/`
        help: every batch writes an object of its own under the prefix: write `s3://b/{$.day}/`
    ");
}

const TWO_STAGES: &str = r#"
dataset = "d"
plugin.component = "p"
[[stage]]
name = "land"
map.items = [1]
output = [{ name = "events", prefix = "s3://b/landed/", format = "parquet", partition_by = ["day"] },
          { name = "rows", table = "rows", key = ["k"] }, { name = "plain", prefix = "s3://b/plain/", format = "csv" }]
[[stage]]
name = "roll"
settings.n = 3
map.item_reader = { stage = "land", output = "events", each = "partition", before = 1 }
"#;

fn stages(text: &str) -> Result<Vec<Dataset>, String> {
    Dataset::parse_stages(text, Path::new("d.toml"), &variables()).map_err(|findings| findings.to_string())
}

#[test]
fn stages_are_datasets_that_know_each_other() {
    let stages = stages(TWO_STAGES).unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| &*stage.name).collect();
    assert_eq!(names, ["d.land", "d.roll"]);
    let takes = HandOver { output: "events".into(), each: Each::Partition { before: 1 } };
    let [land, roll] = [0, 1].map(|n| stages[n].stage.clone().unwrap());
    assert_eq!((land.of.as_str(), land.hands_over), ("d", vec![takes]));
    assert!(roll.hands_over.is_empty());
    assert_eq!(roll.kept_by_others, ["events", "rows", "plain"]);
    // What is not said is the dataset's.
    assert_eq!((&stages[0].settings, &stages[1].settings), (&json!({}), &json!({"n": 3})));
    assert_eq!(stages[0].plugin, stages[1].plugin);
    let results = stages[0].map.result_writer.as_ref().unwrap().to_string();
    assert_eq!(results, "s3://b/landed/_gristmill/results/");
    assert_eq!(stages[1].map.result_writer, None);
}

#[test]
fn stages_that_do_not_fit_together_are_refused() {
    let wrong = |from: &str, to: &str| {
        assert!(TWO_STAGES.contains(from), "{from}");
        let findings = stages(&TWO_STAGES.replace(from, to)).unwrap_err();
        findings.lines().next().unwrap().to_owned()
    };
    let said = [
        wrong("stage = \"land\"", "stage = \"roll\""),
        wrong("stage = \"land\"", "stage = \"lend\""),
        wrong("output = \"events\", each", "output = \"others\", each"),
        wrong("output = \"events\", each", "output = \"rows\", each"),
        wrong("output = \"events\", each", "output = \"plain\", each"),
        wrong("each = \"partition\"", "each = \"file\""),
        wrong("name = \"roll\"", "name = \"land\""),
        wrong("name = \"roll\"", "name = \"a.b\""),
        wrong("dataset = \"d\"", "dataset = \"d\"\nmap.items = []"),
        wrong("[[stage]]\nname = \"roll\"", "[[stages]]\nname = \"roll\""),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    d.toml:12:29: stage[1].map.item_reader.stage: there is no stage `roll` before this one
    d.toml:12:29: stage[1].map.item_reader.stage: there is no stage `lend` before this one
    d.toml:12:46: stage[1].map.item_reader.output: the stage `land` has no output `others`
    d.toml:12:46: stage[1].map.item_reader.output: the output `rows` of `land` is a table: a stage takes objects
    d.toml:12:62: stage[1].map.item_reader.each: the output `plain` of `land` has no partitions
    d.toml:12:71: stage[1].map.item_reader.before: `before` belongs to `each = "partition"`
    d.toml:9:1: stage[1]: there are two stages with the name `land`
    d.toml:10:8: stage[1].name: `a.b` is not a name
    d.toml:3:1: map: `map` belongs to each `[[stage]]`
    d.toml:9:3: stages: unknown key `stages`
    "#);
    let with_output = |prefix: &str| {
        let output = format!("before = 1 }}\noutput = [{{ name = 'x', prefix = 's3://b/{prefix}/', format = 'csv' }}]");
        stages(&TWO_STAGES.replace("before = 1 }", &output)).unwrap_err()
    };
    assert!(with_output("x").contains("the output `x` would lose all that earlier runs have left"));
    assert!(with_output("plain").contains("`x` goes to the same place as `plain` of a stage before"));
    let alone =
        parse("dataset = 'd'\nplugin.component = 'p'\nmap.item_reader = { stage = 'a', output = 'b', each = 'file' }");
    insta::assert_snapshot!(alone.unwrap_err().to_string(), @"
    sets/d.toml:3:1: map: `item_reader`: this dataset has no stages
        help: `stage` names a `[[stage]]` before this one
    ");
    insta::assert_snapshot!(parse(TWO_STAGES).unwrap_err().to_string(), @"
    sets/d.toml: the dataset has stages; this command knows those of one map
    ");
}

const TABLE: &str = r#"
dataset = "shipments"
plugin.component = "p.wasm"
grants.sql = ["shop"]

[[stage]]
name = "land"
[stage.map.item_reader]
table = "public.shipments"
connection = "shop"
columns = ["id", "at"]
slices = { column = "quarter", lower = 1, upper = 5, count = 4 }
window = { column = "at", lag = "10min" }
[[stage.output]]
name = "rows"
prefix = "s3://b/raw/"
format = "parquet"
"#;

#[test]
fn a_table_is_read_in_slices_and_windows() {
    let stages = stages(TABLE).unwrap();
    let table = stages[0].table().unwrap();
    assert_eq!((table.table.to_string(), table.connection.as_str()), ("public.shipments".into(), "shop"));
    assert_eq!(table.slices, Slices::Strides { column: "quarter".into(), lower: 1, upper: 5, count: 4 });
    let window = stages[0].window().unwrap();
    assert_eq!((window.column.as_str(), window.lag), ("at", Some(Duration::from_secs(600))));
    assert!(window.count_late);
    let slices = |text: &str| {
        let text = TABLE.replace("slices = { column = \"quarter\", lower = 1, upper = 5, count = 4 }", text);
        self::stages(&text).unwrap()[0].table().unwrap().slices.clone()
    };
    assert_eq!(slices(""), Slices::Pages { count: 1 });
    assert_eq!(slices("slices = { count = 8 }"), Slices::Pages { count: 8 });
    let quantiles = Slices::Quantiles { column: "id".into(), count: 8 };
    assert_eq!(slices("slices = { column = \"id\", count = 8 }"), quantiles);
}

#[test]
fn tables_that_cannot_be_read_are_refused() {
    let wrong = |from: &str, to: &str| {
        assert!(TABLE.contains(from), "{from}");
        stages(&TABLE.replace(from, to)).unwrap_err()
    };
    assert_snapshot!([
        wrong("public.shipments", "a.b.c"),
        wrong("\"public.shipments\"", "\"\""),
        wrong("connection = \"shop\"", ""),
        wrong("grants.sql = [\"shop\"]", ""),
        wrong("lower = 1, upper = 5", "lower = 5, upper = 5"),
        wrong("lower = 1, ", ""),
        wrong("column = \"quarter\", ", ""),
        wrong("count = 4", "count = 0"),
        wrong("column = \"at\", ", ""),
        wrong("lag = \"10min\"", "lag = \"-1s\""),
        wrong("lag = \"10min\"", "count_late = 1"),
        wrong("[\"id\", \"at\"]", "[\"id\", \"id\"]"),
        wrong("window = {", "max_items = 3\nwindow = {"),
        wrong("table = \"public.shipments\"", "json_lines = \"s3://b/k\""),
        wrong("prefix = \"s3://b/raw/\"\nformat = \"parquet\"", "table = \"rows\"\nkey = [\"id\"]"),
    ].join("\n"), @r#"
    d.toml:9:9: stage[0].map.item_reader.table: `a.b.c` names neither a table nor a table of a schema
        help: write `table` or `schema.table`; a database is the connection's
    d.toml:9:9: stage[0].map.item_reader.table: a name of PostgreSQL has 1 to 63 bytes and no NUL: ``
    d.toml:8:1: stage[0].map.item_reader: the key `connection` is missing
    d.toml:10:14: stage[0].map.item_reader.connection: the connection `shop` is not granted
        help: grant it: `sql = ["shop"]` in `[grants]`
    d.toml:12:10: stage[0].map.item_reader.slices: `lower` is not below `upper`
    d.toml:12:10: stage[0].map.item_reader.slices: of `lower` and `upper` one is missing
        help: give both, or none of them
    d.toml:12:10: stage[0].map.item_reader.slices: `lower` and `upper` are values of a `column`
        help: name the column too
    d.toml:12:62: stage[0].map.item_reader.slices.count: expected a number of slices, from 1 to 10,000, found 0
    d.toml:13:10: stage[0].map.item_reader.window: the key `column` is missing
    d.toml:13:33: stage[0].map.item_reader.window.lag: expected a time span such as "30s" or "2h 30m", found the text "-1s"
    d.toml:13:40: stage[0].map.item_reader.window.count_late: expected true or false, found 1
    d.toml:11:11: stage[0].map.item_reader.columns: `id` is there twice
    d.toml:13:1: stage[0].map.item_reader.max_items: `max_items` belongs to what is read; a table has as many items as `slices` says
    d.toml:10:1: stage[0].map.item_reader.connection: `connection` belongs to `table`: it is about a table of a database
    d.toml:11:1: stage[0].map.item_reader.columns: `columns` belongs to `table`: it is about a table of a database
    d.toml:12:1: stage[0].map.item_reader.slices: `slices` belongs to `table`: it is about a table of a database
    d.toml:13:1: stage[0].map.item_reader.window: `window` belongs to `table`: it is about a table of a database
    d.toml:14:1: stage[0].output: a stage that reads a table needs an output with a `prefix`
        help: the slices of a run are written to an object below it, which the state machine reads
    "#);
    let of_one_map = TABLE.replace("[[stage]]\nname = \"land\"\n", "").replace("stage.", "");
    assert_snapshot!(stages(&of_one_map).unwrap_err(), @r#"
    d.toml:6:2: map: `item_reader`: a table is read by a `[[stage]]`
        help: write the map as `[[stage]]` with a `name`: then a run begins with a step that plans the slices
    "#);
    let twice = format!("{TABLE}{}", &TABLE[TABLE.find("[[stage]]").unwrap()..])
        .replacen("land", "first", 1)
        .replacen("raw", "first", 1);
    assert_snapshot!(stages(&twice).unwrap_err(), @r#"
    d.toml:25:10: stage[1].map.item_reader.window: the stage `shipments.first` has a window already
        help: a dataset has one window: write another dataset file
    "#);
}

#[test]
fn nothing_of_a_window_may_be_left_out_or_take_the_place_of_others() {
    let wrong = |from: &str, to: &str| {
        assert!(TABLE.contains(from), "{from}");
        stages(&TABLE.replace(from, to)).unwrap_err().to_string()
    };
    assert_snapshot!([
        wrong("[stage.map.item_reader]", "[stage.map]\ntolerated_failure_percentage = 1\n[stage.map.item_reader]"),
        wrong("[stage.map.item_reader]", "[stage.map]\ntolerated_rejected_percentage = 1\n[stage.map.item_reader]"),
        wrong("format = \"parquet\"", "format = \"parquet\"\nruns = \"replace\""),
    ].join("\n"), @r#"
    d.toml:9:32: stage[0].map.tolerated_failure_percentage: a run that takes a window has no `tolerated_failure_percentage`
        help: the window moves on, and nobody would read again what failed
    d.toml:9:33: stage[0].map.tolerated_rejected_percentage: a run that takes a window has no `tolerated_rejected_percentage`
        help: the window moves on, and nobody would read again what failed
    d.toml:18:8: stage[0].output[0].runs: a window does not take the place of others
        help: leave it out: each window adds to those before it, one that is read again replaces itself, and `--full` all
    "#);
    let stages = stages(TABLE).unwrap();
    assert_eq!(stages[0].stage.as_ref().unwrap().planned_by, Some(0));
    assert_eq!(stages[0].concluded().count(), 1);
}
