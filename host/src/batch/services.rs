//! What the steps of a batch share. It is passed down, from [`process`](super::process) to each of them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;

use crate::admission::Admission;
use crate::callback::Callback;
use crate::catalog::Catalog;
use crate::data_catalog::DataCatalog;
use crate::ledger::Ledger;
use crate::ledger::registers::Registers;
use crate::queue::Queue;
use crate::sink::Stores;
use crate::telemetry::metrics::Metrics;

/// How long a claim lasts unless it is renewed, where nobody says otherwise.
pub const LEASE: Duration = Duration::from_secs(60);

/// Everything that a batch needs on its way.
pub struct Services {
    /// The datasets and their plugins.
    pub catalog: Arc<Catalog>,
    /// Where batches come from.
    pub queue: Arc<dyn Queue>,
    /// Who works on what, and what is done.
    pub ledger: Arc<dyn Ledger>,
    /// Texts that outlive batches: what runs took of tables.
    pub registers: Arc<dyn Registers>,
    /// Who waits.
    pub callback: Arc<dyn Callback>,
    /// What plugins read, and where rows and reports go.
    pub stores: Stores,
    /// Who knows tables of objects by their names.
    pub data_catalog: Arc<dyn DataCatalog>,
    /// Where guests run.
    pub guests: Handle,
    /// Which item may run next.
    pub admission: Arc<Admission>,
    /// How many items of a batch run at once, at most.
    pub lanes: usize,
    /// When a committed batch counts as this one.
    pub identity: Identity,
    /// How long a claim lasts unless it is renewed; [`LEASE`] by default.
    pub lease: Duration,
    /// Which delivery of a message is the last: when the host fails then, the waiting state is told, which does what its
    /// `Retry` says, and the message is set aside.
    pub deliveries: u32,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The wall clock.
    pub now: fn() -> SystemTime,
}

/// What makes a committed batch the same work as the one at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Its name and input: Step Functions gives every child execution a new name.
    Execution,
    /// Its name, input, component, settings and outputs: local runs give the same names again. What it rests on is remembered
    /// with it ([`Evidence`](super::Evidence)).
    Contents,
}

impl Identity {
    /// How long a batch is left alone that another process holds, at most. Locally that is another run over the same
    /// folder, which will be done with it long before its lease ends; and nobody counts how often a message was received.
    pub(super) fn patience(self) -> Duration {
        match self {
            Self::Execution => Duration::MAX,
            Self::Contents => Duration::from_millis(500),
        }
    }
}
