//! What somebody who may write to the registry, or who damages it, cannot do.

use gristmill::trust::{PolicyFile, PrivateKey};

use super::*;

/// What is wrong with a release is said once, in one sentence; what is in use stays in use.
async fn refused(policy: Policy, tamper: impl AsyncFnOnce(&Shelf, Digest)) -> String {
    let house = House::new().await;
    let a = house.shelf.publish("0.1.0", GOOD, "").await;
    let b = house.shelf.publish("0.2.0", GOOD, "").await;
    house.shelf.sign(&a).await;
    house.shelf.promote("0.1.0").await;
    let worker = house.worker(policy).await;
    assert_eq!(worker.stable(), a);
    house.shelf.sign(&b).await;
    tamper(&house.shelf, b).await;
    let head = house.shelf.promote("0.2.0").await;
    worker.reaches(head).await;
    assert_eq!(worker.stable(), a);
    assert_eq!(house.release(None).await, Ok(a));
    let refusals = house.shelf.attached(&"d".parse().unwrap(), &b, Attachment::Refusal).await.unwrap();
    assert_eq!(refusals.len(), 1);
    String::from_utf8(refusals[0].to_vec()).unwrap()
}

fn policy(key: &PrivateKey) -> Policy {
    let keys = BTreeMap::from([("build".to_owned(), key.public().unwrap())]);
    PolicyFile::parse("all_of = ['build']\n[keys]\nbuild = 'build.pub'").unwrap().with(keys).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_component_is_refused() {
    let said = refused(policy(shelf::key()), async |shelf, release| shelf.flip_component(&release).await).await;
    assert!(said.contains("sha256:"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_signature_is_refused() {
    let said = refused(policy(shelf::key()), async |shelf, release| shelf.flip_signatures(&release)).await;
    assert!(said.contains("build"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_by_another_key_is_refused() {
    let house = House::new().await;
    let a = house.shelf.publish("0.1.0", GOOD, "").await;
    house.shelf.sign(&a).await;
    house.shelf.promote("0.1.0").await;
    let other = PrivateKey::generate().unwrap();
    let worker = house.worker(policy(&other)).await;
    let why = worker.catalog.get("d").unwrap().err().unwrap();
    assert!(why.contains("d 0.1.0") && why.contains("build"), "{why}");
    let answer = house.release(None).await.unwrap_err();
    assert!(answer.starts_with("Gristmill.BadPlugin: "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_was_tampered_with_or_does_not_follow_changes_nothing() {
    let house = House::new().await;
    let a = house.shelf.publish("0.1.0", GOOD, "").await;
    house.shelf.publish("0.2.0", GOOD, "").await;
    house.shelf.promote("0.1.0").await;
    let worker = house.worker(Policy::none()).await;
    let head = registry::newest(&*house.shelf).await.unwrap().unwrap();
    let (version, release) = ("0.2.0".parse().unwrap(), house.shelf.find_release("0.2.0").await);
    let promote = Change::Promote { version, release, downgrade: false };
    let next = |before| {
        registry::Head::after(before, &"d".parse().unwrap(), &promote, "me", OffsetDateTime::UNIX_EPOCH).unwrap()
    };
    let good = next(Some(&head)).document();
    let mut flipped = good.to_vec();
    flipped[good.len() / 2] ^= 1;
    let mut foreign = next(Some(&head));
    foreign.previous = Some(Digest::of(b"another history"));
    for (document, expected) in
        [(Bytes::from(flipped), "its seal does not fit"), (foreign.document(), "rewrote the registry's history")]
    {
        house.shelf.overwrite_head(2, &document);
        while worker.metric("gristmill_registry_answers") != 0.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(worker.stable(), a);
        assert_eq!(house.release(None).await, Ok(a));
        let said = worker_says(&house).await;
        assert!(said.contains(expected) && said.contains("head 2"), "{said}");
        house.shelf.remove_head(2);
        while worker.metric("gristmill_registry_answers") != 1.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_taken_back_is_noticed_by_workers_that_start_later() {
    let house = House::new().await;
    house.shelf.publish("0.1.0", GOOD, "").await;
    house.shelf.publish("0.2.0", GOOD, "").await;
    house.shelf.promote("0.1.0").await;
    house.shelf.promote("0.2.0").await;
    let memory = house.folder.path().join("cache");
    let start = async |house: &House| {
        let (_worker, watch) = house.worker_that_looks_when_told(Policy::none()).await;
        watch.remembering(&memory).start().await
    };
    assert_eq!(start(&house).await, Ok(()));
    let second = house.shelf.head(2).await.unwrap().unwrap();
    house.shelf.remove_head(2);
    let later = House { shelf: Arc::new(house.shelf.again().await), ..house };
    let refused = start(&later).await.unwrap_err().to_string();
    assert!(refused.contains("its newest head is 1, and head 2 was seen on this machine before"), "{refused}");
    assert!(refused.contains("If that was meant, remove "), "{refused}");
    later.shelf.overwrite_head(2, &second);
    assert_eq!(start(&later).await, Ok(()));
}

/// What a worker that looks now says of the registry.
async fn worker_says(house: &House) -> String {
    let head = registry::Head::parse(1, &house.shelf.head(1).await.unwrap().unwrap()).unwrap();
    let document = house.shelf.head(2).await.unwrap().unwrap();
    match registry::Head::parse(2, &document).and_then(|next| next.follows(Some(&head))) {
        Ok(()) => String::new(),
        Err(error) => error.to_string(),
    }
}
