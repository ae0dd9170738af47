//! The table of the computations that `bench autograd` records on a tape.

use crate::autograd::{Tape, Var};
use crate::nn::cross_entropy;
use crate::random::Stream;
use crate::scalar::Scalar;

/// Numbers of elements of the inputs of an operation.
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
/// Numbers of operations of a chain.
const CHAINS: [usize; 4] = [5, 10, 20, 50];
/// Number of elements of a chain, and of the deep and the wide graph.
const ELEMENTS: usize = 1_000;
/// Number of layers of the deep graph, and of branches of the wide one.
const WIDTH: usize = 20;
/// Number of images of a batch of the classifier.
const BATCHES: [usize; 4] = [1, 8, 32, 128];
/// Batches whose gradients are accumulated: their numbers of images, and of parts.
const ACCUMULATED: [[usize; 2]; 11] = [
    [1, 1],
    [8, 1],
    [8, 2],
    [8, 4],
    [32, 1],
    [32, 2],
    [32, 4],
    [128, 4],
    [128, 8],
    [128, 32],
    [128, 128],
];
/// Number of pixels of an image.
const PIXELS: usize = 784;
/// Number of hidden units of the network.
const HIDDEN: usize = 128;
/// Number of classes.
const CLASSES: usize = 10;
/// Images, channels, side of the images, and side of the window of the convolution.
const CONVOLUTION: [usize; 4] = [8, 8, 28, 3];

/// Kind of a program, under which it stands in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// One operation.
    Operations,
    /// Operations one after the other, and side by side.
    Graphs,
    /// Networks with their loss.
    Networks,
    /// Gradients of the parts of a batch, added up.
    Accumulation,
}

impl Group {
    /// Name of the group.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operations => "operations",
            Self::Graphs => "graphs",
            Self::Networks => "networks",
            Self::Accumulation => "accumulation",
        }
    }
}

/// Computation that is recorded on a tape.
#[derive(Debug)]
pub struct Program {
    /// Kind of the program.
    pub group: Group,
    /// Name of the row.
    pub name: String,
    /// Number of parts in which the rows of the first input are taken, each on a new tape.
    parts: usize,
    /// Shapes of the inputs.
    inputs: Vec<Vec<usize>>,
    graph: Graph,
}

/// What is computed from the inputs.
#[derive(Debug, Clone, Copy)]
enum Graph {
    One(Operation),
    /// As many operations one after the other: add, mul, relu, tanh, and again.
    Chain(usize),
    /// As many times add and tanh.
    Deep(usize),
    /// Sum of as many products with the input.
    Wide(usize),
    /// Linear layers with relu between them, and the loss.
    Classifier,
    /// Convolution of one channel, as a product with patches.
    Convolution,
    /// Mean of the relu of a product.
    Projection,
}

impl Graph {
    /// Whether the result is a loss, one number.
    fn is_loss(self) -> bool {
        matches!(self, Self::Classifier | Self::Projection)
    }
}

/// Operation of the tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Sub,
    Mul,
    Div,
    Matmul,
    Transpose,
    Relu,
    Sigmoid,
    Tanh,
    Softmax,
    Sum,
    Mean,
    Max,
    Min,
}

