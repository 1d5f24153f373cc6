//! `gristmill check`: everything that can be known before running, all at once.

use std::process::ExitCode;

use tokio::runtime::Handle;

use crate::catalog::Loaded;
use crate::cli::CheckArgs;
use crate::dataset::{self, Dataset, Findings};
use crate::files;
use crate::runtime::{Runtime, RuntimeConfig};
use crate::text::line;

pub(super) async fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let variables = super::variables(args.variables, &args.dataset)?;
    let (dataset, mut findings) = Dataset::load_in_part(&args.dataset, &variables);
    let mut fits = String::new();
    if let Some(dataset) = dataset {
        let runtime = Runtime::new(&RuntimeConfig { slots: 1, cache: args.cache, io: Handle::current() })?;
        match super::patiently(&dataset.plugin.component, Loaded::examine(&dataset, &runtime)).await {
            Ok((plugin, outputs)) => {
                let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
                fits = format!(
                    "{}: dataset {} with {} {} ({}): nothing to complain about; outputs: {}",
                    line(&dataset.file.display().to_string()),
                    dataset.name,
                    line(&plugin.manifest.name),
                    line(&plugin.manifest.version),
                    plugin.digest,
                    names.join(", ")
                );
                let mut warnings = dataset::check::warnings(&dataset);
                let text = files::read_text(&dataset.file, dataset::MAX_FILE).unwrap_or_default();
                dataset::locate(&mut warnings, &text);
                fits.extend(warnings.iter().map(|warning| format!("\nwarning: {warning}")));
            }
            Err(more) => findings.extend(more.0),
        }
    }
    if findings.is_empty() {
        super::say(fits + "\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    findings.sort_by_key(|finding| finding.position);
    super::say(format!("{}\n", Findings(findings)))?;
    Ok(ExitCode::FAILURE)
}
