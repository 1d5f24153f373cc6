//! Warnings: what is allowed, but rarely meant.

use crate::dataset::{Dataset, Finding, InstanceLife, ItemReader, Place};
use crate::object::Location;

/// Finds what is easily overlooked or rarely meant, such as grants that do not fit what the component imports
/// (`gristmill:plugin/objects@0.1.0`). These are no mistakes: a component may import what it never calls.
pub fn warnings(dataset: &Dataset, imports: &[String]) -> Vec<Finding> {
    let mut warnings = Vec::new();
    let mut note = |place: Place, message: String, help: Option<String>| {
        warnings.push(Finding { file: dataset.file.clone(), position: None, place, message, help });
    };
    if dataset.plugin.instance == InstanceLife::Batch {
        let message = "neighbours in a batch share an instance: what the plugin keeps (variables, caches, the order of a hash map) \
                       goes on from item to item. A batch gives the same rows every time, an item on its own may not";
        let help = "leave `instance` out if the plugin starts fast, or let nothing that it keeps show in its rows";
        note(dataset.place().key("plugin").key("instance"), message.into(), Some(help.into()));
    }
    grants(dataset, imports, &mut note);
    connections(dataset, imports, &mut note);
    warnings
}

fn connections(dataset: &Dataset, imports: &[String], note: &mut dyn FnMut(Place, String, Option<String>)) {
    let (place, granted) = (dataset.place().key("grants").key("sql"), &dataset.grants.sql);
    let interface = |import: &&String| import.split('@').next() == Some("gristmill:plugin/sql");
    match imports.iter().find(interface) {
        None if !granted.is_empty() => {
            note(place, "the plugin asks no databases: this grants nothing".into(), Some("leave it out".into()));
        }
        // What a language imports that brings all of WASI along says nothing: it brings all of the contract, too.
        Some(import) if granted.is_empty() && !imports.iter().any(|import| import.starts_with("wasi:sockets/")) => {
            let help = "if it asks one, grant its connection by name: `[grants]` with `sql = [\"NAME\"]`".into();
            note(place, format!("the plugin imports `{import}`, and no connection is granted"), Some(help));
        }
        _ => {}
    }
}

fn grants(dataset: &Dataset, imports: &[String], note: &mut dyn FnMut(Place, String, Option<String>)) {
    let (place, granted) = (dataset.place().key("grants").key("read"), &dataset.grants.read);
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
        let at = dataset.place().key("map").key("item_reader").key("list_objects");
        note(at, format!("nothing under {listed} is granted: the plugin can open none of these objects"), Some(help));
    }
}
