//! A rollout with everything real but AWS: worker processes that follow a registry in S3 and share a ledger, versions that are published
//! and promoted by the binary, a process that dies in the middle of a swap, and a registry that is away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gristmill::job::Digest;
use gristmill::registry::Share;
use insta::assert_snapshot;
use serde_json::{Value, json};

use self::site::{Site, Worker, steady};
use crate::rig::PATIENCE;

mod site;

/// Emits the item as it is.
const COPIES: &str = "(call $emit «rows» (i32.const 0) (local.get $body) (local.get $body-len) $out)
    (if (i32.load8_u $out) (then (unreachable))) (i32.const 0)";
const TRAPS: &str = "(unreachable)";
const REJECTS: &str = "(call $reject «Bad» «it is bad»)";
const DOUBLES: &str = r#"(call $emit «rows» (i32.const 0) «{"pk":"a","n":2}» $out) (i32.const 0)"#;

const RUNS: [&str; 5] = ["run-1", "run-2", "run-3", "run-4", "run-5"];

#[tokio::test(flavor = "multi_thread")]
async fn versions_come_and_go_under_worker_processes_of_which_one_dies_while_the_registry_is_away() {
    let site = Site::new("rollout").await;
    let a = site.publish("0.1.0", COPIES, "");
    let b = site.publish("0.2.0", COPIES, "");
    // Its own sample finds it out: at a desk, and on every worker whoever got round the desk.
    let broken = site.plugin("0.3.0", TRAPS, "[sample]\nitems = [{ pk = \"a\", n = 1 }]");
    let refused = site.says(&["publish", broken.to_str().unwrap()]).unwrap_err();
    assert!(refused.contains("on item 0 of its own sample: Gristmill.Trap"), "{refused}");
    site.smuggle("0.3.0").await;
    site.says(&["promote", "copies", "0.1.0"]).unwrap();

    let workers = [site.worker("one").await, site.worker("two").await, site.worker("three").await];
    let all = |test: &dyn Fn(&Worker<'_>) -> bool| workers.iter().all(test);
    let done = |least: usize| {
        let answers = &site.answers;
        async move || answers.done() >= least
    };
    site.load(RUNS[0], done(60)).await;
    // Run 1 goes on while 0.2.0 comes; run 2 begins somewhere in between.
    site.says(&["promote", "copies", "0.2.0"]).unwrap();
    site.load(RUNS[0], done(90)).await;
    site.load(RUNS[1], async || all(&|worker| worker.uses("0.2.0"))).await;

    site.says(&["promote", "copies", "0.3.0"]).unwrap();
    let refuses = |worker: &Worker<'_>| worker.has_said("this version is not taken into use", &[("version", "0.3.0")]);
    site.load(RUNS[2], async || all(&refuses)).await;
    assert_snapshot!(steady(&site.says(&["status"]).unwrap()), @"
    copies
      stable   0.3.0  sha256:DIGEST  since head 3
      before   0.2.0  sha256:DIGEST  since head 2
      REFUSED  0.3.0, by workers at some time; they went on with what they had:
               on item 0 of its own sample: Gristmill.Trap: the plugin trapped: wasm trap: wasm `unreachable` instruction executed
               error while executing at wasm backtrace:
                   0:    0x25b - Main!<wasm function 8>
               Caused by:
                   wasm trap: wasm `unreachable` instruction executed
    head 3: promote copies 0.3.0, by SOMEBODY, THEN
    ");

    // One that starts now takes what was in use before 0.3.0, and dies with its hand on 0.1.0.
    let dying = site.worker("dying").await;
    assert!(refuses(&dying) && dying.uses("0.2.0"));
    dying.dies_at(&a);
    workers.iter().for_each(|worker| worker.cut_off(true));
    site.says(&["promote", "copies", "0.1.0", "--downgrade"]).unwrap();
    site.load(RUNS[3], async || !dying.runs()).await;
    let away = |worker: &Worker<'_>| worker.has_said("the registry cannot be followed", &[]);
    site.load(RUNS[3], async || all(&away)).await;
    workers.iter().for_each(|worker| worker.cut_off(false));
    let is_back = |worker: &Worker<'_>| worker.metrics(&["gristmill_registry_head"]).ends_with(" 4\n");
    site.load(RUNS[4], async || all(&is_back)).await;
    let before = site.answers.done();
    site.load(RUNS[4], done(before + 60)).await;

    let told = site.answers.all();
    let (mut by_run, mut unpinned) = (BTreeMap::<&str, BTreeSet<Digest>>::new(), BTreeSet::new());
    for (number, batch) in told.iter().enumerate() {
        // Whoever took a batch over may answer again: the same.
        let releases: BTreeSet<Digest> = batch.said.iter().map(|said| said.clone().unwrap()).collect();
        assert_eq!(releases.len(), 1, "batch {number}");
        match &batch.run {
            Some(run) => by_run.entry(run).or_default().extend(releases),
            None => unpinned.extend(releases),
        }
    }
    assert_eq!(unpinned, BTreeSet::from([a, b]));
    assert_eq!(by_run.keys().copied().collect::<Vec<_>>(), RUNS);
    assert!(by_run.values().all(|releases| releases.len() == 1), "{by_run:#?}");
    assert_eq!([RUNS[0], RUNS[2], RUNS[3]].map(|run| by_run[run].first().unwrap()), [&a, &b, &b]);
    assert!(told.len() > 300, "{} batches", told.len());
    // Each left its row, and nobody's batch was set aside.
    let rows = site.rig.rows().await;
    assert_eq!(
        rows.values().map(|n| usize::try_from(*n).unwrap()).collect::<Vec<_>>(),
        (0..told.len()).collect::<Vec<_>>()
    );
    assert_eq!((site.rig.messages().await, site.rig.dead_letters().await), (0, 0));

    let lines = site.rig.lines("one");
    let of_versions = lines.iter().filter(|line| ["batch", "starting"].iter().all(|other| line["message"] != **other));
    assert_snapshot!(of_versions.map(readable).collect::<String>(), @r#"
    INFO this version is in use now dataset="copies" version="0.1.0"
    INFO ready
    INFO the registry has changed head=2 change="promote copies 0.2.0"
    INFO this version is in use now dataset="copies" version="0.2.0"
    INFO the registry has changed head=3 change="promote copies 0.3.0"
    ERROR this version is not taken into use: copies 0.3.0: on item 0 of its own sample: Gristmill.Trap: the plugin trapped: wasm trap: wasm `unreachable` instruction executed error while executing at wasm backtrace: 0: 0x25b - Main!<wasm function 8> Caused by: wasm trap: wasm `unreachable` instruction executed dataset="copies" version="0.3.0"
    WARN the registry cannot be followed; what is in use stays in use
    INFO the registry has changed head=4 change="promote copies 0.1.0"
    INFO this version is in use now dataset="copies" version="0.1.0"
    INFO the registry can be followed again
    "#);
    assert_snapshot!(workers[0].metrics(&["gristmill_version{", "gristmill_versions_refused", "gristmill_registry"]), @r#"
    gristmill_registry_answers 1
    gristmill_registry_head 4
    gristmill_version{dataset="copies",version="0.1.0"} 1
    gristmill_versions_refused_total{dataset="copies"} 1
    "#);
}

/// A line of a log, without what differs from run to run.
fn readable(line: &Value) -> String {
    let mut text = format!("{} {}", line["level"].as_str().unwrap(), line["message"].as_str().unwrap());
    for name in ["dataset", "version", "head", "change", "why"] {
        if !line[name].is_null() {
            text += &format!(" {name}={}", line[name]);
        }
    }
    steady(&text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_canary_is_judged_by_the_counts_of_all_workers_and_rolled_back() {
    const OF_THE_CANARY: usize = 40;
    let site = Site::of_survivors("rollout-canary").await;
    let keys = format!("[release.canary]\nmin_items = {OF_THE_CANARY}\npromote_after = \"1h\"");
    let stable = site.publish("0.1.0", COPIES, &keys);
    let canary = site.publish("0.2.0", REJECTS, "");
    site.says(&["promote", "copies", "0.1.0"]).unwrap();
    let workers = [site.worker("one").await, site.worker("two").await];
    site.says(&["promote", "copies", "0.2.0", "--canary", "50%"]).unwrap();
    for worker in &workers {
        worker.reaches(2).await;
    }
    // As many as it takes until the canary had as many items as it needs to be judged, and no more: half of them by each worker.
    let share: Share = "50%".parse().unwrap();
    let (mut expected, mut taken) = (Vec::new(), 0);
    for (number, other) in workers.iter().rev().enumerate() {
        let idle = other.takes_nothing().await;
        while taken < OF_THE_CANARY / 2 * (number + 1) {
            let is_canary = share.takes(&canary, &site.send(None).await);
            taken += usize::from(is_canary);
            expected.push(is_canary);
        }
        site.answered().await;
        drop(idle);
    }
    let said: Vec<_> = site.answers.all().into_iter().map(|told| told.said[0].clone()).collect();
    for (said, is_canary) in said.iter().zip(&expected) {
        match said {
            Ok(release) => assert!(!is_canary && *release == stable),
            Err(why) => assert!(*is_canary && why.contains("Bad"), "{why}"),
        }
    }
    // Neither had enough of them to say anything by itself.
    for worker in &workers {
        // A batch is answered before it has its line.
        let is_canary = |line: &&Value| line["version"] == "0.2.0";
        let start = Instant::now();
        while site.rig.batches(worker.name).iter().filter(is_canary).count() < OF_THE_CANARY / 2 {
            assert!(start.elapsed() < PATIENCE, "{}: {:#?}", worker.name, site.rig.batches(worker.name));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(
            site.rig.batches(worker.name).iter().filter(is_canary).count(),
            OF_THE_CANARY / 2,
            "{}",
            worker.name
        );
    }
    let verdict =
        format!("the canary of copies was rolled back: 100.00 % of its {OF_THE_CANARY} items failed, 0.00 % of");
    for worker in &workers {
        worker.said("the registry has changed", &[("change", &verdict)]).await;
        worker.reaches(3).await;
    }
    let status = site.says(&["status"]).unwrap();
    assert!(status.contains(&format!("\nhead 3: {verdict}")) && !status.contains("canary   0.2.0"), "{status}");
    let before = said.len();
    for _ in 0..20 {
        site.send(None).await;
    }
    site.answered().await;
    assert!(site.answers.all()[before..].iter().all(|told| told.said == [Ok(stable)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_what_a_shadow_would_have_changed() {
    let site = Site::of_survivors("rollout-shadow").await;
    let stable = site.publish("0.1.0", COPIES, "");
    site.publish("0.2.0", DOUBLES, "");
    site.says(&["promote", "copies", "0.1.0"]).unwrap();
    let worker = site.worker("one").await;
    site.says(&["promote", "copies", "0.2.0", "--shadow", "100%"]).unwrap();
    worker.reaches(2).await;
    // A worker reports after 1, 3 and 9 items, and what is left when it ends.
    for _ in 0..9 {
        site.send_row(None, &json!({"pk": "a", "n": 1})).await;
    }
    site.answered().await;
    let status = || site.says(&["status", "copies"]).unwrap();
    let start = Instant::now();
    while !status().contains("items      9:") {
        assert!(start.elapsed() < PATIENCE, "{}", status());
    }
    let measured = |line: &&str| !["  time ", "  memory "].iter().any(|measured| line.contains(measured));
    let status = status();
    let lines: Vec<&str> = status.lines().filter(measured).collect();
    assert_eq!(status.lines().count() - lines.len(), 2, "{status}");
    assert_snapshot!(steady(&lines.join("\n")), @r#"
    copies
      stable   0.1.0  sha256:DIGEST  since head 1
      shadow   0.2.0  sha256:DIGEST  since head 2, 100% of the batches
                 items      9: 0 the same, 9 changed
                 rows       rows: 0 the same, 9 changed, 0 added, 0 removed
                 item 0
                   rows: pk = "a": n: 1 → 2
                   rows: pk = "a": n: 1 → 2
                   rows: pk = "a": n: 1 → 2
                   rows: pk = "a": n: 1 → 2
                   rows: pk = "a": n: 1 → 2
                   rows: pk = "a": n: 1 → 2
                   rows: pk = "a": n: 1 → 2
                   rows: pk = "a": n: 1 → 2
                   rows: pk = "a": n: 1 → 2
    head 2: promote copies 0.2.0 --shadow 100%, by SOMEBODY, THEN
    "#);
    // Nothing of it was written, and nobody was told of it.
    assert_eq!(site.rig.rows().await, BTreeMap::from([("a".to_owned(), 1)]));
    assert!(site.answers.all().iter().all(|told| told.said == [Ok(stable)]));
    worker.end().await;
}
