//! `gristmill publish`, `versions`, `promote`, `rollback` and `status`, as somebody types them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::guest::Guest;
use crate::laptop::{Laptop, gristmill};

const GOOD: &str = r#"(call $emit «rows» (i32.const 0) «{"id":1}» $out) (i32.const 0)"#;

/// No command here takes as long, also on a machine that does much else.
const NEVER: Duration = Duration::from_secs(120);

const TWO: &str = r#"(call $emit «rows» (i32.const 0) «{"id":2}» $out) (i32.const 0)"#;

/// Writes a plugin's folder: a dataset with these further keys, and its component.
fn plugin(laptop: &Laptop, version: &str, process: &str, keys: &str) -> PathBuf {
    let folder = laptop.root().join(format!("rows-{version}"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("rows.wasm"), Guest { version, ..Guest::new(process) }.component()).unwrap();
    let text = format!(
        "dataset = \"rows\"\nplugin.component = \"rows\"\nmap.items = []\n[[output]]\nname = \"rows\"\ntable = \"${{TABLE}}\"\n\
         key = [\"id\"]\n{keys}\n"
    );
    std::fs::write(folder.join("dataset.toml"), text).unwrap();
    folder
}

/// A command on the laptop's registry; what differs from run to run is taken out.
fn said(laptop: &Laptop, args: &[&str]) -> String {
    let mut command = gristmill();
    command.args(args).args(["--registry", laptop.root().join("registry").to_str().unwrap()]);
    // Whose name is in a head is not the test's.
    let mut child = command.env("USER", "ana").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > NEVER {
            child.kill().unwrap();
            panic!("{args:?} waits for ever");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let all = laptop.said(child.wait_with_output().unwrap()).all();
    let lines = all.lines().map(|line| match line.split_once("by ana@") {
        Some((before, _)) if before.starts_with("head ") => format!("{before}by ana@HOST, WHEN"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn publish(laptop: &Laptop, version: &str, process: &str, keys: &str) -> String {
    said(laptop, &["publish", plugin(laptop, version, process, keys).to_str().unwrap()])
}

#[test]
fn a_version_from_its_folder_into_use_and_away_again() {
    let laptop = Laptop::new();
    let first = publish(&laptop, "0.1.0", GOOD, "[sample]\nitems = [1]");
    assert!(!first.contains("sha256:0"), "{first}");
    publish(&laptop, "0.2.0", GOOD, "");
    let mut all = format!("{first}\n");
    for args in [
        &["promote", "rows", "0.1.0"][..],
        &["promote", "rows", "0.2.0"],
        &["versions", "rows"],
        &["status"],
        &["rollback", "rows"],
        &["promote", "rows", "0.2.0", "--canary", "10%"],
        &["promote", "rows", "0.2.0", "--shadow", "2.5%"],
        &["status", "rows"],
        &["rollback", "rows"],
    ] {
        all += &format!("$ gristmill {}\n{}\n", args.join(" "), said(&laptop, args));
    }
    assert_snapshot!(all, @r#"
    exit 0
    rows 0.1.0 is published as sha256:DIGEST
      component   sha256:DIGEST (3.3 KiB)
      sample      items: 1, files: 0
      signatures  0
      variables   TABLE: workers give them their values
      next        gristmill promote rows 0.1.0
    $ gristmill promote rows 0.1.0
    exit 0
    rows 0.1.0 is in use (head 1)
    $ gristmill promote rows 0.2.0
    exit 0
    rows 0.2.0 is in use (head 2)
    $ gristmill versions rows
    exit 0
    0.1.0         sha256:DIGEST…  signatures: 0  before
    0.2.0         sha256:DIGEST…  signatures: 0  stable
    $ gristmill status
    exit 0
    rows
      stable   0.2.0  sha256:DIGEST…  since head 2
      before   0.1.0  sha256:DIGEST…  since head 1
    head 2: promote rows 0.2.0, by ana@HOST, WHEN
    $ gristmill rollback rows
    exit 0
    rows 0.1.0 is in use (head 3)
    $ gristmill promote rows 0.2.0 --canary 10%
    exit 0
    rows 0.2.0 is the canary of 0.1.0, with 10% of the batches (head 4)
    $ gristmill promote rows 0.2.0 --shadow 2.5%
    exit 0
    rows 0.2.0 is the shadow of 0.1.0, with 2.5% of the batches (head 5)
    $ gristmill status rows
    exit 0
    rows
      stable   0.1.0  sha256:DIGEST…  since head 3
      shadow   0.2.0  sha256:DIGEST…  since head 5, 2.5% of the batches
    head 5: promote rows 0.2.0 --shadow 2.5%, by ana@HOST, WHEN
    $ gristmill rollback rows
    exit 0
    rows 0.1.0 is in use (head 6)
    "#);
}

#[test]
fn what_makes_no_sense_is_said_in_one_sentence() {
    let laptop = Laptop::new();
    publish(&laptop, "0.1.0", GOOD, "");
    publish(&laptop, "0.2.0", GOOD, "");
    let mut all = String::new();
    for args in [
        &["status"][..],
        &["promote", "rows", "0.2.0", "--canary", "10%"],
        &["rollback", "rows"],
        &["promote", "rows", "0.9.0"],
        &["promote", "nosuch", "0.1.0"],
        &["versions", "nosuch"],
        &["promote", "rows", "0.2.0"],
        &["promote", "rows", "0.2.0"],
        &["promote", "rows", "0.1.0"],
        &["status", "nosuch"],
    ] {
        all += &format!("$ gristmill {}\n{}\n", args.join(" "), said(&laptop, args));
    }
    for (what, version, process, keys) in [
        ("the same version with something else in it", "0.1.0", "(i32.const 0)", ""),
        ("a sample that traps", "0.3.0", "(unreachable)", "[sample]\nitems = [1]"),
        ("a sample with a key twice", "0.3.0", GOOD, "[sample]\nitems = [1, 2]"),
        (
            "an output that the component does not have",
            "0.3.0",
            GOOD,
            "[[output]]\nname = \"other\"\ntable = \"other\"\nkey = [\"id\"]",
        ),
        ("a version that is none", "1.0", GOOD, ""),
    ] {
        all += &format!("{what}\n{}\n", publish(&laptop, version, process, keys));
    }
    assert_snapshot!(all, @r#"
    $ gristmill status
    exit 0
    nothing is in use yet: `gristmill promote NAME VERSION`
    $ gristmill promote rows 0.2.0 --canary 10%
    exit 2
    error: no version of rows is in use, so that there is nothing to compare with: promote one without `--canary` and `--shadow` first
    $ gristmill rollback rows
    exit 2
    error: no earlier version of rows is known: there is nothing to go back to
    $ gristmill promote rows 0.9.0
    exit 2
    error: LAPTOP/registry has no rows 0.9.0: `gristmill versions rows` lists what it has
    $ gristmill promote nosuch 0.1.0
    exit 2
    error: LAPTOP/registry has no nosuch 0.1.0: `gristmill versions nosuch` lists what it has
    $ gristmill versions nosuch
    exit 2
    error: LAPTOP/registry has no version of nosuch: `gristmill publish` puts one there
    $ gristmill promote rows 0.2.0
    exit 0
    rows 0.2.0 is in use (head 1)
    $ gristmill promote rows 0.2.0
    exit 2
    error: rows 0.2.0 is in use already
    $ gristmill promote rows 0.1.0
    exit 2
    error: rows 0.1.0 is older than 0.2.0, which is in use: `gristmill rollback rows` goes back to what was in use before; `--downgrade` takes an older version into use all the same
    $ gristmill status nosuch
    exit 2
    error: LAPTOP/registry: no version of nosuch is in use: `gristmill promote nosuch VERSION`
    the same version with something else in it
    exit 2
    error: rows 0.1.0 is in LAPTOP/registry already, as another release (sha256:DIGEST): give the component a version of its own, or the dataset, with `[release] version` in LAPTOP/rows-0.1.0/dataset.toml
    a sample that traps
    exit 2
    error: LAPTOP/rows-0.3.0/dataset.toml: on item 0 of its own sample: Gristmill.Trap: the plugin trapped: wasm trap: wasm `unreachable` instruction executed
      error while executing at wasm backtrace:
          0:    0x25b - Main!<wasm function 8>

      Caused by:
          wasm trap: wasm `unreachable` instruction executed
    a sample with a key twice
    exit 2
    error: LAPTOP/rows-0.3.0/dataset.toml: on item 1 of its own sample: Gristmill.BadKey: output `rows`: row 1: another item of the batch has the key id = 1
    an output that the component does not have
    exit 2
    error: LAPTOP/rows-0.3.0/dataset.toml:9:1: output[1].name: the plugin `hostile` has no output `other`
        help: valid here: `rows`
    a version that is none
    exit 2
    error: the component's own version: "1.0" is not a version (semver.org): unexpected end of input while parsing minor version number
    "#);
}

/// Nobody who may write to the registry's folder keeps others from reading it: not by a pipe, which would be waited for, and not
/// by what is no release.
#[test]
fn one_entry_that_cannot_be_read_hides_no_other() {
    let laptop = Laptop::new();
    for version in ["0.1.0", "0.2.0", "0.5.0"] {
        publish(&laptop, version, GOOD, "");
    }
    said(&laptop, &["promote", "rows", "0.1.0"]);
    let versions = laptop.root().join("registry/names/rows/versions");
    let pipe = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    pipe(&versions.join("0.3.0"));
    std::fs::write(versions.join("0.4.0"), "nonsense").unwrap();
    let mut all = String::new();
    for args in [
        &["versions", "rows"][..],
        &["promote", "rows", "0.3.0"],
        &["promote", "rows", "0.4.0"],
        &["promote", "rows", "0.5.0"],
        &["status"],
    ] {
        all += &format!("$ gristmill {}\n{}\n", args.join(" "), said(&laptop, args));
    }
    assert_snapshot!(all, @r#"
    $ gristmill versions rows
    exit 0
    0.1.0         sha256:DIGEST…  signatures: 0  stable
    0.2.0         sha256:DIGEST…  signatures: 0  
    0.3.0         UNREADABLE  LAPTOP/registry/names/rows/versions/0.3.0 could not be read: it is a named pipe, and only regular files are read; gristmill did not put it there: remove it
    0.4.0         UNREADABLE  LAPTOP/registry/names/rows/versions/0.4.0 names no release: expected one line, `sha256:DIGEST` and 64 hexadecimal digits
    0.5.0         sha256:DIGEST…  signatures: 0  
    $ gristmill promote rows 0.3.0
    exit 2
    error: LAPTOP/registry/names/rows/versions/0.3.0 could not be read: it is a named pipe, and only regular files are read; gristmill did not put it there: remove it
    $ gristmill promote rows 0.4.0
    exit 2
    error: LAPTOP/registry/names/rows/versions/0.4.0 names no release: expected one line, `sha256:DIGEST` and 64 hexadecimal digits
    $ gristmill promote rows 0.5.0
    exit 0
    rows 0.5.0 is in use (head 2)
    $ gristmill status
    exit 0
    rows
      stable   0.5.0  sha256:DIGEST…  since head 2
      before   0.1.0  sha256:DIGEST…  since head 1
    head 2: promote rows 0.5.0, by ana@HOST, WHEN
    "#);
    // A pipe where workers say why they refuse what is in use.
    let release = std::fs::read_to_string(versions.join("0.5.0")).unwrap();
    let refusals = laptop.root().join("registry/names/rows/refusal").join(release.trim().split_once(':').unwrap().1);
    std::fs::create_dir_all(&refusals).unwrap();
    pipe(&refusals.join("0".repeat(64)));
    let status = said(&laptop, &["status"]);
    assert!(status.starts_with("exit 0") && status.contains("stable   0.5.0"), "{status}");
}

#[test]
fn a_registry_that_is_not_there_is_an_error() {
    let laptop = Laptop::new();
    let mut command = gristmill();
    let output = command.args(["status", "--registry", laptop.root().join("nosuch").to_str().unwrap()]).output();
    assert_snapshot!(laptop.said(output.unwrap()).all(), @r#"
    exit 2
    error: LAPTOP/nosuch: there is no registry: nothing was ever published there; `gristmill publish` makes one
    "#);
    std::fs::create_dir(laptop.root().join("nosuch")).unwrap();
    let mut command = gristmill();
    let output = command.args(["status", "--registry", laptop.root().join("nosuch").to_str().unwrap()]).output();
    assert!(!output.unwrap().status.success(), "an empty folder is none either");
}

#[test]
fn a_dataset_file_that_changes_alone_is_told_where_its_version_goes() {
    let laptop = Laptop::new();
    publish(&laptop, "0.1.0", GOOD, "");
    let mut all = String::new();
    for (what, process, keys) in [
        ("the file alone, without a version", GOOD, "[sample]\nitems = [1]"),
        ("the component too", TWO, ""),
        ("with a version", GOOD, "[release]\nversion = \"0.1.1\"\n[sample]\nitems = [1]"),
        ("changed once more", GOOD, "[release]\nversion = \"0.1.1\"\n[sample]\nitems = [2]"),
    ] {
        all += &format!("{what}\n{}\n", publish(&laptop, "0.1.0", process, keys));
    }
    for args in [
        &["promote", "rows", "0.1.0"][..],
        &["promote", "rows", "0.1.1", "--canary", "10%"],
        &["promote", "rows", "0.1.1"],
        &["versions", "rows"],
        &["promote", "rows", "0.1.0"],
        &["rollback", "rows"],
    ] {
        all += &format!("$ gristmill {}\n{}\n", args.join(" "), said(&laptop, args));
    }
    assert_snapshot!(all, @r#"
    the file alone, without a version
    exit 2
    error: rows 0.1.0 is in LAPTOP/registry already, as another release with the same component (sha256:DIGEST): what changed is the dataset file or its sample: give it a version of its own, with `[release] version` in LAPTOP/rows-0.1.0/dataset.toml
    the component too
    exit 2
    error: rows 0.1.0 is in LAPTOP/registry already, as another release (sha256:DIGEST): give the component a version of its own, or the dataset, with `[release] version` in LAPTOP/rows-0.1.0/dataset.toml
    with a version
    exit 0
    rows 0.1.1 is published as sha256:DIGEST
      component   sha256:DIGEST (3.3 KiB)
      sample      items: 1, files: 0
      signatures  0
      variables   TABLE: workers give them their values
      next        gristmill promote rows 0.1.1
    changed once more
    exit 2
    error: rows 0.1.1 is in LAPTOP/registry already, as another release with the same component (sha256:DIGEST): give this one a version of its own: change `[release] version` in LAPTOP/rows-0.1.0/dataset.toml
    $ gristmill promote rows 0.1.0
    exit 0
    rows 0.1.0 is in use (head 1)
    $ gristmill promote rows 0.1.1 --canary 10%
    exit 0
    rows 0.1.1 is the canary of 0.1.0, with 10% of the batches (head 2)
    $ gristmill promote rows 0.1.1
    exit 0
    rows 0.1.1 is in use (head 3)
    $ gristmill versions rows
    exit 0
    0.1.0         sha256:DIGEST…  signatures: 0  before
    0.1.1         sha256:DIGEST…  signatures: 0  stable
    $ gristmill promote rows 0.1.0
    exit 2
    error: rows 0.1.0 is older than 0.1.1, which is in use: `gristmill rollback rows` goes back to what was in use before; `--downgrade` takes an older version into use all the same
    $ gristmill rollback rows
    exit 0
    rows 0.1.0 is in use (head 4)
    "#);
    let none = publish(&laptop, "0.1.0", GOOD, "[release]\nversion = \"1.0\"");
    assert!(none.contains("release.version: \"1.0\" is not a version (semver.org)"), "{none}");
}

/// Nothing in a name or a version leads out of the registry.
#[test]
fn names_are_names() {
    let laptop = Laptop::new();
    for args in [["promote", "../rows", "0.1.0"], ["promote", "rows", "../0.1.0"], ["promote", "rows", "0.1.0/.."]] {
        let said = said(&laptop, &args);
        assert!(said.contains("error: invalid value '") && said.contains("exit 2"), "{said}");
    }
    assert!(!laptop.root().join("registry").exists());
}

#[test]
fn of_two_people_who_promote_at_once_one_wins_and_one_is_told() {
    let laptop = Laptop::new();
    publish(&laptop, "0.0.0", GOOD, "");
    said(&laptop, &["promote", "rows", "0.0.0"]);
    let registry = laptop.root().join("registry");
    let (mut told, mut round) = (0, 0);
    // Until two have met: when they do is the machine's choice.
    while told == 0 {
        assert!(round < 100, "in a hundred rounds no two met");
        for minor in [2 * round + 1, 2 * round + 2] {
            publish(&laptop, &format!("0.{minor}.0"), GOOD, "");
        }
        let begun: Vec<_> = [2 * round + 1, 2 * round + 2]
            .map(|minor| {
                let mut command = gristmill();
                command.args(["promote", "rows", &format!("0.{minor}.0"), "--registry"]).arg(&registry);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .into();
        let said: Vec<String> =
            begun.into_iter().map(|child| laptop.said(child.wait_with_output().unwrap()).all()).collect();
        assert!(said.iter().any(|said| said.contains("is in use (head ")), "{said:?}");
        for said in said.iter().filter(|said| !said.contains("is in use (head ")) {
            // Who came wholly after the other, with the older version, is told something else.
            assert!(said.contains("somebody else was first: head ") || said.contains("is older than"), "{said}");
            told += usize::from(said.contains("somebody else was first"));
        }
        round += 1;
    }
}
