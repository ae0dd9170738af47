//! The program's allocator, which counts allocations and their bytes, and reports a lack of memory.
//!
//! An allocator cannot be written without `unsafe`. Among the published allocators that count,
//! `dhat` takes a lock, `stats_alloc` updates six counters and `allocation-counter` sees one thread
//! only. This allocator is also in use while the program trains. It adds to four numbers, and only in
//! an allocation, and a step of training makes none.
//!
//! Rust aborts a program that gets no memory. This allocator ends the program with an error message
//! and an exit code, as for every failure from outside. If a checkpoint is being written at that
//! moment, the file keeps its old content.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// The system's allocator, with a counter and an error message. `main.rs` installs it.
#[derive(Debug)]
pub struct CountingAllocator;

/// Whether an allocation was refused.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Number of allocations so far.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Bytes of all allocations so far.
static ALLOCATED_BYTES: AtomicU64 = AtomicU64::new(0);
/// Bytes that are allocated now.
static LIVE_BYTES: AtomicU64 = AtomicU64::new(0);
/// Largest value that `LIVE_BYTES` has had since the last [`restart_peak`].
static PEAK_BYTES: AtomicU64 = AtomicU64::new(0);

/// Counts an allocation of `bytes` bytes.
fn count(bytes: usize) {
    let bytes = bytes as u64;
    ALLOCATIONS.fetch_add(1, Relaxed);
    ALLOCATED_BYTES.fetch_add(bytes, Relaxed);
    let live = LIVE_BYTES.fetch_add(bytes, Relaxed) + bytes;
    PEAK_BYTES.fetch_max(live, Relaxed);
}

/// Counts `bytes` bytes as given back.
fn count_freed(bytes: usize) {
    LIVE_BYTES.fetch_sub(bytes as u64, Relaxed);
}

// SAFETY: every request is passed on unchanged to the system's allocator, which keeps the contract.
// Neither counting nor ending the program allocates or unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        granted(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        granted(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        count_freed(layout.size());
        // SAFETY: the caller keeps the contract of `realloc`.
        granted(unsafe { System.realloc(pointer, layout, size) }, size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count_freed(layout.size());
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Returns `pointer`, which points to `bytes` bytes; ends the program when it is null.
fn granted(pointer: *mut u8, bytes: usize) -> *mut u8 {
    if pointer.is_null() {
        if REFUSED.swap(true, Relaxed) {
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

/// Memory that all threads of the program have allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Number of allocations and reallocations since the program started.
    pub allocations: u64,
    /// Bytes of these allocations.
    pub allocated_bytes: u64,
    /// Bytes that are allocated now.
    pub live_bytes: u64,
    /// Largest number of live bytes since the program started or since [`restart_peak`].
    pub peak_bytes: u64,
}

/// Memory that the program has allocated until now; `None` in a program that uses another
/// allocator. The question makes one allocation, of one byte, and gives it back.
pub fn usage() -> Option<Usage> {
    let before = ALLOCATIONS.load(Relaxed);
    drop(black_box(Box::new(0_u8)));
    let allocations = ALLOCATIONS.load(Relaxed);
    (allocations > before).then(|| Usage {
        allocations,
        allocated_bytes: ALLOCATED_BYTES.load(Relaxed),
        live_bytes: LIVE_BYTES.load(Relaxed),
        peak_bytes: PEAK_BYTES.load(Relaxed),
    })
}

/// Forgets the peak of the live bytes: what is live now is the new peak.
pub fn restart_peak() {
    PEAK_BYTES.store(LIVE_BYTES.load(Relaxed), Relaxed);
}
