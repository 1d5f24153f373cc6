//! Strangers' components and schemas are digested in a process of its own, within limits; what comes of them is kept in a cache
//! that nobody else can put anything into.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use gristmill::dataset::Manifest;
use gristmill::runtime::{Bounds, Digester, Plugin, PluginError, Runtime, RuntimeConfig};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::guest::Guest;
use crate::laptop::{Laptop, Said};
use crate::support::plugin;

const MIB: u64 = 1 << 20;
/// What no test here comes near by itself.
const AMPLE: Bounds = Bounds { memory: 2048 * MIB, cpu: Duration::from_secs(600), time: Duration::from_secs(600) };

fn runtime(bounds: Bounds, cache: Option<PathBuf>) -> Runtime {
    let runtime = Runtime::new(&RuntimeConfig { slots: 1, cache, io: Handle::current() }).unwrap();
    runtime.digesting_with(Digester::new(env!("CARGO_BIN_EXE_gristmill"), bounds, 1))
}

/// So many levels, each of which instantiates the one below twice.
fn nested_instances(levels: usize) -> Vec<u8> {
    let mut beside = "(core module $Nothing)(component $L0 (core instance (instantiate $Nothing)))".to_owned();
    for level in 1..=levels {
        let below = level - 1;
        beside +=
            &format!("(component $L{level} (instance (instantiate $L{below})) (instance (instantiate $L{below})))");
    }
    beside += &format!("(instance (instantiate $L{levels}))");
    Guest { beside: &beside, ..Guest::default() }.component()
}

/// A function whose values live long: `i64.add(i64.load(..), i64.add(i64.load(..), ...))`.
fn long_chain(loads: usize) -> Vec<u8> {
    let function = format!(
        "(func (param i32) (result i64) {} {})",
        "(i64.load (local.get 0)) ".repeat(loads),
        "i64.add ".repeat(loads - 1)
    );
    Guest { also: &function, ..Guest::default() }.component()
}

fn many_calls(calls: usize) -> Vec<u8> {
    let functions = format!("(func $f) (func {})", "call $f ".repeat(calls));
    Guest { also: &functions, ..Guest::default() }.component()
}

/// One that takes minutes.
static SLOW: LazyLock<Vec<u8>> = LazyLock::new(|| long_chain(280_000));

async fn refused(component: &[u8], bounds: Bounds) -> String {
    match runtime(bounds, None).open(component).await {
        Err(error @ PluginError::TooMuch(_)) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was compiled"),
    }
}

#[tokio::test]
async fn an_honest_component_is_what_it_is_in_any_process() {
    let bytes = fs::read(plugin("noaa-precipitation")).unwrap();
    let apart = runtime(AMPLE, None).open(&bytes).await.unwrap();
    let here = Runtime::new(&RuntimeConfig { slots: 1, cache: None, io: Handle::current() }).unwrap();
    let here = here.open(&bytes).await.unwrap();
    let about =
        |plugin: &Plugin| (plugin.manifest.clone(), plugin.imports.clone(), plugin.exports.clone(), plugin.digest);
    assert_eq!(about(&apart), about(&here));
    assert!(apart.compiled_in.is_some());
}

#[tokio::test]
async fn instances_that_multiply_meet_the_limit_of_memory() {
    let component = nested_instances(24);
    assert!(component.len() < 8192, "{}", component.len());
    let said = refused(&component, Bounds { memory: 256 * MIB, ..AMPLE }).await;
    assert!(said.starts_with("compiling it took more than 256.0 MiB of memory: build it with fewer"), "{said}");
    assert!(said.contains("`--compile-memory`"), "{said}");
}

#[tokio::test]
async fn calls_by_the_million_meet_the_limit_of_memory() {
    let said = refused(&many_calls(2_000_000), Bounds { memory: 256 * MIB, ..AMPLE }).await;
    assert!(said.contains("more than 256.0 MiB of memory"), "{said}");
}

#[tokio::test]
async fn a_function_that_takes_long_meets_the_limit_of_cpu_time() {
    let said = refused(&SLOW, Bounds { cpu: Duration::from_secs(1), ..AMPLE }).await;
    assert!(said.contains("more than 1s of CPU time"), "{said}");
}

