//! Whether a file is this user's alone: what others may write is not trusted.

use std::fs::Metadata;
use std::path::Path;

/// Whether nobody else can have written the file, or into the folder.
#[cfg(unix)]
pub(super) fn private(meta: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    const ROOT: u32 = 0;
    let owner = meta.uid();
    meta.mode() & WRITABLE_BY_OTHERS == 0 && (owner == ROOT || owner == rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
pub(super) fn private(_meta: &Metadata) -> bool {
    true
}

/// Makes the folder, if it is not there, for this user alone.
pub(super) fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// What to do about a folder or file that is not private.
pub(super) const REMEDY: &str = "it has to be a folder of this user's own, with mode 700";
