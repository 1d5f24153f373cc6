//! Which file of `src` imports which, read from the tokens of the sources. A name that a `mod.rs` hands on belongs to the file that
//! defines it; a `mod.rs` that hands names on imports nothing by that. Tests at the end of a file are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The way to a module from the crate's root: `["sink", "dynamodb"]`.
pub(super) type Module = Vec<String>;

/// A path as it is written: of a `use`, or in an expression or a type.
struct Written {
    segments: Vec<String>,
    /// What a `use` calls it.
    name: String,
    /// Whether it is handed on, by `pub use`.
    handed_on: bool,
}

/// Every file with the files that it imports.
pub(super) fn imports(src: &Path) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut files = BTreeMap::new();
    read(src, &Module::new(), &mut files);
    let mut handed_on = BTreeMap::new();
    for (module, written) in &files {
        for path in written.iter().filter(|path| path.handed_on) {
            if let Some(absolute) = absolute(&files, module, &path.segments) {
                handed_on.insert((module.clone(), path.name.clone()), absolute);
            }
        }
    }
    let imported = |(module, written): (&Module, &Vec<Written>)| {
        let mut to = BTreeSet::new();
        for path in written {
            let Some(absolute) = absolute(&files, module, &path.segments) else { continue };
            // `pub(in crate::room)` names a room to say who may see something.
            if module.starts_with(&absolute) {
                continue;
            }
            let owner = owner(&files, &handed_on, absolute);
            let is_facade = path.handed_on && owner.starts_with(module);
            if owner != *module && !owner.is_empty() && !is_facade {
                to.insert(owner);
            }
        }
        (module.clone(), to)
    };
    files.iter().filter(|(module, _)| !module.is_empty()).map(imported).collect()
}

/// What is left when files that nobody left imports, and files that import nobody left, are taken away again and again.
pub(super) fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<(Module, Module)> {
    let mut arrows: Vec<(Module, Module)> =
        imports.iter().flat_map(|(from, to)| to.iter().map(|to| (from.clone(), to.clone()))).collect();
    loop {
        let before = arrows.len();
        let from: BTreeSet<_> = arrows.iter().map(|(from, _)| from.clone()).collect();
        let to: BTreeSet<_> = arrows.iter().map(|(_, to)| to.clone()).collect();
        arrows.retain(|(one, other)| to.contains(one) && from.contains(other));
        if arrows.len() == before {
            return arrows;
        }
    }
}

fn read(folder: &Path, module: &Module, files: &mut BTreeMap<Module, Vec<Written>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let inner = |name: &str| [module.as_slice(), &[name.to_owned()]].concat();
        if path.is_dir() {
            read(&path, &inner(&stem), files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = if ["mod", "lib"].contains(&&*stem) { module.clone() } else { inner(&stem) };
            let tokens: TokenStream = std::fs::read_to_string(&path).unwrap().parse().unwrap();
            let mut written = Vec::new();
            if stem != "tests" {
                scan(tokens, &mut written);
            }
            files.insert(module, written);
        }
    }
}

