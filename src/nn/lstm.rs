//! The layer of long short-term memory (LSTM; Hochreiter & Schmidhuber 1997, with the forget gate of
//! Gers, Schmidhuber & Cummins 2000), as PyTorch's `nn.LSTM` with `batch_first` computes it.
//!
//! # Definition
//! The layer goes through the T tokens in their order, x_1 to x_T with F features each. It has H *units*.
//! Each has a *cell* c, which is its memory, and an output h. In the beginning, h_0 = c_0 = 0. Four
//! *gates* for each unit, of which g is the candidate for the memory, follow from the token and from
//! the outputs for the token before. σ is the logistic function, and ∘ multiplies element by element:
//!
//! ```text
//! z_t = W_ih·x_t + b_ih + W_hh·h_{t−1} + b_hh        sums of the four gates, in the order i f g o
//! i_t = σ(z_i),  f_t = σ(z_f),  g_t = tanh(z_g),  o_t = σ(z_o)
//! c_t = f_t∘c_{t−1} + i_t∘g_t
//! h_t = o_t∘tanh(c_t)
//! ```
//!
//! The output is h_1 to h_T. Each gate has a bias twice, as in PyTorch.
//!
//! # Backward
//! Gradients go back through time, from the last token to the first (Werbos 1990). h_t affects the loss
//! as output t, and through z_{t+1}; c_t through h_t, and through c_{t+1}. So, with dz_{T+1} = 0 and
//! dc_{T+1} = 0, and dc_{t+1}∘f_{t+1} as what comes back to c_t:
//!
//! ```text
//! dh_t = dy_t + W_hhᵀ·dz_{t+1}
//! dc_t = dh_t∘o_t∘(1 − tanh²(c_t)) + dc_{t+1}∘f_{t+1}
//! ```
//!
//! The gates follow from c_t and h_t by the rule for products, and their sums by the derivatives
//! σ' = σ·(1 − σ) and tanh' = 1 − tanh²:
//!
//! ```text
//! dz_i = dc_t∘g_t     ∘ i_t∘(1 − i_t)
//! dz_f = dc_t∘c_{t−1} ∘ f_t∘(1 − f_t)
//! dz_g = dc_t∘i_t     ∘ (1 − g_t²)
//! dz_o = dh_t∘tanh(c_t) ∘ o_t∘(1 − o_t)
//! ```
//!
//! All tokens have the same parameters, so the gradient of a parameter is a sum over the tokens (and
//! over the images). The term of h_0 = 0 in dW_hh is left out:
//!
//! ```text
//! dW_ih = Σ_t dz_t·x_tᵀ     dW_hh = Σ_{t>1} dz_t·h_{t−1}ᵀ     db_ih = db_hh = Σ_t dz_t
//! dx_t  = W_ihᵀ·dz_t
//! ```
//!
//! # Memory
//! Everything inside the layer has the order (T, N, …): then the values of one token, of all images, are
//! one matrix. The products with x for all tokens are one product, and so are dW_ih, dW_hh and dx. Only
//! the products with W_hh follow each other, one for each token.

use std::fmt;

use super::elementwise::Function;
use super::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use super::linear::{self, LinearBackward};
use super::primitives::product::Matrix;
use super::primitives::{Primitives, share_of};
use super::settings::Settings;
use super::shape::Shape;
use super::sigmoid::Sigmoid;
use super::split::{split, split_mut};
use super::tanh::Tanh;
use super::tensor::{Role, TensorSpec};
use crate::autograd::{Tape, Var};
use crate::onnx::{Attribute, Graph, Value};
use crate::scalar::Scalar;

/// Layer `lstmH`: (T, F) → (T, H). Its tensors are `weight_ih_l0` (4H, F), `weight_hh_l0` (4H, H),
/// `bias_ih_l0` (4H) and `bias_hh_l0` (4H).
#[derive(Debug)]
pub struct Lstm {
    /// Number of units, H.
    pub units: usize,
}

/// Class of PyTorch's module: PyTorch's own also gives the state after the last token.
const CLASS: &str = "\
class Lstm(nn.LSTM):
    def forward(self, x):
        return super().forward(x)[0]
";

/// LSTM with the number of units in `settings`.
///
/// # Errors
/// When the number is missing or 0.
pub fn parse(settings: &mut Settings) -> Result<Box<dyn Layer>, String> {
    Ok(Box::new(Lstm { units: settings.count("units")? }))
}

/// Sizes of an LSTM for a number of images.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Number of images, N.
    images: usize,
    /// Number of tokens of an image, T.
    tokens: usize,
    /// Number of features of a token, F.
    features: usize,
    /// Number of units, H.
    units: usize,
}

