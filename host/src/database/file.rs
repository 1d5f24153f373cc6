//! The file in which an operator names connections.
//!
//! ```toml
//! [shop]                                             # the name that datasets are granted
//! url      = "postgresql://reader@db.example:5432/shop"
//! password = { secret = "shop/reader", field = "password" }
//! ca       = "rds-ca.pem"                            # relative to this file
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::password::PasswordRef;
use crate::files;

/// The largest connections file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// How many sessions of one connection a worker has at once, where nobody says otherwise.
const CONNECTIONS: usize = 4;

/// The longest time-out that PostgreSQL knows: milliseconds in 32 bits.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// What is wrong with a connections file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FileError(pub(super) String);

/// One connection as the file has it, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) password: PasswordRef,
    pub(super) tls: Tls,
    /// Sessions at once, at most.
    pub(super) connections: usize,
    pub(super) statement_timeout: Duration,
    pub(super) idle_timeout: Duration,
}

/// How the way to the server is secured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    /// Not at all: the server is this machine.
    Off,
    /// With a certificate for the host's name, by an authority of this file or by a well-known one.
    VerifyFull { ca: Option<PathBuf> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    url: String,
    password: Option<PasswordTable>,
    ca: Option<PathBuf>,
    tls: Option<String>,
    connections: Option<usize>,
    statement_timeout: Option<String>,
    idle_in_transaction_session_timeout: Option<String>,
}

#[derive(Default)]
struct PasswordTable(Where);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Where {
    file: Option<PathBuf>,
    variable: Option<String>,
    secret: Option<String>,
    field: Option<String>,
    parameter: Option<String>,
}

/// A text here is a password that somebody wrote into the file: it is refused without being shown.
impl<'de> Deserialize<'de> for PasswordTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = PasswordTable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table that says where the password is")
            }

            fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<PasswordTable, E> {
                Err(E::custom(
                    "a password does not belong into this file: say where it is, such as `{ file = \"password\" }`",
                ))
            }

            fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<PasswordTable, E> {
                self.visit_str("")
            }

            fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<PasswordTable, E> {
                self.visit_str("")
            }

            fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<PasswordTable, E> {
                self.visit_str("")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PasswordTable, A::Error> {
                Where::deserialize(MapAccessDeserializer::new(map)).map(PasswordTable)
            }
        }
        deserializer.deserialize_any(Table)
    }
}

/// Reads a connections file. Each error names it, and the line or the key.
pub(super) fn load(file: &Path) -> Result<BTreeMap<String, Settings>, FileError> {
    let within = |error: String| FileError(format!("{}: {error}", file.display()));
    let text = files::read_text(file, MAX_FILE).map_err(|error| within(error.to_string()))?;
    parse(&text, file.parent().unwrap_or(Path::new(""))).map_err(within)
}

fn parse(text: &str, folder: &Path) -> Result<BTreeMap<String, Settings>, String> {
    let tables: BTreeMap<String, Table> = toml_edit::de::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        format!("line {}: {}", before.matches('\n').count() + 1, error.message())
    })?;
    let checked = tables.into_iter().map(|(name, table)| {
        let settings = if is_name(&name) {
            settings(table, folder)
        } else {
            Err("a connection's name is 1 to 63 letters, digits, `_` and `-`, and starts with a letter or digit".into())
        };
        settings.map(|settings| (name.clone(), settings)).map_err(|error| format!("{name:?}: {error}"))
    });
    checked.collect()
}

fn is_name(name: &str) -> bool {
    crate::dataset::is_name(name)
}

