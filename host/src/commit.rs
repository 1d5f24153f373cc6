//! The end of a batch's work: all that will be seen of it is ready, then recorded, then made visible.
//!
//! From the record on nobody can make anything else visible, whatever becomes of this process: whoever finds it carries it
//! out, with any component. Rows of tables alone need no record: the same component writes the same rows under the same keys.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::admission::Holding;
use crate::callback::Answer;
use crate::cpu;
use crate::fate::Fault;
use crate::lease::Lease;
use crate::ledger::fleet::Tally;
use crate::ledger::{Claimed, GiveBack, LedgerError, Record};
use crate::object::trace::Trace;
use crate::object::{ObjectWriter, Uploaded};
use crate::pipeline::Pipeline;
use crate::report::BatchReport;
use crate::sink::record::{Step, streams};
use crate::sink::{Effect, LeaseCheck};

/// How long giving a claim back may take. The drain's last moments have room for it.
const GIVE_BACK: Duration = Duration::from_secs(3);

/// Everything that is left to do for a batch, as data.
pub(crate) struct Ready {
    pub(crate) report: BatchReport,
    pub(crate) answer: Answer,
    pub(crate) effects: Vec<Effect>,
    /// What the rows take, as long as they are there.
    pub(crate) _holding: Option<Arc<Holding>>,
    /// What the items read, where that is remembered.
    pub(crate) read: Option<Trace>,
}

/// What a record begins with. Behind it are the length of [`Head`] in four bytes, little-endian, the head as JSON, and the rows.
const MARK: &[u8; 8] = b"gristml2";

/// All of [`Ready`] but rows. What an earlier gristmill recorded is this alone, with the rows in it.
#[derive(Serialize, Deserialize)]
struct Head {
    report: BatchReport,
    answer: Answer,
    effects: Vec<Step>,
    /// What the items read, where that is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read: Option<Trace>,
}

impl Ready {
    fn record(self: &Arc<Self>) -> Result<Record, Fault> {
        let unwritten = |error: &dyn std::fmt::Display| Fault::Record(error.to_string());
        let effects = self.effects.iter().map(Step::from).collect();
        let head = Head { report: self.report.clone(), answer: self.answer.clone(), effects, read: self.read.clone() };
        let head = serde_json::to_vec(&head).map_err(|error| unwritten(&error))?;
        let length = u32::try_from(head.len()).map_err(|error| unwritten(&error))?;
        let head = [&MARK[..], &length.to_le_bytes(), &head].concat();
        let ready = self.clone();
        // Into memory, and of one schema: there is nothing that could fail.
        let rows = move || streams(&ready.effects).map(Result::unwrap_or_default);
        Ok(Record::made(move || std::iter::once(head.clone()).chain(rows())))
    }

    /// What an earlier attempt recorded; what it takes is the batch's.
    pub(crate) async fn from_record(record: Record, holding: Holding) -> Result<Self, Fault> {
        let found = cpu::run(record.found(), move || read(&mut record.into_reader())).await;
        let (report, answer, effects, read) = found.map_err(Fault::Record)?;
        let rows = effects.iter().map(|effect| if let Effect::Put(rows) = effect { rows.memory() } else { 0 });
        holding.add(rows.sum::<usize>() as u64);
        Ok(Self { report, answer, effects, _holding: Some(Arc::new(holding)), read })
    }
}

fn read(record: &mut dyn Read) -> Result<(BatchReport, Answer, Vec<Effect>, Option<Trace>), String> {
    let broken = |error: std::io::Error| error.to_string();
    let mut mark = Vec::new();
    (&mut *record).take(MARK.len() as u64).read_to_end(&mut mark).map_err(broken)?;
    let head = if mark == MARK {
        let mut length = [0; 4];
        record.read_exact(&mut length).map_err(broken)?;
        serde_json::from_reader((&mut *record).take(u32::from_le_bytes(length).into()))
    } else {
        serde_json::from_reader(mark.as_slice().chain(&mut *record))
    };
    let Head { report, answer, effects, read } = head.map_err(|error| error.to_string())?;
    let effects = effects.into_iter().map(|step| step.with_rows(record)).collect::<Result<_, _>>()?;
    Ok((report, answer, effects, read))
}

/// Uploads that are finished and in no record: nobody else knows of them. Dropped, they are removed.
pub(crate) struct Uploads {
    store: Arc<dyn ObjectWriter>,
    uploads: Vec<Uploaded>,
}

impl Uploads {
    pub(crate) fn new(store: Arc<dyn ObjectWriter>) -> Self {
        Self { store, uploads: Vec::new() }
    }

    /// Looks after an output's upload, if it has one.
    pub(crate) fn watch(&mut self, effect: &Effect) {
        if let Effect::Complete(upload) = effect {
            self.uploads.push(upload.clone());
        }
    }

