//! Compiles strangers' components, and applies their schemas, in processes of their own, within limits. What breaks
//! there breaks nothing else, and what the compiler leaves in memory goes with the process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use bytesize::ByteSize;
use tokio::sync::Semaphore;

use super::bounds::{Bounds, SCHEMA_BOUNDS};
use super::child::{self, Ended, Request};
use super::component::PluginError;
use super::digest::{About, Digested};
use crate::dataset::Manifest;
use crate::dataset::schema::Judgement;

/// How many schemas are applied at once.
const SCHEMAS_AT_ONCE: usize = 4;

/// Digests components and schemas in processes of their own.
#[derive(Clone, Debug)]
pub struct Digester {
    program: PathBuf,
    bounds: Bounds,
    /// Permits to compile, and to apply a schema.
    compilers: Arc<Semaphore>,
    judges: Arc<Semaphore>,
}

impl Digester {
    /// Digests so many components at once with this program, which has to be gristmill.
    pub fn new(program: impl Into<PathBuf>, bounds: Bounds, compilers: usize) -> Self {
        Self {
            program: program.into(),
            bounds,
            compilers: Arc::new(Semaphore::new(compilers.max(1))),
            judges: Arc::new(Semaphore::new(SCHEMAS_AT_ONCE)),
        }
    }

    /// The program that is running.
    pub fn this_program() -> std::io::Result<PathBuf> {
        // The running file itself, even if its name leads to another version by now.
        let running = Path::new("/proc/self/exe");
        if running.exists() { Ok(running.to_owned()) } else { std::env::current_exe() }
    }

    /// Permits to compile.
    pub(super) fn compilers(&self) -> &Semaphore {
        &self.compilers
    }

    pub(super) async fn digest(&self, component: Bytes, threads: usize) -> Result<Digested, PluginError> {
        let request = Request::Component { size: component.len() as u64, threads };
        let too_much = |limit: &Ended| {
            PluginError::TooMuch(format!(
                "compiling it took {}: build it with fewer and smaller functions and instances; or allow more with \
                 `--compile-memory` and `--compile-time`",
                exceeded(limit, &self.bounds)
            ))
        };
        let asked = child::ask::<Result<About, PluginError>>(&self.program, &self.bounds, request, component).await;
        let (about, code) = asked.map_err(|ended| match ended {
            Ended::Broke => PluginError::broke_the_compiler(),
            Ended::NotStarted(why) => PluginError::Engine(format!("the process that compiles it cannot work: {why}")),
            limit => too_much(&limit),
        })?;
        let about = about.map_err(|error| match error {
            PluginError::Engine(why) if child::is_want_of_memory(&why) => too_much(&Ended::Memory),
            error => error,
        })?;
        Ok(Digested { about, code })
    }

    pub(super) async fn judge(&self, manifest: &Manifest, settings: String) -> Judgement {
        let _turn = self.judges.acquire().await;
        let (plugin, schema) = (manifest.name.clone(), manifest.settings_schema.to_string());
        let request = Request::Settings { plugin, schema, settings };
        match child::ask::<Judgement>(&self.program, &SCHEMA_BOUNDS, request, Bytes::new()).await {
            Ok((judgement, _)) => judgement,
            Err(Ended::Broke) => Err("broke the validator: write it in another way".into()),
            Err(Ended::NotStarted(why)) => Err(format!("cannot be applied: {why}")),
            Err(limit) => Err(format!("takes {}: make it simpler", exceeded(&limit, &SCHEMA_BOUNDS))),
        }
    }
}

fn exceeded(limit: &Ended, bounds: &Bounds) -> String {
    let time = |time| humantime::format_duration(time);
    match limit {
        Ended::Memory => format!("more than {} of memory", ByteSize(bounds.memory).display().iec()),
        Ended::Killed => "more memory than there is (the system ended it)".into(),
        Ended::Cpu => format!("more than {} of CPU time", time(bounds.cpu)),
        Ended::Time => format!("longer than {}", time(bounds.time)),
        Ended::Code => "more than 512 MiB of code".into(),
        Ended::Broke | Ended::NotStarted(_) => "all it had".into(),
    }
}
