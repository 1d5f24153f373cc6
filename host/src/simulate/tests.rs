use std::collections::BTreeMap;
use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn scenario(policy: Policy) -> Scenario {
    Scenario {
        load: Load {
            batches: 2_000,
            items_per_batch: 100,
            arrivals: Arrivals::Map { max_concurrency: 1_000 },
            time: BatchTime::Fixed(30.0),
            heartbeat: 43_200.0,
            retries: 3,
        },
        fleet: Fleet {
            slots: 2,
            start: 45.0,
            launches: Rate { burst: 100.0, per_second: 20.0 },
            drain: 115.0,
            spot: 0.0,
            spot_loss: 0.0,
        },
        policy,
        wake: 0,
        quotas: Quotas {
            starts: Rate { burst: 1_300.0, per_second: 300.0 },
            answers: Rate { burst: 3_000.0, per_second: 500.0 },
        },
        sqs_lag: 60.0,
        ecs_lag: 60.0,
        prices: Prices { architecture: Architecture::Arm64, cpus: 2.0, memory: 4.0 },
        seed: 1,
    }
}

/// The wait in the queue of an M/M/c by Erlang's formula.
fn erlang_wait(per_second: f64, mean: f64, servers: u32) -> f64 {
    let load = per_second * mean;
    // Erlang B by its recursion, and C from B.
    let b = (1..=servers).fold(1.0, |b, n| load * b / (f64::from(n) + load * b));
    let used = load / f64::from(servers);
    let c = b / (1.0 - used + used * b);
    c * mean / (f64::from(servers) * (1.0 - used))
}

#[test]
fn a_fixed_fleet_is_an_m_m_c() {
    // Known values: one server at 80 % waits 4 service times, and Erlang's C(10, 8) is 0.409.
    assert!((erlang_wait(0.8, 1.0, 1) - 4.0).abs() < 1e-9);
    assert!((erlang_wait(0.8, 10.0, 10) - 0.409 * 5.0).abs() < 0.01);
    for (tasks, slots, used) in [(1, 1, 0.5), (1, 2, 0.7), (5, 2, 0.8)] {
        let mut given = scenario(Policy::fixed(tasks));
        let per_second = used * f64::from(tasks * slots) / 10.0;
        given.fleet.slots = slots;
        given.load.arrivals = Arrivals::Poisson { per_second };
        given.load.time = BatchTime::Exponential(10.0);
        given.load.batches = 60_000;
        let outcome = simulate(&given);
        let expected = erlang_wait(per_second, 10.0, tasks * slots);
        let off = outcome.mean_wait / expected - 1.0;
        assert!(off.abs() < 0.05, "{} is not {expected}", outcome.mean_wait);
        let share = outcome.busy_task_seconds / outcome.paid_task_seconds;
        assert!((share / used - 1.0).abs() < 0.02, "{share} is not {used}");
    }
}

#[test]
fn a_fleet_of_3500_is_limited_by_the_launch_bucket() {
    let mut given = scenario(Policy { min: 0, ..Policy::fixed(3_500) });
    given.wake = 3_500;
    given.load.arrivals = Arrivals::Map { max_concurrency: 10_000 };
    given.load.batches = 100_000;
    given.quotas.starts = Rate { burst: 1e6, per_second: 1e6 };
    let outcome = simulate(&given);
    let whole = outcome.timeline.iter().find(|point| point.tasks == 3_500).unwrap().at;
    // 100 at once and 3,400 at 20 a second: 170 s, then 45 s until the last runs; looked at every 10 s.
    assert!((215.0..=225.0).contains(&whole), "{whole}");
    let after = |seconds: f64| outcome.timeline.iter().find(|point| point.at >= seconds).unwrap().tasks;
    assert!(
        (after(40.0), after(50.0)) == (0, 200) || after(50.0).abs_diff(200) <= 20,
        "{} {}",
        after(40.0),
        after(50.0)
    );
}

const LOAD: &str = "\
Resources:
  Target:
    Type: AWS::ApplicationAutoScaling::ScalableTarget
    Properties: { MinCapacity: 0, MaxCapacity: !Ref Most }
