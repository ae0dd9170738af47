//! The check of gradients: it passes for every kind of layer, and each of many mistakes in a backward
//! pass makes it fail.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mnist_train::autograd::{Tape, Var};
use mnist_train::gradcheck::{Options, check};
use mnist_train::model::architecture::Architecture;
use mnist_train::model::mnist_cnn::MnistCnn;
use mnist_train::nn::grammar::{self, LAYERS};
use mnist_train::nn::layer::{Backward, Forward, Kept, Layer, Module, Pass, Training};
use mnist_train::nn::primitives::Primitives;
use mnist_train::nn::shape::Shape;
use mnist_train::nn::tensor::TensorSpec;
use mnist_train::onnx::{Graph, Value};
use mnist_train::report::gradcheck::Gradcheck;

const OPTIONS: Options =
    Options { eps: 1e-6, atol: 1e-5, rtol: 1e-3, fast: false, max_failures: 10, seed: 1 };

const FAST: Options = Options { fast: true, ..OPTIONS };

/// Network in whose layers the tests make mistakes.
const NETWORK: &str = "conv3k3p1,relu,maxpool2,flatten,fc5,sigmoid,fc4";

/// Networks that together have a layer of every kind.
const NETWORKS: [&str; 13] = [
    NETWORK,
    "conv3k3s2p2,relu,conv4k2,sigmoid,maxpool2s1,flatten,fc3",
    "maxpool3s2,conv2k3p2,relu,flatten,fc3",
    "flatten,fc6,relu,fc5,sigmoid,fc3",
    "res(conv2k3p1),relu,res(relu,res(conv2k1,sigmoid)),maxpool3s2p1,flatten,res(fc18,relu),fc3",
    "conv3k3p1,tanh,batchnorm,avgpool3s2p1,gelu,flatten,dropout0.5,fc5,tanh,batchnorm,fc3",
    "conv3k3p1,tanh,globalavgpool,fc5,gelu,layernorm,dropout0.2,fc3",
    "conv3k3p1,gelu,globalmaxpool,fc4,softmax,fc3",
    "conv2k3,batchnorm,relu,flatten,fc3",
    "conv1k1,channels,conv1d4k3s2p1,relu,maxpool2,conv1d3k2p1,flatten,fc3",
    "conv1k1,rows,lstm4,fc3,lstm3,last,fc3",
    "patches3,fc6,pos,res(attn2),res(fc5,relu,fc6),res(attn3),mean,fc3",
    "conv1k3,rows,attn4,pos,lstm2,mean,fc3",
];

fn input() -> Shape {
    Shape::image(2, 6, 6)
}

fn network(text: &str) -> Architecture {
    Architecture::parse(text, input()).unwrap()
}

#[test]
fn every_kind_of_layer_passes() {
    for kind in &LAYERS {
        let has_kind = |network: &&str| {
            network.split([',', '(', ')']).any(|layer| {
                let word = grammar::layer(layer).map(|layer| layer.word());
                word.is_ok_and(|word| word == kind.name)
            })
        };
        assert!(NETWORKS.iter().any(has_kind), "{} is not checked here", kind.name);
    }
    for text in NETWORKS {
        let network = network(text);
        for seed in 1..4 {
            let found = check(&network, &Options { seed, ..OPTIONS }).unwrap();
            assert!(found.passed && found.failures.is_empty(), "{text}, seed {seed}: {found:#?}");
            let kinks: usize = found.tensors.iter().map(|tensor| tensor.kinks).sum();
            let checked: usize = found.tensors.iter().map(|tensor| tensor.checked).sum();
            assert!(checked > 20 * kinks && checked + kinks >= network.parameter_count());
            let found = check(&network, &Options { seed, ..FAST }).unwrap();
            assert!(found.passed, "{text}, seed {seed}: {found:#?}");
            assert!(found.tensors.iter().all(|tensor| tensor.checked == 1));
        }
    }
}

#[test]
fn the_default_network_passes() {
    let found = check(&MnistCnn::default().architecture(), &FAST).unwrap();
    assert!(found.passed, "{found:#?}");
    let names: Vec<_> = found.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let expected =
        ["conv1.weight", "conv1.bias", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "input"];
    assert_eq!(names, expected);
    let sets: Vec<_> = found.primitives.iter().map(|row| (row.stage, row.threads)).collect();
    let gemm = [("gemm", 1), ("gemm", 2), ("gemm", 3), ("gemm", 7)];
    assert_eq!(sets, [&[("naive", 1), ("im2col", 1)], &gemm[..]].concat());
}