impl Sizes {
    /// Lengths of the four tensors.
    fn tensors(self) -> [usize; 4] {
        let Self { features, units, .. } = self;
        [4 * units * features, 4 * units * units, 4 * units, 4 * units]
    }

    /// Number of elements of h_t for all images, N·H.
    fn step(self) -> usize {
        self.images * self.units
    }

    /// Lengths of what is kept: gates (T, N, 4H); c_0 to c_T (T + 1, N, H); tanh(c) and h, both
    /// (T, N, H).
    fn kept(self) -> [usize; 4] {
        let all = self.tokens * self.step();
        [4 * all, all + self.step(), all, all]
    }

    /// Lengths of the scratch: x and dx, both (T, N, F); z or dz (T, N, 4H); the sums of the biases
    /// (4H), or what belongs to one token (2, N, H).
    fn scratch(self) -> [usize; 4] {
        let inputs = self.tokens * self.images * self.features;
        [inputs, inputs, 4 * self.tokens * self.step(), 4 * self.step()]
    }
}

impl Lstm {
    /// Sizes for `images` images of tokens of shape `input`.
    fn on(&self, input: Shape, images: usize) -> Sizes {
        let [tokens, features] = input.tokens().expect("the network was checked");
        Sizes { images, tokens, features, units: self.units }
    }
}

impl fmt::Display for Lstm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lstm{}", self.units)
    }
}

impl Layer for Lstm {
    fn output(&self, input: Shape) -> Result<Shape, String> {
        input.tokens().map(|[tokens, _]| Shape::matrix(tokens, self.units))
    }

    /// PyTorch draws all four tensors from U(±1/√H), so H is their fan-in.
    fn tensors(&self, input: Shape) -> Vec<TensorSpec> {
        let (features, units) = (input.last(), self.units);
        let tensor =
            |name, shape: &[usize], role| TensorSpec::new(name, shape, role, units, 4 * units);
        vec![
            tensor("weight_ih_l0", &[4 * units, features], Role::Weight),
            tensor("weight_hh_l0", &[4 * units, units], Role::Weight),
            tensor("bias_ih_l0", &[4 * units], Role::Bias),
            tensor("bias_hh_l0", &[4 * units], Role::Bias),
        ]
    }

    fn multiply_adds(&self, input: Shape) -> usize {
        let Sizes { tokens, features, units, .. } = self.on(input, 1);
        tokens * 4 * units * (features + units)
    }

    fn kept(&self, input: Shape) -> Kept {
        let floats = self.on(input, 1).kept().iter().sum();
        Kept { input: true, floats, ..Kept::default() }
    }

    fn scratch(&self, input: Shape) -> usize {
        self.on(input, 1).scratch().iter().sum()
    }

    /// The operator takes the tokens in the order (T, N, F), and the gates in the order i o f g.
    fn onnx(&self, graph: &mut Graph, input: Shape, x: Value, tensors: &[Value]) -> Value {
        let first = graph.numbers(&[0]);
        let &[weight_ih, weight_hh, bias_ih, bias_hh] = tensors else { panic!("four tensors") };
        let reordered = |graph: &mut Graph, tensor| {
            let [i, f, g, o] = graph.split(tensor, 0);
            graph.call("Concat", &[i, o, f, g], [("axis", Attribute::Int(0))])
        };
        // The operator has an axis for its directions, of which there is one here.
        let of_one_direction =
            |graph: &mut Graph, tensor| graph.call("Unsqueeze", &[tensor, first], []);
        let weights = [weight_ih, weight_hh].map(|weight| {
            let weight = reordered(graph, weight);
            of_one_direction(graph, weight)
        });
        let biases = [bias_ih, bias_hh].map(|bias| reordered(graph, bias));
        let biases = graph.call("Concat", &biases, [("axis", Attribute::Int(0))]);
        let biases = of_one_direction(graph, biases);
        let tokens_first = graph.transpose(x, &[1, 0, 2]);
        let y = graph.call(
            "LSTM",
            &[&[tokens_first], &weights[..], &[biases]].concat(),
            [("hidden_size", Attribute::Int(self.units as i64))],
        );
        // (T, 1, N, H) → (N, T, 1, H)
        let y = graph.transpose(y, &[2, 0, 1, 3]);
        graph.reshape(y, &[input.sizes()[0], self.units])
    }

    fn pytorch(&self, input: Shape) -> Module {
        let expression = format!("Lstm({}, {}, batch_first=True)", input.last(), self.units);
        Module { expression, class: CLASS }
    }
}

