//! What is done with a component by itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::CompileArgs;
use crate::registry::OciTarget;

/// `gristmill plugin ...`
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Say what a component is and what it can reach.
    Inspect(InspectArgs),
    /// Put a component into an OCI registry, and print how a dataset file names it there.
    Push(PushArgs),
}

/// `gristmill plugin inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The component.
    pub file: PathBuf,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
    /// Where it is compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
}

/// `gristmill plugin push`
#[derive(Debug, Args)]
pub struct PushArgs {
    /// The component. It is checked before anything is sent.
    pub file: PathBuf,
    /// Where to: `oci://HOST/REPOSITORY`, or with a tag, `oci://HOST/REPOSITORY:TAG`. A tag that is there is moved.
    pub target: OciTarget,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
    /// Where it is compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
}