#[test]
fn an_element_at_a_kink_is_counted_and_not_compared() {
    // A step so long crosses kinks; the tolerance is for its error where there is no kink.
    let options = Options { eps: 1e-2, rtol: 5e-2, atol: 2e-2, ..OPTIONS };
    let network = MnistCnn { channels: 1, kernel_size: 1, hidden: 3 }.architecture();
    let found = check(&network, &options).unwrap();
    assert!(found.passed, "{found:#?}");
    let input = found.tensors.last().unwrap();
    assert!((1..20).contains(&input.kinks), "{input:#?}");
    assert_eq!(input.kinks + input.checked, 1000);
}

#[test]
fn a_tensor_of_which_nothing_could_be_compared_does_not_pass() {
    // Nothing is smooth enough for this step and these tolerances.
    let options = Options { eps: 1e-2, rtol: 0.0, atol: 0.0, ..OPTIONS };
    let found = check(&network(NETWORK), &options).unwrap();
    assert!(!found.passed && found.tensors.iter().any(|tensor| tensor.checked == 0));
}

/// Backward pass with a mistake.
type Mistake = fn(&dyn Layer, &mut dyn Primitives<f64>, Backward<'_, f64>);

/// Layer that has a mistake in its backward pass.
#[derive(Debug)]
struct Mutant {
    layer: Arc<dyn Layer>,
    forward: fn(&dyn Layer, &mut dyn Primitives<f64>, Forward<'_, f64>),
    backward: Mistake,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layer.fmt(f)
    }
}

impl Layer for Mutant {
    fn word(&self) -> String {
        self.layer.word()
    }

    fn output(&self, input: Shape) -> Result<Shape, String> {
        self.layer.output(input)
    }

    fn tensors(&self, input: Shape) -> Vec<TensorSpec> {
        self.layer.tensors(input)
    }

    fn kept(&self, input: Shape) -> Kept {
        self.layer.kept(input)
    }

    fn scratch(&self, input: Shape) -> usize {
        self.layer.scratch(input)
    }

    fn mixes_images(&self) -> bool {
        self.layer.mixes_images()
    }

    fn is_view(&self) -> bool {
        self.layer.is_view()
    }

    fn onnx(&self, graph: &mut Graph, input: Shape, x: Value, tensors: &[Value]) -> Value {
        self.layer.onnx(graph, input, x, tensors)
    }

    fn pytorch(&self, input: Shape) -> Module {
        self.layer.pytorch(input)
    }
}

impl Pass<f64> for Mutant {
    fn forward(&self, primitives: &mut dyn Primitives<f64>, io: Forward<'_, f64>) {
        (self.forward)(self.layer.as_ref(), primitives, io);
    }

    fn backward(&self, primitives: &mut dyn Primitives<f64>, io: Backward<'_, f64>) {
        (self.backward)(self.layer.as_ref(), primitives, io);
    }

    fn record(&self, tape: &mut Tape<f64>, x: Var, tensors: &[Var], training: Training) -> Var {
        self.layer.record(tape, x, tensors, training)
    }
}

impl Pass<f32> for Mutant {
    fn forward(&self, _: &mut dyn Primitives, _: Forward<'_>) {
        unreachable!("gradients are checked in f64")
    }

    fn backward(&self, _: &mut dyn Primitives, _: Backward<'_>) {
        unreachable!("gradients are checked in f64")
    }

    fn record(&self, _: &mut Tape<f32>, _: Var, _: &[Var], _: Training) -> Var {
        unreachable!("gradients are checked in f64")
    }
}

/// [`NETWORK`] with mistakes in layer `index`.
fn with_mistake(
    index: usize,
    forward: fn(&dyn Layer, &mut dyn Primitives<f64>, Forward<'_, f64>),
    backward: Mistake,
) -> Architecture {
    with_mistake_in(NETWORK, index, forward, backward)
}

/// The network `text`, which has no residual blocks, with mistakes in layer `index`.
fn with_mistake_in(
    text: &str,
    index: usize,
    forward: fn(&dyn Layer, &mut dyn Primitives<f64>, Forward<'_, f64>),
    backward: Mistake,
) -> Architecture {
    let mut network = Architecture::new(input());
    for (at, placed) in self::network(text).layers().iter().enumerate() {
        let layer = Arc::clone(&placed.layer);
        let mutant = || Arc::new(Mutant { layer: Arc::clone(&layer), forward, backward });
        network.push(if at == index { mutant() } else { layer }).unwrap();
    }
    network
}

/// The operands `io`, for a call after which they are used again.
fn again<'a>(io: &'a mut Backward<'_, f64>) -> Backward<'a, f64> {
    Backward { dparameters: io.dparameters, dx: io.dx.as_deref_mut(), scratch: io.scratch, ..*io }
}

fn weights(layer: &dyn Layer, io: &Backward<'_, f64>) -> usize {
    layer.tensors(io.input)[0].len()
}

fn images(io: &Backward<'_, f64>) -> usize {
    io.input.images_in(io.x.len())
}

/// Place of the mistake in [`NETWORK`]; the mistake in words; tensors whose gradient it makes wrong;
/// the mistaken backward pass.
const MISTAKES: [(usize, &str, &[&str], Mistake); 18] = [
    (0, "a convolution takes the last image alone", &["conv1.weight", "conv1.bias"], {
        |layer, primitives, mut io| {
            layer.backward(primitives, again(&mut io));
            let images = images(&io);
            let last = |values: &[f64]| values.len() / images * (images - 1);
            let (x, y, dy) = (&io.x[last(io.x)..], &io.y[last(io.y)..], &io.dy[last(io.dy)..]);
            layer.backward(primitives, Backward { x, y, dy, dx: None, ..io });
        }
    }),
    (0, "the gradient of the input has the wrong sign", &["input"], |layer, primitives, mut io| {
        layer.backward(primitives, again(&mut io));
        io.dx.unwrap().iter_mut().for_each(|dx| *dx = -*dx);
    }),
    (0, "the gradient of the bias is missing", &["conv1.bias"], |layer, primitives, mut io| {
        layer.backward(primitives, again(&mut io));
        let weights = weights(layer, &io);
        io.dparameters[weights..].fill(0.0);
    }),
    (0, "the sum is divided by the images once more", &["conv1.weight", "conv1.bias"], {
        |layer, primitives, mut io| {
            layer.backward(primitives, again(&mut io));
            let images = images(&io) as f64;
            io.dparameters.iter_mut().for_each(|value| *value /= images);
        }
    }),
    (0, "the padding is off by one column", &["conv1.weight"], |layer, primitives, io| {
        let mut x = io.x.to_vec();
        x.chunks_exact_mut(io.input.last()).for_each(|row| row.rotate_right(1));
        layer.backward(primitives, Backward { x: &x, ..io });
    }),
    (0, "the kernel is turned by half a turn", &["input"], |layer, primitives, io| {
        let mut parameters = io.parameters.to_vec();
        let weights = &mut parameters[..weights(layer, &io)];
        weights.chunks_exact_mut(9).for_each(|kernel| kernel.reverse());
        layer.backward(primitives, Backward { parameters: &parameters, ..io });
    }),
    (0, "the gradient is added to the last one", &["conv1.weight", "conv1.bias"], {
        |layer, primitives, mut io| {
            let before = io.dparameters.to_vec();
            layer.backward(primitives, again(&mut io));
            io.dparameters.iter_mut().zip(before).for_each(|(value, before)| *value += before);
        }
    }),
    (0, "the gradients of two images are exchanged", &["input"], |layer, primitives, mut io| {
        layer.backward(primitives, again(&mut io));
        let length = io.input.len().min(io.x.len() - io.input.len());
        io.dx.unwrap().rotate_right(length);
    }),
    (1, "relu has no mask", &["conv1.weight", "conv1.bias", "input"], |_, _, io| {
        io.dx.unwrap().copy_from_slice(io.dy);
    }),
    (1, "relu masks by the gradient", &["conv1.weight", "conv1.bias", "input"], |_, _, io| {
        let elements = io.dx.unwrap().iter_mut().zip(io.dy);
        elements.for_each(|(dx, dy)| *dx = dy.max(0.0));
    }),
    (2, "pooling takes the last place", &["conv1.weight", "input"], |layer, primitives, io| {
        let kept_bytes = vec![3; io.kept_bytes.len()];
        layer.backward(primitives, Backward { kept_bytes: &kept_bytes, ..io });
    }),
    (2, "pooling takes the gradient of the next window", &["conv1.weight", "input"], {
        |layer, primitives, io| {
            let mut dy = io.dy.to_vec();
            dy.rotate_left(1);
            layer.backward(primitives, Backward { dy: &dy, ..io });
        }
    }),
    (4, "a product lacks a transposition", &["fc1.weight"], |layer, primitives, mut io| {
        layer.backward(primitives, again(&mut io));
        let (features, outputs) = (io.input.len(), weights(layer, &io) / io.input.len());
        let dw = io.dparameters[..features * outputs].to_vec();
        for (place, value) in io.dparameters[..features * outputs].iter_mut().enumerate() {
            *value = dw[place % outputs * features + place / outputs];
        }
    }),
    (4, "the bias gets the first image alone", &["fc1.bias"], |layer, primitives, mut io| {
        layer.backward(primitives, again(&mut io));
        let db = weights(layer, &io)..io.dparameters.len();
        let length = db.len();
        io.dparameters[db].copy_from_slice(&io.dy[..length]);
    }),
    (4, "the gradient of one weight is a little off", &["fc1.weight"], {
        |layer, primitives, mut io| {
            layer.backward(primitives, again(&mut io));
            io.dparameters[7] *= 1.0 + 1e-2;
        }
    }),
    (5, "the derivative of sigmoid lacks a factor", &["fc1.weight", "fc1.bias", "input"], {
        |_, _, io| {
            let elements = io.dx.unwrap().iter_mut().zip(io.dy).zip(io.y);
            elements.for_each(|((dx, dy), y)| *dx = dy * y);
        }
    }),
    (6, "the loss is not divided by the images", &["fc2.bias", "fc1.weight", "input"], {
        |layer, primitives, io| {
            let images = images(&io) as f64;
            let dy: Vec<f64> = io.dy.iter().map(|dy| dy * images).collect();
            layer.backward(primitives, Backward { dy: &dy, ..io });
        }
    }),
    (6, "the gradient of the input was never written", &["fc1.weight", "input"], {
        |layer, primitives, io| layer.backward(primitives, Backward { dx: None, ..io })
    }),
];

/// Mean of `values`, and the factor by which a normalization multiplies their distance from it.
fn statistics(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (mean, (squares.sum::<f64>() / values.len() as f64 + 1e-5).sqrt().recip())
}

/// Mistakes in other kinds of layers: the network, the place of the mistake in it; the mistake in words;
/// a tensor whose gradient it makes wrong; the mistaken backward pass.
const MORE_MISTAKES: [(&str, usize, &str, &str, Mistake); 10] = [
    ("flatten,fc6,batchnorm,fc3", 2, "the statistics of a batch are constants", "fc1.weight", {
        |layer, primitives, mut io| {
            layer.backward(primitives, again(&mut io));
            let features = io.input.len();
            for (place, dx) in io.dx.unwrap().iter_mut().enumerate() {
                let feature = place % features;
                let column: Vec<f64> =
                    io.x.iter().copied().skip(feature).step_by(features).collect();
                *dx = io.dy[place] * io.parameters[feature] * statistics(&column).1;
            }
        }
    }),
    ("flatten,fc6,layernorm,fc3", 2, "the statistics of a row are constants", "fc1.weight", {
        |layer, primitives, mut io| {
            layer.backward(primitives, again(&mut io));
            let features = io.input.len();
            for (place, dx) in io.dx.unwrap().iter_mut().enumerate() {
                let row = &io.x[place / features * features..][..features];
                *dx = io.dy[place] * io.parameters[place % features] * statistics(row).1;
            }
        }
    }),
    ("flatten,fc6,softmax,fc3", 2, "softmax lacks the sum over the row", "fc1.weight", {
        |_, _, io| {
            let elements = io.dx.unwrap().iter_mut().zip(io.dy).zip(io.y);
            elements.for_each(|((dx, dy), y)| *dx = dy * y);
        }
    }),
    ("flatten,fc9,dropout0.5,fc3", 2, "dropout lets every gradient pass", "fc1.weight", {
        |_, _, io| io.dx.unwrap().copy_from_slice(io.dy)
    }),
    ("conv2k3p1,avgpool3s2p1,flatten,fc3", 1, "averages count the padding", "conv1.weight", {
        |layer, primitives, io| {
            // A window in the corner has four values and five of padding.
            let mut dy = io.dy.to_vec();
            dy.chunks_exact_mut(9).for_each(|map| map[0] *= 4.0 / 9.0);
            layer.backward(primitives, Backward { dy: &dy, ..io });
        }
    }),
    ("flatten,fc6,gelu,fc3", 2, "gelu lacks the term of the density", "fc1.weight", {
        |_, _, io| {
            let elements = io.dx.unwrap().iter_mut().zip(io.dy).zip(io.x.iter().zip(io.y));
            elements.for_each(|((dx, dy), (x, y))| *dx = dy * y / x);
        }
    }),
    ("conv1k1,rows,lstm3,last,fc3", 2, "the gates are in another order", "lstm1.weight_ih_l0", {
        |layer, primitives, io| {
            let mut parameters = io.parameters.to_vec();
            let weights = layer.tensors(io.input);
            let (w_ih, w_hh) = (weights[0].len(), weights[1].len());
            parameters[w_ih..][..w_hh].rotate_right(w_hh / 4);
            layer.backward(primitives, Backward { parameters: &parameters, ..io });
        }
    }),
    ("patches3,fc4,attn2,mean,fc3", 2, "queries and keys are exchanged", "attn1.in_proj_weight", {
        |layer, primitives, mut io| {
            layer.backward(primitives, again(&mut io));
            let features = io.input.last();
            io.dparameters[..2 * features * features].rotate_left(features * features);
        }
    }),
    ("patches3,fc4,pos,mean,fc3", 2, "a table gets the first image alone", "pos1.weight", {
        |layer, primitives, mut io| {
            layer.backward(primitives, again(&mut io));
            let length = io.dparameters.len();
            io.dparameters.copy_from_slice(&io.dy[..length]);
        }
    }),
    ("conv1k1,channels,conv1d2k3p1,flatten,fc3", 2, "a kernel is turned", "input", {
        |layer, primitives, io| {
            let mut parameters = io.parameters.to_vec();
            let weights = &mut parameters[..weights(layer, &io)];
            weights.chunks_exact_mut(3).for_each(|kernel| kernel.reverse());
            layer.backward(primitives, Backward { parameters: &parameters, ..io });
        }
    }),
];

/// Names of the tensors that do not pass.
fn failed(found: &Gradcheck) -> Vec<&str> {
    found.tensors.iter().filter(|tensor| !tensor.passed).map(|tensor| &*tensor.name).collect()
}

#[test]
fn a_mistake_in_a_backward_pass_fails_the_check() {
    for (index, mistake, tensors, backward) in MISTAKES {
        let network =
            with_mistake(index, |layer, primitives, io| layer.forward(primitives, io), backward);
        for options in [OPTIONS, FAST] {
            let found = check(&network, &options).unwrap();
            assert!(!found.passed, "{mistake}");
            let failed = failed(&found);
            assert!(tensors.iter().all(|name| failed.contains(name)), "{mistake}: {failed:?}");
            assert!(!failed.contains(&"fc2.weight") || index == 6, "{mistake}: {failed:?}");
            assert!(found.failures.len() <= 10 && !found.failures.is_empty(), "{mistake}");
            let naive = &found.primitives[0];
            assert!(!naive.passed && naive.from_tape > 1e-9, "{mistake}");
        }
        // The central differences notice it without the tape.
        let found = check(&network, &OPTIONS).unwrap();
        for tensor in found.tensors.iter().filter(|tensor| tensors.contains(&&*tensor.name)) {
            assert!(tensor.backward_central.relative > 1e-3, "{mistake}: {tensor:#?}");
            assert!(tensor.tape_central.relative < 1e-3, "{mistake}: {tensor:#?}");
        }
    }
}

#[test]
fn a_mistake_in_the_backward_pass_of_any_kind_of_layer_fails_the_check() {
    let forward =
        |layer: &dyn Layer, primitives: &mut dyn Primitives<f64>, io: Forward<'_, f64>| {
            layer.forward(primitives, io);
        };
    for (text, index, mistake, tensor, backward) in MORE_MISTAKES {
        let network = with_mistake_in(text, index, forward, backward);
        for options in [OPTIONS, FAST] {
            let found = check(&network, &options).unwrap();
            let failed = failed(&found);
            assert!(!found.passed && failed.contains(&tensor), "{mistake}: {failed:?}");
        }
        assert!(check(&self::network(text), &FAST).unwrap().passed, "without the mistake");
    }
}

#[test]
fn a_layer_of_any_kind_that_sees_the_last_image_alone_fails_the_check() {
    let last_alone: Mistake = |layer, primitives, io| {
        let before = io.dy.len() / images(&io) * (images(&io) - 1);
        let mut dy = io.dy.to_vec();
        dy[..before].fill(0.0);
        layer.backward(primitives, Backward { dy: &dy, ..io });
    };
    let mut kinds = Vec::new();
    for text in
        NETWORKS.into_iter().filter(|text| !text.contains("res(")).chain(["patches3,mean,fc3"])
    {
        for (index, placed) in network(text).layers().iter().enumerate() {
            let word = placed.layer.word();
            if kinds.contains(&word) || placed.layer.is_view() {
                continue;
            }
            let forward =
                |layer: &dyn Layer, primitives: &mut dyn Primitives<f64>, io: Forward<'_, f64>| {
                    layer.forward(primitives, io);
                };
            let found = check(&with_mistake_in(text, index, forward, last_alone), &FAST).unwrap();
            let tensors = placed.layer.tensors(placed.input).len();
            let own = format!("{word}1.");
            let failed = failed(&found);
            assert!(!found.passed && failed.contains(&"input"), "{word}: {failed:?}");
            let has_failed = failed.iter().any(|name| name.starts_with(&own));
            assert!(has_failed || tensors == 0 || index == 0, "{word}: {failed:?}");
            kinds.push(word);
        }
    }
    // The views have no backward pass.
    let views = ["flatten", "rows", "channels"];
    let missing = LAYERS
        .iter()
        .map(|kind| kind.name)
        .filter(|name| !views.contains(name) && !kinds.iter().any(|kind| kind == name));
    assert_eq!(missing.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_gradient_of_the_last_image_alone_is_not_the_sum_over_the_images() {
    let (index, _, _, backward) = MISTAKES[0];
    let network =
        with_mistake(index, |layer, primitives, io| layer.forward(primitives, io), backward);
    let found = check(&network, &FAST).unwrap();
    assert!(found.primitives.iter().all(|row| row.from_sum_of_images > Some(0.1)), "{found:#?}");
}

#[test]
fn a_gradient_with_other_bits_the_second_time_fails_the_check() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let network = with_mistake(
        4,
        |layer, primitives, io| layer.forward(primitives, io),
        |layer, primitives, mut io| {
            layer.backward(primitives, again(&mut io));
            io.dparameters[0] *= 1.0 + 1e-13 * CALLS.fetch_add(1, Ordering::Relaxed) as f64;
        },
    );
    let found = check(&network, &OPTIONS).unwrap();
    assert!(!found.passed && failed(&found).is_empty(), "{found:#?}");
    assert!(found.primitives.iter().all(|row| !row.repeats && row.from_tape < 1e-9));
}

#[test]
fn a_mistake_in_both_passes_differs_from_the_tape_alone() {
    let network = with_mistake(
        1,
        |_, _, io| {
            io.y.iter_mut().zip(io.x).for_each(|(y, &x)| *y = if x > 0.0 { x } else { x * 1e-4 });
        },
        |_, _, io| {
            let elements = io.dx.unwrap().iter_mut().zip(io.dy).zip(io.y);
            elements.for_each(|((dx, dy), &y)| *dx = if y > 0.0 { *dy } else { dy * 1e-4 });
        },
    );
    let found = check(&network, &OPTIONS).unwrap();
    assert!(!found.passed);
    let input = found.tensors.last().unwrap();
    assert!(!input.passed && input.backward_central.absolute < 1e-7, "{input:#?}");
}
