//! How often the program asks for memory.
//!
//! An allocator cannot be written without `unsafe`. Of the published ones that count, `dhat` takes
//! a lock, `stats_alloc` keeps six numbers in step and `allocation-counter` sees one thread alone.
//! This one is in use while the program trains, and adds 1 to a number.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator with a count; `main.rs` makes it the program's.
#[derive(Debug)]
pub struct CountingAllocator;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every request is passed on unchanged to the system's allocator, which keeps the contract,
// and counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Times that any thread has asked for memory, or for more of it; `None` in a program whose
/// allocator is another one.
pub fn count() -> Option<u64> {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drop(black_box(Box::new(0_u8)));
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    (after > before).then_some(after)
}
