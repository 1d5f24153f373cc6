//! `gristmill check`: everything that can be known before running, all at once.

use std::process::ExitCode;

use tokio::runtime::Handle;

use crate::catalog::Loaded;
use crate::cli::CheckArgs;
use crate::dataset::Dataset;
use crate::runtime::{Runtime, RuntimeConfig};

pub(super) async fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let dataset = match Dataset::load(&args.dataset, &args.variables.variables()) {
        Ok(dataset) => dataset,
        Err(findings) => {
            super::say(format!("{findings}\n"))?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let runtime = Runtime::new(&RuntimeConfig { slots: 1, cache: args.cache, io: Handle::current() })?;
    match super::patiently(&dataset.plugin.component, Loaded::examine(&dataset, &runtime)).await {
        Ok((plugin, outputs)) => {
            let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
            super::say(format!(
                "{}: dataset {} with {} {} ({}): nothing to complain about; outputs: {}\n",
                args.dataset.display(),
                dataset.name,
                plugin.manifest.name,
                plugin.manifest.version,
                plugin.digest,
                names.join(", ")
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            super::say(format!("{error}\n"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}
