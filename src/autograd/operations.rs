//! The operations that a tape records, each with its derivative.
//!
//! Operations of two tensors *broadcast*, as in NumPy: the shapes are aligned at their last axes, and an
//! axis of length 1, or one that is missing in front, is repeated to the length of the axis of the
//! other tensor. The derivative needs no rule of its own: a repeated element is picked several times,
//! so its gradient is the sum over the repetitions.

use std::f64::consts::FRAC_2_SQRT_PI;

use super::{Kind, Tape, Var, add_product};
use crate::scalar::Scalar;

/// Operations of each pair of elements, with broadcasting.
impl<T: Scalar> Tape<T> {
    /// Sum a + b. ∂y/∂a = 1, ∂y/∂b = 1.
    pub fn add(&mut self, a: Var, b: Var) -> Var {
        self.zip(a, b, |a, b| a + b, |_, _| [T::one(), T::one()])
    }

    /// Difference a − b. ∂y/∂a = 1, ∂y/∂b = −1.
    pub fn sub(&mut self, a: Var, b: Var) -> Var {
        self.zip(a, b, |a, b| a - b, |_, _| [T::one(), -T::one()])
    }

    /// Product a·b of the elements. ∂y/∂a = b, ∂y/∂b = a.
    pub fn mul(&mut self, a: Var, b: Var) -> Var {
        self.zip(a, b, |a, b| a * b, |a, b| [b, a])
    }

    /// Quotient a/b of the elements. ∂y/∂a = 1/b, ∂y/∂b = −a/b².
    pub fn div(&mut self, a: Var, b: Var) -> Var {
        self.zip(a, b, |a, b| a / b, |a, b| [b.recip(), -a / (b * b)])
    }

    /// Node for `f` of each pair of elements of `a` and `b` after broadcasting.
    fn zip(&mut self, a: Var, b: Var, f: fn(T, T) -> T, slopes: fn(T, T) -> [T; 2]) -> Var {
        let shape = broadcast(self.shape(a), self.shape(b));
        let (a, b) = (self.repeat(a, &shape), self.repeat(b, &shape));
        let pairs = self.value(a).iter().zip(self.value(b));
        let value = pairs.map(|(&a, &b)| f(a, b)).collect();
        self.push(&shape, value, Kind::Zip([a, b], slopes))
    }

    /// `x` with its axes repeated to the lengths of `shape`.
    fn repeat(&mut self, x: Var, shape: &[usize]) -> Var {
        let own = self.shape(x);
        if own == shape {
            return x;
        }
        // Distance in x between neighbours along each axis of `shape`; 0 along a repeated axis.
        let mut strides = vec![0; shape.len()];
        let mut stride = 1;
        for (strides, &length) in strides.iter_mut().rev().zip(own.iter().rev()) {
            *strides = if length == 1 { 0 } else { stride };
            stride *= length;
        }
        let place = |mut index: usize| {
            let mut place = 0;
            for (&length, stride) in shape.iter().zip(&strides).rev() {
                place += index % length * stride;
                index /= length;
            }
            Some(place)
        };
        let from = (0..shape.iter().product()).map(place).collect();
        self.pick(x, shape, from)
    }
}

/// Shape of the result of an operation of tensors with the shapes `a` and `b`.
fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let length = |shape: &[usize], from_end: usize| {
        shape.len().checked_sub(from_end).map_or(1, |axis| shape[axis])
    };
    let axes = (1..=a.len().max(b.len())).rev();
    axes.map(|axis| match (length(a, axis), length(b, axis)) {
        (1, length) | (length, 1) => length,
        (one, other) => {
            assert_eq!(one, other, "{a:?} and {b:?} do not fit each other");
            one
        }
    })
    .collect()
}

/// Operations of each element.
impl<T: Scalar> Tape<T> {
    /// Rectified linear unit, max(0, x). dy/dx = 1 for x > 0, else 0.
    pub fn relu(&mut self, x: Var) -> Var {
        let slope = |x, _| if x > T::zero() { T::one() } else { T::zero() };
        self.map(x, |x| if x <= T::zero() { T::zero() } else { x }, slope)
    }

    /// Logistic function, y = 1/(1 + e⁻ˣ). dy/dx = e⁻ˣ/(1 + e⁻ˣ)² = y·(1 − y).
    pub fn sigmoid(&mut self, x: Var) -> Var {
        self.map(x, |x| (T::one() + (-x).exp()).recip(), |_, y| y * (T::one() - y))
    }

