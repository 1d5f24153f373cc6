//! Whether a dataset file and its component fit. Pure: the runtime opens the component, this compares.

mod against;
mod warnings;

pub use self::against::against;
pub use self::warnings::warnings;

#[cfg(test)]
mod tests;
