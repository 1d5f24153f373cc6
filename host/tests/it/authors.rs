//! Authors of plugins: from nothing to rows in an empty folder, with the binary alone and no path into this repository. The tools are
//! those that `make plugins` installs; nothing is fetched.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::laptop::gristmill;
use crate::support::project;

/// An empty folder, in which somebody types.
struct Author(TempDir);

impl Author {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = gristmill();
        // What `make plugins` left: tools, and the standard library for components where that is built from source.
        let built = ["plugins/target/debian", "plugins/target"].map(project).into_iter().find(|folder| folder.is_dir());
        command.args(args).current_dir(self.0.path());
        command.env("GRISTMILL_VENV", project("target/venv-componentize")).env("CARGO_NET_OFFLINE", "true");
        command.env("CARGO_TARGET_DIR", built.expect("`make plugins` first")).env("CARGO_TERM_QUIET", "true");
        command
    }

    /// What a command says, without what differs from run to run, and its exit code.
    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        format!("exit {}\n{}{}", output.status.code().unwrap(), steady(&out), steady(&err))
    }

    fn put(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(path)).unwrap();
        assert!(text.contains(from), "{path} has no `{from}`");
        fs::write(self.path(path), text.replace(from, to)).unwrap();
    }

    /// Runs the sample as a Distributed Map, and gives the rows of its table.
    fn map(&self, name: &str) -> String {
        let _ = fs::remove_dir_all(self.path("work"));
        copy(&self.path(name).join("sample"), &self.path("work/s3/data"));
        let said = self.run(&["map", name, "--local", "work", "--set", "DATA_BUCKET=data"]);
        assert!(said.starts_with("exit 0"), "{said}");
        said
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target) } else { _ = fs::copy(entry.path(), target).unwrap() }
    }
}

/// Without times, sizes and digests.
fn steady(text: &str) -> String {
    const UNITS: [&str; 7] = ["ms", "s", "KiB", "MiB", "B", "times", "KiB,"];
    let mut lines = String::new();
    for line in text.lines() {
        let words = line.split(' ').collect::<Vec<_>>();
        let is_number = |word: &str| word.trim_start_matches('(').parse::<f64>().is_ok();
        let is_measured = |at: usize| words.get(at + 1).is_some_and(|unit| UNITS.contains(unit));
        let steady = words.iter().enumerate().map(|(at, word)| match *word {
            word if is_number(word) && is_measured(at) => "N",
            word if word.starts_with("sha256:") => "sha256:DIGEST",
            word => word,
        });
        lines += &(steady.collect::<Vec<_>>().join(" ") + "\n");
    }
    lines
}

/// The lines of a text from the first that begins so, and without the log, which comes last.
fn from<'a>(text: &'a str, begin: &str) -> &'a str {
    let at = text.find(begin).unwrap_or_else(|| panic!("no `{begin}` in\n{text}"));
    let end = text.find(" checks failed\n").map_or(text.len(), |end| end + " checks failed\n".len());
    &text[at..end]
}

/// What a test of the sample says of a plugin that answers as it should.
const ANSWERS: &str = "  what it answers when an object is
    missing             3 × rejected (ObjectNotFound)
    denied              3 × rejected (ObjectDenied)
";

#[test]
fn a_plugin_in_python() {
    let author = Author::new();
    let made = author.run(&["plugin", "new", "rain", "--lang", "python"]);
    assert!(made.starts_with("exit 0"), "{made}");
    assert_snapshot!(from(&made, "stations\n"), @"");
    // It needs nothing but itself.
    let text = ["rain/pyproject.toml", "rain/dataset.toml", "rain/app.py"]
        .map(|path| fs::read_to_string(author.path(path)).unwrap());
    assert!(
        !text.concat().contains(project("").to_str().unwrap()) && text[0].contains("\".gristmill/sdk/python/src\"")
    );
    assert_snapshot!(author.run(&["plugin", "test", "rain", "--junit", "rain.xml"]), @"");
    let xml = fs::read_to_string(author.path("rain.xml")).unwrap();
    assert!(xml.starts_with("<testsuite name=\"rain\" tests=\"28\" failures=\"0\">"), "{xml}");
    assert!(author.map("rain").contains("output     stations: 3 rows"));

    // Its own tests, as somebody types them.
    let pytest = project("target/venv-componentize/bin/python");
    let tested = Command::new(pytest).args(["-m", "pytest", "-q"]).current_dir(author.path("rain")).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));

    // A row that is another one, and what is blessed.
    author.edit("rain/golden/stations.jsonl", "20.5", "21.5");
    let wrong = author.run(&["plugin", "test", "rain", "--no-build"]);
    assert!(wrong.starts_with("exit 1"), "{wrong}");
    assert_snapshot!(from(&wrong, "WRONG"), @"");
    let kept = author.run(&["plugin", "test", "rain", "--no-build", "--bless"]);
    assert!(kept.starts_with("exit 0") && kept.contains("kept    rain/golden/stations.jsonl"), "{kept}");

    // What cannot work is refused before anything is built.
    author.edit("rain/app.py", "from gristmill import", "import pandas, requests\nfrom gristmill import");
    assert_snapshot!(author.run(&["plugin", "build", "rain"]), @"");
    author.edit("rain/app.py", "import pandas, requests\n", "");
    author.put("rain/requirements.txt", "attrs\nnumpy==2.0\n");
    assert_snapshot!(author.run(&["plugin", "build", "rain"]), @"");
    // A source that is newer than its component.
    assert!(author.map("rain").contains("note: rain/app.py is newer than rain/rain.wasm"));
}

