//! What a command takes of the machine: threads, cores and memory.

use anyhow::Context as _;
use bytesize::ByteSize;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::admission;

/// Where queues, stores, heartbeats and metrics live. Guests have a runtime of their own, so that they can burn every core
/// without delaying any of these.
pub(super) fn io_runtime() -> anyhow::Result<Runtime> {
    let threads = cores().clamp(1, 4);
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("io")
        .enable_all()
        .build()
        .context("threads cannot be started")
}

/// Where guests run: one thread per slot. Guests that still run at the end are not waited for: a command that fails drops
/// this on a thread of tokio, which must not block.
pub(super) struct GuestThreads {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl GuestThreads {
    pub(super) fn start(slots: usize) -> anyhow::Result<Self> {
        let threads = Builder::new_multi_thread().worker_threads(slots).thread_name("guest").enable_all().build();
        let runtime = threads.context("threads cannot be started")?;
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

/// How much memory items and rows may take: what is asked for, or else what this process has, less what the host keeps. None
/// if neither is known.
pub(super) fn memory(asked: Option<ByteSize>) -> Option<u64> {
    asked.map(|size| size.0).or_else(|| admission::limit().map(admission::budget))
}

/// The cores that this process may use, a container's limit included.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