fn settings(table: Table, folder: &Path) -> Result<Settings, String> {
    let (host, port, user, database) = address(&table.url).map_err(|error| format!("url: {error}"))?;
    let tls = tls(table.tls.as_deref(), table.ca, &host, folder)?;
    let connections = table.connections.unwrap_or(CONNECTIONS);
    if !(1..=100).contains(&connections) {
        return Err(format!("connections: {connections} sessions at once; expected 1 to 100"));
    }
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let time = |key: &str, text: Option<String>, default| {
        time_out(text.as_deref(), default).map_err(|error| format!("{key}: {error}"))
    };
    Ok(Settings {
        host,
        port,
        user,
        database,
        password: password(table.password, folder).map_err(|error| format!("password: {error}"))?,
        tls,
        connections,
        statement_timeout: time("statement_timeout", table.statement_timeout, minutes(5))?,
        idle_timeout: time(
            "idle_in_transaction_session_timeout",
            table.idle_in_transaction_session_timeout,
            minutes(5),
        )?,
    })
}

/// What a URL says. No error repeats it: there may be a password in it.
fn address(url: &str) -> Result<(Host, u16, String, String), String> {
    const FORM: &str = "expected `postgresql://USER@HOST:PORT/DATABASE`";
    if !["postgresql://", "postgres://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(format!("it is no URL of PostgreSQL: {FORM}"));
    }
    if url.contains(['?', '#']) {
        return Err("it has parameters: give them as keys beside `url`".into());
    }
    let config: Config = url.parse().map_err(|_| format!("it cannot be read: {FORM}"))?;
    if config.get_password().is_some() {
        return Err("a password does not belong there: say in `password` where it is".into());
    }
    let (Some(user), Some(database)) = (config.get_user(), config.get_dbname()) else {
        return Err(format!("it lacks the user or the database: {FORM}"));
    };
    let [host] = config.get_hosts() else { return Err(format!("it has to name one host: {FORM}")) };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    Ok((host.clone(), port, user.to_owned(), database.to_owned()))
}

fn tls(kind: Option<&str>, ca: Option<PathBuf>, host: &Host, folder: &Path) -> Result<Tls, String> {
    match kind {
        None | Some("verify-full") => match host {
            Host::Tcp(_) => Ok(Tls::VerifyFull { ca: ca.map(|file| folder.join(file)) }),
            Host::Unix(_) if kind.is_none() && ca.is_none() => Ok(Tls::Off),
            Host::Unix(_) => Err("tls: there is none over a socket of this machine: leave `tls` and `ca` out".into()),
        },
        Some("off") if ca.is_some() => Err("ca: without TLS there is nothing that it could verify".into()),
        Some("off") if is_this_machine(host) => Ok(Tls::Off),
        Some("off") => {
            Err("tls: only a server of this machine (localhost, 127.0.0.1, ::1, a socket) goes without TLS".into())
        }
        Some(other) => Err(format!("tls: `{other}` is not one of `verify-full` and `off`")),
    }
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
    }
}

fn password(table: Option<PasswordTable>, folder: &Path) -> Result<PasswordRef, String> {
    let Some(PasswordTable(Where { file, variable, secret, field, parameter })) = table else {
        return Ok(PasswordRef::None);
    };
    if field.is_some() && secret.is_none() {
        return Err("`field` is one of a `secret`".into());
    }
    match (file, variable, secret, parameter) {
        (Some(file), None, None, None) => Ok(PasswordRef::File(folder.join(file))),
        (None, Some(name), None, None) => Ok(PasswordRef::Variable(name)),
        (None, None, Some(id), None) => Ok(PasswordRef::Secret { id, field }),
        (None, None, None, Some(name)) => Ok(PasswordRef::Parameter(name)),
        _ => Err("give one of `file`, `variable`, `secret` and `parameter`".into()),
    }
}

