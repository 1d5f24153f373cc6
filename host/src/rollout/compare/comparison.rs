//! What a comparison found: counts, and the first differences. It has a bounded size, and any number of comparisons add up to
//! one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many differences are shown.
pub const MAX_DIFFERENCES: usize = 20;

/// How many characters of a name or value are shown.
const MAX_TEXT: usize = 200;

/// How many steps of [`Times::ratios`] make a time ratio of 2. Each step is 4.4 % wide.
const STEPS_PER_OCTAVE: f64 = 16.0;
/// The most steps: a ratio beyond 1 : 256 counts as 1 : 256.
const MOST_STEPS: f64 = 128.0;

/// What differs between two versions over some items.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Items of which both versions are known: the sum of the next four.
    pub items: u64,
    /// Both versions gave the same rows and value, or failed with the same code.
    pub same: u64,
    /// Both have a result, but not the same one, or both failed with different codes.
    pub changed: u64,
    /// The new version has no result where the old one has.
    pub newly_failing: u64,
    /// The old version has no result where the new one has.
    pub newly_succeeding: u64,
    /// Items of which nothing can be said, because a store did not answer.
    pub undecided: u64,
    /// Rows of items that succeeded with both, by output.
    pub rows: BTreeMap<String, Rows>,
    /// What differs between the versions' outputs themselves. Only columns that both have, of one type, are compared.
    pub schema: BTreeSet<SchemaChange>,
    /// The first differences, by item: at most [`MAX_DIFFERENCES`].
    pub first: Vec<Difference>,
    /// How long the items took that succeeded with both.
    pub time: Times,
    /// The size of the largest instance, in bytes.
    pub memory: Memory,
}

/// Rows of one output. Where both versions have the same key, rows are compared by it. Otherwise they are compared by their
/// place in the item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// Only the new version has them.
    pub added: u64,
    /// Only the old version has them.
    pub removed: u64,
    /// Both have them, with different values.
    pub changed: u64,
    /// Both have them, with the same values.
    pub same: u64,
}

/// One thing that differs between the outputs of two versions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
#[expect(missing_docs, reason = "the names say it")]
pub enum SchemaChange {
    OutputAdded { output: String },
    OutputRemoved { output: String },
    ColumnAdded { output: String, column: String },
    ColumnRemoved { output: String, column: String },
    ColumnType { output: String, column: String, old: String, new: String },
    Key { output: String, old: String, new: String },
}

/// One difference, with texts that are cut at 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Difference {
    /// The item's place among those that were compared.
    pub item: u64,
    /// The item's own name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What differs.
    pub subject: Subject,
    /// What the old version has, as JSON; none if it has nothing there.
    pub old: Option<String>,
    /// The same of the new version.
    pub new: Option<String>,
}

/// What a difference is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Whether there is a result: the failure's code and message, or `succeeded`.
    Outcome,
    /// What `process` returned.
    Result,
    /// A row, or a value in it.
    Row {
        /// The output.
        output: String,
        /// The row's key, or `row N` (from 1) within the item.
        key: String,
        /// The column; none where only one of the versions has the row.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<String>,
    },
}

/// Time, side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// The old version's, in microseconds.
    pub old_micros: u64,
    /// The new version's, in microseconds.
    pub new_micros: u64,
    /// How many items by new time : old time, in sixteenths of a power of two: 16 is twice as long, -16 half as long.
    pub ratios: BTreeMap<i16, u64>,
}

/// Memory, side by side, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The old version's.
    pub old: u64,
    /// The new version's.
    pub new: u64,
}

impl Comparison {
    /// Whether nothing differs but time and memory.
    pub fn is_equal(&self) -> bool {
        self.items == self.same && self.schema.is_empty()
    }

    /// The sum of both. Neither order nor grouping matters.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.items += other.items;
        self.same += other.same;
        self.changed += other.changed;
        self.newly_failing += other.newly_failing;
        self.newly_succeeding += other.newly_succeeding;
        self.undecided += other.undecided;
        for (output, rows) in other.rows {
            self.rows.entry(output).or_default().add(rows);
        }
        self.schema.extend(other.schema);
        self.first.extend(other.first);
        self.first.sort();
        self.first.truncate(MAX_DIFFERENCES);
        self.time.old_micros += other.time.old_micros;
        self.time.new_micros += other.time.new_micros;
        for (ratio, items) in other.time.ratios {
            *self.time.ratios.entry(ratio).or_default() += items;
        }
        self.memory.old = self.memory.old.max(other.memory.old);
        self.memory.new = self.memory.new.max(other.memory.new);
        self
    }
}

impl Rows {
    pub(super) fn add(&mut self, other: Self) {
        self.added += other.added;
        self.removed += other.removed;
        self.changed += other.changed;
        self.same += other.same;
    }

    /// Whether both versions have the same rows.
    pub(super) fn is_equal(&self) -> bool {
        self.added + self.removed + self.changed == 0
    }
}

