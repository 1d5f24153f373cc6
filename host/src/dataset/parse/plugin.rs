//! `[plugin]` and `[grants]`: the component, its limits, and what it may reach.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::values::{GIB, KIB, MIB, duration, location, size};
use crate::dataset::names::{NAME_RULE, is_name};
use crate::dataset::read::keys;
use crate::dataset::tree::Node;
use crate::dataset::{ComponentRef, Grants, InstanceLife, PluginSpec};
use crate::registry::RegistryError;

/// The longest time that an item may take: Amazon SQS hides its batch's message from other workers for at most 12 hours.
const MAX_ITEM_TIMEOUT: Duration = Duration::from_secs(12 * 60 * 60);

/// The linear memory of a 32-bit component has at most 4 GiB.
const MEMORY: RangeInclusive<u64> = MIB..=4 * GIB;

pub(super) fn plugin_table(node: &Node<'_>, file: &Path) -> Option<PluginSpec> {
    keys!(let { component, memory, timeout, max_output, max_log, instance, max_slots, max_batches } = node);
    let component = component.required(|node| component_ref(node, file));
    let memory = memory.or(64 * MIB, |node| size(node, MEMORY));
    let timeout =
        timeout.or(Duration::from_secs(30), |node| duration(node, Duration::from_millis(1)..=MAX_ITEM_TIMEOUT));
    let max_output = max_output.or(16 * MIB, |node| size(node, 0..=4 * GIB));
    let max_log = max_log.or(64 * KIB, |node| size(node, 0..=GIB));
    let instance = instance
        .or(InstanceLife::Item, |node| node.choice(&[("item", InstanceLife::Item), ("batch", InstanceLife::Batch)]));
    let at_least_one = |node: &Node<'_>| node.integer(1..i64::from(u32::MAX), "a whole number, at least 1");
    let (max_slots, max_batches) = (max_slots.optional(at_least_one), max_batches.optional(at_least_one));
    Some(PluginSpec {
        component: component?,
        memory: memory?,
        timeout: timeout?,
        max_output: max_output?,
        max_log: max_log?,
        instance: instance?,
        max_slots: max_slots?,
        max_batches: max_batches?,
    })
}

fn component_ref(node: &Node<'_>, file: &Path) -> Option<ComponentRef> {
    let text = node.text()?;
    let beside = |name: &str| file.parent().unwrap_or(Path::new("")).join(name);
    if text.starts_with("oci://") {
        let refused = |error: RegistryError| node.note::<()>(error.to_string(), None);
        text.parse().map(ComponentRef::Oci).map_err(refused).ok()
    } else if text.ends_with(".wasm") && !text.contains("://") {
        Some(ComponentRef::File(beside(text)))
    } else if is_name(text) {
        Some(ComponentRef::File(beside(&format!("{text}.wasm"))))
    } else {
        let help =
            "give a name (`NAME.wasm` beside this file), a path that ends with `.wasm`, or `oci://HOST/REPOSITORY:TAG`";
        node.note(format!("`{text}` is not a component that can be found"), Some(help))
    }
}

pub(super) fn grants_table(node: &Node<'_>) -> Option<Grants> {
    keys!(let { read, sql } = node);
    let read = read.or(Vec::new(), |node| node.list(location));
    let sql = sql.or(Vec::new(), |node| node.list(connection));
    Some(Grants { read: read?, sql: sql? })
}

/// The name of a connection: where the database is, the worker knows.
fn connection(node: &Node<'_>) -> Option<String> {
    let name = node.text()?;
    if is_name(name) {
        return Some(name.to_owned());
    }
    let help = format!("give the name that the worker's `--connections` file has for it; {NAME_RULE}");
    node.note(format!("`{name}` is no name of a connection"), Some(&help))
}
