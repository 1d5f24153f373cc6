//! The signals that end a run.

use tokio_util::sync::CancellationToken;

/// Waits for SIGTERM, as ECS sends it, or Ctrl-C.
pub(super) async fn stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Cancelled by the first signal; a second one ends the process as if there were no handler.
pub(super) fn interrupts() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        stop().await;
        cancelled.cancel();
        stop().await;
        // Nothing is lost by this: what was not committed is not visible, and the same command goes on.
        std::process::exit(130);
    });
    token
}
