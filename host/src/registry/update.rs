//! Changing what is in use: against whatever others change at the same time.

use time::OffsetDateTime;

use super::{Change, ChangeError, Head, MAX_DOCUMENT, Name, Registry, RegistryError};

/// How often a change is made again because others changed other datasets meanwhile.
const ATTEMPTS: usize = 10;

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// The registry did not do it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It makes no sense as things are.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Somebody else was first.
    #[error(
        "somebody else was first: head {number} is \"{change}\" by {by}. Nothing was changed by you; look at `gristmill status`, and \
         decide again"
    )]
    Lost {
        /// The head that won.
        number: u64,
        /// What it changes.
        change: String,
        /// Who made it.
        by: String,
    },
    /// The registry changes all the time.
    #[error("others change the registry all the time: nothing was changed, try again")]
    Crowded,
}

/// The newest head, if there is one.
pub async fn newest(registry: &dyn Registry) -> Result<Option<Head>, RegistryError> {
    let number = registry.newest().await?;
    if number == 0 {
        return Ok(None);
    }
    read(registry, number).await.map(Some)
}

async fn read(registry: &dyn Registry, number: u64) -> Result<Head, RegistryError> {
    let gone = || RegistryError::Damaged(format!("{}: head {number} is listed and is not there", registry.uri()));
    Head::parse(number, &registry.head(number).await?.ok_or_else(gone)?)
}

/// Adds a head, unless somebody else was first (`false`), or nobody could read it.
pub(crate) async fn add(registry: &dyn Registry, head: &Head) -> Result<bool, RegistryError> {
    let document = head.document();
    if document.len() as u64 > MAX_DOCUMENT {
        let uri = registry.uri();
        return Err(RegistryError::Invalid(format!(
            "{uri}: with {} datasets its head would have more than {MAX_DOCUMENT} bytes, which nobody would read: give further datasets a \
             registry of their own",
            head.names.len()
        )));
    }
    registry.advance(head.number, document).await
}

/// Makes a change, unless somebody changes the same dataset meanwhile: then that one has won, whatever it was.
pub async fn change(
    registry: &dyn Registry,
    name: &Name,
    change: &Change,
    by: &str,
    now: OffsetDateTime,
) -> Result<Head, NotChanged> {
    let mut before = newest(registry).await?;
    for _ in 0..ATTEMPTS {
        let next = Head::after(before.as_ref(), name, change, by, now)?;
        if add(registry, &next).await? {
            return Ok(next);
        }
        let winner = read(registry, next.number).await?;
        winner.follows(before.as_ref())?;
        let of_ours = |head: Option<&Head>| head.and_then(|head| head.names.get(name).cloned());
        if of_ours(Some(&winner)) != of_ours(before.as_ref()) {
            let Head { number, change, by, .. } = winner;
            return Err(NotChanged::Lost { number, change, by });
        }
        before = Some(winner);
    }
    Err(NotChanged::Crowded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Digest;

    async fn folder() -> (tempfile::TempDir, std::sync::Arc<dyn Registry>) {
        let folder = tempfile::tempdir().unwrap();
        let uri = folder.path().to_str().unwrap().to_owned();
        (folder, crate::registry::open(&uri, async || unreachable!("a folder needs no AWS")).await.unwrap())
    }

    async fn promote(registry: &dyn Registry, name: &str, version: &str, by: &str) -> Result<Head, NotChanged> {
        let wanted = Change::Promote {
            version: version.parse().unwrap(),
            release: Digest::of(version.as_bytes()),
            downgrade: false,
        };
        change(registry, &name.parse().unwrap(), &wanted, by, OffsetDateTime::UNIX_EPOCH).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_who_promote_at_once_one_wins_and_one_is_told() {
        let (_folder, registry) = folder().await;
        let names = ["one", "two", "three", "four"];
        let (mut told, mut round) = (0, 0);
        // Until two have met: when they do is the machine's choice.
        while told == 0 {
            assert!(round < 1000, "in a thousand rounds no two met");
            let both: Vec<_> = (1..=2)
                .map(|n| {
                    let (registry, version) = (registry.clone(), format!("{round}.{n}.0"));
                    tokio::spawn(async move { promote(&*registry, names[0], &version, &format!("person {n}")).await })
                })
                .collect();
            let results: Vec<_> = futures::future::join_all(both).await.into_iter().map(Result::unwrap).collect();
            for result in &results {
                match result {
                    Ok(_) => {}
                    Err(NotChanged::Lost { by, change, .. }) => {
                        told += 1;
                        assert!(change.starts_with("promote one ") && by.starts_with("person "), "{change} {by}");
                    }
                    // The one who came wholly after the other, with the older version.
                    Err(NotChanged::Change(ChangeError::Downgrade { .. })) => {}
                    other => panic!("{other:?}"),
                }
            }
            assert!(results.iter().any(Result::is_ok), "{results:?}");
            round += 1;
        }
    }

    #[tokio::test]
    async fn a_head_that_nobody_would_read_is_not_written() {
        let (_folder, registry) = folder().await;
        promote(&*registry, "first", "1.0.0", "somebody").await.unwrap();
        let mut head = newest(&*registry).await.unwrap().unwrap();
        (head.number, head.previous) = (2, Some(Digest::of(&head.document())));
        let in_use = head.names.values().next().unwrap().clone();
        let length = |head: &Head| head.document().len() as u64;
        let alone = length(&head);
        head.names.insert("0".repeat(60).parse().unwrap(), in_use.clone());
        let each = length(&head) - alone;
        for number in 1..(MAX_DOCUMENT - alone) / each {
            head.names.insert(format!("{number:060}").parse().unwrap(), in_use.clone());
        }
        assert!((MAX_DOCUMENT - each..=MAX_DOCUMENT).contains(&length(&head)));
        assert!(registry.advance(2, head.document()).await.unwrap());
        let refused = promote(&*registry, &"x".repeat(63), "1.0.0", "somebody").await;
        let refused = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("a registry of their own"), "{refused}");
        assert!(newest(&*registry).await == Ok(Some(head)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_changes_another_dataset_is_in_nobodys_way() {
        let (_folder, registry) = folder().await;
        let all = ["one", "two", "three", "four"].map(|name| {
            let registry = registry.clone();
            tokio::spawn(async move { promote(&*registry, name, "1.0.0", "somebody").await })
        });
        for result in futures::future::join_all(all).await {
            result.unwrap().unwrap();
        }
        let head = newest(&*registry).await.unwrap().unwrap();
        assert_eq!((head.number, head.names.len()), (4, 4));
    }
}
