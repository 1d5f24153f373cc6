//! What an item may be.

use gristmill_plugin::Failure;
use gristmill_plugin::table::Date;
use serde::Deserialize;

/// Work of one of the two stages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "it is neither a slice of a table (`query`, `window`) nor a file of the raw zone (`uri`, `partition`)"
)]
pub(crate) enum Item {
    /// A slice of a table.
    Slice(Slice),
    /// A file of the raw zone.
    File(File),
}

/// A slice of a table, as gristmill plans it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Slice {
    pub(crate) connection: String,
    pub(crate) query: String,
    pub(crate) parameters: Vec<String>,
    pub(crate) window: Window,
}

/// Which rows the run takes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Window {
    /// None takes everything from the beginning.
    #[serde(default)]
    pub(crate) start: Option<String>,
    /// `2024-01-05T12:00:00Z`
    pub(crate) stop: String,
}

/// A file of the raw zone, with its place there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct File {
    pub(crate) uri: String,
    pub(crate) partition: Load,
}

/// What a run took, as it stands in the path.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Load {
    pub(crate) load: String,
    pub(crate) load_date: String,
    pub(crate) window: String,
}

impl Window {
    /// Where the rows of the window lie.
    pub(crate) fn load(&self) -> Load {
        let load = if self.start.is_some() { "incremental" } else { "full" };
        Load {
            load: load.into(),
            load_date: self.stop.chars().take(10).collect(),
            window: self.stop.chars().filter(|character| !matches!(character, '-' | ':')).collect(),
        }
    }
}

impl Load {
    /// The day on which the window stopped.
    pub(crate) fn date(&self) -> Result<i32, Failure> {
        let number = |range: std::ops::Range<usize>| self.load_date.get(range)?.parse().ok();
        let date = (|| {
            let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
            Date::from_ymd(year, month, day)
        })();
        date.map(|Date(days)| days).ok_or_else(|| {
            Failure::reject("BadItem", format!("`{}` is not the day on which a window stops", self.load_date))
        })
    }
}

#[cfg(test)]
mod tests {
    use gristmill_plugin::json;

    use super::*;

    #[test]
    fn a_window_says_where_its_rows_lie() {
        let item: Item = serde_json::from_value(json!({
            "connection": "shop", "table": "public.shipments", "slice": 1, "slices": 4, "query": "SELECT 1", "parameters": [],
            "window": {"start": "2024-01-04T00:00:00Z", "stop": "2024-01-05T11:59:59.5Z"},
        }))
        .unwrap();
        let Item::Slice(slice) = item else { panic!("a slice is a slice") };
        let load = slice.window.load();
        assert_eq!((load.load.as_str(), load.window.as_str()), ("incremental", "20240105T115959.5Z"));
        assert_eq!(load.date().unwrap(), 19_727);
        let full = Window { start: None, ..slice.window };
        assert_eq!(full.load().load, "full");
        assert!(Load { load_date: "2024-13-05".into(), ..load }.date().is_err());
    }

    #[test]
    fn what_is_no_item_is_said_to_be_none() {
        let error = serde_json::from_value::<Item>(json!({"Key": "a"})).unwrap_err().to_string();
        assert!(error.contains("neither a slice of a table"), "{error}");
    }
}