impl<T: Scalar> Pass<T> for Lstm {
    fn forward(&self, primitives: &mut dyn Primitives<T>, io: Forward<'_, T>) {
        let Forward { input, x, parameters, y, kept_floats, scratch, .. } = io;
        let sizes = self.on(input, input.images_in(x.len()));
        let Sizes { images, tokens, features, units } = sizes;
        let step = sizes.step();
        let own = share_of(images) * units;
        let [weight_ih, weight_hh, bias_ih, bias_hh] = split(parameters, sizes.tensors());
        let [gates, cells, tanh_cells, hidden] = split_mut(kept_floats, sizes.kept());
        let [inputs, _, sums, biases] = split_mut(scratch, sizes.scratch());
        let biases = &mut biases[..4 * units];

        exchange(primitives, x, inputs, [images, tokens], features);
        primitives.map2(bias_ih, bias_hh, biases, |ih, hh| ih + hh);
        linear::forward(primitives, inputs, [weight_ih, biases], sums);
        let weight_hh = Matrix::new(weight_hh, 4 * units, units).transposed();
        cells[..step].fill(T::zero());
        for t in 0..tokens {
            let (before, hidden) = hidden[..(t + 1) * step].split_at_mut(t * step);
            let sums = &mut sums[t * 4 * step..][..4 * step];
            if t > 0 {
                let before = Matrix::new(&before[(t - 1) * step..], images, units);
                let weight_hh = if t == 1 { weight_hh } else { weight_hh.unchanged() };
                primitives.add_product(before, weight_hh, sums);
            }
            let [before, cells] = split_mut(&mut cells[t * step..], [step; 2]);
            let gates = gates[t * 4 * step..][..4 * step].chunks_mut(4 * own);
            let tanh_cells = tanh_cells[t * step..][..step].chunks_mut(own);
            let cells = before.chunks(own).zip(cells.chunks_mut(own)).zip(tanh_cells);
            primitives.share(
                4 * step,
                sums.chunks(4 * own).zip(gates).zip(cells).zip(hidden.chunks_mut(own)),
                #[inline(always)]
                |(((sums, gates), ((before, cells), tanh_cells)), hidden)| {
                    let sums = sums.chunks_exact(4 * units);
                    for (sums, gates) in sums.zip(gates.chunks_exact_mut(4 * units)) {
                        for (gate, (z, y)) in
                            sums.chunks_exact(units).zip(gates.chunks_exact_mut(units)).enumerate()
                        {
                            let elements = y.iter_mut().zip(z);
                            match gate {
                                2 => elements.for_each(|(g, &z)| *g = Tanh::forward(z)),
                                _ => elements.for_each(|(gate, &z)| *gate = Sigmoid::forward(z)),
                            }
                        }
                    }
                    let rows = gates.chunks_exact(4 * units).zip(before.chunks_exact(units));
                    for ((gates, before), cells) in rows.zip(cells.chunks_exact_mut(units)) {
                        let [i, f, g, _] = split(gates, [units; 4]);
                        let terms = i.iter().zip(f).zip(g).zip(before);
                        for (cell, (((&i, &f), &g), &before)) in cells.iter_mut().zip(terms) {
                            *cell = f * before + i * g;
                        }
                    }
                    let elements = tanh_cells.iter_mut().zip(&*cells);
                    elements.for_each(|(tanh_c, &c)| *tanh_c = Tanh::forward(c));
                    let rows = gates.chunks_exact(4 * units).zip(tanh_cells.chunks_exact(units));
                    for ((gates, tanh_cells), hidden) in rows.zip(hidden.chunks_exact_mut(units)) {
                        let products = gates[3 * units..].iter().zip(tanh_cells);
                        hidden.iter_mut().zip(products).for_each(|(h, (&o, &c))| *h = o * c);
                    }
                },
            );
        }
        exchange(primitives, hidden, y, [tokens, images], units);
    }

