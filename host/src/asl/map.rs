//! The Distributed Map of a dataset, without what follows it.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::batch::{batch_state, insert, item_batcher};
use super::error::AslError;
use super::readers::{item_reader, result_writer};
use crate::dataset::{Dataset, ItemReader, MapSpec, StageSpec};

/// The Distributed Map. `root` is where the execution's input lies in the state's input, and `items` where items are that do not come
/// from what the dataset file names: the array itself, or where the object is that a stage before has left.
pub(super) fn map_state(
    dataset: &Dataset,
    queue_url: &str,
    root: &str,
    items: Option<&str>,
) -> Result<Map<String, Value>, AslError> {
    let mut map = map_head(&dataset.name, &dataset.map);
    match &dataset.map.item_reader {
        ItemReader::Items(template) => {
            let path = template.sole_path().map(|path| path.under(root));
            insert(&mut map, "ItemsPath", path.unwrap_or_else(|| items.unwrap_or("$.items").into()));
        }
        reader => insert(&mut map, "ItemReader", item_reader(reader, dataset.map.max_items, root, items)?),
    }
    if let Some(selector) = &dataset.map.item_selector {
        map.extend([selector.payload_field("ItemSelector", root)?]);
    }
    insert(&mut map, "ItemBatcher", item_batcher(dataset, root)?);
    if let Some(place) = &dataset.map.result_writer {
        insert(&mut map, "ResultWriter", result_writer(&place.template(), root)?);
    }
    let state = StageSpec::batch_state(&dataset.name);
    let processor = json!({
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": state,
        "States": {&state: batch_state(dataset, queue_url)},
    });
    insert(&mut map, "ItemProcessor", processor);
    Ok(map)
}

fn map_head(dataset: &str, map: &MapSpec) -> Map<String, Value> {
    let mut state = Map::new();
    insert(&mut state, "Type", "Map");
    insert(&mut state, "Label", label(dataset));
    insert(&mut state, "MaxConcurrency", map.max_concurrency);
    // The first limit that is crossed fails the map: a percentage of 0 would leave nothing of the count.
    if let Some(count) = map.tolerated_failure_count {
        insert(&mut state, "ToleratedFailureCount", count);
    }
    if map.tolerated_failure_count.is_none() || map.tolerated_failure_percentage > 0.0 {
        // Whole percent; `as` saturates what a hand-made `Dataset` might hold beyond.
        insert(&mut state, "ToleratedFailurePercentage", map.tolerated_failure_percentage.round() as u8);
    }
    state
}

/// The label becomes a part of the children's ARNs: at most 40 characters ("Distributed Map state fields"), all of which a
/// dataset's name may have; the dot before a stage's name is left out for safety. A longer name is cut, with a part of its digest
/// in place of the rest.
pub(super) fn label(dataset: &str) -> String {
    let label = dataset.replace('.', "-");
    if label.len() <= 40 {
        return label;
    }
    let digest = hex::encode(Sha256::digest(dataset));
    format!("{}-{}", label.chars().take(31).collect::<String>(), &digest[..8])
}
