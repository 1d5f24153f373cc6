//! What a command takes of the machine: threads, cores and memory.

use anyhow::Context as _;
use bytesize::ByteSize;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::admission;

/// Where queues, stores, heartbeats and metrics live. Guests have a runtime of their own, so that they can burn every core
/// without delaying any of these.
pub(super) fn io_runtime() -> anyhow::Result<Runtime> {
    let threads = cores().clamp(1, 4);
    Builder::new_multi_thread().worker_threads(threads).thread_name("io").enable_all().build().context("no threads")
}

/// Where guests run: one thread per slot. What still runs when the process ends is not waited for, which could not be done
/// here: a command that stops with an error is itself run by threads of tokio.
pub(super) struct GuestThreads {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl GuestThreads {
    pub(super) fn start(slots: usize) -> anyhow::Result<Self> {
        let threads = Builder::new_multi_thread().worker_threads(slots).thread_name("guest").enable_all().build();
        let runtime = threads.context("no threads")?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// How much memory items and rows may take: what is asked for, or what this process has less what the host keeps. None where
/// nobody says.
pub(super) fn memory(asked: Option<ByteSize>) -> Option<u64> {
    asked.map(|size| size.0).or_else(|| admission::limit().map(admission::budget))
}

/// The cores that this process may use, a container's limit included.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
