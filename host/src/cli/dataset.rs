//! What is asked of a dataset before it runs.

use std::path::PathBuf;

use clap::Args;

use super::{CompileArgs, ConnectionsArgs, SetArgs};

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

const CHECK_EXIT_CODES: &str = "\
Exit codes:
    0  nothing to complain about
    1  there are findings
    2  the command line is wrong";

/// `gristmill check`
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXIT_CODES)]
pub struct CheckArgs {
    /// The dataset file, or a folder with a `dataset.toml`.
    pub dataset: PathBuf,
    /// Where databases are.
    #[command(flatten)]
    pub connections: ConnectionsArgs,
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
