//! Everything that decides what happens.

use super::bucket::Rate;
use super::fleet::Fleet;
use super::load::Load;
use super::policy::Policy;
use super::prices::Prices;

/// Everything that decides what happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// What there is to do.
    pub load: Load,
    /// What tasks are like.
    pub fleet: Fleet,
    /// How many of them there are.
    pub policy: Policy,
    /// How many tasks the state machine itself asks for before it begins; 0 if it does not.
    pub wake: u32,
    /// Limits of the account.
    pub quotas: Quotas,
    /// How late the metrics of SQS are, in seconds.
    pub sqs_lag: f64,
    /// How late those of ECS are, in seconds.
    pub ecs_lag: f64,
    /// What a task costs.
    pub prices: Prices,
    /// Where chance begins.
    pub seed: u64,
}

/// Limits of an account that a run meets ("Quotas" in the Step Functions developer guide).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quotas {
    /// `StartExecution`
    pub starts: Rate,
    /// `SendTaskSuccess`
    pub answers: Rate,
}
