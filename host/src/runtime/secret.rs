//! The secret of a folder of compiled components: random bytes in a file of their own, made by the first process that
//! needs them. What is signed with the secret was made by somebody who could read that file.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::private::{REMEDY, private};

const FILE: &str = "secret";
/// The longest key that HMAC-SHA256 takes without hashing it.
const SIZE: usize = 64;

/// The length of a tag in bytes.
pub(super) const TAG: usize = 32;

/// A key that tells files that were made here from files that were put here.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret([u8; SIZE]);

impl Secret {
    /// The folder's secret; none if it has none yet.
    pub(super) fn of(folder: &Path) -> Result<Option<Self>> {
        Ok(match found(folder)? {
            Found::Whole(secret) => Some(secret),
            Found::Damaged | Found::Nothing => None,
        })
    }

    /// The folder's secret, which is made if there is none. If several processes make it at once, all get the same.
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let found = found(folder)?;
        if let Found::Whole(secret) = found {
            return Ok(secret);
        }
        let mut secret = [0; SIZE];
        getrandom::fill(&mut secret).map_err(|error| Error::other(error.to_string()))?;
        // A temporary file that gets its name when it is whole. Only its owner may read it, whatever the umask.
        let mut file = tempfile::Builder::new().suffix(".tmp").tempfile_in(folder)?;
        file.write_all(&secret)?;
        file.as_file().sync_all()?;
        let named = match found {
            // A damaged file (the disk was full, or lost power) is nobody's secret, and is replaced.
            Found::Damaged => file.persist(folder.join(FILE)),
            _ => file.persist_noclobber(folder.join(FILE)),
        };
        match named {
            Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
            // This process or another one was first: both use what is there.
            _ => Self::of(folder)?.ok_or_else(|| Error::other("its secret was taken away again")),
        }
    }

    /// The tag of these parts, one behind the other: HMAC-SHA256. The caller makes sure that no other parts give the
    /// same bytes.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> [u8; TAG] {
        self.mac(parts).finalize().into_bytes().into()
    }

    /// Whether the parts have this tag.
    pub(super) fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.mac(parts).verify_slice(tag).is_ok()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::new(&self.0.into());
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

/// What the secret's file holds.
enum Found {
    Whole(Secret),
    Damaged,
    Nothing,
}

fn found(folder: &Path) -> Result<Found> {
    let mut file = match std::fs::File::open(folder.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    if !private(&file.metadata()?) {
        return Err(Error::other(format!("others may write to its secret: {REMEDY}")));
    }
    let mut secret = [0; SIZE];
    Ok(match file.read_exact(&mut secret) {
        Ok(()) => Found::Whole(Secret(secret)),
        Err(_) => Found::Damaged,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Secret::of(folder.path()).unwrap().is_none());
        let secret = Secret::make(folder.path()).unwrap();
        assert!(Secret::make(folder.path()).unwrap() == secret);
        assert!(Secret::of(folder.path()).unwrap() == Some(secret.clone()));
        let other = tempfile::tempdir().unwrap();
        assert!(Secret::make(other.path()).unwrap() != secret);
    }

    #[test]
    fn all_who_make_it_at_once_have_the_same() {
        for _ in 0..50 {
            let (folder, start) = (tempfile::tempdir().unwrap(), Barrier::new(8));
            let make = || {
                start.wait();
                Secret::make(folder.path()).unwrap()
            };
            let made: Vec<Secret> = std::thread::scope(|scope| {
                let makers: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
                makers.into_iter().map(|maker| maker.join().unwrap()).collect()
            });
            assert!(made.iter().all(|secret| *secret == made[0]));
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
        }
    }

    #[test]
    fn what_is_no_secret_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "short").unwrap();
        assert!(Secret::of(folder.path()).unwrap().is_none());
        let secret = Secret::make(folder.path()).unwrap();
        assert!(Secret::of(folder.path()).unwrap() == Some(secret));
    }

    #[test]
    fn a_tag_is_of_its_secret_and_its_parts() {
        let (ours, theirs) = (Secret([1; SIZE]), Secret([2; SIZE]));
        let tag = ours.sign(&[b"a", b"bc"]);
        assert!(ours.verify(&[b"a", b"bc"], &tag));
        assert!(!theirs.verify(&[b"a", b"bc"], &tag));
        assert!(!ours.verify(&[b"a", b"bd"], &tag));
        assert!(!ours.verify(&[b"a", b"bc"], &tag[1..]));
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it_and_write_it() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

        let folder = tempfile::tempdir().unwrap();
        Secret::make(folder.path()).unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        // A secret that others may have set is none.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o622)).unwrap();
        assert!(Secret::of(folder.path()).is_err() && Secret::make(folder.path()).is_err());
    }
}
