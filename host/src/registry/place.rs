//! Which registry a URI means.

use std::path::PathBuf;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::folder::Folder;
use super::layout::Layout;
use super::s3::S3;
use super::{Registry, RegistryError};
use crate::aws::SdkConfig;

/// Opens the registry at a URI: a folder (a path, or `file:///path`) or `s3://BUCKET/PREFIX`. Nothing is asked for yet. `aws` is
/// called where AWS is needed, which is for S3.
pub async fn open<F>(uri: &str, aws: impl FnOnce() -> F + Send) -> Result<Arc<dyn Registry>, RegistryError>
where
    F: Future<Output = SdkConfig> + Send,
{
    match Place::parse(uri)? {
        Place::Folder(path) => Ok(Arc::new(Layout::new(uri, Folder::new(path)))),
        Place::S3 { bucket, prefix } => Ok(Arc::new(Layout::new(uri, S3::new(&aws().await, bucket, prefix)))),
    }
}

/// What a URI says.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Folder(PathBuf),
    S3 { bucket: &'a str, prefix: &'a str },
}

impl<'a> Place<'a> {
    fn parse(uri: &'a str) -> Result<Self, RegistryError> {
        let invalid = |why: &str| {
            Err(RegistryError::Invalid(format!(
                "{uri:?} is not the URI of a registry: {why}. A registry is a folder (a path, or file:///PATH) or \
                 s3://BUCKET/PREFIX"
            )))
        };
        if let Some(rest) = uri.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            return match bucket {
                "" => invalid("it names no bucket"),
                _ if prefix.split('/').any(|part| matches!(part, "." | "..")) => {
                    invalid("a prefix has no `.` and `..`")
                }
                _ => Ok(Self::S3 { bucket, prefix }),
            };
        }
        if uri.starts_with("oci://") {
            return invalid(
                "a registry of containers can hold components (`plugin.component` of a dataset file), but no releases: of two who \
                 write one tag, it lets none be first",
            );
        }
        if let Some(rest) = uri.strip_prefix("file:") {
            let path = rest.strip_prefix("//localhost/").or_else(|| rest.strip_prefix("///"));
            let Some(path) = path.or_else(|| rest.strip_prefix('/').filter(|path| !path.starts_with('/'))) else {
                return invalid("a file URI has an absolute path and no host");
            };
            return match percent_decode_str(path).decode_utf8() {
                Ok(path) => Ok(Self::Folder(format!("/{path}").into())),
                Err(_) => invalid("its path is not UTF-8"),
            };
        }
        match uri.split_once("://") {
            Some((scheme, _)) => invalid(&format!("there is no `{scheme}:` registry")),
            None if uri.is_empty() || uri.contains('\0') => invalid("it names nothing"),
            None => Ok(Self::Folder(uri.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_place_has_its_form() {
        let folder = |path: &str| Place::Folder(path.into());
        for (uri, expected) in [
            ("registry", folder("registry")),
            ("./a/../b", folder("./a/../b")),
            ("/srv/registry", folder("/srv/registry")),
            ("file:///srv/a%20b", folder("/srv/a b")),
            ("file:/srv", folder("/srv")),
            ("file://localhost/srv", folder("/srv")),
            ("s3://bucket", Place::S3 { bucket: "bucket", prefix: "" }),
            ("s3://bucket/a/b/", Place::S3 { bucket: "bucket", prefix: "a/b/" }),
        ] {
            assert_eq!(Place::parse(uri).unwrap(), expected, "{uri}");
        }
    }

    #[test]
    fn what_is_no_registry_is_told_the_two_forms() {
        for uri in
            ["", "s3://", "s3:///x", "s3://b/../x", "oci://r.example/p", "https://x/y", "file://host/x", "file:x"]
        {
            let error = Place::parse(uri).unwrap_err();
            assert!(
                matches!(&error, RegistryError::Invalid(text) if text.contains(" or s3://BUCKET/PREFIX")
                && text.contains("file:///PATH") && text.contains(uri)),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_registry_of_containers_is_told_from_a_registry_of_releases() {
        let refused = Place::parse("oci://ghcr.io/acme/datasets").unwrap_err().to_string();
        assert!(refused.contains("`plugin.component`") && refused.contains("no releases"), "{refused}");
    }
}