impl Operation {
    /// All operations with their names.
    const ALL: [(Self, &'static str); 14] = [
        (Self::Add, "add"),
        (Self::Sub, "sub"),
        (Self::Mul, "mul"),
        (Self::Div, "div"),
        (Self::Matmul, "matmul"),
        (Self::Transpose, "transpose"),
        (Self::Relu, "relu"),
        (Self::Sigmoid, "sigmoid"),
        (Self::Tanh, "tanh"),
        (Self::Softmax, "softmax"),
        (Self::Sum, "sum"),
        (Self::Mean, "mean"),
        (Self::Max, "max"),
        (Self::Min, "min"),
    ];

    /// Shapes of the inputs, of about `elements` elements each. Matrices are square.
    fn inputs(self, elements: usize) -> Vec<Vec<usize>> {
        let side = elements.isqrt();
        match self {
            Self::Add | Self::Sub | Self::Mul | Self::Div => vec![vec![elements]; 2],
            Self::Matmul => vec![vec![side, side]; 2],
            Self::Transpose => vec![vec![side, side]],
            _ => vec![vec![elements]],
        }
    }

    fn record<T: Scalar>(self, tape: &mut Tape<T>, inputs: &[Var]) -> Var {
        let x = inputs[0];
        match self {
            Self::Add => tape.add(x, inputs[1]),
            Self::Sub => tape.sub(x, inputs[1]),
            Self::Mul => tape.mul(x, inputs[1]),
            Self::Div => tape.div(x, inputs[1]),
            Self::Matmul => tape.matmul(x, inputs[1]),
            Self::Transpose => tape.transpose(x),
            Self::Relu => tape.relu(x),
            Self::Sigmoid => tape.sigmoid(x),
            Self::Tanh => tape.tanh(x),
            Self::Softmax => tape.softmax(x, 0),
            Self::Sum => tape.sum(x, 0),
            Self::Mean => tape.mean(x, 0),
            Self::Max => tape.max(x, 0),
            Self::Min => tape.min(x, 0),
        }
    }
}

/// All programs, in the order of the report.
pub fn all() -> Vec<Program> {
    let one = |group, name, inputs, graph| Program { group, name, parts: 1, inputs, graph };
    let mut programs = Vec::new();
    for (operation, name) in Operation::ALL {
        for elements in SIZES {
            let inputs = operation.inputs(elements);
            let name = match &inputs[0][..] {
                [side, _] => format!("{name} {side}x{side}"),
                _ => format!("{name} {elements}"),
            };
            programs.push(one(Group::Operations, name, inputs, Graph::One(operation)));
        }
    }
    let graphs = CHAINS.map(|length| (format!("chain of {length}"), Graph::Chain(length)));
    let graphs = graphs.into_iter().chain([
        (format!("deep, {WIDTH} x add and tanh"), Graph::Deep(WIDTH)),
        (format!("wide, {WIDTH} branches"), Graph::Wide(WIDTH)),
    ]);
    for (name, graph) in graphs {
        programs.push(one(Group::Graphs, name, vec![vec![ELEMENTS]], graph));
    }
    let inputs = vec![vec![100, 50], vec![50, 30]];
    programs.push(one(Group::Graphs, "product, relu, mean".into(), inputs, Graph::Projection));
    for images in BATCHES {
        let name = format!("{PIXELS}-{CLASSES}, batch {images}");
        let inputs = layers(images, &[PIXELS, CLASSES]);
        programs.push(one(Group::Networks, name, inputs, Graph::Classifier));
    }
    let name = format!("{PIXELS}-{HIDDEN}-{CLASSES}, batch 32");
    let inputs = layers(32, &[PIXELS, HIDDEN, CLASSES]);
    programs.push(one(Group::Networks, name, inputs, Graph::Classifier));
    let [images, channels, side, kernel] = CONVOLUTION;
    programs.push(one(
        Group::Networks,
        format!("conv{channels}k{kernel}, batch {images}"),
        vec![vec![images, side, side], vec![kernel * kernel, channels]],
        Graph::Convolution,
    ));
    for [images, parts] in ACCUMULATED {
        programs.push(Program {
            group: Group::Accumulation,
            name: format!("batch {images} in {parts}"),
            parts,
            inputs: layers(images, &[PIXELS, CLASSES]),
            graph: Graph::Classifier,
        });
    }
    programs
}

/// Shapes of `images` images and of the weights and biases of linear layers with these `widths`.
fn layers(images: usize, widths: &[usize]) -> Vec<Vec<usize>> {
    let parameters = widths.windows(2).flat_map(|pair| [vec![pair[0], pair[1]], vec![pair[1]]]);
    [vec![images, widths[0]]].into_iter().chain(parameters).collect()
}

/// Loss of a program, and its gradients with respect to the inputs. The gradient of the first input
/// is of the last part alone.
pub struct Gradients<T> {
    pub loss: T,
    pub of_inputs: Vec<Vec<T>>,
}

impl Program {
    /// Number of elements of the first input.
    pub fn elements(&self) -> usize {
        self.inputs[0].iter().product()
    }

