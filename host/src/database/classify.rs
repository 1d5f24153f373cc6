//! What an error of PostgreSQL means for whoever asked: a kind, a sentence, and whether the same may be asked again at once.

use std::error::Error as StdError;
use std::io;

use tokio_postgres::error::{DbError, ErrorPosition};

use super::error::DatabaseError;

/// An error before it is decided who hears of it.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) error: DatabaseError,
    /// Whether another connection may do at once what this one did not: nothing of the answer had come yet.
    pub(super) again: bool,
}

impl Fault {
    /// Worth another attempt at once.
    pub(super) fn passing(message: String) -> Self {
        Self { error: DatabaseError::Unavailable(message), again: true }
    }

    pub(super) fn too_large(message: String) -> Self {
        DatabaseError::TooLarge(message).into()
    }

    pub(super) fn invalid(message: String) -> Self {
        DatabaseError::Invalid(message).into()
    }
}

impl From<DatabaseError> for Fault {
    fn from(error: DatabaseError) -> Self {
        Self { error, again: false }
    }
}

/// What an error of the connection of this name means.
pub(super) fn classify(name: &str, error: &tokio_postgres::Error) -> Fault {
    match error.as_db_error() {
        Some(said) => of_server(name, said),
        None => of_connection(name, error),
    }
}

/// What the server says, with its code.
fn of_server(name: &str, said: &DbError) -> Fault {
    let code = said.code().code();
    let mut sentence = format!("connection `{name}`: {}", said.message());
    if let Some(ErrorPosition::Original(position)) = said.position() {
        sentence.push_str(&format!(" at character {position}"));
    }
    if let Some(hint) = said.hint() {
        sentence.push_str(&format!(" ({})", hint.trim_end_matches('.')));
    }
    sentence.push_str(&format!(" (SQLSTATE {code})"));
    let because = |help: &str| format!("{sentence}: {help}");
    match code {
        "28P01" | "28000" => {
            DatabaseError::Denied(because("check the user in its `url`, its `password`, and the server's pg_hba.conf"))
                .into()
        }
        "3D000" => DatabaseError::Denied(because("check the database in its `url`")).into(),
        "42501" => DatabaseError::Denied(because("its user needs a `grant` for that")).into(),
        "25006" => DatabaseError::Denied(because("queries only read")).into(),
        "42P18" => DatabaseError::Invalid(because("cast it in the statement, such as `$1::text`")).into(),
        "57014" if said.message().contains("timeout") => {
            DatabaseError::Unavailable(because("`statement_timeout` of the connection sets the limit")).into()
        }
        "25P03" => DatabaseError::Unavailable(because(
            "the rows were not taken in time; `idle_in_transaction_session_timeout` of the connection sets the limit",
        ))
        .into(),
        "53300" | "53400" => {
            Fault::passing(because("fewer workers, or fewer `connections` of each, leave room for others"))
        }
        // Deadlocks and the like: whoever only reads may ask again.
        _ => match code.get(..2) {
            Some("08" | "40" | "53" | "57" | "58") => Fault::passing(sentence),
            Some("55" | "XX" | "F0") => DatabaseError::Unavailable(sentence).into(),
            Some("54") => DatabaseError::TooLarge(sentence).into(),
            _ => DatabaseError::Invalid(sentence).into(),
        },
    }
}

/// What the way to the server did.
fn of_connection(name: &str, error: &tokio_postgres::Error) -> Fault {
    let causes = causes(error);
    if let Some(tls) = causes.iter().find_map(|cause| tls_error(*cause)) {
        return DatabaseError::Denied(format!("connection `{name}`: {}", tls_words(tls))).into();
    }
    let said: Vec<String> = causes.iter().map(ToString::to_string).collect();
    let last = said.last().cloned().unwrap_or_default();
    let first = error.to_string();
    if last.contains("does not support TLS") {
        return DatabaseError::Denied(format!(
            "connection `{name}`: the server does not speak TLS: set `ssl = on` there. Without it, only a server of this machine is \
             asked (`tls = \"off\"`)"
        ))
        .into();
    }
    if last == "password missing" {
        return DatabaseError::Denied(format!(
            "connection `{name}`: the server asks for a password, and the connection has none: say in `password` where it is"
        ))
        .into();
    }
    if first.starts_with("authentication error") {
        return DatabaseError::Denied(format!("connection `{name}`: the login failed: {last}")).into();
    }
    if first.starts_with("error serializing parameter ") {
        let number = first.rsplit(' ').next().and_then(|index| index.parse::<usize>().ok()).unwrap_or_default() + 1;
        return Fault::invalid(format!("connection `{name}`: parameter ${number}: {last}"));
    }
    let why = if last == first { first } else { format!("{first}: {last}") };
    Fault::passing(format!("connection `{name}`: {why}"))
}

/// The error and what it came from.
fn causes<'e>(error: &'e tokio_postgres::Error) -> Vec<&'e (dyn StdError + 'static)> {
    let (mut all, mut next) = (Vec::new(), Some(error as &'e (dyn StdError + 'static)));
    while let Some(error) = next {
        all.push(error);
        next = error.source();
    }
    all
}

fn tls_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.downcast_ref().or_else(|| inner?.downcast_ref())
}

fn tls_words(error: &rustls::Error) -> String {
    use rustls::CertificateError as Wrong;
    match error {
        rustls::Error::InvalidCertificate(Wrong::Expired | Wrong::ExpiredContext { .. }) => {
            "the server's certificate has expired: it needs a new one".into()
        }
        rustls::Error::InvalidCertificate(Wrong::NotValidForName | Wrong::NotValidForNameContext { .. }) => {
            format!("the server's certificate is for another host than the `url` names: {error}")
        }
        rustls::Error::InvalidCertificate(Wrong::UnknownIssuer) => {
            "the server's certificate is by an authority that is not trusted here: name its certificate in `ca`".into()
        }
        other => format!("TLS failed: {other}"),
    }
}
