//! A window that slides over the rows or over the columns of an image.

use std::ops::Range;

/// Window that slides along one axis of an image. Convolution and pooling have one along the rows and
/// one along the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Length of the window, K. Each place in the window is a *tap*.
    pub kernel: usize,
    /// Distance between neighbouring windows, s.
    pub stride: usize,
    /// Number of elements added on each side of the axis, p.
    pub padding: usize,
}

impl Window {
    /// Window of one element, for the axis that a signal does not have.
    pub const ONE: Self = Self { kernel: 1, stride: 1, padding: 0 };

    /// Number of windows on an axis of `length` elements: ⌊(length + 2p − K)/s⌋ + 1, or 0 if the
    /// window is longer than the padded axis.
    pub fn outputs(&self, length: usize) -> usize {
        let padded = length + 2 * self.padding;
        padded.checked_sub(self.kernel).map_or(0, |rest| rest / self.stride + 1)
    }

    /// Element of the input at `tap` of window `window`. The tap must be one of
    /// [`taps_inside`](Self::taps_inside).
    #[inline]
    pub fn position(&self, window: usize, tap: usize) -> usize {
        window * self.stride + tap - self.padding
    }

    /// Taps of window `window` that lie on an axis of `length` elements. All other taps lie on the
    /// padding.
    pub fn taps_inside(&self, window: usize, length: usize) -> Range<usize> {
        let start = window * self.stride;
        let first = self.padding.saturating_sub(start).min(self.kernel);
        let end = (length + self.padding).saturating_sub(start).min(self.kernel);
        first..end.max(first)
    }

    /// Windows, out of `outputs`, whose `tap` lies on an axis of `length` elements.
    pub fn windows_inside(&self, tap: usize, length: usize, outputs: usize) -> Range<usize> {
        let first = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let end = (length + self.padding).saturating_sub(tap).div_ceil(self.stride).min(outputs);
        first.min(end)..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_windows_are_those_of_pytorch() {
        let outputs =
            |length, kernel, stride, padding| Window { kernel, stride, padding }.outputs(length);
        let same_and_valid = (outputs(28, 3, 1, 1), outputs(28, 3, 1, 0), outputs(28, 5, 2, 0));
        assert_eq!(same_and_valid, (28, 26, 12));
        let of_pooling =
            (outputs(4, 2, 2, 0), outputs(6, 2, 2, 0), outputs(8, 3, 2, 0), outputs(7, 2, 2, 0));
        assert_eq!(of_pooling, (2, 3, 3, 3));
        assert_eq!((outputs(1, 1, 1, 0), outputs(2, 3, 1, 0)), (1, 0));
    }

    #[test]
    fn taps_and_windows_inside_are_those_that_see_an_element() {
        for (length, kernel, stride, padding) in
            [(28, 5, 1, 2), (9, 3, 2, 0), (8, 5, 2, 2), (5, 1, 1, 0), (7, 3, 3, 1), (3, 5, 1, 4)]
        {
            let axis = Window { kernel, stride, padding };
            let outputs = axis.outputs(length);
            let is_inside = |window: usize, tap: usize| {
                (padding..length + padding).contains(&(window * stride + tap))
            };
            for window in 0..outputs {
                let inside: Vec<usize> =
                    (0..kernel).filter(|&tap| is_inside(window, tap)).collect();
                let range: Vec<usize> = axis.taps_inside(window, length).collect();
                assert_eq!(inside, range, "{axis:?} window {window}");
            }
            for tap in 0..kernel {
                let inside: Vec<usize> =
                    (0..outputs).filter(|&window| is_inside(window, tap)).collect();
                let range: Vec<usize> = axis.windows_inside(tap, length, outputs).collect();
                assert_eq!(inside, range, "{axis:?} tap {tap}");
            }
        }
    }
}
