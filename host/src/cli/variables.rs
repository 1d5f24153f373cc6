//! The values of a dataset file's variables.

use clap::Args;

use crate::dataset::Variables;

/// `--set`
#[derive(Clone, Debug, Args)]
pub struct SetArgs {
    /// Give a variable of the dataset file a value; the environment gives the others.
    #[arg(long, value_name = "NAME=VALUE", value_parser = Variables::parse_set)]
    pub set: Vec<(String, String)>,
}

impl SetArgs {
    /// The values of `${NAME}`.
    pub fn variables(self) -> Variables {
        Variables::with_environment(self.set)
    }
}
