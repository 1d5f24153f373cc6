//! What a component says of itself, as the contract's `manifest` record: filled by the runtime, compared with the dataset
//! file in [`super::check`].

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Column;
use super::names::{NAME_RULE, is_name};

/// The longest name or version, in bytes: both are for people.
const MAX_NAME: usize = 255;

/// What a component says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// A sentence for people.
    pub description: String,
    /// The JSON Schema (2020-12) of the settings; `{}` accepts everything.
    #[serde(with = "text")]
    pub settings_schema: Value,
    /// Every output that the plugin may emit to.
    pub outputs: Vec<OutputShape>,
}

/// One of the outputs of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputShape {
    /// The name used with `emit`.
    pub name: String,
    /// A sentence for people.
    pub description: String,
    /// In the order in which they are written. The dataset file may give its own columns instead.
    pub columns: Vec<Column>,
}

impl Manifest {
    /// A sentence about the first name that is invalid or there twice.
    pub fn objection(&self) -> Option<String> {
        for (what, name) in [("name", &self.name), ("version", &self.version)] {
            if !is_readable(name) {
                return Some(format!("its {what} is {}: {READABLE}", quoted(name)));
            }
        }
        twice(self.outputs.iter().map(|output| &output.name))
            .map(|name| format!("two of its outputs are called {}", quoted(name)))
            .or_else(|| self.outputs.iter().find_map(OutputShape::objection))
    }
}

impl OutputShape {
    fn objection(&self) -> Option<String> {
        let output = quoted(&self.name);
        if !is_name(&self.name) {
            return Some(format!("an output is called {output}: {NAME_RULE}"));
        }
        let column = self.columns.iter().find(|column| !is_readable(&column.name));
        if let Some(column) = column {
            return Some(format!("a column of its output {output} is called {}: {READABLE}", quoted(&column.name)));
        }
        let column = twice(self.columns.iter().map(|column| &column.name))?;
        Some(format!("two columns of its output {output} are called {}", quoted(column)))
    }
}

const READABLE: &str = "that takes 1 to 255 bytes of characters that can be seen, and more than dots";

/// Whether people and stores can tell this name from others.
fn is_readable(name: &str) -> bool {
    let seen = |c: char| !c.is_control() && !is_invisible(c);
    (1..=MAX_NAME).contains(&name.len())
        && name.trim() == name
        && name.chars().all(seen)
        && name.chars().any(|c| c != '.')
}

/// Characters that take no place, or turn the direction of those around them (Unicode's `Cf`, as far as it is known for that).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The name between quotes, with what cannot be seen in it written out, and cut where it is long.
fn quoted(name: &str) -> String {
    let start: String = name.chars().take(80).collect();
    let escape = |c: char| if is_invisible(c) { c.escape_unicode().to_string() } else { c.escape_debug().to_string() };
    let dots = if start.len() < name.len() { "…" } else { "" };
    format!("\"{}{dots}\"", start.chars().map(escape).collect::<String>())
}

fn twice<'n>(names: impl Iterator<Item = &'n String>) -> Option<&'n str> {
    let mut seen = HashSet::new();
    names.map(String::as_str).find(|name| !seen.insert(*name))
}

/// Writes JSON as a string. Directly within other JSON, a schema that can be parsed alone could be nested too deeply.
mod text {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
        value.to_string().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        serde_json::from_str(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::ColumnType;

    fn output(name: &str, columns: &[&str]) -> OutputShape {
        let column = |name: &&str| Column { name: (*name).into(), kind: ColumnType::Text, nullable: false };
        OutputShape { name: name.into(), description: String::new(), columns: columns.iter().map(column).collect() }
    }

    fn manifest(name: &str, outputs: Vec<OutputShape>) -> Manifest {
        Manifest {
            name: name.into(),
            version: "1.0.0".into(),
            description: String::new(),
            settings_schema: Value::Object(serde_json::Map::default()),
            outputs,
        }
    }

    #[test]
    fn names_that_name_something_are_taken() {
        let columns = ["pk", "Höhe (m)", "0", "a.b", "$.x", "日付", "…"];
        let outputs = vec![output("stations", &columns), output("daily-2", &[]), output("Daily_2", &columns)];
        assert_eq!(manifest("my plugin", outputs).objection(), None);
    }

    #[test]
    fn names_that_name_nothing_are_refused_with_one_sentence() {
        let long = "x".repeat(64);
        for name in ["", ".", "..", "a/b", "a b", "-a", "\u{202e}a", "a\n", long.as_str()] {
            let said = manifest("p", vec![output("good", &[]), output(name, &["pk"])]).objection().unwrap();
            assert!(said.starts_with("an output is called \"") && !said.contains(['\n', '\u{202e}']), "{said}");
        }
        let long = "x".repeat(256);
        for name in ["", ".", "..", " ", " a", "a\r", "\u{1b}[2J", "a\u{200b}", "\u{202e}a", "\u{85}", long.as_str()] {
            let said = manifest("p", vec![output("rows", &["pk", name])]).objection().unwrap();
            assert!(said.starts_with("a column of its output \"rows\" is called \""), "{said}");
            assert!(said.chars().all(|c| !c.is_control() && !is_invisible(c)) && said.len() < 250, "{said}");
            let said = manifest(name, vec![]).objection().unwrap();
            assert!(said.starts_with("its name is \""), "{said}");
            let said = Manifest { version: name.into(), ..manifest("p", vec![]) }.objection().unwrap();
            assert!(said.starts_with("its version is \""), "{said}");
        }
    }

    #[test]
    fn names_that_are_there_twice_are_refused() {
        let said = |outputs| manifest("p", outputs).objection().unwrap();
        assert_eq!(
            said(vec![output("a", &[]), output("b", &[]), output("a", &[])]),
            "two of its outputs are called \"a\""
        );
        assert_eq!(said(vec![output("a", &["pk", "n", "pk"])]), "two columns of its output \"a\" are called \"pk\"");
    }

    #[test]
    fn a_manifest_goes_through_json_however_deep_its_schema_is() {
        let deep = format!("{}{}", "[".repeat(126), "]".repeat(126));
        let manifest = Manifest {
            settings_schema: serde_json::from_str(&deep).unwrap(),
            ..manifest("p", vec![output("a", &["pk"])])
        };
        let text = serde_json::to_string(&[[&manifest]]).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Vec<Manifest>>>(&text).unwrap(), [[manifest]]);
    }
}
