//! Memory of a layer, cut into the parts that follow each other in it.

/// Parts of `memory` with these `lengths`, from its beginning on.
///
/// # Panics
/// When the parts are longer than the memory.
pub fn split<T, const N: usize>(mut memory: &[T], lengths: [usize; N]) -> [&[T]; N] {
    lengths.map(|length| memory.split_off(..length).expect("the parts are in the memory"))
}

/// Parts of `memory` with these `lengths`, from its beginning on, to be written.
///
/// # Panics
/// When the parts are longer than the memory.
pub fn split_mut<T, const N: usize>(mut memory: &mut [T], lengths: [usize; N]) -> [&mut [T]; N] {
    lengths.map(|length| memory.split_off_mut(..length).expect("the parts are in the memory"))
}
