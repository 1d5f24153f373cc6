//! `gristmill plugin new`: from nothing to rows.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use super::bench::Bench;
use super::build::said;
use super::shown;
use crate::author::{Golden, Language, Plugin};
use crate::cli::{NewArgs, SetArgs};
use crate::commands::output::print;

pub(in crate::commands) async fn run(args: NewArgs) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let NewArgs { folder, lang, from, sdk, no_run, compile } = args;
    let plugin = Plugin { folder: folder.clone(), language: lang, from, sdk };
    let name = plugin.name()?.to_owned();
    plugin.make()?;
    let at = folder.display();
    let (code, sdk) = match lang {
        Language::Rust => ("src/lib.rs", "Cargo.toml"),
        Language::Python => ("app.py", "pyproject.toml"),
    };
    let whose = match &plugin.sdk {
        Some(given) => format!("{} ({sdk} names it)", given.display()),
        None => format!("this gristmill's own, in {at}/.gristmill ({sdk} names it)"),
    };
    print(format_args!(
        "{at}/ is made\n  {code:<13} is the plugin: replace its logic by yours\n  dataset.toml  says what it reads and where \
         rows go\n  sample/, golden/  are three objects and their rows\n  its SDK is {whose}\n"
    ))?;
    if no_run {
        return Ok(ExitCode::SUCCESS);
    }
    print("building it: the first time takes longer\n")?;
    let bench = Bench::open(&folder, &compile, SetArgs { set: Vec::new() })?;
    let built = bench.build().await?;
    let sample = Arc::new(bench.load().await?);
    let outcomes = bench.run(&sample).await?;
    let mut checked = sample.results(&outcomes);
    checked.extend(Golden::of(&folder).check(&sample.loaded.outputs, &outcomes)?);
    let rows: usize = outcomes.iter().map(shown::rows).sum();
    print(format_args!(
        "{}\nnext: gristmill plugin test {at}; gristmill plugin dev {at}\n\n{}{}",
        said(&built),
        shown::items(&outcomes, &[]),
        shown::preview(&sample.loaded.outputs, &outcomes)?
    ))?;
    let flaws = shown::flaws(&checked);
    if !flaws.is_empty() {
        print(format_args!("{flaws}{name} does not work\n"))?;
        return Ok(ExitCode::FAILURE);
    }
    let (items, rows) = (shown::count(outcomes.len(), "item"), shown::count(rows, "row"));
    print(format_args!("{name} works: {items} gave {rows} ({:.1} s from nothing)\n", began.elapsed().as_secs_f64()))?;
    Ok(ExitCode::SUCCESS)
}
