//! From the text of a dataset file to a [`Dataset`]. Every function here reads one table or one value; each key is named in
//! one place, where it is read.

mod map;
mod output;
mod plugin;
mod ranges;
mod release;
mod slices;
mod stage;
mod values;

use std::path::Path;

use serde_json::json;

use self::values::{name, object};
use super::findings::Step;
use super::read::keys;
use super::tree::{Kind, Node, Reader};
use super::{Dataset, Finding, Grants, ItemReader, Position, ReleaseSpec, Variables};

/// The stages of the file, or the one dataset that it is, unless something that it needs is missing or wrong, and everything
/// that is wrong.
pub(super) fn stages(text: &str, file: &Path, variables: &Variables) -> (Vec<Dataset>, Vec<Finding>) {
    let reader = Reader::new(file, text);
    let stages = reader.parse(Some(variables)).and_then(|root| root_table(&root, file));
    (stages.unwrap_or_default(), reader.finish())
}

/// Whether a TOML file is meant as a dataset file: it has the key `dataset`. A file that is no TOML counts as one, so that
/// reading it reports the mistake.
pub fn is_dataset(text: &str) -> bool {
    let reader = Reader::new(Path::new(""), text);
    match reader.parse(None).map(|root| root.kind) {
        Some(Kind::Table(entries)) => entries.iter().any(|entry| entry.name == "dataset"),
        _ => true,
    }
}

/// Gives findings that know only their place a position in the file's text, that of the nearest key which is there, and
/// puts all in the file's order.
pub fn locate(findings: &mut [Finding], text: &str) {
    let reader = Reader::new(Path::new(""), text);
    let Some(root) = reader.parse(None) else { return };
    for finding in findings.iter_mut().filter(|finding| finding.position.is_none()) {
        let (mut node, mut at) = (&root, 0);
        for step in &finding.place.0 {
            match (step, &node.kind) {
                (Step::Key(name), Kind::Table(entries)) => match entries.iter().find(|entry| entry.name == *name) {
                    Some(entry) => (node, at) = (&entry.node, entry.span.start),
                    None => break,
                },
                (Step::Index(index), Kind::Array(elements)) => match elements.get(*index) {
                    Some(element) => (node, at) = (element, element.span.start),
                    None => break,
                },
                _ => break,
            }
        }
        finding.position = Some(Position::of(text, at));
    }
    findings.sort_by_key(|finding| finding.position);
}

fn root_table(root: &Node<'_>, file: &Path) -> Option<Vec<Dataset>> {
    keys!(let { dataset, plugin, settings, grants, map, output, release, sample, stage } = root);
    let name = dataset.required(name);
    if let Some(stages) = stage.node() {
        for (slot, key) in [(&map, "map"), (&output, "output"), (&sample, "sample")] {
            slot.refuse(&format!("`{key}` belongs to each `[[stage]]`"));
        }
        let release = release.or(ReleaseSpec::default(), release::table);
        let common = stage::Common { name: name?, plugin, settings, grants, release: release? };
        return Some(stage::tables(stages, file, &common));
    }
    let plugin = plugin.required(|node| plugin::plugin_table(node, file));
    let settings = settings.or(json!({}), object);
    let grants = grants.or(Grants::default(), plugin::grants_table);
    let (map_node, map) = (map.node(), map.required(map::table));
    let (outputs_node, outputs) = (output.node(), output.or(Vec::new(), output::tables));
    let release = release.or(ReleaseSpec::default(), release::table);
    let sample = sample.optional(|node| release::sample_table(node, file));
    let dataset = Dataset {
        name: name?,
        file: file.into(),
        plugin: plugin?,
        settings: settings?,
        grants: grants?,
        map: map?,
        outputs: outputs?,
        release: release?,
        sample: sample?,
        stage: None,
    };
    if let ItemReader::Stage { .. } = dataset.map.item_reader {
        let at = map_node.unwrap_or(root);
        return at
            .note("`item_reader`: this dataset has no stages", Some("`stage` names a `[[stage]]` before this one"));
    }
    if let ItemReader::Table { .. } = dataset.map.item_reader {
        let help = "write the map as `[[stage]]` with a `name`: then a run begins with a step that plans the slices";
        return map_node.unwrap_or(root).note("`item_reader`: a table is read by a `[[stage]]`", Some(help));
    }
    output::reports_beside(&dataset, outputs_node);
    for (n, _) in
        dataset.outputs.iter().enumerate().filter(|(_, output)| output.runs.is_some() || output.catalog.is_some())
    {
        if let Some(node) = outputs_node.and_then(|node| node.array()).map(|nodes| &nodes[n]) {
            let help = "write the map as `[[stage]]` with a `name`: then a run ends with a step that does this";
            node.note::<()>("`runs` and `catalog` belong to an output of a `[[stage]]`", Some(help));
        }
    }
    Some(vec![dataset])
}

#[cfg(test)]
mod tests;
