//! The documents are true: every command in them runs and prints what they show, or is run by something that they may count on;
//! their dataset files are dataset files, their links lead somewhere, and they are as short as they mean to be.

mod elsewhere;
mod markdown;
mod run;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use gristmill::dataset::{Dataset, Variables};
use toml_edit::{DocumentMut, Item, Table};

use self::markdown::Document;
use self::run::Desk;
use crate::laptop::gristmill;
use crate::support::project;

const WIDTH: usize = 120;

/// Documents whose lines are longer and whose links are older than this test.
const UNDER_WORK: &[&str] = &[];

/// The documents whose commands are run.
fn documents() -> Vec<Document> {
    let folder = std::fs::read_dir(project("host/docs")).unwrap();
    let names = folder.map(|file| file.unwrap().file_name().into_string().unwrap());
    let written = names.filter(|name| name.ends_with(".md"));
    let mut paths: Vec<String> = written.map(|name| format!("host/docs/{name}")).collect();
    paths.extend(["README.md", "plugins/README.md", "host/ARCHITECTURE.md"].map(Into::into));
    paths.extend(["README.md", "costs.md", "permissions.md", "worker.md"].map(|name| format!("deploy/{name}")));
    paths.sort();
    paths.iter().map(|path| Document::read(path)).collect()
}

/// Those, and the ones that have no commands of this repository.
fn all_documents() -> Vec<Document> {
    documents()
        .into_iter()
        .chain(["CHANGELOG.md", "plugins/sdk/python/README.md", "plugins/sdk/javascript/README.md"].map(Document::read))
        .collect()
}

