//! Histories in the ledger, each changed only by whoever has read the latest.

use super::history::History;
use crate::ledger::LedgerError;
use crate::ledger::registers::Registers;

/// How often a change is tried while others change the same history.
const RACES: usize = 5;

/// The history of a dataset, and the revision that it was read at.
pub async fn history(registers: &dyn Registers, dataset: &str) -> Result<(History, u64), LedgerError> {
    let Some(register) = registers.register(&name(dataset)).await? else { return Ok((History::default(), 0)) };
    let history = serde_json::from_str(&register.text).map_err(|error| {
        LedgerError::Refused(format!(
            "the {} cannot be read ({error}): has a later gristmill written it?",
            name(dataset)
        ))
    })?;
    Ok((history, register.revision))
}

/// Writes a history that follows from the one at `behind`. False if somebody else has written meanwhile.
pub async fn write(
    registers: &dyn Registers,
    dataset: &str,
    history: &History,
    behind: u64,
) -> Result<bool, LedgerError> {
    let text = serde_json::to_string(history).map_err(|error| LedgerError::Refused(error.to_string()))?;
    registers.write_register(&name(dataset), &text, behind).await
}

/// Changes the history, and gives back what the change says.
pub async fn change<T>(
    registers: &dyn Registers,
    dataset: &str,
    change: impl Fn(&mut History) -> T,
) -> Result<T, LedgerError> {
    for _ in 0..RACES {
        let (before, revision) = history(registers, dataset).await?;
        let mut after = before.clone();
        let said = change(&mut after);
        if after == before || write(registers, dataset, &after, revision).await? {
            return Ok(said);
        }
    }
    Err(LedgerError::Unavailable(format!("others keep changing the {}", name(dataset))))
}

fn name(dataset: &str) -> String {
    format!("window of {dataset}")
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    use super::*;
    use crate::ledger::none::NoLedger;
    use crate::ledger::sqlite::SqliteLedger;

    fn at(text: &str) -> OffsetDateTime {
        OffsetDateTime::parse(text, &Rfc3339).unwrap()
    }

    #[tokio::test]
    async fn a_history_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        assert_eq!(history(&ledger, "d").await.unwrap(), (History::default(), 0));
        let correct = |history: &mut History| history.correct(at("2024-01-05T00:00:00Z"), at("2024-01-06T00:00:00Z"));
        change(&ledger, "d", correct).await.unwrap();
        change(&ledger, "d", correct).await.unwrap();
        let (kept, revision) = history(&ledger, "d").await.unwrap();
        assert_eq!((kept.runs().len(), revision), (2, 2));
        assert!(!write(&ledger, "d", &History::default(), 1).await.unwrap());
        assert_eq!(history(&ledger, "e").await.unwrap().1, 0);
        let refused = history(&NoLedger, "d").await.unwrap_err().to_string();
        assert!(refused.contains("--ledger"), "{refused}");
    }
}
