//! How deep a queue is: asked for now and then, for whoever looks at the metrics. Nothing that the worker does depends on it.
//!
//! Every worker asks for itself: a fleet needs no leader, and whichever worker is looked at knows. It costs a tenth of what an idle
//! worker's polls cost.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backoff::jittered;
use crate::queue::{Queue, QueueError};
use crate::telemetry::metrics::Metrics;

/// Between two questions. SQS's own numbers settle within about a minute.
pub const EVERY: Duration = Duration::from_secs(30);
/// The same while the queue refuses to answer: a permission may come.
const WHILE_REFUSED: Duration = Duration::from_secs(600);

/// What a queue is called in metrics: the last part of its URL, or all of it if another queue has the same.
pub fn label<'u>(url: &'u str, queues: &[&str]) -> &'u str {
    let name = last(url);
    if queues.iter().filter(|other| last(other) == name).count() > 1 { url } else { name }
}

fn last(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// Asks until `stop`, and says what it hears under the queue's name.
pub async fn watch(queue: Arc<dyn Queue>, name: String, metrics: Arc<Metrics>, stop: CancellationToken) {
    let asking = async {
        let mut was_refused = false;
        loop {
            let answer = queue.depth().await;
            let refused = matches!(answer, Err(QueueError::Refused(_)));
            match answer {
                Ok(depth) => metrics.depth(&name, depth),
                Err(error) => {
                    metrics.no_depth(&name);
                    if refused && !was_refused {
                        tracing::warn!(
                            queue = name,
                            %error,
                            "how many messages the queue has is not known, and gristmill_queue_messages is absent. Work goes on. The \
                             worker's role needs sqs:GetQueueAttributes"
                        );
                    } else {
                        tracing::debug!(queue = name, %error, "the queue's depth");
                    }
                }
            }
            was_refused = refused;
            // Workers that were started together do not ask together.
            sleep(jittered(if refused { WHILE_REFUSED } else { EVERY })).await;
        }
    };
    tokio::select! { () = asking => {}, () = stop.cancelled() => {} }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_of_one_name_are_told_apart() {
        let queues = ["https://sqs/1/batches", "https://sqs/2/batches", "https://sqs/1/others"];
        assert_eq!(queues.map(|url| label(url, &queues)), [queues[0], queues[1], "others"]);
        assert_eq!(label("batches", &["batches"]), "batches");
    }
}
