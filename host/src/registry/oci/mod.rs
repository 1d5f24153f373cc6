//! Components in a registry of containers, such as Amazon ECR, GHCR or Harbor. Releases do not lie there: nothing in its protocol lets
//! one of two who write the same tag be first.

mod artifact;
mod docker;
mod ecr;
mod host;
mod login;
mod names;
mod oci_error;
mod token;
mod upload;

pub use self::artifact::OpenedComponent;
pub(super) use self::artifact::{Artifact, WASM, component_of};
pub(super) use self::host::Host;
pub(super) use self::names::{is_host, is_repository, place};
