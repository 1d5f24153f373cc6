//! Commands of the documents that need an account, an emulator, a container or minutes, and what runs them instead.

use super::markdown::Document;
use crate::support::project;

/// What runs a command.
#[derive(Clone, Copy)]
pub(crate) enum By {
    /// A target of the Makefile.
    Make(&'static str),
    /// A test of this binary, as `module::test`.
    Test(&'static str),
    /// A script of the project.
    Script(&'static str),
}
use By::{Make, Script, Test};

/// Types what deploy/README.md says, on an emulator.
const WALK: By = Script("deploy/check/test_walk.py");

/// How a command begins, and what runs it.
const ELSEWHERE: &[(&str, By)] = &[
    // README.md, deploy/README.md
    ("aws stepfunctions create-state-machine", Test("cloud::a_distributed_map_of_1000_objects_over_two_workers")),
    ("aws", WALK),
    (". deploy/env.sh", WALK),
    ("gristmill publish plugins/noaa-precipitation --registry", WALK),
    ("gristmill promote noaa-precipitation 0.1.0 --registry", WALK),
    ("gristmill asl plugins/noaa-precipitation --queue-url \"$QUEUE\" > deploy/machine.json", WALK),
    ("docker push", WALK),
    ("docker build", Make("image")),
    ("docker run", Script("deploy/image/test.py")),
    ("gristmill check plugins/noaa-precipitation --cloud", Test("account::an_account_that_has_everything_passes")),
    ("curl localhost:9464/readyz", Test("fleet::a_worker_seen_from_outside")),
    ("gristmill health", Test("fleet::a_worker_seen_from_outside")),
    // host/docs
    (
        "gristmill worker --registry",
        Test("rollout::versions_come_and_go_under_worker_processes_of_which_one_dies_while_the_registry_is_away"),
    ),
    ("aws glue", Test("data_catalog::the_glue_of_ministack_keeps_the_contract")),
    ("gristmill plugin push", Test("pushing::what_is_pushed_again_changes_nothing")),
    ("gristmill sign noaa-precipitation 0.1.0 --key \"$KEY\"", Test("signing::a_key_in_kms_signs_and_verifies")),
    ("cosign sign-blob", Test("signing::openssl_signs_as_cosign_does_and_verifies_what_we_sign")),
    // plugins/README.md, host/docs/authors.md
    ("gristmill plugin new rain --lang python", Test("authors::a_plugin_in_python")),
    ("plugins/build.sh", Make("plugins")),
    ("plugins/build-python.sh", Make("plugins")),
    ("plugins/build-javascript.sh", Make("plugins")),
    ("make test-plugins", Make("test-plugins")),
    // host/ARCHITECTURE.md
    ("make test", Script(".ci/run")),
    ("make test-real-parts", Make("test-real-parts")),
    ("make plugins generator emulator", Make("test-host")),
    ("make fuzz", Test("fuzz::every_target_is_here_and_has_a_binary")),
    ("make lint", Make("lint")),
    ("cargo test -p gristmill", Make("test-host")),
    ("cargo test --manifest-path plugins/Cargo.toml", Make("test-plugins")),
    ("plugins/test-python.sh", Make("test-plugins")),
    ("plugins/test-javascript.sh", Make("test-plugins")),
    ("make deny", Make("deny")),
];

/// Whether a command begins like this, word by word.
fn begins(command: &str, with: &str) -> bool {
    command.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Whether something else than this test runs a command.
pub(crate) fn has(command: &str) -> bool {
    ELSEWHERE.iter().any(|(start, _)| begins(command, start))
}

/// What the table says is so: no row is left over, and what it names is there.
pub(crate) fn check(documents: &[Document]) {
    let blocks = documents.iter().flat_map(Document::blocks);
    let commands = blocks.filter(|block| ["console", "sh"].contains(&block.language.as_str()));
    let commands: Vec<String> = commands.flat_map(|block| block.typed()).map(|typed| typed.command).collect();
    let makefile = std::fs::read_to_string(project("Makefile")).unwrap();
    for (start, by) in ELSEWHERE {
        assert!(commands.iter().any(|command| begins(command, start)), "no document has `{start}` any more");
        match by {
            Make(target) => assert!(is_target(&makefile, target), "{start}: there is no `make {target}`"),
            Test(name) => assert!(is_test(name), "{start}: there is no test {name}"),
            Script(path) => assert!(project(path).is_file(), "{start}: there is no {path}"),
        }
    }
}

/// Whether a Makefile has this target.
pub(crate) fn is_target(makefile: &str, target: &str) -> bool {
    makefile.lines().any(|line| line.starts_with(&format!("{target}:")))
}

fn is_test(name: &str) -> bool {
    let (module, test) = name.split_once("::").unwrap();
    let source = std::fs::read_to_string(project(&format!("host/tests/it/{module}.rs"))).unwrap_or_default();
    source.contains(&format!("fn {test}("))
}
