//! `[[stage]]`: the Distributed Maps of a file, and what one takes of another.

use std::path::Path;

use serde_json::{Value, json};

use super::output::reports_beside;
use super::plugin::{grants_table, plugin_table};
use super::values::{name as stage_name, object};
use super::{map, output, release};
use crate::dataset::read::{Slot, keys};
use crate::dataset::tree::{Kind, Node};
use crate::dataset::{
    Dataset, Each, Grants, ItemReader, OutputSpec, PluginSpec, Prefix, ReleaseSpec, Runs, StageSpec, Target, Template,
};

/// How many stages a dataset has at most: each is some states of one state machine, whose text has at most 1 MiB.
const MAX_STAGES: usize = 20;

/// Below the prefix of an output that another stage takes: where Step Functions writes the answers of the batches, if the file
/// does not say where. Readers of tables leave out what begins with `_`.
const RESULTS: &str = "_gristmill/results/";

/// What stages have in common unless they say otherwise.
pub(super) struct Common<'n> {
    pub(super) name: String,
    pub(super) plugin: Slot<'n>,
    pub(super) settings: Slot<'n>,
    pub(super) grants: Slot<'n>,
    pub(super) release: ReleaseSpec,
}

/// The stages, as far as they make sense.
pub(super) fn tables(node: &Node<'_>, file: &Path, common: &Common<'_>) -> Vec<Dataset> {
    let nodes = match &node.kind {
        Kind::Table(_) => {
            return node.note("stages are a list of tables", Some("write `[[stage]]`")).unwrap_or_default();
        }
        _ => node.array().unwrap_or_default(),
    };
    if nodes.is_empty() || nodes.len() > MAX_STAGES {
        node.note::<()>(format!("a dataset has 1 to {MAX_STAGES} stages, this one has {}", nodes.len()), None);
    }
    // Read once, so that what is wrong is said once.
    let plugin = common.plugin.optional(|node| plugin_table(node, file));
    let settings = common.settings.or(json!({}), object);
    let grants = common.grants.or(Grants::default(), grants_table);
    let (Some(plugin), Some(settings), Some(grants)) = (plugin, settings, grants) else { return Vec::new() };
    let mut stages: Vec<(&Node<'_>, Dataset)> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let read = stage(node, file, (plugin.as_ref(), &settings, &grants), common);
        let Some((name, mut dataset)) = read else { continue };
        if stages.iter().any(|(_, other)| other.stage.as_ref().is_some_and(|other| other.name == name)) {
            node.note::<()>(format!("there are two stages with the name `{name}`"), None);
        }
        let of = common.name.clone();
        dataset.name = StageSpec::full_name(&of, &name);
        dataset.stage = Some(StageSpec {
            of,
            name,
            index,
            count: nodes.len(),
            kept_by_others: Vec::new(),
            planned_by: None,
            hands_over: Vec::new(),
        });
        link(node, &dataset, &mut stages);
        of_table(node, &dataset, &stages);
        of_window(node, &mut dataset, &stages);
        for own in &dataset.outputs {
            let mut others = stages.iter().flat_map(|(_, other)| &other.outputs);
            let same = |other: &&OutputSpec| {
                matches!(own.target, Target::Objects { .. }) && other.target.is_same_place(&own.target)
            };
            if let Some(other) = others.find(same) {
                let message = format!("`{}` goes to the same place as `{}` of a stage before", own.name, other.name);
                node.note::<()>(message, Some("give each output a prefix of its own"));
            }
        }
        stages.push((node, dataset));
    }
    let mut stages: Vec<Dataset> = stages.into_iter().map(|(_, dataset)| dataset).collect();
    let kept: Vec<String> = stages.iter().flat_map(|stage| &stage.outputs).map(|output| output.name.clone()).collect();
    for dataset in &mut stages {
        let others = kept.iter().filter(|name| dataset.outputs.iter().all(|own| own.name != **name));
        let others = others.cloned().collect();
        if let Some(stage) = &mut dataset.stage {
            stage.kept_by_others = others;
        }
        if dataset.map.result_writer.is_none() {
            let results = dataset.concluded().next().map(|(_, prefix)| results_below(prefix));
            dataset.map.result_writer = results;
        }
    }
    stages
}

