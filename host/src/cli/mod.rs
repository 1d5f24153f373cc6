//! The command line as the user types it. Every flag of `worker` is an environment variable too, because containers are
//! configured so.

mod author;
mod compile;
mod connections;
mod dataset;
mod desk;
mod examples;
mod lint;
mod map;
mod plugin;
mod registry;
mod shell;
mod simulate;
mod variables;
mod windows;
mod worker;

use clap::{FromArgMatches as _, Parser, Subcommand};

pub use self::author::{BuildArgs, DevArgs, NewArgs, TestArgs};
pub use self::compile::{CompileArgs, DigestArgs};
pub use self::connections::ConnectionsArgs;
pub use self::dataset::{AslArgs, CheckArgs};
pub use self::desk::{DeskArgs, DiffArgs, ReplayArgs};
pub use self::examples::command;
pub use self::lint::LintArgs;
pub use self::map::{ItemsArgs, MapArgs, Out};
pub use self::plugin::{InspectArgs, PluginCommand, PushArgs};
pub use self::registry::{
    KeygenArgs, PromoteArgs, PublishArgs, RegistryArgs, RollbackArgs, SignArgs, StatusArgs, VersionsArgs,
};
pub use self::shell::{CompletionsArgs, ManArgs};
pub use self::simulate::{Processor, SimulateArgs};
pub use self::variables::SetArgs;
pub use self::windows::WindowsArgs;
pub use self::worker::{HealthArgs, WorkerArgs};
use crate::telemetry::logs::LogFormat;

/// Runs the items of AWS Step Functions' Distributed Map through WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How log lines look.
    #[arg(long, global = true, env = "GRISTMILL_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What is logged, such as `info` or `warn,guest=debug` (`guest` is what plugins print and log) [default: info for `worker`;
    /// warn otherwise, and for `map` the first 1,000 lines of what plugins say].
    #[arg(long, global = true, env = "GRISTMILL_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

impl Cli {
    /// What was typed. A command line that is wrong, and one that asks for help, ends the process here.
    pub fn typed() -> Self {
        let mut command = command();
        let matches = command.get_matches_mut();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

/// What gristmill can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a dataset's Distributed Map on this machine.
    Map(MapArgs),
    /// Work on the batches of a queue until told to stop.
    Worker(WorkerArgs),
    /// Print or write the items that a dataset's reader gives, as JSON lines.
    Items(ItemsArgs),
    /// Print the state machine that runs a dataset in the cloud.
    Asl(AslArgs),
    /// Find what is wrong with a dataset before it runs.
    Check(CheckArgs),
    /// Find what makes callbacks hang, lose or cost in a state machine that somebody wrote.
    Lint(LintArgs),
    /// Play what a fleet would do with a load: how long it takes, how long batches wait, and what it costs.
    Simulate(Box<SimulateArgs>),
    /// Make, build, test and look at plugins, or put one into an OCI registry.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Ask a worker on this machine whether it is alive; for a container's health check.
    Health(HealthArgs),
    /// Make a key that signs releases, and the public key that verifies them.
    Keygen(KeygenArgs),
    /// Sign a version that is in a registry, or attach a signature that another tool made.
    Sign(SignArgs),
    /// Put a version of a dataset into a registry: its file, its component and its sample.
    Publish(PublishArgs),
    /// List the versions of a dataset that a registry has.
    Versions(VersionsArgs),
    /// Take a version into use: workers switch to it within seconds.
    Promote(PromoteArgs),
    /// End a trial, or else go back to the version that was in use before.
    Rollback(RollbackArgs),
    /// Say what is in use, what is on trial, and what workers refused.
    Status(StatusArgs),
    /// Say what a version would change, item by item and row by row, and write nothing.
    Diff(DiffArgs),
    /// Run a recorded batch again, and say whether it comes to the same.
    Replay(ReplayArgs),
    /// Show what runs took of a table, window by window, and where the next one starts; or set that.
    Windows(WindowsArgs),
    /// Print what a shell needs to complete the commands.
    Completions(CompletionsArgs),
    /// Write a manual page for each command.
    Man(ManArgs),
    /// Compile a component or apply a schema for another gristmill, within limits.
    #[command(hide = true)]
    Digest(DigestArgs),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory as _;

    use super::*;
    use crate::batch::LEASE;

    fn lease_of(arguments: &[&str]) -> Result<Duration, String> {
        let worker = ["gristmill", "worker", "--queue", "q", "--datasets", "d"];
        match Cli::try_parse_from(worker.iter().chain(arguments)).map_err(|error| error.to_string())?.command {
            Command::Worker(worker) => Ok(worker.lease),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_command_has_two_arguments_of_one_name() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_lease_leaves_time_to_renew_it() {
        assert_eq!(lease_of(&[]), Ok(LEASE));
        assert_eq!(lease_of(&["--lease", "1s"]), Ok(Duration::from_secs(1)));
        let refused = lease_of(&["--lease", "999ms"]).unwrap_err();
        assert!(refused.contains("a lease is at least 1s"), "{refused}");
    }
}