    /// Hyperbolic tangent, y = (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ). dy/dx = 1 − y², by the rule for quotients.
    pub fn tanh(&mut self, x: Var) -> Var {
        self.map(x, T::tanh, |_, y| T::one() - y * y)
    }

    /// Error function, y = 2/√π · ∫ e^(−t²) dt from 0 to x. dy/dx = 2/√π · e^(−x²).
    pub fn erf(&mut self, x: Var) -> Var {
        self.map(x, T::erf, |x, _| T::of(FRAC_2_SQRT_PI) * (-x * x).exp())
    }

    /// Exponential function, y = eˣ. dy/dx = y.
    pub fn exp(&mut self, x: Var) -> Var {
        self.map(x, T::exp, |_, y| y)
    }

    /// Natural logarithm. dy/dx = 1/x.
    pub fn log(&mut self, x: Var) -> Var {
        self.map(x, T::ln, |x, _| x.recip())
    }

    /// Node for `f` of each element of `x`.
    fn map(&mut self, x: Var, f: fn(T) -> T, slope: fn(T, T) -> T) -> Var {
        let value = self.value(x).iter().map(|&x| f(x)).collect();
        let shape = self.shape(x).to_vec();
        self.push(&shape, value, Kind::Map(x, slope))
    }
}

/// Operations along one axis, which stays with length 1, so that the result broadcasts against x.
impl<T: Scalar> Tape<T> {
    /// Sum over the axis. ∂y/∂xᵢ = 1.
    pub fn sum(&mut self, x: Var, axis: usize) -> Var {
        let (shape, [count, inner]) = self.reduced(x, axis);
        let mut value = vec![T::zero(); shape.iter().product()];
        let terms = self.value(x).chunks_exact(count * inner);
        for (sums, terms) in value.chunks_exact_mut(inner).zip(terms) {
            for terms in terms.chunks_exact(inner) {
                sums.iter_mut().zip(terms).for_each(|(sum, &term)| *sum += term);
            }
        }
        self.push(&shape, value, Kind::Sum(x, [count, inner]))
    }

    /// Mean over the axis of length n: the sum divided by n, so ∂y/∂xᵢ = 1/n.
    pub fn mean(&mut self, x: Var, axis: usize) -> Var {
        let count = self.leaf(&[], vec![T::of(self.shape(x)[axis] as f64)]);
        let sum = self.sum(x, axis);
        self.div(sum, count)
    }

    /// Maximum over the axis. ∂y/∂xᵢ = 1 for the maximum, else 0. Of equal elements, the first one
    /// is the maximum.
    pub fn max(&mut self, x: Var, axis: usize) -> Var {
        self.extreme(x, axis, |x, best| x > best)
    }

    /// Minimum over the axis. ∂y/∂xᵢ = 1 for the minimum, else 0. Of equal elements, the first one
    /// is the minimum.
    pub fn min(&mut self, x: Var, axis: usize) -> Var {
        self.extreme(x, axis, |x, best| x < best)
    }

    /// Softmax along the axis, yᵢ = exp(xᵢ − M)/Σⱼ exp(xⱼ − M). The maximum M keeps exp from
    /// overflowing and cancels in y, so it is recorded as a constant. The derivative follows from the
    /// operations in the formula: ∂yᵢ/∂xⱼ = yᵢ·(\[i = j\] − yⱼ).
    pub fn softmax(&mut self, x: Var, axis: usize) -> Var {
        let largest = self.max(x, axis);
        let (shape, value) = (self.shape(largest).to_vec(), self.value(largest).to_vec());
        let largest = self.leaf(&shape, value);
        let below = self.sub(x, largest);
        let powers = self.exp(below);
        let sum = self.sum(powers, axis);
        self.div(powers, sum)
    }

    /// Elements along the axis that no other element `beats`; the first among equals.
    fn extreme(&mut self, x: Var, axis: usize, beats: fn(T, T) -> bool) -> Var {
        let (shape, [count, inner]) = self.reduced(x, axis);
        let value = self.value(x);
        let best = |y: usize| {
            let first = y / inner * count * inner + y % inner;
            let candidates = (0..count).map(|k| first + k * inner);
            candidates.reduce(|best, i| if beats(value[i], value[best]) { i } else { best })
        };
        let from = (0..shape.iter().product()).map(best).collect();
        self.pick(x, &shape, from)
    }

