//! `gristmill plugin new`, `build`, `test` and `dev`: what authors of plugins do.

mod bench;
pub(super) mod build;
pub(super) mod dev;
pub(super) mod new;
mod shown;
pub(super) mod test;
