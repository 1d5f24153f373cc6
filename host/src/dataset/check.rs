//! Whether a dataset file and its component fit. Pure: the runtime opens the component, this compares.

use serde_json::Value;

use super::findings::{nearest, quoted};
use super::schema::{Complaint, Judgement};
use super::{Column, ColumnType, Dataset, Finding, InstanceLife, ItemReader, Manifest, Place, Target, limits};
use crate::object::Location;

/// Everything about the dataset that does not fit the component: settings as they were judged by their schema, outputs
/// against the manifest. [`super::locate`] adds the lines.
pub fn against(dataset: &Dataset, manifest: &Manifest, settings: &Judgement) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut note = |place: Place, message: String, help: Option<String>| {
        findings.push(Finding { file: dataset.file.clone(), position: None, place, message, help });
    };
    complaints(dataset, manifest, settings, &mut note);
    outputs(dataset, manifest, &mut note);
    findings
}

/// What is no mistake, but follows from the file without being seen in it, or is rarely meant: grants beside what the component
/// imports (as `gristmill:plugin/objects@0.1.0`). It may import what it never calls.
pub fn warnings(dataset: &Dataset, imports: &[String]) -> Vec<Finding> {
    let mut warnings = Vec::new();
    let mut note = |place: Place, message: String, help: Option<String>| {
        warnings.push(Finding { file: dataset.file.clone(), position: None, place, message, help });
    };
    if dataset.plugin.instance == InstanceLife::Batch {
        let message = "neighbours in a batch share an instance: what the plugin keeps (variables, caches, the order of a hash map) \
                       goes on from item to item. A batch gives the same rows every time, an item on its own may not";
        let help = "leave `instance` out if the plugin starts fast, or let nothing that it keeps show in its rows";
        note(Place::default().key("plugin").key("instance"), message.into(), Some(help.into()));
    }
    grants(dataset, imports, &mut note);
    warnings
}

type Note<'n> = &'n mut dyn FnMut(Place, String, Option<String>);

fn complaints(dataset: &Dataset, manifest: &Manifest, judged: &Judgement, note: Note<'_>) {
    match judged {
        Ok(complaints) => {
            let place = Place::default().key("settings");
            for Complaint { pointer, message, help } in complaints {
                note(below(&place, &dataset.settings, pointer), message.clone(), help.clone());
            }
        }
        Err(reason) => {
            let help =
                format!("this is a fault of the plugin `{}` {}, not of this file", manifest.name, manifest.version);
            let plugin = Place::default().key("plugin").key("component");
            note(plugin, format!("the plugin's settings schema {reason}"), Some(help));
        }
    }
}

/// The place that a JSON pointer names within a value.
fn below(place: &Place, value: &Value, pointer: &str) -> Place {
    let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
    let walked = steps.fold((place.clone(), Some(value)), |(place, value), step| match value {
        Some(Value::Array(elements)) => {
            let index: usize = step.parse().unwrap_or_default();
            (place.index(index), elements.get(index))
        }
        value => (place.key(&step), value.and_then(|value| value.get(&step))),
    });
    walked.0
}

fn outputs(dataset: &Dataset, manifest: &Manifest, note: Note<'_>) {
    let all = Place::default().key("output");
    for (n, output) in dataset.outputs.iter().enumerate() {
        let place = all.index(n);
        let Some(shape) = manifest.outputs.iter().find(|shape| shape.name == output.name) else {
            let help = nearest(&output.name, manifest.outputs.iter().map(|shape| shape.name.as_str()));
            note(place.key("name"), format!("the plugin `{}` has no output `{}`", manifest.name, output.name), help);
            continue;
        };
        // The file's own columns were checked by themselves when it was read.
        if let Some(columns) = &output.columns {
            if let Some(message) = left_out(columns, &shape.columns, &manifest.name) {
                let help = "add them, or leave `columns` out to take the plugin's".into();
                note(place.key("columns"), message, Some(help));
            }
            continue;
        }
        if shape.columns.is_empty() {
            let help = Some("give the columns here: `columns = { name = \"text\", ... }`".into());
            note(
                place,
                format!("the plugin `{}` does not say which columns `{}` has", manifest.name, output.name),
                help,
            );
            continue;
        }
        for (message, help) in key_columns(&output.target, &shape.columns) {
            note(place.key("key"), message, help);
        }
        for (message, help) in limits::columns(&output.target, &shape.columns) {
            note(
                place.key("name"),
                format!("output `{}` of the plugin `{}`: {message}", output.name, manifest.name),
                help,
            );
        }
    }
    for shape in &manifest.outputs {
        if !dataset.outputs.iter().any(|output| output.name == shape.name) {
            let help = format!("add an `[[output]]` with `name = \"{}\"` and where its rows go", shape.name);
            note(all.clone(), format!("the plugin's output `{}` goes nowhere", shape.name), Some(help));
        }
    }
}

