//! What authors of plugins have: a plugin that works from the first minute, a build without scripts, and a test under what
//! production does to them.
//!
//! Nothing of a checkout is needed. The binary carries the templates and the SDKs (`carried.rs`), so that an SDK's version is
//! always that of the host.
//!
//! A language is a variant of [`Language`], a file in `scaffold/` (what its plugins begin with), one in `toolchain/` (what builds
//! them, and what is missing where it is not there), and its SDK's files in `carried.rs`.

mod carried;
mod error;
mod golden;
mod junit;
mod language;
mod scaffold;
mod sdk;
mod sources;
mod toolchain;
mod trial;

pub use self::error::AuthorError;
pub use self::golden::Golden;
pub use self::junit::junit;
pub use self::language::Language;
pub use self::scaffold::{From, Plugin};
pub use self::sources::{Sources, newer_than};
pub use self::toolchain::{Built, Tools, build};
pub use self::trial::{Answers, Checked, Fault, Flaw, Outcome, Sample};
