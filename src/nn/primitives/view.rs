//! A view of a slice as a tensor, with an index for each dimension.

/// View of `data` as a row-major tensor of rank `R`.
///
/// Every access computes its offset, Σ indexᵢ·strideᵢ, anew, as a beginner's tensor type does. The
/// compiler may move the parts that do not change out of the loops.
pub struct TensorView<T, const R: usize> {
    data: T,
    shape: [usize; R],
    strides: [usize; R],
}

impl<T, const R: usize> TensorView<T, R>
where
    T: AsRef<[f32]>,
{
    /// View of `data` as a tensor of this `shape`.
    ///
    /// # Panics
    /// When `data` does not have exactly as many elements as `shape`.
    pub fn new(data: T, shape: [usize; R]) -> Self {
        assert_eq!(data.as_ref().len(), shape.iter().product::<usize>());
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
    pub fn get(&self, index: [usize; R]) -> f32 {
        self.data.as_ref()[self.offset(index)]
    }
}

impl<T, const R: usize> TensorView<T, R>
where
    T: AsRef<[f32]> + AsMut<[f32]>,
{
    /// Mutable element of the tensor at `index`.
    #[inline]
    pub fn at(&mut self, index: [usize; R]) -> &mut f32 {
        let offset = self.offset(index);
        &mut self.data.as_mut()[offset]
    }
}
