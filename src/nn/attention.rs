//! The layer of multi-head scaled dot-product self-attention (Vaswani et al. 2017, section 3.2), as
//! PyTorch's `nn.MultiheadAttention` with `batch_first` computes it.
//!
//! # Definition
//! X are the T tokens of one image with F features each, as rows. Each of h heads has d = F/h features.
//! The *input projection* makes a query, a key and a value of F features from each token, one below
//! the other in its weight W_in (3F, F):
//!
//! ```text
//! [Q K V] = X·W_inᵀ + b_in
//! ```
//!
//! Head i takes the features i·d to (i + 1)·d of Q, K and V. Row t of its *shares* A (T, T) says how
//! much of each token's value goes into token t. The shares are largest where the query of t fits the
//! key, and they add up to 1:
//!
//! ```text
//! S = Q·Kᵀ/√d
//! A = softmax of each row of S:  a[t,u] = exp(s[t,u] − M_t) / Σ_v exp(s[t,v] − M_t),  M_t = max_v s[t,v]
//! O = A·V
//! ```
//!
//! The maximum M_t cancels, and keeps exp from overflowing. The products have d terms, so the division
//! by √d keeps the size of S independent of d. The *output projection* mixes the heads, whose outputs
//! O lie side by side in (T, F):
//!
//! ```text
//! Y = [O_1 … O_h]·W_outᵀ + b_out
//! ```
//!
//! # Backward
//! Both projections are [`linear`] layers; their backward passes are those of linear
//! layers. Between them, each image and head has three products. In a product C = A·B, the gradients
//! are dA = dC·Bᵀ and dB = Aᵀ·dC:
//!
//! ```text
//! dA = dO·Vᵀ        dV = Aᵀ·dO
//! dQ = dS·K/√d      dK = dSᵀ·Q/√d
//! ```
//!
//! Softmax is between dA and dS. In one row, ∂a_u/∂s_v = a_u·(\[u = v\] − a_v), because each a_u is
//! exp(s_u) divided by a sum that contains exp(s_v) once. Therefore
//!
//! ```text
//! ds_v = Σ_u da_u · a_u · ([u = v] − a_v) = a_v · (da_v − Σ_u da_u · a_u)
//! ```
//!
//! # Memory
//! The program divides Q by √d, and not S. It copies Q, K and V of all images into an order in which
//! each head of each image is a matrix, (3, N, h, T, d), and the outputs of the heads back.

use std::fmt;

use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::linear::{self, LinearBackward};
use super::primitives::product::Matrices;
use super::primitives::{Primitives, share_of};
use super::settings::Settings;
use super::shape::Shape;
use super::softmax;
use super::split::{split, split_mut};
use super::tensor::{Role, TensorSpec, Uniform};
use crate::autograd::{Tape, Var};
use crate::onnx::{Graph, Value};
use crate::scalar::Scalar;

/// Layer `attnH`: (T, F) → (T, F) by H heads. Its tensors are `in_proj_weight` (3F, F),
/// `in_proj_bias` (3F), `out_proj.weight` (F, F) and `out_proj.bias` (F).
#[derive(Debug)]
pub struct Attention {
    /// Number of heads, h.
    pub heads: usize,
}

/// Class of PyTorch's module, whose queries, keys and values are made of the same tokens.
const CLASS: &str = "\
class SelfAttention(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]
";

/// Attention with the number of heads in `settings`.
///
/// # Errors
/// When the number is missing or 0.
pub fn parse(settings: &mut Settings) -> Result<Box<dyn Layer>, String> {
    Ok(Box::new(Attention { heads: settings.count("heads")? }))
}

/// Sizes of an attention.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Number of tokens, T.
    tokens: usize,
    /// Number of features of a token, F.
    features: usize,
    /// Number of heads, h.
    heads: usize,
}

impl Sizes {
    /// Number of features of a head, d.
    fn depth(self) -> usize {
        self.features / self.heads
    }

    /// Number of elements of one image's tokens, T·F.
    fn values(self) -> usize {
        self.tokens * self.features
    }

    /// Number of elements of one image's shares, h·T·T.
    fn shares(self) -> usize {
        self.heads * self.tokens * self.tokens
    }

