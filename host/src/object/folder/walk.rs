//! Listing a folder as Amazon S3 lists a bucket: all files below, in ascending order of their keys' bytes, in pages.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::super::{Location, Metadata, ObjectError, Page};
use super::errors::read_error;
use super::paths::UPLOADS;
use super::version;

/// How many objects a page has at most, as on Amazon S3.
const PAGE: usize = 1000;

/// How many unfinished listings are kept, so that the next page goes on where the one before ended.
const PARKED: usize = 8;

/// The listings under way. The token of a page is the last key of the page before. So a page can also be listed without
/// its parked walk, if the directories on the way are read again.
#[derive(Debug, Default)]
pub(super) struct Walks(Mutex<VecDeque<Walk>>);

impl Walks {
    /// The next page of the listing of `prefix` in the bucket at `bucket`.
    pub(super) fn page(&self, bucket: &Path, prefix: &Location, after: Option<String>) -> Result<Page, ObjectError> {
        let parked = after.as_ref().and_then(|after| self.take(prefix, after));
        let mut walk = match parked {
            Some(walk) => walk,
            None => Walk::start(bucket, prefix, after.unwrap_or_default())?,
        };
        let mut objects = Vec::new();
        while objects.len() < PAGE {
            match walk.next()? {
                Some(object) => objects.push(object),
                None => return Ok(Page { objects, next: None }),
            }
        }
        let next = objects.last().map(|last| last.location.key.clone());
        walk.after = next.clone().unwrap_or_default();
        self.park(walk);
        Ok(Page { objects, next })
    }

    fn take(&self, prefix: &Location, after: &str) -> Option<Walk> {
        let mut walks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = walks.iter().position(|walk| walk.prefix == *prefix && walk.after == after)?;
        walks.remove(found)
    }

    fn park(&self, walk: Walk) {
        let mut walks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        walks.push_back(walk);
        if walks.len() > PARKED {
            walks.pop_front();
        }
    }
}

/// A depth-first walk in the order of the keys.
#[derive(Debug)]
struct Walk {
    bucket: PathBuf,
    prefix: Location,
    /// Only keys behind this one; empty for all.
    after: String,
    /// The directories from the first one down to the one being read.
    stack: Vec<Directory>,
    /// How many objects were found.
    found: u64,
    /// How many names were skipped because they are no objects, and what the first of them is.
    skipped: u64,
    first_skipped: Option<String>,
}

#[derive(Debug)]
struct Directory {
    /// What the keys of its entries start with: empty, or ending with a slash.
    key: String,
    /// Which directory this is, to notice a link to one further up.
    id: (u64, u64),
    /// The names still to come, the next one last. A directory's name ends with a slash, which is how it sorts: `a-b`
    /// comes before `a/b` because `-` comes before `/`.
    names: Vec<String>,
}

impl Walk {
    fn start(bucket: &Path, prefix: &Location, after: String) -> Result<Self, ObjectError> {
        if !bucket.is_dir() {
            let name = &prefix.bucket;
            let why = match dead_link(bucket) {
                Some(why) => format!("there is no bucket `{name}`: {why}"),
                None => format!("there is no bucket `{name}`: expected the directory {}", bucket.display()),
            };
            return Err(ObjectError::NotFound(why));
        }
        let top = prefix.key.rsplit_once('/').map_or("", |(top, _)| top);
        if top.split('/').any(|part| matches!(part, "." | "..")) || prefix.key.contains('\0') {
            return Err(ObjectError::Invalid(format!("{prefix} would lie outside of its bucket")));
        }
        let mut walk = Self {
            bucket: bucket.into(),
            prefix: prefix.clone(),
            after,
            stack: Vec::new(),
            found: 0,
            skipped: 0,
            first_skipped: None,
        };
        // A prefix with an empty part names no directory. Joined to a path, the part would vanish, or make the path
        // start at `/`.
        if top.is_empty() && prefix.key.starts_with('/') || !top.is_empty() && top.split('/').any(str::is_empty) {
            return Ok(walk);
        }
        // A prefix behind a dead link means what should be there: that is an error, not an empty listing.
        let way = top.match_indices('/').map(|(slash, _)| &top[..slash]).chain([top]);
        if let Some(why) = way.filter_map(|directory| dead_link(&bucket.join(directory))).next() {
            return Err(ObjectError::NotFound(format!("there is nothing under {prefix}: {why}")));
        }
        let key = if top.is_empty() { String::new() } else { format!("{top}/") };
        walk.enter(key)?;
        Ok(walk)
    }

