//! What users meet, whole: the binary, its commands, its plugins. One test binary, one module per subject.

mod guest;
mod hostile;
mod support;
