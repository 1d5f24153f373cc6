//! Every metric by name, in the order of the questions that somebody has who looks at them. `docs/metrics.md` has the same tables:
//! a test here compares them, and prints what the document has to have.

/// What a metric measures, and how.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name. It ends with the base unit, and with `_total` if it counts.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels. Their values are bounded: they come from files and from lists, never from data.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the process ends.
    Counter,
    /// It is what it is now.
    Gauge,
    /// It counts values by their size.
    Histogram,
}

macro_rules! metrics {
    ($($question:literal { $($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)* })*) => {
        $($(pub(super) const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*)*

        /// All of them, by question.
        pub const ALL: &[(&str, &[Metric])] = &[$(($question, &[$($constant),*])),*];
    };
}

metrics! {
    "Is it behind?" {
        QUEUE_MESSAGES: Gauge "gristmill_queue_messages" ["queue", "state"]
            "Messages in the queue: visible, in_flight, delayed.";
        BACKLOG_SECONDS: Gauge "gristmill_queue_backlog_seconds" ["queue"]
            "How long this worker alone would take for all of them.";
        BACKLOG_PER_SLOT: Gauge "gristmill_queue_backlog_per_slot" ["queue"]
            "All of them, for each slot of this worker.";
        BATCH_WAIT: Histogram "gristmill_batch_wait_seconds" ["dataset"]
            "From sending a batch to its first delivery.";
        BATCH_DURATION: Histogram "gristmill_batch_duration_seconds" ["dataset"]
            "From receiving a batch to its fate.";
    }
    "Is it failing?" {
        BATCHES: Counter "gristmill_batches_total" ["dataset", "fate"]
            "Deliveries by fate: acked, returned, parked.";
        FAULTS: Counter "gristmill_faults_total" ["kind"]
            "Deliveries that did not simply succeed, by what happened.";
        ROLLED_FORWARD: Counter "gristmill_batches_rolled_forward_total" ["dataset"]
            "Batches of dead attempts that a later one ended.";
        ITEMS: Counter "gristmill_items_total" ["dataset", "outcome"]
            "Items of committed batches: succeeded, rejected.";
        LATE_ROWS: Counter "gristmill_window_late_rows_total" ["dataset"]
            "Rows that came into windows that had been read.";
        ITEM_FAILURES: Counter "gristmill_item_failures_total" ["dataset", "code"]
            "Rejected items by code.";
        PRESSURE: Gauge "gristmill_pressure_seconds" []
            "Pause before the next receive; 0 while AWS keeps up.";
        RETRIES: Counter "gristmill_aws_retries_total" ["service"]
            "Requests to AWS that were sent again.";
        THROTTLES: Counter "gristmill_aws_throttles_total" ["service"]
            "Requests that AWS throttled.";
        PROTECTION_REFUSED: Counter "gristmill_protection_refused_total" ["reason"]
            "Refusals of scale-in protection.";
    }
    "Is it busy?" {
        BATCHES_IN_FLIGHT: Gauge "gristmill_batches_in_flight" []
            "Batches that were received and have no fate yet.";
        SLOTS: Gauge "gristmill_slots" []
            "Items that may run at once.";
        SLOTS_BUSY: Gauge "gristmill_slots_busy" []
            "Items that run right now.";
        MEMORY: Gauge "gristmill_memory_bytes" []
            "Memory that items may take together; 0 is no limit.";
        MEMORY_BUSY: Gauge "gristmill_memory_busy_bytes" []
            "Memory set aside for items that run right now.";
    }
    "What did it do?" {
        BYTES_READ: Counter "gristmill_bytes_read_total" ["dataset"]
            "Bytes of objects given to plugins.";
        BYTES_WRITTEN: Counter "gristmill_bytes_written_total" ["dataset", "output"]
            "Bytes of committed outputs.";
        ROWS: Counter "gristmill_rows_total" ["dataset", "output"]
            "Rows of committed outputs.";
        GUEST_DROPPED: Counter "gristmill_guest_metrics_dropped_total" ["dataset"]
            "Plugins' metrics with a bad name, or one too many.";
    }
    "Which version is it?" {
        BUILD_INFO: Gauge "gristmill_build_info" ["version", "arch"]
            "1, with the version of gristmill as a label.";
        VERSION: Gauge "gristmill_version" ["dataset", "version"]
            "1 for the version that batches begin with.";
        SWAPS: Counter "gristmill_version_swaps_total" ["dataset"]
            "Changes from one version to another.";
        COMPONENT_CACHE: Counter "gristmill_component_cache_total" ["result"]
            "Look-ups of compiled components on disk: hit, miss, refused.";
        VERSIONS_REFUSED: Counter "gristmill_versions_refused_total" ["dataset"]
            "Versions that the registry wants and that were refused.";
        REGISTRY_ANSWERS: Gauge "gristmill_registry_answers" []
            "1 if the registry answered the last request, else 0.";
        REGISTRY_HEAD: Gauge "gristmill_registry_head" []
            "The number of the registry's head that is in use.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../docs/metrics.md");
    const BEGIN: &str = "<!-- Generated from host/src/telemetry/names.rs. -->\n";
    const END: &str = "<!-- End. -->\n";

    fn tables() -> String {
        let row = |metric: &Metric| {
            let labels =
                if metric.labels.is_empty() { String::new() } else { format!("{{{}}}", metric.labels.join(",")) };
            let kind = format!("{:?}", metric.kind).to_lowercase();
            format!("| `{}{labels}` | {kind} | {} |\n", metric.name, metric.help)
        };
        let table = |(question, metrics): &(&str, &[Metric])| {
            format!("\n### {question}\n\n| Metric | Type | |\n|---|---|---|\n")
                + &metrics.iter().map(row).collect::<String>()
        };
        ALL.iter().map(table).collect::<String>() + "\n"
    }

    #[test]
    fn the_document_has_these_tables() {
        let shown = DOCUMENT.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(shown, _)| shown);
        let tables = tables();
        assert!(shown == Some(&tables), "host/docs/metrics.md is to have this:\n{BEGIN}{tables}{END}");
        assert!(tables.lines().all(|line| line.len() <= 120), "a line is too long for a document:\n{tables}");
    }

    #[test]
    fn names_say_what_they_count() {
        let all: Vec<&Metric> = ALL.iter().flat_map(|(_, metrics)| *metrics).collect();
        let names: std::collections::BTreeSet<&str> = all.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), all.len());
        for Metric { name, kind, help, .. } in all {
            assert!(name.starts_with("gristmill_") && help.ends_with('.'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(*kind != Kind::Histogram || name.ends_with("_seconds") || name.ends_with("_bytes"), "{name}");
        }
    }
}
