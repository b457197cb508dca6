//! Real-time scheduling: asked for, never insisted on.

use std::io;

/// Puts the calling thread under SCHED_FIFO at `priority` (1–99).
///
/// On a loaded machine this is the largest single lever on the 99th percentile. Refusal is normal for a user without
/// `LimitRTPRIO=`: the caller warns and counts, and everything still works.
///
/// # Errors
/// What the kernel said.
pub fn ask_for_realtime(priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority.clamp(1, 99) };
    // SAFETY: 0 is the calling thread, and `parameters` outlives the call.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Keeps the process's memory in RAM: what is in use now and, where memory may be locked without limit, what is touched
/// later. To be called once the buffers are there. Under a limit only the former: to lock what comes later would make
/// an allocation past the limit fail.
///
/// # Errors
/// What the kernel said; normal without `LimitMEMLOCK=`.
pub fn lock_memory() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit for the call to fill in.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    let flags = match asked == 0 && limit.rlim_cur == libc::RLIM_INFINITY {
        true => libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT,
        false => libc::MCL_CURRENT,
    };
    // SAFETY: takes flags only.
    match unsafe { libc::mlockall(flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
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
