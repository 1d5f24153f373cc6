//! CloudWatch's embedded metric format: lines of JSON on standard output, of which CloudWatch Logs makes metrics
//! ("Specification: Embedded metric format" in the CloudWatch user guide). Only what alarms are made of: each series costs money.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus::proto::MetricFamily;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::names::{self, Kind, Metric};

/// CloudWatch's own resolution.
const EVERY: Duration = Duration::from_secs(60);

/// Under which the metrics are found.
const NAMESPACE: &str = "gristmill";

/// What alarms are made of. Their names and labels are those of Prometheus, the labels as dimensions.
pub(super) const FOR_ALARMS: [Metric; 7] = [
    names::BATCHES,
    names::FAULTS,
    names::ITEMS,
    names::PRESSURE,
    names::THROTTLES,
    names::PROTECTION_REFUSED,
    names::VERSIONS_REFUSED,
];

/// Prints until `end`, and then what has come since the last time.
pub async fn print(metrics: Arc<Metrics>, end: CancellationToken) {
    let mut told = Told::default();
    loop {
        let ended = tokio::time::timeout(EVERY, end.cancelled()).await.is_ok();
        let lines = told.news(&metrics.gather(), SystemTime::now());
        let mut out = io::stdout().lock();
        // Nobody who reads is no reason to stop working.
        let _ = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
        if ended {
            return;
        }
    }
}

/// What CloudWatch was told: it wants what was counted since then, not the sums. Pure.
#[derive(Debug, Default)]
struct Told(HashMap<(&'static str, Vec<String>), f64>);

impl Told {
    /// A line for each counter that grew, and for each gauge.
    fn news(&mut self, families: &[MetricFamily], now: SystemTime) -> Vec<Value> {
        let mut lines = Vec::new();
        for metric in FOR_ALARMS {
            let family = families.iter().find(|family| family.name() == metric.name);
            for series in family.into_iter().flat_map(MetricFamily::get_metric) {
                let labels: Vec<(&str, &str)> =
                    series.get_label().iter().map(|label| (label.name(), label.value())).collect();
                let value = match metric.kind {
                    Kind::Counter => {
                        let key = (metric.name, labels.iter().map(|(_, value)| (*value).to_owned()).collect());
                        let sum = series.get_counter().get_value();
                        sum - self.0.insert(key, sum).unwrap_or_default()
                    }
                    _ => series.get_gauge().get_value(),
                };
                if metric.kind != Kind::Counter || value > 0.0 {
                    lines.push(line(&metric, &labels, value, now));
                }
            }
        }
        lines
    }
}

fn line(metric: &Metric, labels: &[(&str, &str)], value: f64, now: SystemTime) -> Value {
    let millis = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let unit = if metric.kind == Kind::Counter { "Count" } else { "Seconds" };
    let dimensions: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
    let directive = json!({
        "Namespace": NAMESPACE,
        "Dimensions": [dimensions],
        "Metrics": [{"Name": metric.name, "Unit": unit}],
    });
    let mut line = Map::new();
    line.insert("_aws".into(), json!({"Timestamp": millis, "CloudWatchMetrics": [directive]}));
    for (name, value) in labels {
        // CloudWatch takes no empty dimension.
        line.insert((*name).into(), json!(if value.is_empty() { "none" } else { value }));
    }
    line.insert(metric.name.into(), json!(value));
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::job::Disposition;

    #[test]
    fn what_came_since_the_last_time_is_told_once() {
        let metrics = Metrics::new().unwrap();
        let (mut told, now) = (Told::default(), SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123));
        let mut news = |metrics: &Metrics| {
            let mut lines: Vec<_> = told.news(&metrics.gather(), now);
            // What other tests of this process throttle is counted too.
            lines.retain(|line| line.get("service").is_none());
            lines.iter().map(|line| format!("{line}\n")).collect::<String>()
        };
        for _ in 0..3 {
            metrics.batch("d", &Disposition::Acked, Duration::from_secs(1));
        }
        metrics.batch("", &Disposition::DeadLettered { reason: "r".into() }, Duration::from_secs(1));
        metrics.fault("claim_lost");
        assert_snapshot!(news(&metrics), @r#"
        {"_aws":{"CloudWatchMetrics":[{"Dimensions":[["dataset","fate"]],"Metrics":[{"Name":"gristmill_batches_total","Unit":"Count"}],"Namespace":"gristmill"}],"Timestamp":1800000000123},"dataset":"none","fate":"parked","gristmill_batches_total":1.0}
        {"_aws":{"CloudWatchMetrics":[{"Dimensions":[["dataset","fate"]],"Metrics":[{"Name":"gristmill_batches_total","Unit":"Count"}],"Namespace":"gristmill"}],"Timestamp":1800000000123},"dataset":"d","fate":"acked","gristmill_batches_total":3.0}
        {"_aws":{"CloudWatchMetrics":[{"Dimensions":[["kind"]],"Metrics":[{"Name":"gristmill_faults_total","Unit":"Count"}],"Namespace":"gristmill"}],"Timestamp":1800000000123},"gristmill_faults_total":1.0,"kind":"claim_lost"}
        {"_aws":{"CloudWatchMetrics":[{"Dimensions":[[]],"Metrics":[{"Name":"gristmill_pressure_seconds","Unit":"Seconds"}],"Namespace":"gristmill"}],"Timestamp":1800000000123},"gristmill_pressure_seconds":0.0}
        "#);
        let nothing = news(&metrics);
        assert_eq!(nothing.lines().count(), 1, "a gauge is what it is now: {nothing}");
        metrics.batch("d", &Disposition::Acked, Duration::from_secs(1));
        assert!(news(&metrics).contains(r#""dataset":"d","fate":"acked","gristmill_batches_total":1.0}"#));
    }

    #[test]
    fn the_document_names_what_is_printed() {
        let document = include_str!("../../docs/metrics.md");
        let (_, section) = document.split_once("## CloudWatch").unwrap();
        let missing: Vec<_> =
            FOR_ALARMS.iter().filter(|metric| !section.contains(&format!("`{}`", metric.name))).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(section.matches("`gristmill_").count(), FOR_ALARMS.len());
    }
}
