//! Items that follow from a beginning, a step and a count. They are made when they are read: there may be millions.

use serde_json::Value;
use time::{Date, Duration};

/// The items of `numbers` or `dates`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// What they are.
    pub(super) of: Of,
    /// How many there are; at least one.
    pub(super) count: i64,
}

/// What the items of a range are, and how far each is from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Numbers {
        from: i64,
        step: i64,
    },
    /// Days; the basic form is `20180131`, the other `2018-01-31` (ISO 8601).
    Days {
        from: Date,
        days: i64,
        basic: bool,
    },
    /// Points in time, in UTC.
    Instants {
        from: Date,
        seconds: i64,
    },
}

impl Range {
    /// How many items there are.
    pub fn count(&self) -> i64 {
        self.count
    }

    /// What a state machine cannot do with them, if they are larger than a payload, and what to do instead.
    pub fn beyond_a_payload(&self) -> String {
        format!(
            "the {} items of the range are larger than a state's payload (256 KiB, Step Functions): write them into an object \
             once, `gristmill items DATASET --out s3://BUCKET/KEY`, and read that: \
             `item_reader = {{ json_lines = \"s3://BUCKET/KEY\" }}`; or make the step larger",
            self.count
        )
    }

    /// The items in order.
    pub fn items(self) -> impl Iterator<Item = Value> + Send {
        (0..self.count).map(move |place| self.of.item(place))
    }
}

impl Of {
    /// The parser has seen that the last item is a number, or a day, that there is: nothing saturates.
    fn item(self, place: i64) -> Value {
        match self {
            Self::Numbers { from, step } => Value::from(from.saturating_add(place.saturating_mul(step))),
            Self::Days { from, days, basic } => {
                let text = from.saturating_add(Duration::days(place.saturating_mul(days))).to_string();
                Value::from(if basic { text.replace('-', "") } else { text })
            }
            Self::Instants { from, seconds } => {
                let at = from.midnight().saturating_add(Duration::seconds(place.saturating_mul(seconds)));
                let (hour, minute, second) = at.as_hms();
                Value::from(format!("{}T{hour:02}:{minute:02}:{second:02}Z", at.date()))
            }
        }
    }
}
