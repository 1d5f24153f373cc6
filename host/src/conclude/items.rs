//! Objects as the items of a stage: one JSON text a line, which a Distributed Map reads from one object.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::ConcludeError;
use super::partition::{ByPartition, PartitionKey};
use crate::dataset::{Each, HandOver, MAX_INPUT_BYTES_PER_BATCH};
use crate::job::BatchId;
use crate::object::Location;

/// Below the output's prefix. Readers of tables leave out what begins with `_`.
const FOLDER: &str = "_gristmill/";

/// Where the items of a stage are, as the state machine that reads them has it in its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ItemsFile {
    /// The bucket.
    pub bucket: String,
    /// The key of an object of JSON lines.
    pub key: String,
    /// How many items there are. A Distributed Map that reads an object without any fails.
    pub count: u64,
}

/// What the state that waits for the end of a stage is told: a pointer, however many items there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concluded {
    /// The stage.
    pub stage: String,
    /// The items of what is taken of it, in the order of [`crate::dataset::StageSpec::hands_over`].
    pub items: Vec<ItemsFile>,
}

/// Where the items go that are made of an output of a batch that concludes a stage.
pub fn place(prefix: &Location, batch: &BatchId, takes: &HandOver) -> Location {
    let each = match takes.each {
        Each::File => "files".to_owned(),
        Each::Partition { before } => format!("partitions-{before}"),
    };
    prefix.with_key(format!("{}{FOLDER}_{}.{}.{each}.jsonl", prefix.key, batch.object_name(), takes.output))
}

/// The items, each with a newline behind it: of what a run has committed, and of all that the output holds now. A partition is an
/// item when it, or one of those that come along, has something new.
pub fn lines<'p>(
    fresh: &'p ByPartition,
    current: &'p ByPartition,
    each: Each,
) -> Box<dyn Iterator<Item = Result<String, ConcludeError>> + Send + 'p> {
    match each {
        Each::File => {
            Box::new(fresh.iter().flat_map(|(partition, files)| files.iter().map(|file| Ok(of_file(partition, file)))))
        }
        Each::Partition { before } => {
            let partitions: Vec<_> = current.iter().collect();
            let before = before as usize;
            Box::new((0..partitions.len()).filter_map(move |n| {
                let with_those_before = &partitions[n.saturating_sub(before)..=n];
                let is_new = with_those_before.iter().any(|(partition, _)| fresh.contains_key(partition));
                is_new.then(|| of_partition(with_those_before, before))
            }))
        }
    }
}

fn of_file(partition: &PartitionKey, file: &Location) -> String {
    let mut item = Map::from_iter([("uri".to_owned(), Value::from(file.to_string()))]);
    if !partition.columns().is_empty() {
        item.insert("partition".into(), columns(partition));
    }
    Value::Object(item).to_string() + "\n"
}

/// The last of these partitions, and those before it.
fn of_partition(partitions: &[(&PartitionKey, &Vec<Location>)], before: usize) -> Result<String, ConcludeError> {
    let Some(((partition, files), earlier)) = partitions.split_last() else { return Ok(String::new()) };
    let uris = |files: &[Location]| files.iter().map(Location::to_string).collect::<Vec<_>>();
    let mut item = json!({"partition": columns(partition), "files": uris(files)});
    if before > 0 {
        item["before"] = earlier.iter().flat_map(|(_, files)| uris(files)).collect();
    }
    let text = item.to_string() + "\n";
    if text.len() > MAX_INPUT_BYTES_PER_BATCH as usize {
        let (values, count) = (columns(partition), files.len());
        return Err(ConcludeError::Refused(format!(
            "the partition {values} has {count} objects: named in one item they take {} bytes, and a batch of Step Functions has \
             at most {MAX_INPUT_BYTES_PER_BATCH}; let the stage before write fewer objects: larger batches, or a coarser `partition_by`",
            text.len()
        )));
    }
    Ok(text)
}

fn columns(partition: &PartitionKey) -> Value {
    partition.columns().iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(keys: &[&str]) -> ByPartition {
        let mut all = ByPartition::new();
        for key in keys {
            let at: Location = format!("s3://b/out/{key}").parse().unwrap();
            all.entry(PartitionKey::of(crate::table::hive::columns(key))).or_default().push(at);
        }
        all
    }

    fn all(objects: &ByPartition, each: Each) -> String {
        lines(objects, objects, each).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_partition_with_something_new_is_done_with_those_that_it_comes_along_with() {
        let current = objects(&["day=1/a", "day=2/a", "day=2/late", "day=3/a", "day=4/a"]);
        let fresh = objects(&["day=2/late"]);
        let items: String = lines(&fresh, &current, Each::Partition { before: 1 }).collect::<Result<_, _>>().unwrap();
        insta::assert_snapshot!(items, @r#"
        {"before":["s3://b/out/day=1/a"],"files":["s3://b/out/day=2/a","s3://b/out/day=2/late"],"partition":{"day":"2"}}
        {"before":["s3://b/out/day=2/a","s3://b/out/day=2/late"],"files":["s3://b/out/day=3/a"],"partition":{"day":"3"}}
        "#);
        assert_eq!(lines(&fresh, &current, Each::File).count(), 1);
    }

    #[test]
    fn each_file_is_an_item() {
        let objects = objects(&["day=2/b", "day=1/a%20b", "c"]);
        insta::assert_snapshot!(all(&objects, Each::File), @r#"
        {"uri":"s3://b/out/c"}
        {"partition":{"day":"1"},"uri":"s3://b/out/day=1/a%20b"}
        {"partition":{"day":"2"},"uri":"s3://b/out/day=2/b"}
        "#);
    }

    #[test]
    fn each_partition_is_an_item_with_those_before_it() {
        let objects = objects(&["day=10/a", "day=9/b", "day=9/c", "day=__HIVE_DEFAULT_PARTITION__/d", "day=x/e"]);
        insta::assert_snapshot!(all(&objects, Each::Partition { before: 0 }), @r#"
        {"files":["s3://b/out/day=9/b","s3://b/out/day=9/c"],"partition":{"day":"9"}}
        {"files":["s3://b/out/day=10/a"],"partition":{"day":"10"}}
        {"files":["s3://b/out/day=x/e"],"partition":{"day":"x"}}
        {"files":["s3://b/out/day=__HIVE_DEFAULT_PARTITION__/d"],"partition":{"day":null}}
        "#);
        insta::assert_snapshot!(all(&objects, Each::Partition { before: 2 }), @r#"
        {"before":[],"files":["s3://b/out/day=9/b","s3://b/out/day=9/c"],"partition":{"day":"9"}}
        {"before":["s3://b/out/day=9/b","s3://b/out/day=9/c"],"files":["s3://b/out/day=10/a"],"partition":{"day":"10"}}
        {"before":["s3://b/out/day=9/b","s3://b/out/day=9/c","s3://b/out/day=10/a"],"files":["s3://b/out/day=x/e"],"partition":{"day":"x"}}
        {"before":["s3://b/out/day=10/a","s3://b/out/day=x/e"],"files":["s3://b/out/day=__HIVE_DEFAULT_PARTITION__/d"],"partition":{"day":null}}
        "#);
    }

    #[test]
    fn a_partition_of_too_many_objects_is_refused() {
        let keys: Vec<String> = (0..9_000).map(|n| format!("day=1/{n:0>30}")).collect();
        let objects = objects(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        let error = lines(&objects, &objects, Each::Partition { before: 0 }).next().unwrap().unwrap_err().to_string();
        assert!(error.starts_with("the partition {\"day\":\"1\"} has 9000 objects"), "{error}");
    }
}
