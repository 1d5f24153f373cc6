//! The process that digests: `gristmill digest`, started by gristmill itself. It limits itself, reads one question,
//! answers it, and ends.

use std::io::{Error, Read as _, Result};

use rayon::ThreadPoolBuilder;
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use tokio::runtime::{Builder, Handle};

use super::child::{Request, get, reply};
use super::component::PluginError;
use super::digest::{Digested, digest};
use super::engine;
use crate::dataset::schema::{Judgement, judge};

/// The priority (setpriority(2)). On a busy CPU this process gets a tenth of what another one gets, on an idle CPU
/// everything.
const PRIORITY: i32 = 10;

/// If memory runs out, the system ends this process before any other (proc_pid_oom_score_adj(5)).
const OOM_SCORE: &str = "1000";

/// Answers the question on stdin, with so many bytes of memory and seconds of CPU time. Has to be called before there
/// are any threads.
pub fn digest_for_parent(memory: u64, cpu: u64) -> Result<()> {
    confine(memory, cpu)?;
    let (request, component) = get(std::io::stdin().lock())?;
    std::thread::spawn(end_with_the_questions);
    match request {
        Request::Component { threads, .. } => {
            ThreadPoolBuilder::new().num_threads(threads.max(1)).build_global().map_err(Error::other)?;
            // The time-out of `describe` needs a thread of its own, while `describe` keeps this one busy.
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
            let (answer, code) = match digested(&component, runtime.handle()) {
                Ok(Digested { about, code }) => (Ok(about), code),
                Err(error) => (Err(error), Default::default()),
            };
            reply(std::io::stdout().lock(), &answer, &code)
        }
        Request::Settings { plugin, schema, settings } => {
            let json = |text: &str| serde_json::from_str(text).map_err(|error| format!("cannot be read: {error}"));
            let judged = json(&schema).and_then(|schema| Ok((schema, json(&settings)?)));
            let judged: Judgement = judged.and_then(|(schema, settings)| judge(&plugin, &schema, &settings));
            reply(std::io::stdout().lock(), &judged, &[])
        }
    }
}

/// Digests with an engine for one instance, and otherwise like the one that will run the component: what is too much
/// there is too much here.
fn digested(component: &[u8], io: &Handle) -> std::result::Result<Digested, PluginError> {
    let engine = engine::engine(1).map_err(PluginError::engine)?;
    let linker = engine::linker(&engine)?;
    let _ticker = engine::Ticker::start(&engine);
    digest(&engine, &linker, component, io)
}

fn confine(memory: u64, cpu: u64) -> Result<()> {
    setpriority_process(None, PRIORITY)?;
    // Not every system has this file. The limits below hold without it.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let limit = |resource, current: u64, maximum: u64| {
        let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let [current, maximum] = [current, maximum].map(|most| Some(most.min(allowed)));
        setrlimit(resource, Rlimit { current, maximum })
    };
    limit(Resource::Core, 0, 0)?;
    // The soft limit comes first and has a signal of its own (SIGXCPU), which tells what happened.
    limit(Resource::Cpu, cpu, cpu + 1)?;
    // This counts the heap and private writable mappings, not address space, of which the engine reserves much.
    limit(Resource::Data, memory, memory)?;
    // The only files that it writes are those in memory from which instances are made.
    Ok(limit(Resource::Fsize, memory, memory)?)
}

/// Ends the process when the question's pipe is closed: the parent is gone, and nobody waits for the answer.
fn end_with_the_questions() {
    let _ = std::io::stdin().lock().read(&mut [0]);
    std::process::exit(1);
}