/// The file's columns replace the plugin's: a row that has a column which is not among them is rejected. The complaint, if the plugin
/// declares such a column.
fn left_out(own: &[Column], declared: &[Column], plugin: &str) -> Option<String> {
    let names = declared.iter().map(|column| column.name.as_str());
    let left_out: Vec<&str> = names.filter(|name| own.iter().all(|column| column.name != *name)).collect();
    (!left_out.is_empty()).then(|| {
        let names = quoted(&left_out);
        format!("the plugin `{plugin}` declares {names} too: rows with more than these columns are rejected")
    })
}

/// What keeps columns from being the key of a table: not being there, being null at times, or a type that Amazon DynamoDB
/// has no keys of (a key is S or N), or whose values are not exact.
pub(super) fn key_columns(target: &Target, columns: &[Column]) -> Vec<(String, Option<String>)> {
    let Target::Table { key, .. } = target else {
        return Vec::new();
    };
    let check = |name: &String| {
        let Some(column) = columns.iter().find(|column| column.name == *name) else {
            let help = nearest(name, columns.iter().map(|column| column.name.as_str()));
            return Some((format!("the key column `{name}` is not among the columns"), help));
        };
        if column.nullable {
            return Some((format!("the key column `{name}` may be null; a key may not"), None));
        }
        let refused = match column.kind {
            ColumnType::Text | ColumnType::Int64 | ColumnType::Date | ColumnType::Timestamp => return None,
            ColumnType::Boolean => "boolean",
            ColumnType::Float64 => "float64",
            ColumnType::Json => "json",
        };
        let help = format!("a key is of type {}", quoted(&["text", "int64", "date", "timestamp"]));
        Some((format!("the key column `{name}` is of type `{refused}`"), Some(help)))
    };
    key.iter().filter_map(check).collect()
}

fn grants(dataset: &Dataset, imports: &[String], note: Note<'_>) {
    let (place, granted) = (Place::default().key("grants").key("read"), &dataset.grants.read);
    let interface = |import: &&String| import.split('@').next() == Some("gristmill:plugin/objects");
    let Some(import) = imports.iter().find(interface) else {
        if !granted.is_empty() {
            note(place, "the plugin cannot read objects: this grants nothing".into(), Some("leave it out".into()));
        }
        return;
    };
    if granted.is_empty() {
        let help = "if it reads, grant the prefixes: `[grants]` with `read = [\"s3://bucket/prefix/\"]`".into();
        return note(place, format!("the plugin imports `{import}`, and nothing is granted"), Some(help));
    }
    if let ItemReader::ListObjects { uri } = &dataset.map.item_reader
        && let Some(listed) = uri.0.as_str().and_then(|uri| uri.parse::<Location>().ok())
        && uri.paths().is_ok_and(|paths| paths.is_empty())
        && !granted.iter().any(|grant| grant.contains(&listed) || listed.contains(grant))
    {
        let help = format!("if the plugin opens the items' objects, add \"{listed}\" to `[grants] read`");
        let at = Place::default().key("map").key("item_reader").key("list_objects");
        note(at, format!("nothing under {listed} is granted: the plugin can open none of these objects"), Some(help));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;
    use crate::dataset::{Findings, OutputShape, Variables, locate, schema};

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
        let as_objects = FITTING
            .replace("table = 'stations'", "prefix = 's3://b/'\n        format = 'csv'")
            .replace("key = ['pk']", "");
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
}