    /// From now on they may be in a record.
    fn keep(mut self) -> Kept {
        Kept(self.store.clone(), std::mem::take(&mut self.uploads))
    }
}

/// Uploads that may be in a record.
struct Kept(Arc<dyn ObjectWriter>, Vec<Uploaded>);

impl Kept {
    /// They are in none.
    fn not_recorded(self) -> Uploads {
        Uploads { store: self.0, uploads: self.1 }
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        let (store, uploads) = (self.store.clone(), std::mem::take(&mut self.uploads));
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if uploads.is_empty() {
            return;
        }
        runtime.spawn(async move {
            for upload in uploads {
                if let Err(error) = store.abort(&upload).await {
                    tracing::warn!(%error, "an unfinished upload was left behind");
                }
            }
        });
    }
}

/// One attempt at a batch: a claim, and for how long it is surely ours.
pub(crate) struct Attempt {
    pub(crate) claimed: Claimed,
    pub(crate) lease: Arc<Lease>,
    /// Whether something may be seen of the batch already.
    seen: AtomicBool,
    /// What is being shown without a record.
    unrecorded: OnceLock<Arc<Ready>>,
    /// Whether it runs the version that was chosen for the batch, not one that somebody else began with.
    pub(crate) runs_chosen: AtomicBool,
    /// What the items came to then.
    pub(crate) tally: OnceLock<Tally>,
}

impl Attempt {
    /// `seen` says whether an earlier attempt may have made a part visible.
    pub(crate) fn new(claimed: Claimed, lease: Lease, seen: bool) -> Self {
        Self {
            claimed,
            lease: Arc::new(lease),
            seen: AtomicBool::new(seen),
            unrecorded: OnceLock::new(),
            runs_chosen: AtomicBool::new(false),
            tally: OnceLock::new(),
        }
    }

    /// How the claim is given back if the attempt ends here.
    pub(crate) fn release(&self) -> GiveBack {
        if self.seen.load(Ordering::Relaxed) { GiveBack::Unfinished } else { GiveBack::Afresh }
    }

    /// An error when the lease is over by our own clock.
    pub(crate) fn still_ours(&self) -> Result<(), LedgerError> {
        if self.lease.is_ours() { Ok(()) } else { Err(LedgerError::Lost(self.claimed.id.clone())) }
    }

    /// That what an earlier attempt left is of no use: the next one begins anew.
    pub(crate) fn give_up_on_the_rest(&self) {
        self.seen.store(false, Ordering::Relaxed);
    }
}

impl Pipeline {
    /// Records what is ready. From then on its uploads are the record's.
    pub(crate) async fn prepare(&self, attempt: &Attempt, ready: &Arc<Ready>, uploads: Uploads) -> Result<(), Fault> {
        let record = ready.record()?;
        // Whoever took the batch over has looked for what an earlier attempt left, and will not look again.
        attempt.still_ours()?;
        // Before it is sent: whatever becomes of the answer, it may have been written.
        attempt.seen.store(true, Ordering::Relaxed);
        let kept = uploads.keep();
        let recorded = self.ledger.prepare(&attempt.claimed, &record).await;
        if matches!(recorded, Err(LedgerError::Lost(_))) {
            drop(kept.not_recorded());
        }
        Ok(recorded?)
    }

    /// Gives the claim back. What was being shown without a record gets one first: whoever is next need not have the
    /// component that began. Neither may take long, because the message waits for it.
    pub(crate) async fn give_back(&self, attempt: &Attempt) {
        let release = async {
            if attempt.release() == GiveBack::Unfinished
                && let Some(record) = attempt.unrecorded.get().and_then(|ready| ready.record().ok())
            {
                self.ledger.prepare(&attempt.claimed, &record).await?;
            }
            self.ledger.release(&attempt.claimed, attempt.release()).await
        };
        let silent = |_| LedgerError::Unavailable(format!("no answer in {} s", GIVE_BACK.as_secs()));
        if let Err(error) = timeout(GIVE_BACK, release).await.map_err(silent).flatten() {
            tracing::debug!(%error, "a claim was not given back; the next delivery waits until its lease ends");
        }
    }

    /// Makes visible what is ready. Each step asks first whether the batch is still ours.
    pub(crate) async fn show(&self, attempt: &Attempt, ready: &Arc<Ready>, recorded: bool) -> Result<(), Fault> {
        if !recorded {
            let _ = attempt.unrecorded.set(ready.clone());
        }
        let lease = attempt.lease.clone();
        let lease = LeaseCheck::new(move || lease.is_ours());
        for effect in &ready.effects {
            attempt.seen.store(true, Ordering::Relaxed);
            effect.apply(&*self.stores.objects, &*self.stores.tables, &lease).await?;
        }
        Ok(())
    }
}
