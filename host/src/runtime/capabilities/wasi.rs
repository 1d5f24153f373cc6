//! WASI 0.2 as a guest finds it. It is complete, so that every language's runtime starts, and inert, so that an item
//! stays a pure function call: no arguments, environment, files or sockets; the clock stands; randomness follows from
//! the item.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::io::AsyncWrite;
use wasmtime::component::Linker;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiView};
use xxhash_rust::xxh3::xxh3_128;

use super::bindings::wasi::logging::logging::Level;
use super::logging::LoggingCtx;
use crate::job::Item;
use crate::runtime::BatchContext;

/// More randomness than this in one call is a mistake or an attack.
const MAX_RANDOM: u64 = 1 << 20;

/// WASI's context for one item. Made when the guest asks for anything of it: many never do.
pub(super) struct LazyWasiCtx {
    started: SystemTime,
    /// What the item's randomness follows from.
    seed: u128,
    log: LoggingCtx,
    made: Option<WasiCtx>,
}

impl LazyWasiCtx {
    pub(super) fn new(batch: &BatchContext, item: &Item, log: LoggingCtx) -> Self {
        Self { started: batch.started, seed: seed(item), log, made: None }
    }

    /// Clocks and randomness begin anew: what the guest is told follows from the item, whichever came before it.
    pub(super) fn next_item(&mut self, item: &Item) {
        self.seed = seed(item);
        self.made = None;
    }

    pub(super) fn get(&mut self) -> &mut WasiCtx {
        self.made.get_or_insert_with(|| context(self.started, self.seed, &self.log))
    }
}

/// Offers WASI to the components of this linker.
pub(super) fn add_to_linker<T: WasiView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}

fn seed(item: &Item) -> u128 {
    xxh3_128(item.body.as_bytes())
}

fn context(started: SystemTime, seed: u128, log: &LoggingCtx) -> WasiCtx {
    let [low, high] = [seed as u64, (seed >> 64) as u64];
    let since_epoch = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    WasiCtxBuilder::new()
        .stdout(Lines { level: Level::Info, name: "stdout", log: log.clone() })
        .stderr(Lines { level: Level::Warn, name: "stderr", log: log.clone() })
        .secure_random(SmallRng::seed_from_u64(low))
        .insecure_random(SmallRng::seed_from_u64(high))
        .insecure_random_seed(seed)
        .max_random_size(MAX_RANDOM)
        .wall_clock(StandingClock(since_epoch))
        .monotonic_clock(CountingClock(AtomicU64::new(0)))
        .build()
}

/// Shows the start of the batch at every call.
struct StandingClock(Duration);

impl HostWallClock for StandingClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

/// Goes on by a microsecond at every call. That is deterministic, and code that waits for time to pass comes to an end.
struct CountingClock(AtomicU64);

impl HostMonotonicClock for CountingClock {
    fn resolution(&self) -> u64 {
        1_000
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(1_000, Ordering::Relaxed)
    }
}

/// A standard stream whose lines become log lines.
#[derive(Clone)]
struct Lines {
    level: Level,
    name: &'static str,
    log: LoggingCtx,
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this. Guests here get the stream below.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(LineStream { lines: self.clone(), unfinished: Vec::new() })
    }
}

struct LineStream {
    lines: Lines,
    unfinished: Vec<u8>,
}

impl LineStream {
    const MAX_UNFINISHED: usize = 4096;

    fn finish(&mut self) {
        if !self.unfinished.is_empty() {
            let line = String::from_utf8_lossy(&self.unfinished);
            self.lines.log.line(self.lines.level, self.lines.name, line.trim_end_matches('\r'));
            self.unfinished.clear();
        }
    }
}

impl OutputStream for LineStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = line.strip_suffix(b"\n").map_or((line, false), |text| (text, true));
            let room = Self::MAX_UNFINISHED.saturating_sub(self.unfinished.len());
            self.unfinished.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                self.finish();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LineStream {
    async fn ready(&mut self) {}
}

impl Drop for LineStream {
    fn drop(&mut self) {
        self.finish();
    }
}
