//! Whether a dataset file and its component fit. Pure: the runtime opens the component, this compares.

use serde_json::Value;

use super::findings::{nearest, quoted};
use super::schema::{Complaint, Judgement};
use super::{Column, ColumnType, Dataset, Finding, InstanceLife, Manifest, Place, Target};

/// Everything about the dataset that does not fit the component: settings as they were judged by their schema, outputs
/// against the manifest, imports (as `gristmill:plugin/objects@0.1.0`) against grants. [`super::locate`] adds the lines.
pub fn against(dataset: &Dataset, manifest: &Manifest, imports: &[String], settings: &Judgement) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut note = |place: Place, message: String, help: Option<String>| {
        findings.push(Finding { file: dataset.file.clone(), position: None, place, message, help });
    };
    complaints(dataset, manifest, settings, &mut note);
    outputs(dataset, manifest, &mut note);
    grants(dataset, imports, &mut note);
    findings
}

/// What is no mistake, but follows from the file without being seen in it.
pub fn warnings(dataset: &Dataset) -> Vec<Finding> {
    let shared = (dataset.plugin.instance == InstanceLife::Batch).then(|| Finding {
        file: dataset.file.clone(),
        position: None,
        place: Place::default().key("plugin").key("instance"),
        message: "neighbours in a batch share an instance: what the plugin keeps (variables, caches, the order of a hash map) goes \
                  on from item to item. A batch gives the same rows every time, an item on its own may not"
            .into(),
        help: Some("leave `instance` out if the plugin starts fast, or let nothing that it keeps show in its rows".into()),
    });
    shared.into_iter().collect()
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
        // The file's own columns were checked when it was read.
        if output.columns.is_some() {
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
    }
    for shape in &manifest.outputs {
        if !dataset.outputs.iter().any(|output| output.name == shape.name) {
            let help = format!("add an `[[output]]` with `name = \"{}\"` and where its rows go", shape.name);
            note(all.clone(), format!("the plugin's output `{}` goes nowhere", shape.name), Some(help));
        }
    }
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
    let interface = |import: &String| import.split('@').next() == Some("gristmill:plugin/objects");
    if let (Some(import), true) = (imports.iter().find(|import| interface(import)), dataset.grants.read.is_empty()) {
        let help = "grant the prefixes that it may read: `[grants]` with `read = [\"s3://bucket/prefix/\"]`".into();
        note(
            Place::default().key("grants").key("read"),
            format!("the plugin imports `{import}`, but nothing is granted"),
            Some(help),
        );
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
        let mut findings = against(&dataset, manifest, &imports, &judged);
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
        d.toml:1:1: grants.read: the plugin imports `gristmill:plugin/objects@0.1.0`, but nothing is granted
            help: grant the prefixes that it may read: `[grants]` with `read = ["s3://bucket/prefix/"]`
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
    fn keys_must_be_columns_that_can_be_keys() {
        for key in ["['pk', 'day']", "['mean']", "['PK']"] {
            let text = FITTING.replace("['pk']", key);
            let found = found(&text, &manifest(), &[]);
            assert!(found.starts_with("d.toml:12:9: output[0].key: the key column"), "{found}");
        }
    }

    #[test]
    fn a_broken_schema_is_the_plugins_fault() {
        let manifest = Manifest { settings_schema: json!({"type": "objekt"}), ..manifest() };
        assert_snapshot!(found(FITTING, &manifest, &[]), @r#"
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
