//! `gristmill plugin dev`: at every save, what changed in the rows.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bench::Bench;
use super::shown;
use crate::author::{Golden, Outcome, Sample, Sources};
use crate::cli::DevArgs;
use crate::commands::output::{print, report_error};
use crate::commands::signals::interrupts;
use crate::job::Digest;
use crate::rollout::compare::{Comparison, add_item, schema_changes};

/// How often the folder is looked at. A save is acted on when two looks in a row find the same, because editors write in steps.
const LOOK: Duration = Duration::from_millis(200);

/// What was run last.
struct Last {
    component: Digest,
    rest: Digest,
    sample: Arc<Sample>,
    outcomes: Vec<Outcome>,
}

pub(in crate::commands) async fn run(args: DevArgs) -> anyhow::Result<ExitCode> {
    let stop = interrupts();
    let bench = Bench::open(&args.folder, &args.compile, args.variables)?;
    print(format_args!("watching {}: save a file, and its sample runs; Ctrl-C ends this\n", bench.folder.display()))?;
    let (mut last, mut known): (Option<Last>, Option<Sources>) = (None, None);
    while let Some(sources) = settled(&bench, known.as_ref(), &stop).await? {
        let round = Box::pin(round(&bench, &sources, last.as_ref()));
        let done = tokio::select! {
            done = round => done,
            () = stop.cancelled() => break,
        };
        match done {
            Ok(Some(ran)) => last = Some(ran),
            Ok(None) => {}
            // What is broken is mended by the next save. Nothing was run, and nothing of before is shown.
            Err(error) => {
                report_error(&error);
                print("nothing was run: save a mended file\n")?;
            }
        }
        known = Some(sources);
    }
    print("\n")?;
    Ok(ExitCode::SUCCESS)
}

/// Waits until the folder is another one than before, and does not change any more. None when it is to end.
async fn settled(bench: &Bench, known: Option<&Sources>, stop: &CancellationToken) -> anyhow::Result<Option<Sources>> {
    let mut seen: Option<Sources> = None;
    loop {
        let sources = Sources::of(&bench.folder)?;
        if known.is_none() || (known != Some(&sources) && seen.as_ref() == Some(&sources)) {
            return Ok(Some(sources));
        }
        seen = Some(sources);
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// Builds, runs and compares. None if there was nothing to run.
async fn round(bench: &Bench, sources: &Sources, last: Option<&Last>) -> anyhow::Result<Option<Last>> {
    let built = bench.build().await?;
    if last.is_some_and(|last| last.component == built.digest && last.rest == sources.rest) {
        print("the component is the same: nothing to run\n")?;
        return Ok(None);
    }
    let sample = Arc::new(bench.load().await?);
    // What was opened is what was built: if somebody else put a component there, it is not shown as this save's.
    anyhow::ensure!(
        sample.loaded.plugin.digest == built.digest,
        "{} is another component than the one that was just built",
        built.component.display()
    );
    let outcomes = bench.run(&sample).await?;
    let before = last.map_or(&[][..], |last| &last.outcomes);
    let digest = &built.digest.to_string()[..19];
    print(format_args!("{}… {}\n{}", digest, shown::count(outcomes.len(), "item"), shown::items(&outcomes, before)))?;
    match last {
        Some(last) => print(differences(last, &sample, &outcomes))?,
        None => print(shown::preview(&sample.loaded.outputs, &outcomes)?)?,
    }
    let mut checked = sample.results(&outcomes);
    checked.extend(Golden::of(&bench.folder).check(&sample.loaded.outputs, &outcomes)?);
    print(shown::flaws(&checked))?;
    Ok(Some(Last { component: built.digest, rest: sources.rest, sample, outcomes }))
}

/// What differs from the run before.
fn differences(last: &Last, sample: &Sample, outcomes: &[Outcome]) -> String {
    let mut found = Comparison { schema: schema_changes(&last.sample.loaded, &sample.loaded), ..Comparison::default() };
    for outcome in outcomes {
        if let Some(was) = last.outcomes.iter().find(|was| was.item.body == outcome.item.body) {
            let (old, new) = (&last.sample.loaded.outputs[..], &sample.loaded.outputs[..]);
            add_item(&mut found, &outcome.item, (old, was.ran.clone()), (new, outcome.ran.clone()));
        }
    }
    if found.is_equal() { "  the same rows as before\n".into() } else { found.to_string() }
}
