//! The databases that plugins may ask.

use std::path::PathBuf;

use clap::Args;

/// Where databases are.
#[derive(Debug, Args)]
pub struct ConnectionsArgs {
    /// The file that names the connections to databases which datasets are granted (`[grants] sql`).
    #[arg(long, env = "GRISTMILL_CONNECTIONS", value_name = "FILE")]
    pub connections: Option<PathBuf>,
}
