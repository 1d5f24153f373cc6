//! `gristmill lint`

use std::io::ErrorKind;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::output::{print, print_json};
use crate::cli::LintArgs;
use crate::files;
use crate::lint::{Finding, Linted, MAX_DEFINITION, Severity, lint};
use crate::text::{block, line};

pub(super) fn run(args: &LintArgs) -> anyhow::Result<ExitCode> {
    let file = line(&args.file.display().to_string()).into_owned();
    let text = files::read_given_text(&args.file, MAX_DEFINITION).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => {
            anyhow::anyhow!("it has more than {MAX_DEFINITION} bytes, and Step Functions takes no larger definition")
        }
        _ => error.into(),
    });
    let linted = text.and_then(|text| Ok(lint(&text, args.wait)?)).with_context(|| file.clone())?;
    if args.json {
        let Linted { callbacks, findings } = &linted;
        print_json(&json!({"file": file, "callbacks": callbacks, "findings": findings}))?;
    } else {
        for finding in &linted.findings {
            print(format_args!("{}\n", shown(&file, finding)))?;
        }
        print(format_args!("{file}: {}\n", summary(&linted)))?;
    }
    let is_fine = linted.findings.iter().all(|finding| finding.severity == Severity::Note);
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shown(file: &str, finding: &Finding) -> String {
    let Finding { severity, rule, path, line, message, help } = finding;
    let (message, help) = (block(message, "      "), block(help, "      "));
    format!("{file}:{line}: {} [{rule}]: {path}: {message}\n    help: {help}", severity.name())
}

fn summary(linted: &Linted) -> String {
    let waiting = match linted.callbacks {
        0 => return "no state waits for a task token: nothing to look at".into(),
        1 => "1 state waits for a task token".into(),
        many => format!("{many} states wait for a task token"),
    };
    let counts =
        [Severity::Error, Severity::Warning, Severity::Note].map(|severity| (severity, linted.count(severity)));
    let counts = counts.iter().filter(|(_, count)| *count > 0).map(|(severity, count)| {
        let plural = if *count == 1 { "" } else { "s" };
        format!("{count} {}{plural}", severity.name())
    });
    let counts: Vec<_> = counts.collect();
    let found = if counts.is_empty() { "nothing to complain about".into() } else { counts.join(", ") };
    format!("{waiting}: {found}")
}
