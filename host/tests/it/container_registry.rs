//! A registry of containers to test against: Debian's `docker-registry` over a folder, on a free port of this machine and gone
//! with the test.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Stdio};

use tempfile::TempDir;

use crate::support::{project, tied};

/// A running registry.
pub(crate) struct ContainerRegistry {
    /// `127.0.0.1:PORT`
    pub(crate) host: String,
    /// What it keeps, for as long as it runs.
    _folder: TempDir,
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
        Self { host: host.unwrap(), _folder: folder, process, alive }
    }
}

impl Drop for ContainerRegistry {
    fn drop(&mut self) {
        drop(self.alive.take());
        let _ = self.process.wait();
    }
}
