//! Real-time scheduling: asked for, never insisted on.

use std::io;

/// What the kernel let us have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// The thread runs under SCHED_FIFO.
    pub realtime: bool,
    /// The process's memory stays in RAM.
    pub locked: bool,
}

/// Puts the calling thread under SCHED_FIFO at `priority` (1–99) and locks the process's memory.
///
/// On a loaded machine this is the largest single lever on the 99th percentile. Refusal is normal for a user without
/// `LimitRTPRIO=` and `LimitMEMLOCK=`: the caller warns and counts, and everything still works.
pub fn ask_for_realtime(priority: i32) -> (Granted, Option<io::Error>) {
    let mut granted = Granted::default();
    let mut refused = None;
    let parameters = libc::sched_param { sched_priority: priority.clamp(1, 99) };
    // SAFETY: 0 is the calling thread, and `parameters` outlives the call.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &parameters) } == 0 {
        granted.realtime = true;
    } else {
        refused = Some(io::Error::last_os_error());
    }
    // Only what is in use is locked: locking future mappings too would pin every model and every thread's whole stack.
    // SAFETY: takes flags only.
    if unsafe { libc::mlockall(libc::MCL_CURRENT) } == 0 {
        granted.locked = true;
    } else if refused.is_none() {
        refused = Some(io::Error::last_os_error());
    }
    (granted, refused)
}

/// Ties the calling thread to one processor, counted from 0.
///
/// # Errors
/// What the kernel said, for instance when there is no such processor.
pub fn pin_to(processor: usize) -> io::Result<()> {
    if processor >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: a cpu_set_t is a plain bit array, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `processor` is within the set, as checked above.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: 0 is the calling thread, and the size is that of `set`.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_that_is_not_there_is_an_error_and_the_first_is_not() {
        let pinned = std::thread::Builder::new().spawn(|| (pin_to(0), pin_to(100_000))).unwrap().join().unwrap();
        assert!(pinned.0.is_ok());
        assert_eq!(pinned.1.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
