//! One file per command: from valid arguments to adapters, to a run, to an exit code.

mod asl;
mod check;
mod compiler;
mod desk;
mod diff;
mod keygen;
mod map;
mod plugin;
mod promote;
mod publish;
mod replay;
mod sign;
mod signals;
mod status;
mod waiting;
mod worker;

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytesize::ByteSize;
use serde::Serialize;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::admission;
use crate::cli::{Cli, Command, SetArgs};
use crate::dataset::{Dataset, Findings, MAX_FILE, Variables};
use crate::files;
use crate::telemetry::guests::GuestLines;
use crate::telemetry::{admin, logs};
use crate::text;

/// The most that is read of a file which the user names, in bytes: items, an input, a report.
const MAX_GIVEN: u64 = 1 << 30;

/// Runs the command. An error is a sentence for the user; failures of items are not errors.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Digest(args) = &cli.command {
        // Before anything that it does not need: its limits are to hold for all that it does.
        return compiler::digest(args);
    }
    // What became of each batch is in the summary of `map`, and what is tried again is said by who does it.
    // Whoever tries a plugin wants to see what it prints; whoever asks for more than the default shall have all of it.
    let (default, guests) = match &cli.command {
        Command::Worker(_) => ("info", GuestLines::all()),
        Command::Map(args) if args.quiet => ("warn,guest=off,gristmill::telemetry::line=off", GuestLines::all()),
        Command::Map(_) if cli.log.is_none() => ("warn,guest=info,gristmill::telemetry::line=off", GuestLines::first()),
        _ => ("warn", GuestLines::all()),
    };
    let guests = Arc::new(guests);
    logs::init(cli.log_format, cli.log.as_deref().unwrap_or(default), guests.clone()).map_err(anyhow::Error::msg)?;
    let io = io_runtime()?;
    match cli.command {
        Command::Map(args) => io.block_on(Box::pin(map::run(args, &guests))),
        Command::Worker(args) => io.block_on(Box::pin(worker::run(args))),
        Command::Asl(args) => asl::run(args),
        Command::Check(args) => io.block_on(check::run(args)),
        Command::Plugin(command) => io.block_on(plugin::run(command)),
        Command::Health(args) => io.block_on(async {
            admin::probe(&args.admin.to_string(), "/healthz")
                .await
                .with_context(|| format!("no healthy worker at {}", args.admin))?;
            Ok(ExitCode::SUCCESS)
        }),
        Command::Keygen(args) => keygen::run(&args),
        Command::Sign(args) => io.block_on(Box::pin(sign::run(args))),
        Command::Publish(args) => io.block_on(Box::pin(publish::run(args))),
        Command::Versions(args) => io.block_on(Box::pin(status::versions(args))),
        Command::Promote(args) => io.block_on(Box::pin(promote::run(args))),
        Command::Rollback(args) => io.block_on(Box::pin(promote::roll_back(args))),
        Command::Status(args) => io.block_on(Box::pin(status::run(args))),
        Command::Diff(args) => io.block_on(Box::pin(diff::run(args))),
        Command::Replay(args) => io.block_on(Box::pin(replay::run(args))),
        Command::Digest(args) => compiler::digest(&args),
    }
}

/// Writes to stdout what was asked for, for people: nothing in it steers their terminal.
fn say(text: impl Display) -> anyhow::Result<()> {
    write(&text::lines(&text.to_string()))
}

/// Writes to stdout what was asked for, as JSON.
fn say_json(value: &impl Serialize) -> anyhow::Result<()> {
    write(&text::json(&(serde_json::to_string_pretty(value)? + "\n")))
}

/// Whoever closes the pipe (`| head`) has seen enough.
fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("stdout"),
        _ => Ok(()),
    }
}

/// Says on stderr why a command could not do what it was asked for.
pub fn complain(error: &anyhow::Error) {
    let said = format!("{error:#}");
    // Findings indent by themselves what is not ours in them.
    let said = if error.is::<Findings>() { text::lines(&said).into_owned() } else { text::block(&said, "  ") };
    eprintln!("error: {said}");
}

/// Says on stderr what the user should know beside what was asked for.
fn warn(about: &str) {
    eprintln!("warning: {}", text::block(about, "  "));
}

/// The values of a dataset file's variables. What is set and has no place in the file is a mistake: it would change nothing, and
/// what was meant would keep another value.
fn variables(args: SetArgs, dataset: &Path) -> anyhow::Result<Variables> {
    let file = Dataset::file(dataset);
    // A file that cannot be read is somebody else's to complain about.
    if let Ok(text) = files::read_text(&file, MAX_FILE) {
        let names = args.set.iter().map(|(name, _)| name.as_str());
        if let Some(why) = Variables::without_place(names, &text) {
            anyhow::bail!("--set: {}: {why}", file.display());
        }
    }
    Ok(args.variables())
}

/// Opens a component. When that takes long whoever sits at a terminal is told why, so that nobody thinks that nothing happens. What
/// is written to a file does not depend on how busy the machine is.
async fn patiently<T>(component: &impl Display, open: impl Future<Output = T>) -> T {
    const LONG: Duration = Duration::from_secs(1);
    let name = component.to_string();
    // A task of its own: compiling keeps this one's thread busy.
    let notice = tokio::spawn(async move {
        tokio::time::sleep(LONG).await;
        if std::io::stderr().is_terminal() {
            eprintln!("compiling {}: the first time takes a while", text::line(&name));
        }
    });
    let opened = open.await;
    notice.abort();
    opened
}

/// Where queues, stores, heartbeats and metrics live. Guests have a runtime of their own, so that they can burn every core
/// without delaying any of these.
fn io_runtime() -> anyhow::Result<Runtime> {
    let threads = cores().clamp(1, 4);
    Builder::new_multi_thread().worker_threads(threads).thread_name("io").enable_all().build().context("no threads")
}

/// Where guests run: one thread per slot. What still runs when the process ends is not waited for, which could not be done
/// here: a command that stops with an error is itself run by threads of tokio.
struct Guests {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Guests {
    fn start(slots: usize) -> anyhow::Result<Self> {
        let threads = Builder::new_multi_thread().worker_threads(slots).thread_name("guest").enable_all().build();
        let runtime = threads.context("no threads")?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// How much memory items and rows may take: what is asked for, or what this process has less what the host keeps. None where
/// nobody says.
fn memory(asked: Option<ByteSize>) -> Option<u64> {
    asked.map(|size| size.0).or_else(|| admission::limit().map(admission::budget))
}

/// The cores that this process may use, a container's limit included.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
