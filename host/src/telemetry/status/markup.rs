//! Parts of a page, with strangers' texts made harmless.

use std::fmt::{self, Display, Write as _};

use crate::text::line;

/// A text as an element or an attribute may have it.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in line(self.0).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A table with a heading. Its frame stays in place, so that it keeps the focus when its rows change.
pub(super) fn table(id: &str, heading: &str, columns: &[&str], rows: &[String], none: &str) -> String {
    let heads: String = columns.iter().map(|column| format!("<th scope=\"col\">{column}</th>")).collect();
    let rows = match rows.is_empty() {
        true => format!("<tr><td colspan=\"{}\" class=\"soft\">{none}</td></tr>", columns.len()),
        false => rows.concat(),
    };
    format!(
        "<section aria-labelledby=\"{id}-heading\">\n<h2 id=\"{id}-heading\">{heading}</h2>\n\
         <div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-labelledby=\"{id}-heading\">\n\
         <table aria-labelledby=\"{id}-heading\">\n<thead><tr>{heads}</tr></thead>\n\
         <tbody id=\"{id}\" data-live>{rows}</tbody>\n</table>\n</div>\n</section>\n"
    )
}

/// A row of a table, with its head and the classes of its cells.
pub(super) fn row(head: &str, cells: &[(&str, String)]) -> String {
    let mut row = format!("<tr><th scope=\"row\">{}</th>", Text(head));
    for (class, text) in cells {
        let _ = match class.is_empty() {
            true => write!(row, "<td>{}</td>", Text(text)),
            false => write!(row, "<td class=\"{class}\">{}</td>", Text(text)),
        };
    }
    row + "</tr>"
}

/// Names with their values, where each value is known by its name.
pub(super) fn list(id: &str, entries: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let entries = entries.into_iter();
    let entries: String =
        entries.map(|(name, value)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", Text(&value))).collect();
    format!("<dl class=\"facts\" id=\"{id}\" data-live>{entries}</dl>\n")
}
