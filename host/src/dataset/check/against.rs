//! What does not fit: the settings against the component's schema, the outputs against its manifest.

use serde_json::Value;

use crate::dataset::findings::{nearest, quoted};
use crate::dataset::schema::{Complaint, Judgement};
use crate::dataset::{Column, Dataset, Finding, Manifest, Place, Target, limits};

/// Finds everything in the dataset that does not fit the component: settings that the schema refuses, and outputs that
/// differ from the manifest. [`crate::dataset::locate`] adds the lines.
pub fn against(dataset: &Dataset, manifest: &Manifest, settings: &Judgement) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut note = |place: Place, message: String, help: Option<String>| {
        findings.push(Finding { file: dataset.file.clone(), position: None, place, message, help });
    };
    complaints(dataset, manifest, settings, &mut note);
    outputs(dataset, manifest, &mut note);
    findings
}

type Note<'n> = &'n mut dyn FnMut(Place, String, Option<String>);

fn complaints(dataset: &Dataset, manifest: &Manifest, judged: &Judgement, note: Note<'_>) {
    match judged {
        Ok(complaints) => {
            let place = dataset.place().key("settings");
            for Complaint { pointer, message, help } in complaints {
                note(below(&place, &dataset.settings, pointer), message.clone(), help.clone());
            }
        }
        Err(reason) => {
            let help =
                format!("this is a fault of the plugin `{}` {}, not of this file", manifest.name, manifest.version);
            let plugin = dataset.place().key("plugin").key("component");
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
    let all = dataset.place().key("output");
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
        for (message, help) in limits::key_columns(&output.target, &shape.columns) {
            note(place.key("key"), message, help);
        }
        if let Target::Objects { layout, .. } = &output.target {
            for (key, (message, help)) in layout.complaints(&shape.columns) {
                note(place.key(key), message, help);
            }
        }
        for (message, help) in limits::columns(&output.target, &shape.columns) {
            note(
                place.key("name"),
                format!("output `{}` of the plugin `{}`: {message}", output.name, manifest.name),
                help,
            );
        }
    }
    let kept_by_others = dataset.stage.as_ref().map_or(&[][..], |stage| &stage.kept_by_others);
    for shape in &manifest.outputs {
        let names = dataset.outputs.iter().map(|output| &output.name).chain(kept_by_others);
        if !names.into_iter().any(|name| *name == shape.name) {
            let help = format!("add an `[[output]]` with `name = \"{}\"` and where its rows go", shape.name);
            note(all.clone(), format!("the plugin's output `{}` goes nowhere", shape.name), Some(help));
        }
    }
}

/// Complains about columns that the plugin declares and the file leaves out. The file's columns replace the plugin's, and a
/// row with any other column is rejected.
fn left_out(own: &[Column], declared: &[Column], plugin: &str) -> Option<String> {
    let names = declared.iter().map(|column| column.name.as_str());
    let left_out: Vec<&str> = names.filter(|name| own.iter().all(|column| column.name != *name)).collect();
    (!left_out.is_empty()).then(|| {
        let names = quoted(&left_out);
        format!("the plugin `{plugin}` declares {names} too: rows with more than these columns are rejected")
    })
}
