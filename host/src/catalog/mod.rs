//! Which versions of datasets this process has, and which one a batch runs on.

mod choice;
mod examine;
mod folder;
mod shown;
mod source;
mod version;
mod versions;

pub use self::choice::{Choice, NoVersion};
pub use self::source::{NotOpened, VersionSource};
pub use self::version::DatasetVersion;
pub use self::versions::{Catalog, OnTrial, Shadowed, Side, Versions};
