//! What is stored where, and what each worker knows.

use std::fmt;

use super::protocol::{Often, Version};

/// Everything there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) entry: Option<Entry>,
    /// A run writes two rows. One has the key 0, the other has 1 if `Old` writes it and 2 if `New` does.
    pub(super) table: [Option<Version>; 3],
    /// Who wrote the object, and by which upload: the object bears its mark.
    pub(super) object: Option<(Version, usize)>,
    /// By their ids, in the order in which they were begun.
    pub(super) uploads: Vec<Upload>,
    pub(super) workers: Vec<Worker>,
    /// A request whose sender waits no more.
    pub(super) late: Option<Request>,
    pub(super) message: bool,
    /// How many receipts were ever written.
    pub(super) receipts: u8,
    /// What Step Functions was told; it hears only the first answer.
    pub(super) answered: Option<Version>,
    pub(super) left: Often,
}

/// The batch's entry in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) fence: u8,
    pub(super) leased: bool,
    /// What the first claim chose.
    pub(super) component: Version,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    Claimed,
    Prepared(Record),
    /// With the receipt.
    Committed(Version),
}

/// What is about to become visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Record {
    /// Whose rows, and whose answer.
    pub(super) run: Version,
    pub(super) upload: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Upload {
    /// Who began it.
    pub(super) fence: u8,
    pub(super) run: Version,
    pub(super) state: Parts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Parts {
    Stored,
    Completed,
    Aborted,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Worker {
    pub(super) version: Version,
    pub(super) job: Option<Job>,
}

/// All that a worker knows of a batch; when it dies, nobody does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Job {
    /// 0 when the batch was found committed: then there is nothing to hold.
    pub(super) fence: u8,
    pub(super) record: Record,
    /// Whether the claim found the record.
    pub(super) prepared: bool,
    pub(super) step: Step,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Step {
    /// Looks which uploads there are to remove.
    Sweep,
    /// Runs the items and stores parts; none of it is visible.
    Run,
    /// Waits for a store's answer.
    Sent(Request),
    Answer,
    Delete,
    /// Fails, and will fail again.
    Failing,
}

/// What changes a store when it lands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Request {
    Abort(Vec<usize>),
    Prepare(u8, Record),
    Row(u8, Version),
    Complete(usize),
    Commit(u8, Version),
}

/// What a store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    /// The fence is another one by now.
    Lost,
    /// There is no such upload any more, and the object does not bear its mark.
    Gone,
}

impl World {
    /// Whether exactly this is visible: a run of this component into these outputs, or nothing.
    pub(super) fn shows(&self, table: Option<Version>, object: Option<Version>) -> bool {
        let rows = match table {
            None => [None; 3],
            Some(Version::Old) => [table, table, None],
            Some(Version::New) => [table, None, table],
        };
        self.table == rows && self.object.map(|(run, _)| run) == object
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abort(uploads) => write!(f, "abort uploads {uploads:?}"),
            Self::Prepare(_, Record { run, upload: None }) => write!(f, "prepare {run:?}'s rows"),
            Self::Prepare(_, Record { run, upload: Some(id) }) => write!(f, "prepare {run:?}'s rows and upload {id}"),
            Self::Row(number, run) => write!(f, "write row {number} of {run:?}"),
            Self::Complete(upload) => write!(f, "complete upload {upload}"),
            Self::Commit(_, run) => write!(f, "commit {run:?}'s receipt"),
        }
    }
}
