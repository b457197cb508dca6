//! Wakes a lane that waits for any of its links.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

/// One lane's bell: every link into the lane rings it, the lane sleeps on it.
///
/// Built on thread parking, which on Linux is one futex word: ringing takes no lock, and costs a system call only when
/// the lane really sleeps. A ring that comes before the sleep is not lost.
#[derive(Debug, Default)]
pub struct Wake(OnceLock<Thread>);

impl Wake {
    /// A bell that no lane has taken yet; rings before that are lost, so the lane looks at its links once before it
    /// sleeps for the first time.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The calling thread is the one to wake from now on. The first to call wins.
    pub fn attach(&self) {
        self.0.get_or_init(thread::current);
    }

    /// Wakes the lane, or lets its next sleep end at once.
    pub fn ring(&self) {
        if let Some(lane) = self.0.get() {
            lane.unpark();
        }
    }

    /// Sleeps until the bell rings or `timeout` passes; may wake for nothing. Only for the thread that attached.
    pub fn sleep(&self, timeout: Duration) {
        thread::park_timeout(timeout);
    }
}
