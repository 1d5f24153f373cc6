//! A worker process that is there to be stopped and killed.

use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long an orderly end may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A worker's process, from whatever side it is met. It is killed with the last who knows it.
#[derive(Clone, Default)]
pub(crate) struct Victim(Arc<Mutex<Option<Process>>>);

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Victim {
    /// Makes this process the one that is meant from now on.
    pub(crate) fn is(&self, child: Child) {
        *self.0.lock().unwrap() = Some(Process(child));
    }

    /// `kill -9`. Returns when the process is no more, and says whether there was one.
    pub(crate) fn kill(&self) -> bool {
        self.0.lock().unwrap().take().is_some()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(process) = &*self.0.lock().unwrap() {
            kill_process(Pid::from_child(&process.0), signal).unwrap();
        }
    }

    /// Whether it runs. One that ended by itself did so without being asked.
    pub(crate) fn runs(&self) -> bool {
        match &mut *self.0.lock().unwrap() {
            Some(process) => process.0.try_wait().unwrap().is_none(),
            None => false,
        }
    }

    /// Asks it to stop, as ECS does, and waits until it has.
    pub(crate) async fn end(&self) {
        self.signal(Signal::TERM);
        let start = Instant::now();
        while self.runs() {
            assert!(start.elapsed() < PATIENCE, "a worker did not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.kill();
    }
}