    fn backward(&self, primitives: &mut dyn Primitives<T>, io: Backward<'_, T>) {
        let Backward { input, x, parameters, kept_floats, scratch, dy, dparameters, dx, .. } = io;
        let sizes = self.on(input, input.images_in(x.len()));
        let Sizes { images, tokens, features, units } = sizes;
        let step = sizes.step();
        let [weight_ih, weight_hh, ..] = split(parameters, sizes.tensors());
        let [dweight_ih, dweight_hh, dbias_ih, dbias_hh] = split_mut(dparameters, sizes.tensors());
        let [gates, cells, tanh_cells, hidden] = split(kept_floats, sizes.kept());
        let [inputs, dinputs, dsums, of_token] = split_mut(scratch, sizes.scratch());

        let weight_hh = Matrix::new(weight_hh, 4 * units, units);
        // What comes back from the token after this one.
        let [dhidden, dcells] = split_mut(of_token, [step; 2]);
        dhidden.fill(T::zero());
        dcells.fill(T::zero());
        let own = share_of(images);
        for t in (0..tokens).rev() {
            let [gates] = split(&gates[t * 4 * step..], [4 * step]);
            let [cells_before] = split(&cells[t * step..], [step]);
            let [tanh_cells] = split(&tanh_cells[t * step..], [step]);
            let dsums = &mut dsums[t * 4 * step..][..4 * step];
            let items = dsums.chunks_mut(own * 4 * units).zip(dcells.chunks_mut(own * units));
            primitives.share(
                4 * step,
                items.enumerate(),
                #[inline(always)]
                |(item, (dsums, dcells))| {
                    let rows = dsums.chunks_exact_mut(4 * units);
                    let rows = rows.zip(dcells.chunks_exact_mut(units));
                    for (n, (dz, dcells)) in (item * own..).zip(rows) {
                        let [i, f, g, o] = split(&gates[n * 4 * units..], [units; 4]);
                        let [dz_i, dz_f, dz_g, dz_o] = split_mut(dz, [units; 4]);
                        let of_unit = |values| split::<T, 1>(values, [units])[0];
                        let before = of_unit(&cells_before[n * units..]);
                        let tanh_cells = of_unit(&tanh_cells[n * units..]);
                        let dhidden = of_unit(&dhidden[n * units..]);
                        let dy = of_unit(&dy[(n * tokens + t) * units..]);
                        let dcells = &mut dcells[..units];
                        for unit in 0..units {
                            let (i, f, g, o) = (i[unit], f[unit], g[unit], o[unit]);
                            let tanh_c = tanh_cells[unit];
                            let dh = dhidden[unit] + dy[unit];
                            let dc = dcells[unit] + dh * o * (T::one() - tanh_c * tanh_c);
                            dz_i[unit] = dc * g * i * (T::one() - i);
                            dz_f[unit] = dc * before[unit] * f * (T::one() - f);
                            dz_g[unit] = dc * i * (T::one() - g * g);
                            dz_o[unit] = dh * tanh_c * o * (T::one() - o);
                            dcells[unit] = dc * f;
                        }
                    }
                },
            );
            if t > 0 {
                let is_first = t == tokens - 1;
                let weight_hh = if is_first { weight_hh } else { weight_hh.unchanged() };
                let dsums = Matrix::new(dsums, images, 4 * units);
                primitives.multiply(dsums, weight_hh, None, dhidden);
            }
        }

        let rows = (tokens - 1) * images;
        let dsums_after_first = Matrix::new(&dsums[4 * step..], rows, 4 * units);
        let hidden_before_last = Matrix::new(&hidden[..rows * units], rows, units);
        let dsums_after_first = dsums_after_first.transposed();
        primitives.multiply(dsums_after_first, hidden_before_last, None, dweight_hh);
        exchange(primitives, x, inputs, [images, tokens], features);
        let of_inputs = LinearBackward {
            x: inputs,
            weight: weight_ih,
            dy: dsums,
            dw: dweight_ih,
            db: dbias_ih,
            dx: dx.is_some().then_some(&mut *dinputs),
        };
        linear::backward(primitives, of_inputs);
        dbias_hh.copy_from_slice(dbias_ih);
        if let Some(dx) = dx {
            exchange(primitives, dinputs, dx, [tokens, images], features);
        }
    }

    fn record(&self, tape: &mut Tape<T>, x: Var, tensors: &[Var], _: Training) -> Var {
        let units = self.units;
        let [images, tokens, features] = tape.shape(x).try_into().expect("x is tokens");
        let &[weight_ih, weight_hh, bias_ih, bias_hh] = tensors else { panic!("four tensors") };
        let weight_ih = tape.transpose(weight_ih);
        let weight_hh = tape.transpose(weight_hh);
        let zeros = vec![T::zero(); images * units];
        let mut h = tape.leaf(&[images, units], zeros.clone());
        let mut c = tape.leaf(&[images, units], zeros);
        let mut y = None;
        for t in 0..tokens {
            let x_t = |[n, f]: [usize; 2]| Some((n * tokens + t) * features + f);
            let x_t = tape.gather(x, [images, features], x_t);
            let of_x = tape.matmul(x_t, weight_ih);
            let of_x = tape.add(of_x, bias_ih);
            let of_h = tape.matmul(h, weight_hh);
            let of_h = tape.add(of_h, bias_hh);
            let z = tape.add(of_x, of_h);
            let [i, f, g, o] = [0, 1, 2, 3].map(|gate| {
                tape.gather(z, [images, units], |[n, u]| Some((n * 4 + gate) * units + u))
            });
            let (i, f, o) = (tape.sigmoid(i), tape.sigmoid(f), tape.sigmoid(o));
            let g = tape.tanh(g);
            let (old, new) = (tape.mul(f, c), tape.mul(i, g));
            c = tape.add(old, new);
            let tanh_c = tape.tanh(c);
            h = tape.mul(o, tanh_c);
            // h_t at its place among zeros, so that the output is the sum over the tokens.
            let placed = tape.gather(h, [images, tokens, units], |[n, token, u]| {
                (token == t).then_some(n * units + u)
            });
            y = Some(y.map_or(placed, |y| tape.add(y, placed)));
        }
        y.expect("there is a token")
    }
}

