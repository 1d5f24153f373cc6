//! `[plugin]` and `[grants]`: the component, its limits, and what it may reach.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::object::Location;
use crate::registry::OciReference;

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComponentRef {
    /// A file.
    File(PathBuf),
    /// An artifact in an OCI registry.
    Oci(OciReference),
}

impl fmt::Display for ComponentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Oci(reference) => reference.fmt(f),
        }
    }
}

/// `[plugin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSpec {
    /// Where the component comes from.
    pub component: ComponentRef,
    /// The sum of an instance's linear memories, in bytes. Default 64 MiB.
    pub memory: u64,
    /// How long one item may take. Default 30 s.
    pub timeout: Duration,
    /// How many bytes of rows one item may emit. Default 16 MiB.
    pub max_output: u64,
    /// How many bytes one item may log. Default 64 KiB.
    pub max_log: u64,
    /// How long an instance lives. Default: one item.
    pub instance: InstanceLife,
    /// How many items a worker runs at once, at most. None: as many as its slots and memory allow.
    pub max_slots: Option<usize>,
    /// How many batches a worker has under way at once, at most; it gives further ones back. None: as many as it can.
    pub max_batches: Option<usize>,
}

/// How long an instance of a component lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceLife {
    /// One item: no state leaks from item to item.
    Item,
    /// Some neighbours in a batch, always the same: for components that are slow to start.
    Batch,
}

/// `[grants]`: what the plugin may reach. Nothing is granted by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Prefixes whose objects may be opened and listed.
    pub read: Vec<Location>,
    /// Connections whose databases may be asked.
    pub sql: Vec<String>,
}
