//! What there is to do: how many batches, when they come, and how long each takes.

use serde::Deserialize;

/// The batches of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// How many there are.
    pub batches: u32,
    /// How many items each has.
    pub items_per_batch: u32,
    /// When they come.
    pub arrivals: Arrivals,
    /// How long each takes.
    pub time: BatchTime,
    /// `HeartbeatSeconds`, in seconds: how long a message may wait.
    pub heartbeat: f64,
    /// How often the waiting state tries again.
    pub retries: u8,
}

/// When batches come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// A Distributed Map: all are there, and so many are open at once.
    Map {
        /// `MaxConcurrency`
        max_concurrency: u32,
    },
    /// One by one, by chance, whatever becomes of the others.
    Poisson {
        /// How many on average.
        per_second: f64,
    },
}

/// How long a batch takes, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchTime {
    /// Always as long.
    Fixed(f64),
    /// Evenly between two.
    Uniform(f64, f64),
    /// Mostly short, sometimes long, with this mean.
    Exponential(f64),
    /// A median, and by which factor a third of the batches is beyond it.
    LogNormal(f64, f64),
    /// What was measured, one after the other.
    Measured(Vec<f64>),
}

impl BatchTime {
    /// The time of a batch, never less than a millisecond.
    pub(super) fn of(&self, batch: u32, rng: &mut fastrand::Rng) -> f64 {
        // Never zero, so that its logarithm is finite.
        let mut chance = || 1.0 - rng.f64();
        let time = match self {
            Self::Fixed(seconds) => *seconds,
            Self::Uniform(from, to) => from + (to - from) * chance(),
            Self::Exponential(mean) => -chance().ln() * mean,
            Self::LogNormal(median, factor) => {
                let normal = (-2.0 * chance().ln()).sqrt() * (std::f64::consts::TAU * chance()).cos();
                median * (normal * factor.ln()).exp()
            }
            Self::Measured(times) => times.get(batch as usize % times.len().max(1)).copied().unwrap_or_default(),
        };
        time.max(0.001)
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Fixed(seconds) | Self::Exponential(seconds) => *seconds,
            Self::Uniform(from, to) => f64::midpoint(*from, *to),
            Self::LogNormal(median, factor) => median * (factor.ln().powi(2) / 2.0).exp(),
            Self::Measured(times) => times.iter().sum::<f64>() / times.len().max(1) as f64,
        }
    }
}

impl std::str::FromStr for BatchTime {
    type Err = String;

    /// `30`, `20..60`, `exponential:30`, `lognormal:30,1.5`
    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = |text: &str| match text.trim().trim_end_matches('s').parse::<f64>() {
            Ok(number) if number > 0.0 && number <= 43_200.0 => Ok(number),
            _ => Err(format!("`{text}` is no time of a batch: a number of seconds above 0, up to 43200 (12 hours)")),
        };
        match text.split_once(':') {
            Some(("exponential", mean)) => Ok(Self::Exponential(seconds(mean)?)),
            Some(("lognormal", both)) => {
                let (median, factor) =
                    both.split_once(',').ok_or("`lognormal:` has a median and a factor: `lognormal:30,1.5`")?;
                let factor = factor.trim().parse().ok().filter(|factor| (1.0..=10.0).contains(factor));
                Ok(Self::LogNormal(
                    seconds(median)?,
                    factor.ok_or("the factor of `lognormal:` is a number from 1 to 10")?,
                ))
            }
            Some((other, _)) => Err(format!("`{other}` is no distribution: `exponential` or `lognormal`")),
            None => match text.split_once("..") {
                Some((from, to)) => {
                    let (from, to) = (seconds(from)?, seconds(to)?);
                    if from <= to {
                        Ok(Self::Uniform(from, to))
                    } else {
                        Err(format!("`{text}` ends before it begins"))
                    }
                }
                None => Ok(Self::Fixed(seconds(text)?)),
            },
        }
    }
}

/// What a worker's log says of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The seconds of each batch that came to an answer.
    pub seconds: Vec<f64>,
    /// Their items.
    pub items: u64,
}

/// Reads the log of workers in JSON: its lines `batch` with `millis` and `items`. Other lines are passed over.
pub fn measured(log: &str) -> Result<Measured, String> {
    #[derive(Deserialize)]
    struct Line {
        message: String,
        fate: Option<String>,
        millis: Option<u64>,
        items: Option<u64>,
        replayed: Option<bool>,
    }
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let mut measured = Measured { seconds: Vec::new(), items: 0 };
    for line in lines {
        // What was answered from a receipt took no time that says anything.
        let is_run = line.message == "batch" && line.fate.as_deref() == Some("acked") && line.replayed != Some(true);
        if let (true, Some(millis), Some(items)) = (is_run, line.millis, line.items) {
            measured.seconds.push(millis as f64 / 1000.0);
            measured.items += items;
        }
    }
    if measured.seconds.is_empty() {
        let first = log.lines().next().unwrap_or_default().chars().take(80).collect::<String>();
        return Err(format!(
            "no line of it is that of a batch which a worker answered; expected is a worker's log with `--log-format json`, and \
             its first line is `{first}`"
        ));
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_batches_are_read() {
        let read = |text: &str| text.parse::<BatchTime>();
        assert_eq!(read("30"), Ok(BatchTime::Fixed(30.0)));
        assert_eq!(read("1.5s"), Ok(BatchTime::Fixed(1.5)));
        assert_eq!(read("20..60"), Ok(BatchTime::Uniform(20.0, 60.0)));
        assert_eq!(read("exponential:30"), Ok(BatchTime::Exponential(30.0)));
        assert_eq!(read("lognormal:30,1.5"), Ok(BatchTime::LogNormal(30.0, 1.5)));
        for (text, said) in [
            ("0", "`0` is no time of a batch"),
            ("-1", "`-1` is no time of a batch"),
            ("NaN", "`NaN` is no time of a batch"),
            ("60..20", "`60..20` ends before it begins"),
            ("normal:3", "`normal` is no distribution"),
            ("lognormal:3", "`lognormal:` has a median and a factor"),
            ("lognormal:3,99", "the factor of `lognormal:` is a number from 1 to 10"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.starts_with(said), "{refused}");
        }
    }

    #[test]
    fn what_is_drawn_has_the_mean_that_is_said() {
        let mut rng = fastrand::Rng::with_seed(1);
        for text in ["30", "20..60", "exponential:30", "lognormal:30,1.5"] {
            let time: BatchTime = text.parse().unwrap();
            let mean = (0..50_000).map(|batch| time.of(batch, &mut rng)).sum::<f64>() / 50_000.0;
            assert!((mean / time.mean() - 1.0).abs() < 0.02, "{text}: {mean} {}", time.mean());
        }
    }

    #[test]
    fn a_workers_log_says_how_long_batches_took() {
        let batch = |rest: &str| format!(r#"{{"level":"INFO","message":"batch",{rest},"target":"t"}}"#);
        let log = [
            r#"{"level":"INFO","message":"ready"}"#.to_owned(),
            batch(r#""fate":"acked","millis":1500,"items":10,"replayed":false"#),
            batch(r#""fate":"acked","millis":2,"items":10,"replayed":true"#),
            batch(r#""fate":"returned","millis":9,"items":10"#),
            "no JSON".to_owned(),
            batch(r#""fate":"acked","millis":500,"items":4,"replayed":false"#),
        ];
        assert_eq!(measured(&log.join("\n")), Ok(Measured { seconds: vec![1.5, 0.5], items: 14 }));
        assert!(measured("2026-11-20T07:09:37Z  INFO starting").unwrap_err().contains("`--log-format json`"));
    }
}
