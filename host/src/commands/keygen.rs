//! `gristmill keygen`: a key that signs, and its public half.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::output::print;
use crate::cli::KeygenArgs;
use crate::trust::PrivateKey;

pub(super) fn run(args: &KeygenArgs) -> anyhow::Result<ExitCode> {
    let (secret, public) = (with_ending(&args.prefix, ".key"), with_ending(&args.prefix, ".pub"));
    // Before the secret is written: half a pair is of no use.
    anyhow::ensure!(!public.exists(), "{} is there already, and is not overwritten", public.display());
    let key = PrivateKey::generate()?;
    let (private_pem, public_pem) = key.to_pem()?;
    write(&secret, private_pem.as_ref(), 0o600)?;
    if let Err(error) = write(&public, &public_pem, 0o644) {
        let _ = fs::remove_file(&secret);
        return Err(error);
    }
    print(format!(
        "{}: signs (keep it secret: whoever has it signs in your name)\n{}: verifies; key {}\n",
        secret.display(),
        public.display(),
        key.public()?.id()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// `release-2.0` becomes `release-2.0.key`: what looks like an ending may be a part of the name.
fn with_ending(prefix: &Path, ending: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Writes a file that was not there, with this mode from its first moment on.
fn write(file: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let create = || OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    let mut created = create().with_context(|| format!("{} cannot be made", file.display()))?;
    let written = created.write_all(text.as_bytes()).and_then(|()| created.sync_all());
    written.with_context(|| format!("{} cannot be written", file.display()))
}
