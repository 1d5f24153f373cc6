//! The rules of the house (host/ARCHITECTURE.md), held by reading the sources: rooms import downwards only, no two files import each
//! other, the AWS SDKs stay in their adapters, wasmtime in its room.

mod imports;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The rooms, ground floor first. A room may import itself and any lower floor, never its neighbours.
const FLOORS: &[&[&str]] = &[
    &["aws", "backoff", "cpu", "files", "sqlite", "job", "text"],
    &["callback", "ledger", "object", "queue", "registry", "trust"],
    &["dataset", "table"],
    &["database"],
    &["asl", "runtime", "sink"],
    &["account", "data_catalog", "lint", "report", "simulate"],
    &["admission", "conclude", "telemetry"],
    &["catalog", "windows"],
    &["batch", "rollout"],
    &["author", "map", "replay", "worker"],
    &["cli"],
    &["commands"],
    &["lib", "main"],
];

/// Where the AWS SDKs may be named.
const AWS: &[&str] = &[
    "account",
    "aws",
    "callback/step_functions.rs",
    "commands/worker.rs",
    "ledger/dynamodb/",
    "object/s3/",
    "queue/sqs/",
    "registry/s3.rs",
    "sink/dynamodb/",
];

/// A line of code, with its file below `src` and its place for people. Comments are no code: they may name anything.
struct Line {
    file: String,
    place: String,
    text: String,
}

fn code() -> Vec<Line> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut lines) = (vec![src.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        let paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.extend(paths.iter().filter(|path| path.is_dir()).cloned());
        for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
            let file = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
            for (number, text) in std::fs::read_to_string(path).unwrap().lines().enumerate() {
                let place = format!("host/src/{file}:{}", number + 1);
                // What stands in a text names nothing: filters of the log know libraries by their names.
                let code: String = text.trim().split('"').step_by(2).collect();
                lines.push(Line { file: file.clone(), place, text: code });
            }
        }
    }
    lines.retain(|line| !line.text.starts_with("//"));
    lines
}

/// The room that `name` (a file or folder of `src`, with what follows) belongs to, and its floor.
fn room(name: &str) -> (&str, usize) {
    let name = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
    let floor = FLOORS.iter().position(|rooms| rooms.contains(&name));
    (name, floor.unwrap_or_else(|| panic!("`{name}` has no floor yet (and a `use crate::` names one room)")))
}

/// That known imports are seen says that the scan sees anything at all.
#[test]
fn rooms_import_downwards_only() {
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for line in code() {
        let (from, floor) = room(&line.file);
        for path in line.text.replace("$crate::", "").split("crate::").skip(1) {
            let (to, below) = room(path);
            seen.insert((from.to_owned(), to.to_owned()));
            if from != to && below >= floor {
                wrong.push(format!("{}: `{from}` imports `{to}`, which is not below it", line.place));
            }
        }
    }
    assert!(seen.contains(&("batch".into(), "ledger".into())) && seen.len() > 40, "{seen:?}");
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Neither directly nor by way of others. That rooms are known to import files says that the scan sees anything at all.
#[test]
fn no_files_import_each_other() {
    let imports = imports::imports(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let module = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    assert!(imports[&module("batch/commit")].contains(&module("batch/attempt")), "{imports:?}");
    assert!(imports[&module("batch/items/results")].contains(&module("catalog/version")), "{imports:?}");
    let circles = imports::circles(&imports);
    let shown = circles.iter().map(|(from, to)| format!("{} -> {}", from.join("/"), to.join("/")));
    assert!(circles.is_empty(), "\n{}\n", shown.collect::<Vec<_>>().join("\n"));
}

#[test]
fn libraries_stay_in_their_rooms() {
    for (libraries, places) in [(&["aws_sdk_", "aws_config", "aws_smithy"][..], AWS), (&["wasmtime"], &["runtime/"])] {
        let named = code().into_iter().filter(|line| libraries.iter().any(|library| line.text.contains(library)));
        let (inside, outside): (Vec<_>, Vec<_>) =
            named.partition(|line| places.iter().any(|place| line.file.starts_with(place)));
        assert!(inside.len() > 10, "{libraries:?} were not found where they belong");
        let outside: Vec<_> = outside.iter().map(|line| format!("{}: {}", line.place, line.text)).collect();
        assert!(outside.is_empty(), "{libraries:?} belong to {places:?}:\n{}\n", outside.join("\n"));
    }
}

/// `Runtime::new` alone compiles in this process and without bounds.
#[test]
fn commands_open_components_in_one_way_only() {
    let of_commands = code().into_iter().filter(|line| line.file.starts_with("commands/"));
    let opened: BTreeSet<_> =
        of_commands.filter(|line| line.text.contains("RuntimeConfig {")).map(|line| line.file).collect();
    assert_eq!(opened, BTreeSet::from(["commands/compiler.rs".into()]));
}
