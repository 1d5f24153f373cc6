//! What users meet, whole: the binary, its commands, its plugins. One test binary, one module per subject.

mod support;
mod bad_input;
mod golden;
mod laptop;
mod local;
