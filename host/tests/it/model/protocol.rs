//! The claim and commit protocol, as a model: what is stored where, who does what when, and what can come in between.
//!
//! ```text
//! claim ─► sweep ─► upload ─► prepare ─► show (rows, object) ─► commit ─► answer ─► delete
//! ```
//!
//! A step that asks a store for something is *on its way* until it *lands*; in between everything else can happen: its sender
//! is paused and its lease ends, or the sender dies or gives up and the request lands much later, or never. So a check of
//! the lease before a request says nothing about the moment when it lands.

use super::world::{Job, Parts, Record, Request, Upload, World};

/// A component. `Old` is promoted to `New` at any moment, worker by worker. What runs is a function of it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Version {
    Old,
    New,
}

/// What the batch writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outputs {
    Table,
    Object,
    Both,
}

/// Who takes over a batch that somebody else began, and nobody prepared, runs this component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heir {
    /// The one in the ledger. Who does not have it leaves the batch to others.
    RunsTheRecorded,
    RunsItsOwn,
}

/// Which unfinished uploads a new holder of the claim removes; never its own and those in the prepared record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sweep {
    Nothing,
    /// All that the store lists, whoever began them.
    Listed,
    /// Only those that were begun before it claimed.
    Earlier,
}

/// What becomes of a batch whose prepared upload is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// It fails, again and again.
    Fails,
    /// It is run and prepared again, under the fence of who found that out.
    RunsAgain,
}

/// The rules that are to be judged, in a world of this size.
#[derive(Clone, Debug)]
pub(super) struct Protocol {
    pub(super) outputs: Outputs,
    pub(super) heir: Heir,
    pub(super) sweep: Sweep,
    pub(super) gone: Gone,
    /// Whether a batch without objects is prepared, too.
    pub(super) prepares_tables: bool,
    /// Whether the object is completed before any row is written.
    pub(super) object_first: bool,
    /// Whether the ledger refuses a write under an older fence.
    pub(super) fence_at_prepare: bool,
    pub(super) fence_at_commit: bool,
    /// Whether each visible effect is sent only while one's own lease lasts.
    pub(super) checks_lease: bool,
    /// Whether who gives up removes its upload even though its `prepare` may still land.
    pub(super) aborts_what_may_be_prepared: bool,
    /// Whether workers can still run `Old` when they have `New`.
    pub(super) keeps_old: bool,
    pub(super) workers: usize,
    /// How often each of these happens at most.
    pub(super) often: Often,
}

/// How often something out of the ordinary happens. What ends such a thing (a lease without a holder, a message that comes
/// again) happens as often as it has to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Often {
    /// A worker dies and starts again.
    pub(super) crashes: u8,
    /// A worker gives up and releases its claim.
    pub(super) stops: u8,
    /// A lease ends although its holder lives: it is paused, or its clock or network is.
    pub(super) pauses: u8,
    /// A request lands although its sender is dead or has given up.
    pub(super) late: u8,
    /// The queue delivers a message that was deleted.
    pub(super) ghosts: u8,
}

impl Protocol {
    /// The table after a run of this component.
    pub(super) fn tables(&self, run: Version) -> Option<Version> {
        (self.outputs != Outputs::Object).then_some(run)
    }

    /// The object after it.
    pub(super) fn objects(&self, run: Version) -> Option<Version> {
        (self.outputs != Outputs::Table).then_some(run)
    }

    /// Whether what becomes visible is in the ledger before.
    pub(super) fn prepares(&self) -> bool {
        self.outputs != Outputs::Table || self.prepares_tables
    }

    /// Whether a worker of this version has that component at hand.
    pub(super) fn can_run(&self, worker: Version, run: Version) -> bool {
        worker == run || (run == Version::Old && self.keeps_old)
    }

    /// What makes a run visible, in order.
    pub(super) fn effects(&self, record: Record) -> Vec<Request> {
        let rows = self.tables(record.run).map(|run| [Request::Row(0, run), Request::Row(1, run)]);
        let rows = rows.into_iter().flatten();
        let complete = record.upload.map(Request::Complete);
        if self.object_first { complete.into_iter().chain(rows).collect() } else { rows.chain(complete).collect() }
    }

    /// The uploads that a new holder removes.
    pub(super) fn others(&self, world: &World, job: &Job) -> Vec<usize> {
        let removes = |(id, upload): &(usize, &Upload)| {
            let mine = upload.fence == job.fence || job.record.upload == Some(*id);
            let seen = match self.sweep {
                Sweep::Nothing => false,
                Sweep::Listed => true,
                Sweep::Earlier => upload.fence < job.fence,
            };
            upload.state == Parts::Stored && seen && !mine
        };
        world.uploads.iter().enumerate().filter(removes).map(|(id, _)| id).collect()
    }
}