    /// Lengths of the four tensors.
    fn tensors(self) -> [usize; 4] {
        let f = self.features;
        [3 * f * f, 3 * f, f * f, f]
    }

    /// Lengths of what `images` images keep: Q/√d, K and V (3, N, h, T, d); the shares (N, h, T, T); the
    /// outputs of the heads, side by side (N, T, F).
    fn kept(self, images: usize) -> [usize; 3] {
        let values = images * self.values();
        [3 * values, images * self.shares(), values]
    }

    /// Lengths of the scratch of `images` images: rows of the input projection (N, T, 3F); outputs of the
    /// heads (N, h, T, d); scores (N, h, T, T); gradients of Q, K and V (3, N, h, T, d).
    fn scratch(self, images: usize) -> [usize; 4] {
        let values = images * self.values();
        [3 * values, values, images * self.shares(), 3 * values]
    }

    /// Calls `copy(row, head)` for the d features of each token in each head of an image: they begin
    /// at `row` in the part `part` of rows (T, parts·F), and at `head` in heads (h, T, d).
    #[inline(always)]
    fn for_each_run(self, [part, parts]: [usize; 2], mut copy: impl FnMut(usize, usize)) {
        for head in 0..self.heads {
            for t in 0..self.tokens {
                let row = (t * parts + part) * self.features + head * self.depth();
                copy(row, (head * self.tokens + t) * self.depth());
            }
        }
    }

    /// Copies the part `part` of `rows` (n, T, parts·F), times `factor`, to `heads` (n, h, T, d).
    #[inline(always)]
    fn to_heads<T: Scalar>(self, part: [usize; 2], factor: T, rows: &[T], heads: &mut [T]) {
        let (values, depth) = (self.values(), self.depth());
        let images = rows.chunks_exact(part[1] * values).zip(heads.chunks_exact_mut(values));
        for (rows, heads) in images {
            self.for_each_run(part, |row, head| {
                let run = heads[head..][..depth].iter_mut().zip(&rows[row..][..depth]);
                run.for_each(|(head, &row)| *head = row * factor);
            });
        }
    }

    /// Copies `heads` (n, h, T, d), times `factor`, to the part `part` of `rows` (n, T, parts·F).
    #[inline(always)]
    fn to_rows<T: Scalar>(self, part: [usize; 2], factor: T, heads: &[T], rows: &mut [T]) {
        let (values, depth) = (self.values(), self.depth());
        let images = rows.chunks_exact_mut(part[1] * values).zip(heads.chunks_exact(values));
        for (rows, heads) in images {
            self.for_each_run(part, |row, head| {
                let run = rows[row..][..depth].iter_mut().zip(&heads[head..][..depth]);
                run.for_each(|(row, &head)| *row = head * factor);
            });
        }
    }

    /// Matrices (T, d) of the heads of all images.
    fn of_heads<T: Scalar>(self, heads: &[T]) -> Matrices<'_, T> {
        Matrices::new(heads, self.tokens, self.depth())
    }

    /// Matrices (T, T) of the heads of all images.
    fn squares<T: Scalar>(self, squares: &[T]) -> Matrices<'_, T> {
        Matrices::new(squares, self.tokens, self.tokens)
    }
}

impl Attention {
    /// Sizes for tokens of shape `input`.
    fn on(&self, input: Shape) -> Sizes {
        let [tokens, features] = input.tokens().expect("the network was checked");
        Sizes { tokens, features, heads: self.heads }
    }
}

impl fmt::Display for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attn{}", self.heads)
    }
}

