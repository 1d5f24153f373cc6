//! One file per command: from valid arguments to adapters, to a run, to an exit code.

mod asl;
mod author;
mod check;
mod compiler;
mod desk;
mod diff;
mod inputs;
mod items;
mod keygen;
mod lint;
mod listing;
mod machine;
mod map;
mod output;
mod plugin;
mod promote;
mod publish;
mod push;
mod replay;
mod shell;
mod sign;
mod signals;
mod simulate;
mod status;
mod waiting;
mod windows;
mod worker;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

pub use self::output::report_error;
use crate::cli::{Cli, Command, PluginCommand};
use crate::telemetry::guests::GuestLines;
use crate::telemetry::{admin, logs};

/// Runs the command. An error is a sentence for the user; failures of items are not errors.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Digest(args) = &cli.command {
        // Before anything that it does not need, so that its limits hold for all its work.
        return compiler::digest(args);
    }
    // The summary of `map` says what became of each batch, so its log does not. It shows the first lines of what plugins
    // print, and all of them where `--log` asks for more than the default.
    let (default, guests) = match &cli.command {
        Command::Worker(_) => ("info", GuestLines::all()),
        Command::Map(args) if args.quiet => ("warn,guest=off,gristmill::telemetry::line=off", GuestLines::all()),
        Command::Map(_) if cli.log.is_none() => ("warn,guest=info,gristmill::telemetry::line=off", GuestLines::first()),
        // Authors see what their code prints.
        Command::Plugin(PluginCommand::New(_) | PluginCommand::Test(_) | PluginCommand::Dev(_)) => {
            ("warn,guest=info", GuestLines::all())
        }
        _ => ("warn", GuestLines::all()),
    };
    let guests = Arc::new(guests);
    logs::init(cli.log_format, cli.log.as_deref().unwrap_or(default), guests.clone()).map_err(anyhow::Error::msg)?;
    let io = machine::io_runtime()?;
    match cli.command {
        Command::Map(args) => io.block_on(Box::pin(map::run(args, &guests))),
        Command::Worker(args) => io.block_on(Box::pin(worker::run(args))),
        Command::Items(args) => io.block_on(Box::pin(items::run(args))),
        Command::Asl(args) => asl::run(args),
        Command::Lint(args) => lint::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Check(args) => io.block_on(check::run(args)),
        Command::Plugin(PluginCommand::New(args)) => io.block_on(Box::pin(author::new::run(args))),
        Command::Plugin(PluginCommand::Build(args)) => io.block_on(Box::pin(author::build::run(args))),
        Command::Plugin(PluginCommand::Test(args)) => io.block_on(Box::pin(author::test::run(args))),
        Command::Plugin(PluginCommand::Dev(args)) => io.block_on(Box::pin(author::dev::run(args))),
        Command::Plugin(PluginCommand::Inspect(args)) => io.block_on(plugin::run(args)),
        Command::Plugin(PluginCommand::Push(args)) => io.block_on(Box::pin(push::run(args))),
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
        Command::Windows(args) => io.block_on(Box::pin(windows::run(args))),
        Command::Diff(args) => io.block_on(Box::pin(diff::run(args))),
        Command::Replay(args) => io.block_on(Box::pin(replay::run(args))),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::Digest(args) => compiler::digest(&args),
    }
}
