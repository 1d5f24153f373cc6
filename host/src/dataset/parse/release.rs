//! `[release]` and `[sample]`: how versions follow each other, and what they are tried on.

use std::path::Path;
use std::time::Duration;

use super::values::{duration, location};
use crate::dataset::read::keys;
use crate::dataset::tree::Node;
use crate::dataset::{CanarySpec, Pin, ReleaseSpec, SampleObjects, SampleSpec};
use crate::registry::RegistryError;

/// The longest trial: a canary is judged while it runs, and nobody waits for a year.
const MAX_TRIAL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The most items of a sample, which every worker runs for every version.
const MAX_SAMPLE_ITEMS: usize = 100;

pub(super) fn table(node: &Node<'_>) -> Option<ReleaseSpec> {
    keys!(let { version, pin, canary } = node);
    let version = version.optional(|node| {
        node.text()?.parse().map_err(|error: RegistryError| node.note::<()>(error.to_string(), None)).ok()
    });
    let pin = pin.or(Pin::default(), |node| node.choice(&[("run", Pin::Run), ("batch", Pin::Batch)]));
    let canary = canary.or(CanarySpec::default(), canary_table);
    Some(ReleaseSpec { version: version?, pin: pin?, canary: canary? })
}

fn canary_table(node: &Node<'_>) -> Option<CanarySpec> {
    keys!(let { min_items, tolerated_failure_percentage, tolerated_slowdown_percentage, promote_after } = node);
    let default = CanarySpec::default();
    let items = min_items.or(default.min_items, |node| node.integer(1..i64::MAX, "a number of items, at least 1"));
    let failures = tolerated_failure_percentage.or(default.tolerated_failure_percentage, Node::percentage);
    let slowdown = tolerated_slowdown_percentage.or(default.tolerated_slowdown_percentage, |node| {
        node.integer::<u32>(0..100_001, "a whole number from 0 to 100,000").map(f64::from)
    });
    let promote = promote_after.or(default.promote_after, |node| duration(node, Duration::ZERO..=MAX_TRIAL));
    Some(CanarySpec {
        min_items: items?,
        tolerated_failure_percentage: failures?,
        tolerated_slowdown_percentage: slowdown?,
        promote_after: promote?,
    })
}

pub(super) fn sample_table(node: &Node<'_>, file: &Path) -> Option<SampleSpec> {
    keys!(let { items, batch_input, folder, prefix } = node);
    let items = items.required(|node| {
        let items = node.list(Node::json)?;
        match items.len() {
            1..=MAX_SAMPLE_ITEMS => Some(items),
            found => node.note(format!("a sample has 1 to {MAX_SAMPLE_ITEMS} items, this one has {found}"), None),
        }
    });
    let batch_input = batch_input.optional(Node::json);
    let objects = match (folder.node(), prefix.node()) {
        (None, None) => Some(None),
        (Some(folder), Some(prefix)) => match (folder.text(), location(prefix)) {
            (Some(folder), Some(prefix)) => {
                let folder = file.parent().unwrap_or(Path::new("")).join(folder);
                Some(Some(SampleObjects { folder, prefix }))
            }
            _ => None,
        },
        (Some(_), None) | (None, Some(_)) => {
            node.note("`folder` and `prefix` come together: files, and what they stand for", None)
        }
    };
    Some(SampleSpec { items: items?, batch_input: batch_input?, objects: objects? })
}
