//! Has someone asked for the end?

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Becomes true at the first SIGTERM or SIGINT. The second one ends the process at once: a drain that hangs can be cut
/// short.
///
/// # Errors
/// The system refuses a handler.
pub fn stop_asked() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // Before the flag is set, so that the first signal does not see its own.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
