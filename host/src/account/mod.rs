//! Whether an account has what a dataset and its workers need, asked before anything runs. No call changes anything, but for
//! what it takes back at once. What cannot be asked that way is listed as not asked.

mod answers;
mod asked;
mod objects;
mod permission;
mod queue;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;

pub use self::asked::{Asked, Verdict};
use crate::aws::Calls;
use crate::dataset::Dataset;
use crate::sink::OutputSchema;

/// Short limits, because somebody waits for the answer.
const CALLS: Calls =
    Calls { attempts: 3, adaptive: false, attempt: Duration::from_secs(10), whole: Duration::from_secs(20) };

/// Asks for everything that the workers of these queues need for the dataset. Its outputs are known from its component.
pub async fn ask(
    config: &SdkConfig,
    dataset: &Dataset,
    outputs: &[Arc<OutputSchema>],
    queues: &[String],
    ledger: Option<&str>,
) -> Vec<Asked> {
    let config = &CALLS.limit(config);
    let mut asked = Vec::new();
    for url in queues {
        asked.extend(queue::ask(config, url).await);
    }
    if queues.is_empty() {
        asked.push(Asked::new("queue", Verdict::NotAsked("give `--queue URL`".into())));
    }
    asked.push(answers::ask(config).await);
    match ledger {
        Some(table) => asked.extend(tables::ledger(config, table).await),
        None => asked.push(Asked::new("ledger", Verdict::NotAsked("give `--ledger TABLE`".into()))),
    }
    asked.extend(tables::outputs(config, outputs).await);
    asked.extend(objects::granted(config, &dataset.grants).await);
    asked.extend(objects::places(config, dataset).await);
    asked
}