    /// Values of the inputs: uniform in ±1, but at least 0.1 away from 0, where a division has a pole
    /// and relu a kink; weights of a layer are divided by the square root of its number of inputs. If
    /// the result is no loss, there is one more input: the weights of its elements in the loss.
    pub fn draw<T: Scalar>(&self) -> Vec<Vec<T>> {
        let draw = |(index, shape): (usize, &Vec<usize>)| {
            let scale = match shape[..] {
                [inputs, _] if index > 0 => (inputs as f64).sqrt().recip(),
                _ => 1.0,
            };
            numbers(&self.name, index, shape.iter().product(), scale)
        };
        let mut inputs: Vec<_> = self.inputs.iter().enumerate().map(draw).collect();
        if !self.graph.is_loss() {
            let mut tape = Tape::new();
            let leaves = self.leaves(&mut tape, &inputs, 0);
            let result = self.result(&mut tape, &leaves, 0);
            inputs.push(numbers(&self.name, inputs.len(), tape.value(result).len(), 1.0));
        }
        inputs
    }

    /// Loss of the computation on `inputs`, on new tapes.
    pub fn loss<T: Scalar>(&self, inputs: &[Vec<T>]) -> T {
        let losses = (0..self.parts).map(|part| {
            let mut tape = Tape::new();
            let (_, loss) = self.record(&mut tape, inputs, part);
            tape.value(loss)[0]
        });
        losses.sum::<T>() / T::of(self.parts as f64)
    }

    /// Loss of the computation on `inputs`, and its gradients.
    pub fn gradients<T: Scalar>(&self, inputs: &[Vec<T>]) -> Gradients<T> {
        let share = T::of((self.parts as f64).recip());
        let mut sums = Gradients { loss: T::zero(), of_inputs: Vec::new() };
        for part in 0..self.parts {
            let mut tape = Tape::new();
            let (leaves, loss) = self.record(&mut tape, inputs, part);
            let gradients = tape.gradients(loss);
            sums.loss += share * tape.value(loss)[0];
            if self.parts == 1 {
                sums.of_inputs = leaves.iter().map(|&leaf| gradients.of(leaf).to_vec()).collect();
                continue;
            }
            sums.of_inputs.resize(leaves.len(), Vec::new());
            for (index, (sum, &leaf)) in sums.of_inputs.iter_mut().zip(&leaves).enumerate() {
                let gradient = gradients.of(leaf);
                if index == 0 || part == 0 {
                    *sum = vec![T::zero(); gradient.len()];
                }
                sum.iter_mut().zip(gradient).for_each(|(sum, &part)| *sum += share * part);
            }
        }
        sums
    }

    /// The same computation in one part.
    pub fn whole(&self) -> Self {
        let Self { group, name, inputs, graph, .. } = self;
        Self { group: *group, name: name.clone(), parts: 1, inputs: inputs.clone(), graph: *graph }
    }

    /// Records part `part` of the computation on `tape`. Returns its inputs and its loss: the loss of
    /// a network, or else the sum of the results, each with another weight.
    fn record<T: Scalar>(
        &self,
        tape: &mut Tape<T>,
        inputs: &[Vec<T>],
        part: usize,
    ) -> (Vec<Var>, Var) {
        let mut leaves = self.leaves(tape, inputs, part);
        let result = self.result(tape, &leaves, part);
        if self.graph.is_loss() {
            return (leaves, result);
        }
        let weights = inputs.last().expect("the weights of the results");
        let length = weights.len();
        let flat =
            if tape.shape(result) == [length] { result } else { tape.reshape(result, &[length]) };
        let weights = tape.leaf(&[length], weights.clone());
        leaves.push(weights);
        let weighted = tape.mul(flat, weights);
        let loss = tape.sum(weighted, 0);
        (leaves, loss)
    }

    /// Leaves of part `part` of the `inputs`.
    fn leaves<T: Scalar>(&self, tape: &mut Tape<T>, inputs: &[Vec<T>], part: usize) -> Vec<Var> {
        let leaf = |(index, (shape, values)): (usize, (&Vec<usize>, &Vec<T>))| match index {
            0 => {
                let mut shape = shape.clone();
                shape[0] /= self.parts;
                let length = values.len() / self.parts;
                tape.leaf(&shape, values[part * length..][..length].to_vec())
            }
            _ => tape.leaf(shape, values.clone()),
        };
        self.inputs.iter().zip(inputs).enumerate().map(leaf).collect()
    }

