//! One session of a database: logged in, and set up so that it only reads, is never forgotten, and speaks of time in UTC.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, NoTls};
use tokio_postgres::{CancelToken, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::classify::{Fault, classify};
use super::connect::{GuardedTls, Socket, socket};
use super::file::{Settings, Tls};
use super::guard::{Guarded, LARGEST};
use super::password::Vaults;
use super::tls;

/// For the socket, TLS and the login together.
const LOGIN: Duration = Duration::from_secs(10);

/// Whoever asks a server of a connection.
pub(super) struct Server {
    pub(super) name: String,
    pub(super) settings: Settings,
    pub(super) tls: Option<MakeRustlsConnect>,
    pub(super) vaults: Vaults,
}

/// A session that is logged in. Dropped, it logs out.
pub(super) struct Session {
    pub(super) client: Client,
    /// Moves its bytes.
    task: JoinHandle<()>,
    ended: Arc<Ended>,
    pub(super) used: Instant,
}

/// Why a session has no connection any more.
#[derive(Default)]
struct Ended {
    too_large: Arc<AtomicBool>,
    why: OnceLock<Fault>,
}

impl Server {
    pub(super) fn new(name: &str, settings: Settings, vaults: Vaults) -> Result<Self, String> {
        let tls = match &settings.tls {
            Tls::Off => None,
            Tls::VerifyFull { ca } => Some(tls::connector(ca.as_deref())?),
        };
        Ok(Self { name: name.to_owned(), settings, tls, vaults })
    }

    /// Logs in.
    pub(super) async fn open(&self) -> Result<Session, Fault> {
        let password = self.vaults.password(&self.name, &self.settings.password).await?;
        let mut config = Config::new();
        config.user(&self.settings.user).dbname(&self.settings.database).application_name("gristmill");
        config.ssl_mode(if self.tls.is_some() { SslMode::Require } else { SslMode::Disable });
        if let Some(password) = &password {
            config.password(password.text());
        }
        match tokio::time::timeout(LOGIN, self.logged_in(&config)).await {
            Ok(session) => session,
            Err(_) => Err(self.unreachable(&format!("no answer within {LOGIN:?}"))),
        }
    }

    async fn logged_in(&self, config: &Config) -> Result<Session, Fault> {
        let ended = Arc::new(Ended::default());
        let stream = self.socket().await?;
        let (client, task) = match self.connector(&ended)? {
            Some(tls) => {
                let connected = config.connect_raw(stream, tls).await;
                let (client, connection) = connected.map_err(|error| classify(&self.name, &error))?;
                (client, tokio::spawn(drive(self.name.clone(), connection, ended.clone())))
            }
            None => {
                let stream = Guarded::new(stream, ended.too_large.clone());
                let connected = config.connect_raw(stream, NoTls).await;
                let (client, connection) = connected.map_err(|error| classify(&self.name, &error))?;
                (client, tokio::spawn(drive(self.name.clone(), connection, ended.clone())))
            }
        };
        let session = Session { client, task, ended, used: Instant::now() };
        let set = format!(
            "SET default_transaction_read_only = on; SET statement_timeout = {}; \
             SET idle_in_transaction_session_timeout = {}; SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; \
             SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'",
            self.settings.statement_timeout.as_millis(),
            self.settings.idle_timeout.as_millis()
        );
        session.client.batch_execute(&set).await.map_err(|error| session.fault(&self.name, &error))?;
        Ok(session)
    }

    /// Asks the server to give up what a session is at. It opens no session.
    pub(super) async fn cancel(&self, token: CancelToken) -> Result<(), Fault> {
        let stream = self.socket().await?;
        let asked = match self.connector(&Arc::default())? {
            Some(tls) => token.cancel_query_raw(stream, tls).await,
            None => token.cancel_query_raw(stream, NoTls).await,
        };
        asked.map_err(|error| classify(&self.name, &error))
    }

    async fn socket(&self) -> Result<Socket, Fault> {
        let Settings { host, port, .. } = &self.settings;
        socket(host, *port).await.map_err(|error| self.unreachable(&error.to_string()))
    }

    fn connector(
        &self,
        ended: &Arc<Ended>,
    ) -> Result<Option<GuardedTls<<MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect>>, Fault> {
        let (Some(tls), tokio_postgres::config::Host::Tcp(host)) = (&self.tls, &self.settings.host) else {
            return Ok(None);
        };
        let made = MakeTlsConnect::<Socket>::make_tls_connect(&mut tls.clone(), host.trim_matches(['[', ']']));
        // Its error has no values.
        let connect = made.map_err(|error| self.unreachable(&error.to_string()))?;
        Ok(Some(GuardedTls { connect, too_large: ended.too_large.clone() }))
    }

    fn unreachable(&self, why: &str) -> Fault {
        let host = match &self.settings.host {
            tokio_postgres::config::Host::Tcp(host) => host.clone(),
            tokio_postgres::config::Host::Unix(folder) => folder.display().to_string(),
        };
        Fault::passing(format!("connection `{}`: {host}:{} cannot be reached: {why}", self.name, self.settings.port))
    }
}

impl Session {
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// What an error of this session means.
    pub(super) fn fault(&self, name: &str, error: &tokio_postgres::Error) -> Fault {
        if self.ended.too_large.load(Ordering::Relaxed) {
            return Fault::too_large(format!(
                "connection `{name}`: a row has more than {LARGEST} bytes, and the {} of a block are the most that a guest is given: \
                 select less of it, such as a part of its value",
                2 * crate::table::BLOCK
            ));
        }
        match self.ended.why.get() {
            Some(why) if error.is_closed() => why.clone(),
            _ => classify(name, error),
        }
    }

    /// Ends the connection at once, whatever goes on there.
    pub(super) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Moves the bytes of a session until it ends.
async fn drive(name: String, connection: impl Future<Output = Result<(), tokio_postgres::Error>>, ended: Arc<Ended>) {
    let mut connection = std::pin::pin!(connection);
    if let Err(error) = connection.as_mut().await {
        // Before the connection is dropped, and with it whoever waits for an answer.
        let _ = ended.why.set(classify(&name, &error));
    }
}
