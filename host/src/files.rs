//! Files that somebody else may have put there: only regular ones are read, and only so much of them.
//!
//! Opening a named pipe may wait for ever, and a device may have no end. So a file is opened without waiting, its kind is
//! checked, and only then it is read.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file. A directory is [`ErrorKind::IsADirectory`], anything else is [`ErrorKind::InvalidInput`].
pub fn open(path: &Path) -> io::Result<File> {
    // On a regular file the flag changes nothing.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    let other = match kind {
        kind if kind.is_file() => return Ok(file),
        kind if kind.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        kind if kind.is_fifo() => "a named pipe",
        _ => "a device",
    };
    Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {other}, and only regular files are read")))
}

/// Reads a regular file whole. More than `max` bytes are [`ErrorKind::FileTooLarge`], and are not read.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    up_to(open(path)?, max)
}

/// The same as text.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    text(read(path, max)?)
}

/// Reads what the user named on the command line: a regular file, or what the shell hands over as one (`<(...)`, `/dev/stdin`):
/// a pipe, which has somebody at its other end.
pub fn read_given(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let handed = ["/dev/stdin", "/dev/fd", "/proc/self/fd"].iter().any(|own| path.starts_with(own));
    up_to(if handed { File::open(path)? } else { open(path)? }, max)
}

/// The same as text.
pub fn read_given_text(path: &Path, max: u64) -> io::Result<String> {
    text(read_given(path, max)?)
}

fn up_to(file: File, max: u64) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(size.min(max)).unwrap_or(usize::MAX))?;
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > max {
        true => Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {max} bytes"))),
        false => Ok(bytes),
    }
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, format!("it is not UTF-8: {error}")))
}

/// What tests put where files are read.
#[cfg(test)]
pub(crate) mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// Makes a named pipe that nobody ever writes to.
    pub(crate) fn named_pipe(path: &Path) {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    /// What comes of it, or that it waits for ever. The minute is for a machine that does much else.
    pub(crate) fn at_once<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(call()));
        receiver.recv_timeout(Duration::from_secs(60)).expect("it waits")
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        named_pipe(&pipe);
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for path in [pipe, link, "/dev/zero".into()] {
            for read in [read, read_given] {
                let from = path.clone();
                let refused = at_once(move || read(&from, 10)).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{}: {refused}", path.display());
                assert!(refused.to_string().contains("only regular files are read"), "{refused}");
            }
        }
        assert_eq!(open(folder.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(open(&folder.path().join("no")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "0123456789").unwrap();
        assert_eq!(read_text(&file, 10).unwrap(), "0123456789");
        assert_eq!(read(&file, 9).unwrap_err().kind(), ErrorKind::FileTooLarge);
        std::fs::write(&file, [0xff]).unwrap();
        assert_eq!(read_text(&file, 10).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn a_pipe_that_the_shell_hands_over_is_read() {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"text").unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        assert_eq!(read_given_text(Path::new(&path), 4).unwrap(), "text");
    }
}
