//! The end of a batch's work: all that will be seen of it is ready, then recorded, then made visible.
//!
//! From the record on nobody can make anything else visible, whatever becomes of this process: whoever finds it carries it
//! out, with any component. Rows of tables alone need no record: the same component writes the same rows under the same keys.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::callback::Answer;
use crate::fate::Fault;
use crate::lease::Lease;
use crate::ledger::{Claimed, Record, Release};
use crate::pipeline::Pipeline;
use crate::report::BatchReport;
use crate::sink::{Effect, Ours};

/// Everything that is left to do for a batch, as data.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) report: BatchReport,
    pub(crate) answer: Answer,
    effects: Vec<Effect>,
}

impl Ready {
    pub(crate) fn new(report: BatchReport, answer: Answer, effects: Vec<Effect>) -> Self {
        Self { report, answer, effects }
    }

    /// Whether another process needs the record to end what this one began.
    fn needs_record(&self) -> bool {
        !self.effects.iter().all(Effect::is_keyed)
    }

    fn record(&self) -> Result<Record, Fault> {
        serde_json::to_vec(self).map(Record).map_err(|error| Fault::Record(error.to_string()))
    }

    /// What an earlier attempt recorded.
    pub(crate) fn from_record(record: &Record) -> Result<Self, Fault> {
        serde_json::from_slice(&record.0).map_err(|error| Fault::Record(error.to_string()))
    }
}

/// One attempt at a batch: a claim, and for how long it is surely ours.
pub(crate) struct Attempt {
    pub(crate) claimed: Claimed,
    pub(crate) lease: Lease,
    /// Whether something may be seen of the batch already.
    seen: AtomicBool,
}

impl Attempt {
    /// `seen` says whether an earlier attempt may have made a part visible.
    pub(crate) fn new(claimed: Claimed, lease: Lease, seen: bool) -> Self {
        Self { claimed, lease, seen: AtomicBool::new(seen) }
    }

    /// How the claim is given back if the attempt ends here.
    pub(crate) fn release(&self) -> Release {
        if self.seen.load(Ordering::Relaxed) { Release::Unfinished } else { Release::Afresh }
    }

    /// That what an earlier attempt left is of no use: the next one begins anew.
    pub(crate) fn give_up_on_the_rest(&self) {
        self.seen.store(false, Ordering::Relaxed);
    }
}

impl Pipeline {
    /// Records what is ready, where that is needed.
    pub(crate) async fn prepare(&self, attempt: &Attempt, ready: &Ready) -> Result<(), Fault> {
        if ready.needs_record() {
            let record = ready.record()?;
            // Also if the answer does not come: it may have been written.
            attempt.seen.store(true, Ordering::Relaxed);
            self.ledger.prepare(&attempt.claimed, &record).await?;
        }
        Ok(())
    }

    /// Makes visible what is ready. Each step asks first whether the batch is still ours.
    pub(crate) async fn show(&self, attempt: &Attempt, ready: &Ready) -> Result<(), Fault> {
        let ours = || attempt.lease.is_ours();
        for effect in &ready.effects {
            attempt.seen.store(true, Ordering::Relaxed);
            effect.apply(&*self.stores.objects, &*self.stores.tables, Ours(&ours)).await?;
        }
        Ok(())
    }
}
