//! What a laptop cannot do: a disk without room, names that no file can have, things under the folder that are no files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::laptop::{Laptop, Said, station};

/// A run that may write no file larger than so many KiB: an error that comes at a write, as that of a full disk does, and needs
/// neither a small disk nor the rights to make one.
fn run_in(laptop: &Laptop, dataset: &Path, kib: u32) -> Said {
    // Once without, over another folder: what is compiled is kept, and may be large.
    let warm = Laptop::with_stations([("A", 1)]);
    assert_eq!(warm.map(&warm.every_station(1), &[]).code, Some(0));
    let command = laptop.map_command(dataset, &[]);
    // 512 bytes to a block, says POSIX. The signal that would come with the error is ignored.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let begun = Instant::now();
    let said = laptop.said(shell.output().unwrap());
    // Three pauses of a batch that is tried again take longer.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}: {said:?}", begun.elapsed());
    said
}

/// Every line but those of the summary.
fn sentences(said: &Said) -> Vec<&str> {
    let about = |line: &&str| line.contains("could not be written") || line.contains("sqlite`");
    said.err.lines().chain(said.out.lines()).filter(about).collect()
}

#[test]
fn an_object_for_which_there_is_no_room_ends_the_run_at_once_with_one_sentence() {
    let laptop = Laptop::new();
    for n in 0..1500 {
        laptop.put(&format!("stations/S{n:04}.csv"), station(&format!("STATION-{n:04}"), n));
    }
    let map = "item_reader = { list_objects = \"s3://data/stations/\" }\n\
               item_selector = { Key = \"{$$.Map.Item.Value.Key}\" }\nmax_items_per_batch = 1500";
    let dataset = laptop.dataset_to(map, "prefix = \"s3://data/out/\"\nformat = \"json_lines\"");
    let said = run_in(&laptop, &dataset, 48);
    assert_eq!(said.code, Some(1), "{said:?}");
    let sentences = sentences(&said);
    assert_eq!(sentences.len(), 1, "{said:?}");
    assert!(sentences[0].starts_with("  Gristmill.OutputRefused: s3://data/out/000000-"), "{said:?}");
    assert!(
        sentences[0].ends_with("would be larger than a file may be here (`ulimit -f`, or the file system)"),
        "{said:?}"
    );
    assert!(laptop.objects("out").is_empty(), "nothing is seen of it");
    // With room it goes on.
    assert_eq!(laptop.map(&dataset, &[]).code, Some(0));
}

#[test]
fn tables_and_a_ledger_for_which_there_is_no_room_end_the_run_at_once_with_one_sentence() {
    let laptop = Laptop::new();
    for n in 0..200 {
        laptop.put(&format!("stations/S{n:04}.csv"), station(&format!("S{n:04}"), n));
    }
    let dataset = laptop.every_station(1);
    let said = run_in(&laptop, &dataset, 96);
    assert_eq!(said.code, Some(1), "{said:?}");
    let sentences = sentences(&said);
    assert_eq!(sentences.len(), 1, "{said:?}");
    assert!(sentences[0].starts_with("  Gristmill.OutputRefused: "), "{said:?}");
    assert_eq!(laptop.map(&dataset, &[]).code, Some(0));
    assert_eq!(laptop.rows().len(), 200);
}

#[test]
fn a_place_that_no_folder_holds_is_refused_before_anything_runs() {
    let laptop = Laptop::with_stations([("A", 1)]);
    let map = "item_reader = { list_objects = \"s3://data/stations/\" }";
    let long = format!("out/{}/", "x".repeat(256));
    for (prefix, why) in [("out//daily/", "has an empty part"), (&long, "has names of at most 255")] {
        let refused = |dataset: &Path, whose: &str| {
            let said = laptop.map(dataset, &[]);
            assert_eq!(said.code, Some(2), "{said:?}");
            assert!(said.err.contains(whose) && said.err.contains(why), "{said:?}");
        };
        let to_objects = format!("prefix = \"s3://data/{prefix}\"\nformat = \"csv\"");
        refused(&laptop.dataset_to(map, &to_objects), "output[0].prefix");
        refused(&laptop.dataset(&format!("{map}\nreports = \"s3://data/{prefix}\"")), "map.reports");
    }
    assert!(laptop.objects("out").is_empty());
}

#[test]
fn a_named_pipe_is_no_object_and_holds_nobody_up() {
    let laptop = Laptop::new();
    fs::create_dir_all(laptop.object("stations")).unwrap();
    let pipe = laptop.object("stations/pipe.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let said = laptop.map(&laptop.dataset("item_reader = { csv = \"s3://data/stations/pipe.csv\" }"), &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("States.ItemReaderFailed") && said.out.contains("a named pipe"), "{said:?}");
    let said = laptop.map(&laptop.dataset("items = [{ Key = \"stations/pipe.csv\" }]"), &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("ObjectNotFound") && said.out.contains("a named pipe"), "{said:?}");
}

#[test]
fn a_link_that_leads_nowhere_is_not_the_same_as_no_items() {
    let laptop = Laptop::new();
    symlink("/nonexistent/stations", laptop.object("stations")).unwrap();
    let dataset = laptop.every_station(1);
    let nowhere = format!("the link {} leads nowhere", laptop.object("stations").display());
    let said = laptop.map(&dataset, &[]);
    let nowhere = nowhere.replace(laptop.root().to_str().unwrap(), "LAPTOP");
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains(&nowhere), "{said:?}");
    // The bucket itself, and single files.
    fs::remove_file(laptop.object("stations")).unwrap();
    fs::create_dir(laptop.object("stations")).unwrap();
    symlink("/nonexistent/A.csv", laptop.object("stations/A.csv")).unwrap();
    let said = laptop.map(&dataset, &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("stations/A.csv leads nowhere"), "{said:?}");
    laptop.station("B", 20);
    let said = laptop.map(&dataset, &[]);
    assert_eq!(said.code, Some(0));
    assert!(said.err.contains("stations/A.csv leads nowhere"), "beside others it is a warning: {said:?}");
    fs::remove_dir_all(laptop.local().join("s3/data")).unwrap();
    symlink("/nonexistent/data", laptop.local().join("s3/data")).unwrap();
    let said = laptop.map(&dataset, &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("there is no bucket `data`") && said.out.contains("leads nowhere"), "{said:?}");
}
