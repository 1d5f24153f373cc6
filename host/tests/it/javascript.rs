//! Plugins in JavaScript: what an author can do and get wrong, on both engines in the real sandbox; and the npm package as an
//! author has it, packed and installed into an empty folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::write::GzEncoder;
use insta::{allow_duplicates, assert_snapshot};
use serde_json::Value;

use crate::laptop::Laptop;
use crate::support::project;

/// The tools that `make plugins` has installed.
fn tool(name: &str) -> PathBuf {
    let tool = project(&format!("plugins/node_modules/.bin/{name}"));
    assert!(tool.exists(), "{} is missing: run `make plugins` first", tool.display());
    tool.canonicalize().unwrap()
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

const WAYS: &str = "plugins/sdk/javascript/tests/components/ways.ts";

/// A laptop with what the plugin of many ways reads.
fn laptop() -> Laptop {
    let laptop = Laptop::new();
    laptop.put("a.txt", "text ø");
    let mut lines = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    lines.write_all("one\r\ntwø\n".as_bytes()).unwrap();
    laptop.put("lines.gz", lines.finish().unwrap());
    laptop.put("large.txt", "x".repeat(9000));
    laptop.put("some/1", "1");
    laptop.put("some/2", "22");
    laptop.put("t.csv", "id,n\na,1\n\"ø, b\",2\n");
    laptop.put("plain", "1;2\n3;\n");
    laptop.put(
        "t.jsonl",
        r#"{"id":"a","n":1,"big":1,"x":0.5,"day":"2026-01-01","at":"2026-01-01T00:00:00.000001Z","any":{"a":[1]}}
{"id":"ø","n":2,"big":9007199254740993,"x":1,"day":"2026-01-02","at":"2026-01-01T01:00:00+01:00","any":"text"}
{"id":null,"n":null,"big":null,"x":null,"day":null,"at":null,"any":null}
"#,
    );
    laptop
}

/// The names of the ways, as the source has them.
fn ways() -> Vec<String> {
    let source = fs::read_to_string(project(WAYS)).unwrap();
    let (_, rest) = source.split_once("const WAYS").unwrap();
    let lines = rest.lines().take_while(|line| !line.starts_with("};"));
    let ways = lines.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with([' ', '/', '}'])));
    ways.map(|line| line.split_once(':').unwrap().0.trim_matches('"').to_owned()).collect()
}

/// What became of each way: its result, or its code and message.
fn outcomes(engine: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let laptop = laptop();
    let component = laptop.root().join("ways.wasm");
    let mut build = Command::new(tool("gristmill-build"));
    succeeds(build.arg(project(WAYS)).arg("--engine").arg(engine).arg("-o").arg(&component));
    let ways = ways();
    let items: String = ways.iter().map(|way| format!("{{ way = {way:?} }}, ")).collect();
    let dataset = laptop.write(
        "dataset.toml",
        &format!(
            "dataset = \"ways\"\n[plugin]\ncomponent = \"ways.wasm\"\ntimeout = \"3s\"\nmemory = \"128 MiB\"\n\
             [grants]\nread = [\"s3://data/\"]\n[map]\nitems = [{items}]\ntolerated_failure_percentage = 100\n\
             reports = \"s3://data/reports/\"\n[[output]]\nname = \"rows\"\ntable = \"rows\"\nkey = [\"pk\"]\n"
        ),
    );
    let said = laptop.map(&dataset, &[]);
    let reports = laptop.objects("reports");
    let [(_, report)] = reports.as_slice() else { panic!("{}", said.all()) };
    let mut outcomes = BTreeMap::new();
    for line in String::from_utf8_lossy(report).lines().skip(1) {
        let outcome: Value = serde_json::from_str(line).unwrap();
        let way = ways[usize::try_from(outcome["index"].as_u64().unwrap()).unwrap()].clone();
        let text = |name: &str| outcome["failure"][name].as_str().unwrap().lines().next().unwrap().to_owned();
        let outcome = match outcome.get("result") {
            Some(result) => result.to_string(),
            None => format!("{} {}: {}", text("kind"), text("code"), text("message")),
        };
        outcomes.insert(way, outcome);
    }
    let sql = "SELECT json_object('pk', pk, 'n', n, 'x', x, 'on', \"on\", 'day', day, 'at', at, 'any', json(any)) \
               FROM rows ORDER BY pk";
    (outcomes, laptop.query(sql))
}

fn shown(outcomes: &BTreeMap<String, String>) -> String {
    outcomes.iter().map(|(way, outcome)| format!("{way}: {outcome}\n")).collect()
}

