//! The Distributed Map on this machine.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use bytesize::ByteSize;
use clap::Args;

use super::{CompileArgs, ConnectionsArgs, SetArgs};
use crate::object::{Location, ObjectError};

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
    /// Do every batch again, even those that are done and whose inputs have not changed.
    #[arg(long)]
    pub again: bool,
    /// Take the whole table and not a window of it, for a dataset that reads one. In the cloud this is `"full": true` in the input.
    #[arg(long)]
    pub full: bool,
    /// How many items run at once [default: the cores of this machine].
    #[arg(long, value_name = "N")]
    pub slots: Option<usize>,
    /// How much memory items and their rows may take together, such as `6 GiB` [default: the container's or else the machine's,
    /// less an eighth].
    #[arg(long, env = "GRISTMILL_MEMORY", value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// Where databases are.
    #[command(flatten)]
    pub connections: ConnectionsArgs,
    /// Where the component is compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
    /// Print the summary as JSON, and no progress.
    #[arg(long)]
    pub json: bool,
    /// Show neither progress nor what plugins print and log.
    #[arg(long, short)]
    pub quiet: bool,
    /// Serve a page that shows the run while it goes on, and print its address [default: any port that is free].
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:0")]
    pub watch: Option<SocketAddr>,
    /// The variables.
    #[command(flatten)]
    pub variables: SetArgs,
}

const ITEMS_EXIT_CODES: &str = "\
Exit codes:
  0  these are the items
  2  the command line or the dataset file is wrong, or items cannot be read";

/// `gristmill items`
#[derive(Debug, Args)]
#[command(after_help = ITEMS_EXIT_CODES)]
pub struct ItemsArgs {
    /// The dataset file, or a folder with a `dataset.toml`.
    pub dataset: PathBuf,
    /// The folder that stands for the cloud, as for `map` [default: S3, with the region and credentials of the SDK's own chain].
    #[arg(long, value_name = "DIR")]
    pub local: Option<PathBuf>,
    /// The state's input: JSON, or @FILE.
    #[arg(long, value_name = "JSON|@FILE", default_value = "{}")]
    pub input: String,
    /// Write the items there, whole or not at all: a file, or an object that `json_lines` reads (with `--local`, in its folder).
    #[arg(long, value_name = "FILE|s3://BUCKET/KEY")]
    pub out: Option<Out>,
    /// Print or write no more items than this.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// The variables.
    #[command(flatten)]
    pub variables: SetArgs,
}

/// Where items are written.
#[derive(Clone, Debug)]
pub enum Out {
    /// A file of this machine.
    File(PathBuf),
    /// An object.
    Object(Location),
}

impl FromStr for Out {
    type Err = ObjectError;

    fn from_str(text: &str) -> Result<Self, ObjectError> {
        if !text.starts_with("s3://") {
            return Ok(Self::File(text.into()));
        }
        let at: Location = text.parse()?;
        at.names_an_object()?;
        Ok(Self::Object(at))
    }
}

impl fmt::Display for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Object(at) => at.fmt(f),
        }
    }
}
