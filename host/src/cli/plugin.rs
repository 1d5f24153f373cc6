//! What is done with plugins, and with a component by itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{BuildArgs, CompileArgs, DevArgs, NewArgs, TestArgs};
use crate::registry::OciTarget;

/// `gristmill plugin ...`
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Make a plugin that works: code, a dataset file, a sample, a test; then build and run it.
    New(NewArgs),
    /// Build the component of a plugin's folder.
    Build(BuildArgs),
    /// Run a plugin's sample as production would: its golden rows, again in another order, and under faults.
    Test(TestArgs),
    /// Watch a plugin's folder: at every save build it, run its sample, and show what changed.
    Dev(DevArgs),
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
