//! The dataset file's `[settings]`.

use serde::Deserialize;

/// What the first stage reads. The second one needs none of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the images are: `YYYY/MM/DD/` follows.
    pub images: Option<String>,
    /// The points.
    pub points: Option<Points>,
    /// Rows and columns of every image.
    pub grid: [u64; 2],
    /// What a file that cannot be read is.
    pub unreadable: Unreadable,
}

/// Where the points are written.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Points {
    /// Here, as rows and columns; their places are their ids.
    Here(Vec<[u64; 2]>),
    /// In an object: CSV with `point_id`, `row` and `column`.
    Object(String),
}

/// What a file of a day that cannot be read is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Unreadable {
    /// An entry of the item's report; the day's other files count.
    #[default]
    Report,
    /// The end of the item.
    Reject,
}

impl Default for Settings {
    fn default() -> Self {
        Self { images: None, points: None, grid: [3201, 3201], unreadable: Unreadable::Report }
    }
}

impl Settings {
    /// Their JSON Schema.
    pub const SCHEMA: &str = r#"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "images": { "description": "Stage extract: where the images are, up to the year.", "type": "string", "pattern": "^s3://" },
            "points": {
                "description": "Stage extract: the points, as rows and columns, or the object that has them as CSV (point_id,row,column).",
                "anyOf": [
                    { "type": "string", "pattern": "^s3://" },
                    {
                        "type": "array",
                        "minItems": 1,
                        "items": { "type": "array", "items": { "type": "integer", "minimum": 0 }, "minItems": 2, "maxItems": 2 }
                    }
                ]
            },
            "grid": {
                "description": "Stage extract: the rows and columns of every image.",
                "type": "array",
                "items": { "type": "integer", "minimum": 1 },
                "minItems": 2,
                "maxItems": 2,
                "default": [3201, 3201]
            },
            "unreadable": {
                "description": "Stage extract: what a file that cannot be read is: an entry of its day's report, or the end of its day.",
                "enum": ["report", "reject"],
                "default": "report"
            }
        },
        "additionalProperties": false
    }"#;
}
