//! What a fleet would do with a load: a model of SQS, CloudWatch, Application Auto Scaling and ECS, as far as scaling goes.
//!
//! Pure: it reads no file, waits for nothing, and gives the same for the same seed. What is not in it: failures of batches,
//! regions without capacity, deployments, and whatever AWS does in a way that its documentation does not say.

mod agenda;
mod bucket;
mod control;
mod expression;
mod fleet;
mod load;
mod outcome;
mod policy;
mod prices;
mod resource;
mod run;
mod scenario;
mod scope;
mod search;
mod service;
mod svg;
mod template;
mod waiting;
mod yaml;

pub use self::bucket::Rate;
pub use self::fleet::Fleet;
pub use self::load::{Arrivals, BatchTime, Load, Measured, measured};
pub use self::outcome::{Outcome, Point};
pub use self::policy::Policy;
pub use self::prices::{AS_OF, Architecture, Prices};
pub use self::scenario::{Quotas, Scenario};
pub use self::scope::TemplateError;
pub use self::search::{Tried, search};
pub use self::svg::svg;
pub use self::template::policy;

/// Plays the scenario to its end.
pub fn simulate(scenario: &Scenario) -> Outcome {
    run::Run::new(scenario).play()
}

#[cfg(test)]
mod tests;