Parameters:
  Most: { Type: Number, Default: 20, MinValue: 1, MaxValue: 100 }
";

/// A template with these resources, written as a map, beside the target.
fn template(more: &str) -> String {
    LOAD.replace("Parameters:", &format!("{more}\nParameters:"))
}

fn metric(name: &str, id: &str) -> String {
    let namespace = if name.starts_with("Approx") { "AWS/SQS" } else { "ECS/ContainerInsights" };
    format!(
        "{{ Id: {id}, ReturnData: false, MetricStat: {{ Stat: Maximum, Metric: {{ Namespace: {namespace}, MetricName: {name} }} }} }}"
    )
}

fn metrics(expression: &str) -> String {
    format!(
        "[{}, {}, {}, {{ Id: all, Expression: \"{expression}\" }}]",
        metric("ApproximateNumberOfMessagesVisible", "visible"),
        metric("ApproximateNumberOfMessagesNotVisible", "busy"),
        metric("RunningTaskCount", "tasks")
    )
}

fn track(target: f64, expression: &str) -> String {
    format!(
        "  Track:\n    Type: AWS::ApplicationAutoScaling::ScalingPolicy\n    Properties:\n      PolicyType: TargetTrackingScaling\n      \
         TargetTrackingScalingPolicyConfiguration:\n        {{ TargetValue: {target}, ScaleOutCooldown: 60, ScaleInCooldown: 60, \
         CustomizedMetricSpecification: {{ Metrics: {} }} }}\n",
        metrics(expression)
    )
}

/// An alarm and its step scaling.
fn step(
    name: &str,
    expression: &str,
    comparison: &str,
    minutes: u32,
    cooldown: u32,
    kind: &str,
    steps: &str,
) -> String {
    format!(
        "  {name}:\n    Type: AWS::ApplicationAutoScaling::ScalingPolicy\n    Properties:\n      PolicyType: StepScaling\n      \
         StepScalingPolicyConfiguration: {{ AdjustmentType: {kind}, Cooldown: {cooldown}, StepAdjustments: [{steps}] }}\n  \
         {name}Alarm:\n    Type: AWS::CloudWatch::Alarm\n    Properties:\n      {{ ComparisonOperator: {comparison}, Threshold: 0, \
         EvaluationPeriods: {minutes}, TreatMissingData: notBreaching, AlarmActions: [!Ref {name}], Metrics: {} }}\n",
        metrics(expression)
    )
}

fn wake() -> String {
    step(
        "Wake",
        "IF(busy < 1, visible, 0)",
        "GreaterThanThreshold",
        1,
        60,
        "ExactCapacity",
        "{ MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 20, ScalingAdjustment: 1 }, { MetricIntervalLowerBound: 20, ScalingAdjustment: 10 }",
    )
}

fn sleep() -> String {
    step(
        "Sleep",
        "visible + busy",
        "LessThanOrEqualToThreshold",
        3,
        60,
        "ExactCapacity",
        "{ MetricIntervalUpperBound: 0, ScalingAdjustment: 0 }",
    )
}

