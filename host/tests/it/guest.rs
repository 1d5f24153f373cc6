//! Guests in a few lines of WebAssembly text, for what no toolchain would ever make.
//!
//! A guest is a core module's `process` (and `describe`) with the contract's component around it. In its text `«text»`
//! stands for the pointer and the length of that text in memory, `$out` for the place where host calls leave results, and
//! every host function that is called by name is imported, and no other.

#![allow(clippy::unwrap_used, reason = "a helper of tests")]

use std::fmt::Write as _;

/// A component whose parts can be replaced one by one. By default it is a plugin that does nothing.
pub(crate) struct Guest<'g> {
    /// The body of `process`: leaves a pointer to a `result<option<json>, failure>`. `(i32.const 0)` is `ok(none)`, and
    /// `$text`, `$number`, `$reject`, `$retry` and `$refused` make others.
    pub(crate) process: &'g str,
    /// Definitions beside it: globals, tables, memories, functions, a start function.
    pub(crate) also: &'g str,
    /// The body of `describe`: leaves a pointer to a `manifest`. [`MANIFEST`] is an honest one.
    pub(crate) describe: &'g str,
    /// Its version.
    pub(crate) version: &'g str,
    /// The settings' JSON Schema.
    pub(crate) schema: &'g str,
    /// The names of its outputs, at most two.
    pub(crate) outputs: &'g [&'g str],
    /// How many columns its manifest gives each of them: one, `id`, or none, which leaves them to the dataset file.
    pub(crate) columns: u32,
    /// What follows when the host asks for memory: replaces the honest allocator's body.
    pub(crate) realloc: &'g str,
    /// Pages of memory at the start.
    pub(crate) pages: u32,
    /// The contract's version in all names.
    pub(crate) contract: &'g str,
    /// What the component has beside the contract's imports and the guest's module, in the component's text.
    pub(crate) beside: &'g str,
    /// The name under which the processor is exported.
    pub(crate) export: &'g str,
}

/// Where the manifest lies in memory: `(i32.const 32768)`.
pub(crate) const MANIFEST: u32 = 32_768;
const TEXTS: u32 = 1_024;

impl Default for Guest<'_> {
    fn default() -> Self {
        Self {
            process: "(i32.const 0)",
            also: "",
            describe: "(i32.const 32768)",
            version: "1.0.0",
            schema: "{}",
            outputs: &["rows"],
            columns: 1,
            realloc: ALLOCATOR,
            pages: 2,
            contract: "0.1.0",
            beside: "",
            export: "gristmill:plugin/item-processor",
        }
    }
}

/// A plugin each of whose items is a statement, which it asks the connection `shop`, `$1` being 7 where there is one. It emits what
/// comes. With `twice` it asks while it still has the rows of the statement before.
pub(crate) fn asks(twice: bool) -> Vec<u8> {
    let ask =
        "(call $query «shop» (i32.add (local.get $body) (i32.const 1)) (i32.sub (local.get $body-len) (i32.const 2))
           (i32.const 304) (i32.load8_u (i32.const 300)) (i32.const 0) (i32.const 0) $out)
         (if (i32.load8_u $out) (then (return (call $gave))))";
    let process = format!(
        r#"
         ;; A list of one value at 304: int64 (2), 7.
         (i32.store8 (i32.const 304) (i32.const 2)) (i64.store (i32.const 312) (i64.const 7))
         (i32.store8 (i32.const 300) (i32.eq (i32.load8_u (i32.add (local.get $body) (i32.const 1))) (i32.const 0x53)))
         {ask}
         (local.set $i (i32.load (i32.const 68)))
         {}
         (loop $more
           (call $next-rows (local.get $i) $out)
           (if (i32.load8_u $out) (then (return (call $gave))))
           (if (i32.load8_u (i32.const 68)) (then
             (call $emit «rows» (i32.const 1) (i32.load (i32.const 72)) (i32.load (i32.const 76)) $out)
             (br $more))))
         (call $drop-rows (local.get $i))
         (i32.const 0)"#,
        if twice { ask } else { "" }
    );
    let also = r"(func $gave (result i32)
        (if (i32.eq (i32.load8_u (i32.const 68)) (i32.const 2)) (then
          (return (call $retry «Unavailable» (i32.load (i32.const 72)) (i32.load (i32.const 76))))))
        (call $refused))";
    Guest { process: &process, also, columns: 0, ..Guest::default() }.component()
}

