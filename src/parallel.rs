//! How is one computation spread over the cores, so that their number changes no result?
//!
//! Jobs are numbered and handed out in order; what a job computes may depend on its number alone.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Does `work` for every job in `0..jobs`, into one accumulator per thread; which job goes into which is left to chance,
/// so the caller may combine them only in ways where order does not matter.
pub(crate) fn fold<T: Send>(jobs: usize, new: impl Fn() -> T + Sync, work: impl Fn(&mut T, usize) + Sync) -> Vec<T> {
    fold_on(thread::available_parallelism().map_or(1, NonZero::get), jobs, new, work)
}

fn fold_on<T: Send>(
    threads: usize,
    jobs: usize,
    new: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, usize) + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut into = new();
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                break into;
            }
            work(&mut into, job);
        }
    };
    thread::scope(|scope| {
        let named = |i: usize| thread::Builder::new().name(format!("work:{i}"));
        // Where the system refuses a thread, the others take its jobs.
        let others: Vec<_> = (1..threads.min(jobs)).filter_map(|i| named(i).spawn_scoped(scope, run).ok()).collect();
        let mut all = vec![run()];
        for other in others {
            match other.join() {
                Ok(accumulator) => all.push(accumulator),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

/// `work(0)`, `work(1)`, …, in that order.
pub(crate) fn map<T: Send>(jobs: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut done: Vec<(usize, T)> =
        fold(jobs, Vec::new, |into: &mut Vec<_>, job| into.push((job, work(job)))).into_iter().flatten().collect();
    done.sort_unstable_by_key(|(job, _)| *job);
    done.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_on_any_number_of_threads() {
        assert_eq!(map(100, |i| i * i), (0..100).map(|i| i * i).collect::<Vec<_>>());
        for threads in [1, 2, 7] {
            let sums = fold_on(threads, 1000, || 0, |sum, job| *sum += job);
            assert_eq!(sums.iter().sum::<usize>(), 499_500);
        }
        assert_eq!(fold(0, || 1, |_, _| ()), [1]);
    }
}
