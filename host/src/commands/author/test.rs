//! `gristmill plugin test`: the sample as production would run it, and as it would at a bad moment.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

use super::bench::Bench;
use super::shown;
use crate::author::{Checked, Golden, junit};
use crate::cli::TestArgs;
use crate::commands::output::print;

pub(in crate::commands) async fn run(args: TestArgs) -> anyhow::Result<ExitCode> {
    let bench = Bench::open(&args.folder, &args.compile, args.variables)?;
    if !args.no_build {
        bench.build().await?;
    }
    let sample = Arc::new(bench.load().await?);
    let (name, outputs) = (sample.loaded.dataset.name.clone(), sample.loaded.outputs.clone());
    let outcomes = Arc::new(bench.run(&sample).await?);
    print(format_args!(
        "{name}: {} of its sample\n{}",
        shown::count(outcomes.len(), "item"),
        shown::items(&outcomes, &[])
    ))?;
    let mut checked = sample.results(&outcomes);
    let golden = Golden::of(&bench.folder);
    if args.bless {
        anyhow::ensure!(
            outcomes.iter().all(|outcome| outcome.ran.result.is_ok()),
            "nothing is kept: an item has no result\n{}",
            shown::flaws(&checked)
        );
        let changed = golden.bless(&outputs, &outcomes)?;
        let files: Vec<_> = changed.iter().map(|file| file.display().to_string()).collect();
        let said = if files.is_empty() { "nothing: they are the same".into() } else { files.join(", ") };
        print(format_args!("  kept    {said}\n"))?;
    }
    checked.extend(golden.check(&outputs, &outcomes)?);
    let (again, ran) = (sample.clone(), outcomes.clone());
    checked.extend(bench.on_guests(async move { again.again(&ran).await }).await?);
    let (faulty, ran) = (sample.clone(), outcomes.clone());
    let (answers, answered) = bench.on_guests(async move { faulty.under_faults(&ran, &args.accept).await }).await?;
    checked.extend(answered);
    let answers = answers.to_string();
    if !answers.is_empty() {
        print(format_args!("  what it answers when an object is\n{answers}"))?;
    }
    if let Some(file) = &args.junit {
        std::fs::write(file, junit(&name, &checked)?).with_context(|| file.display().to_string())?;
    }
    verdict(&name, &checked)
}

fn verdict(name: &str, checked: &[Checked]) -> anyhow::Result<ExitCode> {
    let wrong = checked.iter().filter(|checked| checked.flaw.is_some()).count();
    let all = shown::count(checked.len(), "check");
    if wrong == 0 {
        print(format_args!("{name}: {all}, nothing to complain about\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(format_args!("{}{name}: {wrong} of {all} failed\n", shown::flaws(checked)))?;
    Ok(ExitCode::FAILURE)
}
