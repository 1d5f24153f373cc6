//! The fuzz targets' seeds, through the same functions (`make fuzz` makes more of them): what a seed's name says is what
//! becomes of it. `good-` is taken, `bad-` is refused, and `found-` is what once broke: refused too.

#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

use std::collections::BTreeSet;
use std::path::Path;

use targets::{TARGETS, Target};

fn seeds(name: &str, target: Target) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut kinds = BTreeSet::new();
    for file in files {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let (kind, _) = name.split_once('-').expect("a seed's name says what becomes of it");
        println!("{}", path.display());
        assert_eq!(target(&std::fs::read(&path).unwrap()), kind == "good", "{}", path.display());
        kinds.insert(kind.to_owned());
    }
    assert!(["bad", "good"].iter().all(|kind| kinds.contains(*kind)), "{name}: only {kinds:?}");
    assert!(kinds.iter().all(|kind| ["bad", "found", "good"].contains(&kind.as_str())), "{name}: {kinds:?}");
}

/// A test for each target, and none without.
macro_rules! seeds_of {
    ($($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                seeds(stringify!($name), targets::$name);
            }
        )*

        #[test]
        fn every_target_is_here_and_has_a_binary() {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            let binaries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets")).unwrap();
            let binaries: BTreeSet<String> =
                binaries.map(|file| file.unwrap().file_name().to_str().unwrap().replace(".rs", "")).collect();
            assert_eq!(binaries, names.iter().map(ToString::to_string).collect());
        }
    };
}

seeds_of!(component, compressed, dataset, host_calls, item, manifest, message, registry, rows, table, trust);