/// `DOCUMENTS=overwrite` puts what is printed into the documents.
#[test]
fn every_command_prints_what_its_document_shows() {
    let follow = |document: &Document| {
        let others = Desk::new().follow(document);
        if std::env::var("DOCUMENTS").is_ok_and(|value| value == "overwrite") {
            let mut lines: Vec<String> = document.text.lines().map(Into::into).collect();
            for (typed, printed) in others.iter().rev() {
                let printed = printed.iter().map(|line| cut(line));
                let (from, to) = (typed.line, typed.line + typed.shown.len());
                lines.splice(from..to, printed);
            }
            std::fs::write(project(&document.path), lines.join("\n") + "\n").unwrap();
            return String::new();
        }
        others.iter().fold(String::new(), |mut text, (typed, printed)| {
            let (path, line) = (&document.path, typed.line);
            let (shown, printed) = (typed.shown.join("\n"), printed.join("\n"));
            let _ = writeln!(text, "{path}:{line}: `{}` is to print\n{shown}\nand prints\n{printed}", typed.command);
            text
        })
    };
    let documents = documents();
    let wrong: String = std::thread::scope(|scope| {
        let follow = &follow;
        let desks: Vec<_> = documents.iter().map(|document| scope.spawn(move || follow(document))).collect();
        desks.into_iter().map(|desk| desk.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{wrong}");
}

/// A line that fits into a document.
fn cut(line: &str) -> String {
    let fits = line.chars().count() <= WIDTH;
    if fits { line.into() } else { line.chars().take(WIDTH - 4).chain("[..]".chars()).collect() }
}

#[test]
fn what_runs_the_other_commands_is_there() {
    elsewhere::check(&documents());
}

/// Commands in the middle of a sentence: their targets, subcommands and flags exist.
#[test]
fn no_sentence_names_a_command_or_flag_that_is_not_there() {
    let help = |arguments: &[&str]| String::from_utf8(gristmill().args(arguments).output().unwrap().stdout).unwrap();
    let top = help(&["--help"]);
    let listed = top.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let subcommands: BTreeSet<&str> = listed
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(subcommands.contains("map"), "{top}");
    let helps: String = subcommands.iter().map(|name| help(&[name, "--help"])).collect::<String>()
        + &help(&["plugin", "inspect", "--help"])
        + &["push", "new", "build", "test", "dev"].map(|name| help(&["plugin", name, "--help"])).concat();
    // Flags of other programs.
    let others = ["--read-only", "--before"];
    let makefile = std::fs::read_to_string(project("Makefile")).unwrap();
    for document in documents().iter().filter(|document| !UNDER_WORK.contains(&&*document.path)) {
        for code in document.code() {
            let words: Vec<&str> = code.split(' ').collect();
            match words[..] {
                ["make", ref targets @ ..] => {
                    let missing =
                        targets.iter().find(|word| !word.contains('=') && !elsewhere::is_target(&makefile, word));
                    assert_eq!(missing, None, "{}: `{code}`", document.path);
                }
                ["gristmill", name, ..] => assert!(subcommands.contains(name), "{}: `{code}`", document.path),
                _ => {}
            }
            let flags = words.iter().filter(|word| word.starts_with("--") && !others.contains(word));
            let missing = flags.map(|flag| flag.split('=').next().unwrap()).find(|flag| !helps.contains(flag));
            assert_eq!(missing, None, "{}: `{code}`", document.path);
        }
    }
}

#[test]
fn dataset_files_in_documents_are_dataset_files() {
    let buckets = ["DATA_BUCKET", "RESULT_BUCKET"].map(|name| (name.to_owned(), "bucket".to_owned()));
    let variables = Variables::with_environment(buckets);
    let mut seen = 0;
    for document in documents() {
        // The operator's files are others.
        let others = ["[keys]", "# connections.toml"];
        let is_other = |lines: &[String]| others.iter().any(|other| lines.iter().any(|line| line == other));
        for block in document.blocks_in("toml").filter(|block| !is_other(&block.lines)) {
            let text = block.lines.join("\n") + "\n";
            for text in [whole(&text), whole(&uncommented(&text))] {
                let parsed = Dataset::parse_stages(&text, Path::new("dataset.toml"), &variables);
                parsed.unwrap_or_else(|findings| panic!("{}:{}: {findings}\n{text}", document.path, block.line));
            }
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen}");
}

/// A part of a dataset file, with the rest around it.
fn whole(text: &str) -> String {
    const REST: &str = "dataset = \"d\"\n[plugin]\ncomponent = \"d.wasm\"\n[map]\nitems = [1]\n\
                        [[output]]\nname = \"rows\"\ntable = \"rows\"\nkey = [\"k\"]\n";
    let part: DocumentMut = text.parse().unwrap();
    if part.contains_key("dataset") {
        return text.into();
    }
    let mut whole: DocumentMut = REST.parse().unwrap();
    for (name, value) in part.iter() {
        let table = whole.entry(name).or_insert(Item::Table(Table::new())).as_table_mut().unwrap();
        value.as_table().unwrap().iter().for_each(|(key, value)| drop(table.insert(key, value.clone())));
    }
    whole.to_string()
}

/// With the keys that are commented out.
fn uncommented(text: &str) -> String {
    let is_key = |rest: &str| rest.starts_with('[') || rest.split_whitespace().nth(1) == Some("=");
    let line = |line: &str| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line).to_owned() + "\n";
    text.lines().map(line).collect()
}

/// The parser names each key in one place, `keys!(let { ... } = ...)`.
#[test]
fn the_reference_has_every_key_of_a_dataset_file() {
    let reference = ["host/docs/dataset-file.md", "host/docs/versions.md", "host/docs/windows.md"];
    let reference = reference.map(|path| Document::read(path).text).concat();
    let sources = std::fs::read_dir(project("host/src/dataset/parse")).unwrap();
    let sources: String = sources.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let tables = sources.split("keys!(let {").skip(1).map(|rest| rest.split_once('}').unwrap().0);
    let keys: BTreeSet<&str> =
        tables.flat_map(|keys| keys.split(',')).map(str::trim).filter(|key| !key.is_empty()).collect();
    assert!(keys.len() > 40, "{keys:?}");
    let missing: Vec<_> = keys.iter().filter(|key| !reference.contains(**key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn plugins_in_documents_are_plugins() {
    let guide = Document::read("plugins/README.md");
    let rust = guide.blocks_in("rust").next().unwrap().lines;
    let sdk = std::fs::read_to_string(project("plugins/sdk/rust/src/lib.rs")).unwrap();
    let documented: Vec<_> =
        sdk.lines().filter_map(|line| line.strip_prefix("//!")).map(|line| line.trim_start_matches(' ')).collect();
    let documented = documented.join("\n");
    let wanted = rust.iter().map(|line| line.trim_start()).collect::<Vec<_>>().join("\n");
    assert!(documented.contains(&wanted), "the SDK's documentation, which is compiled and run, has another example");

    let python = project("target/venv-emulator/bin/python");
    let call = "import test_app; [f() for name, f in vars(test_app).items() if name.startswith('test_')]";
    for document in [&guide, &Document::read("plugins/sdk/python/README.md")] {
        let mut desk = Desk::new();
        for (name, block) in ["app.py", "test_app.py"].iter().zip(document.blocks_in("python")) {
            desk.write(name, &block.lines);
        }
        let (is_success, printed) = desk.run(&format!("{} -c \"{call}\"", python.display()));
        assert!(is_success, "{}: {printed}", document.path);
    }

    let app = guide.blocks_in("python").next().unwrap().lines;
    let shown = Document::read("README.md").blocks_in("python").next().unwrap().lines;
    assert_eq!(shown, app, "README.md has another plugin than plugins/README.md");
}

#[test]
fn every_block_says_what_it_is() {
    let known = ["console", "sh", "toml", "text", "json", "python", "rust", "typescript"];
    for document in documents().iter().filter(|document| !UNDER_WORK.contains(&&*document.path)) {
        for block in document.blocks() {
            assert!(known.contains(&&*block.language), "{}:{}: `{}`", document.path, block.line, block.language);
        }
    }
}

#[test]
fn documents_are_short_and_their_lines_too() {
    for document in all_documents().iter().filter(|document| !UNDER_WORK.contains(&&*document.path)) {
        for (number, line) in (1..).zip(document.text.lines()) {
            assert!(line.chars().count() <= WIDTH, "{}:{number} has more than {WIDTH} characters", document.path);
        }
    }
    assert!(Document::read("README.md").text.lines().count() <= 200);
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    for document in all_documents().iter().filter(|document| !UNDER_WORK.contains(&&*document.path)) {
        for link in document.links().iter().filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').map_or((link.as_str(), None), |(file, at)| (file, Some(at)));
            let target = if file.is_empty() { project(&document.path) } else { document.beside(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", document.path);
            if let Some(heading) = heading {
                let text = std::fs::read_to_string(target).unwrap();
                let anchors = Document { path: link.clone(), text }.anchors();
                assert!(
                    anchors.iter().any(|anchor| anchor == heading),
                    "{}: {link} leads to no heading",
                    document.path
                );
            }
        }
    }
}

#[test]
fn the_first_page_leads_to_every_other() {
    let readme = Document::read("README.md");
    let links = readme.links();
    let missing = all_documents().into_iter().map(|document| document.path);
    let missing: Vec<_> = missing.filter(|path| path != "README.md" && !links.contains(path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn promises_name_tests_that_exist() {
    let names = Document::read("host/docs/promises.md").code().into_iter().filter(|code| code.ends_with(".rs"));
    let missing: Vec<_> = names.filter(|name| !project(&format!("host/tests/it/{name}")).is_file()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
