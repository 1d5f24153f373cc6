//! The dataset file's `[settings]`.

use serde::Deserialize;

/// What is still healthy.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// In °C.
    pub temperature_max: f64,
    /// In °C.
    pub temperature_min: f64,
    /// In %.
    pub humidity_max: f64,
    /// In %.
    pub humidity_min: f64,
    /// In %.
    pub battery_min: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { temperature_max: 35.0, temperature_min: -10.0, humidity_max: 95.0, humidity_min: 5.0, battery_min: 20.0 }
    }
}

impl Settings {
    /// Their JSON Schema.
    pub const SCHEMA: &str = r#"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "temperature_max": { "description": "The highest healthy temperature in °C.", "type": "number", "default": 35 },
            "temperature_min": { "description": "The lowest healthy temperature in °C.", "type": "number", "default": -10 },
            "humidity_max": { "description": "The highest healthy humidity in %.", "type": "number", "default": 95 },
            "humidity_min": { "description": "The lowest healthy humidity in %.", "type": "number", "default": 5 },
            "battery_min": { "description": "The lowest healthy battery level in %.", "type": "number", "default": 20 }
        },
        "additionalProperties": false
    }"#;
}
