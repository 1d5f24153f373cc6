//! A registry of containers to test against: Debian's `docker-registry` over a folder, on a free port of this machine and gone
//! with the test.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::time::SystemTime;

use tempfile::TempDir;

use crate::laptop::gristmill;
use crate::support::{project, tied};

/// A repository.
pub(crate) const REPOSITORY: &str = "some/prefix/noaa";

/// What `gristmill plugin push` said.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A running registry.
pub(crate) struct ContainerRegistry {
    /// `127.0.0.1:PORT`
    pub(crate) host: String,
    /// What it keeps, for as long as it runs.
    folder: TempDir,
    process: Child,
    /// The registry ends when this does, so that a test that is killed leaves none behind.
    alive: Option<ChildStdin>,
}

impl ContainerRegistry {
    /// One that everybody may write to.
    pub(crate) fn open() -> Self {
        Self::start("")
    }

    /// One for this user alone; `entry` is a line of `htpasswd` (bcrypt).
    pub(crate) fn for_one(entry: &str) -> Self {
        Self::start(entry)
    }

    fn start(htpasswd: &str) -> Self {
        let binary = project("target/docker-registry/usr/bin/docker-registry");
        assert!(binary.is_file(), "{} is missing: run `make emulator` first", binary.display());
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog:\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
             http:\n  addr: 127.0.0.1:0\n",
            path("data")
        );
        if !htpasswd.is_empty() {
            std::fs::write(path("htpasswd"), htpasswd).unwrap();
            config.push_str(&format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path("htpasswd")));
        }
        std::fs::write(path("config.yml"), config).unwrap();
        let mut process = tied(binary)
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let (mut host, mut said) = (None, Vec::new());
        while host.is_none() {
            let line = log.next().unwrap_or_else(|| panic!("docker-registry did not start: {said:?}")).unwrap();
            let address = line.split("listening on ").nth(1).and_then(|rest| rest.split(['"', ' ', ',']).next());
            host = address.map(|address| address.trim_end_matches('\\').to_owned());
            said.push(line);
        }
        // What nobody reads would stop it.
        std::thread::spawn(move || log.for_each(drop));
        let alive = process.stdin.take();
        Self { host: host.unwrap(), folder, process, alive }
    }

    /// The one repository that tests use.
    pub(crate) fn repository(&self) -> String {
        format!("oci://{}/{REPOSITORY}", self.host)
    }

    /// `gristmill plugin push` into that repository, with or without `:TAG`, by somebody who has no login but this one.
    pub(crate) fn push(&self, file: &Path, tag: &str, login: &[(&str, &str)], args: &[&str]) -> Pushed {
        let mut command = gristmill();
        command.args(["plugin", "push"]).arg(file).arg(self.repository() + tag).args(args);
        for name in ["HOST", "USER", "PASSWORD", "TOKEN_HOSTS"] {
            command.env_remove(format!("GRISTMILL_OCI_{name}"));
        }
        command.env("DOCKER_CONFIG", self.folder.path()).envs(login.iter().copied());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Pushed { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What it keeps, and since when.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, SystemTime> {
        let (mut folders, mut files) = (vec![self.folder.path().join("data")], BTreeMap::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => drop(files.insert(entry.path(), entry.metadata().unwrap().modified().unwrap())),
                }
            }
        }
        files
    }
}

impl Pushed {
    /// The reference that is printed for a dataset file.
    pub(crate) fn component(&self) -> String {
        let line = self.out.lines().next().and_then(|line| line.strip_prefix("component = \"")?.strip_suffix('"'));
        line.unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

impl Drop for ContainerRegistry {
    fn drop(&mut self) {
        drop(self.alive.take());
        let _ = self.process.wait();
    }
}