fn stage(
    node: &Node<'_>,
    file: &Path,
    (shared_plugin, shared_settings, shared_grants): (Option<&PluginSpec>, &Value, &Grants),
    common: &Common<'_>,
) -> Option<(String, Dataset)> {
    keys!(let { name, plugin, settings, grants, map, output, sample } = node);
    let name = name.required(stage_name);
    let plugin = match shared_plugin {
        Some(shared) => plugin.or(shared.clone(), |node| plugin_table(node, file)),
        None => plugin.required(|node| plugin_table(node, file)),
    };
    let settings = settings.or(shared_settings.clone(), object);
    let grants = grants.or(shared_grants.clone(), grants_table);
    let map = map.required(map::table);
    let (outputs_node, outputs) = (output.node(), output.or(Vec::new(), output::tables));
    let sample = sample.optional(|node| release::sample_table(node, file));
    let dataset = Dataset {
        name: String::new(),
        file: file.into(),
        plugin: plugin?,
        settings: settings?,
        grants: grants?,
        map: map?,
        outputs: outputs?,
        release: common.release.clone(),
        sample: sample?,
        stage: None,
    };
    reports_beside(&dataset, outputs_node);
    Some((name?, dataset))
}

/// Tells the stage that another one takes something of.
fn link(node: &Node<'_>, dataset: &Dataset, before: &mut [(&Node<'_>, Dataset)]) {
    let ItemReader::Stage { stage, takes } = &dataset.map.item_reader else { return };
    let at = |key: &str| below(node, &["map", "item_reader", key]);
    let named = |(_, other): &&mut (&Node<'_>, Dataset)| other.stage.as_ref().is_some_and(|other| other.name == *stage);
    let Some((_, source)) = before.iter_mut().find(named) else {
        let help = "a stage takes what one of the stages above it has committed";
        at("stage").note::<()>(format!("there is no stage `{stage}` before this one"), Some(help));
        return;
    };
    let Some(output) = source.outputs.iter().find(|output| output.name == takes.output) else {
        at("output").note::<()>(format!("the stage `{stage}` has no output `{}`", takes.output), None);
        return;
    };
    let Target::Objects { layout, .. } = &output.target else {
        let message = format!("the output `{}` of `{stage}` is a table: a stage takes objects", takes.output);
        at("output").note::<()>(message, None);
        return;
    };
    if matches!(takes.each, Each::Partition { .. }) && layout.partition_by.is_empty() {
        let message = format!("the output `{}` of `{stage}` has no partitions", takes.output);
        at("each").note::<()>(message, Some("give it `partition_by`, or take it by `each = \"file\"`"));
        return;
    }
    let of_window = source.stage.as_ref().is_some_and(|stage| stage.planned_by.is_some());
    let partial = !of_window && (matches!(takes.each, Each::Partition { .. }) || output.runs() == Runs::Append);
    for (n, own) in dataset.outputs.iter().enumerate().filter(|_| partial) {
        let Target::Objects { prefix, .. } = &own.target else { continue };
        if own.runs.is_none() && own.runs() == Runs::Replace && prefix.fixed().is_some() {
            let help = "give it `partition_by`, or say it with `runs`";
            let message = format!(
                "the output `{}` would lose all that earlier runs have left, because a run brings only what is new",
                own.name
            );
            let outputs = below(node, &["output"]);
            outputs.array().and_then(|nodes| nodes.get(n)).unwrap_or(node).note::<()>(message, Some(help));
        }
    }
    if let Some(spec) = source.stage.as_mut().filter(|spec| !spec.hands_over.contains(takes)) {
        spec.hands_over.push(takes.clone());
    }
}

/// How large an object of a run over a window becomes, where the file does not say it: its batches leave lists of their objects, as
/// those of a layout do.
const FILE_SIZE: u64 = 1 << 30;

/// Looks at a stage of a run that takes a window: nothing of the window may be left out, and no window takes another one's place.
fn of_window(node: &Node<'_>, dataset: &mut Dataset, before: &[(&Node<'_>, Dataset)]) {
    let own = dataset.window().is_some();
    let earlier = before.iter().find_map(|(_, other)| other.stage.as_ref()?.planned_by);
    let Some(stage) = dataset.stage.as_mut() else { return };
    stage.planned_by = if own { Some(stage.index) } else { earlier };
    if stage.planned_by.is_none() {
        return;
    }
    let map = &dataset.map;
    for (key, tolerates) in [
        ("tolerated_failure_percentage", map.tolerated_failure_percentage > 0.0),
        ("tolerated_failure_count", map.tolerated_failure_count.is_some_and(|count| count > 0)),
        ("tolerated_rejected_percentage", map.tolerated_rejected_percentage > 0.0),
    ] {
        if tolerates {
            let help = "the window moves on, and nobody would read again what failed";
            below(node, &["map", key]).note::<()>(format!("a run that takes a window has no `{key}`"), Some(help));
        }
    }
    for (n, output) in dataset.outputs.iter_mut().enumerate() {
        let Target::Objects { layout, .. } = &mut output.target else { continue };
        if layout.has_one_file() {
            layout.file_size = Some(FILE_SIZE);
        }
        if output.runs.is_some_and(|runs| runs != Runs::Append) {
            let outputs = below(node, &["output"]);
            let at = outputs.array().and_then(|nodes| nodes.get(n)).unwrap_or(node);
            let help = "leave it out: each window adds to those before it, one that is read again replaces itself, and `--full` all";
            below(at, &["runs"]).note::<()>("a window does not take the place of others", Some(help));
        }
    }
}

