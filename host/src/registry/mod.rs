//! The registry: a place where versions of datasets lie, and what says which of them is in use.
//!
//! A *release* is one version of one dataset: its file, its component and its sample, named together by a small JSON document
//! whose SHA-256 is the release's own name. Nothing in it ever changes. What changes is the *head*: who is in use, who is on
//! trial. Heads are numbered, and a number is given once, so that of two people who change something at the same time
//! one learns that the other was first.
//!
//! ```text
//! head 42 ──► "noaa-precipitation": stable 0.2.0 ──► release sha256:… ──► dataset file, component, sample
//!    │                              canary 0.3.0, 10 %                      ▲
//!    └─ follows 41                                                         signatures
//! ```

mod component;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod error;
mod folder;
mod head;
mod interface;
mod layout;
mod name;
mod oci;
mod place;
mod push;
mod reference;
mod release;
mod rollout;
mod s3;
mod share;
mod update;

pub use self::component::fetch_component;
pub use self::error::RegistryError;
pub use self::head::Head;
pub use self::interface::{Attachment, MAX_DOCUMENT, Registry};
pub use self::name::{Name, Version};
pub use self::oci::OpenedComponent;
pub use self::place::open;
pub use self::push::{Pushed, push_component};
pub use self::reference::{OciReference, OciTarget};
pub use self::release::{Blob, MAX_BLOB, MAX_SAMPLE, Package, Release};
pub use self::rollout::{Change, ChangeError, Chosen, InUse, Moved, Trial, TrialKind};
pub use self::share::Share;
pub(crate) use self::update::add;
pub use self::update::{NotChanged, change, newest};
