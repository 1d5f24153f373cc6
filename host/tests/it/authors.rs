//! Authors of plugins: from nothing to rows in an empty folder, with the binary alone and no path into this repository. The tools are
//! those that `make plugins` installs; nothing is fetched.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::laptop::gristmill;
use crate::support::project;

/// Both tests in Rust build in one folder: one would wait for the other.
static CARGO: Mutex<()> = Mutex::new(());

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
        self.prepared(gristmill(), args)
    }

    /// A command that watches: it ends with the test, or at the latest after three minutes.
    fn watching(&self, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        let watching = gristmill();
        command.args(["-s", "KILL", "180"]).arg(watching.get_program());
        command.envs(watching.get_envs().filter_map(|(name, value)| Some((name, value?))));
        self.prepared(command, args)
    }

    fn prepared(&self, mut command: Command, args: &[&str]) -> Command {
        // What `make plugins` left: tools, and the standard library for components where that is built from source.
        let built = ["plugins/target/debian", "plugins/target"].map(project).into_iter().find(|folder| folder.is_dir());
        command.args(args).current_dir(self.0.path());
        // `make test` has cargo run clippy in place of the compiler: that is about this repository's own code.
        command.env_remove("RUSTC_WORKSPACE_WRAPPER").env_remove("CLIPPY_ARGS");
        command.env("GRISTMILL_VENV", project("target/venv-componentize")).env("CARGO_NET_OFFLINE", "true");
        command.env("CARGO_TARGET_DIR", built.expect("`make plugins` first")).env("CARGO_TERM_QUIET", "true");
        command
    }

    /// What a command says, without what differs from run to run, and its exit code.
    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        let said = format!("exit {}\n{}{}", output.status.code().unwrap(), steady(&out), steady(&err));
        said.replace(self.0.path().to_str().unwrap(), "AUTHOR")
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
    assert_snapshot!(from(&made, "stations\n"), @"
    stations
    ┌────────┬──────────┬─────────┬────────────┐
    │ pk     ┆ readings ┆ warmest ┆ day        │
    ╞════════╪══════════╪═════════╪════════════╡
    │ bergen ┆ 4        ┆ 4.0     ┆ 2026-01-02 │
    │ cairo  ┆ 3        ┆ 20.5    ┆ 2026-01-03 │
    │ lima   ┆ 4        ┆ 25.5    ┆ 2026-01-02 │
    └────────┴──────────┴─────────┴────────────┘
    rain works: 3 items gave 3 rows N s from nothing)
    ");
    // It needs nothing but itself.
    let text = ["rain/pyproject.toml", "rain/dataset.toml", "rain/app.py"]
        .map(|path| fs::read_to_string(author.path(path)).unwrap());
    assert!(
        !text.concat().contains(project("").to_str().unwrap()) && text[0].contains("\".gristmill/sdk/python/src\"")
    );
    assert_snapshot!(author.run(&["plugin", "test", "rain", "--junit", "rain.xml"]), @"
    exit 0
    rain: 3 items of its sample
      readings/bergen.csv  rows 1  time N ms  memory N MiB
      readings/cairo.csv   rows 1  time N ms  memory N MiB
      readings/lima.csv    rows 1  time N ms  memory N MiB
      what it answers when an object is
        missing             3 × rejected (ObjectNotFound)
        denied              3 × rejected (ObjectDenied)
        truncated           3 × rejected (BadRecord)
        changed while read  3 × asks for another try (ObjectChanged)
        store away          3 × asks for another try (ObjectUnavailable)
    rain: 28 checks, nothing to complain about
    ");
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
    assert_snapshot!(from(&wrong, "WRONG"), @r#"
    WRONG golden rows: stations: 1 rows changed, 0 added, 0 removed, 2 the same
          stations: pk = "cairo": warmest: 21.5 → 20.5
          help: golden → now. If now is right, keep it with `gristmill plugin test --bless`
    rain: 1 of 28 checks failed
    "#);
    let kept = author.run(&["plugin", "test", "rain", "--no-build", "--bless"]);
    assert!(kept.starts_with("exit 0") && kept.contains("kept    rain/golden/stations.jsonl"), "{kept}");

    // What cannot work is refused before anything is built.
    author.edit("rain/app.py", "from gristmill import", "import pandas, requests\nfrom gristmill import");
    assert_snapshot!(author.run(&["plugin", "build", "rain"]), @"
    exit 2
    error: app.py:3: `import pandas` cannot work in the sandbox: `ctx.table(uri, columns, where)` reads Parquet, CSV and JSON lines in columns; group rows with a dict
      app.py:3: `import requests` cannot work in the sandbox: there is no network: what an item needs has to be in the item, in `[settings]`, or in an object that `[grants]` cover
    ");
    author.edit("rain/app.py", "import pandas, requests\n", "");
    author.put("rain/requirements.txt", "attrs\nnumpy==2.0\n");
    assert_snapshot!(author.run(&["plugin", "build", "rain"]), @"
    exit 2
    error: requirements.txt:2: numpy cannot work in the sandbox: `math`, `statistics` and `sum` work on the columns of `ctx.table`; for heavy numerics write the plugin in Rust
    ");
    // A source that is newer than its component.
    assert!(author.map("rain").contains("note: rain/app.py is newer than rain/rain.wasm"));
}

#[test]
fn a_plugin_in_rust() {
    let _alone = CARGO.lock().unwrap_or_else(PoisonError::into_inner);
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

    // What does not compile is said by the compiler.
    author.edit("columns/src/lib.rs", "fn process(", "fn process((");
    let broken = author.run(&["plugin", "build", "columns"]);
    assert!(broken.starts_with("exit 2") && broken.contains("src/lib.rs:"), "{broken}");

    // An edit, a mistake, its mend, at every save.
    let mut dev = author.watching(&["plugin", "dev", "rain"]);
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
    assert_snapshot!(until("keep it with"), @r#"
    sha256:DIGEST 3 items
      readings/bergen.csv  rows 1  time N ms → N ms  memory N MiB
      readings/cairo.csv   rows 1  time N ms → N ms  memory N MiB
      readings/lima.csv    rows 1  time N ms → N ms  memory N MiB
      items      3: 0 the same, 3 changed
      rows       stations: 0 the same, 3 changed, 0 added, 0 removed
      time       N s before, N s after; of one item N times (median)
      memory     N MiB before, N MiB after, at most
      item 0 (readings/bergen.csv)
        stations: pk = "bergen": day: "2026-01-02" → "2026-01-04"
        stations: pk = "bergen": warmest: 4.0 → -2.5
      item 1 (readings/cairo.csv)
        stations: pk = "cairo": day: "2026-01-03" → "2026-01-02"
        stations: pk = "cairo": warmest: 20.5 → 17.0
      item 2 (readings/lima.csv)
        stations: pk = "lima": day: "2026-01-02" → "2026-01-04"
        stations: pk = "lima": warmest: 25.5 → 23.0
    WRONG golden rows: stations: 3 rows changed, 0 added, 0 removed, 0 the same
          stations: pk = "bergen": day: "2026-01-02" → "2026-01-04"
          stations: pk = "bergen": warmest: 4.0 → -2.5
          stations: pk = "cairo": day: "2026-01-03" → "2026-01-02"
          stations: pk = "cairo": warmest: 20.5 → 17.0
          stations: pk = "lima": day: "2026-01-02" → "2026-01-04"
          stations: pk = "lima": warmest: 25.5 → 23.0
          help: golden → now. If now is right, keep it with `gristmill plugin test --bless`
    "#);
    author.edit("rain/src/lib.rs", "value < warmest", "value warmest");
    assert_snapshot!(until("nothing was run"), @"nothing was run: save a mended file");
    author.edit("rain/src/lib.rs", "value warmest", "value < warmest");
    assert_snapshot!(until("nothing to run"), @"the component is the same: nothing to run");
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
    // One of them is named twice: another item takes its key.
    let mut seen = HashSet::new();
    let items: Vec<String> = keys.filter(|key| seen.insert(*key)).map(|key| format!("{{ Key = \"{key}\" }}")).collect();
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
    assert_snapshot!(from(&said, "WRONG"), @r#"
    WRONG result: typo-in-output: it was rejected: NoSuchOutput: the plugin declares no output row, did you mean rows?
          help: emit what the output's columns say, or change them where they are declared
    WRONG result: typo-in-column: it was rejected: OutputInvalid: output rows, row 1: 'm' is no column of this output; there are key, n, x
          help: emit what the output's columns say, or change them where they are declared
    WRONG result: wrong-type: it was rejected: Gristmill.BadOutput: output `rows`: row 1: column `n` takes a whole number of 64 bits (-9223372036854775808 to 9223372036854775807), found `"1"`
          help: emit what the output's columns say, or change them where they are declared
    WRONG result: fraction: it was rejected: Gristmill.BadOutput: output `rows`: row 1: column `n` takes a whole number of 64 bits (-9223372036854775808 to 9223372036854775807), found `1.5`
          help: emit what the output's columns say, or change them where they are declared
    WRONG result: column-left-out: it was rejected: Gristmill.BadOutput: output `rows`: row 1: column `n` has no value, and it is not nullable
          help: emit what the output's columns say, or change them where they are declared
    WRONG result: not-a-number: it was rejected: OutputInvalid: output rows, row 1: Out of range float values are not JSON compliant: nan
          help: emit what the output's columns say, or change them where they are declared
    WRONG result: another-items-key: output `rows`: row 1: another item of the batch has the key key = "good"
          help: two items have one key, so one row would take the other's place: put into the key what tells the items apart
    WRONG result: no-grant: it was rejected: ObjectDenied: s3://elsewhere/a.csv is not granted: `[grants] read` of dataset mistakes does not cover it
          help: grant the prefix in the dataset file: `[grants] read = ["s3://BUCKET/PREFIX/"]`
    WRONG result: no-object: it was rejected: ObjectNotFound: s3://data/nope.csv is not in the sample
          help: put the object under `[sample] folder`, at its key behind `[sample] prefix`
    WRONG result: no-uri: it was rejected: ObjectInvalid: `data/a.csv` is not an object's URI: it must start with `s3://`
          help: look at the URI that is opened, and at the object: `ctx.uri(item)` or `call.uri()` makes one of an item
    WRONG result: not-csv-column: it was rejected: BadHeader: s3://data/a.csv has no column "temprature" in its header, which is "station,temperature"; did you mean "temperature"?
          help: ask for a column that the file has, or mend the file
    WRONG result: exception: it was rejected: KeyError: 'missing' (at app.py:56 in process)
          help: every item of a sample has to succeed: mend the plugin or the sample. What a bad item answers is for a unit test
    WRONG result: endless-loop: it was rejected: Gristmill.Timeout: the item was stopped after 1s; `[plugin] timeout` sets the limit
          help: look for a loop that does not end; give it a smaller object, or more time: `[plugin] timeout`
    WRONG result: too-much-memory: it was rejected: MemoryError: MemoryError (at app.py:61 in process)
          help: read in pieces instead of whole, or give it more: `[plugin] memory`
    WRONG result: late-import: it was rejected: ModuleNotFoundError: No module named 'wsgiref': import it at the top of the module (at app.py:63 in process)
          help: imports run once, when the component is built: later there is nothing to import from
    WRONG result: a-file: it was rejected: FileNotFoundError: [Errno 44] No such file or directory: '/etc/hosts' (at app.py:65 in process)
          help: there are no files: objects are read with `ctx.open(uri)`
    WRONG result: environment: it was rejected: KeyError: 'TABLE' (at <frozen os>:709 in __getitem__)
          help: there is no environment: give values in `[settings]` of the dataset file, and read them from `ctx.settings`
    WRONG result: setting: it was rejected: KeyError: 'limit' (at app.py:69 in process)
          help: every item of a sample has to succeed: mend the plugin or the sample. What a bad item answers is for a unit test
    WRONG result: a-thread: it was rejected: RuntimeError: can't start new thread (at threading.py:1004 in start)
          help: there are no threads: items run beside each other by themselves
    WRONG result: large-result: it was rejected: Gristmill.BadOutput: `process` returned 5002 bytes; at most 4096 fit the report
          help: return a few numbers as JSON: what is more belongs to an output
    WRONG result: no-json: it was rejected: BadReport: what process returned is no JSON: Object of type set is not JSON serializable
          help: return what JSON can hold: numbers, texts, lists and dicts of them
    WRONG result: bad-code: it was rejected: ValueError: 'bad header' is no failure code: it takes 1 to 64 of A-Z a-z 0-9 . _ - (at app.py:77 in process)
          help: every item of a sample has to succeed: mend the plugin or the sample. What a bad item answers is for a unit test
    WRONG golden rows: rows: 0 rows changed, 6 added, 0 removed, 0 the same
          rows: key = "good": added {"key":"good","n":1,"x":null}
          rows: key = "good": added {"key":"good","n":1,"x":null}
          rows: key = "made-a-reject": added {"key":"made-a-reject","n":2,"x":null}
          rows: key = "state": added {"key":"state","n":1,"x":null}
          rows: key = "swallowed": added {"key":"swallowed","n":2,"x":null}
          rows: key = "the-clock": added {"key":"the-clock","n":981173106,"x":null}
          help: golden → now. If now is right, keep it with `gristmill plugin test --bless`
    WRONG in another order: state: it comes to something else after another item: rows: key = "state": n: 1 → 2
          help: something is kept from item to item, such as a variable of the module or a cache: make it new for each item
    WRONG at another time: the-clock: it comes to something else at another time: rows: key = "the-clock": n: 981173106 → 1234567890
          help: it reads the clock, which stands at the start of the batch: take the time from the item or from `batch_input`
    WRONG missing: swallowed: it succeeded with other rows (1) although s3://data/a.csv was missing
          help: hand the error on, so that the item is rejected. If the object may be missing, `--accept missing`
    WRONG denied: swallowed: it succeeded with other rows (1) although s3://data/a.csv was refused
          help: hand the error on instead of catching it: rows without it are wrong, and nobody would notice
    WRONG truncated: swallowed: it succeeded with other rows (1) although s3://data/a.csv ended in the middle
          help: nobody would notice: reject what is incomplete, such as a last record with too few fields. If a part is as good as the whole, `--accept truncated`
    WRONG changed while read: swallowed: it succeeded with other rows (1) although s3://data/a.csv was replaced while it was read
          help: hand the error on instead of catching it: rows without it are wrong, and nobody would notice
    WRONG store away: swallowed: it succeeded with other rows (1) although s3://data/a.csv could not be read
          help: hand the error on instead of catching it: rows without it are wrong, and nobody would notice
    WRONG truncated: made-a-reject: it succeeded with other rows (1) although s3://data/a.csv ended in the middle
          help: nobody would notice: reject what is incomplete, such as a last record with too few fields. If a part is as good as the whole, `--accept truncated`
    WRONG changed while read: made-a-reject: it was rejected (Bad: ObjectChanged: s3://data/a.csv: another version took its place) although only another version took its place
          help: a rejected item is never tried again: let `ObjectUnavailable` and `ObjectChanged` through where errors are caught, or answer with a retry
    WRONG store away: made-a-reject: it was rejected (Bad: ObjectUnavailable: s3://data/a.csv: the store did not answer) although the store was only away
          help: a rejected item is never tried again: let `ObjectUnavailable` and `ObjectChanged` through where errors are caught, or answer with a retry
    mistakes: 33 of 111 checks failed
    "#);
}

#[test]
fn mistakes_in_rust() {
    let _alone = CARGO.lock().unwrap_or_else(PoisonError::into_inner);
    let author = Author::new();
    let made = author.command(&["plugin", "new", "mistakes", "--lang", "rust", "--sdk", "plugins"]).output().unwrap();
    assert_eq!(made.status.code(), Some(2), "this is no SDK");
    // With the versions that the SDK was tested with: without a lock file cargo takes what it finds.
    let made = author.run(&["plugin", "new", "mistakes", "--lang", "rust", "--no-run"]);
    assert!(made.starts_with("exit 0"), "{made}");
    for folder in ["golden", "sample"] {
        fs::remove_dir_all(author.path("mistakes").join(folder)).unwrap();
    }
    author.put("mistakes/Cargo.toml", MANIFEST);
    let said = mistakes(&author, "mistakes.rs", "src/lib.rs", &[]);
    assert!(said.starts_with("exit 1"), "{said}");
    assert_snapshot!(from(&said, "WRONG"), @r#"
    WRONG result: typo-in-output: it was rejected: Gristmill.BadOutput: there is no output `row`; the dataset has rows
          help: emit what the output's columns say, or change them where they are declared
    WRONG result: typo-in-column: it was rejected: Gristmill.BadOutput: output `rows`: row 1: key `m` is no column of output `rows`; it has key, n, x
          help: emit what the output's columns say, or change them where they are declared
    WRONG result: wrong-type: it was rejected: Gristmill.BadOutput: output `rows`: row 1: column `n` takes a whole number of 64 bits (-9223372036854775808 to 9223372036854775807), found `"1"`
          help: emit what the output's columns say, or change them where they are declared
    WRONG result: fraction: it was rejected: Gristmill.BadOutput: output `rows`: row 1: column `n` takes a whole number of 64 bits (-9223372036854775808 to 9223372036854775807), found `1.5`
          help: emit what the output's columns say, or change them where they are declared
    WRONG result: column-left-out: it was rejected: Gristmill.BadOutput: output `rows`: row 1: column `n` has no value, and it is not nullable
          help: emit what the output's columns say, or change them where they are declared
    WRONG result: another-items-key: output `rows`: row 1: another item of the batch has the key key = "good"
          help: two items have one key, so one row would take the other's place: put into the key what tells the items apart
    WRONG result: no-grant: it was rejected: ObjectDenied: s3://elsewhere/a.csv is not granted: `[grants] read` of dataset mistakes does not cover it
          help: grant the prefix in the dataset file: `[grants] read = ["s3://BUCKET/PREFIX/"]`
    WRONG result: no-object: it was rejected: ObjectNotFound: s3://data/nope.csv is not in the sample
          help: put the object under `[sample] folder`, at its key behind `[sample] prefix`
    WRONG result: no-uri: it was rejected: ObjectInvalid: `data/a.csv` is not an object's URI: it must start with `s3://`
          help: look at the URI that is opened, and at the object: `ctx.uri(item)` or `call.uri()` makes one of an item
    WRONG result: not-csv-column: it was rejected: BadHeader: s3://data/a.csv has no column "temprature" in its header, which is "station,temperature"
          help: ask for a column that the file has, or mend the file
    WRONG result: panic: it was rejected: Gristmill.Trap: the plugin trapped: wasm trap: wasm `unreachable` instruction executed
          help: it panicked, or ran out of something: its last words are in the log above, with their line
    WRONG result: index: it was rejected: Gristmill.Trap: the plugin trapped: wasm trap: wasm `unreachable` instruction executed
          help: it panicked, or ran out of something: its last words are in the log above, with their line
    WRONG result: endless-loop: it was rejected: Gristmill.Timeout: the item was stopped after 1s; `[plugin] timeout` sets the limit
          help: look for a loop that does not end; give it a smaller object, or more time: `[plugin] timeout`
    WRONG result: too-much-memory: it was rejected: Gristmill.MemoryLimit: the item wanted more memory than the 67108864 bytes of `[plugin] memory`
          help: read in pieces instead of whole, or give it more: `[plugin] memory`
    WRONG result: deep-recursion: it was rejected: Gristmill.Trap: the plugin trapped: wasm trap: call stack exhausted
          help: look for a function that calls itself without an end
    WRONG result: a-file: it was rejected: Gristmill.Trap: the plugin trapped: wasm trap: wasm `unreachable` instruction executed
          help: it panicked, or ran out of something: its last words are in the log above, with their line
    WRONG result: environment: it was rejected: Gristmill.Trap: the plugin trapped: wasm trap: wasm `unreachable` instruction executed
          help: it panicked, or ran out of something: its last words are in the log above, with their line
    WRONG result: a-thread: it was rejected: Gristmill.Trap: the plugin trapped: wasm trap: wasm `unreachable` instruction executed
          help: it panicked, or ran out of something: its last words are in the log above, with their line
    WRONG result: large-result: it was rejected: Gristmill.BadOutput: `process` returned 5002 bytes; at most 4096 fit the report
          help: return a few numbers as JSON: what is more belongs to an output
    WRONG result: bad-code: it was rejected: badheader: no
          help: every item of a sample has to succeed: mend the plugin or the sample. What a bad item answers is for a unit test
    WRONG result: exit: it was rejected: Gristmill.Trap: the plugin trapped: Exited with i32 exit status 1
          help: return a failure instead of ending the process
    WRONG golden rows: rows: mistakes/golden/rows.jsonl is not there, and there are rows (6)
          help: look at the rows, and keep them with `gristmill plugin test --bless`
    WRONG in another order: state: it comes to something else after another item: rows: key = "state": n: 0 → 1
          help: something is kept from item to item, such as a variable of the module or a cache: make it new for each item
    WRONG at another time: the-clock: it comes to something else at another time: rows: key = "the-clock": n: 981173106 → 1234567890
          help: it reads the clock, which stands at the start of the batch: take the time from the item or from `batch_input`
    WRONG missing: swallowed: it succeeded with other rows (1) although s3://data/a.csv was missing
          help: hand the error on, so that the item is rejected. If the object may be missing, `--accept missing`
    WRONG denied: swallowed: it succeeded with other rows (1) although s3://data/a.csv was refused
          help: hand the error on instead of catching it: rows without it are wrong, and nobody would notice
    WRONG truncated: swallowed: it succeeded with other rows (1) although s3://data/a.csv ended in the middle
          help: nobody would notice: reject what is incomplete, such as a last record with too few fields. If a part is as good as the whole, `--accept truncated`
    WRONG changed while read: swallowed: it succeeded with other rows (1) although s3://data/a.csv was replaced while it was read
          help: hand the error on instead of catching it: rows without it are wrong, and nobody would notice
    WRONG store away: swallowed: it succeeded with other rows (1) although s3://data/a.csv could not be read
          help: hand the error on instead of catching it: rows without it are wrong, and nobody would notice
    WRONG truncated: made-a-reject: it succeeded with other rows (1) although s3://data/a.csv ended in the middle
          help: nobody would notice: reject what is incomplete, such as a last record with too few fields. If a part is as good as the whole, `--accept truncated`
    WRONG changed while read: made-a-reject: it was rejected (Bad: ObjectChanged: s3://data/a.csv: another version took its place) although only another version took its place
          help: a rejected item is never tried again: let `ObjectUnavailable` and `ObjectChanged` through where errors are caught, or answer with a retry
    WRONG store away: made-a-reject: it was rejected (Bad: ObjectUnavailable: s3://data/a.csv: the store did not answer) although the store was only away
          help: a rejected item is never tried again: let `ObjectUnavailable` and `ObjectChanged` through where errors are caught, or answer with a retry
    mistakes: 32 of 55 checks failed
    "#);
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
    assert_snapshot!(with(&["plugin", "new", "one", "--lang", "rust"], &empty), @"
    error: Rust is missing: run
      curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
    ");
    assert_snapshot!(with(&["plugin", "new", "two", "--lang", "python"], &empty), @"
    error: Python 3.11 or newer is missing (there is none): run
      apt-get install python3 python3-venv
    ");
    assert_snapshot!(author.run(&["plugin", "build", "empty"]), @"
    exit 2
    error: AUTHOR/empty: there is no plugin here: it would have Cargo.toml (Rust) or app.py (Python). `gristmill plugin new NAME` makes one
    ");
    assert_snapshot!(author.run(&["plugin", "new", "Rain", "--lang", "rust"]), @"
    exit 2
    error: `Rain` is no name for a plugin: it takes up to 63 of a-z, 0-9, `-` and `_`, a letter first
    ");
    assert_snapshot!(author.run(&["plugin", "new", "three", "--lang", "rust", "--from", "lambda"]), @"
    exit 2
    error: `--from lambda` ports a handler in Python: take `--lang python`, or `--from csv` for Rust
    ");
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