/// A plugin each of whose items emits so many MiB of rows to each of its outputs. A row is `bytes` (a power of two) of JSON: an `id`
/// that no other row of the batch has, and a `text`, which the dataset file has to declare.
pub(crate) fn heavy(mebibytes: u32, bytes: u32, outputs: &[&str]) -> Vec<u8> {
    let (text_end, rows) = (bytes - 3, (1 << 20) / bytes);
    let also = format!(
        r#"(global $base (mut i32) (i32.const 0))
  (func $make-rows (param $first i64) (local $row i32) (local $at i32) (local $digit i32) (local $n i64)
    (if (i32.eqz (global.get $base)) (then
      (global.set $base (i32.mul (memory.size) (i32.const 65536)))
      (drop (memory.grow (i32.const 17)))
      (memory.fill (global.get $base) (i32.const 120) (i32.const 1048576))))
    (loop $rows
      (local.set $at (i32.add (global.get $base) (i32.mul (local.get $row) (i32.const {bytes}))))
      (memory.copy (local.get $at) «{{"id":»)
      (local.set $n (i64.add (local.get $first) (i64.extend_i32_u (local.get $row))))
      (local.set $digit (i32.add (local.get $at) (i32.const 14)))
      (loop $digits
        (i32.store8 (local.get $digit) (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10)))))
        (local.set $n (i64.div_u (local.get $n) (i64.const 10)))
        (local.set $digit (i32.sub (local.get $digit) (i32.const 1)))
        (br_if $digits (i64.ne (local.get $n) (i64.const 0))))
      (memory.copy (i32.add (local.get $at) (i32.const 15)) «,"text":"»)
      (memory.copy (i32.add (local.get $at) (i32.const {text_end})) «"}}
»)
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br_if $rows (i32.lt_u (local.get $row) (i32.const {rows})))))"#
    );
    let emit =
        |output: &&str| format!("(call $emit «{output}» (i32.const 0) (global.get $base) (i32.const 1048576) $out)");
    let emits: String = outputs.iter().map(emit).collect();
    let process = format!(
        "(loop $blocks
           (call $make-rows (i64.add (i64.const 100000000) (i64.mul (i64.const {rows}) (i64.extend_i32_u
             (i32.add (i32.mul (local.get $index) (i32.const {mebibytes})) (local.get $i))))))
           {emits}
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $blocks (i32.lt_u (local.get $i) (i32.const {mebibytes}))))
         (i32.const 0)"
    );
    Guest { process: &process, also: &also, outputs, ..Guest::default() }.component()
}

impl<'g> Guest<'g> {
    /// A plugin whose `process` is this.
    pub(crate) fn new(process: &'g str) -> Self {
        Self { process, ..Self::default() }
    }