/// Looks at a stage that reads a table: who plans its slices writes them below an output, and a run has one window.
fn of_table(node: &Node<'_>, dataset: &Dataset, before: &[(&Node<'_>, Dataset)]) {
    let ItemReader::Table(table) = &dataset.map.item_reader else { return };
    if dataset.plan_prefix().is_none() {
        let help = "the slices of a run are written to an object below it, which the state machine reads";
        below(node, &["output"]).note::<()>("a stage that reads a table needs an output with a `prefix`", Some(help));
    }
    if !dataset.grants.sql.contains(&table.connection) {
        let at = below(node, &["map", "item_reader", "connection"]);
        let help = format!("grant it: `sql = [\"{}\"]` in `[grants]`", table.connection);
        at.note::<()>(format!("the connection `{}` is not granted", table.connection), Some(&help));
    }
    if table.window.is_some()
        && let Some((_, other)) = before.iter().find(|(_, other)| other.window().is_some())
    {
        let at = below(node, &["map", "item_reader", "window"]);
        let help = "a dataset has one window: write another dataset file";
        at.note::<()>(format!("the stage `{}` has a window already", other.name), Some(help));
    }
}

fn results_below(prefix: &Prefix) -> Prefix {
    match prefix {
        Prefix::Fixed(place) => Prefix::Fixed(place.with_key(format!("{}{RESULTS}", place.key))),
        Prefix::Of(template) => {
            let text = template.0.as_str().unwrap_or_default();
            Prefix::Of(Template(Value::String(format!("{text}{RESULTS}"))))
        }
    }
}

/// The value at these keys, or the nearest one above it that is there.
fn below<'n, 'r>(node: &'n Node<'r>, keys: &[&str]) -> &'n Node<'r> {
    keys.iter().fold(node, |node, key| match &node.kind {
        Kind::Table(entries) => entries.iter().find(|entry| entry.name == *key).map_or(node, |entry| &entry.node),
        _ => node,
    })
}
