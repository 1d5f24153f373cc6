//! What authors of plugins type: `gristmill plugin new`, `build`, `test` and `dev`.

use std::path::PathBuf;

use clap::Args;

use super::{CompileArgs, SetArgs};
use crate::author::{Fault, From, Language};

/// `gristmill plugin new`
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The folder that is made; its last part is the plugin's name.
    #[arg(value_name = "NAME")]
    pub folder: PathBuf,
    /// The language.
    #[arg(long, value_name = "LANGUAGE")]
    pub lang: Language,
    /// What its objects are.
    #[arg(long, value_name = "FORMAT", default_value = "csv")]
    pub from: From,
    /// The folder of the SDK [default: the SDK of this gristmill, which is written into the plugin's folder].
    #[arg(long, value_name = "DIR")]
    pub sdk: Option<PathBuf>,
    /// Only write the files: build and run nothing.
    #[arg(long)]
    pub no_run: bool,
    /// Where the component is compiled, and where tools are kept.
    #[command(flatten)]
    pub compile: CompileArgs,
}

/// `gristmill plugin build`
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The plugin's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// Where tools are kept, and where the component is compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
}

const TEST_EXIT_CODES: &str = "\
Exit codes:
    0  nothing is wrong
    1  something is wrong with the rows, or with an answer to a fault
    2  it could not be tested";

/// `gristmill plugin test`
#[derive(Debug, Args)]
#[command(after_help = TEST_EXIT_CODES)]
pub struct TestArgs {
    /// The plugin's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// Keep the rows of the sample as the right ones, in `golden/`.
    #[arg(long)]
    pub bless: bool,
    /// A fault to which any answer is right, because an object may be missing or incomplete.
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    pub accept: Vec<Fault>,
    /// Write what was looked at to this file, as JUnit's XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Test the component as it is, and build nothing.
    #[arg(long)]
    pub no_build: bool,
    /// Where the component is compiled, and where tools are kept.
    #[command(flatten)]
    pub compile: CompileArgs,
    /// The variables; those without a value stand for their own name.
    #[command(flatten)]
    pub variables: SetArgs,
}

/// `gristmill plugin dev`
#[derive(Debug, Args)]
pub struct DevArgs {
    /// The plugin's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// Where the component is compiled, and where tools are kept.
    #[command(flatten)]
    pub compile: CompileArgs,
    /// The variables; those without a value stand for their own name.
    #[command(flatten)]
    pub variables: SetArgs,
}
