//! A few rows of an output, as a table for people.

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use crate::text::line;

/// The widest cell, in characters.
const MAX_CELL: usize = 40;

/// A table of these rows. Long values are cut, control characters written as escapes.
pub fn table(headers: &[String], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(headers.iter().map(|name| cell(name)));
    table.add_rows(rows.iter().map(|row| row.iter().map(|value| cell(value))));
    table.to_string()
}

/// A value from data must not move the cursor or paint the terminal.
fn cell(value: &str) -> String {
    match value.char_indices().nth(MAX_CELL) {
        Some((end, _)) => format!("{}…", line(&value[..end])),
        None => line(value).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::hostile::{self, assert_tame};

    proptest! {
        #[test]
        fn values_stay_in_their_cells(text in hostile::text()) {
            let printed = table(std::slice::from_ref(&text), &[vec![text.clone()]]);
            assert_tame(&printed);
            prop_assert_eq!(printed.lines().count(), 5, "{}", printed);
        }
    }

    #[test]
    fn rows_are_a_table() {
        let text = |row: &[&str]| row.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let rows = [text(&["AE000041196", "1143", "1996-03-06"]), text(&["a\x1b[31m\n", &"ö".repeat(60), ""])];
        insta::assert_snapshot!(table(&text(&["pk", "PRCP", "DATE"]), &rows), @r#"
        ┌───────────────┬───────────────────────────────────────────┬────────────┐
        │ pk            ┆ PRCP                                      ┆ DATE       │
        ╞═══════════════╪═══════════════════════════════════════════╪════════════╡
        │ AE000041196   ┆ 1143                                      ┆ 1996-03-06 │
        │ a\u{1b}[31m\n ┆ öööööööööööööööööööööööööööööööööööööööö… ┆            │
        └───────────────┴───────────────────────────────────────────┴────────────┘
        "#);
    }
}
