//! The engine: how components are compiled, where their instances live, and the clock that interrupts them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Weak;
use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering};
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::bindings;
use super::component::{self, Plugin, PluginError};
use super::guest::Guest;
use crate::job::Digest;

/// Running code looks at the epoch in every loop; after a tick it yields, so that time-outs fire and neighbours on the
/// same thread go on.
const TICK: Duration = Duration::from_millis(10);

/// How the runtime is set up.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// How many items run at once.
    pub slots: usize,
    /// Where compiled components are kept: a folder that only this host writes. None compiles every time.
    pub cache: Option<PathBuf>,
    /// Where host calls do their I/O: not where guests burn CPU.
    pub io: Handle,
}

/// Opens components and runs them. Clones are the same runtime.
#[derive(Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
    /// Who compiles; none compiles where it is called, with all cores.
    background: Option<Arc<ThreadPool>>,
}

struct Shared {
    engine: Engine,
    linker: Linker<Guest>,
    cache: Option<PathBuf>,
    io: Handle,
    kept: Arc<Semaphore>,
    _ticker: Ticker,
}

/// The priority of threads that compile in the background (setpriority(2)): where everything else wants the CPU too, such a
/// thread gets a tenth of what another one gets; an idle CPU it gets whole.
const BACKGROUND: i32 = 10;

/// How many instances may wait for their next item, for each slot: a comparison keeps one of each version.
const KEPT_PER_SLOT: usize = 2;

/// Of how many cores one compiles in the background.
const CORES_PER_COMPILER: usize = 4;

impl Runtime {
    /// Sets the engine up.
    pub fn new(config: &RuntimeConfig) -> Result<Self, PluginError> {
        let engine = engine(config.slots).map_err(PluginError::engine)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(PluginError::engine)?;
        bindings::Plugin::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)
            .map_err(PluginError::engine)?;
        let shared = Shared {
            _ticker: Ticker::start(&engine),
            engine,
            linker,
            cache: config.cache.clone(),
            io: config.io.clone(),
            kept: Arc::new(Semaphore::new(config.slots * KEPT_PER_SLOT)),
        };
        Ok(Self { shared: Arc::new(shared), background: None })
    }

    /// The same runtime for one that works meanwhile: it compiles on a quarter of the cores (one at least), and only what CPU
    /// nobody else wants.
    pub fn in_background(&self) -> Result<Self, PluginError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = ThreadPoolBuilder::new()
            .num_threads((cores / CORES_PER_COMPILER).max(1))
            .thread_name(|_| "compiler".into())
            .start_handler(|_| {
                // On Linux this is the thread's own priority, whatever the name says.
                if let Err(error) = rustix::process::setpriority_process(None, BACKGROUND) {
                    tracing::warn!(%error, "compiling in the background has no lower priority");
                }
            })
            .build()
            .map_err(|error| PluginError::Engine(error.to_string()))?;
        Ok(Self { background: Some(Arc::new(pool)), ..self.clone() })
    }

    /// Compiles a component (or takes it from the cache), checks it against the contract, and asks it to describe itself.
    /// Compiling takes a CPU for seconds: call this where that hurts nobody, or [`Runtime::in_background`].
    pub async fn open(&self, bytes: &[u8]) -> Result<Plugin, PluginError> {
        let digest = Digest::of(bytes);
        let (component, compiled_in) = self.compile(bytes, digest).await?;
        let Shared { engine, linker, io, kept, .. } = &*self.shared;
        let pre = component::check(engine, linker, &component)?;
        Plugin::open(component, pre, digest, bytes.len() as u64, compiled_in, io.clone(), kept.clone()).await
    }

    async fn compile(&self, bytes: &[u8], digest: Digest) -> Result<(Component, Option<Duration>), PluginError> {
        let (shared, bytes) = (self.shared.clone(), bytes.to_vec());
        // A component that breaks the compiler is a component's fault.
        let compile = move || {
            let compile = || component::compile(&shared.engine, &bytes, &digest, shared.cache.as_deref());
            catch_unwind(AssertUnwindSafe(compile)).unwrap_or_else(|_| Err(gave_up()))
        };
        let Some(pool) = &self.background else {
            return tokio::task::spawn_blocking(compile).await.unwrap_or_else(|_| Err(gave_up()));
        };
        let (compiled, done) = oneshot::channel();
        // The compiler spreads its own work over the pool that it is called in.
        pool.spawn(move || _ = compiled.send(compile()));
        done.await.unwrap_or_else(|_| Err(gave_up()))
    }
}

fn gave_up() -> PluginError {
    PluginError::Engine(
        "the compiler broke on it; this is a fault of the compiler: build the component in another way".into(),
    )
}

/// The pooling allocator makes instances in microseconds, out of address space that is reserved up front. Where that
/// much address space cannot be had (a container with a limit on virtual memory), instances are made on demand.
fn engine(slots: usize) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .concurrency_support(false)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(8))
        .memory_init_cow(true);
    let mut pooled = config.clone();
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)));
    Engine::new(&pooled).or_else(|reason| {
        tracing::warn!(%reason, "no address space for the instance pool; instances are made on demand and start slower");
        Engine::new(&config)
    })
}

fn pool(slots: usize) -> PoolingAllocationConfig {
    // Python and JavaScript guests are linked from a dozen core modules with tables of their own.
    const CORE_INSTANCES: u32 = 40;
    const TABLES: u32 = 40;
    const MEMORIES: u32 = 4;
    // One instance per slot, those that are kept for their next item, and a few for `describe`. For each there is all that
    // a component may have: none can take what is another's.
    let instances = u32::try_from(slots).unwrap_or(u32::MAX / 256).min(1024) * (1 + KEPT_PER_SLOT as u32) + 4;
    // An instance that ends leaves its pages to the next one, overwritten: cheaper than having the kernel take them and fault
    // them in again. From Linux 6.7 on the kernel says which pages were written, so that much may be kept; before, all that
    // may be kept is overwritten each time.
    let pages_known = PoolingAllocationConfig::is_pagemap_scan_available();
    let keep_resident = if pages_known { 1 << 20 } else { 128 << 10 };
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_stacks(instances)
        .total_core_instances(instances * CORE_INSTANCES)
        .total_memories(instances * MEMORIES)
        .total_tables(instances * TABLES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .table_elements(100_000)
        .max_unused_warm_slots(instances)
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(keep_resident)
        .table_keep_resident(8 << 10)
        .async_stack_keep_resident(16 << 10);
    pool
}

/// Advances the engine's epoch until the engine is gone.
struct Ticker(Arc<AtomicBool>);

impl Ticker {
    fn start(engine: &Engine) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (engine.weak(), Arc::downgrade(&stop));
        std::thread::spawn(move || {
            while Weak::upgrade(&stopped).is_some_and(|stop| !stop.load(Ordering::Relaxed)) {
                std::thread::sleep(TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => break,
                }
            }
        });
        Self(stop)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
