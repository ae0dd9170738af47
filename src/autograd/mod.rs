//! Gradients from a tape: a record of a computation, from which the gradient of its result follows
//! by the chain rule alone.
//!
//! # Recording
//! Every operation appends a node to the [`Tape`]: its value, and the earlier nodes from which the
//! value was computed. [`operations`] has the operations.
//!
//! # The reverse sweep
//! Let L be the result, and dv = ∂L/∂v the gradient of a node v. A node v affects L only through the
//! nodes y that were computed from it, so by the chain rule
//!
//! ```text
//! dv = Σ over all y computed from v of dy · ∂y/∂v
//! ```
//!
//! A node is computed from earlier nodes only. So [`Tape::gradients`] goes from the last node to the
//! first: when it reaches y, dy is complete, and dy · ∂y/∂v is added to every v from which y was
//! computed (reverse accumulation: Linnainmaa 1976; Griewank & Walther 2008, chapter 3). A node that
//! is used twice gets two sums.
//!
//! # Six kinds of nodes
//! The sweep knows six kinds of nodes. All operations are made of them, so the derivatives of all
//! operations are in one `match`:
//!
//! ```text
//! leaf      a given value
//! map       y = f(x) for each element           dx += dy · f'(x)
//! zip       y = f(a, b) for each pair           da += dy · ∂f/∂a,  db += dy · ∂f/∂b
//! pick      y[i] = x[from(i)]                   dx[from(i)] += dy[i]
//! sum       y[j] = Σ of x[i] with into(i) = j   dx[i] += dy[into(i)]
//! matmul    Y = A·B                             dA += dY·Bᵀ,  dB += Aᵀ·dY
//! ```
//!
//! The tape is made to be believed, not to be fast: no program trains on it. The hand-written backward
//! passes of [`crate::nn`] are checked against it.

pub mod operations;

use crate::scalar::Scalar;

/// Record of a computation: an arena of nodes in the order in which they were computed.
#[derive(Debug, Default)]
pub struct Tape<T> {
    nodes: Vec<Node<T>>,
}

/// Node of a tape: a tensor, and the place from which its gradient is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Var(usize);

/// Tensor and how it was computed.
#[derive(Debug)]
struct Node<T> {
    /// Sizes of the tensor.
    shape: Vec<usize>,
    /// Elements of the tensor, row-major.
    value: Vec<T>,
    kind: Kind<T>,
}

/// Kind of a node, with the earlier nodes from which it was computed.
#[derive(Debug)]
enum Kind<T> {
    Leaf,
    /// Function of each element of x, and its `slope(x, y)`, which is dy/dx.
    Map(Var, fn(T, T) -> T),
    /// Function of each pair of elements of a and b, and its `slopes(a, b)`: \[∂y/∂a, ∂y/∂b\].
    Zip([Var; 2], fn(T, T) -> [T; 2]),
    /// Elements of x at these places. An element without a place in x is 0.
    Pick(Var, Vec<Option<usize>>),
    /// Sums along an axis of x that has `count` elements. The elements of a sum are `inner` apart.
    Sum(Var, [usize; 2]),
    /// Products of matrices a (rows, depth) and b (depth, columns): \[rows, depth, columns\].
    Matmul([Var; 2], [usize; 3]),
}

/// Gradient of one result with respect to every node before it.
#[derive(Debug)]
pub struct Gradients<T>(Vec<Vec<T>>);

impl<T> Gradients<T> {
    /// Gradient with respect to `x`, in the shape of `x`.
    pub fn of(&self, x: Var) -> &[T] {
        &self.0[x.0]
    }
}

impl<T: Scalar> Tape<T> {
    /// Tape without nodes.
    pub fn new() -> Self {
        Self { nodes: Vec::new() }
    }

    /// Node with a given `value`, row-major in `shape`: a parameter, an input or a constant.
    ///
    /// # Panics
    /// When `value` does not have as many elements as `shape`.
    pub fn leaf(&mut self, shape: &[usize], value: Vec<T>) -> Var {
        self.push(shape, value, Kind::Leaf)
    }