impl Layer for Attention {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        let [_, features] = input.tokens()?;
        if features % self.heads != 0 {
            let heads = self.heads;
            return Err(format!("needs a number of features that {heads} divides, gets {input}"));
        }
        Ok(input)
    }

    fn tensors(&self, input: Shape) -> Vec<TensorSpec> {
        let f = input.last();
        let tensor = |name, shape: &[usize], role, fan_out, pytorch| TensorSpec {
            pytorch,
            ..TensorSpec::new(name, shape, role, f, fan_out)
        };
        vec![
            tensor("in_proj_weight", &[3 * f, f], Role::Weight, 3 * f, Uniform::Xavier),
            tensor("in_proj_bias", &[3 * f], Role::Bias, 3 * f, Uniform::Zero),
            tensor("out_proj.weight", &[f, f], Role::Weight, f, Uniform::FanIn),
            tensor("out_proj.bias", &[f], Role::Bias, f, Uniform::Zero),
        ]
    }

    fn multiply_adds(&self, input: Shape) -> usize {
        let Sizes { tokens, features, .. } = self.on(input);
        // The projections, Q·Kᵀ and A·V.
        4 * tokens * features * features + 2 * tokens * tokens * features
    }

    fn kept(&self, input: Shape) -> Kept {
        let floats = self.on(input).kept(1).iter().sum();
        Kept { input: true, floats, ..Kept::default() }
    }

    fn scratch(&self, input: Shape) -> usize {
        self.on(input).scratch(1).iter().sum()
    }

    fn onnx(&self, graph: &mut Graph, input: Shape, x: Value, tensors: &[Value]) -> Value {
        let sizes @ Sizes { tokens, features, heads } = self.on(input);
        let &[in_weight, in_bias, out_weight, out_bias] = tensors else { panic!("four tensors") };
        let projected = graph.linear(x, [in_weight, in_bias]);
        let [q, k, v] = graph
            .split(projected, 2)
            .map(|part| graph.reshape(part, &[tokens, heads, sizes.depth()]));
        // (N, T, h, d) → (N, h, T, d), and of the keys (N, h, d, T)
        let [q, v] = [q, v].map(|part| graph.transpose(part, &[0, 2, 1, 3]));
        let k = graph.transpose(k, &[0, 2, 3, 1]);
        let products = graph.call("MatMul", &[q, k], []);
        let root = graph.number((sizes.depth() as f32).sqrt());
        let scores = graph.call("Div", &[products, root], []);
        let shares = graph.call("Softmax", &[scores], []);
        let outputs = graph.call("MatMul", &[shares, v], []);
        let outputs = graph.transpose(outputs, &[0, 2, 1, 3]);
        let outputs = graph.reshape(outputs, &[tokens, features]);
        graph.linear(outputs, [out_weight, out_bias])
    }

    fn pytorch(&self, input: Shape) -> Module {
        let (features, heads) = (input.last(), self.heads);
        let expression = format!("SelfAttention({features}, {heads}, batch_first=True)");
        Module { expression, class: CLASS }
    }
}

impl<T: Scalar> Pass<T> for Attention {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let Forward { input, x, parameters, y, kept_floats, scratch, .. } = io;
        let (sizes, images) = (self.on(input), input.images_in(x.len()));
        let [in_weight, in_bias, out_weight, out_bias] = split(parameters, sizes.tensors());
        let [qkv, shares, outputs] = split_mut(kept_floats, sizes.kept(images));
        let [rows, heads, scores, _] = split_mut(scratch, sizes.scratch(images));
        let [q, k, v] = split_mut(qkv, [x.len(); 3]);
        let own = share_of(images);
        let values = own * sizes.values();

        linear::forward(primitives, x, [in_weight, in_bias], rows);
        let parts = q.chunks_mut(values).zip(k.chunks_mut(values)).zip(v.chunks_mut(values));
        primitives.share(
            rows.len(),
            rows.chunks(3 * values).zip(parts),
            #[inline(always)]
            |(rows, ((q, k), v))| {
                sizes.to_heads([0, 3], scale(sizes.depth()), rows, q);
                sizes.to_heads([1, 3], T::one(), rows, k);
                sizes.to_heads([2, 3], T::one(), rows, v);
            },
        );
        primitives.multiply_pairs(sizes.of_heads(q), sizes.of_heads(k).transposed(), scores);
        softmax::forward(primitives, scores, sizes.tokens, shares);
        primitives.multiply_pairs(sizes.squares(shares), sizes.of_heads(v), heads);
        primitives.share(
            heads.len(),
            heads.chunks(values).zip(outputs.chunks_mut(values)),
            #[inline(always)]
            |(heads, outputs)| sizes.to_rows([0, 1], T::one(), heads, outputs),
        );
        linear::forward(primitives, outputs, [out_weight, out_bias], y);
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let Backward { input, x, parameters, kept_floats, scratch, dy, dparameters, dx, .. } = io;
        let (sizes, images) = (self.on(input), input.images_in(x.len()));
        let [in_weight, _, out_weight, _] = split(parameters, sizes.tensors());
        let [din_weight, din_bias, dout_weight, dout_bias] =
            split_mut(dparameters, sizes.tensors());
        let [qkv, shares, outputs] = split(kept_floats, sizes.kept(images));
        let [q, k, v] = split(qkv, [x.len(); 3]).map(|heads| sizes.of_heads(heads));
        let [drows, dheads, dscores, dqkv] = split_mut(scratch, sizes.scratch(images));
        let own = share_of(images);
        let values = own * sizes.values();

