//! What an error of the file system means for whoever asked for the object.

use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;

use super::super::{Location, ObjectError};

/// Why `path` could not be read or removed.
pub(super) fn read_error(at: &Location, path: &Path, error: io::Error) -> ObjectError {
    use io::ErrorKind as Kind;
    let shown = path.display();
    match Errno::from_io_error(&error) {
        // It is a socket, or a device without a driver.
        Some(Errno::NXIO | Errno::NODEV) => {
            return ObjectError::NotFound(format!("there is no object {at}: {shown} is no regular file"));
        }
        Some(Errno::LOOP) => {
            return ObjectError::NotFound(format!("there is no object {at}: the links of {shown} lead in a circle"));
        }
        Some(Errno::MFILE | Errno::NFILE) => return too_many_open(at, path),
        _ => {}
    }
    match error.kind() {
        Kind::NotFound if fs::symlink_metadata(path).is_ok_and(|entry| entry.is_symlink()) => {
            ObjectError::NotFound(format!("there is no object {at}: the link {shown} leads nowhere"))
        }
        // A directory is no object, and a name that no file can have names no object.
        Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory | Kind::InvalidFilename => not_found(at),
        // A named pipe, a device.
        Kind::InvalidInput => ObjectError::NotFound(format!("there is no object {at}: {shown}: {error}")),
        Kind::PermissionDenied => ObjectError::Denied(format!("{at}: no permission to use {shown}")),
        _ => ObjectError::Unavailable(format!("{at} could not be read from {shown}: {error}")),
    }
}

/// Why `path` could not be written.
pub(super) fn write_error(at: &Location, path: &Path, error: io::Error) -> ObjectError {
    use io::ErrorKind as Kind;
    if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) {
        return too_many_open(at, path);
    }
    let path = path.display();
    match error.kind() {
        Kind::StorageFull => ObjectError::Exhausted(format!(
            "{at} could not be written: no room left on the disk of {path}; make room and run again"
        )),
        Kind::QuotaExceeded => ObjectError::Exhausted(format!(
            "{at} could not be written: this user's quota on the disk of {path} is used up; make room and run again"
        )),
        Kind::FileTooLarge => ObjectError::Exhausted(format!(
            "{at} could not be written: {path} would be larger than a file may be here (`ulimit -f`, or the file system)"
        )),
        Kind::ReadOnlyFilesystem => {
            ObjectError::Denied(format!("{at} could not be written: the file system of {path} is read-only"))
        }
        Kind::PermissionDenied => ObjectError::Denied(format!("{at}: no permission to write {path}")),
        Kind::NotADirectory | Kind::IsADirectory | Kind::AlreadyExists | Kind::DirectoryNotEmpty => {
            ObjectError::Invalid(format!(
                "{at} could not be written to {path}: a folder cannot hold both an object and others below its name"
            ))
        }
        Kind::InvalidFilename => ObjectError::Invalid(format!("{at}: {path} is no file name that this disk can hold")),
        Kind::CrossesDevices => ObjectError::Invalid(format!(
            "{at}: {path} is on another disk than its bucket; link the whole bucket instead"
        )),
        _ => ObjectError::Unavailable(format!("{at} could not be written to {path}: {error}")),
    }
}

pub(super) fn not_found(at: &Location) -> ObjectError {
    ObjectError::NotFound(format!("there is no object {at}"))
}

/// Too many files are open. Waiting does not help: items that run at once need that many.
fn too_many_open(at: &Location, path: &Path) -> ObjectError {
    ObjectError::Exhausted(format!(
        "{at}: {} could not be opened: too many files are open; raise the limit (`ulimit -n`), or run fewer items at once",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    fn at(key: &str) -> Location {
        Location { bucket: "b".into(), key: key.into() }
    }

    #[test]
    fn a_full_disk_is_said_in_a_sentence() {
        let full = File::create("/dev/full").unwrap().write_all(b"x").unwrap_err();
        let error = write_error(&at("k"), Path::new("/data/b/k"), full);
        assert!(matches!(&error, ObjectError::Exhausted(text) if text.contains("no room left")), "{error}");
    }

    #[test]
    fn what_no_waiting_cures_is_told_from_what_it_may() {
        let path = Path::new("/data/b/k");
        let of = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for (errno, said) in [
            (Errno::NOSPC, "no room left"),
            (Errno::DQUOT, "quota"),
            (Errno::FBIG, "larger than a file may be"),
            (Errno::MFILE, "too many files are open"),
            (Errno::NFILE, "too many files are open"),
        ] {
            let error = write_error(&at("k"), path, of(errno));
            assert!(matches!(&error, ObjectError::Exhausted(text) if text.contains(said)), "{errno}: {error:?}");
        }
        for (errno, said) in
            [(Errno::ROFS, "read-only"), (Errno::ACCESS, "no permission"), (Errno::PERM, "no permission")]
        {
            let error = write_error(&at("k"), path, of(errno));
            assert!(matches!(&error, ObjectError::Denied(text) if text.contains(said)), "{errno}: {error:?}");
        }
        for errno in [Errno::MFILE, Errno::NFILE] {
            assert!(matches!(read_error(&at("k"), path, of(errno)), ObjectError::Exhausted(_)), "{errno}");
        }
        for errno in [Errno::IO, Errno::INTR, Errno::AGAIN, Errno::TIMEDOUT] {
            assert!(matches!(write_error(&at("k"), path, of(errno)), ObjectError::Unavailable(_)), "{errno}");
            assert!(matches!(read_error(&at("k"), path, of(errno)), ObjectError::Unavailable(_)), "{errno}");
        }
    }
}
