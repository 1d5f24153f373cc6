//! Programs that are run for an author. One that is waited for no more is ended.

use std::process::{Output, Stdio};

use tokio::process::Command;

use super::super::error::AuthorError;

/// A program that sees what the user sees, and whose output is read.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a program to its end. None if there is no such program.
pub(super) async fn run(command: &mut Command) -> Result<Option<Output>, AuthorError> {
    // `Command::output` would keep to itself what the user is to see.
    let ended = async { command.spawn()?.wait_with_output().await };
    match ended.await {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let program = command.as_std().get_program().to_string_lossy().into_owned();
            Err(AuthorError::Failed(format!("{program} could not be started: {error}")))
        }
    }
}

/// Whether a program is there and says that all is well. What it prints is nobody's concern.
pub(super) async fn succeeds(command: &mut Command) -> bool {
    let output = run(command.stderr(Stdio::null())).await;
    matches!(output, Ok(Some(output)) if output.status.success())
}

/// What a program printed, if it is there and all went well.
pub(super) async fn printed(command: &mut Command) -> Option<String> {
    let output = run(command.stderr(Stdio::null())).await.ok()??;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
