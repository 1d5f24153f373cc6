//! What is wrong with a dataset file: everything at once, each with its place and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::text::{block, line, without_mark};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The dataset file.
    pub file: PathBuf,
    /// Where in the file. None when the file could not be read, or before [`super::locate`] has found it.
    pub position: Option<Position>,
    /// Which key.
    pub place: Place,
    /// What was found.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// What is wrong, and what to do.
pub(crate) type Complaint = (String, Option<String>);

impl Finding {
    /// A finding about the file as a whole.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.into(), position: None, place: Place::default(), message: message.into(), help: None }
    }
}

/// A line and a column, both from 1; a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the type says it")]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// The position of a byte in a text.
    pub(super) fn of(text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: without_mark(&before[line_start..]).chars().count() + 1 }
    }
}

/// A key within the file: `map.item_reader.csv`, `output[1].key[0]` (from 0). Empty for the file itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(pub(super) Vec<Step>);

/// One step towards a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Place {
    /// The key `name` below this place.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        self.step(Step::Key(name.into()))
    }

    /// The element `index` below this place.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if n > 0 { "." } else { "" };
                    let bare =
                        key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') && !key.is_empty();
                    if bare { write!(f, "{dot}{key}")? } else { write!(f, "{dot}{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", line(&self.file.display().to_string()))?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if !self.place.0.is_empty() {
            write!(f, ": {}", self.place)?;
        }
        // A message may show what the file or the component has: its lines never look like findings of ours.
        write!(f, ": {}", block(&self.message, "      "))?;
        if let Some(help) = &self.help {
            write!(f, "\n    help: {}", block(help, "      "))?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a dataset file, in the file's order; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings(pub Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, finding) in self.0.iter().enumerate() {
            let newline = if n > 0 { "\n" } else { "" };
            write!(f, "{newline}{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}

impl From<Vec<Finding>> for Findings {
    fn from(findings: Vec<Finding>) -> Self {
        Self(findings)
    }
}

/// Help for a name that is not among the valid ones: the nearest of them, or all.
pub(super) fn nearest<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let valid: Vec<&str> = valid.into_iter().collect();
    let close = valid
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), *candidate))
        .min()
        // One mistake in three letters is a slip; more is another word.
        .filter(|(distance, candidate)| *distance <= candidate.len().max(name.len()).div_ceil(3));
    match close {
        Some((_, candidate)) => Some(format!("did you mean `{candidate}`?")),
        None if valid.is_empty() => None,
        None => Some(format!("valid here: {}", quoted(&valid))),
    }
}

/// `a`, `b`, `c`
pub(super) fn quoted<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::hostile::{self, assert_tame, edges};

    #[test]
    fn positions_count_lines_and_characters() {
        let text = "äö\nx = 1";
        assert_eq!(Position::of(text, 0), Position { line: 1, column: 1 });
        assert_eq!(Position::of(text, 4), Position { line: 1, column: 3 });
        assert_eq!(
            Position::of("\u{feff}x = 1", 3),
            Position { line: 1, column: 1 },
            "a byte order mark is no character"
        );
        assert_eq!(Position::of(text, 5), Position { line: 2, column: 1 });
        assert_eq!(Position::of(text, 1), Position { line: 2, column: 6 }, "inside a character counts as the end");
    }

    #[test]
    fn the_nearest_name_is_offered_and_otherwise_all() {
        assert_eq!(nearest("heart_beat", ["heartbeat", "timeout"]).unwrap(), "did you mean `heartbeat`?");
        assert_eq!(nearest("MEMORY", ["memory", "timeout"]).unwrap(), "did you mean `memory`?");
        assert_eq!(nearest("colour", ["memory", "timeout"]).unwrap(), "valid here: `memory`, `timeout`");
        assert_eq!(nearest("x", []), None);
    }

    proptest! {
        #[test]
        fn what_a_finding_shows_is_no_finding_of_ours(text in hostile::text()) {
            let text = format!("x{text}");
            let mut finding = Finding::of_file(Path::new(&text), text.clone());
            finding.place = Place::default().key(&text);
            finding.help = Some(text.clone());
            let printed = finding.to_string();
            assert_tame(&printed);
            prop_assert_eq!(edges(&printed, 6), [0, 4], "{}", printed);
        }
    }

    #[test]
    fn places_read_like_toml() {
        let place = Place::default().key("output").index(1).key("key").index(0).key("a b");
        assert_eq!(place.to_string(), r#"output[1].key[0]."a b""#);
    }
}
