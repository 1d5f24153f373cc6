//! What is asked of a state machine.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

const EXIT_CODES: &str = "\
Exit codes:
    0  nothing to complain about; there may be notes
    1  there are errors or warnings
    2  the command line is wrong, or the file is no state machine";

/// `gristmill lint`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct LintArgs {
    /// The definition of a state machine: JSON in the Amazon States Language, in JSONPath or JSONata, for any workers.
    pub file: PathBuf,
    /// The longest that a message may have to wait for a worker, such as `5m` (a fleet that sleeps) or `2h` (a deep queue).
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub wait: Duration,
    /// Print the findings as JSON.
    #[arg(long)]
    pub json: bool,
}
