//! An example of each command, for `--help` and the manual pages. A test types them.

use clap::{Command, CommandFactory as _};

use super::Cli;

const EXAMPLES: &[(&str, &str)] = &[
    ("map", "gristmill map rain --local work --set DATA_BUCKET=data"),
    ("worker", "gristmill worker --queue https://sqs.eu-west-1.amazonaws.com/123456789012/batches --datasets datasets"),
    ("items", "gristmill items rain --local work --set DATA_BUCKET=data --limit 10"),
    (
        "asl",
        "gristmill asl rain --queue-url https://sqs.eu-west-1.amazonaws.com/123456789012/batches --set DATA_BUCKET=data",
    ),
    ("check", "gristmill check rain --set DATA_BUCKET=data"),
    ("lint", "gristmill lint machine.asl.json --wait 2h"),
    ("simulate", "gristmill simulate --policy deploy/scaling.yaml --items 1000000 --batch-seconds 20..60"),
    (
        "plugin new",
        "gristmill plugin new rain --lang python\n\
         gristmill plugin new rain --lang rust --from parquet\n\
         gristmill plugin new rain --lang python --from lambda",
    ),
    ("plugin build", "gristmill plugin build rain"),
    (
        "plugin test",
        "gristmill plugin test rain\n\
         gristmill plugin test rain --bless\n\
         gristmill plugin test rain --accept missing --junit rain.xml",
    ),
    ("plugin dev", "gristmill plugin dev rain"),
    ("plugin inspect", "gristmill plugin inspect rain/rain.wasm"),
    ("plugin push", "gristmill plugin push rain/rain.wasm oci://registry.example.com/acme/rain:1.2.0"),
    ("health", "gristmill health --admin 127.0.0.1:9464"),
    ("keygen", "gristmill keygen alice"),
    ("sign", "gristmill sign rain 1.2.0 --key alice.key --registry s3://fleet/registry"),
    ("publish", "gristmill publish rain --registry s3://fleet/registry"),
    ("versions", "gristmill versions rain --registry s3://fleet/registry"),
    ("promote", "gristmill promote rain 1.2.0 --registry s3://fleet/registry"),
    ("rollback", "gristmill rollback rain --registry s3://fleet/registry"),
    ("status", "gristmill status rain --registry s3://fleet/registry"),
    ("diff", "gristmill diff rain 1.1.0 1.2.0 --items items.jsonl --registry s3://fleet/registry"),
    ("replay", "gristmill replay s3://data/reports/000000-79f2d835189d.jsonl --dataset rain"),
    (
        "windows",
        "gristmill windows shipments --ledger gristmill-ledger\n\
         gristmill windows shipments --local work --next-from 2024-01-05T00:00:00Z",
    ),
    (
        "completions",
        "gristmill completions bash > ~/.local/share/bash-completion/completions/gristmill\n\
         gristmill completions zsh > ~/.zfunc/_gristmill\n\
         gristmill completions fish > ~/.config/fish/completions/gristmill.fish",
    ),
    ("man", "gristmill man ~/.local/share/man/man1"),
];

/// The command line, with examples.
pub fn command() -> Command {
    EXAMPLES.iter().fold(Cli::command(), |command, (path, examples)| {
        let path: Vec<&str> = path.split(' ').collect();
        with(command, &path, examples)
    })
}

/// Puts examples before what else stands at the end of a command's help.
fn with(command: Command, path: &[&str], examples: &str) -> Command {
    if let [first, rest @ ..] = path {
        return command.mut_subcommand(first, |inner| with(inner, rest, examples));
    }
    let title = if examples.contains('\n') { "Examples" } else { "Example" };
    let lines: Vec<String> = examples.lines().map(|line| format!("    {line}")).collect();
    let more = command.get_after_help().map(|more| format!("\n\n{more}")).unwrap_or_default();
    let text = format!("{title}:\n{}{more}", lines.join("\n"));
    command.after_help(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands that somebody may type, by their words.
    fn typed(command: &Command, before: &str, found: &mut Vec<String>) {
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
            let name = format!("{before}{}", inner.get_name());
            if inner.has_subcommands() { typed(inner, &format!("{name} "), found) } else { found.push(name) }
        }
    }

    #[test]
    fn every_command_has_an_example_that_can_be_typed() {
        let mut commands = Vec::new();
        typed(&Cli::command(), "", &mut commands);
        let named: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
        assert_eq!(commands, named);
        for (name, examples) in EXAMPLES {
            for example in examples.lines() {
                let words = example.split(" > ").next().unwrap_or_default().split(' ');
                let parsed = command().try_get_matches_from(words);
                assert!(
                    parsed.is_ok(),
                    "{name}: {example}: {}",
                    parsed.err().map(|error| error.to_string()).unwrap_or_default()
                );
            }
        }
    }

    #[test]
    fn examples_stand_before_exit_codes() {
        let mut command = command();
        let help =
            command.find_subcommand_mut("check").map(|check| check.render_help().to_string()).unwrap_or_default();
        let (example, codes) = (help.find("Example:"), help.find("Exit codes:"));
        assert!(example.is_some() && example < codes, "{help}");
    }
}
