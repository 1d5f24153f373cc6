//! The logic alone, so that it is tested and measured without a host.

use gristmill_plugin::Failure;
use gristmill_plugin::table::Date;
use serde::Serialize;

use crate::settings::Settings;

/// What a device measures, in the order of [`Reading::values`].
pub const METRICS: [&str; 5] = ["temperature", "humidity", "batterylevel", "latitude", "longitude"];

/// One reading of a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading<T> {
    /// The device.
    pub deviceid: Option<T>,
    /// When it measured, in ISO 8601.
    pub timestamp: Option<T>,
    /// What it measured: [`METRICS`].
    pub values: [Option<f64>; METRICS.len()],
}

impl Reading<String> {
    /// The same with texts that lie here.
    #[must_use]
    pub fn as_deref(&self) -> Reading<&str> {
        Reading { deviceid: self.deviceid.as_deref(), timestamp: self.timestamp.as_deref(), values: self.values }
    }
}

/// A reading's row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary<'a> {
    /// The device.
    pub deviceid: &'a str,
    /// When it measured.
    pub readingtimestamp: &'a str,
    /// The date of that.
    pub analysisdate: Date,
    /// How many readings the row is of.
    pub readingscount: i64,
    /// What it measured.
    pub metrics: Metrics,
    /// What left its thresholds.
    pub anomalies: Vec<Anomaly>,
    /// How many of them there are.
    pub anomalycount: i64,
    /// `healthy` or `anomalies_detected`.
    pub healthstatus: &'static str,
}

/// What was measured; the first three with two decimals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Metrics {
    temperature: Option<f64>,
    humidity: Option<f64>,
    batterylevel: Option<f64>,
    latitude: Option<f64>,
    longitude: Option<f64>,
}

/// A value that left its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Anomaly {
    /// `temperature_spike`, `humidity_anomaly` or `low_battery`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The value as it was measured.
    pub value: f64,
    /// What it left.
    pub threshold: f64,
}

/// What was seen of an item: its entry in the batch's report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All readings.
    pub readings: u64,
    /// Those with an anomaly at least.
    pub with_anomalies: u64,
}

impl Counts {
    /// Sums a reading up, and counts it.
    ///
    /// # Errors
    /// Rejects a reading without a device, or without a timestamp that begins with a date.
    pub fn summary<'a>(&mut self, reading: &Reading<&'a str>, settings: &Settings) -> Result<Summary<'a>, Failure> {
        let text = |value, name| match value {
            None | Some("") => Err(Failure::reject("BadReading", format!("it has no `{name}`"))),
            Some(text) => Ok(text),
        };
        let (deviceid, readingtimestamp) = (text(reading.deviceid, "deviceid")?, text(reading.timestamp, "timestamp")?);
        let analysisdate = date(readingtimestamp).ok_or_else(|| {
            Failure::reject("BadReading", format!("its timestamp {readingtimestamp:?} does not begin with a date"))
        })?;
        // JSON has no NaN. It is no anomaly either, because it compares with nothing.
        let [temperature, humidity, batterylevel, latitude, longitude] =
            reading.values.map(|value| value.filter(|value| value.is_finite()));
        let anomalies = anomalies(temperature, humidity, batterylevel, settings);
        self.readings += 1;
        self.with_anomalies += u64::from(!anomalies.is_empty());
        let [temperature, humidity, batterylevel] = [temperature, humidity, batterylevel].map(|v| v.map(rounded));
        Ok(Summary {
            deviceid,
            readingtimestamp,
            analysisdate,
            readingscount: 1,
            metrics: Metrics { temperature, humidity, batterylevel, latitude, longitude },
            anomalycount: anomalies.len() as i64,
            healthstatus: if anomalies.is_empty() { "healthy" } else { "anomalies_detected" },
            anomalies,
        })
    }
}