fn time_out(text: Option<&str>, default: Duration) -> Result<Duration, String> {
    let Some(text) = text else { return Ok(default) };
    let time = humantime::parse_duration(text).map_err(|_| format!("`{text}` is no time such as `5min`"))?;
    // To PostgreSQL, 0 is no time-out at all.
    if (Duration::from_millis(1)..=LONGEST).contains(&time) {
        Ok(time)
    } else {
        Err(format!("{text}: expected 1ms to 24days"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, Settings>, String> {
        parse(text, Path::new("/etc/gristmill"))
    }

    #[test]
    fn a_connection_has_careful_defaults() {
        let shop = &read("[shop]\nurl = 'postgresql://reader@db.example/shop'").unwrap()["shop"];
        assert_eq!(
            *shop,
            Settings {
                host: Host::Tcp("db.example".into()),
                port: 5432,
                user: "reader".into(),
                database: "shop".into(),
                password: PasswordRef::None,
                tls: Tls::VerifyFull { ca: None },
                connections: 4,
                statement_timeout: Duration::from_secs(300),
                idle_timeout: Duration::from_secs(300),
            }
        );
    }

    #[test]
    fn files_are_beside_the_connections_file() {
        let text = "[shop]\nurl = 'postgres://a%40b@db:6432/x'\nca = 'ca.pem'\npassword = { file = 'pass' }\nstatement_timeout = '90s'";
        let shop = &read(text).unwrap()["shop"];
        assert_eq!(shop.tls, Tls::VerifyFull { ca: Some("/etc/gristmill/ca.pem".into()) });
        assert_eq!(shop.password, PasswordRef::File("/etc/gristmill/pass".into()));
        assert_eq!((shop.port, shop.user.as_str(), shop.statement_timeout.as_secs()), (6432, "a@b", 90));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_no_password_is_shown() {
        let url = "url = 'postgresql://reader@db/shop'\n";
        for (table, expected) in [
            ("url = 'postgresql://reader:s3cret@db/shop'".into(), "url: a password does not belong there"),
            ("url = 'postgresql://reader@db/shop?password=s3cret'".into(), "it has parameters"),
            ("url = 'host=db password=s3cret'".into(), "it is no URL of PostgreSQL"),
            ("url = 'postgresql://reader@db:s3cret/shop'".into(), "it cannot be read"),
            ("url = 'postgresql://db/shop'".into(), "lacks the user"),
            ("url = 'postgresql://reader@db'".into(), "lacks the user or the database"),
            ("url = 'postgresql://reader@a,b/shop'".into(), "one host"),
            (String::new(), "missing field `url`"),
            (format!("{url}password = 's3cret'"), "line 3: a password does not belong into this file"),
            (format!("{url}password = {{ file = 'a', variable = 'b' }}"), "give one of `file`"),
            (format!("{url}password = {{ field = 'a', variable = 'b' }}"), "`field` is one of a `secret`"),
            (format!("{url}password = {{ fiel = 'a' }}"), "line 3: unknown field `fiel`"),
            (format!("{url}passwort = 1"), "line 3: unknown field `passwort`"),
            (format!("{url}tls = 'off'"), "only a server of this machine"),
            (format!("{url}tls = 'prefer'"), "`prefer` is not one of"),
            (format!("{url}connections = 0"), "0 sessions at once"),
            (format!("{url}statement_timeout = '0s'"), "expected 1ms to 24days"),
            (format!("{url}statement_timeout = 'long'"), "`long` is no time"),
        ] {
            let refused = read(&format!("[shop]\n{table}")).unwrap_err();
            assert!(refused.contains(expected) && !refused.contains("s3cret"), "{table}: {refused}");
        }
        assert!(read("['sh op']\nurl = ''").unwrap_err().starts_with("\"sh op\": a connection's name is"));
    }

    #[test]
    fn only_this_machine_goes_without_tls() {
        for host in ["localhost", "127.0.0.1", "[::1]", "%2Frun%2Fpostgresql"] {
            let text = format!("[shop]\nurl = 'postgresql://reader@{host}/shop'\ntls = 'off'");
            assert_eq!(read(&text).map(|read| read["shop"].tls.clone()), Ok(Tls::Off), "{host}");
        }
    }
}
