//! What every [`Registry`] has to do, as a suite that runs against a folder and an S3.

// A failed check is what this is for.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;

use super::{Attachment, MAX_BLOB, MAX_DOCUMENT, Name, Package, Registry, RegistryError};
use crate::job::Digest;

/// A registry that somebody tampers with.
pub trait Tampered: Sync {
    /// The registry, opened once more: what one process wrote, another one reads. It is empty before the suite.
    fn open(&self) -> impl Future<Output = Arc<dyn Registry>> + Send;

    /// Changes a byte of a blob behind the registry's back.
    fn damage(&self, name: &Name, digest: &Digest) -> impl Future<Output = ()> + Send;
}

/// Runs the suite.
pub async fn suite(place: &impl Tampered) {
    let registry = &*place.open().await;
    an_empty_registry_has_nothing(registry).await;
    a_release_is_found_whole(place).await;
    a_version_stays_what_it_is(place).await;
    one_of_many_who_publish_a_version_wins(place).await;
    attachments_add_up(place).await;
    heads_are_numbered_and_given_once(place).await;
    one_of_many_who_advance_wins(place).await;
    what_was_damaged_is_refused(place).await;
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A release whose component is this text.
fn package(name: &str, version: &str, component: &str) -> Package {
    let sample = BTreeMap::from([
        ("data/a.csv".to_owned(), Bytes::from("a,b\n1,2\n")),
        ("data/again.csv".to_owned(), Bytes::from("a,b\n1,2\n")),
        ("data/empty.csv".to_owned(), Bytes::new()),
    ]);
    let dataset = format!("dataset = \"{name}\"");
    Package::new(name.parse().unwrap(), version.parse().unwrap(), dataset.into(), component.to_owned().into(), sample)
        .unwrap()
}

async fn an_empty_registry_has_nothing(registry: &dyn Registry) {
    let (unknown, digest) = (name("unknown"), Digest::of(b"nothing"));
    assert_eq!(registry.find(&unknown, &"1.0.0".parse().unwrap()).await, Ok(None));
    assert_eq!(registry.versions(&unknown).await, Ok(vec![]));
    assert_eq!(registry.attached(&unknown, &digest, Attachment::Signature).await, Ok(vec![]));
    assert_eq!(registry.newest().await, Ok(0));
    assert_eq!(registry.is_there().await, Ok(false));
    assert_eq!(registry.head(1).await, Ok(None));
    let missing = registry.blob(&unknown, &digest, MAX_BLOB).await;
    assert!(matches!(&missing, Err(RegistryError::NotFound(text)) if text.contains(&digest.hex())), "{missing:?}");
}

async fn a_release_is_found_whole(place: &impl Tampered) {
    // Larger than what an adapter sends or reads in one piece.
    let component: String = (0..1_000_000).map(|number| format!("{number:07} ")).collect();
    let package = package("whole", "0.1.0", &component);
    place.open().await.add(&package).await.unwrap();

    let (registry, release) = (place.open().await, &package.release);
    let found = registry.find(&release.name, &release.version).await.unwrap().unwrap();
    assert_eq!(found, package.digest());
    assert_eq!(registry.blob(&release.name, &found, MAX_DOCUMENT).await.unwrap(), package.document);
    for (digest, bytes) in &package.blobs {
        assert!(registry.blob(&release.name, digest, MAX_BLOB).await.unwrap() == *bytes, "{digest}");
    }
    let size = component.len() as u64;
    assert_eq!(registry.blob(&release.name, &release.component.digest, size).await.unwrap().len() as u64, size);
    let cut = registry.blob(&release.name, &release.component.digest, size - 1).await;
    assert!(matches!(&cut, Err(RegistryError::Damaged(text)) if text.contains(&format!("{}", size - 1))), "{cut:?}");
}

async fn a_version_stays_what_it_is(place: &impl Tampered) {
    let registry = place.open().await;
    for version in ["0.10.0", "0.9.0", "1.0.0-rc.1", "1.0.0"] {
        let package = package("versions", version, version);
        // Again, as after an answer that got lost.
        for _ in 0..2 {
            registry.add(&package).await.unwrap();
        }
    }
    let versions = place.open().await.versions(&name("versions")).await.unwrap();
    let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
    assert_eq!(versions, ["0.9.0", "0.10.0", "1.0.0-rc.1", "1.0.0"]);

    let other = package("versions", "1.0.0", "something else");
    let taken = place.open().await.add(&other).await.unwrap_err();
    assert!(
        matches!(&taken, RegistryError::Taken(text) if text.contains("versions 1.0.0")
            && text.contains(&other.digest().hex()) && text.contains(registry.uri())),
        "{taken:?}"
    );
    let found = registry.find(&other.release.name, &other.release.version).await.unwrap();
    assert_eq!(found, Some(package("versions", "1.0.0", "1.0.0").digest()));
}

async fn one_of_many_who_publish_a_version_wins(place: &impl Tampered) {
    let publish = async |number: usize| {
        let package = package("raced", "1.0.0", &format!("component {number}"));
        place.open().await.add(&package).await.map(|()| package.digest())
    };
    let results = join_all((0..4).map(publish)).await;
    let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "{results:?}");
    let lost = |result: &Result<_, _>| matches!(result, Ok(_) | Err(RegistryError::Taken(_)));
    assert!(results.iter().all(lost), "{results:?}");
    let found = place.open().await.find(&name("raced"), &"1.0.0".parse().unwrap()).await.unwrap();
    assert_eq!(found.as_ref(), Some(won[0]));
}