    /// The component's bytes.
    pub(crate) fn component(&self) -> Vec<u8> {
        let text = self.text();
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn text(&self) -> String {
        let mut texts = Texts { next: TEXTS, data: String::new() };
        let process = texts.place(self.process);
        let also = texts.place(self.also);
        let describe = texts.place(self.describe);
        let helpers = texts.place(HELPERS);
        let manifest = texts.manifest(self.version, self.schema, self.outputs, self.columns);
        let code = format!("{process}{also}{describe}");
        let called: Vec<_> = HOST.iter().filter(|(name, ..)| calls(&code, name)).collect();
        let wanted: Vec<&str> = called.iter().map(|(_, interface, ..)| *interface).collect();

        let mut imports = String::new();
        for (interface, needs, text) in INTERFACES {
            if wanted.iter().any(|wanted| wanted == interface || needs.contains(wanted)) {
                imports += text;
            }
        }
        let (mut lowered, mut core_imports, mut given) = (String::new(), String::new(), String::new());
        for (name, interface, function, signature) in called {
            if let Some(resource) = function.strip_prefix("[drop]") {
                _ = writeln!(
                    lowered,
                    "(alias export ${interface} \"{resource}\" (type ${name}-type)) (core func ${name} (canon resource.drop ${name}-type))"
                );
            } else {
                _ = writeln!(
                    lowered,
                    "(core func ${name} (canon lower (func ${interface} \"{function}\") (memory (core memory $libc \"memory\")) (realloc (core func $libc \"realloc\"))))"
                );
            }
            _ = writeln!(core_imports, "(import \"host\" \"{name}\" (func ${name} {signature}))");
            _ = writeln!(given, "(export \"{name}\" (func ${name}))");
        }
        let Self { realloc, pages, contract, beside, export, .. } = self;
        let data = &texts.data;
        format!(
            r#"(component
{imports}{beside}
(core module $Libc
  (memory (export "memory") {pages})
  (global $heap (mut i32) (i32.const 65536))
  (func (export "free") (global.set $heap (i32.const 65536)))
  (func (export "realloc") (param $old i32) (param $before i32) (param $align i32) (param $size i32) (result i32) (local $at i32)
    {realloc}))
(core instance $libc (instantiate $Libc))
{lowered}
(core module $Main
  (import "libc" "memory" (memory 1))
  (import "libc" "free" (func $free))
  {core_imports}
  (global $out i32 (i32.const 64))
  {data}{manifest}
  {helpers}
  {also}
  (func (export "describe") (result i32) (local $i i32) {describe})
  (func (export "process") (param $dataset i32) (param $dataset-len i32) (param $input i32) (param $input-len i32)
      (param $settings i32) (param $settings-len i32) (param $index i32) (param $body i32) (param $body-len i32) (result i32)
      (local $i i32) (local $n i64) {process}))
(core instance $main (instantiate $Main (with "libc" (instance $libc)) (with "host" (instance {given}))))
{PROCESSOR}
(export "{export}@{contract}" (instance $processor)))"#
        )
        .replace("@0.1.0\"", &format!("@{contract}\""))
    }
}

/// Whether the code mentions `$name`.
fn calls(code: &str, name: &str) -> bool {
    code.match_indices('$').any(|(at, _)| {
        let word = code[at + 1..].split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next();
        word == Some(name)
    })
}

/// Lays texts out in memory.
struct Texts {
    next: u32,
    data: String,
}

impl Texts {
    fn put(&mut self, text: &str) -> (u32, usize) {
        let at = self.next;
        _ = write!(self.data, "(data (i32.const {at}) \"{}\")", escaped(text.as_bytes()));
        self.next += u32::try_from(text.len()).unwrap();
        assert!(self.next < MANIFEST, "too much text");
        (at, text.len())
    }

    /// The code with every `«text»` made a pointer and a length.
    fn place(&mut self, code: &str) -> String {
        let mut placed = String::new();
        for (number, part) in code.split(['«', '»']).enumerate() {
            if number % 2 == 0 {
                placed += part;
            } else {
                let (at, length) = self.put(part);
                _ = write!(placed, "(i32.const {at}) (i32.const {length})");
            }
        }
        placed.replace("$out", "(i32.const 64)")
    }