/// What both engines do.
fn held(outcomes: &BTreeMap<String, String>, rows: &[String]) {
    let (failed, worked): (BTreeMap<_, _>, BTreeMap<_, _>) =
        outcomes.clone().into_iter().partition(|(_, outcome)| outcome.starts_with("rej"));
    allow_duplicates! {
        assert_snapshot!(shown(&worked), @r#"
        async: ["one","twø",[1,"one"],"caught"]
        chunks: [4096,4096,808]
        columns: [[["Array","a","ø",null],["Array",1,2,null],["Array","1","9007199254740993",null],["Array",0.5,1,null],["Array",20454,20455,null],["Array",1767225600000001,1767225600000000,null],["Array",{"a":[1]},"text",null],["Array",null,null,null]]]
        csv: [{"a":"1","b":"2"},{"a":"3","b":null}]
        lines: ["one","twø"]
        list: [["s3://data/some/1",1],["s3://data/some/2",2]]
        pure: [0.4741397819016129,true,1]
        read: [101,120,116]
        rows: [{"id":"a","n":"1"},{"id":"ø, b","n":"2"}]
        text: ["text ø",7]
        where: [["ø"],["a"],["ø"],["ø"],["ø"],["ø"],[null]]
        "#);
        assert_snapshot!(shown(&failed), @r#"
        absent: rejected ObjectNotFound: there is no object s3://data/absent
        cast: rejected ObjectInvalid: s3://data/t.csv: column `id`: Cannot cast string 'a' to value of Int64 type
        column: rejected OutputInvalid: output rows, row 1: "temprature" is no column of this output; there are pk, n, x, on, day, at, any
        denied: rejected ObjectDenied: s3://other/a is not granted: `[grants] read` of dataset ways does not cover it
        denied table: rejected ObjectDenied: s3://other/a is not granted: `[grants] read` of dataset ways does not cover it
        loop: rejected Gristmill.Timeout: the item was stopped after 3s; `[plugin] timeout` sets the limit
        nan: rejected OutputInvalid: output rows, row 1: column x is NaN, which no format has; give null
        no column: rejected ObjectInvalid: s3://data/t.csv: it has no column `idd`
        no error: rejected NoError: process threw "text"; throw an Error, or call reject()
        no table: rejected ObjectInvalid: s3://data/a.txt is no Parquet file: it has 7 bytes
        no uri: rejected ObjectInvalid: `data/a` is not an object's URI: it must start with `s3://`
        output: rejected NoSuchOutput: the plugin declares no output row, did you mean rows?
        rejected: rejected Bad: it is bad
        rounded: rejected NumberTooLarge: s3://data/t.jsonl: column big has 9007199254740993, which is beyond 2^53; ask for it as "bigint" or "text"
        type: rejected Gristmill.BadOutput: output `rows`: row 1: column `n` takes a whole number of 64 bits (-9223372036854775808 to 9223372036854775807), found `"many"`
        "#);
        assert_snapshot!(rows.join("\n"), @r#"
        {"pk":"five","n":null,"x":-0.5,"on":null,"day":null,"at":null,"any":null}
        {"pk":"four","n":null,"x":1.5,"on":null,"day":null,"at":null,"any":null}
        {"pk":"one","n":9223372036854775807,"x":null,"on":null,"day":"1970-01-01","at":"1970-01-01T00:00:00.000000Z","any":{"a":["ø",0.1]}}
        {"pk":"three","n":null,"x":null,"on":1,"day":null,"at":null,"any":null}
        {"pk":"two","n":null,"x":0.5,"on":null,"day":null,"at":null,"any":null}
        "#);
    }
}

/// Takes out what engines say in their own words.
fn own_words(outcomes: &mut BTreeMap<String, String>) -> String {
    let own = ["after a while", "clock", "for ever", "report", "where it is"];
    let words = own.map(|way| (way.to_owned(), outcomes.remove(way).unwrap())).into();
    shown(&words)
}

#[test]
fn the_small_engine() {
    let (mut outcomes, rows) = outcomes("quickjs");
    assert_snapshot!(own_words(&mut outcomes), @r#"
    after a while: rejected TypeError: cannot read property 'length' of undefined (at ways.ts:109 in deeper)
    clock: rejected ReferenceError: setTimeout is not defined (at ways.ts:98 in clock)
    for ever: rejected NothingToWaitFor: process waits for a promise that nothing fulfils: a plugin has no timers and no network
    report: rejected BadReport: what process returned is no JSON: BigInt are forbidden in JSON.stringify
    where it is: rejected TypeError: cannot read property 'length' of undefined (at ways.ts:109 in deeper)
    "#);
    held(&outcomes, &rows);
}

#[test]
fn the_large_engine() {
    let (mut outcomes, rows) = outcomes("starling");
    assert_snapshot!(own_words(&mut outcomes), @r#"
    after a while: rejected TypeError: can't access property "length", item.uri is undefined (at ways.ts:109 in deeper)
    clock: 1
    for ever: rejected Gristmill.Trap: the plugin trapped: wasm trap: wasm `unreachable` instruction executed
    report: rejected BadReport: what process returned is no JSON: BigInt value can't be serialized in JSON
    where it is: rejected TypeError: can't access property "length", item.uri is undefined (at ways.ts:109 in deeper)
    "#);
    held(&outcomes, &rows);
}

/// The blocks of a document in this language: an app and its test, and maybe another app.
fn blocks(document: &str) -> Vec<String> {
    let text = fs::read_to_string(project(document)).unwrap();
    let blocks = text.split("```typescript\n").skip(1);
    blocks.map(|block| block.split_once("```").unwrap().0.to_owned()).collect()
}

/// Nothing in the folder leads to this tree; what it runs are the documents' own plugins, with the documents' own tests.
#[test]
fn the_packed_package_in_an_empty_folder() {
    let laptop = Laptop::new();
    let root = laptop.root();
    let sdk = project("plugins/sdk/javascript").canonicalize().unwrap();
    succeeds(npm(&sdk).args(["pack", "--pack-destination"]).arg(root));
    let author = root.join("author");
    for (folder, document) in [("rain", "plugins/sdk/javascript/README.md"), ("heat", "plugins/README.md")] {
        fs::create_dir_all(author.join(folder)).unwrap();
        for (name, text) in ["app.ts", "app.test.ts", "another.ts"].iter().zip(blocks(document)) {
            fs::write(author.join(folder).join(name), text).unwrap();
        }
    }
    fs::write(author.join("package.json"), PACKAGE).unwrap();
    fs::write(author.join("tsconfig.json"), TSCONFIG).unwrap();
    let tools = ["vitest", "typescript"].map(|name| format!("{name}@{}", installed(name)));
    let install =
        ["install", "--silent", "--prefer-offline", "--ignore-scripts", "--save-dev", "../gristmill-0.1.0.tgz"];
    succeeds(npm(&author).args(install).args(tools));
    succeeds(npm(&author).args(["exec", "--offline", "--", "tsc", "--noEmit", "-p", "."]));
    succeeds(npm(&author).args(["exec", "--offline", "--", "vitest", "run"]));
    let built =
        succeeds(npm(&author).args(["exec", "--offline", "--", "gristmill-build", "rain/app.ts", "-o", "rain.wasm"]));
    assert!(built.contains("rain.wasm: ") && built.contains("(quickjs)"), "{built}");
    let absent = npm(&author)
        .args(["exec", "--offline", "--", "gristmill-build", "rain/app.ts", "--engine", "starling"])
        .output();
    let said = String::from_utf8(absent.unwrap().stderr).unwrap();
    assert_snapshot!(said.trim(), @"error: the engine starling is not installed: npm install --save-dev @bytecodealliance/componentize-js@0.23.0 @bytecodealliance/jco@1.15.4");

    laptop.put("a.csv", "ELEMENT,DATA_VALUE\nPRCP,3\nTMAX,9\nPRCP,5\n");
    laptop.put("b.csv", "ELEMENT,DATA_VALUE\nTMAX,9\n");
    laptop.put("c.csv", "ELEMENT,DATA_VALUE\nPRCP,wet\n");
    fs::write(author.join("dataset.toml"), DATASET).unwrap();
    let said = laptop.map(&author.join("dataset.toml"), &[]);
    assert_eq!(laptop.query("SELECT pk || ' ' || PRCP FROM rain"), ["a.csv 5"], "{}", said.all());
    assert!(said.all().contains("1 × ObjectInvalid"), "{}", said.all());
}

const PACKAGE: &str = r#"{ "private": true, "type": "module" }"#;

/// Strict, and with a look at the types that the package ships.
const TSCONFIG: &str = r#"{
  "compilerOptions": {
    "target": "es2023", "lib": ["es2024", "dom"], "module": "nodenext", "types": [], "strict": true, "noEmit": true,
    "allowImportingTsExtensions": true
  },
  "include": ["*/*.ts"], "exclude": ["*/*.test.ts"]
}"#;

const DATASET: &str = r#"
dataset = "rain"
[plugin]
component = "rain.wasm"
[grants]
read = ["s3://data/"]
[map]
item_reader = { list_objects = "s3://data/" }
batch_input = { Bucket = "data" }
tolerated_failure_percentage = 50
[[output]]
name  = "stations"
table = "rain"
key   = ["pk"]
"#;

fn npm(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(folder);
    npm
}

/// The version that the lock file pins.
fn installed(name: &str) -> String {
    let package = fs::read_to_string(project(&format!("plugins/node_modules/{name}/package.json"))).unwrap();
    serde_json::from_str::<Value>(&package).unwrap()["version"].as_str().unwrap().to_owned()
}
