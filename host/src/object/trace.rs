//! What a batch read: the version of each object, and a digest of each page of a listing. Later the store is asked
//! whether it would still answer the same.

use std::collections::BTreeMap;
use std::pin::pin;

use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::{Location, Metadata, ObjectError, ObjectStore, Page};
use crate::job::Digest;

/// The most objects and pages that are remembered. A batch that read more is never known to be the same.
const MAX_REMEMBERED: usize = 100_000;

/// How many objects are checked at once.
const CHECKED_AT_ONCE: usize = 16;

/// All that the store told a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The entity tag of each object that was opened; none if it was missing or refused.
    objects: BTreeMap<Location, Option<String>>,
    /// A digest of each page that was listed, by its prefix and its token (`Page::next`); none if it was missing or
    /// refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pages: BTreeMap<Location, BTreeMap<String, Option<Digest>>>,
    /// The first place for which the store gave no answer or two different ones, or for which there was no room. A
    /// trace that has one is worthless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unsteady: Option<String>,
}

/// What the store answered: that it has something, that it has nothing, or neither.
enum Answer<T> {
    Has(T),
    Nothing,
    Unknown,
}

impl<T> Answer<T> {
    fn of<R>(result: &Result<R, ObjectError>, has: impl FnOnce(&R) -> T) -> Self {
        match result {
            Ok(found) => Self::Has(has(found)),
            Err(
                ObjectError::NotFound(_) | ObjectError::Denied(_) | ObjectError::Invalid(_) | ObjectError::TooLarge(_),
            ) => Self::Nothing,
            Err(
                ObjectError::Unavailable(_)
                | ObjectError::Exhausted(_)
                | ObjectError::Changed(_)
                | ObjectError::Gone(_),
            ) => Self::Unknown,
        }
    }

    fn known(self) -> Option<Option<T>> {
        match self {
            Self::Has(it) => Some(Some(it)),
            Self::Nothing => Some(None),
            Self::Unknown => None,
        }
    }
}

impl Trace {
    /// Notes what the store answered when an object was opened.
    pub(super) fn opened<T>(&mut self, at: &Location, result: &Result<(Metadata, T), ObjectError>) {
        let answer = Answer::of(result, |(metadata, _)| metadata.etag.clone()).known();
        let known = self.objects.get(at).cloned();
        if self.is_new(&at.to_string(), answer.as_ref(), known.as_ref())
            && let Some(answer) = answer
        {
            self.objects.insert(at.clone(), answer);
        }
    }

    /// Notes what the store answered when a page was listed.
    pub(super) fn listed(&mut self, prefix: &Location, next: Option<&str>, result: &Result<Page, ObjectError>) {
        let answer = Answer::of(result, digest).known();
        let name = next.unwrap_or_default();
        let known = self.pages.get(prefix).and_then(|pages| pages.get(name)).copied();
        if self.is_new(&prefix.to_string(), answer.as_ref(), known.as_ref())
            && let Some(answer) = answer
        {
            self.pages.entry(prefix.clone()).or_default().insert(name.into(), answer);
        }
    }

    /// Whether the answer is to be remembered. Notes the place if the answer makes the trace worthless.
    fn is_new<T: PartialEq>(&mut self, place: &str, answer: Option<&T>, known: Option<&T>) -> bool {
        let steady = answer.is_some() && known.is_none_or(|known| Some(known) == answer);
        let full = known.is_none() && self.len() >= MAX_REMEMBERED;
        if !steady || full {
            self.unsteady.get_or_insert_with(|| place.into());
        }
        steady && !full && known.is_none()
    }

    fn len(&self) -> usize {
        self.objects.len() + self.pages.values().map(BTreeMap::len).sum::<usize>()
    }

    /// The first place for which the store answers something else now, if there is one.
    pub async fn changed(&self, store: &dyn ObjectStore) -> Option<String> {
        if let Some(place) = &self.unsteady {
            return Some(place.clone());
        }
        let objects = stream::iter(&self.objects).map(|(at, before)| async move {
            let now = Answer::of(&store.open(at, 0).await, |(metadata, _)| metadata.etag.clone()).known();
            (now.as_ref() != Some(before)).then(|| at.to_string())
        });
        let mut changed = pin!(objects.buffered(CHECKED_AT_ONCE).filter_map(std::future::ready));
        if let Some(place) = changed.next().await {
            return Some(place);
        }
        for (prefix, pages) in &self.pages {
            for (name, before) in pages {
                let page = store.list(prefix, Some(name.as_str()).filter(|name| !name.is_empty())).await;
                if Answer::of(&page, digest).known().as_ref() != Some(before) {
                    return Some(prefix.to_string());
                }
            }
        }
        None
    }
}

