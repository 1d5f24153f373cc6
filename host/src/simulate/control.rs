//! CloudWatch and Application Auto Scaling: samples, alarms, and what they make of the capacity.

use super::expression::{Expression, Signal};
use super::policy::{Alarm, Comparison, Policy, Track, Treat};

/// How far apart samples are, in seconds.
pub(super) const PERIOD: f64 = 60.0;

/// How many more periods an alarm looks back for points that are late ("Configuring how CloudWatch alarms treat missing data").
const LOOK_BACK: usize = 2;

/// The metrics at one time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) visible: f64,
    pub(super) in_flight: f64,
    /// None while there is no task at all.
    pub(super) running: Option<f64>,
    pub(super) desired: Option<f64>,
}

/// What scales the fleet.
pub(super) struct Control {
    policy: Policy,
    samples: Vec<Sample>,
    /// By how many samples SQS and ECS are late.
    late: [usize; 2],
    /// The last activity of each policy: when, and to which capacity.
    last: Vec<Option<(f64, u32)>>,
}

impl Control {
    pub(super) fn new(policy: Policy, sqs_lag: f64, ecs_lag: f64) -> Self {
        let policies = policy.steps.len() + 1;
        let late = [sqs_lag, ecs_lag].map(|lag| (lag / PERIOD).ceil() as usize);
        Self { policy, samples: Vec::new(), late, last: vec![None; policies] }
    }

    pub(super) fn record(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// How many policies there are; each is asked by itself, because alarms are not evaluated at the same instant.
    pub(super) fn policies(&self) -> usize {
        self.last.len()
    }

    /// The capacity that a policy asks for now; none if it asks for nothing.
    pub(super) fn ask(&mut self, which: usize, now: f64, capacity: u32) -> Option<u32> {
        let (wanted, out, r#in) = match which.checked_sub(1) {
            None => {
                let track = self.policy.track.clone()?;
                (self.tracked(&track, capacity)?, track.out_cooldown, track.in_cooldown)
            }
            Some(n) => {
                let stepped = self.policy.steps.get(n)?.clone();
                let value = self.value(&stepped.alarm)?;
                (stepped.wanted(value, capacity)?, stepped.cooldown, stepped.cooldown)
            }
        };
        let wanted = wanted.clamp(self.policy.min, self.policy.max);
        let last = self.last.get(which).copied().flatten();
        let is_allowed = match last {
            // While it cools down, what the last activity added counts: only more than that is added.
            Some((at, to)) if wanted > capacity => now - at >= out || wanted > to,
            Some((at, _)) if wanted < capacity => now - at >= r#in,
            _ => wanted != capacity,
        };
        if !is_allowed {
            return None;
        }
        if let Some(last) = self.last.get_mut(which) {
            *last = Some((now, wanted));
        }
        Some(wanted)
    }

    /// Target tracking makes two alarms of itself: three minutes above the target, fifteen below nine tenths of it. Missing data
    /// starts neither.
    fn tracked(&self, track: &Track, capacity: u32) -> Option<u32> {
        let alarm = |comparison, threshold, periods| Alarm {
            metric: track.load.clone(),
            comparison,
            threshold,
            periods,
            datapoints: periods,
            missing: Treat::Missing,
        };
        let by = |value: f64| (f64::from(capacity) * value / track.target).ceil().min(f64::from(u32::MAX)) as u32;
        if let Some(value) = self.value(&alarm(Comparison::Greater, track.target, 3)) {
            return Some(by(value).max(capacity.saturating_add(1)));
        }
        if track.is_out_only {
            return None;
        }
        let value = self.value(&alarm(Comparison::Less, track.target * 0.9, 15))?;
        Some(by(value).min(capacity))
    }

    /// The metric's latest value while the alarm is on.
    fn value(&self, alarm: &Alarm) -> Option<f64> {
        let points = self.points(alarm);
        let is_breaching = |point: &Option<f64>| match point {
            Some(value) => alarm.comparison.breaches(*value, alarm.threshold),
            None => alarm.missing == Treat::Breaching,
        };
        let latest = points.iter().rev().flatten().next().copied();
        let enough = points.iter().filter(|point| is_breaching(point)).count() >= alarm.datapoints;
        // A step is chosen by a value. Where there is none, it is the threshold itself.
        enough.then(|| latest.unwrap_or(alarm.threshold))
    }

    /// The last points of the alarm's metric, the latest at the end; fewer in the beginning.
    fn points(&self, alarm: &Alarm) -> Vec<Option<f64>> {
        let late = |signal: &Signal| self.late[usize::from(signal.is_of_ecs())];
        let signals = alarm.metric.signals();
        // A point is there as soon as one of its metrics is. The others are then missing, and `FILL` fills them.
        let least = signals.iter().map(late).min().unwrap_or_default();
        let end = self.samples.len().saturating_sub(least);
        let range = end.saturating_sub(alarm.periods + LOOK_BACK)..end;
        let points: Vec<_> = range.map(|n| self.point(&alarm.metric, n)).collect();
        let from = points.len().saturating_sub(alarm.periods);
        let latest = &points[from..];
        let looks_back = matches!(alarm.missing, Treat::Missing | Treat::Ignore);
        if looks_back && latest.iter().any(Option::is_none) {
            // Late ones are made up for by earlier ones, as far as it looks back.
            let there: Vec<_> = points.into_iter().filter(Option::is_some).collect();
            return there[there.len().saturating_sub(alarm.periods)..].to_vec();
        }
        latest.to_vec()
    }

    fn point(&self, metric: &Expression, n: usize) -> Option<f64> {
        let sample = self.samples.get(n)?;
        metric.value(&|signal| {
            if n + self.late[usize::from(signal.is_of_ecs())] >= self.samples.len() {
                return None;
            }
            match signal {
                Signal::Visible => Some(sample.visible),
                Signal::InFlight => Some(sample.in_flight),
                Signal::Running => sample.running,
                Signal::Desired => sample.desired,
            }
        })
    }
}
