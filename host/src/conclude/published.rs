//! What an output holds after several runs: each run leaves a record of its objects, and what it does to those of earlier runs.
//!
//! A record appears when its run is concluded, as one object, and is never changed by another run. What the output holds is what the
//! records say, in the order of their times.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::ConcludeError;
use super::partition::{ByPartition, PartitionKey};
use crate::dataset::Runs;
use crate::object::{Location, ObjectError, ObjectStore};
use crate::table::hive;

/// Below an output's prefix. Readers of tables leave out what begins with `_`.
const RECORDS: &str = "_gristmill/_run.";

/// More than the record of the most objects that a run can have, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// What one run has under an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// When it was concluded: milliseconds since 1970.
    pub at: u64,
    /// What it does to the objects of the runs before it.
    pub runs: Runs,
    /// The window that the run took of a table. What an earlier run of the same window had goes in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// Keys below the output's prefix.
    pub files: BTreeSet<String>,
}

/// What an output holds once a run is concluded, and what goes for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// All objects of the output.
    pub current: ByPartition,
    /// Objects of earlier runs whose place the new ones take.
    pub gone: BTreeSet<Location>,
}

impl RunRecord {
    /// The record of the run that has these objects.
    pub fn new(at: u64, runs: Runs, window: Option<u64>, prefix: &Location, objects: &ByPartition) -> Self {
        let below = |file: &Location| file.key.strip_prefix(&prefix.key).unwrap_or(&file.key).to_owned();
        Self { at, runs, window, files: objects.values().flatten().map(below).collect() }
    }

    /// Where the record of a run lies.
    pub fn place(prefix: &Location, run: &str, output: &str) -> Location {
        prefix.with_key(format!("{}{RECORDS}{run}.{output}.json", prefix.key))
    }
}

/// The record of a run that was concluded, if it has one of this output.
pub async fn own(
    store: &Arc<dyn ObjectStore>,
    prefix: &Location,
    run: &str,
    output: &str,
) -> Result<Option<RunRecord>, ConcludeError> {
    let at = RunRecord::place(prefix, run, output);
    match store.open(&at, 0).await {
        Err(ObjectError::NotFound(_)) => Ok(None),
        _ => read(&**store, &at).await.map(Some),
    }
}

/// The records of the other runs.
pub async fn others(
    store: &Arc<dyn ObjectStore>,
    prefix: &Location,
    run: &str,
    output: &str,
) -> Result<Vec<(String, RunRecord)>, ConcludeError> {
    let own = RunRecord::place(prefix, run, output);
    let (folder, ending) = (prefix.with_key(format!("{}{RECORDS}", prefix.key)), format!(".{output}.json"));
    let (mut records, mut next) = (Vec::new(), None);
    loop {
        let page = store.list(&folder, next.as_deref()).await.map_err(|error| of_store(&folder, error))?;
        for object in page.objects {
            let at = object.location;
            if at.key.ends_with(&ending) && at != own {
                records.push((at.key.clone(), read(&**store, &at).await?));
            }
        }
        next = page.next;
        if next.is_none() {
            return Ok(records);
        }
    }
}

async fn read(store: &dyn ObjectStore, at: &Location) -> Result<RunRecord, ConcludeError> {
    let (metadata, first) = store.open(at, 1 << 20).await.map_err(|error| of_store(at, error))?;
    let unreadable = |why: String| {
        ConcludeError::Refused(format!(
            "{at} is not the record of a run: {why}; put it back, or delete it together with the run's objects"
        ))
    };
    if metadata.size > MAX_BYTES {
        return Err(unreadable(format!("it has {} bytes", metadata.size)));
    }
    let bytes = match first.len() as u64 == metadata.size {
        true => first,
        false => store.read(at, &metadata.etag, 0..metadata.size).await.map_err(|error| of_store(at, error))?,
    };
    serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))
}

fn of_store(at: &Location, error: ObjectError) -> ConcludeError {
    match error {
        ObjectError::Denied(_) | ObjectError::NotFound(_) => ConcludeError::Refused(format!(
            "what earlier runs have left is recorded at {at}, which cannot be read: {error}; allow `s3:ListBucket` and `s3:GetObject` there"
        )),
        error => ConcludeError::Unavailable(error),
    }
}

/// What the output holds with this run as the last one.
pub fn publish(prefix: &Location, mut others: Vec<(String, RunRecord)>, ours: &RunRecord) -> Published {
    others.sort_by(|(one, first), (other, second)| (first.at, one).cmp(&(second.at, other)));
    let mut records: Vec<&RunRecord> = others.iter().map(|(_, record)| record).collect();
    let before: BTreeSet<Location> = held(prefix, &records).into_values().flatten().collect();
    records.push(ours);
    let current = held(prefix, &records);
    let kept: BTreeSet<&Location> = current.values().flatten().collect();
    let gone = before.into_iter().filter(|file| !kept.contains(file)).collect();
    Published { current, gone }
}

/// The partitions that this run has written, and those that runs had and the output has no more.
pub fn partitions(
    prefix: &Location,
    others: Vec<(String, RunRecord)>,
    ours: &RunRecord,
) -> (BTreeSet<PartitionKey>, BTreeSet<PartitionKey>) {
    let of = |record: &RunRecord| record.files.iter().map(|key| PartitionKey::of(hive::columns(key))).collect();
    let written: BTreeSet<PartitionKey> = of(ours);
    let all: BTreeSet<PartitionKey> = others.iter().flat_map(|(_, record)| of(record)).collect();
    let current = publish(prefix, others, ours).current;
    (written, all.into_iter().filter(|partition| !current.contains_key(partition)).collect())
}