#[test]
fn a_plugin_in_rust() {
    let author = Author::new();
    let made = author.run(&["plugin", "new", "rain", "--lang", "rust"]);
    assert!(made.starts_with("exit 0") && made.contains("rain works: 3 items gave 3 rows"), "{made}");
    let tested = author.run(&["plugin", "test", "rain", "--no-build"]);
    assert!(tested.starts_with("exit 0") && tested.contains(ANSWERS), "{tested}");
    author.map("rain");
    let made = author.run(&["plugin", "new", "columns", "--lang", "rust", "--from", "parquet"]);
    assert!(made.starts_with("exit 0") && made.contains("columns works: 3 items gave 3 rows"), "{made}");
    let tested = author.run(&["plugin", "test", "columns", "--no-build"]);
    assert!(tested.starts_with("exit 0") && tested.contains(ANSWERS), "{tested}");

    // An edit, a mistake, its mend, at every save.
    let mut dev = author.command(&["plugin", "dev", "rain"]);
    let mut dev = dev.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut until = |end: &str| {
        let mut seen = Vec::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("no `{end}` in {seen:#?}"));
            let is_end = line.contains(end);
            seen.push(line);
            if is_end {
                return steady(&(seen.join("\n") + "\n"));
            }
        }
    };
    until("└──");
    author.edit("rain/src/lib.rs", "value > warmest", "value < warmest");
    assert_snapshot!(until("keep it with"), @"");
    author.edit("rain/src/lib.rs", "value < warmest", "value warmest");
    assert_snapshot!(until("nothing was run"), @"");
    author.edit("rain/src/lib.rs", "value warmest", "value < warmest");
    assert_snapshot!(until("nothing to run"), @"");
    author.edit("rain/src/lib.rs", "value < warmest", "value > warmest");
    let mended = until("warmest: 23.0 → 25.5");
    assert!(!mended.contains("WRONG"), "the rows are those of the beginning again: {mended}");
    let interrupted = Command::new("kill").args(["-INT", &dev.id().to_string()]).status().unwrap();
    assert!(interrupted.success() && dev.wait().unwrap().success());
}

/// Tests the plugin of mistakes, which has an item for each, and further items.
fn mistakes(author: &Author, code: &str, at: &str, further: &[&str]) -> String {
    let read = |name: &str| fs::read_to_string(project(&format!("host/tests/authors/{name}"))).unwrap();
    let code = read(code);
    // Whether a word begins a branch.
    let is_item =
        |word: &str| code.contains(&format!("case \"{word}\":")) || code.contains(&format!("        \"{word}\" =>"));
    let keys = code.split('"').filter(|word| is_item(word)).chain(further.iter().copied());
    let items: Vec<String> = keys.map(|key| format!("{{ Key = \"{key}\" }}")).collect();
    let stations = "[[output]]\nname = \"stations\"\ntable = \"stations\"\nkey = [\"pk\"]\n";
    let dataset = read("mistakes.toml").replace("@ITEMS@", &items.join(", "));
    let dataset =
        if further.is_empty() { dataset } else { dataset.replace("[sample]", &format!("{stations}\n[sample]")) };
    author.put(&format!("mistakes/{at}"), &code);
    author.put("mistakes/dataset.toml", &dataset);
    author.put("mistakes/sample/a.csv", "station,temperature\na,1\nb,2\n");
    author.run(&["plugin", "test", "mistakes"])
}

