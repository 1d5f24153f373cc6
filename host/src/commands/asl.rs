//! `gristmill asl`

use std::process::ExitCode;

use super::inputs::variables;
use super::output::print_json;
use crate::asl;
use crate::cli::AslArgs;
use crate::dataset::Dataset;

pub(super) fn run(args: AslArgs) -> anyhow::Result<ExitCode> {
    let stages = Dataset::load_stages(&args.dataset, &variables(args.variables, &args.dataset)?)?;
    let machine = asl::state_machine(&stages, &args.queue_url)?;
    for note in stages.iter().flat_map(Dataset::notes) {
        eprintln!("note: {note}");
    }
    print_json(&machine)?;
    Ok(ExitCode::SUCCESS)
}