/// What the output holds after these runs, in their order.
fn held(prefix: &Location, records: &[&RunRecord]) -> ByPartition {
    let mut current = ByPartition::new();
    for (n, record) in records.iter().enumerate() {
        let again = |later: &&RunRecord| later.window.is_some() && later.window == record.window;
        if !records[n + 1..].iter().any(again) {
            take(&mut current, prefix, record);
        }
    }
    current
}

/// Adds a run's objects, after those whose place they take have gone.
fn take(current: &mut ByPartition, prefix: &Location, record: &RunRecord) {
    let files: Vec<(PartitionKey, Location)> = record
        .files
        .iter()
        .map(|key| (PartitionKey::of(hive::columns(key)), prefix.with_key(format!("{}{key}", prefix.key))))
        .collect();
    match record.runs {
        Runs::Append => {}
        Runs::Replace => current.clear(),
        Runs::ReplacePartitions => files.iter().for_each(|(partition, _)| _ = current.remove(partition)),
    }
    for (partition, file) in files {
        let files = current.entry(partition).or_default();
        if let Err(place) = files.binary_search(&file) {
            files.insert(place, file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix() -> Location {
        "s3://b/out/".parse().unwrap()
    }

    fn record(at: u64, runs: Runs, files: &[&str]) -> RunRecord {
        RunRecord { at, runs, window: None, files: files.iter().map(ToString::to_string).collect() }
    }

    fn published(others: &[RunRecord], ours: &RunRecord) -> (Vec<String>, Vec<String>) {
        let others = others.iter().enumerate().map(|(n, record)| (n.to_string(), record.clone())).collect();
        let Published { current, gone } = publish(&prefix(), others, ours);
        let key = |file: &Location| file.key.strip_prefix("out/").unwrap().to_owned();
        (current.values().flatten().map(key).collect(), gone.iter().map(key).collect())
    }

    #[test]
    fn runs_that_append_lie_beside_each_other() {
        let [one, two] = [&["d=1/a", "d=2/a"][..], &["d=2/b"]].map(|files| record(1, Runs::Append, files));
        assert_eq!(published(&[one], &two).0, ["d=1/a", "d=2/a", "d=2/b"]);
    }

    #[test]
    fn what_is_replaced_goes() {
        let first = record(1, Runs::Append, &["d=1/a", "d=2/a", "d=3/same"]);
        let all = record(2, Runs::Replace, &["d=2/b", "d=3/same"]);
        assert_eq!(
            published(std::slice::from_ref(&first), &all),
            (list(&["d=2/b", "d=3/same"]), list(&["d=1/a", "d=2/a"]))
        );
        let some = record(2, Runs::ReplacePartitions, &["d=2/b"]);
        assert_eq!(published(&[first], &some), (list(&["d=1/a", "d=2/b", "d=3/same"]), list(&["d=2/a"])));
    }

    #[test]
    fn the_order_is_that_of_the_times() {
        let late = record(9, Runs::Replace, &["d=1/late"]);
        let early = record(1, Runs::Append, &["d=1/early"]);
        let ours = record(10, Runs::Append, &["d=1/ours"]);
        assert_eq!(published(&[late, early], &ours).0, ["d=1/late", "d=1/ours"]);
    }

    #[test]
    fn a_window_that_is_read_again_takes_its_own_place_and_no_other() {
        let window = |at, number, files: &[&str]| RunRecord { window: Some(number), ..record(at, Runs::Append, files) };
        let (first, second) = (window(1, 1, &["d=1/a"]), window(2, 2, &["d=1/b", "d=2/b"]));
        let again = window(3, 2, &["d=2/c"]);
        let all = [first.clone(), second.clone()];
        assert_eq!(published(&all, &again), (list(&["d=1/a", "d=2/c"]), list(&["d=1/b", "d=2/b"])));
        // What has gone is not said to go once more.
        let third = window(4, 3, &["d=1/d"]);
        let (current, gone) = published(&[first.clone(), second.clone(), again.clone()], &third);
        assert_eq!((current, gone), (list(&["d=1/a", "d=1/d", "d=2/c"]), list(&[])));
        let full = RunRecord { runs: Runs::Replace, ..window(5, 4, &["d=9/e"]) };
        assert_eq!(published(&[first, second, again, third], &full).0, ["d=9/e"]);
    }

    fn list(keys: &[&str]) -> Vec<String> {
        keys.iter().map(ToString::to_string).collect()
    }

    proptest::proptest! {
        /// Whatever runs did, nothing is current that was replaced, and what goes was current.
        #[test]
        fn what_is_current_and_what_goes_are_apart(
            runs in proptest::collection::vec((0..3usize, proptest::collection::btree_set((0..4u8, 0..3u8), 0..6)), 1..6),
        ) {
            let modes = [Runs::Append, Runs::Replace, Runs::ReplacePartitions];
            let mut records: Vec<_> = runs.iter().enumerate().map(|(n, (mode, files))| {
                let files: Vec<String> = files.iter().map(|(day, file)| format!("d={day}/{file}")).collect();
                record(n as u64, modes[*mode], &files.iter().map(String::as_str).collect::<Vec<_>>())
            }).collect();
            let ours = records.pop().unwrap();
            let (current, gone) = published(&records, &ours);
            proptest::prop_assert!(gone.iter().all(|file| !current.contains(file)));
            proptest::prop_assert!(ours.files.iter().all(|file| current.contains(file)));
            if ours.runs == Runs::Append {
                proptest::prop_assert!(gone.is_empty());
            }
            let distinct: BTreeSet<&String> = current.iter().collect();
            proptest::prop_assert_eq!(distinct.len(), current.len());
        }
    }
}