    /// Shape of `x` with length 1 along the axis, and \[length of the axis, distance of its
    /// elements\].
    fn reduced(&self, x: Var, axis: usize) -> (Vec<usize>, [usize; 2]) {
        let mut shape = self.shape(x).to_vec();
        let count = std::mem::replace(&mut shape[axis], 1);
        let inner = shape[axis..].iter().product();
        (shape, [count, inner])
    }
}

/// Products of matrices, and operations that move elements.
impl<T: Scalar> Tape<T> {
    /// Product A·B of the matrices in the last two axes; the axes before them are equal.
    ///
    /// y\[i,j\] = Σₖ a\[i,k\]·b\[k,j\], so a\[i,k\] is a factor of the terms of row i of Y alone, and
    /// b\[k,j\] of the terms of column j alone:
    ///
    /// ```text
    /// da[i,k] = Σ_j dy[i,j]·b[k,j]        dA = dY·Bᵀ
    /// db[k,j] = Σ_i a[i,k]·dy[i,j]        dB = Aᵀ·dY
    /// ```
    pub fn matmul(&mut self, a: Var, b: Var) -> Var {
        let (of_a, of_b) = (self.shape(a), self.shape(b));
        let ([before @ .., rows, depth], [other @ .., b_rows, columns]) = (of_a, of_b) else {
            panic!("{of_a:?} and {of_b:?} are no matrices");
        };
        assert_eq!((before, depth), (other, b_rows), "{of_a:?} and {of_b:?} do not fit each other");
        let sizes @ [rows, depth, columns] = [*rows, *depth, *columns];
        let shape = [before, &[rows, columns]].concat();
        let mut value = vec![T::zero(); shape.iter().product()];
        let factors = self.value(a).chunks_exact(rows * depth);
        let factors = factors.zip(self.value(b).chunks_exact(depth * columns));
        for ((a, b), y) in factors.zip(value.chunks_exact_mut(rows * columns)) {
            add_product(a, b, y, depth);
        }
        self.push(&shape, value, Kind::Matmul([a, b], sizes))
    }

    /// Matrices in the last two axes with their rows and columns exchanged, y\[i,j\] = x\[j,i\]. So
    /// dx\[j,i\] = dy\[i,j\].
    pub fn transpose(&mut self, x: Var) -> Var {
        let [before @ .., rows, columns] = self.shape(x) else { panic!("a matrix has two axes") };
        let (rows, columns) = (*rows, *columns);
        let shape = [before, &[columns, rows]].concat();
        let place = |y: usize| {
            let (matrix, row, column) = (y / (rows * columns), y % rows, y / rows % columns);
            Some((matrix * rows + row) * columns + column)
        };
        let from = (0..rows * columns * before.iter().product::<usize>()).map(place).collect();
        self.pick(x, &shape, from)
    }

    /// Elements of `x` in their order, under another shape. dx = dy.
    pub fn reshape(&mut self, x: Var, shape: &[usize]) -> Var {
        self.push(shape, self.value(x).to_vec(), Kind::Map(x, |_, _| T::one()))
    }

    /// Elements of `x` at any places: y\[at\] = x\[from(at)\], where `from` gives an index into the
    /// row-major elements of x, or `None` for a 0. So dx is, for every element of x, the sum of dy
    /// over all places to which the element went.
    pub fn gather<const R: usize>(
        &mut self,
        x: Var,
        shape: [usize; R],
        from: impl Fn([usize; R]) -> Option<usize>,
    ) -> Var {
        let at = |mut index: usize| {
            let mut at = shape;
            for at in at.iter_mut().rev() {
                let length = *at;
                *at = index % length;
                index /= length;
            }
            at
        };
        let from = (0..shape.iter().product()).map(|index| from(at(index))).collect();
        self.pick(x, &shape, from)
    }

    /// Node for the elements `from` of `x`; `None` is a 0.
    fn pick(&mut self, x: Var, shape: &[usize], from: Vec<Option<usize>>) -> Var {
        let of_x = self.value(x);
        let value = from.iter().map(|from| from.map_or(T::zero(), |from| of_x[from])).collect();
        self.push(shape, value, Kind::Pick(x, from))
    }
}