        let doutputs = &mut drows[..x.len()];
        let output_projection = LinearBackward {
            x: outputs,
            weight: out_weight,
            dy,
            dw: dout_weight,
            db: dout_bias,
            dx: Some(doutputs),
        };
        linear::backward(primitives, output_projection);
        primitives.share(
            x.len(),
            drows[..x.len()].chunks(values).zip(dheads.chunks_mut(values)),
            #[inline(always)]
            |(doutputs, dheads)| sizes.to_heads([0, 1], T::one(), doutputs, dheads),
        );
        let [dq, dk, dv] = split_mut(dqkv, [x.len(); 3]);
        let dheads = sizes.of_heads(dheads);
        primitives.multiply_pairs(sizes.squares(shares).transposed(), dheads, dv);
        primitives.multiply_pairs(dheads, v.transposed(), dscores);
        softmax::backward(primitives, shares, dscores, sizes.tokens);
        let dscores = sizes.squares(dscores);
        primitives.multiply_pairs(dscores, k, dq);
        primitives.multiply_pairs(dscores.transposed(), q, dk);
        let parts = dq.chunks(values).zip(dk.chunks(values)).zip(dv.chunks(values));
        primitives.share(
            drows.len(),
            drows.chunks_mut(3 * values).zip(parts),
            #[inline(always)]
            |(drows, ((dq, dk), dv))| {
                // q is Q/√d, so dk has its factor already.
                sizes.to_rows([0, 3], scale(sizes.depth()), dq, drows);
                sizes.to_rows([1, 3], T::one(), dk, drows);
                sizes.to_rows([2, 3], T::one(), dv, drows);
            },
        );
        let input_projection =
            LinearBackward { x, weight: in_weight, dy: drows, dw: din_weight, db: din_bias, dx };
        linear::backward(primitives, input_projection);
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, tensors: &[Var], _: Training) -> Var {
        let [images, tokens, features] = tape.shape(x).try_into().expect("x is tokens");
        let heads = self.heads;
        let depth = features / heads;
        let &[in_weight, in_bias, out_weight, out_bias] = tensors else { panic!("four tensors") };
        let linear = |tape: &mut Tape<T>, x: Var, weight: Var, bias: Var| {
            let weight = tape.transpose(weight);
            let products = tape.matmul(x, weight);
            tape.add(products, bias)
        };
        let rows = tape.reshape(x, &[images * tokens, features]);
        let projected = linear(tape, rows, in_weight, in_bias);
        let [q, k, v] = [0, 1, 2].map(|part| {
            tape.gather(projected, [images, heads, tokens, depth], |[n, head, t, i]| {
                Some((n * tokens + t) * 3 * features + part * features + head * depth + i)
            })
        });
        let k = tape.transpose(k);
        let products = tape.matmul(q, k);
        let root = tape.leaf(&[], vec![T::of(depth as f64).sqrt()]);
        let scores = tape.div(products, root);
        let shares = tape.softmax(scores, 3);
        let outputs = tape.matmul(shares, v);
        let outputs = tape.gather(outputs, [images * tokens, features], |[row, f]| {
            let (n, t, head, i) = (row / tokens, row % tokens, f / depth, f % depth);
            Some(((n * heads + head) * tokens + t) * depth + i)
        });
        let y = linear(tape, outputs, out_weight, out_bias);
        tape.reshape(y, &[images, tokens, features])
    }
}

