//! `gristmill check`: everything that can be known before running, all at once.

use std::process::ExitCode;

use super::compiler::{runtime_here, with_notice};
use super::inputs::{connections, variables};
use super::output::print;
use crate::account;
use crate::aws;
use crate::catalog::DatasetVersion;
use crate::cli::CheckArgs;
use crate::database::Connections;
use crate::dataset::{self, Dataset, Finding, Findings};
use crate::files;
use crate::text::line;

pub(super) async fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let variables = variables(args.variables, &args.dataset)?;
    let (stages, findings) = Dataset::load_in_part(&args.dataset, &variables);
    let mut is_fine = findings.is_empty();
    // What the file's own text says comes before the component, which may take long to compile.
    print_findings(findings)?;
    let databases = match &args.connections.connections {
        Some(_) => connections(&args.connections, None)?,
        None => Connections::unasked(),
    };
    let runtime = runtime_here(1, &args.compile)?;
    let mut fitting = Vec::new();
    for dataset in &stages {
        match with_notice(&dataset.plugin.component, DatasetVersion::examine(dataset, &runtime, &databases)).await {
            Ok((plugin, outputs)) if is_fine => fitting.push((dataset, plugin, outputs)),
            Ok(_) => {}
            Err(more) => {
                is_fine = false;
                print_findings(more.0)?;
            }
        }
    }
    if !is_fine {
        return Ok(ExitCode::FAILURE);
    }
    for (dataset, plugin, outputs) in fitting {
        let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
        print(format_args!(
            "{}: dataset {} with {} {} ({}): nothing to complain about; outputs: {}\n",
            line(&dataset.file.display().to_string()),
            dataset.name,
            line(&plugin.manifest.name),
            line(&plugin.manifest.version),
            plugin.digest,
            names.join(", ")
        ))?;
        let mut warnings = dataset::check::warnings(dataset, &plugin.imports);
        let text = files::read_text(&dataset.file, dataset::MAX_FILE).unwrap_or_default();
        dataset::locate(&mut warnings, &text);
        for warning in warnings {
            print(format_args!("warning: {warning}\n"))?;
        }
        for note in dataset.notes() {
            print(format_args!("    note: {note}\n"))?;
        }
        // What is wrong in the file comes first: no account could be right for it.
        if args.cloud {
            let config = aws::load().await;
            anyhow::ensure!(config.region().is_some(), "no AWS region is known: set AWS_REGION or AWS_PROFILE");
            let asked = account::ask(&config, dataset, &outputs, &args.queues, args.ledger.as_deref()).await;
            for asked in asked {
                is_fine &= !asked.is_problem();
                print(format_args!("{}\n", line(&asked.to_string())))?;
            }
        }
    }
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_findings(mut findings: Vec<Finding>) -> anyhow::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    findings.sort_by_key(|finding| finding.position);
    print(format_args!("{}\n", Findings(findings)))
}
