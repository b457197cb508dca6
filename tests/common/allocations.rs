//! How much does a thread allocate? The tests that ask have this allocator.
#![allow(dead_code, reason = "each test file uses its part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local!(static CALLS: Cell<u64> = const { Cell::new(0) });

struct Counting;

fn count() {
    // While a thread ends, its own cell may be gone.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is handed on to the system's allocator unchanged; counting touches only a thread-local integer
// that needs no allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps alloc's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // Freeing takes as long as allocating, so it counts too.
        count();
        // SAFETY: the caller keeps dealloc's contract.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps realloc's contract.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this thread has allocated or freed so far.
pub fn so_far() -> u64 {
    CALLS.with(Cell::get)
}

/// How often this thread allocates or frees while `run` runs.
pub fn during(run: impl FnOnce()) -> u64 {
    let before = so_far();
    run();
    so_far() - before
}
