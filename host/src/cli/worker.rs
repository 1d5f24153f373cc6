//! A worker, and whether it is alive.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use clap::builder::FalseyValueParser;

use super::{CompileArgs, ConnectionsArgs, SetArgs};

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
    /// The file that names who must have signed what comes from the registry.
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
    /// Where the status page (`/`, and `/status` as JSON), `/metrics`, `/healthz` and `/readyz` are served.
    #[arg(long, env = "GRISTMILL_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    pub admin: SocketAddr,
    /// Print what alarms need on stdout every minute, in CloudWatch's embedded metric format.
    #[arg(long, env = "GRISTMILL_EMF", value_parser = FalseyValueParser::new())]
    pub emf: bool,
    /// Where databases are.
    #[command(flatten)]
    pub connections: ConnectionsArgs,
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

/// `gristmill health`
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The worker's admin address.
    #[arg(long, env = "GRISTMILL_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    pub admin: SocketAddr,
}

/// A lease in which there is time for three renewals.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if lease < Duration::from_secs(1) { Err("a lease is at least 1s".into()) } else { Ok(lease) }
}
