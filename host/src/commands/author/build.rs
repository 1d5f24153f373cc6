//! `gristmill plugin build`: a plugin's component, in whatever language it is.

use std::process::ExitCode;

use bytesize::ByteSize;

use super::bench::{component, tools};
use crate::author::{self, Built};
use crate::cli::BuildArgs;
use crate::commands::output::print;

pub(in crate::commands) async fn run(args: BuildArgs) -> anyhow::Result<ExitCode> {
    let built = author::build(&args.folder, &component(&args.folder)?, &tools(&args.compile)).await?;
    print(format_args!("{}\n", said(&built)))?;
    Ok(ExitCode::SUCCESS)
}

/// What was built.
pub(super) fn said(built: &Built) -> String {
    format!("{}: {}, {}", built.component.display(), ByteSize(built.size).display().iec(), built.digest)
}