fn scan(tokens: TokenStream, written: &mut Vec<Written>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.to_string() == text);
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        match &tokens[at] {
            TokenTree::Punct(hash) if hash.as_char() == '#' && is(at + 1, "[cfg (test)]") => {
                let ends = |token: &TokenTree| match token {
                    TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                    token => token.to_string() == ";",
                };
                at += rest.iter().position(ends).map_or(rest.len(), |end| end + 1);
            }
            // `impl Trait + use<'_>` is no import.
            TokenTree::Ident(word) if word == "use" && !is(at + 1, "<") => {
                let end = rest.iter().position(|token| token.to_string() == ";").unwrap();
                let before = |back: usize, text: &str| at >= back && is(at - back, text);
                let handed_on = before(1, "pub") || before(2, "pub");
                used(&rest[1..end], &[], handed_on, written);
                at += end + 1;
            }
            TokenTree::Ident(_) => {
                let mut segments = vec![tokens[at].to_string()];
                while is(at + 1, ":") && is(at + 2, ":") && matches!(tokens.get(at + 3), Some(TokenTree::Ident(_))) {
                    at += 3;
                    segments.push(tokens[at].to_string());
                }
                at += 1;
                if segments.len() > 1 {
                    written.push(Written { segments, name: String::new(), handed_on: false });
                }
            }
            TokenTree::Group(group) => {
                scan(group.stream(), written);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// The paths of a `use`, of which some may be in braces.
fn used(tokens: &[TokenTree], before: &[String], handed_on: bool, written: &mut Vec<Written>) {
    for tree in tokens.split(|token| token.to_string() == ",") {
        let mut segments = before.to_vec();
        let mut name = None;
        for (at, token) in tree.iter().enumerate() {
            match token {
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    used(&inner, &segments, handed_on, written);
                    segments.clear();
                }
                TokenTree::Ident(word) if word == "as" => {
                    name = tree.get(at + 1).map(ToString::to_string);
                    break;
                }
                TokenTree::Ident(word) => segments.push(word.to_string()),
                _ => {}
            }
        }
        if segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        if let Some(last) = segments.last().cloned() {
            written.push(Written { segments, name: name.unwrap_or(last), handed_on });
        }
    }
}

/// The path from the crate's root; none if it leads elsewhere.
fn absolute(files: &BTreeMap<Module, Vec<Written>>, module: &Module, segments: &[String]) -> Option<Module> {
    let ups = segments.iter().take_while(|segment| *segment == "super").count();
    let (start, rest) = match segments[0].as_str() {
        "crate" => (&[][..], &segments[1..]),
        "self" => (module.as_slice(), &segments[1..]),
        "super" => (&module[..module.len() - ups.min(module.len())], &segments[ups..]),
        _ => (module.as_slice(), segments),
    };
    let path = [start, rest].concat();
    let is_ours = ["crate", "self", "super"].contains(&&*segments[0]) || files.contains_key(&path[..start.len() + 1]);
    is_ours.then_some(path)
}

/// The file that defines what a path names.
fn owner(
    files: &BTreeMap<Module, Vec<Written>>,
    handed_on: &BTreeMap<(Module, String), Module>,
    mut path: Module,
) -> Module {
    // Names are handed on a few times at most.
    for _ in 0..5 {
        let length = (0..=path.len()).rev().find(|length| files.contains_key(&path[..*length])).unwrap();
        let (module, rest) = path.split_at(length);
        let Some((first, inner)) = rest.split_first() else { return path };
        match handed_on.get(&(module.to_vec(), first.clone())) {
            Some(to) => path = [to.as_slice(), inner].concat(),
            None => return module.to_vec(),
        }
    }
    panic!("{path:?} is handed on in a circle");
}

/// What the rule is for, in a crate of four files: two of them import each other by way of a name that a `mod.rs` hands on.
#[test]
fn a_circle_is_seen() {
    let src = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(src.path().join(name), text).unwrap();
    std::fs::create_dir(src.path().join("room")).unwrap();
    write("lib.rs", "mod room; mod above;");
    write("above.rs", "use crate::room::One;");
    write("room/mod.rs", "mod one; mod two; pub use self::one::One;");
    write("room/one.rs", "use super::two; pub struct One; fn f() -> impl Sized + use<> { two::g() }");
    write("room/two.rs", "pub(in crate::room) fn g() {}");
    assert_eq!(circles(&imports(src.path())), []);
    write("room/two.rs", "pub(in crate::room) fn g() { tokio::select! { _ = crate::room::One::f() => {} } }");
    let module = |name: &str| vec!["room".to_owned(), name.to_owned()];
    assert_eq!(circles(&imports(src.path())), [(module("one"), module("two")), (module("two"), module("one"))]);
}
