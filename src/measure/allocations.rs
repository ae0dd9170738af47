//! How often the program asks for memory, and what happens when there is none.
//!
//! An allocator cannot be written without `unsafe`. Of the published ones that count, `dhat` takes
//! a lock, `stats_alloc` keeps six numbers in step and `allocation-counter` sees one thread alone.
//! This one is in use while the program trains, and adds 1 to a number.
//!
//! Rust aborts a program that gets no memory. This one is ended with a line that says so and an
//! exit code, like every failure from outside; a checkpoint that is being written is then the old
//! one still.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator with a count and an end; `main.rs` makes it the program's.
#[derive(Debug)]
pub struct CountingAllocator;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every request is passed on unchanged to the system's allocator, which keeps the contract,
// and neither counting nor ending the program allocates or unwinds.
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

/// `pointer`, to memory of `bytes`; ends the program when it is null.
fn granted(pointer: *mut u8, bytes: usize) -> *mut u8 {
    if pointer.is_null() {
        // Neither of these asks for memory.
        _ = writeln!(
            io::stderr(),
            "error: out of memory: {bytes} bytes more were refused: close other programs, allow \
             more memory (ulimit -v), or choose less data, a smaller --batch-size or network"
        );
        process::exit(1);
    }
    pointer
}

/// Times that any thread has asked for memory, or for more of it; `None` in a program whose
/// allocator is another one.
pub fn count() -> Option<u64> {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drop(black_box(Box::new(0_u8)));
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    (after > before).then_some(after)
}
