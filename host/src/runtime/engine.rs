//! The engine: how components are compiled, where their instances live, and the clock that interrupts them.

use std::sync::Weak;
use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering};
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::capabilities::{self, Guest};
use super::component::PluginError;

/// How often the epoch advances. Running code checks it in every loop and yields when it has changed, so that time-outs
/// fire and neighbours on the same thread go on.
const TICK: Duration = Duration::from_millis(10);

/// A linker with everything that the host offers.
pub(super) fn linker(engine: &Engine) -> Result<Linker<Guest>, PluginError> {
    let mut linker = Linker::new(engine);
    capabilities::add_to_linker(&mut linker).map_err(PluginError::engine)?;
    Ok(linker)
}

/// The pooling allocator makes instances in microseconds, out of address space that is reserved up front. Where that
/// much address space cannot be had (a container with a limit on virtual memory), instances are made on demand.
pub(super) fn engine(instances: usize) -> wasmtime::Result<Engine> {
    let config = settings();
    let mut pooled = config.clone();
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)));
    Engine::new(&pooled).or_else(|reason| {
        tracing::warn!(%reason, "no address space for the instance pool; instances are made on demand and start slower");
        Engine::new(&config)
    })
}

/// The settings that are compiled into the code, or have to fit it.
fn settings() -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .concurrency_support(false)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(8))
        .memory_init_cow(true);
    config
}

fn pool(instances: usize) -> PoolingAllocationConfig {
    // Python and JavaScript guests are linked from a dozen core modules with tables of their own.
    const CORE_INSTANCES: u32 = 40;
    const TABLES: u32 = 40;
    const MEMORIES: u32 = 4;
    // The pool has for each instance all that a component may have, so that none can take another's share.
    let instances = u32::try_from(instances).unwrap_or(u32::MAX / 256);
    // An instance that ends leaves its pages, overwritten, to the next one. That is cheaper than having the kernel take
    // them and fault them in again. Since Linux 6.7 the kernel says which pages were written, so that much may be kept.
    // Before, all that is kept is overwritten each time.
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
pub(super) struct Ticker(Arc<AtomicBool>);

impl Ticker {
    pub(super) fn start(engine: &Engine) -> Self {
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

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    use super::*;

    /// What one process compiles another one loads, however large their pools are, and if one of them has none.
    #[test]
    fn how_instances_are_made_changes_nothing_about_the_code() {
        let hash = |engine: &Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let [one, many] = [1, 20].map(|instances| hash(&engine(instances).unwrap()));
        assert_eq!((one, hash(&Engine::new(&settings()).unwrap())), (many, many));
        assert_ne!(one, hash(&Engine::default()));
    }
}