/// There is one thread here, which nothing but the ticks may need.
#[tokio::test]
async fn a_compiler_that_does_not_come_to_an_end_holds_nobody_up() {
    let ticks = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for _ in 0..20 {
            ticks.tick().await;
        }
    };
    tokio::select! {
        () = ticks => {}
        said = refused(&SLOW, AMPLE) => panic!("{said}"),
    }
    let said = refused(&SLOW, Bounds { time: Duration::from_millis(300), ..AMPLE }).await;
    assert!(said.contains("longer than 300ms"), "{said}");
}

/// Whether a process of this test's, which is known by its limit, is there.
fn compiles(cpu: u64) -> bool {
    let line = format!("digest\0--memory\0{}\0--cpu\0{cpu}\0", AMPLE.memory);
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes.into_iter().any(|process| {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        command.ends_with(line.as_bytes())
    })
}

async fn until(happened: impl Fn() -> bool) {
    while !happened() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn nobody_compiles_what_nobody_waits_for() {
    let runtime = runtime(Bounds { cpu: Duration::from_secs(577), ..AMPLE }, None);
    let opening = tokio::spawn(async move { runtime.open(&SLOW).await.map(drop) });
    until(|| compiles(577)).await;
    opening.abort();
    until(|| !compiles(577)).await;
}

#[test]
fn a_compiler_ends_with_the_process_that_it_works_for() {
    let laptop = Laptop::new();
    let file = laptop.root().join("slow.wasm");
    fs::write(&file, &*SLOW).unwrap();
    let mut inspect = gristmill(&laptop.root().join("cache"));
    inspect.args(["plugin", "inspect", "--compile-time", "587s", "--compile-memory", "2GiB"]).arg(file);
    let mut inspect = inspect.stderr(Stdio::null()).spawn().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(until(|| compiles(587)));
    inspect.kill().unwrap();
    inspect.wait().unwrap();
    runtime.block_on(until(|| !compiles(587)));
}

/// The settings of a dataset against a plugin's schema, in a process of its own.
async fn judged(schema: Value, settings: Value) -> Result<Vec<String>, String> {
    let (name, version, description) = ("p".to_owned(), "1.0.0".to_owned(), String::new());
    let manifest = Manifest { name, version, description, settings_schema: schema, outputs: Vec::new() };
    let judgement = runtime(AMPLE, None).judge(&manifest, &settings).await;
    judgement.map(|complaints| complaints.into_iter().map(|complaint| complaint.message).collect())
}

#[tokio::test]
async fn a_schema_is_applied_in_a_process_of_its_own() {
    let schema = json!({"properties": {"n": {"type": "integer"}}, "additionalProperties": false});
    assert_eq!(judged(schema.clone(), json!({"n": 1})).await, Ok(vec![]));
    let said = judged(schema, json!({"n": "x", "m": 1})).await.unwrap();
    assert_eq!(said, ["\"x\" is not of type \"integer\"", "the plugin `p` has no setting `m`"]);
}

#[tokio::test]
async fn a_schema_that_takes_too_much_is_the_plugins_fault() {
    let backtracking: Vec<_> = (0..600).map(|n| json!({"pattern": format!("^(a|a)*{n}$")})).collect();
    let said = judged(json!({"propertyNames": {"allOf": backtracking}}), json!({"a": 1})).await.unwrap_err();
    assert!(said.contains("600 regular expressions; at most 32"), "{said}");
    let large: Vec<_> = (0..1400).map(|_| json!({"pattern": "\\w{200}"})).collect();
    let said = judged(json!({"allOf": large}), json!({"a": 1})).await.unwrap_err();
    assert!(said.contains("1400 regular expressions; at most 32"), "{said}");
    let said = judged(json!({"propertyNames": {"pattern": "\\p{L}{400}"}}), json!({"a": 1})).await.unwrap_err();
    assert!(said.contains("at most 1 MiB when it is compiled"), "{said}");
    // Within all other bounds, and yet nobody would see the end of it: 16 references, each of which is followed for each level.
    let many = json!({"anyOf": vec![json!({"$ref": "#"}); 16]});
    let schema = json!({"$defs": {}, "type": "object", "additionalProperties": many});
    let deep = (0..12).fold(json!(1), |inner, _| json!({"a": inner}));
    let said = judged(schema, deep).await.unwrap_err();
    assert!(said.contains("takes more than 5s of CPU time") || said.contains("of memory"), "{said}");
}

fn gristmill(cache: &Path) -> Command {
    let mut command = crate::laptop::gristmill();
    command.env("GRISTMILL_CACHE", cache);
    command
}

/// The compiled components of a cache.
fn entries(cache: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "cwasm")).collect()
}

