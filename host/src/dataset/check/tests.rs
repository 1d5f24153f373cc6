use std::path::Path;

use insta::assert_snapshot;
use serde_json::json;

use super::*;
use crate::dataset::{Column, ColumnType, Dataset, Findings, Manifest, OutputShape, Variables, locate, schema};

fn manifest() -> Manifest {
    let column = |name: &str, kind, nullable| Column { name: name.into(), kind, nullable };
    let output = |name: &str, columns| OutputShape { name: name.into(), description: String::new(), columns };
    Manifest {
        name: "noaa".into(),
        version: "1.0.0".into(),
        description: String::new(),
        settings_schema: json!({
            "type": "object", "additionalProperties": false, "required": ["since"],
            "properties": {
                "since": {"type": "integer", "minimum": 1800},
                "limits": {"type": "object", "additionalProperties": false, "properties": {"high": {"type": "number"}}},
                "flags": {"type": "array", "items": {"enum": ["A", "B"]}}
            }
        }),
        outputs: vec![
            output(
                "stations",
                vec![
                    column("pk", ColumnType::Text, false),
                    column("day", ColumnType::Date, true),
                    column("mean", ColumnType::Float64, false),
                ],
            ),
            output("bare", vec![]),
        ],
    }
}

fn found(text: &str, manifest: &Manifest, imports: &[&str]) -> String {
    let text = format!("dataset = 'd'\nplugin.component = 'noaa'\nmap.items = []\n{text}");
    let dataset = Dataset::parse(&text, Path::new("d.toml"), &Variables::default()).unwrap();
    let imports: Vec<String> = imports.iter().map(|import| (*import).into()).collect();
    let judged = schema::judge(&manifest.name, &manifest.settings_schema, &dataset.settings);
    let mut findings = against(&dataset, manifest, &judged);
    findings.extend(warnings(&dataset, &imports));
    locate(&mut findings, &text);
    Findings(findings).to_string()
}

const FITTING: &str = "
        [settings]
        since = 1900
        [grants]
        read = ['s3://b/']
        [[output]]
        name = 'stations'
        table = 'stations'
        key = ['pk']
        [[output]]
        name = 'bare'
        prefix = 's3://b/x/'
        format = 'csv'
        columns = { a = 'json' }";

#[test]
fn what_fits_has_no_findings() {
    let imports = ["gristmill:plugin/objects@0.1.0", "gristmill:plugin/output@0.1.0"];
    assert_eq!(found(FITTING, &manifest(), &imports), "");
    assert_eq!(found(&FITTING.replace("read", "#"), &manifest(), &imports[1..]), "", "nothing to grant");
}

