//! A view of a slice as a tensor, with an index for each dimension.

use std::ops::{Deref, DerefMut};

/// View of `data` as a row-major tensor of rank `R`.
///
/// Every access computes its offset, Σ indexᵢ·strideᵢ, anew, as a beginner's tensor type does. The
/// compiler may move the parts that do not change out of the loops.
pub struct TensorView<D, const R: usize> {
    data: D,
    shape: [usize; R],
    strides: [usize; R],
}

impl<D, T: Copy, const R: usize> TensorView<D, R>
where
    D: Deref<Target = [T]>,
{
    /// View of `data` as a tensor of this `shape`.
    ///
    /// # Panics
    /// When `data` does not have exactly as many elements as `shape`.
    pub fn new(data: D, shape: [usize; R]) -> Self {
        assert_eq!(data.len(), shape.iter().product::<usize>());
        let mut strides = [1; R];
        for axis in (0..R - 1).rev() {
            strides[axis] = strides[axis + 1] * shape[axis + 1];
        }
        Self { data, shape, strides }
    }

    #[inline]
    fn offset(&self, index: [usize; R]) -> usize {
        debug_assert!(index.iter().zip(&self.shape).all(|(i, n)| i < n), "{index:?}");
        index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum()
    }

    /// Element of the tensor at `index`.
    #[inline]
    pub fn get(&self, index: [usize; R]) -> T {
        self.data[self.offset(index)]
    }
}

impl<D, T: Copy, const R: usize> TensorView<D, R>
where
    D: DerefMut<Target = [T]>,
{
    /// Mutable element of the tensor at `index`.
    #[inline]
    pub fn at(&mut self, index: [usize; R]) -> &mut T {
        let offset = self.offset(index);
        &mut self.data[offset]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_axis_is_contiguous() {
        let places: Vec<usize> = (0..120).collect();
        let view = TensorView::new(&places[..], [2, 3, 4, 5]);
        let steps = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]];
        assert_eq!(steps.map(|step| view.get(step)), [60, 20, 5, 1]);
        assert_eq!(view.get([1, 2, 3, 4]), 119);
    }
}
