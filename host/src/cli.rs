//! The command line as the user types it. Every flag of `worker` is an environment variable too, because containers are
//! configured so.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};

mod compile;
mod desk;
mod registry;

pub use self::compile::{CompileArgs, DigestArgs};
pub use self::desk::{DeskArgs, DiffArgs, ReplayArgs};
pub use self::registry::{
    KeygenArgs, PromoteArgs, PublishArgs, RegistryArgs, RollbackArgs, SignArgs, StatusArgs, VersionsArgs,
};
use crate::dataset::Variables;
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

/// What gristmill can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a dataset's Distributed Map on this machine.
    Map(MapArgs),
    /// Work on the batches of a queue until told to stop.
    Worker(WorkerArgs),
    /// Print the state machine that runs a dataset in the cloud.
    Asl(AslArgs),
    /// Find what is wrong with a dataset before it runs.
    Check(CheckArgs),
    /// Look at plugins.
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
    /// Compile a component or apply a schema for another gristmill, within limits.
    #[command(hide = true)]
    Digest(DigestArgs),
}

const CHECK_EXIT_CODES: &str = "\
Exit codes:
    0  nothing to complain about
    1  there are findings
    2  the command line is wrong";

const MAP_EXIT_CODES: &str = "\
Exit codes:
    0  every batch is done, or no more failed than the dataset tolerates
    1  the run failed: too many failures, or items that cannot be read
    2  the run did not begin: a wrong command line, dataset file, component or folder
  130  interrupted; the same command goes on from there";

/// `gristmill map`
#[derive(Debug, Args)]
#[command(after_help = MAP_EXIT_CODES)]
pub struct MapArgs {
    /// The dataset file, or a folder with a `dataset.toml`.
    pub dataset: PathBuf,
    /// The folder that stands for the cloud: `s3://bucket/key` is DIR/s3/bucket/key, tables are in DIR/tables.sqlite.
    #[arg(long, value_name = "DIR")]
    pub local: PathBuf,
    /// The state's input: JSON, or @FILE.
    #[arg(long, value_name = "JSON|@FILE", default_value = "{}")]
    pub input: String,
    /// Do every batch again, also those that are done and rest on nothing that has changed.
    #[arg(long)]
    pub again: bool,
    /// How many items run at once [default: the cores of this machine].
    #[arg(long, value_name = "N")]
    pub slots: Option<usize>,
    /// How much memory items and their rows may take together, such as `6 GiB` [default: the container's or else the machine's,
    /// less an eighth].
    #[arg(long, env = "GRISTMILL_MEMORY", value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// Where the component is compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
    /// Print the summary as JSON, and no progress.
    #[arg(long)]
    pub json: bool,
    /// Show neither progress nor what plugins print and log.
    #[arg(long, short)]
    pub quiet: bool,
    /// The variables.
    #[command(flatten)]
    pub variables: SetArgs,
}

/// `gristmill worker`
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// The URL of the SQS queue. Given several times (or with commas between), each queue has as many batches at once as
    /// there are slots, so that one that is full does not hold up another.
    #[arg(long = "queue", env = "GRISTMILL_QUEUE", value_name = "URL", value_delimiter = ',', required = true)]
    pub queues: Vec<String>,
    /// A folder of dataset files (`*.toml`, `*/dataset.toml`) and their components, read once.
    #[arg(long, env = "GRISTMILL_DATASETS", value_name = "DIR", required_unless_present = "registry")]
    pub datasets: Option<PathBuf>,
    /// Where versions of datasets come from, and which of them is in use: a folder or `s3://bucket/prefix`. It is
    /// followed all the time. A dataset that `--datasets` has too is taken from there.
    #[arg(long, env = "GRISTMILL_REGISTRY", value_name = "URI")]
    pub registry: Option<String>,
    /// The file that says who has to have signed what comes from the registry.
    #[arg(long, env = "GRISTMILL_TRUST", value_name = "FILE", requires = "registry")]
    pub trust: Option<PathBuf>,
    /// The DynamoDB table that remembers which batches are done (partition key `pk`, a string). Without one, a batch that is
    /// delivered twice is worked on twice, with the same result.
    #[arg(long, env = "GRISTMILL_LEDGER", value_name = "TABLE")]
    pub ledger: Option<String>,
    /// How many items, and how many batches, run at once [default: the cores of this machine].
    #[arg(long, env = "GRISTMILL_SLOTS", value_name = "N")]
    pub slots: Option<usize>,
    /// How much memory items and their rows may take together, such as `6 GiB` [default: the container's or else the machine's,
    /// less an eighth].
    #[arg(long, env = "GRISTMILL_MEMORY", value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    #[arg(long, env = "GRISTMILL_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    pub admin: SocketAddr,
    /// Where components are compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
    /// How long a batch stays claimed by a worker that fell silent, at least 1s. A claim is renewed three times in that time;
    /// shorter means that what a killed worker had is taken over sooner, and that a worker may be cut off for less long.
    #[arg(long, env = "GRISTMILL_LEASE", value_name = "TIME", default_value = "60s", value_parser = lease)]
    pub lease: Duration,
    /// How long batches may go on after SIGTERM; what is not done by then is returned to the queue.
    #[arg(long, env = "GRISTMILL_DRAIN", value_name = "TIME", default_value = "25s", value_parser = humantime::parse_duration)]
    pub drain: Duration,
    /// The variables.
    #[command(flatten)]
    pub variables: SetArgs,
}

/// `gristmill asl`
#[derive(Debug, Args)]
pub struct AslArgs {
    /// The dataset file, or a folder with a `dataset.toml`.
    pub dataset: PathBuf,
    /// The URL of the SQS queue that the workers read.
    #[arg(long, value_name = "URL")]
    pub queue_url: String,
    /// The variables.
    #[command(flatten)]
    pub variables: SetArgs,
}

/// `gristmill check`
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXIT_CODES)]
pub struct CheckArgs {
    /// The dataset file, or a folder with a `dataset.toml`.
    pub dataset: PathBuf,
    /// Where the component is compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
    /// Ask AWS too whether everything is there that workers need: tables, buckets, the queue, the ledger, permissions. Region
    /// and credentials are those of the SDK's own chain; give those of a worker.
    #[arg(long)]
    pub cloud: bool,
    /// The URL of the queue that the workers read.
    #[arg(long = "queue", value_name = "URL", value_delimiter = ',', requires = "cloud")]
    pub queues: Vec<String>,
    /// The ledger's table.
    #[arg(long, value_name = "TABLE", requires = "cloud")]
    pub ledger: Option<String>,
    /// The variables.
    #[command(flatten)]
    pub variables: SetArgs,
}

/// `gristmill plugin ...`
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Say what a component is and what it can reach.
    Inspect {
        /// The component.
        file: PathBuf,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
        /// Where it is compiled.
        #[command(flatten)]
        compile: CompileArgs,
    },
}

/// `gristmill health`
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The worker's admin address.
    #[arg(long, env = "GRISTMILL_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    pub admin: SocketAddr,
}

/// `--set`
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Give a variable of the dataset file a value; the environment gives the others.
    #[arg(long, value_name = "NAME=VALUE", value_parser = Variables::parse_set)]
    pub set: Vec<(String, String)>,
}

/// A lease in which there is time for three renewals.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if lease < Duration::from_secs(1) { Err("a lease is at least 1s".into()) } else { Ok(lease) }
}

impl SetArgs {
    /// The values of `${NAME}`.
    pub fn variables(self) -> Variables {
        Variables::with_environment(self.set)
    }
}

#[cfg(test)]
mod tests {
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
