//! What strangers wrote (manifests, keys, messages of failures) as a terminal may have it: nothing in it moves the cursor,
//! paints, turns the direction of reading, or hides.
//!
//! Two things hold, and a command that prints needs both. Whatever is printed passes [`lines`] or [`json`] at the edge, so that
//! nothing steers the terminal. And within a text of ours a stranger's part is a [`line`] or a [`block`], so that it cannot
//! begin a line that looks like ours.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character does anything but show in its place: the controls (C0 and C1), and the format characters
/// that turn the direction of reading, break lines or have no width.
fn steers(c: char) -> bool {
    let format = matches!(
        c,
        '\u{ad}' // soft hyphen
            | '\u{61c}' // Arabic letter mark
            | '\u{180e}' // Mongolian vowel separator
            | '\u{200b}'..='\u{200f}' // zero width, left-to-right and right-to-left marks
            | '\u{2028}'..='\u{202e}' // line and paragraph separators, embeddings and overrides
            | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, isolates
            | '\u{feff}' // byte order mark
            | '\u{fff9}'..='\u{fffb}' // annotations
            | '\u{e0000}'..='\u{e007f}' // tags
    );
    format || c.is_control()
}

/// A text on one line: what steers, line breaks too, is written as an escape.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, steers, |out, c| out.extend(c.escape_default()))
}

/// The same with its line breaks: for a whole text of ours, when it is printed.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && steers(c), |out, c| out.extend(c.escape_default()))
}

/// A text that may have several lines, inside one of ours: its further lines begin with `indent`, never at the edge. Empty ones
/// stay empty.
pub(crate) fn block(text: &str, indent: &str) -> String {
    let shown = lines(text.trim_end_matches('\n'));
    let mut lines = shown.split('\n');
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |block, line| block + "\n" + if line.is_empty() { "" } else { indent } + line)
}

/// JSON of the same meaning that steers nothing: such characters occur only within its strings, where they can be escaped.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    let escape = |out: &mut String, c: char| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    };
    escaped(text, |c| c != '\n' && steers(c), escape)
}

fn escaped(text: &str, which: impl Fn(char) -> bool, escape: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(&which) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if which(c) { escape(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A file's text without the byte order mark that some editors put before it.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// What tests put into every field that a stranger fills.
#[cfg(test)]
pub(crate) mod hostile {
    use proptest::prelude::*;

    use super::steers;

    /// A text that would steer a terminal, or pass for lines of ours.
    pub(crate) fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            "[a-z ]{0,4}",
            any::<char>().prop_map(String::from),
            prop::sample::select(vec![
                "\x1b[2J\x1b[H",
                "\x1b]0;title\x07",
                "\u{9b}31m",
                "\r",
                "\n",
                "\r\n",
                "\x08",
                "\u{202e}",
                "\u{2066}",
                "\u{200f}",
                "\u{200b}",
                "\u{2028}",
                "\u{feff}",
                "\n  can reach nothing\n",
                "\nerror: all is lost",
            ])
            .prop_map(String::from),
        ];
        prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
    }

    /// Fails if anything in a printed text steers.
    pub(crate) fn assert_tame(printed: &str) {
        let found: Vec<char> = printed.chars().filter(|c| *c != '\n' && steers(*c)).collect();
        assert!(found.is_empty(), "{found:?} in {printed:?}");
    }

    /// How a text looks from the left edge: how far each line with something on it is indented, up to `depth`, where strangers'
    /// blocks are.
    pub(crate) fn edges(text: &str, depth: usize) -> Vec<usize> {
        let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
        text.lines().filter(|line| !line.trim().is_empty()).map(indent).filter(|indent| *indent < depth).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// The format characters that Unicode Standard Annex 9 knows, and the separators: written down once more, to be sure.
    const TURNING: &str = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}";

    #[test]
    fn what_steers_is_written_as_an_escape() {
        assert_eq!(line("a\x1b[31m\r\n\u{9b}\u{202e}\u{feff}b"), r"a\u{1b}[31m\r\n\u{9b}\u{202e}\u{feff}b");
        assert_eq!(lines("a\n\tb\r\n"), "a\n\\tb\\r\n");
        assert_eq!(block("a\nb\r\n", "    "), "a\n    b\\r");
        for c in ('\0'..' ').chain('\u{7f}'..='\u{9f}').chain(TURNING.chars()) {
            assert!(!line(&c.to_string()).contains(c), "{c:?}");
        }
    }

    /// Nothing that is seen is touched: Rust's own table of what can be printed says so of every character.
    #[test]
    fn what_is_seen_stays() {
        for c in ' '..=char::MAX {
            let text = format!("a{c}");
            let printable = text.escape_debug().to_string() == text || matches!(c, '"' | '\'' | '\\');
            assert!(!printable || line(&text) == text, "{c:?}");
        }
    }

    #[test]
    fn a_mark_is_ignored_at_the_beginning_only() {
        assert_eq!(without_mark("\u{feff}{}"), "{}");
        assert_eq!(without_mark("a\u{feff}"), "a\u{feff}");
    }

    proptest! {
        #[test]
        fn nothing_that_is_printed_steers(text in hostile::text()) {
            hostile::assert_tame(&line(&text));
            prop_assert!(!line(&text).contains('\n'));
            hostile::assert_tame(&lines(&text));
            prop_assert!(block(&text, "  ").lines().skip(1).all(|line| line.is_empty() || line.starts_with("  ")));
        }

        #[test]
        fn json_says_the_same(text in hostile::text()) {
            let value = serde_json::json!({ &text: [&text] });
            let written = serde_json::to_string_pretty(&value).unwrap();
            hostile::assert_tame(&json(&written));
            prop_assert_eq!(serde_json::from_str::<Value>(&json(&written)).unwrap(), value);
        }
    }
}
