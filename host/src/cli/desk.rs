//! The commands that try versions and keep nothing: `diff` and `replay`.

use std::path::PathBuf;

use clap::Args;

use super::{CompileArgs, ConnectionsArgs, RegistryArgs, SetArgs};
use crate::registry::{Name, Version};

const DIFF_EXIT_CODES: &str = "\
Exit codes:
    0  nothing would change
    1  something would change
    2  it could not be tried";

const REPLAY_EXIT_CODES: &str = "\
Exit codes:
    0  the output equals what was recorded, or nothing was recorded
    1  it differs
    2  the batch could not be run again";

/// The arguments that both have.
#[derive(Debug, Args)]
pub struct DeskArgs {
    /// Read `s3://bucket/key` from DIR/s3/bucket/key instead of from S3.
    #[arg(long, value_name = "DIR")]
    pub local: Option<PathBuf>,
    /// The file that names who must have signed what comes from the registry.
    #[arg(long, env = "GRISTMILL_TRUST", value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// How many items run at once [default: the cores of this machine].
    #[arg(long, value_name = "N")]
    pub slots: Option<usize>,
    /// Where databases are.
    #[command(flatten)]
    pub connections: ConnectionsArgs,
    /// Where components are compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// The variables.
    #[command(flatten)]
    pub variables: SetArgs,
}

/// `gristmill diff`
#[derive(Debug, Args)]
#[command(after_help = DIFF_EXIT_CODES)]
pub struct DiffArgs {
    /// The dataset.
    pub name: Name,
    /// The version to compare with.
    pub old: Version,
    /// The version that is compared.
    pub new: Version,
    /// The items: a file of JSON lines.
    #[arg(long, value_name = "FILE")]
    pub items: PathBuf,
    /// What the items share (`BatchInput`) [default: `[map] batch_input` of the old version's file].
    #[arg(long, value_name = "JSON")]
    pub batch_input: Option<String>,
    /// The registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// The desk.
    #[command(flatten)]
    pub desk: DeskArgs,
}

/// `gristmill replay`
#[derive(Debug, Args)]
// `--version` is another one here.
#[command(after_help = REPLAY_EXIT_CODES, disable_version_flag = true)]
pub struct ReplayArgs {
    /// The batch's full report (a file, or `s3://bucket/key`), or a file with the body of its message; `-` is stdin.
    #[arg(value_name = "REPORT|MESSAGE")]
    pub batch: String,
    /// Run this version instead of what ran then.
    #[arg(id = "release", long = "version", value_name = "VERSION")]
    pub version: Option<Version>,
    /// The registry: a folder or `s3://bucket/prefix`.
    #[arg(long, env = "GRISTMILL_REGISTRY", value_name = "URI")]
    pub registry: Option<String>,
    /// The dataset file or its folder, with the component beside it, instead of a registry.
    #[arg(long, value_name = "FILE", conflicts_with = "release")]
    pub dataset: Option<PathBuf>,
    /// What was recorded (a file, or `s3://bucket/key`), where a message is given [default: at the dataset's `reports`].
    #[arg(long, value_name = "REPORT")]
    pub report: Option<String>,
    /// The desk.
    #[command(flatten)]
    pub desk: DeskArgs,
}
