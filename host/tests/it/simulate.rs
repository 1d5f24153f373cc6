//! `gristmill simulate` with the template that is deployed, and with the log of a run.

use std::fs;

use insta::assert_snapshot;
use serde_json::Value;

use crate::laptop::{Laptop, Said};
use crate::support::project;

fn simulate(laptop: &Laptop, args: &[&str]) -> Said {
    let policy = project("deploy/scaling.yaml");
    laptop.run(&[&["simulate", "--policy", policy.to_str().unwrap()], args].concat())
}

/// Loads of every size: nothing times out, no policies fight, and the fleet is asleep at the end.
#[test]
fn the_policy_that_is_deployed_is_sound() {
    let laptop = Laptop::new();
    for items in ["1", "100", "5000", "300000"] {
        for batch in ["1", "30", "lognormal:60,2", "900"] {
            let said = simulate(&laptop, &["--items", items, "--batch-seconds", batch, "--json"]);
            assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{items} {batch}: {}", said.out);
            let outcome: Value = serde_json::from_str(&said.out).unwrap();
            let numbers = ["timeouts", "failed", "given_back", "turns"].map(|name| outcome[name].as_u64());
            assert_eq!(numbers, [Some(0); 4], "{items} {batch}: {}", said.out);
            // Metrics of SQS are a minute late, an alarm takes another one, and a task 45 s.
            assert!(outcome["first_batch"].as_f64().unwrap() < 240.0, "{}", said.out);
        }
    }
}

/// The same template, but asleep means that nothing is in flight, and awake that something waits: from zero both are so.
#[test]
fn a_policy_that_fights_with_itself_is_seen() {
    let laptop = Laptop::new();
    let mut text = fs::read_to_string(project("deploy/scaling.yaml")).unwrap();
    for (from, to) in [("visible + busy\n", "busy\n"), ("IF(busy < 1, visible, 0)", "visible")] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let policy = laptop.write("fight.yaml", &text);
    let said = laptop.run(&["simulate", "--policy", policy.to_str().unwrap(), "--items", "500", "--json"]);
    let outcome: Value = serde_json::from_str(&said.out).unwrap();
    assert!(outcome["turns"].as_u64().unwrap() > 0, "{}", said.out);
}

#[test]
fn a_run_is_drawn_and_searched() {
    let laptop = Laptop::new();
    let picture = laptop.root().join("run.svg");
    let said = simulate(&laptop, &["--items", "20000", "--svg", picture.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(fs::read_to_string(&picture).unwrap().starts_with("<svg "));
    let said = simulate(&laptop, &["--items", "20000", "--search", "--json"]);
    let tried: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    assert_eq!(tried.iter().filter(|tried| tried["best"] == true).count(), 1, "{}", said.out);
    let said = simulate(&laptop, &["--items", "20000", "--search", "--within", "1s"]);
    assert_eq!(said.code, Some(1), "no target is that fast");
}

/// The times of a real run's batches are those that are simulated.
#[test]
fn a_runs_log_is_a_load() {
    let laptop = Laptop::with_stations([("A", 1), ("B", 2), ("C", 3), ("D", 4), ("E", 5)]);
    let lines = ["--log", "gristmill::telemetry::line=info", "--log-format", "json"];
    let run = laptop.map(&laptop.every_station(2), &lines);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let log = laptop.write("log.jsonl", &run.err);
    let said = laptop.run(&["simulate", "--tasks", "1", "--measured", log.to_str().unwrap(), "--json"]);
    let outcome: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{} {}", said.err, run.err));
    assert_eq!(outcome["batches"], 3, "{}", said.out);
}

#[test]
fn what_makes_no_sense_is_one_clear_error() {
    let laptop = Laptop::new();
    let refused = |args: &[&str]| {
        let said = laptop.run(&[&["simulate"], args].concat());
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{args:?} {}", said.err);
        said.err.lines().next().unwrap_or_default().to_owned()
    };
    let [policy, log, large] = [
        ("p.yaml", "Resources: [1"),
        ("log", "2026-11-20T07:09:37Z  INFO starting"),
        ("large.yaml", &"#\n".repeat(600_000)),
    ]
    .map(|(name, text)| laptop.write(name, text).to_str().unwrap().to_owned());
    let deployed = project("deploy/scaling.yaml").to_str().unwrap().to_owned();
    let with = |parameter: &str| refused(&["--policy", &deployed, "--parameter", parameter]);
    assert_snapshot!(
        [
            refused(&["--policy", &policy]),
            refused(&["--policy", &large]),
            refused(&["--policy", "/nowhere.yaml"]),
            with("MaxTasks=0"),
            with("Tasks=1"),
            with("MaxTasks"),
            refused(&["--tasks", "1", "--measured", &log]),
            refused(&["--tasks", "1", "--batch-seconds", "never"]),
            refused(&["--tasks", "1", "--items", "99999999999", "--items-per-batch", "1"]),
            refused(&["--tasks", "1", "--search"]),
            refused(&["--tasks", "0"]),
        ]
        .join("\n")
        .replace(&deployed, "deploy/scaling.yaml"),
        @r#"
    error: LAPTOP/p.yaml: it is no YAML: while parsing a flow sequence, expected ',' or ']' at byte 13 line 2 column 1
    error: LAPTOP/large.yaml: it has more than 1000000 bytes
    error: /nowhere.yaml: No such file or directory (os error 2)
    error: deploy/scaling.yaml: parameter `MaxTasks`: 0 is out of range (MinValue 1)
    error: deploy/scaling.yaml: the template has no parameter `Tasks`; it has: BatchesPerTask, Fleet, MaxTasks, MinTasks, WakeTasks
    error: invalid value 'MaxTasks' for '--parameter <NAME=VALUE>': expected NAME=VALUE
    error: LAPTOP/log: no line of it is that of a batch which a worker answered; expected is a worker's log with `--log-format json`, and its first line is `2026-11-20T07:09:37Z  INFO starting`
    error: invalid value 'never' for '--batch-seconds <TIME>': `never` is no time of a batch: a number of seconds above 0, up to 43200 (12 hours)
    error: 99999999999 batches are more than the 20000000 that can be simulated: give them more items (`--items-per-batch`)
    error: --search: the template has no target tracking policy, or no run came to its end
    error: invalid value '0' for '--tasks <N>': 0 is not in 1..=100000
    "#);
}
