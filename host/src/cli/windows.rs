//! What runs took of a table.

use std::path::PathBuf;

use clap::Args;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

const WINDOWS_EXIT_CODES: &str = "\
Exit codes:
  0  this is the history
  2  the command line is wrong, or the ledger cannot be read";

/// `gristmill windows`
#[derive(Debug, Args)]
#[command(after_help = WINDOWS_EXIT_CODES)]
pub struct WindowsArgs {
    /// The dataset's name.
    pub dataset: String,
    /// The table of the workers' ledger, in the account that the SDK's own chain leads to.
    #[arg(
        long,
        env = "GRISTMILL_LEDGER",
        value_name = "TABLE",
        conflicts_with = "local",
        required_unless_present = "local"
    )]
    pub ledger: Option<String>,
    /// The folder that stands for the cloud, as for `map`.
    #[arg(long, value_name = "DIR")]
    pub local: Option<PathBuf>,
    /// Have the next window start there, such as 2024-01-05T00:00:00Z, whatever was read before. Of a run that has the window say first
    /// that it is dead (`--give-up`).
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub next_from: Option<OffsetDateTime>,
    /// Say that the run which has the window is dead, where Step Functions cannot be asked: the next run takes the same window.
    #[arg(long, conflicts_with = "next_from")]
    pub give_up: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

fn instant(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map(|instant| instant.to_offset(UtcOffset::UTC))
        .map_err(|error| format!("an instant is written 2024-01-05T00:00:00Z (RFC 3339): {error}"))
}
