//! Where lines go that are there whole or not at all: a file, or an object.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::cli::Out;
use crate::object::{ContentType, ObjectWriter, Upload};

/// What is being written. Dropped before [`Listing::complete`], it leaves what was there as it was.
pub(super) enum Listing {
    File { file: File, temporary: TempPath, to: PathBuf },
    Object { upload: Box<dyn Upload>, store: Arc<dyn ObjectWriter> },
}

impl Listing {
    /// Begins to write JSON lines.
    pub(super) async fn begin(out: &Out, store: &Arc<dyn ObjectWriter>) -> anyhow::Result<Self> {
        Ok(match out {
            Out::Object(at) => {
                Self::Object { upload: store.upload(at, ContentType::JsonLines).await?, store: store.clone() }
            }
            Out::File(to) => Self::beside(to).with_context(|| format!("--out {}", to.display()))?,
        })
    }

    fn beside(to: &Path) -> anyhow::Result<Self> {
        // What is no file would be replaced by one: a device, for instance.
        anyhow::ensure!(!to.exists() || to.is_file(), "there is something that is no file: name another one");
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let permissions = Permissions::from_mode(0o666);
        let temporary = tempfile::Builder::new().prefix(".gristmill-").permissions(permissions).tempfile_in(folder)?;
        let (file, temporary) = temporary.into_parts();
        Ok(Self::File { file: File::from_std(file), temporary, to: to.to_owned() })
    }

    pub(super) async fn write(&mut self, lines: String) -> anyhow::Result<()> {
        match self {
            Self::File { file, to, .. } => {
                file.write_all(lines.as_bytes()).await.with_context(|| format!("--out {}", to.display()))
            }
            Self::Object { upload, .. } => Ok(upload.write(Bytes::from(lines)).await?),
        }
    }

    /// Makes it visible.
    pub(super) async fn complete(self) -> anyhow::Result<()> {
        match self {
            Self::File { mut file, temporary, to } => {
                let done = async {
                    // A write may still be under way, and find the disk full.
                    file.flush().await?;
                    file.sync_all().await?;
                    temporary.persist(&to).map_err(|error| error.error)
                };
                done.await.with_context(|| format!("--out {}", to.display()))
            }
            Self::Object { upload, store } => {
                let uploaded = upload.finish().await?;
                if let Err(error) = store.complete(&uploaded).await {
                    // What went wrong first is what the user has to know.
                    let _ = store.abort(&uploaded).await;
                    return Err(error.into());
                }
                Ok(())
            }
        }
    }

    /// Gives up and frees what was stored.
    pub(super) async fn abort(self) {
        if let Self::Object { upload, .. } = self
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(%error, "an upload was left behind");
        }
    }
}
