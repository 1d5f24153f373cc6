//! `gristmill simulate`

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::inputs::MAX_GIVEN;
use super::output::{print, print_json};
use crate::cli::{Processor, SimulateArgs};
use crate::files;
use crate::simulate::{
    AS_OF, Architecture, Arrivals, BatchTime, Fleet, Load, Outcome, Policy, Prices, Quotas, Rate, Scenario, Tried,
    measured, policy, search, simulate, svg,
};
use crate::text::line;

/// The largest template that CloudFormation takes from S3, in bytes.
const MAX_TEMPLATE: u64 = 1_000_000;
/// More batches than this take minutes and gigabytes.
const MAX_BATCHES: u64 = 20_000_000;

pub(super) fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let scenario = scenario(args)?;
    if args.search {
        return searched(args, &scenario);
    }
    let outcome = simulate(&scenario);
    if let Some(file) = &args.svg {
        let heading = [headline(&scenario), below(&outcome)];
        let picture = svg(&outcome, scenario.fleet.slots, [&heading[0], &heading[1]]);
        std::fs::write(file, picture).with_context(|| file.display().to_string())?;
    }
    if args.json {
        print_json(&outcome)?;
    } else {
        print(format_args!("{}\n{}", headline(&scenario), summary(&outcome)))?;
    }
    Ok(if outcome.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn searched(args: &SimulateArgs, scenario: &Scenario) -> anyhow::Result<ExitCode> {
    let tried = search(scenario, args.within.map(|within| within.as_secs_f64()));
    let tried = tried.context("--search: the template has no target tracking policy, or no run came to its end")?;
    if args.json {
        let tried = tried
            .iter()
            .map(|Tried { target, outcome, is_best }| json!({"target": target, "best": is_best, "outcome": outcome}));
        print_json(&tried.collect::<Vec<_>>())?;
    } else {
        print(format_args!(
            "{}\n  target  drained       longest wait  tasks   dollars  time-outs\n",
            headline(scenario)
        ))?;
        for Tried { target, outcome, is_best } in &tried {
            let drained = outcome.drained.map_or_else(|| "not".into(), time);
            let (wait, best) = (time(outcome.longest_wait), if *is_best { "  best" } else { "" });
            let Outcome { peak_tasks, timeouts, .. } = outcome;
            let dollars = outcome.dollars();
            print(format_args!(
                "  {target:<6}  {drained:<12}  {wait:<12}  {peak_tasks:<6}  {dollars:<7.2}  {timeouts}{best}\n"
            ))?;
        }
    }
    Ok(if tried.iter().any(|tried| tried.is_best) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn scenario(args: &SimulateArgs) -> anyhow::Result<Scenario> {
    let policy = match (&args.policy, args.tasks) {
        (Some(file), _) => {
            let given: BTreeMap<_, _> = args.parameters.iter().cloned().collect();
            let text = read(file, MAX_TEMPLATE)?;
            policy(&text, &given).map_err(anyhow::Error::new).with_context(|| shown(file))?
        }
        (None, tasks) => Policy::fixed(tasks.unwrap_or(1)),
    };
    let seconds = |duration: &std::time::Duration| duration.as_secs_f64();
    let (batches, items_per_batch, batch_time) = match &args.measured {
        Some(file) => {
            let measured =
                measured(&read(file, MAX_GIVEN)?).map_err(anyhow::Error::msg).with_context(|| shown(file))?;
            let batches = measured.seconds.len() as u64;
            (batches, (measured.items / batches).clamp(1, 1_000_000) as u32, BatchTime::Measured(measured.seconds))
        }
        None => {
            let batches = args.items.div_ceil(u64::from(args.items_per_batch));
            (batches, args.items_per_batch, args.batch_seconds.clone())
        }
    };
    anyhow::ensure!(
        batches <= MAX_BATCHES,
        "{batches} batches are more than the {MAX_BATCHES} that can be simulated: give them more items (`--items-per-batch`)"
    );
    anyhow::ensure!(!args.heartbeat.is_zero(), "--heartbeat: it has to be longer than nothing");
    Ok(Scenario {
        load: Load {
            batches: batches as u32,
            items_per_batch,
            arrivals: match args.arrivals {
                Some(per_second) => Arrivals::Poisson { per_second },
                None => Arrivals::Map { max_concurrency: args.max_concurrency },
            },
            time: batch_time,
            heartbeat: seconds(&args.heartbeat),
            retries: args.retries,
        },
        fleet: Fleet {
            slots: args.slots,
            start: seconds(&args.task_start),
            launches: Rate { burst: args.launch_burst, per_second: args.launch_rate },
            drain: seconds(&args.drain),
            spot: args.spot,
            spot_loss: args.spot_loss,
        },
        policy,
        wake: args.wake,
        quotas: Quotas {
            starts: Rate { burst: 1_300.0, per_second: args.start_rate },
            answers: Rate { burst: 3_000.0, per_second: args.answer_rate },
        },
        sqs_lag: seconds(&args.queue_lag),
        ecs_lag: seconds(&args.task_lag),
        prices: Prices {
            architecture: match args.architecture {
                Processor::Arm64 => Architecture::Arm64,
                Processor::X86_64 => Architecture::X86_64,
            },
            cpus: args.cpus,
            memory: args.memory_gb,
        },
        seed: args.seed,
    })
}

fn read(file: &Path, max: u64) -> anyhow::Result<String> {
    files::read_given_text(file, max).with_context(|| shown(file))
}

fn shown(file: &Path) -> String {
    line(&file.display().to_string()).into_owned()
}

fn headline(scenario: &Scenario) -> String {
    let Scenario { load, fleet, policy, .. } = scenario;
    let items = grouped(u64::from(load.batches) * u64::from(load.items_per_batch));
    let (batches, slots, mean) = (grouped(load.batches.into()), fleet.slots, time(load.time.mean()));
    let tasks =
        if policy.min == policy.max { policy.max.to_string() } else { format!("{} to {}", policy.min, policy.max) };
    format!("{items} items in {batches} batches of {mean}, on {tasks} tasks with {slots} slots")
}

fn below(outcome: &Outcome) -> String {
    let drained =
        outcome.drained.map_or_else(|| "not drained".into(), |drained| format!("drained after {}", time(drained)));
    let (wait, dollars) = (time(outcome.longest_wait), outcome.dollars());
    format!(
        "{drained}, longest wait {wait}, {} tasks at most, ${dollars:.2}, {} time-outs",
        outcome.peak_tasks, outcome.timeouts
    )
}

fn summary(outcome: &Outcome) -> String {
    let mut rows = vec![
        (
            "first batch",
            outcome.first_batch.map_or_else(|| "never taken".into(), |first| format!("after {}", time(first))),
        ),
        (
            "drained",
            outcome.drained.map_or_else(
                || "not within two weeks, or nothing moved for a day".into(),
                |drained| format!("after {}", time(drained)),
            ),
        ),
        ("waits", format!("{} at most, {} on average", time(outcome.longest_wait), time(outcome.mean_wait))),
        (
            "time-outs",
            format!("{}, {} sent again, {} batches failed", outcome.timeouts, outcome.duplicates, outcome.failed),
        ),
        ("tasks", format!("{} at most, {} launched", outcome.peak_tasks, outcome.launched)),
        (
            "capacity",
            format!(
                "changed {} times, grew again after shrinking {} times while there was work",
                outcome.scalings, outcome.turns
            ),
        ),
    ];
    if outcome.protection_refused + outcome.given_back + outcome.spot_lost > 0 {
        let Outcome { protection_refused, given_back, spot_lost, .. } = outcome;
        let text = format!(
            "{protection_refused} protections refused, {given_back} batches given back, {spot_lost} tasks lost on Spot"
        );
        rows.push(("trouble", text));
    }
    let (paid, busy) = (outcome.paid_task_seconds, outcome.busy_task_seconds);
    let share = if paid > 0.0 { busy / paid * 100.0 } else { 0.0 };
    rows.push(("task-seconds", format!("{} paid, {} busy ({share:.0} %)", grouped(paid as u64), grouped(busy as u64))));
    let (tasks, transitions, dollars) = (outcome.task_dollars, outcome.transition_dollars, outcome.dollars());
    rows.push((
        "dollars",
        format!("{dollars:.2}: Fargate {tasks:.2}, transitions {transitions:.2} (prices of {AS_OF})"),
    ));
    rows.iter().map(|(name, text)| format!("  {name:<12}  {text}\n")).collect()
}

/// A time in its two largest units.
fn time(seconds: f64) -> String {
    match seconds {
        _ if seconds < 10.0 => format!("{seconds:.2} s"),
        _ if seconds < 120.0 => format!("{seconds:.0} s"),
        _ if seconds < 7_200.0 => format!("{:.0} min {:02.0} s", (seconds / 60.0).floor(), (seconds % 60.0).floor()),
        _ => format!("{:.0} h {:02.0} min", (seconds / 3600.0).floor(), (seconds % 3600.0 / 60.0).floor()),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group)).collect();
    groups.join(",")
}