/// The day that a timestamp of ISO 8601 begins with; none where it does not.
fn date(timestamp: &str) -> Option<Date> {
    let bytes = timestamp.as_bytes();
    let number = |from: usize, to: usize| {
        let digits = bytes.get(from..to)?;
        let digit = |number, byte: &u8| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'));
        digits.iter().try_fold(0_u32, digit)
    };
    let date = Date::from_ymd(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let ends = bytes.get(10).is_none_or(|byte| matches!(byte, b'T' | b' '));
    (bytes[4] == b'-' && bytes[7] == b'-' && ends).then_some(date)
}

fn anomalies(
    temperature: Option<f64>,
    humidity: Option<f64>,
    batterylevel: Option<f64>,
    settings: &Settings,
) -> Vec<Anomaly> {
    let Settings { temperature_max, temperature_min, humidity_max, humidity_min, battery_min } = *settings;
    let above = |kind, value: Option<f64>, threshold| {
        value.filter(|value| *value > threshold).map(|value| Anomaly { kind, value, threshold })
    };
    let below = |kind, value: Option<f64>, threshold| {
        value.filter(|value| *value < threshold).map(|value| Anomaly { kind, value, threshold })
    };
    let all = [
        above("temperature_spike", temperature, temperature_max)
            .or_else(|| below("temperature_spike", temperature, temperature_min)),
        above("humidity_anomaly", humidity, humidity_max).or_else(|| below("humidity_anomaly", humidity, humidity_min)),
        below("low_battery", batterylevel, battery_min),
    ];
    all.into_iter().flatten().collect()
}

/// The nearest number with two decimals, as Python's `round` gives it.
fn rounded(value: f64) -> f64 {
    let hundreds = value * 100.0;
    let (whole, part) = (hundreds.trunc(), hundreds.fract().abs());
    // Away from the middle and among small numbers, the product is near enough to say which one is nearest.
    if hundreds.abs() < 1e9 && (part - 0.5).abs() > 1e-6 {
        let up = if part > 0.5 { 1.0_f64.copysign(hundreds) } else { 0.0 };
        return ((whole + up) / 100.0).copysign(value);
    }
    format!("{value:.2}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(values: [Option<f64>; 5]) -> Summary<'static> {
        let reading = Reading { deviceid: Some("d"), timestamp: Some("2026-02-28T01:02:03Z"), values };
        Counts::default().summary(&reading, &Settings::default()).unwrap()
    }

    #[test]
    fn only_what_leaves_a_threshold_is_an_anomaly() {
        let none = [Some(35.0), Some(95.0), Some(20.0), None, None];
        assert_eq!(
            (judged(none).anomalies, judged([Some(-10.0), Some(5.0), None, None, None]).anomalies),
            (vec![], vec![])
        );
        let nothing = judged([Some(f64::NAN), None, None, None, None]);
        assert_eq!((nothing.metrics.temperature, nothing.healthstatus), (None, "healthy"));
        let all = judged([Some(-10.004), Some(95.5), Some(19.999), None, None]);
        let anomaly = |kind, value, threshold| Anomaly { kind, value, threshold };
        let expected = [
            anomaly("temperature_spike", -10.004, -10.0),
            anomaly("humidity_anomaly", 95.5, 95.0),
            anomaly("low_battery", 19.999, 20.0),
        ];
        assert_eq!(all.anomalies, expected);
        assert_eq!((all.anomalycount, all.healthstatus), (3, "anomalies_detected"));
        assert_eq!(all.metrics.temperature, Some(-10.0));
        assert_eq!(all.analysisdate.to_string(), "2026-02-28");
    }

    #[test]
    fn a_reading_without_its_key_is_rejected() {
        let said = |deviceid, timestamp| {
            let reading = Reading { deviceid, timestamp, values: [None; 5] };
            Counts::default().summary(&reading, &Settings::default()).unwrap_err().to_string()
        };
        let day = Some("2026-02-28");
        assert_eq!(said(None, day), "BadReading: it has no `deviceid`");
        assert_eq!(said(Some(""), day), "BadReading: it has no `deviceid`");
        assert_eq!(said(Some("d"), None), "BadReading: it has no `timestamp`");
        for timestamp in ["2026-02-29T00:00:00Z", "2026-2-28", "20260228", "2026-02-28x", "2026-02-2é"] {
            let expected = format!("BadReading: its timestamp {timestamp:?} does not begin with a date");
            assert_eq!(said(Some("d"), Some(timestamp)), expected);
        }
    }

    proptest! {
        #[test]
        fn two_decimals_are_those_that_printing_gives(value in prop_oneof![any::<f64>(), -1e4..1e4_f64, (-10_000..10_000_i32).prop_map(|n| f64::from(n) / 1000.0)]) {
            prop_assume!(value.is_finite());
            let printed: f64 = format!("{value:.2}").parse().unwrap();
            prop_assert_eq!(rounded(value).to_bits(), printed.to_bits());
        }
    }
}
