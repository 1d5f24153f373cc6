//! As much of Markdown as the documents use: fenced blocks, headings, links, code in the text.

use std::path::{Path, PathBuf};

use crate::support::project;

/// One document, with its path from the root of the project.
pub(crate) struct Document {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A fenced block. `line` is the number of its first line, from zero.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) line: usize,
    pub(crate) lines: Vec<String>,
}

/// What somebody types, and what a document shows below it. `line` is that of the first line below.
pub(crate) struct Typed {
    pub(crate) command: String,
    pub(crate) line: usize,
    pub(crate) shown: Vec<String>,
}

impl Document {
    pub(crate) fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.into(), text }
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut is_open = false;
        for (number, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), is_open) {
                (Some(language), false) => {
                    blocks.push(Block { language: language.into(), line: number + 1, lines: Vec::new() });
                    is_open = true;
                }
                (Some(_), true) => is_open = false,
                (None, true) => blocks.last_mut().unwrap().lines.push(line.into()),
                (None, false) => {}
            }
        }
        assert!(!is_open, "{}: a block has no end", self.path);
        blocks
    }

    /// The blocks of one language.
    pub(crate) fn blocks_in(&self, language: &str) -> impl Iterator<Item = Block> {
        self.blocks().into_iter().filter(move |block| block.language == language)
    }

    /// What is outside of blocks, line by line.
    fn prose(&self) -> Vec<&str> {
        let mut is_open = false;
        let outside = |line: &&str| {
            let is_fence = line.starts_with("```");
            is_open ^= is_fence;
            !is_open && !is_fence
        };
        self.text.lines().filter(outside).collect()
    }

    /// The text between backticks, with one blank for a line break.
    pub(crate) fn code(&self) -> Vec<String> {
        let text = self.prose().join("\n");
        text.split('`').skip(1).step_by(2).map(|code| code.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// The names by which headings are linked to.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let headings = self.prose().into_iter().filter(|line| line.starts_with('#'));
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
    }

    /// The targets of `[text](target)` and `[name]: target`.
    pub(crate) fn links(&self) -> Vec<String> {
        let text = self.prose().join("\n");
        let text: String = text.split('`').step_by(2).collect::<Vec<_>>().join("code");
        let inline = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        let named =
            text.lines().filter(|line| line.starts_with('[')).filter_map(|line| Some(line.split_once("]: ")?.1));
        inline.chain(named).map(ToOwned::to_owned).collect()
    }

    /// The file that a link of this document means.
    pub(crate) fn beside(&self, target: &str) -> PathBuf {
        project(&self.path).parent().unwrap_or(Path::new("")).join(target)
    }
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

impl Block {
    /// `$ command`, and the lines below it; in a block of `sh` every line is a command, and shows nothing.
    pub(crate) fn typed(&self) -> Vec<Typed> {
        let is_console = self.language == "console";
        let mut typed: Vec<Typed> = Vec::new();
        let mut goes_on = false;
        for (number, line) in (self.line..).zip(&self.lines) {
            let starts = if is_console { line.strip_prefix("$ ") } else { Some(line.as_str()) };
            match starts {
                _ if goes_on => typed.last_mut().unwrap().command += &format!("\n{line}"),
                Some(command) => typed.push(Typed { command: command.into(), line: 0, shown: Vec::new() }),
                None => typed.last_mut().expect("output without a command").shown.push(line.clone()),
            }
            let latest = typed.last_mut().unwrap();
            if goes_on || starts.is_some() {
                latest.line = number + 1;
                goes_on = line.ends_with('\\');
            }
        }
        typed.retain(|typed| !typed.command.trim().is_empty() && !typed.command.starts_with('#'));
        typed
    }
}

#[test]
fn what_is_read_of_a_document() {
    let text =
        "# A `head`, or two\n[x](a.md#b) `[no](link)` `make\nit`\n\n```console\n$ one \\\n  more\nout\n$ two\n```\n";
    let document = Document { path: "x.md".into(), text: text.into() };
    assert_eq!(document.anchors(), ["a-head-or-two"]);
    assert_eq!(document.links(), ["a.md#b"]);
    assert_eq!(document.code(), ["head", "[no](link)", "make it"]);
    let typed = document.blocks()[0].typed();
    let seen: Vec<_> = typed.iter().map(|typed| (typed.command.as_str(), typed.line, typed.shown.join("|"))).collect();
    assert_eq!(seen, [("one \\\n  more", 7, "out".into()), ("two", 9, String::new())]);
}
