//! A stream of PostgreSQL's messages, none of which is larger than there is room for. The client library reads each message whole:
//! without this, one value of 1 GB would be 1 GB of memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

/// The largest message, in bytes: a row of a block (8 MiB), with what the protocol adds.
pub(super) const LARGEST: usize = 16 << 20;

/// A message begins with a byte for its kind and four for its length, which does not count the kind.
const HEADER: usize = 5;

/// What passes is looked at as it goes by.
pub(super) struct Guarded<S> {
    inner: S,
    messages: Messages,
    /// Tells why the stream ended.
    too_large: Arc<AtomicBool>,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S, too_large: Arc<AtomicBool>) -> Self {
        Self { inner, messages: Messages::default(), too_large }
    }
}

/// Where in a message the stream is.
#[derive(Default)]
struct Messages {
    header: [u8; HEADER],
    /// How many bytes of the header have passed.
    seen: usize,
    /// How many bytes of the body are still to come.
    body: usize,
}

impl Messages {
    /// Whether no message that begins in these bytes is too large.
    fn pass(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.body > 0 {
                let passed = self.body.min(bytes.len());
                self.body -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let taken = (HEADER - self.seen).min(bytes.len());
            self.header[self.seen..self.seen + taken].copy_from_slice(&bytes[..taken]);
            (self.seen, bytes) = (self.seen + taken, &bytes[taken..]);
            if self.seen == HEADER {
                let [_, length @ ..] = self.header;
                let length = u32::from_be_bytes(length) as usize;
                (self.seen, self.body) = (0, length.saturating_sub(4));
                if length > LARGEST {
                    return false;
                }
            }
        }
        true
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if self.messages.pass(&buf.filled()[before..]) {
            return Poll::Ready(Ok(()));
        }
        self.too_large.store(true, Ordering::Relaxed);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, "a message is too large")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Guarded<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(bodies: &[usize]) -> Vec<u8> {
        let message = |body: &usize| {
            let mut bytes = vec![b'D'];
            bytes.extend(u32::try_from(body + 4).unwrap().to_be_bytes());
            bytes.resize(bytes.len() + body, 7);
            bytes
        };
        bodies.iter().flat_map(message).collect()
    }

    proptest! {
        #[test]
        fn messages_pass_however_they_are_cut(bodies in prop::collection::vec(0..50_usize, 0..20), piece in 1..30_usize) {
            let mut messages = Messages::default();
            prop_assert!(stream(&bodies).chunks(piece).all(|bytes| messages.pass(bytes)));
            prop_assert_eq!((messages.seen, messages.body), (0, 0));
        }

        #[test]
        fn one_that_is_too_large_does_not(before in prop::collection::vec(0..50_usize, 0..5), over in 1..1_000_u32, piece in 1..30_usize) {
            let mut bytes = stream(&before);
            bytes.push(b'D');
            bytes.extend((LARGEST as u32 + over).to_be_bytes());
            let mut messages = Messages::default();
            prop_assert!(!bytes.chunks(piece).all(|bytes| messages.pass(bytes)));
        }
    }
}
