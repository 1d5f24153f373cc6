//! What a shell and `man` know of the command line.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// `gristmill completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

/// `gristmill man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder that the pages are written to. It is made if it is not there.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
