//! How a fleet follows its queue: what Application Auto Scaling and CloudWatch are told in a template.

use super::expression::Expression;

/// All that scales one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// `MinCapacity`
    pub min: u32,
    /// `MaxCapacity`
    pub max: u32,
    /// The target tracking policy, if there is one.
    pub track: Option<Track>,
    /// Alarms with their step scaling.
    pub steps: Vec<Stepped>,
}

impl Policy {
    /// A fleet that never changes.
    pub fn fixed(tasks: u32) -> Self {
        Self { min: tasks, max: tasks, track: None, steps: Vec::new() }
    }
}

/// A target tracking policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// The metric, or the math over some.
    pub load: Expression,
    /// `TargetValue`
    pub target: f64,
    /// `ScaleOutCooldown`, in seconds.
    pub out_cooldown: f64,
    /// `ScaleInCooldown`, in seconds.
    pub in_cooldown: f64,
    /// Whether it only scales out.
    pub is_out_only: bool,
}

/// An alarm and the step scaling policy that it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Stepped {
    /// The alarm's name in the template.
    pub name: String,
    /// The alarm.
    pub alarm: Alarm,
    /// What the steps do to the capacity.
    pub adjustment: Adjustment,
    /// The least change of a percentage.
    pub least: u32,
    /// `Cooldown`, in seconds.
    pub cooldown: f64,
    /// The steps.
    pub steps: Vec<Step>,
}

/// A CloudWatch alarm over periods of 60 s.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// The metric, or the math over some.
    pub metric: Expression,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub threshold: f64,
    /// `EvaluationPeriods`
    pub periods: usize,
    /// `DatapointsToAlarm`
    pub datapoints: usize,
    /// `TreatMissingData`
    pub missing: Treat,
}

/// `ComparisonOperator`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    /// Whether a value breaches.
    pub(super) fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Greater => value > threshold,
            Self::GreaterOrEqual => value >= threshold,
            Self::Less => value < threshold,
            Self::LessOrEqual => value <= threshold,
        }
    }
}

/// `TreatMissingData`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treat {
    Missing,
    Ignore,
    Breaching,
    NotBreaching,
}

/// `AdjustmentType`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    Exact,
    Change,
    Percent,
}

/// A step: from the lower bound to the upper one, both counted from the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// None is minus infinity.
    pub lower: Option<f64>,
    /// None is infinity.
    pub upper: Option<f64>,
    /// `ScalingAdjustment`
    pub adjustment: f64,
}

impl Stepped {
    /// The capacity that is wanted when the metric has this value.
    pub(super) fn wanted(&self, value: f64, capacity: u32) -> Option<u32> {
        let breach = value - self.alarm.threshold;
        // Bounds above the threshold belong to the step above, those below it to the one below.
        let is_in = |step: &&Step| match breach >= 0.0 {
            true => step.lower.is_none_or(|lower| breach >= lower) && step.upper.is_none_or(|upper| breach < upper),
            false => step.lower.is_none_or(|lower| breach > lower) && step.upper.is_none_or(|upper| breach <= upper),
        };
        let at_zero = |step: &&Step| breach == 0.0 && step.upper == Some(0.0);
        let step = self.steps.iter().find(is_in).or_else(|| self.steps.iter().find(at_zero))?;
        let now = f64::from(capacity);
        let wanted = match self.adjustment {
            Adjustment::Exact => step.adjustment,
            Adjustment::Change => now + step.adjustment,
            Adjustment::Percent => {
                let change = now * step.adjustment / 100.0;
                // Away from zero below one, towards it above.
                let whole = if change.abs() < 1.0 { change.signum() * change.abs().ceil() } else { change.trunc() };
                now + if whole.abs() < f64::from(self.least) {
                    step.adjustment.signum() * f64::from(self.least)
                } else {
                    whole
                }
            }
        };
        Some(wanted.clamp(0.0, f64::from(u32::MAX)) as u32)
    }
}
