//! The way to a server: a socket, and TLS over it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::Host;
use tokio_postgres::tls::TlsConnect;
use tokio_util::either::Either;

use super::guard::Guarded;

/// A connection that nothing comes through is given up after about a minute: the other machine may be gone.
const ALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);

/// A socket of either kind.
pub(super) type Socket = Either<TcpStream, UnixStream>;

/// Connects to the host.
pub(super) async fn socket(host: &Host, port: u16) -> io::Result<Socket> {
    match host {
        Host::Tcp(name) => {
            let stream = TcpStream::connect((name.trim_matches(['[', ']']), port)).await?;
            stream.set_nodelay(true)?;
            let (idle, interval, probes) = ALIVE;
            sockopt::set_socket_keepalive(&stream, true)?;
            sockopt::set_tcp_keepidle(&stream, idle)?;
            sockopt::set_tcp_keepintvl(&stream, interval)?;
            sockopt::set_tcp_keepcnt(&stream, probes)?;
            Ok(Either::Left(stream))
        }
        Host::Unix(folder) => Ok(Either::Right(UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await?)),
    }
}

/// TLS whose messages are guarded.
pub(super) struct GuardedTls<C> {
    pub(super) connect: C,
    pub(super) too_large: Arc<AtomicBool>,
}

impl<S, C> TlsConnect<S> for GuardedTls<C>
where
    C: TlsConnect<S>,
    C::Future: Send + 'static,
    C::Error: 'static,
{
    type Stream = Guarded<C::Stream>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, C::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connected = self.connect.connect(stream);
        Box::pin(async move { Ok(Guarded::new(connected.await?, self.too_large)) })
    }
}
