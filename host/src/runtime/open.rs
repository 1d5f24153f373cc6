//! From a component's bytes to a plugin: taken from the cache, or compiled where that harms nobody.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Linker;

use super::cache::Entry;
use super::capabilities::{Guest, PluginPre};
use super::component::{self, Plugin, PluginError};
use super::digest::{self, About, Digested};
use super::digester::Digester;
use super::engine::{self, Ticker};
use crate::dataset::Manifest;
use crate::dataset::schema::{Judgement, judge};
use crate::job::Digest;

/// How the runtime is set up.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// How many items run at once.
    pub slots: usize,
    /// Where compiled components are kept: a folder that only this host writes. None compiles every time.
    pub cache: Option<PathBuf>,
    /// Where host calls do their I/O. Not the runtime on which guests use the CPU.
    pub io: Handle,
}

/// Opens components and runs them. Clones are the same runtime.
#[derive(Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
    /// Compiles components and applies their schemas in other processes. None does it in this one.
    digester: Option<Digester>,
    /// The cores that compiling a component uses.
    threads: usize,
}

struct Shared {
    engine: Engine,
    linker: Linker<Guest>,
    cache: Option<PathBuf>,
    io: Handle,
    kept: Arc<Semaphore>,
    _ticker: Ticker,
}

/// How many instances may wait for their next item, per slot: a comparison keeps one of each version.
const KEPT_INSTANCES_PER_SLOT: usize = 2;

/// The most cores that compiling uses: each takes memory of its own.
const MAX_COMPILE_THREADS: usize = 8;

/// In the background, compiling uses one of so many cores.
const CORES_PER_COMPILER: usize = 4;

impl Runtime {
    /// Sets the engine up. Components are compiled in this process and without bounds, so they have to be trusted.
    pub fn new(config: &RuntimeConfig) -> Result<Self, PluginError> {
        // One instance per slot, those that are kept for their next item, and a few that end late.
        let instances = config.slots.min(1024) * (1 + KEPT_INSTANCES_PER_SLOT) + 4;
        let engine = engine::engine(instances).map_err(PluginError::engine)?;
        let shared = Shared {
            _ticker: Ticker::start(&engine),
            linker: engine::linker(&engine)?,
            engine,
            cache: config.cache.clone(),
            io: config.io.clone(),
            kept: Arc::new(Semaphore::new(config.slots * KEPT_INSTANCES_PER_SLOT)),
        };
        let threads = cores().min(MAX_COMPILE_THREADS);
        Ok(Self { shared: Arc::new(shared), digester: None, threads })
    }

    /// The same runtime, which leaves what may come from strangers to processes of the digester.
    #[must_use]
    pub fn digesting_with(self, digester: Digester) -> Self {
        Self { digester: Some(digester), ..self }
    }

    /// The same runtime for compiling beside other work: on a quarter of the cores, at least one.
    pub fn in_background(&self) -> Result<Self, PluginError> {
        let threads = (cores() / CORES_PER_COMPILER).clamp(1, MAX_COMPILE_THREADS);
        Ok(Self { threads, ..self.clone() })
    }

    /// Compiles a component (or takes it from the cache), checks it against the contract, and asks it to describe itself.
    pub async fn open(&self, component: &[u8]) -> Result<Plugin, PluginError> {
        component::preamble(component)?;
        let (component, size) = (Bytes::copy_from_slice(component), component.len() as u64);
        let (shared, bytes) = (self.shared.clone(), component.clone());
        let (digest, kept) = apart(move || {
            let digest = Digest::of(&bytes);
            Ok((digest, shared.kept(&digest)))
        })
        .await?;
        let (Ready { pre, about }, compiled_in) = match kept {
            Some(ready) => (ready, None),
            None => self.digest(component, digest).await?,
        };
        let About { manifest, imports, exports } = about;
        let (io, kept) = (self.shared.io.clone(), self.shared.kept.clone());
        Ok(Plugin { pre, io, kept, manifest, digest, imports, exports, size, compiled_in })
    }

    /// Digests a component that was not in the cache just now, and keeps what comes of it.
    async fn digest(&self, component: Bytes, digest: Digest) -> Result<(Ready, Option<Duration>), PluginError> {
        let shared = self.shared.clone();
        let Some(digester) = &self.digester else {
            return apart(move || {
                let start = Instant::now();
                let digested = digest::digest(&shared.engine, &shared.linker, &component, &shared.io)?;
                let compiled_in = start.elapsed();
                Ok((shared.keep(&digest, &digested)?, Some(compiled_in)))
            })
            .await;
        };
        let compilers = digester.compilers();
        let _turn = match compilers.try_acquire() {
            Ok(turn) => Some(turn),
            Err(_) => {
                let turn = compilers.acquire().await.ok();
                // Somebody else may have compiled it meanwhile.
                let shared = shared.clone();
                if let Some(ready) = apart(move || Ok(shared.kept(&digest))).await? {
                    return Ok((ready, None));
                }
                turn
            }
        };
        let start = Instant::now();
        let digested = digester.digest(component, self.threads).await?;
        let compiled_in = start.elapsed();
        Ok((apart(move || shared.keep(&digest, &digested)).await?, Some(compiled_in)))
    }

    /// Checks a dataset's settings against the plugin's schema.
    pub async fn judge(&self, manifest: &Manifest, settings: &Value) -> Judgement {
        if let Some(digester) = &self.digester {
            return digester.judge(manifest, settings.to_string()).await;
        }
        let (manifest, settings) = (manifest.clone(), settings.clone());
        let judged =
            tokio::task::spawn_blocking(move || judge(&manifest.name, &manifest.settings_schema, &settings)).await;
        judged.unwrap_or_else(|_| Err("broke the validator: write it in another way".into()))
    }
}

/// A component that waits for its items.
struct Ready {
    pre: PluginPre<Guest>,
    about: About,
}

impl Shared {
    fn entry(&self, digest: &Digest) -> Option<Entry> {
        self.cache.as_ref().map(|folder| Entry::new(folder, &self.engine, digest))
    }

    /// What the cache has of a component.
    fn kept(&self, digest: &Digest) -> Option<Ready> {
        let ready = self.ready(&self.entry(digest)?.load()?);
        let refused = |error: &PluginError| {
            tracing::warn!(%digest, %error, "a compiled component was refused; it is compiled again");
        };
        ready.inspect_err(refused).ok()
    }

    /// Puts a digested component into the cache.
    fn keep(&self, digest: &Digest, digested: &Digested) -> Result<Ready, PluginError> {
        let ready = self.ready(digested)?;
        if let Some(entry) = self.entry(digest) {
            entry.store(digested);
        }
        Ok(ready)
    }

    fn ready(&self, digested: &Digested) -> Result<Ready, PluginError> {
        let component = digested.load(&self.engine)?;
        let pre = component::check(&self.engine, &self.linker, &component)?;
        Ok(Ready { pre, about: digested.about.clone() })
    }
}

/// Runs what takes a CPU or a disk for a while, on a thread for such work.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PluginError> + Send + 'static,
) -> Result<T, PluginError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(PluginError::broke_the_compiler()))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
