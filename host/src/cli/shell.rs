//! What a shell and `man` know of the command line.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
    gristmill completions bash > ~/.local/share/bash-completion/completions/gristmill
    gristmill completions zsh > ~/.zfunc/_gristmill
    gristmill completions fish > ~/.config/fish/completions/gristmill.fish";

/// `gristmill completions`
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

const MAN_EXAMPLES: &str = "\
Example:
    gristmill man ~/.local/share/man/man1";

/// `gristmill man`
#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// The folder that the pages are written to. It is made if it is not there.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
