//! What users meet, whole: the binary, its commands, its plugins. One test binary, one module per subject.

mod bad_input;
mod golden;
mod laptop;
mod local;
mod support;
mod tools;
