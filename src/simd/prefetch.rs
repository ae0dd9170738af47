//! Prefetching of cache lines.

/// Prefetches the cache line of `values[index]` into the caches that `HINT` names. An index beyond
/// the end is ignored.
#[inline(always)]
pub fn prefetch_line<const HINT: i32, T>(values: &[T], index: usize) {
    if let Some(value) = values.get(index) {
        // SAFETY: the address is valid, and every x86-64 has the instruction.
        unsafe { std::arch::x86_64::_mm_prefetch::<HINT>(std::ptr::from_ref(value).cast()) }
    }
}