    fn next(&mut self) -> Result<Option<Metadata>, ObjectError> {
        while let Some(directory) = self.stack.last_mut() {
            let Some(name) = directory.names.pop() else {
                self.stack.pop();
                continue;
            };
            let key = format!("{}{name}", directory.key);
            if key.ends_with('/') {
                self.enter(key)?;
                continue;
            }
            let at = self.prefix.with_key(key);
            let path = self.bucket.join(&at.key);
            match fs::metadata(&path).map_err(|error| read_error(&at, &path, error)) {
                Ok(file) if file.is_file() => {
                    self.found += 1;
                    return version::metadata(&at, &file).map(Some);
                }
                Ok(_) => self.skip(format!("{} is no regular file", path.display())),
                // A link that leads nowhere, or a file that was deleted meanwhile.
                Err(ObjectError::NotFound(_)) => {
                    if let Some(why) = dead_link(&path) {
                        self.skip(why);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        match self.first_skipped.take() {
            Some(why) if self.found == 0 => {
                Err(ObjectError::NotFound(format!("there is nothing under {}: {why}{}", self.prefix, self.others())))
            }
            Some(why) => {
                tracing::warn!(prefix = %self.prefix, "skipped in a listing: {why}{}", self.others());
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn skip(&mut self, why: String) {
        self.skipped += 1;
        self.first_skipped.get_or_insert(why);
    }

    /// Says how many more were skipped than the first one.
    fn others(&self) -> String {
        match self.skipped.saturating_sub(1) {
            0 => String::new(),
            others => format!(", and {others} more like it"),
        }
    }

    /// Goes down into the directory of the keys that start with `key`.
    fn enter(&mut self, key: String) -> Result<(), ObjectError> {
        let path = self.bucket.join(&key);
        let directory = match self.read(&path, key) {
            Ok(directory) => directory,
            // Deleted meanwhile, or a prefix below which there is nothing.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(read_error(&self.prefix, &path, error)),
        };
        if self.stack.iter().any(|above| above.id == directory.id) {
            tracing::warn!(path = %path.display(), "skipped in a listing: a link to a directory further up");
        } else {
            self.stack.push(directory);
        }
        Ok(())
    }

    fn read(&self, path: &Path, key: String) -> io::Result<Directory> {
        let own = fs::metadata(path)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(mut name) = entry.file_name().into_string() else {
                tracing::warn!(path = %entry.path().display(), "skipped in a listing: its name is not UTF-8");
                continue;
            };
            if key.is_empty() && name == UPLOADS {
                continue;
            }
            let kind = entry.file_type()?;
            // A link counts as what it leads to.
            if kind.is_dir() || kind.is_symlink() && entry.path().is_dir() {
                name.push('/');
            }
            if self.wanted(&format!("{key}{name}")) {
                names.push(name);
            }
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Directory { key, id: (own.dev(), own.ino()), names })
    }

    /// Whether the listing has this key or, if it is a directory, may have one below it.
    fn wanted(&self, key: &str) -> bool {
        let directory = key.ends_with('/');
        let below = |other: &str| directory && other.starts_with(key);
        (key.starts_with(&self.prefix.key) || below(&self.prefix.key))
            && (key > self.after.as_str() || below(&self.after))
    }
}

/// What to say of this path if it is a link that leads nowhere.
fn dead_link(path: &Path) -> Option<String> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|entry| entry.is_symlink());
    let dead = is_link
        && fs::metadata(path).is_err_and(|error| {
            error.kind() == io::ErrorKind::NotFound || Errno::from_io_error(&error) == Some(Errno::LOOP)
        });
    dead.then(|| format!("the link {} leads nowhere", path.display()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn bucket(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    fn prefix(key: &str) -> Location {
        Location { bucket: "b".into(), key: key.into() }
    }

    fn keys(page: &Page) -> Vec<&str> {
        page.objects.iter().map(|object| object.location.key.as_str()).collect()
    }

    #[test]
    fn keys_come_in_the_order_of_their_bytes() {
        let mut all = ["a/b", "a-b", "a", "a0", "a/b-", "B", "a-/z", "ä", "é/x", "z/y/x", "z/y-", "z.x"];
        all.sort_unstable();
        // A file and a directory of the same name do not go together.
        let all: Vec<&str> = all.into_iter().filter(|key| *key != "a").collect();
        let bucket = bucket(&all);
        let walks = Walks::default();
        assert_eq!(keys(&walks.page(bucket.path(), &prefix(""), None).unwrap()), all);
        for (index, after) in all.iter().enumerate() {
            let page = walks.page(bucket.path(), &prefix(""), Some((*after).into())).unwrap();
            assert_eq!(keys(&page), all[index + 1..], "after {after}");
        }
        for key in ["a", "a/", "a-", "z/", "z/y", "é", "none", "a/b/", "/", "/a", "a//b", "//"] {
            let expected: Vec<&str> = all.iter().filter(|found| found.starts_with(key)).copied().collect();
            assert_eq!(keys(&walks.page(bucket.path(), &prefix(key), None).unwrap()), expected, "prefix {key}");
        }
    }

    #[test]
    fn a_page_goes_on_where_the_one_before_ended_also_without_its_walk() {
        let all: Vec<String> = (0..2500).map(|n| format!("{}/{n:04}", n % 7)).collect();
        let bucket = bucket(&all.iter().map(String::as_str).collect::<Vec<_>>());
        for forget in [false, true] {
            let (walks, mut found, mut next, mut pages) = (Walks::default(), Vec::new(), None, 0);
            loop {
                let page = walks.page(bucket.path(), &prefix(""), next).unwrap();
                found.extend(keys(&page).iter().map(ToString::to_string));
                pages += 1;
                next = page.next;
                if forget {
                    walks.0.lock().unwrap().clear();
                } else if next.is_some() {
                    assert_eq!(walks.0.lock().unwrap().len(), 1);
                }
                if next.is_none() {
                    break;
                }
            }
            let mut expected = all.clone();
            expected.sort_unstable();
            assert_eq!((found, pages), (expected, 3));
        }
    }

    #[test]
    fn abandoned_listings_do_not_pile_up() {
        let all: Vec<String> = (0..1001).map(|n| format!("{n:04}")).collect();
        let bucket = bucket(&all.iter().map(String::as_str).collect::<Vec<_>>());
        let walks = Walks::default();
        for _ in 0..2 * PARKED {
            walks.page(bucket.path(), &prefix(""), None).unwrap();
        }
        assert_eq!(walks.0.lock().unwrap().len(), PARKED);
    }

    #[test]
    fn what_is_no_object_is_not_listed() {
        let bucket = bucket(&["d/f", "real"]);
        let path = bucket.path();
        fs::create_dir(path.join("empty")).unwrap();
        fs::create_dir(path.join(UPLOADS)).unwrap();
        fs::write(path.join(UPLOADS).join("tmp"), "").unwrap();
        fs::write(path.join(OsStr::from_bytes(b"not-\xff-utf8")), "").unwrap();
        symlink("nowhere", path.join("dangling")).unwrap();
        symlink(path, path.join("d/up")).unwrap();
        symlink(path.join("real"), path.join("link")).unwrap();
        symlink("circle", path.join("circle")).unwrap();
        crate::files::tests::named_pipe(&path.join("pipe"));
        assert_eq!(keys(&Walks::default().page(path, &prefix(""), None).unwrap()), ["d/f", "link", "real"]);
    }

    #[test]
    fn links_that_lead_nowhere_are_not_taken_for_nothing() {
        let bucket = bucket(&["d/f"]);
        let path = bucket.path();
        symlink("/nonexistent/data", path.join("data")).unwrap();
        symlink("circle", path.join("circle")).unwrap();
        fs::create_dir(path.join("links")).unwrap();
        for n in 0..3 {
            symlink("nowhere", path.join(format!("links/{n}"))).unwrap();
        }
        let refused = |key: &str| match Walks::default().page(path, &prefix(key), None) {
            Err(ObjectError::NotFound(why)) => why.replace(path.to_str().unwrap(), "B"),
            other => panic!("{key}: {other:?}"),
        };
        let nowhere =
            |key: &str, link: &str| format!("there is nothing under s3://b/{key}: the link B/{link} leads nowhere");
        assert_eq!(refused("data/"), nowhere("data/", "data"));
        assert_eq!(refused("data/2024/01/"), nowhere("data/2024/01/", "data"));
        assert_eq!(refused("circle/"), nowhere("circle/", "circle"));
        assert_eq!(refused("da"), nowhere("da", "data"));
        assert_eq!(refused("links/"), nowhere("links/", "links/0") + ", and 2 more like it");
        // Beside what is there they are passed over.
        assert_eq!(keys(&Walks::default().page(path, &prefix(""), None).unwrap()), ["d/f"]);
        let linked = path.join("bucket");
        symlink("/nonexistent/bucket", &linked).unwrap();
        let error = Walks::default().page(&linked, &prefix(""), None).unwrap_err();
        assert!(error.to_string().contains("leads nowhere"), "{error}");
    }

    #[test]
    fn a_missing_bucket_is_not_an_empty_one() {
        let bucket = bucket(&[]);
        assert!(Walks::default().page(bucket.path(), &prefix("x/y"), None).unwrap().objects.is_empty());
        let missing = Walks::default().page(&bucket.path().join("none"), &prefix(""), None);
        assert!(matches!(missing, Err(ObjectError::NotFound(_))));
    }
}