impl Times {
    pub(super) fn add(&mut self, old: Duration, new: Duration) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        self.old_micros += micros(old);
        self.new_micros += micros(new);
        let ratio = micros(new) as f64 / micros(old) as f64;
        let step = (ratio.log2() * STEPS_PER_OCTAVE).round().clamp(-MOST_STEPS, MOST_STEPS);
        *self.ratios.entry(step as i16).or_default() += 1;
    }

    /// The median of new time : old time over the items, within 2.2 %; none without items.
    pub fn median_ratio(&self) -> Option<f64> {
        let half = self.ratios.values().sum::<u64>().div_ceil(2);
        let mut seen = 0;
        let median = self.ratios.iter().find(|(_, items)| {
            seen += **items;
            seen >= half
        });
        median.map(|(step, _)| (f64::from(*step) / STEPS_PER_OCTAVE).exp2())
    }
}

/// A text that fits.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any comparison.
    pub(in super::super) fn any_comparison() -> impl Strategy<Value = Comparison> {
        let difference =
            (0_u64..9, prop::option::of("[a-c]"), "[a-c]{0,2}").prop_map(|(item, column, old)| Difference {
                item,
                name: None,
                subject: Subject::Row { output: "o".into(), key: "k".into(), column },
                old: Some(old),
                new: None,
            });
        let first = prop::collection::vec(difference, 0..30).prop_map(|mut first| {
            first.sort();
            first.truncate(MAX_DIFFERENCES);
            first
        });
        let counts = prop::array::uniform5(0_u64..100);
        let rows = prop::collection::btree_map("[a-c]", prop::array::uniform4(0_u64..100), 0..3);
        let times = prop::collection::vec((1_u64..100_000, 1_u64..100_000), 0..5);
        let schema = prop::collection::btree_set("[a-c]", 0..3);
        (counts, rows, first, times, (0_u64..9, 0_u64..9), schema).prop_map(
            |(counts, rows, first, times, memory, schema)| {
                let [same, changed, newly_failing, newly_succeeding, undecided] = counts;
                let mut time = Times::default();
                for (old, new) in times {
                    time.add(Duration::from_micros(old), Duration::from_micros(new));
                }
                let rows = rows
                    .into_iter()
                    .map(|(output, [added, removed, changed, same])| (output, Rows { added, removed, changed, same }));
                Comparison {
                    items: same + changed + newly_failing + newly_succeeding,
                    same,
                    changed,
                    newly_failing,
                    newly_succeeding,
                    undecided,
                    rows: rows.collect(),
                    schema: schema.into_iter().map(|output| SchemaChange::OutputAdded { output }).collect(),
                    first,
                    time,
                    memory: Memory { old: memory.0, new: memory.1 },
                }
            },
        )
    }

    proptest! {
        #[test]
        fn comparisons_add_up_in_any_order_and_grouping(
            a in any_comparison(), b in any_comparison(), c in any_comparison(),
        ) {
            let left = a.clone().merge(b.clone()).merge(c.clone());
            prop_assert_eq!(&left, &a.clone().merge(b.clone().merge(c.clone())));
            prop_assert_eq!(&left, &c.merge(b).merge(a.clone()));
            prop_assert!(left.first.len() <= MAX_DIFFERENCES);
            prop_assert_eq!(left.items, left.same + left.changed + left.newly_failing + left.newly_succeeding);
            prop_assert_eq!(&Comparison::default().merge(a.clone()), &a);
        }

        #[test]
        fn a_comparison_comes_back_from_json(comparison in any_comparison()) {
            let text = serde_json::to_string(&comparison).unwrap();
            prop_assert_eq!(serde_json::from_str::<Comparison>(&text).unwrap(), comparison);
        }

        #[test]
        fn the_median_ratio_is_near_the_true_one(micros in prop::collection::vec((1_000_u64..100_000, 1_000_u64..100_000), 1..50)) {
            let mut times = Times::default();
            let mut ratios: Vec<f64> = micros.iter().map(|(old, new)| *new as f64 / *old as f64).collect();
            for (old, new) in micros {
                times.add(Duration::from_micros(old), Duration::from_micros(new));
            }
            ratios.sort_by(f64::total_cmp);
            let (median, exact) = (times.median_ratio().unwrap(), ratios[(ratios.len() - 1) / 2]);
            prop_assert!((median / exact).ln().abs() < 0.022, "{median} for {exact}");
        }
    }

    #[test]
    fn any_ratio_has_a_place() {
        let mut times = Times::default();
        assert_eq!(times.median_ratio(), None);
        times.add(Duration::ZERO, Duration::from_secs(1 << 40));
        times.add(Duration::from_secs(1 << 30), Duration::ZERO);
        assert_eq!(times.ratios, BTreeMap::from([(-128, 1), (128, 1)]));
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(short(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(short(&"é".repeat(201)), "é".repeat(200) + "…");
    }
}
