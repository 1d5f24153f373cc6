//! The store of one instance: its limits, and why it ended when it hit one of them or trapped.

use std::time::Duration;

use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, UpdateDeadline};

use super::ItemFault;
use super::capabilities::{Guest, MAX_HANDLES, PluginPre};
use crate::job::{FailureKind, error_names};

/// The most bytes that the host allocates for the strings and lists of one call: more than any honest emission.
const HOSTCALL_FUEL: usize = 64 << 20;
/// The longest message of a failure, in bytes.
pub(super) const MAX_MESSAGE: usize = 4096;

/// The guest was interrupted because its time is over.
#[derive(Debug, thiserror::Error)]
#[error("its time is over")]
pub(super) struct OutOfTime;

/// A store that holds the guest to its limits of memory and time.
pub(super) fn store(pre: &PluginPre<Guest>, guest: Guest) -> Store<Guest> {
    let mut store = Store::new(pre.engine(), guest);
    store.limiter(|guest| &mut guest.memory);
    store.set_epoch_deadline(1);
    // The time is checked here too: a thread on which every guest is busy runs its timers late.
    store.epoch_deadline_callback(|store| {
        if store.data().time.is_over() { Err(OutOfTime.into()) } else { Ok(UpdateDeadline::Yield(1)) }
    });
    store.set_hostcall_fuel(HOSTCALL_FUEL);
    store
}

/// A failure that the same call would have again.
pub(super) fn fault(code: &str, message: String) -> ItemFault {
    ItemFault { code: code.into(), message, kind: FailureKind::Rejected }
}

pub(super) fn out_of_time(limit: Duration) -> ItemFault {
    let limit = humantime::format_duration(limit);
    fault(error_names::TIMEOUT, format!("the item was stopped after {limit}; `[plugin] timeout` sets the limit"))
}

/// The failure of an item that trapped. Limits have codes of their own.
pub(super) fn trap(store: &Store<Guest>, error: &wasmtime::Error) -> ItemFault {
    if error.is::<OutOfTime>() {
        return out_of_time(store.data().batch.limits.timeout);
    }
    if error.is::<PoolConcurrencyLimitError>() {
        let message = format!("the host had no room for one more instance: {error}");
        return ItemFault { code: error_names::HOST_FAULT.into(), message, kind: FailureKind::Retryable };
    }
    if store.data().memory.exceeded() {
        return fault(
            error_names::MEMORY_LIMIT,
            format!(
                "the item wanted more memory than the {} bytes of `[plugin] memory`",
                store.data().batch.limits.memory
            ),
        );
    }
    fault(error_names::TRAP, format!("the plugin trapped: {}\n{error:?}", reason(error, HOSTCALL_FUEL)))
}

/// What a trap was about, for the plugin's author.
pub(super) fn reason(error: &wasmtime::Error, fuel: usize) -> String {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return trap.to_string();
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return format!("it holds more than {MAX_HANDLES} handles: it has to drop those that it needs no more");
    }
    let cause = error.root_cause().to_string();
    // The error's type is private to wasmtime; a test holds these words.
    if cause.contains("fuel allocated for hostcalls") {
        return format!(
            "it handed over more than {} at once: several smaller blocks are fine",
            bytesize::ByteSize(fuel as u64)
        );
    }
    cause
}
