//! What a committed batch rests on: what its items read, and what it left. `gristmill map` keeps it beside the receipt, and
//! looks at the next run whether all of it is still so; what is not is done again. In the cloud every execution is new work.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::ready::Ready;
use crate::dataset::{Dataset, Target, canonical};
use crate::job::Digest;
use crate::object::Location;
use crate::object::trace::Trace;
use crate::sink::{Effect, SinkError, Stores};

/// What a batch rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What its items read.
    read: Trace,
    /// Under which rules items were rejected, if any were: others might let them through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rejected_under: Option<Digest>,
    /// The objects that it left, with their entity tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    objects: BTreeMap<Location, String>,
    /// The tables that it left rows in, with their marks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tables: BTreeMap<String, String>,
}

/// Why a batch that was done is done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The user wants it.
    Asked,
    /// What its items read is no longer what it was.
    InputsChanged,
    /// Items were rejected under other grants or limits than there are now.
    RulesChanged,
    /// What it left is no longer there, or is something else.
    OutputsGone,
}

impl Evidence {
    /// Of a batch that is visible. None where nobody remembers what was read.
    pub(super) async fn of(ready: &Ready, dataset: &Dataset, stores: &Stores) -> Result<Option<Self>, SinkError> {
        let Some(read) = ready.read.clone() else { return Ok(None) };
        let rejected_under = (ready.report.items.rejected > 0).then(|| rules(dataset));
        let (mut objects, mut tables) = (BTreeMap::new(), BTreeSet::new());
        for effect in &ready.effects {
            match effect {
                Effect::List(upload) | Effect::Complete(upload) => {
                    objects.insert(upload.at.clone(), upload.mark.clone());
                }
                Effect::Put(rows) if !rows.is_empty() => {
                    if let Target::Table { table, .. } = &rows.schema.target {
                        tables.insert(table.clone());
                    }
                }
                Effect::Put(_) | Effect::Remove(_) => {}
            }
        }
        let mut marked = BTreeMap::new();
        for table in tables {
            // Without one it was taken away in this moment, or emptied: then no mark will ever be the same.
            let mark = stores.tables.mark(&table).await?;
            marked.insert(table, mark.unwrap_or_default());
        }
        Ok(Some(Self { read, rejected_under, objects, tables: marked }))
    }

    /// What of it is no longer so, and where, if anything is.
    pub async fn outdated(&self, dataset: &Dataset, stores: &Stores) -> Result<Option<(Cause, String)>, SinkError> {
        if let Some(place) = self.read.changed(&*stores.objects).await {
            return Ok(Some((Cause::InputsChanged, place)));
        }
        if self.rejected_under.is_some_and(|before| before != rules(dataset)) {
            return Ok(Some((Cause::RulesChanged, String::new())));
        }
        for (at, tag) in &self.objects {
            if stores.objects.open(at, 0).await.map_or(true, |(metadata, _)| metadata.etag != *tag) {
                return Ok(Some((Cause::OutputsGone, at.to_string())));
            }
        }
        for (table, mark) in &self.tables {
            if stores.tables.mark(table).await?.as_ref() != Some(mark) {
                return Ok(Some((Cause::OutputsGone, format!("table:{table}"))));
            }
        }
        Ok(None)
    }
}

/// What decides beside component, settings and input whether an item is rejected.
fn rules(dataset: &Dataset) -> Digest {
    Digest::of(canonical::rules(dataset).as_bytes())
}
