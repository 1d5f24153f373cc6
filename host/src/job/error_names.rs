//! The names of errors, as ASL matches them (`ErrorEquals`) and as item failures carry them when the host found the fault.

/// More items of the batch were rejected than the dataset tolerates.
pub const ITEMS_REJECTED: &str = "Gristmill.ItemsRejected";
/// Something outside was not ready; the generated state machine retries it.
pub const RETRYABLE: &str = "Gristmill.Retryable";
/// The worker or its stores failed again and again; the generated state machine retries it.
pub const HOST_FAULT: &str = "Gristmill.HostFault";
/// An output or the place of reports refuses (no such table, another key, no permission), or the ledger still refuses at the
/// last delivery. The generated state machine does not retry it, because it fails again until somebody changes something.
pub const OUTPUT_REFUSED: &str = "Gristmill.OutputRefused";
/// The message could not be read, or names a dataset that the fleet does not have.
pub const BAD_MESSAGE: &str = "Gristmill.BadMessage";
/// The dataset's component cannot be used: missing, no component, another contract.
pub const BAD_PLUGIN: &str = "Gristmill.BadPlugin";
/// The database of a run refuses what the run wants to read, or late rows would be lost. The generated state machine does not retry it.
pub const SOURCE_REFUSED: &str = "Gristmill.SourceRefused";
/// Another run of the dataset is under way and has its window, or took it over.
pub const WINDOW_HELD: &str = "Gristmill.WindowHeld";
/// An item trapped.
pub const TRAP: &str = "Gristmill.Trap";
/// An item ran longer than the dataset's `timeout`.
pub const TIMEOUT: &str = "Gristmill.Timeout";
/// An item wanted more memory than the dataset's `memory`.
pub const MEMORY_LIMIT: &str = "Gristmill.MemoryLimit";
/// An item emitted rows that were refused.
pub const BAD_OUTPUT: &str = "Gristmill.BadOutput";
/// An item emitted more than the dataset's `max_output`, or took the rows of its batch for tables beyond their limit.
pub const OUTPUT_LIMIT: &str = "Gristmill.OutputLimit";
/// A row without its key, or with a key that another row of the batch has.
pub const BAD_KEY: &str = "Gristmill.BadKey";
