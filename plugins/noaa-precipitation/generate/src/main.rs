//! Makes station files in the GHCN-Daily format: `DIR/csv/by_station/<ID>.csv`, the same ones for the same seed.
//!
//! It also knows the right answer, because it remembers the values while it writes them: no CSV is read for it, and
//! none of the plugin's code is used.

mod damage;
mod station;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use bytesize::ByteSize;
use station::{Highest, Station};

const USAGE: &str = "\
Usage: ghcn-generate [--stations 1000] [--size 100MB] [--seed 1] [--bad 0] [--answer FILE] DIR

Writes DIR/csv/by_station/<ID>.csv, of --size bytes together, and --bad damaged files beside them.
--answer writes the highest precipitation of every station as JSON lines.";

struct Arguments {
    stations: usize,
    size: u64,
    seed: u64,
    bad: usize,
    answer: Option<PathBuf>,
    directory: PathBuf,
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let directory = arguments.directory.join("csv/by_station");
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;

    let stations = station::plan(arguments.seed, arguments.stations, arguments.size);
    let damaged = damage::files(arguments.bad);
    check_strangers(&directory, &stations, &damaged)?;

    let mut made = write_stations(&directory, &stations)?;
    for (name, bytes) in &damaged {
        write_if_changed(&directory.join(name), bytes)?;
    }
    let size: u64 = made.iter().map(|made| made.size).sum();
    made.sort_by(|one, other| one.id.cmp(&other.id));
    if let Some(file) = &arguments.answer {
        write_if_changed(file, &answer(&made)?)?;
    }
    println!(
        "{}: {} stations, {} of them with precipitation, {} and {} damaged files",
        directory.display(),
        made.len(),
        made.iter().filter(|made| made.highest.is_some()).count(),
        ByteSize(size).display().si(),
        damaged.len(),
    );
    Ok(())
}

fn arguments() -> Result<Arguments> {
    use lexopt::prelude::*;
    let mut stations = 1000;
    let mut size = ByteSize::mb(100);
    let (mut seed, mut bad) = (1, 0);
    let (mut answer, mut directory) = (None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("stations") => stations = parser.value()?.parse()?,
            Long("size") => size = parser.value()?.parse()?,
            Long("seed") => seed = parser.value()?.parse()?,
            Long("bad") => bad = parser.value()?.parse()?,
            Long("answer") => answer = Some(parser.value()?.into()),
            Long("help") => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            Value(value) if directory.is_none() => directory = Some(value.into()),
            _ => return Err(argument.unexpected()).context(USAGE),
        }
    }
    ensure!((1..=station::MOST).contains(&stations), "--stations must be 1 to {}", station::MOST);
    let directory = directory.context(USAGE)?;
    Ok(Arguments { stations, size: size.as_u64(), seed, bad, answer, directory })
}

/// Files of an earlier run with other arguments would silently become part of the dataset.
fn check_strangers(directory: &Path, stations: &[Station], damaged: &[(String, Vec<u8>)]) -> Result<()> {
    let station_files = stations.iter().map(Station::file_name);
    let ours: BTreeSet<String> = station_files.chain(damaged.iter().map(|(name, _)| name.clone())).collect();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !ours.contains(&name) && !name.ends_with(TEMPORARY) {
            bail!(
                "{} holds {name}, which these arguments do not make; remove the folder or take another",
                directory.display(),
            );
        }
    }
    Ok(())
}

struct Made {
    id: String,
    size: u64,
    highest: Option<Highest>,
}

fn write_stations(directory: &Path, stations: &[Station]) -> Result<Vec<Made>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<Made>> {
        let mut bytes = Vec::new();
        let mut made = Vec::new();
        while let Some(station) = stations.get(next.fetch_add(1, Ordering::Relaxed)) {
            bytes.clear();
            let highest = station.write(&mut bytes);
            write_if_changed(&directory.join(station.file_name()), &bytes)?;
            made.push(Made { id: station.id.clone(), size: bytes.len() as u64, highest });
        }
        Ok(made)
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut made = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(part) => made.extend(part?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(made)
    })
}

fn answer(made: &[Made]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for Made { id, highest, .. } in made {
        if let Some(Highest { value, date: (year, month, day) }) = highest {
            writeln!(lines, r#"{{"pk":"{id}","PRCP":{value},"DATE":"{year:04}-{month:02}-{day:02}"}}"#)?;
        }
    }
    Ok(lines)
}

const TEMPORARY: &str = ".part";

/// Writes a file in one step. One that is the same already keeps its time, so that a second run finds nothing new.
fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    let same_size = fs::metadata(path).is_ok_and(|known| known.len() == bytes.len() as u64);
    if same_size && fs::read(path).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    fs::write(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
