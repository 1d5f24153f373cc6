//! Command line → configuration → adapters → run → exit code.

use std::process::ExitCode;

use clap::Parser as _;
use gristmill::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match gristmill::commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            gristmill::commands::report_error(&error);
            ExitCode::from(2)
        }
    }
}