/// The templates that are not built for themselves run in the same component: it takes half a minute to compile Python's.
#[test]
fn mistakes_and_templates_in_python() {
    let author = Author::new();
    for (name, from) in [("handler", "lambda"), ("columns", "parquet"), ("lines", "json")] {
        let made = author.run(&["plugin", "new", name, "--lang", "python", "--from", from, "--no-run"]);
        assert!(made.starts_with("exit 0"), "{made}");
        let python = project("target/venv-componentize/bin/python");
        let tested = Command::new(python).args(["-m", "pytest", "-q"]).current_dir(author.path(name)).output().unwrap();
        assert!(tested.status.success(), "{name}: {}", String::from_utf8_lossy(&tested.stdout));
        copy(&author.path(name).join("sample"), &author.path("mistakes/sample"));
        let code = fs::read_to_string(author.path(name).join("app.py")).unwrap();
        author.put(&format!("mistakes/{name}.py"), &code);
    }
    let lines = fs::read_to_string(author.path("mistakes/lines.py")).unwrap();
    let columns = fs::read_to_string(author.path("mistakes/columns.py")).unwrap();
    assert_eq!(lines.replace("JSON lines", "Parquet").replace("lines", "columns"), columns, "one code for both");
    // The rows that the templates are to give: a station from each format of tables, all of them from the handler.
    let golden = |name: &str| fs::read_to_string(author.path(name).join("golden/stations.jsonl")).unwrap();
    let further = ["readings/bergen.parquet", "readings/cairo.jsonl", "readings/lima.parquet"];
    let objects = ["readings/bergen.csv", "readings/cairo.csv", "readings/lima.csv"];
    author.put("mistakes/golden/stations.jsonl", &(golden("columns") + &golden("handler")));
    author.put("mistakes/golden/rows.jsonl", "");
    let said = mistakes(&author, "mistakes.py", "app.py", &[&further[..], &objects].concat());
    assert!(said.starts_with("exit 1") && !said.contains("WRONG golden rows: stations"), "{said}");
    assert!(!from(&said, "WRONG").contains("readings/"), "the templates answer as they should: {said}");
    assert_snapshot!(from(&said, "WRONG"), @"");
}

#[test]
fn mistakes_in_rust() {
    let author = Author::new();
    let made = author.command(&["plugin", "new", "mistakes", "--lang", "rust", "--sdk", "plugins"]).output().unwrap();
    assert_eq!(made.status.code(), Some(2), "this is no SDK");
    author.put("mistakes/Cargo.toml", MANIFEST);
    let said = mistakes(&author, "mistakes.rs", "src/lib.rs", &[]);
    assert!(said.starts_with("exit 1"), "{said}");
    assert_snapshot!(from(&said, "WRONG"), @"");
}

/// That of a template.
const MANIFEST: &str = r#"[package]
name = "mistakes"
version = "0.1.0"
edition = "2024"
description = "Mistakes."
[lib]
crate-type = ["cdylib"]
[dependencies]
gristmill-plugin = { path = ".gristmill/sdk/rust" }
[profile.release]
codegen-units = 1
lto = "fat"
panic = "abort"
strip = true
[workspace]
exclude = [".gristmill"]
"#;

#[test]
fn what_is_missing_is_one_command() {
    let author = Author::new();
    let empty = author.path("empty");
    fs::create_dir(&empty).unwrap();
    let with = |args: &[&str], path: &Path| {
        let mut command = author.command(args);
        let output =
            command.env("PATH", path).env("GUEST_RUST", "rustup").env("GRISTMILL_VENV", author.path("venv")).output();
        steady(&String::from_utf8(output.unwrap().stderr).unwrap())
    };
    assert_snapshot!(with(&["plugin", "new", "one", "--lang", "rust"], &empty), @"");
    assert_snapshot!(with(&["plugin", "new", "two", "--lang", "python"], &empty), @"");
    assert_snapshot!(author.run(&["plugin", "build", "empty"]), @"");
    assert_snapshot!(author.run(&["plugin", "new", "Rain", "--lang", "rust"]), @"");
    assert_snapshot!(author.run(&["plugin", "new", "three", "--lang", "rust", "--from", "lambda"]), @"");
}

#[test]
fn shells_complete_the_commands_and_each_has_a_page() {
    let author = Author::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = author.run(&["completions", shell]);
        assert!(
            script.starts_with("exit 0") && ["plugin", "inspect", "bless"].iter().all(|word| script.contains(word))
        );
    }
    assert_eq!(author.run(&["man", "man1"]), "exit 0\n");
    let page = fs::read_to_string(author.path("man1/gristmill-plugin-test.1")).unwrap();
    assert!(page.contains("golden") && page.contains("gristmill plugin test rain"), "{page}");
}