    /// Result of part `part` of the computation on its `leaves`.
    fn result<T: Scalar>(&self, tape: &mut Tape<T>, leaves: &[Var], part: usize) -> Var {
        let x = leaves[0];
        match self.graph {
            Graph::One(operation) => operation.record(tape, leaves),
            Graph::Chain(length) => {
                let constant = tape.leaf(&[], vec![T::of(0.5)]);
                (0..length).fold(x, |y, index| match index % 4 {
                    0 => tape.add(y, constant),
                    1 => tape.mul(y, constant),
                    2 => tape.relu(y),
                    _ => tape.tanh(y),
                })
            }
            Graph::Deep(layers) => (0..layers).fold(x, |y, _| {
                let sum = tape.add(y, x);
                tape.tanh(sum)
            }),
            Graph::Wide(branches) => {
                let mut branch = |index: usize| {
                    let factor = tape.leaf(&[], vec![T::of(1.0 / (index + 1) as f64)]);
                    let product = tape.mul(x, factor);
                    tape.tanh(product)
                };
                let branches: Vec<_> = (0..branches).map(&mut branch).collect();
                branches.into_iter().reduce(|sum, branch| tape.add(sum, branch)).expect("branches")
            }
            Graph::Classifier => {
                let images = tape.shape(x)[0];
                let label = |image| ((part * images + image) * 7 % CLASSES) as u16;
                let labels: Vec<_> = (0..images).map(label).collect();
                let logits = classifier(tape, leaves);
                cross_entropy::record(tape, logits, &labels)
            }
            Graph::Convolution => convolution(tape, leaves),
            Graph::Projection => {
                let product = tape.matmul(x, leaves[1]);
                let positive = tape.relu(product);
                let elements = tape.value(positive).len();
                let flat = tape.reshape(positive, &[elements]);
                tape.mean(flat, 0)
            }
        }
    }
}

/// `count` numbers from ±0.1 to ±1, times `scale`, for input `index` of the program `name`.
fn numbers<T: Scalar>(name: &str, index: usize, count: usize, scale: f64) -> Vec<T> {
    let mut stream = Stream::new(1, name, index as u64);
    let mut number = || {
        let size = scale * f64::from(stream.uniform(0.1, 1.0));
        T::of(if stream.below(2) == 0 { size } else { -size })
    };
    (0..count).map(|_| number()).collect()
}

/// Logits of the images `leaves[0]`, by linear layers whose weights and biases follow.
fn classifier<T: Scalar>(tape: &mut Tape<T>, leaves: &[Var]) -> Var {
    let layers = leaves[1..].as_chunks::<2>().0;
    layers.iter().enumerate().fold(leaves[0], |x, (index, &[weights, biases])| {
        let x = if index > 0 { tape.relu(x) } else { x };
        let product = tape.matmul(x, weights);
        tape.add(product, biases)
    })
}

/// Convolution of the images `leaves[0]` with the windows `leaves[1]`, without padding: the product
/// of their patches, (images and places, window), with the windows, (window, channels).
fn convolution<T: Scalar>(tape: &mut Tape<T>, leaves: &[Var]) -> Var {
    let [images, _, side, kernel] = CONVOLUTION;
    let places = side - kernel + 1;
    let patches = [images * places * places, kernel * kernel];
    let patches = tape.gather(leaves[0], patches, |[place, window]| {
        let (image, place) = (place / (places * places), place % (places * places));
        let (row, column) = (place / places + window / kernel, place % places + window % kernel);
        Some((image * side + row) * side + column)
    });
    tape.matmul(patches, leaves[1])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_program_has_a_name_of_its_own_and_computes_a_finite_loss() {
        let programs = all();
        let names: BTreeSet<_> = programs.iter().map(|program| &program.name).collect();
        assert_eq!(names.len(), programs.len());
        for program in &programs {
            let inputs = program.draw::<f32>();
            let loss = program.loss(&inputs);
            assert!(loss.is_finite(), "{}: {loss}", program.name);
            assert_eq!(loss, program.gradients(&inputs).loss, "{}", program.name);
        }
    }

    #[test]
    fn parts_of_a_batch_have_the_loss_of_the_batch() {
        for program in all().iter().filter(|program| program.parts > 1) {
            let inputs = program.draw::<f64>();
            let (parts, whole) = (program.loss(&inputs), program.whole().loss(&inputs));
            assert!((parts - whole).abs() < 1e-12 * whole, "{}: {parts}, {whole}", program.name);
        }
    }
}
