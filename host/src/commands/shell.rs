//! `gristmill completions` and `gristmill man`: what shells and `man` know of the command line, from the same source as `--help`.

use std::process::ExitCode;

use anyhow::Context as _;

use super::output::print;
use crate::cli::{CompletionsArgs, ManArgs, command};

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "gristmill", &mut script);
    print(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let place = || args.folder.display().to_string();
    std::fs::create_dir_all(&args.folder).with_context(place)?;
    clap_mangen::generate_to(command(), &args.folder).with_context(place)?;
    Ok(ExitCode::SUCCESS)
}
