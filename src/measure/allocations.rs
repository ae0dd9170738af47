//! The program's allocator, which counts allocations and reports a lack of memory.
//!
//! An allocator cannot be written without `unsafe`. Among the published allocators that count,
//! `dhat` takes a lock, `stats_alloc` updates six counters and `allocation-counter` sees one thread
//! only. This allocator is also in use while the program trains, and only adds 1 to a counter.
//!
//! Rust aborts a program that gets no memory. This allocator ends the program with an error message
//! and an exit code, as for every failure from outside. If a checkpoint is being written at that
//! moment, the file keeps its old content.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// The system's allocator, with a counter and an error message. `main.rs` installs it.
#[derive(Debug)]
pub struct CountingAllocator;

/// Whether an allocation was refused.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Number of allocations so far.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every request is passed on unchanged to the system's allocator, which keeps the contract.
// Neither counting nor ending the program allocates or unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        granted(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        granted(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        granted(unsafe { System.realloc(pointer, layout, size) }, size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Returns `pointer`, which points to `bytes` bytes; ends the program when it is null.
fn granted(pointer: *mut u8, bytes: usize) -> *mut u8 {
    if pointer.is_null() {
        if REFUSED.swap(true, Ordering::Relaxed) {
            // Another thread was refused memory first; it says so and ends the program.
            thread::sleep(Duration::from_secs(1));
            process::exit(1);
        }
        // Neither `writeln!` nor `exit` allocates.
        _ = writeln!(
            io::stderr(),
            "error: out of memory: {bytes} bytes more were refused: close other programs, allow \
             more memory (ulimit -v), or choose less data, a smaller --batch-size or network"
        );
        process::exit(1);
    }
    pointer
}

/// Number of allocations and reallocations of all threads since the program started; `None` in a
/// program that uses another allocator.
pub fn count() -> Option<u64> {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drop(black_box(Box::new(0_u8)));
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    (after > before).then_some(after)
}