fn read(text: &str) -> Policy {
    policy(text, &BTreeMap::new()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Wakes on one message, follows the load, and sleeps again; nothing times out.
#[test]
fn a_fleet_wakes_follows_and_sleeps() {
    let policy = read(&template(&(track(4.0, "(visible + busy) / tasks") + &wake() + &sleep())));
    let outcome = simulate(&scenario(policy));
    let drained = outcome.drained.unwrap();
    assert!((100.0..=300.0).contains(&outcome.first_batch.unwrap()), "{outcome:?}");
    // 2,000 batches of 30 s on 40 slots are 25 minutes.
    assert!((1_500.0..=2_400.0).contains(&drained), "{drained}");
    assert_eq!((outcome.peak_tasks, outcome.timeouts, outcome.failed, outcome.batches), (20, 0, 0, 2_000));
    let end = outcome.timeline.last().unwrap();
    assert!(end.tasks == 0 && end.at < drained + 600.0, "{end:?}");
    assert_eq!(outcome.turns, 0);
}

/// What mapbox/ecs-watchbot's issue 261 reports: one policy scales out while messages are visible, the other one scales in while
/// none is in flight. From zero both are on, and tasks are started and stopped before they take anything.
#[test]
fn policies_that_fight_from_zero_are_seen() {
    let fight = step(
        "Out",
        "visible",
        "GreaterThanThreshold",
        1,
        300,
        "ChangeInCapacity",
        "{ MetricIntervalLowerBound: 0, ScalingAdjustment: 2 }",
    ) + &step(
        "In",
        "busy",
        "LessThanOrEqualToThreshold",
        1,
        60,
        "ExactCapacity",
        "{ MetricIntervalUpperBound: 0, ScalingAdjustment: 0 }",
    );
    let mut given = scenario(read(&template(&fight)));
    given.load.batches = 5;
    let outcome = simulate(&given);
    assert!(outcome.turns >= 1 && outcome.launched > 2, "{} turns, {} launched", outcome.turns, outcome.launched);
    // The same load under policies whose conditions exclude each other.
    let mut good = scenario(read(&template(&(wake() + &sleep()))));
    good.load.batches = 5;
    let good = simulate(&good);
    assert_eq!((good.turns, good.launched), (0, 1));
    assert!(good.drained.unwrap() < outcome.drained.unwrap_or(f64::INFINITY));
}

/// Work in flight that is not counted: the fleet is told to shrink under its last batches, and protection is refused.
#[test]
fn a_fleet_that_counts_only_what_waits_shrinks_under_its_work() {
    let with = |expression: &str| {
        let mut given = scenario(read(&template(&(track(2.0, expression) + &wake() + &sleep()))));
        given.load.time = BatchTime::Uniform(600.0, 3_000.0);
        given.load.batches = 120;
        given.load.arrivals = Arrivals::Map { max_concurrency: 40 };
        simulate(&given)
    };
    let (all, visible) = (with("(visible + busy) / tasks"), with("visible / tasks"));
    assert_eq!((all.timeouts, all.given_back), (0, 0));
    assert!(visible.drained.unwrap() > all.drained.unwrap(), "{:?} {:?}", visible.drained, all.drained);
}

#[test]
fn a_heartbeat_that_is_shorter_than_the_wait_sends_duplicates() {
    let mut given = scenario(Policy::fixed(1));
    given.load.batches = 120;
    given.load.heartbeat = 120.0;
    let outcome = simulate(&given);
    assert!(outcome.duplicates > 100 && outcome.failed > 0 && !outcome.is_sound(), "{outcome:?}");
    given.load.heartbeat = 43_200.0;
    let calm = simulate(&given);
    assert_eq!((calm.timeouts, calm.failed, calm.batches, calm.drained), (0, 0, 120, Some(1_800.0)));
    assert!((calm.longest_wait - 1_770.0).abs() < 1.0);
}

#[test]
fn spot_takes_tasks_and_their_batches_come_again() {
    let mut given = scenario(Policy { min: 0, ..Policy::fixed(20) });
    given.wake = 20;
    given.fleet.spot = 1.0;
    given.load.time = BatchTime::Fixed(600.0);
    given.load.batches = 400;
    let calm = simulate(&given);
    given.fleet.spot_loss = 0.5;
    let lossy = simulate(&given);
    assert_eq!((calm.spot_lost, calm.given_back, calm.batches, lossy.batches), (0, 0, 400, 400));
    assert!(lossy.spot_lost > 5 && lossy.given_back > 5 && lossy.drained > calm.drained, "{lossy:?}");
    given.fleet.spot = 0.0;
    let dear = simulate(&given).task_dollars;
    assert!(calm.task_dollars < dear * 0.4, "{} {dear}", calm.task_dollars);
}

#[test]
fn answers_are_given_as_fast_as_they_may() {
    let mut given = scenario(Policy::fixed(100));
    given.load.batches = 20_000;
    given.load.arrivals = Arrivals::Map { max_concurrency: 10_000 };
    given.load.time = BatchTime::Fixed(0.1);
    given.quotas.answers = Rate { burst: 1.0, per_second: 100.0 };
    let drained = simulate(&given).drained.unwrap();
    assert!((drained - 200.0).abs() < 1.0, "{drained}");
}

/// 10 million items; the bound is for the slow build on a busy machine.
#[test]
fn ten_million_items_take_seconds() {
    let mut given = scenario(read(&template(&(track(4.0, "(visible + busy) / tasks") + &wake() + &sleep()))));
    given.load.batches = 100_000;
    given.policy.max = 500;
    let start = Instant::now();
    let outcome = simulate(&given);
    assert_eq!(outcome.items, 10_000_000);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn the_search_finds_the_cheapest_that_is_fast_enough() {
    let mut given = scenario(read(&template(&(track(4.0, "(visible + busy) / tasks") + &wake() + &sleep()))));
    given.policy.max = 100;
    let tried = search(&given, None).unwrap();
    let best = tried.iter().find(|tried| tried.is_best).unwrap();
    let fastest = tried.iter().filter_map(|tried| tried.outcome.drained).fold(f64::INFINITY, f64::min);
    let rivals = tried.iter().filter(|tried| tried.outcome.drained.is_some_and(|drained| drained <= fastest * 1.1));
    assert!(rivals.clone().all(|rival| rival.outcome.dollars() >= best.outcome.dollars()));
    assert!(best.outcome.drained.unwrap() <= fastest * 1.1);
    // Whoever has more time pays less.
    let patient = search(&given, Some(fastest * 3.0)).unwrap();
    let patient = patient.iter().find(|tried| tried.is_best).unwrap();
    assert!(patient.outcome.dollars() < best.outcome.dollars() && patient.target > best.target);
    assert!(search(&given, Some(1.0)).unwrap().iter().all(|tried| !tried.is_best));
    assert!(search(&scenario(Policy::fixed(1)), None).is_none());
}

#[test]
fn policies_that_make_no_sense_are_refused() {
    let refused = |text: &str| policy(text, &BTreeMap::new()).unwrap_err().to_string();
    let whole = template(&(track(4.0, "(visible + busy) / tasks") + &wake() + &sleep()));
    let with = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        refused(&whole.replacen(from, to, 1))
    };
    let given = |name: &str, value: &str| {
        policy(&whole, &BTreeMap::from([(name.to_owned(), value.to_owned())])).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            refused("a list: [1"),
            refused("[1]"),
            refused("Resources: {}"),
            refused(LOAD),
            with("MinCapacity: 0", "MinCapacity: 30"),
            with("MinCapacity: 0", "MinCapacity: some"),
            with("TargetValue: 4", "TargetValue: 0"),
            with("(visible + busy) / tasks", "(visible + busy) / workers"),
            with("RunningTaskCount", "CPUUtilization"),
            with("TargetTrackingScaling\n", "PredictiveScaling\n"),
            with("GreaterThanThreshold", "GreaterThanUpperThreshold"),
            with("EvaluationPeriods: 3", "EvaluationPeriods: 0"),
            given("Least", "1"),
            given("Most", "101"),
            given("Most", "many"),
        ]
        .join("\n"),
        @r"
        it is no YAML: while parsing a flow sequence, expected ',' or ']' at byte 10 line 2 column 1
        it is no template: it has no `Resources`
        it has to have one `AWS::ApplicationAutoScaling::ScalableTarget`, and has none or several
        no policy moves the capacity: there is no target tracking, and no alarm starts a step scaling policy
        Target: `MinCapacity` 30 and `MaxCapacity` 20 leave no fleet
        Target: `MinCapacity` is missing or no number
        Track: `TargetValue` 0 is not above zero
        Track: `workers` is no metric with an `Id` here (there are: busy, tasks, visible)
        Track: the metric ECS/ContainerInsights CPUUtilization is not known to the simulator
        Track: the `PolicyType` PredictiveScaling is not known to the simulator
        WakeAlarm: the `ComparisonOperator` GreaterThanUpperThreshold is not known to the simulator
        SleepAlarm: 0 of 0 periods make no sense
        the template has no parameter `Least`; it has: Most
        parameter `Most`: 101 is out of range (MaxValue 100)
        parameter `Most`: `many` is no number
        ");
}

/// Conditions choose, and what is chosen counts.
#[test]
fn parameters_and_conditions_decide() {
    let text = template(&(track(4.0, "visible") + &sleep()))
        .replace("MinCapacity: 0", "MinCapacity: !If [IsLarge, 5, 1]")
        .replace("  Sleep:\n", "  Sleep:\n    Condition: IsLarge\n")
        + "Conditions:\n  IsLarge: !Not [!Equals [!Ref Most, 20]]\n";
    let most = |most: u32| policy(&text, &BTreeMap::from([("Most".to_owned(), most.to_string())])).unwrap();
    let (small, large) = (policy(&text, &BTreeMap::new()).unwrap(), most(50));
    assert_eq!((small.min, small.max, small.steps.len()), (1, 20, 0));
    assert_eq!((large.min, large.max, large.steps.len()), (5, 50, 1));
    let endless = text.replace("!Not [!Equals [!Ref Most, 20]]", "!Condition IsLarge");
    assert!(policy(&endless, &BTreeMap::new()).unwrap_err().to_string().contains("is named in a circle"));
}

fn any_scenario() -> impl Strategy<Value = Scenario> {
    let policies = [
        track(4.0, "(visible + busy) / tasks") + &wake() + &sleep(),
        track(3.0, "(FILL(visible,0) + FILL(busy,0)) / IF(FILL(tasks,0)>0, tasks, 1)") + &sleep(),
        wake() + &sleep(),
    ];
    let policies = policies.map(|policy| read(&template(&policy)));
    (
        0..3usize,
        1u32..300,
        1u32..60,
        1u32..5,
        0.0f64..1.0,
        prop::sample::select(vec![60.0, 1_000.0, 43_200.0]),
        any::<u64>(),
        0u32..3,
    )
        .prop_map(move |(which, batches, max_concurrency, slots, spot, heartbeat, seed, min)| {
            let mut given = scenario(policies[which].clone());
            given.load.batches = batches;
            given.load.heartbeat = heartbeat;
            given.load.arrivals = Arrivals::Map { max_concurrency };
            given.load.time = BatchTime::LogNormal(60.0, 2.0);
            given.fleet.slots = slots;
            given.fleet.spot = spot;
            given.fleet.spot_loss = 1.0;
            given.policy.min = min;
            given.seed = seed;
            given
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens: nothing is lost or done twice, nothing is busy that is not paid for, and the same comes to the same.
    #[test]
    fn what_always_holds(given in any_scenario()) {
        let outcome = simulate(&given);
        let batches = u64::from(given.load.batches);
        prop_assert!(outcome.batches + outcome.failed <= batches);
        if outcome.drained.is_some() {
            prop_assert_eq!(outcome.batches + outcome.failed, batches);
        }
        prop_assert!(outcome.busy_task_seconds <= outcome.paid_task_seconds + 1e-6);
        prop_assert!(outcome.peak_tasks <= given.policy.max + 20);
        prop_assert!(outcome.longest_wait >= outcome.mean_wait - 1e-6);
        // Deadlines are looked at every ten seconds.
        prop_assert!(outcome.longest_wait <= given.load.heartbeat + 10.0);
        let open = match given.load.arrivals { Arrivals::Map { max_concurrency } => max_concurrency, Arrivals::Poisson { .. } => 0 };
        // A batch that failed leaves its last message in the queue, and one that was sent again all of them.
        let left = outcome.duplicates + outcome.failed;
        prop_assert!(outcome.timeline.iter().all(|point| u64::from(point.waiting + point.running) <= u64::from(open) + left));
        prop_assert_eq!(simulate(&given), outcome);
    }
}

#[test]
fn a_picture_shows_the_run() {
    let outcome = simulate(&scenario(read(&template(&(track(4.0, "(visible + busy) / tasks") + &wake() + &sleep())))));
    let picture = svg(&outcome, 2, ["A <run> & more", "below"]);
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(picture.contains("A &lt;run> &amp; more") && picture.contains("drained") && !picture.contains("NaN"));
    assert!(picture.len() < 100_000, "{}", picture.len());
    let empty = svg(&Outcome { timeline: Vec::new(), drained: None, ..outcome }, 2, ["", ""]);
    assert!(!empty.contains("NaN") && !empty.contains("inf"));
}
