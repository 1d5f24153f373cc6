//! Where a window stops, so that no row below the stop can still come.
//!
//! A row's time is that of the beginning of its transaction, and it is seen when that commits. So the stop lies before the
//! beginning of every transaction that is under way: whichever begins later has a later time. It never follows from the rows
//! themselves: the latest that is there says nothing about those that are under way.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ask::{Ask, SourceError, senseless, value};

/// A transaction is seen a moment after it took its time.
const MOMENT: Duration = Duration::from_secs(1);

/// What was seen of the database, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its clock, before anything else.
    pub clock: OffsetDateTime,
    /// The beginning of the oldest transaction that is under way.
    pub oldest: Option<OffsetDateTime>,
    /// Why transactions may be under way that nobody sees.
    pub blind: Option<Blind>,
    /// Which transactions are over (`pg_snapshot`); none on a standby, which cannot say.
    pub snapshot: Option<String>,
}

/// Why it cannot be known what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blind {
    /// Transactions of the primary are not seen on a standby.
    Standby,
    /// The role does not see what others do.
    Role,
    /// Sessions do not say when their transactions began (`track_activities = off`).
    Untracked,
    /// Nobody knows when a prepared transaction began.
    Prepared,
}

/// The text of an instant, in UTC and as long as any other one.
const INSTANT: &str = r#"'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"#;

/// Looks at what is under way.
pub async fn look(source: &dyn Ask) -> Result<Seen, SourceError> {
    let instant = |what: &str| format!("to_char({what} AT TIME ZONE 'UTC', {INSTANT})");
    let standby = value(source, "SELECT pg_is_in_recovery()::text", &[]).await?.as_deref() == Some("true");
    let clock = match standby {
        // What has not been replayed may have any time behind this.
        true => "pg_last_xact_replay_timestamp()",
        false => "clock_timestamp()",
    };
    let clock = value(source, &format!("SELECT {}", instant(clock)), &[]).await?;
    if standby && clock.is_none() {
        let why = "this standby has not replayed a transaction since it started: nobody knows how far it is";
        return Err(SourceError::Unavailable(why.into()));
    }
    let clock = parse(clock.as_deref()).ok_or_else(|| senseless("the time", clock.as_deref()))?;
    // Only sessions of this database write to its tables. Our own ones are read-only.
    let under_way = format!(
        "SELECT {}, bool_or(NOT pg_has_role(usesysid, 'USAGE') AND NOT pg_has_role('pg_read_all_stats', 'USAGE'))::text,
         bool_or(state = 'disabled')::text
         FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()
         AND coalesce(backend_type, '') NOT IN ('autovacuum worker', 'walsender')
         AND NOT (usename = current_user AND application_name LIKE 'gristmill%')",
        instant("min(xact_start)")
    );
    let rows = source.ask(&under_way, &[]).await?;
    let row = rows.first().map(Vec::as_slice).unwrap_or_default();
    let (oldest, hidden) = (row.first().cloned().flatten(), row.get(1).cloned().flatten());
    let untracked = row.get(2).is_some_and(|text| text.as_deref() == Some("true"));
    // After the sessions: a transaction that is prepared meanwhile was seen among them.
    let prepared = "SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())::text";
    let prepared = value(source, prepared, &[]).await?.as_deref() == Some("true");
    let blind = match hidden.as_deref() == Some("true") {
        _ if standby => Some(Blind::Standby),
        true => Some(Blind::Role),
        false if untracked => Some(Blind::Untracked),
        false if prepared => Some(Blind::Prepared),
        false => None,
    };
    let snapshot = match standby {
        true => None,
        false => value(source, "SELECT pg_current_snapshot()::text", &[]).await?,
    };
    // What cannot be read must not pass for nothing.
    let oldest = match oldest {
        Some(text) => Some(parse(Some(&text)).ok_or_else(|| senseless("when a transaction began", Some(&text)))?),
        None => None,
    };
    Ok(Seen { clock, oldest, blind, snapshot })
}

/// Where the window stops, or why it cannot be known.
pub fn decide(seen: &Seen, lag: Option<Duration>) -> Result<OffsetDateTime, SourceError> {
    if let (Some(blind), None) = (seen.blind, lag) {
        return Err(SourceError::Refused(format!(
            "rows that are committed late would be lost without a word: {}. Or give the window a `lag` that is longer than any \
             transaction takes",
            blind.why()
        )));
    }
    let complete = seen.oldest.map_or(seen.clock - MOMENT, |oldest| oldest.min(seen.clock - MOMENT));
    Ok(complete - lag.unwrap_or_default())
}

impl Blind {
    fn why(self) -> &'static str {
        match self {
            Self::Standby => {
                "this is a standby, which does not know what is under way on its primary. Connect to the primary"
            }
            Self::Role => {
                "this role does not see which transactions of others are under way. Have it granted pg_read_all_stats \
                 (`GRANT pg_read_all_stats TO …`)"
            }
            Self::Untracked => {
                "some sessions do not say when their transactions began. Have `track_activities` switched on for their roles"
            }
            Self::Prepared => {
                "there are prepared transactions, and nobody knows when they began. Have them committed or rolled back \
                 (`SELECT * FROM pg_prepared_xacts`)"
            }
        }
    }
}

fn parse(text: Option<&str>) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text?, &Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> OffsetDateTime {
        OffsetDateTime::parse(text, &Rfc3339).unwrap()
    }

    fn seen() -> Seen {
        Seen { clock: at("2024-01-05T12:00:00Z"), oldest: None, blind: None, snapshot: Some("7:7:".into()) }
    }

    #[test]
    fn the_stop_lies_before_whatever_is_under_way() {
        let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
        assert_eq!(decide(&seen(), None).unwrap(), at("2024-01-05T11:59:59Z"));
        let busy = Seen { oldest: Some(at("2024-01-05T09:30:00Z")), ..seen() };
        assert_eq!(decide(&busy, None).unwrap(), at("2024-01-05T09:30:00Z"));
        assert_eq!(decide(&busy, minutes(10)).unwrap(), at("2024-01-05T09:20:00Z"));
        // A clock that was set back: the transaction seems to begin in the future.
        let set_back = Seen { oldest: Some(at("2024-01-05T13:00:00Z")), ..seen() };
        assert_eq!(decide(&set_back, None).unwrap(), at("2024-01-05T11:59:59Z"));
    }

    #[test]
    fn what_cannot_be_known_is_refused_unless_there_is_a_lag() {
        for blind in [Blind::Standby, Blind::Role, Blind::Untracked, Blind::Prepared] {
            let seen = Seen { blind: Some(blind), ..seen() };
            let refusal = decide(&seen, None).unwrap_err().to_string();
            assert!(refusal.contains(blind.why()) && refusal.contains("`lag`"), "{refusal}");
            assert_eq!(decide(&seen, Some(Duration::from_secs(60))).unwrap(), at("2024-01-05T11:58:59Z"));
        }
    }
}
