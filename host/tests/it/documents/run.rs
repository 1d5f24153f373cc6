//! Runs what a document says to type, and compares what is printed with what it shows.

use std::fs;
use std::path::Path;

use super::elsewhere;
use super::markdown::{Block, Document, Typed};
use crate::laptop::gristmill;
use crate::support::{plugin, project};

/// A folder that looks like a checkout after `make plugins`, in which one document's commands run in their order.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    /// What later commands are to find: variables, the folder.
    before: String,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins/noaa-precipitation");
        let sample = "plugins/noaa-precipitation/sample/csv/by_station";
        fs::create_dir_all(folder.path().join(sample)).unwrap();
        for file in fs::read_dir(project(sample)).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), folder.path().join(sample).join(file.file_name())).unwrap();
        }
        fs::create_dir(folder.path().join("deploy")).unwrap();
        fs::copy(project("deploy/scaling.yaml"), folder.path().join("deploy/scaling.yaml")).unwrap();
        fs::copy(plugin("noaa-precipitation"), plugins.join("noaa-precipitation.wasm")).unwrap();
        fs::copy(project("plugins/noaa-precipitation/dataset.toml"), plugins.join("dataset.toml")).unwrap();
        Self { folder, before: String::new() }
    }

    /// Everything of a document that is typed or kept in a file. Gives back what did not come out as shown: the lines, and
    /// what was printed instead.
    pub(crate) fn follow(&mut self, document: &Document) -> Vec<(Typed, Vec<String>)> {
        let mut others = Vec::new();
        for block in document.blocks() {
            match block.language.as_str() {
                "console" | "sh" => others.extend(self.run_block(&block)),
                _ => self.keep(&block),
            }
        }
        others
    }

    /// A block whose first line is a comment with a file's name is that file.
    fn keep(&self, block: &Block) {
        let name = block.lines.first().and_then(|line| line.strip_prefix("# "));
        if let Some(name) = name.filter(|name| name.ends_with(".toml")) {
            self.write(name, &block.lines);
        }
    }

    /// A file of the folder.
    pub(crate) fn write(&self, name: &str, lines: &[String]) {
        fs::write(self.path().join(name), lines.join("\n") + "\n").unwrap();
    }

    fn run_block(&mut self, block: &Block) -> Vec<(Typed, Vec<String>)> {
        let mut others = Vec::new();
        for typed in block.typed().into_iter().filter(|typed| !elsewhere::has(&typed.command)) {
            let (is_success, printed) = self.run(&typed.command);
            if block.language == "sh" {
                assert!(is_success, "`{}` failed:\n{printed}", typed.command);
                continue;
            }
            // How often progress is said, and who compiles first, is chance.
            let is_chance = |line: &&str| line.contains(" items · ") || line.starts_with("compiling ");
            let printed = printed.lines().filter(|line| !is_chance(line)).map(ToOwned::to_owned);
            let printed: Vec<_> = printed.collect();
            if !is_shown(&typed.shown, &printed) {
                others.push((typed, printed));
            }
        }
        others
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether it succeeded, and what a terminal would have shown.
    pub(crate) fn run(&mut self, command: &str) -> (bool, String) {
        // `gristmill` is the binary of this build, with the components that all tests share.
        let binary = gristmill();
        let folder = Path::new(binary.get_program()).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut shell = std::process::Command::new("sh");
        let is_ours = |name: &str| ["AWS_", "GRISTMILL_", "MAKE"].iter().any(|start| name.starts_with(start));
        for (name, _) in std::env::vars().filter(|(name, _)| is_ours(name)) {
            shell.env_remove(name);
        }
        shell.envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?)))).env_remove("DATA_BUCKET");
        shell.env("PATH", format!("{}:{path}", folder.display())).env("PYTHONPATH", project("plugins/sdk/python/src"));
        let (command, root) = match command.strip_prefix("make demo") {
            Some(_) => (self.demo(binary.get_program().to_str().unwrap()), project("")),
            None => (command.to_owned(), self.path().to_owned()),
        };
        shell.arg("-c").arg(format!("exec 2>&1\n{}{command}", self.before)).current_dir(root);
        let output = shell.output().unwrap();
        if command.starts_with("export ") || command.starts_with("cd ") {
            self.before += &format!("{command}\n");
        }
        let printed = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), printed.replace(&format!("{}/", self.path().display()), ""))
    }

    /// `make demo` with what is built already.
    fn demo(&self, binary: &str) -> String {
        let demo = self.path().join("work/demo");
        let built = "-o quick -o generator -o plugin-noaa-precipitation";
        format!("make --silent {built} demo QUICK={binary} DEMO={}", demo.display())
    }
}