/// The digest of all that a page tells its reader.
fn digest(page: &Page) -> Digest {
    let mut text = String::new();
    for object in &page.objects {
        text += &format!("{}\n{}\n{}\n", object.location.key, object.etag, object.size);
    }
    text += page.next.as_deref().unwrap_or_default();
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::folder::FolderStore;
    use super::super::watch::WatchedStore;
    use super::*;

    fn at(key: &str) -> Location {
        Location { bucket: "b".into(), key: key.into() }
    }

    fn put(root: &Path, key: &str, text: &str) {
        let file = root.join("b").join(key);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// What somebody read who opened these objects and listed these prefixes.
    async fn traced(root: &Path, opened: &[&str], listed: &[&str]) -> Trace {
        let watched = WatchedStore::new(Arc::new(FolderStore::new(root)), Duration::from_secs(60)).traced(true);
        for key in opened {
            let _ = watched.open(&at(key), 1).await;
        }
        for key in listed {
            let _ = watched.list(&at(key), None).await;
        }
        watched.trace().unwrap()
    }

    #[tokio::test]
    async fn what_was_read_is_the_same_until_it_changes() {
        type Change = fn(&Path);
        let cases: &[(&str, Change, Option<&str>)] = &[
            ("nothing", |_| (), None),
            ("another object", |root| put(root, "other", "x"), None),
            ("an object", |root| put(root, "d/a", "corrected"), Some("s3://b/d/a")),
            ("one that vanished", |root| fs::remove_file(root.join("b/d/a")).unwrap(), Some("s3://b/d/a")),
            ("one that was not there", |root| put(root, "missing", "here now"), Some("s3://b/missing")),
            ("one more in a listing", |root| put(root, "list/new", "x"), Some("s3://b/list/")),
            ("one of a listing", |root| put(root, "list/a", "corrected"), Some("s3://b/list/")),
            ("one less in a listing", |root| fs::remove_file(root.join("b/list/a")).unwrap(), Some("s3://b/list/")),
            ("a bucket that vanished", |root| fs::remove_dir_all(root.join("b")).unwrap(), Some("s3://b/d/a")),
        ];
        for (what, change, place) in cases {
            let root = tempfile::tempdir().unwrap();
            for key in ["d/a", "list/a", "list/b"] {
                put(root.path(), key, key);
            }
            let trace = traced(root.path(), &["d/a", "missing", "d/a"], &["list/", "none/", "list/"]).await;
            change(root.path());
            // As the ledger keeps it.
            let kept: Trace = serde_json::from_str(&serde_json::to_string(&trace).unwrap()).unwrap();
            assert_eq!(kept.changed(&FolderStore::new(root.path())).await.as_deref(), *place, "{what}");
        }
    }

    #[tokio::test]
    async fn two_items_that_read_two_versions_make_no_batch_to_rely_on() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "a", "one");
        let store = FolderStore::new(root.path());
        let mut trace = Trace::default();
        trace.opened(&at("a"), &store.open(&at("a"), 0).await);
        assert_eq!(trace.changed(&store).await, None);
        put(root.path(), "a", "and two");
        trace.opened(&at("a"), &store.open(&at("a"), 0).await);
        assert_eq!(trace.changed(&store).await.as_deref(), Some("s3://b/a"));
    }

    #[tokio::test]
    async fn what_the_store_did_not_answer_is_not_relied_on() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "a", "one");
        let store = FolderStore::new(root.path());
        let mut trace = Trace::default();
        trace.opened::<()>(&at("a"), &Err(ObjectError::Unavailable("away".into())));
        assert_eq!(trace.changed(&store).await.as_deref(), Some("s3://b/a"));
    }

    #[tokio::test]
    async fn what_is_remembered_has_an_end() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("b")).unwrap();
        let mut trace = Trace::default();
        let missing = Err(ObjectError::NotFound("no".into()));
        for n in 0..MAX_REMEMBERED {
            trace.opened::<()>(&at(&n.to_string()), &missing);
        }
        assert_eq!((trace.len(), &trace.unsteady), (MAX_REMEMBERED, &None));
        trace.opened::<()>(&at("0"), &missing);
        assert_eq!(trace.unsteady, None);
        trace.opened::<()>(&at("one more"), &missing);
        assert_eq!((trace.len(), trace.unsteady.as_deref()), (MAX_REMEMBERED, Some("s3://b/one more")));
    }
}