/// Copies `from` (A, B, length) to `to` (B, A, length).
fn exchange<T: Scalar>(
    primitives: &mut dyn Primitives<T>,
    from: &[T],
    to: &mut [T],
    [a, b]: [usize; 2],
    length: usize,
) {
    let own = share_of(b);
    primitives.share(from.len(), to.chunks_mut(own * a * length).enumerate(), |(item, to)| {
        for (at, to) in to.chunks_exact_mut(length).enumerate() {
            let (i, j) = (at % a, item * own + at / a);
            to.copy_from_slice(&from[(i * b + j) * length..][..length]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    /// Output for images of the tokens `x`.
    fn forward(units: usize, input: Shape, x: &[f32], parameters: &[f32]) -> Vec<f32> {
        let (layer, images) = (Lstm { units }, input.images_in(x.len()));
        let mut kept_floats = vec![f32::NAN; images * layer.kept(input).floats];
        let mut scratch = vec![f32::NAN; images * layer.scratch(input)];
        let mut y = vec![f32::NAN; images * layer.output(input).unwrap().len()];
        let io = Forward {
            kept_floats: &mut kept_floats,
            scratch: &mut scratch,
            ..Forward::new(input, x, parameters, &mut y)
        };
        layer.forward(&mut Reference, io);
        y
    }

    fn close(found: &[f32], expected: &[f64]) -> bool {
        let pairs = found.iter().zip(expected);
        found.len() == expected.len()
            && pairs.into_iter().all(|(f, e)| (f64::from(*f) - e).abs() < 1e-6)
    }

    #[test]
    fn gates_have_the_order_i_f_g_o() {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        // One unit that sees its token through the candidate alone. The biases open the gates by
        // different amounts, a part of each in the first bias and a part in the second.
        let weights = [0., 0., 1., 0., 0., 0., 0., 0.];
        let parameters = [&weights[..], &[0.5, 1., 0., -0.5], &[0.5, 1., 0., -0.5]].concat();
        let y = forward(1, Shape::matrix(2, 1), &[0.3, -2.0], &parameters);
        let (i, f, o) = (sigmoid(1.0), sigmoid(2.0), sigmoid(-1.0));
        let first = i * 0.3_f64.tanh();
        let second = f * first + i * (-2.0_f64).tanh();
        assert!(close(&y, &[o * first.tanh(), o * second.tanh()]), "{y:?}");
    }

    #[test]
    fn the_output_for_a_token_goes_to_the_gates_of_the_next_one_in_the_same_image() {
        // The second token sees the first one through W_hh alone.
        let mut parameters = [0.0_f32; 16];
        (parameters[2], parameters[6]) = (1.0, 3.0);
        let y = forward(1, Shape::matrix(2, 1), &[1.0, 0.0, -2.0, 0.0], &parameters);
        let outputs = |x: f64| {
            let cell = 0.5 * x.tanh();
            let first = 0.5 * cell.tanh();
            let next = 0.5 * cell + 0.5 * (3.0 * first).tanh();
            [first, 0.5 * next.tanh()]
        };
        assert!(close(&y, &[outputs(1.0), outputs(-2.0)].concat()), "{y:?}");
    }

    #[test]
    fn large_sums_saturate_and_nan_stays() {
        let mut parameters = [0.0_f32; 16];
        parameters[..4].fill(1.0);
        let y = forward(1, Shape::matrix(1, 1), &[1e3, -1e3, f32::NAN], &parameters);
        assert!((y[0] - 1_f32.tanh()).abs() < 1e-6 && y[1] == 0.0 && y[2].is_nan(), "{y:?}");
    }
}
