//! Where rows are worked on. What keeps a core busy is nothing for the threads that queues, stores, renewals and the admin port
//! live on: rows are checked, hashed, encoded and converted by threads that block nobody.

use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

/// Work on fewer bytes of rows takes less time than handing it to another thread.
pub(crate) const INLINE_BYTES: usize = 16 << 10;

/// Up to so many bytes are worked on in one piece, where work can be cut.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// Does work on so many bytes of rows where it holds up nobody. A panic goes on where the work is waited for.
pub(crate) async fn run<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if bytes <= INLINE_BYTES {
        return work();
    }
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and whoever waits here ends with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::thread::current;

    use super::*;

    #[tokio::test]
    async fn large_work_is_done_elsewhere_and_small_work_here() {
        let here = current().id();
        assert_eq!(run(INLINE_BYTES, || current().id()).await, here);
        assert_ne!(run(INLINE_BYTES + 1, || current().id()).await, here);
    }

    #[tokio::test]
    #[should_panic(expected = "as it was")]
    async fn a_panic_comes_back() {
        run(usize::MAX, || panic!("as it was")).await
    }
}
