//! What a process that digests may take.

use std::time::Duration;

const MIB: u64 = 1 << 20;

/// What digesting one component may take. A Python component of 19 MB takes 20 s of CPU time and 700 MB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Memory, in bytes.
    pub memory: u64,
    /// CPU time of all cores together, in whole seconds.
    pub cpu: Duration,
    /// Time from start to end, whoever else wants the CPU.
    pub time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { memory: 2048 * MIB, cpu: Duration::from_secs(120), time: Duration::from_secs(900) }
    }
}

/// What applying a schema may take. A schema within the bounds of [`crate::dataset::schema`] takes milliseconds.
pub(super) const SCHEMA_BOUNDS: Bounds =
    Bounds { memory: 256 * MIB, cpu: Duration::from_secs(5), time: Duration::from_secs(60) };
