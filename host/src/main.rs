//! Command line → configuration → adapters → run → exit code.

use std::process::ExitCode;

use gristmill::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::typed();
    match gristmill::commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            gristmill::commands::report_error(&error);
            ExitCode::from(2)
        }
    }
}
