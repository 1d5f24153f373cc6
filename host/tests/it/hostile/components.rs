//! What is no plugin is refused with a sentence that says what to do.

use super::*;
use crate::guest::MANIFEST;

#[track_caller]
fn refused(bytes: &[u8], words: &[&str]) {
    let start = Instant::now();
    let error = HOUSE.open(bytes).err().expect("this is no plugin").to_string();
    for word in words {
        assert!(error.contains(word), "{error}");
    }
    assert!(error.len() < 8192, "{} bytes", error.len());
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn what_is_no_component_is_refused() {
    refused(b"", &["not a WebAssembly component", "empty"]);
    refused(b"#!/bin/sh\n", &["not a WebAssembly component", "#!/bin/s"]);
    refused(&[0xff; 100_000], &["not a WebAssembly component"]);
    refused(b"\0asm", &["not a WebAssembly component"]);
    refused(b"\0asm\x07\0\x09\0", &["unknown kind"]);
    refused(&wat::parse_str("(module)").unwrap(), &["core WebAssembly module", "wasm-tools component new"]);
    let whole = Guest::default().component();
    for end in [9, 100, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..end], &["not a WebAssembly component"]);
    }
    let mut damaged = whole;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    refused(&damaged, &["not a WebAssembly component"]);
}

#[test]
fn another_contract_is_named() {
    let process = "(call $emit «rows» (i32.const 0) «{}» $out) (i32.const 0)";
    refused(
        &Guest { contract: "0.2.0", ..Guest::new(process) }.component(),
        &["version 0.2.0", "this host has 0.1.0", "rebuild"],
    );
    refused(&Guest { contract: "1.0.0", ..Guest::default() }.component(), &["version 1.0.0"]);
    // What a later minor version adds breaks nobody.
    assert!(HOUSE.open(&Guest { contract: "0.1.7", ..Guest::new(process) }.component()).is_ok());
}

#[test]
fn what_is_no_plugin_is_refused() {
    let other = Guest { export: "gristmill:plugin/item-reader", ..Guest::default() };
    refused(&other.component(), &["exports no `gristmill:plugin/item-processor@0.1.0`", "item-reader"]);
    refused(&wat::parse_str("(component)").unwrap(), &["exports no `gristmill:plugin/item-processor@0.1.0`"]);
    let impostor = r#"(component (component $c) (instance $i (instantiate $c))
        (export "gristmill:plugin/item-processor@0.1.0" (instance $i)))"#;
    refused(&wat::parse_str(impostor).unwrap(), &["describe"]);
}

#[test]
fn imports_that_the_host_does_not_have_are_named() {
    let imports = |beside| Guest { beside, ..Guest::default() }.component();
    refused(
        &imports(r#"(import "wasi:http/outgoing-handler@0.2.0" (instance))(import "acme:db/query@1.0.0" (instance))"#),
        &["wasi:http/outgoing-handler@0.2.0", "acme:db/query@1.0.0", "does not offer"],
    );
    refused(&imports(r#"(import "gristmill:plugin/mail@0.1.0" (instance))"#), &["gristmill:plugin/mail@0.1.0"]);
    // The interface is there, the function is not, or is another one.
    let missing = r#"(import "gristmill:plugin/metrics@0.1.0" (instance (export "reset" (func))))"#;
    refused(&imports(missing), &["does not offer", "reset"]);
    let other = r#"(import "gristmill:plugin/metrics@0.1.0" (instance (export "count" (func (param "name" string)))))"#;
    refused(&imports(other), &["does not offer", "count"]);
}

#[test]
fn a_component_that_does_not_describe_itself_is_refused() {
    let describes = |describe: &str| Guest { describe, ..Guest::default() }.component();
    refused(&describes("(unreachable)"), &["does not describe itself", "unreachable"]);
    refused(&describes("(i32.const -4)"), &["does not describe itself", "out of bounds"]);
    refused(&describes("(loop $l (br $l)) (unreachable)"), &["does not describe itself", "did not end within"]);
    let many = |at: u32, count: u32| {
        format!(
            "(drop (memory.grow (i32.const 1600))) (i32.store (i32.const {at}) (i32.const {count})) (i32.const 32768)"
        )
    };
    // A description, and a list of outputs, of a hundred megabytes and of the last byte.
    for (field, count) in [(20, 100_000_000), (20, u32::MAX), (36, 4_000_000), (36, u32::MAX)] {
        refused(&describes(&many(MANIFEST + field, count)), &["does not describe itself"]);
    }
    refused(&Guest { schema: "{\"type\":", ..Guest::default() }.component(), &["`settings-schema` is no JSON"]);
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    refused(&Guest { schema: &deep, ..Guest::default() }.component(), &["`settings-schema` is no JSON"]);
}

#[test]
fn describe_reaches_nothing() {
    let opens = "(call $open «s3://b/dir/x» $out) (if (i32.ne (i32.load8_u $out) (i32.const 1)) (then (unreachable)))
        (call $emit «rows» (i32.const 0) «{\"id\":1}» $out) (if (i32.eqz (i32.load8_u $out)) (then (unreachable)))
        (i32.const 32768)";
    assert!(HOUSE.open(&Guest { describe: opens, ..Guest::default() }.component()).is_ok());
}