#[test]
fn everything_that_does_not_fit_comes_at_once() {
    let text = r#"
            [settings]
            flags = ["A", "C"]
            limits = { hihg = 3.5, high = "x" }
            sinze = 1900
            [[output]]
            name = "station"
            table = "abc"
            key = ["pk"]
            [[output]]
            name = "bare"
            table = "abcd"
            key = ["pk"]"#;
    assert_snapshot!(found(text, &manifest(), &["wasi:clocks/wall-clock@0.2.6", "gristmill:plugin/objects@0.1.0"]), @r#"
        d.toml:1:1: grants.read: the plugin imports `gristmill:plugin/objects@0.1.0`, and nothing is granted
            help: if it reads, grant the prefixes: `[grants]` with `read = ["s3://bucket/prefix/"]`
        d.toml:5:14: settings: "since" is a required property
        d.toml:6:27: settings.flags[1]: "C" is not one of "A" or "B"
        d.toml:7:24: settings.limits.hihg: the plugin `noaa` has no setting `hihg`
            help: did you mean `high`?
        d.toml:7:36: settings.limits.high: "x" is not of type "number"
        d.toml:8:13: settings.sinze: the plugin `noaa` has no setting `sinze`
            help: did you mean `since`?
        d.toml:9:15: output: the plugin's output `stations` goes nowhere
            help: add an `[[output]]` with `name = "stations"` and where its rows go
        d.toml:10:13: output[0].name: the plugin `noaa` has no output `station`
            help: did you mean `stations`?
        d.toml:13:13: output[1]: the plugin `noaa` does not say which columns `bare` has
            help: give the columns here: `columns = { name = "text", ... }`
        "#);
}

#[test]
fn columns_of_the_file_have_to_hold_the_plugins_rows() {
    let with = |columns: &str| {
        let text = FITTING.replace("key = ['pk']", &format!("key = ['pk']\ncolumns = {{ {columns} }}"));
        found(&text, &manifest(), &["gristmill:plugin/objects@0.1.0"])
    };
    assert_eq!(with("pk = 'text', day = 'text?', mean = 'float64', more = 'json?'"), "");
    assert_snapshot!(with("pk = 'text', more = 'json', most = 'text'"), @r"
        d.toml:13:1: output[0].columns: the plugin `noaa` declares `day`, `mean` too: rows with more than these columns are rejected
            help: add them, or leave `columns` out to take the plugin's
        ");
}

#[test]
fn columns_of_the_plugin_have_to_be_a_tables() {
    let mut manifest = manifest();
    let column = |name: String| Column { name, kind: ColumnType::Text, nullable: true };
    manifest.outputs[0].columns.extend([column("DAY".into()), column("x".repeat(65_536))]);
    let objects = ["gristmill:plugin/objects@0.1.0"];
    assert_snapshot!(found(FITTING, &manifest, &objects), @r"
        d.toml:10:9: output[0].name: output `stations` of the plugin `noaa`: the columns `day` and `DAY` differ in upper and lower case alone
            help: SQLite, which stands for DynamoDB under `--local`, takes both for one: give one of them another name
        d.toml:10:9: output[0].name: output `stations` of the plugin `noaa`: the name `xxxxxxxxxxxxxxxxxxxx…` has 65536 bytes; one of a column has at most 65535
        ");
    let as_objects =
        FITTING.replace("table = 'stations'", "prefix = 's3://b/'\n        format = 'csv'").replace("key = ['pk']", "");
    assert_eq!(found(&as_objects, &manifest, &objects), "", "objects have no such limits");
    manifest.outputs[0].columns.truncate(3);
    manifest.outputs[0].columns.extend((0..2098).map(|n| column(format!("c{n}"))));
    assert!(found(FITTING, &manifest, &objects).contains("2101 columns; a table has at most 2000"));
}

#[test]
fn grants_that_mean_nothing_and_lists_outside_of_them_are_warnings() {
    let warned = |text: &str, imports: &[&str]| {
        let text = format!("dataset = 'd'\nplugin.component = 'noaa'\n{text}");
        let dataset = Dataset::parse(&text, Path::new("d.toml"), &Variables::default()).unwrap();
        let imports: Vec<String> = imports.iter().map(|import| (*import).into()).collect();
        warnings(&dataset, &imports).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let objects = ["gristmill:plugin/objects@0.1.0"];
    let list = |list: &str, grant: &str| {
        warned(&format!("map.item_reader.list_objects = '{list}'\ngrants.read = ['{grant}']"), &objects)
    };
    assert_eq!(warned("map.items = [1]", &[]), "", "who cannot read needs no grant");
    assert!(warned("map.items = [1]", &objects).contains("nothing is granted"));
    assert!(warned("map.items = [1]\ngrants.read = ['s3://b/']", &[]).contains("this grants nothing"));
    let sql = ["gristmill:plugin/sql@0.1.0"];
    assert_eq!(warned("map.items = [1]\ngrants.sql = ['shop']", &sql), "");
    assert!(warned("map.items = [1]", &sql).contains("no connection is granted"));
    assert_eq!(warned("map.items = [1]", &[sql[0], "wasi:sockets/tcp@0.2.6"]), "", "that language imports everything");
    assert!(warned("map.items = [1]\ngrants.sql = ['shop']", &[]).contains("this grants nothing"));
    assert_eq!(list("s3://b/in/", "s3://b/"), "");
    assert_eq!(list("s3://b/", "s3://b/in/"), "", "some of the objects are granted");
    assert_eq!(list("s3://b/{$.day}/", "s3://b/in/"), "", "who knows");
    assert!(list("s3://b/in/", "s3://b/out/").contains("nothing under s3://b/in/ is granted"));
}

#[test]
fn keys_must_be_columns_that_can_be_keys() {
    for key in ["['pk', 'day']", "['mean']", "['PK']"] {
        let text = FITTING.replace("['pk']", key);
        let found = found(&text, &manifest(), &["gristmill:plugin/objects@0.1.0"]);
        assert!(found.starts_with("d.toml:12:9: output[0].key: the key column"), "{found}");
    }
}

#[test]
fn a_broken_schema_is_the_plugins_fault() {
    let manifest = Manifest { settings_schema: json!({"type": "objekt"}), ..manifest() };
    assert_snapshot!(found(FITTING, &manifest, &["gristmill:plugin/objects@0.1.0"]), @r#"
        d.toml:2:8: plugin.component: the plugin's settings schema is not a JSON Schema: "objekt" is not valid under any of the schemas listed in the 'anyOf' keyword
            help: this is a fault of the plugin `noaa` 1.0.0, not of this file
        "#);
}

#[test]
fn a_schema_that_refers_elsewhere_is_not_fetched() {
    let manifest = Manifest { settings_schema: json!({"$ref": "https://example.com/schema.json"}), ..manifest() };
    assert!(found(FITTING, &manifest, &[]).contains("settings schema"));
}
