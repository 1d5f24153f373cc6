//! `gristmill asl`

use std::process::ExitCode;

use super::inputs::variables;
use super::output::print_json;
use crate::asl;
use crate::cli::AslArgs;
use crate::dataset::Dataset;

pub(super) fn run(args: AslArgs) -> anyhow::Result<ExitCode> {
    let dataset = Dataset::load(&args.dataset, &variables(args.variables, &args.dataset)?)?;
    let machine = asl::state_machine(&dataset, &args.queue_url)?;
    for note in dataset.notes() {
        eprintln!("note: {note}");
    }
    print_json(&machine)?;
    Ok(ExitCode::SUCCESS)
}
