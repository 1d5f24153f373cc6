//! What plugins count and measure themselves.

use std::sync::Arc;

use prometheus::{Histogram, HistogramOpts, IntCounter, Opts};

use super::metrics::{Admit as _, Metrics, add};
use crate::runtime::GuestMetrics;

/// The most metrics that a dataset's plugin may report (`metrics` of the contract).
const GUEST_METRICS: usize = 64;

/// The numbers that one dataset's plugin reports: `gristmill_guest_<name>`, with the dataset as a label.
pub struct DatasetMetrics {
    metrics: Arc<Metrics>,
    dataset: String,
}

impl DatasetMetrics {
    /// For the plugin of this dataset.
    pub fn new(metrics: Arc<Metrics>, dataset: &str) -> Self {
        Self { metrics, dataset: dataset.to_owned() }
    }

    /// The full name, if the plugin may use this one.
    fn admitted(&self, name: &str, suffix: &str) -> Option<String> {
        let mut characters = name.chars();
        let valid = name.len() <= 63
            && characters.next().is_some_and(|c| c.is_ascii_lowercase())
            && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let mut bounded = self.metrics.bounded();
        if valid && bounded.guest_names.entry(self.dataset.clone()).or_default().admit(name, GUEST_METRICS) {
            return Some(format!("gristmill_guest_{name}{suffix}"));
        }
        self.metrics.guest_dropped.with_label_values(&[&self.dataset]).inc();
        None
    }

    fn options(&self, name: &str) -> Opts {
        Opts::new(name, "Reported by a plugin.").const_label("dataset", &self.dataset)
    }
}

impl GuestMetrics for DatasetMetrics {
    fn count(&self, name: &str, value: u64) {
        let Some(name) = self.admitted(name, "_total") else { return };
        let mut bounded = self.metrics.bounded();
        let key = (self.dataset.clone(), name.clone());
        if !bounded.counters.contains_key(&key) {
            let made =
                IntCounter::with_opts(self.options(&name)).and_then(|counter| add(&self.metrics.registry, counter));
            let Ok(counter) = made else { return };
            bounded.counters.insert(key.clone(), counter);
        }
        bounded.counters[&key].inc_by(value);
    }

    fn observe(&self, name: &str, value: f64) {
        let Some(name) = self.admitted(name, "") else { return };
        let mut bounded = self.metrics.bounded();
        let key = (self.dataset.clone(), name.clone());
        if !bounded.histograms.contains_key(&key) {
            let options = HistogramOpts::from(self.options(&name));
            let made = Histogram::with_opts(options).and_then(|histogram| add(&self.metrics.registry, histogram));
            let Ok(histogram) = made else { return };
            bounded.histograms.insert(key.clone(), histogram);
        }
        bounded.histograms[&key].observe(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_cannot_flood_the_registry() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let plugin = DatasetMetrics::new(metrics.clone(), "d");
        for number in 0..1000 {
            plugin.count(&format!("n{number}"), 1);
            plugin.observe(&format!("bad name {number}"), 1.0);
        }
        let text = metrics.render();
        assert_eq!(text.matches("# TYPE gristmill_guest_n").count(), GUEST_METRICS);
        assert!(text.contains(r#"gristmill_guest_metrics_dropped_total{dataset="d"} 1936"#), "{text}");
    }

    #[test]
    fn two_datasets_may_use_one_name() {
        let metrics = Arc::new(Metrics::new().unwrap());
        DatasetMetrics::new(metrics.clone(), "a").count("rows_seen", 2);
        DatasetMetrics::new(metrics.clone(), "b").count("rows_seen", 3);
        let text = metrics.render();
        assert!(text.contains(r#"gristmill_guest_rows_seen_total{dataset="a"} 2"#), "{text}");
        assert!(text.contains(r#"gristmill_guest_rows_seen_total{dataset="b"} 3"#), "{text}");
    }
}