/// Factor of the queries, 1/√d.
fn scale<T: Scalar>(depth: usize) -> T {
    T::of(depth as f64).sqrt().recip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    /// Output for one image of the tokens `x`.
    fn forward(heads: usize, input: Shape, x: &[f32], parameters: &[f32]) -> Vec<f32> {
        let layer = Attention { heads };
        let mut kept_floats = vec![f32::NAN; layer.kept(input).floats];
        let mut scratch = vec![f32::NAN; layer.scratch(input)];
        let mut y = vec![f32::NAN; x.len()];
        let io = Forward {
            kept_floats: &mut kept_floats,
            scratch: &mut scratch,
            ..Forward::new(input, x, parameters, &mut y)
        };
        layer.forward(&mut Reference, io);
        y
    }

    /// Parameters for two features: W_q, W_k, W_v, the biases of the values, and the output projection
    /// that changes nothing.
    fn parameters(q: [f32; 4], k: [f32; 4], v: [f32; 4], bias: [f32; 2]) -> Vec<f32> {
        let zeros = [0.0; 4];
        [&q[..], &k, &v, &zeros, &bias, &UNIT, &zeros[..2]].concat()
    }

    const UNIT: [f32; 4] = [1., 0., 0., 1.];
    const ZERO: [f32; 4] = [0.; 4];

    #[test]
    fn equal_keys_share_evenly() {
        let parameters = parameters(UNIT, ZERO, UNIT, [0.5, 0.]);
        let y = forward(2, Shape::matrix(3, 2), &[1., 10., 2., 20., 6., 60.], &parameters);
        for (found, expected) in y.iter().zip([3.5, 30., 3.5, 30., 3.5, 30.]) {
            assert!((found - expected).abs() < 1e-5, "{y:?}");
        }
    }

    #[test]
    fn a_head_sees_its_own_features_and_divides_by_the_root_of_their_number() {
        // The scores of token 0 are its products with both tokens. With one head they are 5 and 11, over
        // √2; with two heads 1 and 3 in the first, 4 and 8 in the second.
        let (x, parameters) = ([1., 2., 3., 4.], parameters(UNIT, UNIT, UNIT, [0.; 2]));
        let share = |difference: f32| 1.0 / (1.0 + (-difference).exp());
        let of_one_head = share(6.0 / 2_f32.sqrt());
        let y = forward(1, Shape::matrix(2, 2), &x, &parameters);
        assert!((y[0] - (1. + 2. * of_one_head)).abs() < 1e-5, "{y:?}");
        assert!((y[1] - (2. + 2. * of_one_head)).abs() < 1e-5, "{y:?}");
        let y = forward(2, Shape::matrix(2, 2), &x, &parameters);
        assert!((y[0] - (1. + 2. * share(2.))).abs() < 1e-5, "{y:?}");
        assert!((y[1] - (2. + 2. * share(4.))).abs() < 1e-5, "{y:?}");
    }

    #[test]
    fn large_scores_do_not_overflow_and_nan_stays() {
        let parameters = parameters(UNIT, UNIT, UNIT, [0.; 2]);
        let y = forward(1, Shape::matrix(2, 2), &[1e3, 0., 2e3, 0.], &parameters);
        assert_eq!(y, [2e3, 0., 2e3, 0.]);
        let y = forward(1, Shape::matrix(2, 2), &[1., f32::NAN, 2., 0.], &parameters);
        assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
    }

    #[test]
    fn heads_must_share_the_features_evenly() {
        let output = |heads, input| Attention { heads }.output(input);
        assert_eq!(output(4, Shape::matrix(5, 8)), Ok(Shape::matrix(5, 8)));
        let problem = output(4, Shape::matrix(16, 49)).unwrap_err();
        assert_eq!(problem, "needs a number of features that 4 divides, gets 16x49");
        let problem = output(4, Shape::features(8)).unwrap_err();
        assert_eq!(problem, "needs tokens, gets 8; put 'patches7' or 'rows' before it");
    }
}