/// Whether `printed` is what is shown; a line of three dots stands for any number of lines, `[..]` for any part of a line.
fn is_shown(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((dots, rest)) if dots == "..." => (0..=printed.len()).any(|left_out| is_shown(rest, &printed[left_out..])),
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, others)| is_shown_line(line, first) && is_shown(rest, others))
        }
    }
}

fn is_shown_line(shown: &str, printed: &str) -> bool {
    let printed = steady(printed);
    let Some((start, rest)) = shown.split_once("[..]") else { return steady(shown) == printed };
    // What is left out may begin or end in the middle of a digest.
    let Some(mut left) = printed.strip_prefix(&steady(start.trim_end_matches(is_part))) else { return false };
    let mut parts = rest.split("[..]").map(|part| part.trim_start_matches(is_part)).peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        if is_last {
            return left.ends_with(&steady(part));
        }
        let part = steady(part.trim_end_matches(is_part));
        let Some(at) = left.find(&part) else { return false };
        left = &left[at + part.len()..];
    }
    true
}

/// What numbers, words and digests are made of.
fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '.' || c == ','
}

/// A line without what differs from run to run or between builds: times, speeds, sizes, digests, who and when.
fn steady(line: &str) -> String {
    let mut words: Vec<&str> = line.trim_end().split(' ').collect();
    for at in 0..words.len() {
        let is_time = words[at].len() >= 20 && words[at].ends_with('Z') && words[at].as_bytes()[10] == b'T';
        let is_person = at > 0 && words[at - 1] == "by" && words[at].contains('@');
        let is_rate = words.get(at + 1).is_some_and(|next| next.starts_with("items/s"));
        // From ten seconds on there are no tenths.
        let is_seconds = words.get(at + 1).is_some_and(|next| next.trim_end_matches([',', ';', '.', ')']) == "s")
            && words[at].parse::<f64>().is_ok();
        if is_time || is_person || is_rate || is_seconds {
            words[at] = "#";
        }
    }
    let line = words.join(" ");
    let mut steady = String::new();
    let mut rest = line.as_str();
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_part(c) != is_part(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        steady += &without_figures(run);
        rest = after;
    }
    steady
}

fn without_figures(run: &str) -> String {
    let number = run.trim_end_matches(['.', ',']);
    if number.matches('.').count() == 1 && number.chars().all(|c| c.is_ascii_digit() || c == '.' || c == ',') {
        return format!("#{}", &run[number.len()..]);
    }
    let is_digest = |part: &str| part.len() >= 10 && part.chars().all(|c| c.is_ascii_hexdigit());
    // Which batch is the first of a report.
    let is_batch = |part: &str| part.len() == 6 && part.starts_with("0000");
    let parts = run.split('.').map(|part| if is_digest(part) || is_batch(part) { "#" } else { part });
    parts.collect::<Vec<_>>().join(".")
}

#[test]
fn what_differs_from_run_to_run_is_not_compared() {
    let line = |line: &str| vec![line.to_owned()];
    let same = [
        ("succeeded in 0.2 s", "succeeded in 17.25 s"),
        ("succeeded in 1.8 s", "succeeded in 32 s"),
        ("4,226 items/s, 426.95 MB/s", "5 items/s, 1.00 MB/s"),
        ("x 0.1.0 (sha256:4613ebf3855a…)", "x 0.1.0 (sha256:0000000000aa…)"),
        ("signed (sha256:4613eb[..]): what [..] done", "signed (sha256:4613ebf3855a): what was not done"),
        ("head 2: by ana@build, 2026-11-20T12:28:51Z", "head 2: by root@c, 2027-01-01T00:00:00Z"),
    ];
    assert!(same.iter().all(|(shown, printed)| is_shown(&line(shown), &line(printed))));
    let others = [("x 0.1.0", "x 0.1.1"), ("842 rows", "841 rows"), ("2 batches", "2 batch"), ("a [..] c", "a b d")];
    assert!(others.iter().all(|(shown, printed)| !is_shown(&line(shown), &line(printed))));
    let lines = |text: &str| text.lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    assert!(is_shown(&lines("a\n...\nd"), &lines("a\nb\nc\nd")) && !is_shown(&lines("a\n...\nd"), &lines("a\nb")));
}
