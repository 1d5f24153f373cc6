//! One attempt at a batch: what it knows of itself while it goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use super::lease::Lease;
use super::ready::Ready;
use crate::ledger::fleet::Tally;
use crate::ledger::{Claimed, GiveBack, LedgerError};
use crate::telemetry::status::Running;

/// One attempt at a batch: a claim, and for how long it is surely ours.
pub(super) struct Attempt {
    pub(super) claimed: Claimed,
    pub(super) lease: Arc<Lease>,
    /// What the status page has of the batch.
    pub(super) shown: Arc<Running>,
    /// Whether something may be seen of the batch already.
    seen: AtomicBool,
    /// What is being shown without a record.
    unrecorded: OnceLock<Arc<Ready>>,
    /// Whether it runs the version that was chosen for the batch, not one that somebody else began with.
    runs_chosen: AtomicBool,
    /// What the items came to then.
    pub(super) tally: OnceLock<Tally>,
}

impl Attempt {
    /// `seen` says whether an earlier attempt may have made a part visible.
    pub(super) fn new(claimed: Claimed, lease: Lease, seen: bool, shown: Arc<Running>) -> Self {
        shown.lease_until(lease.until());
        Self {
            claimed,
            lease: Arc::new(lease),
            shown,
            seen: AtomicBool::new(seen),
            unrecorded: OnceLock::new(),
            runs_chosen: AtomicBool::new(false),
            tally: OnceLock::new(),
        }
    }

    /// How the claim is given back if the attempt ends here.
    pub(super) fn release(&self) -> GiveBack {
        if self.seen.load(Ordering::Relaxed) { GiveBack::Unfinished } else { GiveBack::Afresh }
    }

    /// The claim was renewed, by a request that was sent after this time.
    pub(super) fn renewed(&self, asked: Instant) {
        self.lease.renewed(asked);
        self.shown.lease_until(self.lease.until());
    }

    /// An error when the lease is over by our own clock.
    pub(super) fn still_ours(&self) -> Result<(), LedgerError> {
        if self.lease.is_ours() { Ok(()) } else { Err(LedgerError::Lost(self.claimed.id.clone())) }
    }

    /// What it runs is the version that was chosen for the batch, or is not.
    pub(super) fn runs(&self, chosen: bool) {
        self.runs_chosen.store(chosen, Ordering::Relaxed);
    }

    pub(super) fn runs_chosen(&self) -> bool {
        self.runs_chosen.load(Ordering::Relaxed)
    }

    /// From now on something of the batch may be seen.
    pub(super) fn may_be_seen(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    /// What an earlier attempt left is of no use: the next one begins anew.
    pub(super) fn give_up_on_the_rest(&self) {
        self.seen.store(false, Ordering::Relaxed);
    }

    /// From now on this is shown, and the ledger does not have it.
    pub(super) fn shows_unrecorded(&self, ready: Arc<Ready>) {
        let _ = self.unrecorded.set(ready);
    }

    pub(super) fn unrecorded(&self) -> Option<&Arc<Ready>> {
        self.unrecorded.get()
    }
}