    /// Sizes of the tensor `x`.
    pub fn shape(&self, x: Var) -> &[usize] {
        &self.nodes[x.0].shape
    }

    /// Elements of the tensor `x`, row-major.
    pub fn value(&self, x: Var) -> &[T] {
        &self.nodes[x.0].value
    }

    /// Gradient of `result`, which has one element, by the reverse sweep.
    ///
    /// # Panics
    /// When `result` has more elements.
    pub fn gradients(&self, result: Var) -> Gradients<T> {
        assert_eq!(self.value(result).len(), 1, "the result is a number");
        let nodes = &self.nodes[..=result.0];
        let mut gradients: Vec<_> = nodes.iter().map(|n| vec![T::zero(); n.value.len()]).collect();
        gradients[result.0][0] = T::one();
        for (index, Node { value: y, kind, .. }) in nodes.iter().enumerate().rev() {
            let (earlier, from_here) = gradients.split_at_mut(index);
            let dy = &from_here[0];
            match *kind {
                Kind::Leaf => {}
                Kind::Map(Var(x), slope) => {
                    for (i, dx) in earlier[x].iter_mut().enumerate() {
                        *dx += dy[i] * slope(nodes[x].value[i], y[i]);
                    }
                }
                Kind::Zip([Var(a), Var(b)], slopes) => {
                    for (i, &dy) in dy.iter().enumerate() {
                        let [da, db] = slopes(nodes[a].value[i], nodes[b].value[i]);
                        earlier[a][i] += dy * da;
                        earlier[b][i] += dy * db;
                    }
                }
                Kind::Pick(Var(x), ref from) => {
                    for (&dy, &from) in dy.iter().zip(from) {
                        if let Some(from) = from {
                            earlier[x][from] += dy;
                        }
                    }
                }
                Kind::Sum(Var(x), [count, inner]) => {
                    let dx = earlier[x].chunks_exact_mut(count * inner);
                    for (dx, dy) in dx.zip(dy.chunks_exact(inner)) {
                        for dx in dx.chunks_exact_mut(inner) {
                            dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy);
                        }
                    }
                }
                Kind::Matmul([Var(a), Var(b)], [rows, depth, columns]) => {
                    let (a_value, b_value) = (&nodes[a].value, &nodes[b].value);
                    for (n, dy) in dy.chunks_exact(rows * columns).enumerate() {
                        let of_a = n * rows * depth..(n + 1) * rows * depth;
                        let of_b = n * depth * columns..(n + 1) * depth * columns;
                        let b_turned = turned(&b_value[of_b.clone()], depth, columns);
                        add_product(dy, &b_turned, &mut earlier[a][of_a.clone()], columns);
                        let a_turned = turned(&a_value[of_a], rows, depth);
                        add_product(&a_turned, dy, &mut earlier[b][of_b], rows);
                    }
                }
            }
        }
        Gradients(gradients)
    }

    fn push(&mut self, shape: &[usize], value: Vec<T>, kind: Kind<T>) -> Var {
        assert_eq!(value.len(), shape.iter().product::<usize>(), "{shape:?}");
        self.nodes.push(Node { shape: shape.into(), value, kind });
        Var(self.nodes.len() - 1)
    }
}

/// Adds the product of the matrices `a` (rows, depth) and `b` (depth, columns) to `c` (rows,
/// columns).
fn add_product<T: Scalar>(a: &[T], b: &[T], c: &mut [T], depth: usize) {
    let (rows, columns) = (a.len() / depth, b.len() / depth);
    assert_eq!(c.len(), rows * columns);
    for (a, c) in a.chunks_exact(depth).zip(c.chunks_exact_mut(columns)) {
        for (&a, b) in a.iter().zip(b.chunks_exact(columns)) {
            c.iter_mut().zip(b).for_each(|(c, &b)| *c += a * b);
        }
    }
}

/// Transpose of `matrix` (rows, columns).
fn turned<T: Scalar>(matrix: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..columns).flat_map(|j| (0..rows).map(move |i| matrix[i * columns + j])).collect()
}

#[cfg(test)]
mod tests;
