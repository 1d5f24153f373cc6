//! A laptop on which somebody tries gristmill: a folder that stands for the cloud, dataset files, and the real binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::plugin;

/// Objects lie in the bucket `data`.
pub(crate) struct Laptop(TempDir);

/// What a command said, without what differs from run to run.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Laptop {
    pub(crate) fn new() -> Self {
        let laptop = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(laptop.local().join("s3/data")).unwrap();
        laptop
    }

    /// A laptop with a small file for each of these stations.
    pub(crate) fn with_stations<const N: usize>(stations: [(&str, i64); N]) -> Self {
        let laptop = Self::new();
        stations.iter().for_each(|(id, highest)| laptop.station(id, *highest));
        laptop
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// What is given as `--local`.
    pub(crate) fn local(&self) -> PathBuf {
        self.root().join("cloud")
    }

    /// The file of an object.
    pub(crate) fn object(&self, key: &str) -> PathBuf {
        self.local().join("s3/data").join(key)
    }

    pub(crate) fn put(&self, key: &str, bytes: impl AsRef<[u8]>) {
        let file = self.object(key);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    pub(crate) fn station(&self, id: &str, highest: i64) {
        self.put(&format!("stations/{id}.csv"), station(id, highest));
    }

    /// A file beside the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.root().join(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// A dataset over the Rust plugin: the keys of `[map]`, and those of `[[output]]`.
    pub(crate) fn dataset_to(&self, map: &str, output: &str) -> PathBuf {
        let component = plugin("noaa-precipitation");
        let text = format!(
            "dataset = \"stations\"\n[plugin]\ncomponent = {component:?}\n[grants]\nread = [\"s3://data/\"]\n\
             [map]\nbatch_input = {{ Bucket = \"data\" }}\n{map}\n[[output]]\nname = \"stations\"\n{output}\n"
        );
        self.write("dataset.toml", &text)
    }

    /// The same with rows into the table `stations`.
    pub(crate) fn dataset(&self, map: &str) -> PathBuf {
        self.dataset_to(map, "table = \"stations\"\nkey = [\"pk\"]")
    }

    /// A dataset of every file of a station, in batches of so many.
    pub(crate) fn every_station(&self, batch: usize) -> PathBuf {
        self.dataset(&format!(
            "item_reader = {{ list_objects = \"s3://data/stations/\" }}\nmax_items_per_batch = {batch}"
        ))
    }

    /// `gristmill map`
    pub(crate) fn map(&self, dataset: &Path, args: &[&str]) -> Said {
        self.said(self.map_command(dataset, args).output().unwrap())
    }

    /// `gristmill map --json`
    pub(crate) fn map_json(&self, dataset: &Path, args: &[&str]) -> (Option<i32>, Value) {
        let output = self.map_command(dataset, args).arg("--json").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON: {error}: {text}"));
        (output.status.code(), json)
    }

    /// `gristmill map`, begun.
    pub(crate) fn begin(&self, dataset: &Path, args: &[&str]) -> Child {
        self.map_command(dataset, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn map_command(&self, dataset: &Path, args: &[&str]) -> Command {
        let mut command = gristmill();
        command.arg("map").arg(dataset).arg("--local").arg(self.local()).args(args);
        command
    }

    /// Any other command.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.said(gristmill().args(args).output().unwrap())
    }

    pub(crate) fn said(&self, output: Output) -> Said {
        let text = |bytes| self.steady(&String::from_utf8(bytes).unwrap());
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Without paths, times, speeds and digests.
    fn steady(&self, text: &str) -> String {
        let text = text.replace(self.root().to_str().unwrap(), "LAPTOP");
        let text = text.replace(plugin("noaa-precipitation").to_str().unwrap(), "noaa-precipitation.wasm");
        let differs = |line: &str| {
            // Whoever runs first compiles the component for all.
            line.starts_with("  speed ") || line.contains(" items · ") || line.starts_with("compiling ")
        };
        let lines = text.lines().filter(|line| !differs(line));
        lines.map(steady_line).collect()
    }

    /// The table `stations`, one line per row in the order of the key.
    pub(crate) fn rows(&self) -> Vec<String> {
        self.query("SELECT pk || ' ' || PRCP || ' ' || DATE FROM stations ORDER BY pk")
    }

    /// The first column of a query of the tables, as text.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        let tables = rusqlite::Connection::open(self.local().join("tables.sqlite")).unwrap();
        let mut query = tables.prepare(sql).unwrap();
        let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// How many batches the ledger has as committed; none while there is no ledger.
    pub(crate) fn committed(&self) -> u64 {
        let file = self.local().join(".gristmill/ledger.sqlite");
        let count = || {
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
            let ledger = rusqlite::Connection::open_with_flags(file, flags)?;
            ledger.query_row("SELECT count(*) FROM batches WHERE output IS NOT NULL", [], |row| row.get::<_, i64>(0))
        };
        count().map_or(0, i64::cast_unsigned)
    }

    /// Everything under a prefix of the bucket: names and contents, in order.
    pub(crate) fn objects(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let Ok(folder) = fs::read_dir(self.object(prefix)) else { return Vec::new() };
        let mut objects: Vec<_> = folder
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().is_file())
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect();
        objects.sort();
        objects
    }
}

impl Said {
    /// Exit code, stderr and stdout as one text.
    pub(crate) fn all(&self) -> String {
        let code = self.code.map_or("killed".into(), |code| format!("exit {code}"));
        format!("{code}\n{}{}", self.err, self.out)
    }
}

/// The binary. All tests share the compiled components.
pub(crate) fn gristmill() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
    command.env("GRISTMILL_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/components"));
    command.env_remove("GRISTMILL_LOG");
    command
}

/// A station's file: three days, the second of them with the highest value.
pub(crate) fn station(id: &str, highest: i64) -> String {
    let mut text = "ID,DATE,ELEMENT,DATA_VALUE,M_FLAG,Q_FLAG,S_FLAG,OBS_TIME\n".to_owned();
    for (day, value) in [(1, highest - 1), (2, highest), (3, 0)] {
        text += &format!("{id},2020010{day},PRCP,{value},,,C,0700\n{id},2020010{day},TMAX,200,,,C,0700\n");
    }
    text
}

fn steady_line(line: &str) -> String {
    let mut line = line.to_owned();
    for (before, after) in [("succeeded in ", ""), ("FAILED after ", ""), ("interrupted after ", ";")] {
        if let Some((start, rest)) = line.split_once(before) {
            let rest = if after.is_empty() { "" } else { rest.find(after).map_or(rest, |at| &rest[at..]) };
            line = format!("{start}{before}TIME{rest}");
        }
    }
    let mut from = 0;
    while let Some(at) = line[from..].find("sha256:").map(|at| from + at + "sha256:".len()) {
        let digits = line[at..].chars().take_while(char::is_ascii_hexdigit).count();
        line.replace_range(at..at + digits, "DIGEST");
        from = at;
    }
    line + "\n"
}
