//! An AWS to test against: the launchers under `tests/emulator`, each started on a free port of this machine and gone with
//! the test.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};

use crate::support::project;

/// A running emulator. It ends when its standard input does, so that a test that is killed leaves none behind.
pub(crate) struct Emulator {
    /// Where it listens.
    pub(crate) endpoint: String,
    process: Child,
    _alive: ChildStdin,
}

impl Emulator {
    /// ministack with the gaps of its Distributed Map filled.
    pub(crate) fn aws() -> Self {
        Self::start("venv-emulator", "aws.py")
    }

    /// moto as it is: a second opinion.
    pub(crate) fn moto() -> Self {
        Self::start("venv-moto", "moto.py")
    }

    fn start(venv: &str, launcher: &str) -> Self {
        let python = project(&format!("target/{venv}/bin/python"));
        assert!(python.is_file(), "{} is missing: run `make emulator` first", python.display());
        let mut process = Command::new(python)
            .arg(project("host/tests/emulator").join(launcher))
            // Retries of a state wait a tenth of what they say; heartbeats and time-outs are as they are.
            .env("SFN_WAIT_SCALE", "0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let alive = process.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).expect("the emulator did not start");
        Self { endpoint: ready["endpoint"].as_str().unwrap().to_owned(), process, _alive: alive }
    }

    /// The SDK's configuration for it.
    pub(crate) fn config(&self) -> SdkConfig {
        config(&self.endpoint)
    }

    /// What a worker needs in its environment.
    pub(crate) fn environment(&self) -> [(&'static str, String); 5] {
        environment(&self.endpoint)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a worker needs in its environment to find the emulator at this endpoint.
pub(crate) fn environment(endpoint: &str) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", endpoint.into()),
        ("AWS_ACCESS_KEY_ID", "test".into()),
        ("AWS_SECRET_ACCESS_KEY", "test".into()),
        ("AWS_REGION", "us-east-1".into()),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
    ]
}

/// The SDK's configuration for an emulator at this endpoint.
pub(crate) fn config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
        .build()
}

/// One emulator for all tests that keep to names of their own.
pub(crate) fn shared() -> &'static str {
    static SHARED: OnceLock<Emulator> = OnceLock::new();
    &SHARED.get_or_init(Emulator::aws).endpoint
}