    /// A manifest with these outputs, all of which have the same column, or none.
    fn manifest(&mut self, version: &str, schema: &str, outputs: &[&str], columns: u32) -> String {
        let mut words = Vec::new();
        for text in ["hostile", version, "means no good", schema] {
            let (at, length) = self.put(text);
            words.extend([at, u32::try_from(length).unwrap()]);
        }
        words.extend([MANIFEST + 64, u32::try_from(outputs.len()).unwrap(), 0, 0, 0, 0, 0, 0]);
        for name in outputs {
            let ((name, length), description) = (self.put(name), self.put("all there is"));
            words.extend([name, u32::try_from(length).unwrap(), description.0, 12, MANIFEST + 128, columns]);
        }
        assert!(words.len() <= 32, "too many outputs");
        words.resize(32, 0);
        let column = self.put("id");
        // int64 (1), not nullable.
        words.extend([column.0, 2, 0x0000_0001]);
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        format!("(data (i32.const {MANIFEST}) \"{}\")", escaped(&bytes))
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

const ALLOCATOR: &str = r"
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (block $fits (loop $more
      (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
      (unreachable)))
    (local.get $at)";

/// Results are made at 16; `$out` is 64, digits are written downwards from 256.
const HELPERS: &str = r#"
  (func $text (param $at i32) (param $len i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 0)) (i32.store8 (i32.const 20) (i32.const 1))
    (i32.store (i32.const 24) (local.get $at)) (i32.store (i32.const 28) (local.get $len)) (i32.const 16))
  (func $number (param $n i64) (result i32) (local $at i32)
    (local.set $at (i32.const 256))
    (loop $digits
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10)))))
      (local.set $n (i64.div_u (local.get $n) (i64.const 10)))
      (br_if $digits (i64.ne (local.get $n) (i64.const 0))))
    (call $text (local.get $at) (i32.sub (i32.const 256) (local.get $at))))
  (func $fail (param $kind i32) (param $code i32) (param $code-len i32) (param $message i32) (param $message-len i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 1)) (i32.store8 (i32.const 20) (local.get $kind))
    (i32.store (i32.const 24) (local.get $code)) (i32.store (i32.const 28) (local.get $code-len))
    (i32.store (i32.const 32) (local.get $message)) (i32.store (i32.const 36) (local.get $message-len)) (i32.const 16))
  (func $reject (param i32 i32 i32 i32) (result i32)
    (call $fail (i32.const 0) (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func $retry (param i32 i32 i32 i32) (result i32)
    (call $fail (i32.const 1) (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  ;; The error that a call on objects left at $out, as a rejection with the error's number as code.
  (func $refused (result i32)
    (if (i32.eqz (i32.load8_u $out)) (then (return (call $text «"granted"»))))
    (i32.store8 (i32.const 256) (i32.add (i32.const 48) (i32.load8_u (i32.const 68))))
    (call $reject (i32.const 256) (i32.const 1) (i32.load (i32.const 72)) (i32.load (i32.const 76))))
"#;

/// What a guest may call: its name here, the interface, the function there, and its core signature.
const HOST: &[(&str, &str, &str, &str)] = &[
    ("emit", "output", "emit", "(param i32 i32 i32 i32 i32 i32)"),
    ("count", "metrics", "count", "(param i32 i32 i64)"),
    ("observe", "metrics", "observe", "(param i32 i32 f64)"),
    ("log", "logging", "log", "(param i32 i32 i32 i32 i32)"),
    ("open", "objects", "open", "(param i32 i32 i32)"),
    ("list", "objects", "list", "(param i32 i32 i32)"),
    ("read", "objects", "[method]object.read", "(param i32 i64 i32 i32)"),
    ("chunks", "objects", "[method]object.chunks", "(param i32 i32 i32 i32)"),
    ("next", "objects", "[method]chunks.next", "(param i32 i32)"),
    ("drop-object", "objects", "[drop]object", "(param i32)"),
    ("query", "sql", "query", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32)"),
    ("next-rows", "sql", "[method]rows.next", "(param i32 i32)"),
    ("drop-rows", "sql", "[drop]rows", "(param i32)"),
    ("subscribe", "clock", "subscribe-duration", "(param i64) (result i32)"),
    ("monotonic", "clock", "now", "(result i64)"),
    ("block", "poll", "[method]pollable.block", "(param i32)"),
    ("wall", "wall-clock", "now", "(param i32)"),
    ("random", "random", "get-random-u64", "(result i64)"),
    ("random-bytes", "random", "get-random-bytes", "(param i64 i32)"),
    ("insecure-bytes", "insecure", "get-insecure-random-bytes", "(param i64 i32)"),
    ("insecure-seed", "insecure-seed", "insecure-seed", "(param i32)"),
    ("stdout", "stdout", "get-stdout", "(result i32)"),
    ("write", "streams", "[method]output-stream.write", "(param i32 i32 i32 i32)"),
    ("write-zeroes", "streams", "[method]output-stream.write-zeroes", "(param i32 i64 i32)"),
    ("socket", "sockets", "create-tcp-socket", "(param i32 i32)"),
];

/// The interfaces in an order in which each finds the types of those before; with those that need it.
const INTERFACES: &[(&str, &[&str], &str)] = &[
    (
        "output",
        &[],
        r#"(import "gristmill:plugin/output@0.1.0" (instance $output
  (type $rows' (variant (case "json-lines" (list u8)) (case "arrow-ipc" (list u8)))) (export "rows" (type $rows (eq $rows')))
  (type $error' (variant (case "no-such-output" string) (case "invalid" string) (case "too-large" string)))
  (export "error" (type $error (eq $error')))
  (export "emit" (func (param "output" string) (param "rows" $rows) (result (result (error $error)))))))
"#,
    ),
    (
        "objects",
        &[],
        r#"(import "gristmill:plugin/objects@0.1.0" (instance $objects
  (type $error' (variant (case "not-found" string) (case "denied" string) (case "invalid" string)
    (case "unavailable" string) (case "too-large" string) (case "changed" string)))
  (export "error" (type $error (eq $error')))
  (type $compression' (enum "auto" "none" "gzip" "zstd" "bzip2")) (export "compression" (type $compression (eq $compression')))
  (type $options' (record (field "size" u32) (field "compression" $compression)))
  (export "chunk-options" (type $options (eq $options')))
  (export "object" (type $object (sub resource)))
  (export "chunks" (type $chunks (sub resource)))
  (export "listing" (type $listing (sub resource)))
  (export "open" (func (param "uri" string) (result (result (own $object) (error $error)))))
  (export "list" (func (param "prefix" string) (result (result (own $listing) (error $error)))))
  (export "[method]object.read" (func (param "self" (borrow $object)) (param "offset" u64) (param "length" u32)
    (result (result (list u8) (error $error)))))
  (export "[method]object.chunks" (func (param "self" (borrow $object)) (param "options" $options)
    (result (result (own $chunks) (error $error)))))
  (export "[method]chunks.next" (func (param "self" (borrow $chunks))
    (result (result (option (list u8)) (error $error)))))))
"#,
    ),
    (
        "tables",
        &["sql"],
        r#"(import "gristmill:plugin/tables@0.1.0" (instance $tables
  (type $value-type' (enum "boolean" "int64" "float64" "text" "binary" "date" "timestamp" "json"))
  (export "value-type" (type $value-type (eq $value-type')))
  (type $column' (record (field "name" string) (field "type" $value-type) (field "nullable" bool)))
  (export "column" (type $column (eq $column')))
  (type $encoding' (enum "arrow-ipc" "json-lines")) (export "encoding" (type $encoding (eq $encoding')))))
(alias export $tables "encoding" (type $encoding-of-tables))
"#,
    ),
    (
        "sql",
        &[],
        r#"(import "gristmill:plugin/sql@0.1.0" (instance $sql
  (export "encoding" (type $encoding (eq $encoding-of-tables)))
  (type $error' (variant (case "denied" string) (case "invalid" string) (case "unavailable" string) (case "too-large" string)))
  (export "error" (type $error (eq $error')))
  (type $value' (variant (case "null") (case "boolean" bool) (case "int64" s64) (case "float64" f64) (case "text" string)
    (case "binary" (list u8))))
  (export "value" (type $value (eq $value')))
  (type $options' (record (field "block-rows" u32) (field "encoding" $encoding)))
  (export "query-options" (type $options (eq $options')))
  (export "rows" (type $rows (sub resource)))
  (export "query" (func (param "connection" string) (param "statement" string) (param "parameters" (list $value))
    (param "options" $options) (result (result (own $rows) (error $error)))))
  (export "[method]rows.next" (func (param "self" (borrow $rows)) (result (result (option (list u8)) (error $error)))))))
"#,
    ),
    (
        "metrics",
        &[],
        r#"(import "gristmill:plugin/metrics@0.1.0" (instance $metrics
  (export "count" (func (param "name" string) (param "value" u64)))
  (export "observe" (func (param "name" string) (param "value" f64)))))
"#,
    ),
    (
        "logging",
        &[],
        r#"(import "wasi:logging/logging@0.1.0-draft" (instance $logging
  (type $level' (enum "trace" "debug" "info" "warn" "error" "critical")) (export "level" (type $level (eq $level')))
  (export "log" (func (param "level" $level) (param "context" string) (param "message" string)))))
"#,
    ),
    (
        "poll",
        &["clock"],
        r#"(import "wasi:io/poll@0.2.0" (instance $poll
  (export "pollable" (type $pollable (sub resource)))
  (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
(alias export $poll "pollable" (type $pollable))
"#,
    ),
    (
        "clock",
        &[],
        r#"(import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
  (export "pollable" (type $pollable' (eq $pollable)))
  (export "now" (func (result u64)))
  (export "subscribe-duration" (func (param "when" u64) (result (own $pollable'))))))
"#,
    ),
    (
        "wall-clock",
        &[],
        r#"(import "wasi:clocks/wall-clock@0.2.0" (instance $wall-clock
  (type $datetime' (record (field "seconds" u64) (field "nanoseconds" u32))) (export "datetime" (type $datetime (eq $datetime')))
  (export "now" (func (result $datetime)))))
"#,
    ),
    (
        "random",
        &[],
        r#"(import "wasi:random/random@0.2.0" (instance $random
  (export "get-random-bytes" (func (param "len" u64) (result (list u8))))
  (export "get-random-u64" (func (result u64)))))
"#,
    ),
    (
        "insecure",
        &[],
        r#"(import "wasi:random/insecure@0.2.0" (instance $insecure
  (export "get-insecure-random-bytes" (func (param "len" u64) (result (list u8))))))
"#,
    ),
    (
        "insecure-seed",
        &[],
        r#"(import "wasi:random/insecure-seed@0.2.0" (instance $insecure-seed
  (export "insecure-seed" (func (result (tuple u64 u64))))))
"#,
    ),
    (
        "streams",
        &["stdout"],
        r#"(import "wasi:io/error@0.2.0" (instance $io-error (export "error" (type $error (sub resource)))))
(alias export $io-error "error" (type $io-error))
(import "wasi:io/streams@0.2.0" (instance $streams
  (export "error" (type $error (eq $io-error)))
  (type $stream-error' (variant (case "last-operation-failed" (own $error)) (case "closed")))
  (export "stream-error" (type $stream-error (eq $stream-error')))
  (export "output-stream" (type $output-stream (sub resource)))
  (export "[method]output-stream.write" (func (param "self" (borrow $output-stream)) (param "contents" (list u8))
    (result (result (error $stream-error)))))
  (export "[method]output-stream.write-zeroes" (func (param "self" (borrow $output-stream)) (param "len" u64)
    (result (result (error $stream-error)))))))
(alias export $streams "output-stream" (type $output-stream))
"#,
    ),
    (
        "stdout",
        &[],
        r#"(import "wasi:cli/stdout@0.2.0" (instance $stdout
  (export "output-stream" (type $output-stream' (eq $output-stream)))
  (export "get-stdout" (func (result (own $output-stream'))))))
"#,
    ),
    (
        "sockets",
        &[],
        r#"(import "wasi:sockets/network@0.2.0" (instance $network
  (type $code' (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
    "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit" "address-not-bindable"
    "address-in-use" "remote-unreachable" "connection-refused" "connection-reset" "connection-aborted"
    "datagram-too-large" "name-unresolvable" "temporary-resolver-failure" "permanent-resolver-failure"))
  (export "error-code" (type $code (eq $code')))
  (type $family' (enum "ipv4" "ipv6")) (export "ip-address-family" (type $family (eq $family')))))
(alias export $network "error-code" (type $error-code))
(alias export $network "ip-address-family" (type $ip-family))
(import "wasi:sockets/tcp@0.2.0" (instance $tcp (export "tcp-socket" (type $tcp-socket (sub resource)))))
(alias export $tcp "tcp-socket" (type $tcp-socket))
(import "wasi:sockets/tcp-create-socket@0.2.0" (instance $sockets
  (export "error-code" (type $code (eq $error-code)))
  (export "ip-address-family" (type $family (eq $ip-family)))
  (export "tcp-socket" (type $socket (eq $tcp-socket)))
  (export "create-tcp-socket" (func (param "address-family" $family) (result (result (own $socket) (error $code)))))))
"#,
    ),
];

/// The export: an instance can only be made with its types by a component around it.
const PROCESSOR: &str = r#"
(type $item (record (field "index" u32) (field "body" string)))
(type $context (record (field "dataset" string) (field "batch-input" string) (field "settings" string)))
(type $fault (record (field "code" string) (field "message" string)))
(type $failure (variant (case "reject" $fault) (case "retry" $fault)))
(type $column-type (enum "boolean" "int64" "float64" "text" "date" "timestamp" "json"))
(type $column (record (field "name" string) (field "type" $column-type) (field "nullable" bool)))
(type $output-shape (record (field "name" string) (field "description" string) (field "columns" (list $column))))
(type $manifest (record (field "name" string) (field "version" string) (field "description" string)
  (field "settings-schema" string) (field "outputs" (list $output-shape))))
(func $describe (result $manifest)
  (canon lift (core func $main "describe") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
(func $process (param "context" $context) (param "item" $item) (result (result (option string) (error $failure)))
  (canon lift (core func $main "process") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
(component $Processor
  (type $item' (record (field "index" u32) (field "body" string))) (import "item" (type $item (eq $item')))
  (type $context' (record (field "dataset" string) (field "batch-input" string) (field "settings" string)))
  (import "context" (type $context (eq $context')))
  (type $fault' (record (field "code" string) (field "message" string))) (import "fault" (type $fault (eq $fault')))
  (type $failure' (variant (case "reject" $fault) (case "retry" $fault))) (import "failure" (type $failure (eq $failure')))
  (type $column-type' (enum "boolean" "int64" "float64" "text" "date" "timestamp" "json"))
  (import "column-type" (type $column-type (eq $column-type')))
  (type $column' (record (field "name" string) (field "type" $column-type) (field "nullable" bool)))
  (import "column" (type $column (eq $column')))
  (type $output-shape' (record (field "name" string) (field "description" string) (field "columns" (list $column))))
  (import "output-shape" (type $output-shape (eq $output-shape')))
  (type $manifest' (record (field "name" string) (field "version" string) (field "description" string)
    (field "settings-schema" string) (field "outputs" (list $output-shape))))
  (import "manifest" (type $manifest (eq $manifest')))
  (import "describe" (func $describe (result $manifest)))
  (import "process" (func $process (param "context" $context) (param "item" $item) (result (result (option string) (error $failure)))))
  (export $item-x "item" (type $item))
  (export $context-x "context" (type $context))
  (export $fault-x "fault" (type $fault))
  (type $failure-y (variant (case "reject" $fault-x) (case "retry" $fault-x)))
  (export $failure-x "failure" (type $failure) (type (eq $failure-y)))
  (export $column-type-x "column-type" (type $column-type))
  (type $column-y (record (field "name" string) (field "type" $column-type-x) (field "nullable" bool)))
  (export $column-x "column" (type $column) (type (eq $column-y)))
  (type $output-shape-y (record (field "name" string) (field "description" string) (field "columns" (list $column-x))))
  (export $output-shape-x "output-shape" (type $output-shape) (type (eq $output-shape-y)))
  (type $manifest-y (record (field "name" string) (field "version" string) (field "description" string)
    (field "settings-schema" string) (field "outputs" (list $output-shape-x))))
  (export $manifest-x "manifest" (type $manifest) (type (eq $manifest-y)))
  (export "describe" (func $describe) (func (result $manifest-x)))
  (export "process" (func $process) (func (param "context" $context-x) (param "item" $item-x)
    (result (result (option string) (error $failure-x))))))
(instance $processor (instantiate $Processor (with "item" (type $item)) (with "context" (type $context))
  (with "fault" (type $fault)) (with "failure" (type $failure)) (with "column-type" (type $column-type))
  (with "column" (type $column)) (with "output-shape" (type $output-shape)) (with "manifest" (type $manifest))
  (with "describe" (func $describe)) (with "process" (func $process))))
"#;