/// What a component calls itself, whether it was compiled for that, and what was said beside.
fn inspected(cache: &Path, name: &str) -> (String, bool, String) {
    let output = gristmill(cache).args(["plugin", "inspect", "--json"]).arg(plugin(name)).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = said["name"].as_str().unwrap().to_owned();
    (name, !said["compile_seconds"].is_null(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn one_components_code_under_anothers_name_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let noaa = "noaa-precipitation";
    assert_eq!(inspected(&cache, noaa), (noaa.into(), true, String::new()));
    let [entry] = entries(&cache).try_into().unwrap();
    assert_eq!(inspected(&cache, "noop"), ("noop".into(), true, String::new()));
    let [other] = entries(&cache).into_iter().filter(|file| *file != entry).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(inspected(&cache, "noop"), ("noop".into(), false, String::new()));
    fs::copy(&entry, &other).unwrap();
    let (name, compiled, said) = inspected(&cache, "noop");
    assert_eq!((name.as_str(), compiled), ("noop", true));
    assert!(said.contains("damaged or was not made here"), "{said}");
    assert_eq!(inspected(&cache, "noop"), ("noop".into(), false, String::new()), "it was replaced");
}

#[test]
fn a_cache_is_one_per_user_and_never_in_a_folder_of_data() {
    let laptop = Laptop::with_stations([("A", 10)]);
    let dataset = laptop.every_station(1);
    let (home, caches) = (laptop.root().join("home"), laptop.root().join("caches"));
    let run = |arguments: &[&str], variables: &[(&str, &Path)]| -> Said {
        let mut command = crate::laptop::gristmill();
        command.env_remove("GRISTMILL_CACHE").env_remove("XDG_CACHE_HOME").env_remove("HOME");
        let said = laptop.said(command.args(arguments).envs(variables.iter().copied()).output().unwrap());
        assert_eq!(said.code, Some(0), "{}", said.all());
        said
    };
    let (file, local) = (dataset.to_str().unwrap(), laptop.local());
    let check = ["check", file];
    let inspect =
        ["plugin", "inspect", &*plugin("noaa-precipitation").to_str().unwrap().to_owned()].map(ToOwned::to_owned);
    let inspect: Vec<&str> = inspect.iter().map(String::as_str).collect();
    let map = ["map", file, "--local", local.to_str().unwrap()];
    // The first compiles, and no other can: no compiler has room in this.
    let cannot = |arguments: &[&str]| [arguments, &["--compile-memory", "1MiB"]].concat().join("\0");
    for (variables, cache) in [
        (vec![("HOME", home.as_path())], home.join(".cache/gristmill")),
        (vec![("HOME", home.as_path()), ("XDG_CACHE_HOME", caches.as_path())], caches.join("gristmill")),
    ] {
        run(&check, &variables);
        assert_eq!(entries(&cache).len(), 1);
        for command in [&check[..], &inspect, &map] {
            run(&cannot(command).split('\0').collect::<Vec<_>>(), &variables);
        }
    }
    // Without a home it is compiled each time, which is said.
    let said = run(&check, &[]);
    assert!(said.err.contains("there is no home for compiled components"), "{}", said.err);
    let kept: Vec<_> =
        fs::read_dir(local.join(".gristmill")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        kept.iter().all(|name| ["ledger.sqlite", "owners"].iter().any(|own| name.to_string_lossy().starts_with(own))),
        "{kept:?}"
    );
}

#[test]
fn two_who_compile_at_once_both_have_it_and_keep_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let begin = || {
        let mut command = gristmill(&cache);
        command.args(["plugin", "inspect", "--json"]).arg(plugin("noaa-precipitation"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for output in [begin(), begin(), begin()].map(|child| child.wait_with_output().unwrap()) {
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*said), (Some(0), ""));
    }
    let kept = fs::read_dir(&cache).unwrap().count();
    assert_eq!((entries(&cache).len(), kept), (1, 2), "the entry, the secret, and nothing else");
    assert_eq!(inspected(&cache, "noaa-precipitation"), ("noaa-precipitation".into(), false, String::new()));
}

#[test]
fn what_is_wrong_in_the_text_is_said_before_anything_is_compiled() {
    let laptop = Laptop::new();
    fs::write(laptop.root().join("slow.wasm"), &*SLOW).unwrap();
    let text = "dataset = \"d\"\nplugin.component = \"slow.wasm\"\n[map]\nitems = [1]\nmax_items_per_bach = 1\n\
                [[output]]\nname = \"rows\"\ntable = \"rows\"\nkey = [\"id\"]\n";
    let dataset = laptop.write("dataset.toml", text);
    let cache = laptop.root().join("cache");
    let mut check =
        gristmill(&cache).arg("check").arg(&dataset).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(check.stdout.take().unwrap()), &mut said).unwrap();
    assert!(said.contains("unknown key `max_items_per_bach`"), "{said}");
    assert_eq!(check.try_wait().unwrap(), None, "it compiles");
    check.kill().unwrap();
    check.wait().unwrap();

    let said =
        laptop.said(gristmill(&cache).arg("map").arg(&dataset).arg("--local").arg(laptop.local()).output().unwrap());
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("unknown key `max_items_per_bach`") && !said.err.contains("compiling"), "{}", said.err);
    // What only a run knows: the input.
    let text = text.replace("max_items_per_bach = 1\n", "").replace("[1]", "\"{$.days}\"");
    let dataset = laptop.write("dataset.toml", &text);
    let said =
        laptop.said(gristmill(&cache).arg("map").arg(&dataset).arg("--local").arg(laptop.local()).output().unwrap());
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("days") && !said.err.contains("compiling"), "{}", said.err);
}

