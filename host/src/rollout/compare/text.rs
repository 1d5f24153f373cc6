//! A comparison for people.

use std::fmt;

use bytesize::ByteSize;

use super::comparison::{Comparison, Difference, SchemaChange, Subject};
use crate::text::line;

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = Vec::new();
        for (count, what) in [
            (self.same, "the same"),
            (self.changed, "changed"),
            (self.newly_failing, "newly failing"),
            (self.newly_succeeding, "newly succeeding"),
        ] {
            if count > 0 || what == "the same" {
                counts.push(format!("{count} {what}"));
            }
        }
        writeln!(f, "  items      {}: {}", self.items, counts.join(", "))?;
        if self.undecided > 0 {
            writeln!(f, "  undecided  {}: a store did not answer", self.undecided)?;
        }
        for change in &self.schema {
            writeln!(f, "  outputs    {}", line(&change.to_string()))?;
        }
        for (output, rows) in &self.rows {
            writeln!(
                f,
                "  rows       {}: {} the same, {} changed, {} added, {} removed",
                line(output),
                rows.same,
                rows.changed,
                rows.added,
                rows.removed
            )?;
        }
        if let Some(ratio) = self.time.median_ratio() {
            let seconds = |micros: u64| micros as f64 / 1e6;
            let (old, new) = (seconds(self.time.old_micros), seconds(self.time.new_micros));
            writeln!(f, "  time       {old:.3} s before, {new:.3} s after; of one item {ratio:.2} times (median)")?;
        }
        let size = |bytes| ByteSize(bytes).display().iec();
        writeln!(f, "  memory     {} before, {} after, at most", size(self.memory.old), size(self.memory.new))?;
        let mut last = None;
        for difference in &self.first {
            if last.replace(difference.item) != Some(difference.item) {
                let name = difference.name.as_ref().map(|name| format!(" ({})", line(name))).unwrap_or_default();
                writeln!(f, "  item {}{name}", difference.item)?;
            }
            // Rows, keys and messages: what plugins and data say.
            writeln!(f, "    {}", line(&difference.to_string()))?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Outcome => {}
            Subject::Result => write!(f, "the returned value: ")?,
            Subject::Row { output, key, column: None } => write!(f, "{output}: {key}: ")?,
            Subject::Row { output, key, column: Some(column) } => write!(f, "{output}: {key}: {column}: ")?,
        }
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{old} → {new}"),
            (Some(old), None) => write!(f, "removed {old}"),
            (None, Some(new)) => write!(f, "added {new}"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |key: &str| if key.is_empty() { "no key".to_owned() } else { format!("the key {key}") };
        match self {
            Self::OutputAdded { output } => write!(f, "{output} is new"),
            Self::OutputRemoved { output } => write!(f, "{output} is no more"),
            Self::ColumnAdded { output, column } => write!(f, "{output} has a new column `{column}`"),
            Self::ColumnRemoved { output, column } => write!(f, "{output} has no column `{column}` any more"),
            Self::ColumnType { output, column, old, new } => {
                write!(f, "{output}: column `{column}` was {old}, is {new}")
            }
            Self::Key { output, old, new } => write!(f, "{output} had {}, has {}", key(old), key(new)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::hostile::{self, assert_tame, edges};

    fn told_by(text: &str) -> String {
        let difference = |subject| Difference {
            item: 0,
            name: Some(text.into()),
            subject,
            old: Some(text.into()),
            new: Some(text.into()),
        };
        let row = Subject::Row { output: text.into(), key: text.into(), column: Some(text.into()) };
        let found = Comparison {
            rows: [(text.to_owned(), Default::default())].into(),
            schema: [SchemaChange::ColumnAdded { output: text.into(), column: text.into() }].into(),
            first: vec![difference(Subject::Outcome), difference(row)],
            ..Comparison::default()
        };
        found.to_string()
    }

    proptest! {
        #[test]
        fn nobody_fakes_a_line_of_a_comparison(text in hostile::text()) {
            let printed = told_by(&format!("x{text}"));
            assert_tame(&printed);
            prop_assert_eq!(edges(&printed, usize::MAX), edges(&told_by("honest"), usize::MAX), "{}", printed);
        }
    }
}
