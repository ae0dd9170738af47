//! Asking for what will be wanted.

/// Asks for the cache line of `values[index]`, which may lie beyond the end, in the caches that
/// `HINT` names.
#[inline(always)]
pub fn prefetch_line<const HINT: i32, T>(values: &[T], index: usize) {
    if let Some(value) = values.get(index) {
        // SAFETY: the address is valid, and every x86-64 has the instruction.
        unsafe { std::arch::x86_64::_mm_prefetch::<HINT>(std::ptr::from_ref(value).cast()) }
    }
}