#[test]
fn a_manifest_with_names_that_name_nothing_is_refused_everywhere() {
    let laptop = Laptop::new();
    let file = laptop.root().join("guest.wasm");
    let dataset = laptop.write(
        "dataset.toml",
        "dataset = \"d\"\nplugin.component = \"guest.wasm\"\n[map]\nitems = [1]\n[[output]]\nname = \"rows\"\ntable = \"rows\"\nkey = [\"id\"]\n",
    );
    for (outputs, sentence) in [
        (["rows", "rows"], "two of its outputs are called \"rows\""),
        (["rows", ".."], "an output is called \"..\": a name is"),
        (["rows", ""], "an output is called \"\": a name is"),
        (["rows", "a/b"], "an output is called \"a/b\": a name is"),
    ] {
        fs::write(&file, Guest { outputs: &outputs, ..Guest::default() }.component()).unwrap();
        let inspect = laptop.run(&["plugin", "inspect", file.to_str().unwrap()]);
        let check = laptop.run(&["check", dataset.to_str().unwrap()]);
        assert_eq!((inspect.code, check.code), (Some(2), Some(1)));
        for said in [inspect.err, check.out] {
            assert!(said.contains(&format!("the component does not describe itself: {sentence}")), "{said}");
        }
    }
}

/// What it does when somebody else calls it: it says that this is no command for people.
#[test]
fn the_process_that_digests_is_asked_by_gristmill_alone() {
    let output = crate::laptop::gristmill()
        .args(["digest", "--memory", "100000000", "--cpu", "1"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: `gristmill digest` is started by gristmill itself"), "{said}");
    let help = crate::laptop::gristmill().arg("--help").output().unwrap();
    assert!(!String::from_utf8(help.stdout).unwrap().contains("digest"));
}