async fn attachments_add_up(place: &impl Tampered) {
    let (one, two) = (package("attached", "1.0.0", "one"), package("attached", "2.0.0", "two"));
    let registry = place.open().await;
    for package in [&one, &two] {
        registry.add(package).await.unwrap();
    }
    let (name, release) = (&one.release.name, one.digest());
    for text in ["first", "second", "first"] {
        registry.attach(name, &release, Attachment::Signature, text.into()).await.unwrap();
    }
    // Ten workers that say why at the same moment.
    let refusals = (0..10).map(|number| format!("worker {number}"));
    let attach = async |text: String| registry.attach(name, &release, Attachment::Refusal, text.into()).await;
    assert!(join_all(refusals.map(attach)).await.iter().all(Result::is_ok));

    let other = place.open().await;
    let mut signatures = other.attached(name, &release, Attachment::Signature).await.unwrap();
    signatures.sort();
    assert_eq!(signatures, ["first", "second"]);
    assert_eq!(other.attached(name, &release, Attachment::Refusal).await.unwrap().len(), 10);
    assert_eq!(other.attached(name, &release, Attachment::Shadow).await, Ok(vec![]));
    assert_eq!(other.attached(name, &two.digest(), Attachment::Signature).await, Ok(vec![]));
    // What is attached is no version.
    assert_eq!(other.versions(name).await.unwrap().len(), 2);
}

async fn heads_are_numbered_and_given_once(place: &impl Tampered) {
    let (one, two) = (place.open().await, place.open().await);
    for number in 1..=6 {
        let head = format!("{{\"head\":{number}}}");
        assert_eq!(two.head(number).await, Ok(None), "{number}");
        assert_eq!(one.advance(number, head.clone().into()).await, Ok(true));
        assert_eq!(two.advance(number, "late".into()).await, Ok(false));
        // An answer that got lost, and the request again.
        assert_eq!(one.advance(number, head.clone().into()).await, Ok(true));
        assert_eq!(two.head(number).await.unwrap().unwrap(), head);
        assert_eq!(two.newest().await, Ok(number));
    }
    assert_eq!(place.open().await.newest().await, Ok(6));
    assert_eq!(one.head(7).await, Ok(None));
}

async fn one_of_many_who_advance_wins(place: &impl Tampered) {
    let next = place.open().await.newest().await.unwrap() + 1;
    for (number, racers) in [(next, 2), (next + 1, 8)] {
        let race = async |racer: usize| {
            let registry = place.open().await;
            (racer, registry.advance(number, format!("head of {racer}").into()).await)
        };
        let results = join_all((0..racers).map(race)).await;
        let won: Vec<_> = results.iter().filter(|(_, result)| *result == Ok(true)).map(|(racer, _)| racer).collect();
        assert!(won.len() == 1 && results.iter().all(|(_, result)| result.is_ok()), "{results:?}");
        let head = place.open().await.head(number).await.unwrap().unwrap();
        assert_eq!(head, format!("head of {}", won[0]));
    }
}

async fn what_was_damaged_is_refused(place: &impl Tampered) {
    let package = package("damaged", "1.0.0", "a component that somebody changes");
    let (registry, name, component) = (place.open().await, &package.release.name, package.release.component.digest);
    registry.add(&package).await.unwrap();
    place.damage(name, &component).await;
    let refused = place.open().await.blob(name, &component, MAX_BLOB).await.unwrap_err();
    let RegistryError::Damaged(text) = &refused else { panic!("{refused:?}") };
    let said = text.contains(&format!("expected {component}")) && text.contains("found sha256:");
    assert!(said && text.contains("publish the version again"), "{text}");
    // What else belongs to it is still good.
    assert_eq!(registry.blob(name, &package.digest(), MAX_DOCUMENT).await.unwrap(), package.document);
}
