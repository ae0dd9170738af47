//! The check of gradients: hand-written backward passes, a tape and central differences, side by
//! side.
//!
//! Everything is computed in f64, at a random point of the network: the parameters, the images and
//! the labels are drawn. The loss is the mean cross-entropy of the batch. Its gradient is computed
//! in three ways:
//!
//! 1. **The backward pass** is the code that trains: the layers' own passes, written once for every
//!    number format, in the buffers of the engine's plan.
//! 2. **The tape** is made from the definition of every layer by
//!    [`Pass::record`](crate::nn::layer::Pass::record), and knows the chain rule.
//! 3. **Central differences** (L(θ + ε) − L(θ − ε))/2ε use the forward pass alone, with the fastest
//!    primitives.
//!
//! # Tolerances
//! A value a and a central difference c agree, as in PyTorch's `gradcheck`, if
//! |a − c| ≤ atol + rtol·|c|. Here, atol is multiplied by the largest gradient of the tensor if that
//! is below 1, so that a tensor of small gradients is checked as closely as any other. What
//! rounding the loss makes of c is added.
//!
//! Backward pass and tape differ only by rounding, so for all elements of a tensor, their
//! difference may be 1e-9 of the tensor's largest gradient and no more. This finds mistakes that
//! are smaller than the error of a central difference.
//!
//! A tensor may have no gradient but rounding errors: batch normalization takes out what the bias
//! of the layer before it adds. So the largest gradient of a tensor counts as at least 1e-4 of the
//! largest gradient of all tensors.
//!
//! # Kinks
//! Relu and max pooling have no derivative where they choose. If a step crosses such a point, the
//! differences to the left and to the right are not equal, and their mean is no derivative. Such an
//! element is counted and not compared with its central difference.
//!
//! # What else must hold
//! With every set of primitives, and on several threads: the gradient of the batch is the sum over
//! its images (a program that uses the gradient of the last image alone passes many checks with one
//! image), a second computation gives the same bits, and so does any number of threads.

mod point;

use std::collections::BTreeSet;
use std::ops::Range;

use self::point::{IMAGES, Numerical, Point, Tensor, largest};
use crate::error::Result;
use crate::measure::machine;
use crate::model::architecture::Architecture;
use crate::nn::primitives::Primitives;
use crate::random::Stream;
use crate::report::SCHEMA_VERSION;
use crate::report::gradcheck::{Difference, Failure, Gradcheck, PrimitivesCheck, TensorCheck};
use crate::stages::{EngineKind, STAGES};

/// Most elements of a tensor that are compared with central differences, each of which costs two
/// forward passes. Of a larger tensor, a random sample is compared.
const MOST_CHECKED: usize = 1000;

/// Largest difference by rounding of two gradients in f64, relative to the largest element of the
/// tensor. Sums of 10⁴ terms differ by 1e-13.
const ROUNDING: f64 = 1e-9;

/// Smallest size of a tensor's gradient, relative to the largest gradient of all tensors.
const SMALLEST: f64 = 1e-4;

/// Most random directions that are tried until there is no kink along one.
const MOST_DIRECTIONS: usize = 10;

/// Numbers of threads with which primitives are checked.
const THREADS: [usize; 4] = [1, 2, 3, 7];

/// Settings of a check.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Step of a central difference, ε.
    pub eps: f64,
    /// Absolute tolerance.
    pub atol: f64,
    /// Relative tolerance.
    pub rtol: f64,
    /// Whether one random projection of each tensor is compared with a central difference, and not
    /// single elements.
    pub fast: bool,
    /// Most failures that are reported with their values.
    pub max_failures: usize,
    /// Seed of the point and of the samples.
    pub seed: u64,
}

/// Checks the gradients of `architecture`.
///
/// # Errors
/// [`Unavailable`](crate::error::Error::Unavailable) when the operating system refuses to start
/// threads.
pub fn check(architecture: &Architecture, options: &Options) -> Result<Gradcheck> {
    let (point, tape) = Point::draw(architecture, options.seed);
    let (primitives, backward) = check_primitives(&point, &tape)?;
    let fastest = STAGES.iter().rev().find_map(|stage| match stage.engine {
        EngineKind::Layerwise { in_f64, .. } => in_f64,
        EngineKind::Fused { .. } => None,
    });
    let fastest = fastest.expect("naive is a layerwise stage")(machine::threads())?;
    let mut numerical = Numerical::new(&point, fastest);
    let mut failures = Vec::new();
    let tensors: Vec<_> = point
        .with_gradient()
        .map(|tensor| {
            let gradients = [&backward, &tape].map(|gradient| &gradient[tensor.place.clone()]);
            let size = size(&point, &tape, tensor);
            let comparison = TensorComparison::new(options, tensor, size, gradients);
            comparison.run(&mut numerical, &mut failures)
        })
        .collect();
    failures.truncate(options.max_failures);
    let passed = tensors.iter().all(|tensor| tensor.passed)
        && primitives.iter().all(|primitives| primitives.passed);
    Ok(Gradcheck {
        schema: SCHEMA_VERSION,
        architecture: architecture.to_string(),
        images: IMAGES,
        seed: options.seed,
        eps: options.eps,
        atol: options.atol,
        rtol: options.rtol,
        fast: options.fast,
        tensors,
        primitives,
        failures,
        passed,
    })
}

/// Checks every set of primitives with the gradient of the `tape`. Returns also the gradient by the
/// first set, the reference arithmetic.
fn check_primitives(point: &Point, tape: &[f64]) -> Result<(Vec<PrimitivesCheck>, Vec<f64>)> {
    let mut rows = Vec::new();
    let mut of_reference = None;
    for stage in &STAGES {
        let EngineKind::Layerwise { in_f64: Some(in_f64), .. } = stage.engine else { continue };
        let mut on_one_thread = None;
        for &threads in if stage.multithreaded { &THREADS[..] } else { &THREADS[..1] } {
            let mut primitives = in_f64(threads)?;
            let found = check_set(point, primitives.as_mut());
            let one_thread = on_one_thread.get_or_insert_with(|| found.gradient.clone());
            let from_tape = largest_share(point, &found.gradient, tape);
            let from_sum_of_images = point
                .is_sum_of_images()
                .then(|| largest_share(point, &found.gradient, &found.sum_of_images));
            let as_on_one_thread = are_same_bits(&found.gradient, one_thread);
            let repeats = found.repeats;
            let passed = from_tape <= ROUNDING
                && from_sum_of_images.is_none_or(|share| share <= ROUNDING)
                && repeats
                && as_on_one_thread;
            rows.push(PrimitivesCheck {
                stage: stage.name,
                threads,
                from_tape,
                from_sum_of_images,
                repeats,
                as_on_one_thread,
                passed,
            });
            of_reference.get_or_insert(found.gradient);
        }
    }
    Ok((rows, of_reference.expect("naive is a layerwise stage")))
}

/// Gradients by one set of primitives.
struct OfSet {
    gradient: Vec<f64>,
    sum_of_images: Vec<f64>,
    /// Whether the second computation, in the buffers of the first, gave the same bits.
    repeats: bool,
}

fn check_set(point: &Point, primitives: &mut dyn Primitives<f64>) -> OfSet {
    let mut passes = point.passes();
    let mut gradient = vec![f64::NAN; point.values.len()];
    point.backward(&mut passes, primitives, 0..IMAGES, &mut gradient);
    let mut again = gradient.clone();
    point.backward(&mut passes, primitives, 0..IMAGES, &mut again);
    let repeats = are_same_bits(&gradient, &again);

    let (parameters, pixels) = (point.parameter_count, point.pixels());
    let mut sum_of_images = vec![0.0; point.values.len()];
    for image in 0..IMAGES {
        let mut of_image = vec![f64::NAN; parameters + pixels];
        point.backward(&mut passes, primitives, image..image + 1, &mut of_image);
        // The loss of the batch is the mean over its images.
        of_image.iter_mut().for_each(|value| *value /= IMAGES as f64);
        let (of_parameters, of_pixels) = of_image.split_at(parameters);
        sum_of_images.iter_mut().zip(of_parameters).for_each(|(sum, value)| *sum += value);
        sum_of_images[parameters + image * pixels..][..pixels].copy_from_slice(of_pixels);
    }
    OfSet { gradient, sum_of_images, repeats }
}

fn are_same_bits(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Largest difference of `found` from `expected`, relative to the largest expected value of its
/// tensor; infinite if a difference is not a number.
fn largest_share(point: &Point, found: &[f64], all_expected: &[f64]) -> f64 {
    let share = |tensor: &Tensor| {
        let (found, expected) = (&found[tensor.place.clone()], &all_expected[tensor.place.clone()]);
        let mut difference = Difference::default();
        for (&a, &b) in found.iter().zip(expected) {
            difference.take(a, b, f64::INFINITY, || None);
        }
        match difference.absolute {
            0.0 => 0.0,
            absolute => absolute / size(point, all_expected, tensor),
        }
    };
    point.with_gradient().map(share).fold(0.0, f64::max)
}

/// Size of the gradient of `tensor`, of which a tolerance is a share: its largest element, but at
/// least [`SMALLEST`] of the largest element of all tensors.
fn size(point: &Point, gradient: &[f64], tensor: &Tensor) -> f64 {
    let largest = |tensor: &Tensor| largest(&gradient[tensor.place.clone()]);
    let of_all = point.with_gradient().map(largest).fold(0.0, f64::max);
    largest(tensor).max(SMALLEST * of_all)
}

impl Difference {
    /// Takes the values `a` and `b` of an element into account. The relative difference counts if
    /// one of them is above `floor`.
    fn take(&mut self, a: f64, b: f64, floor: f64, index: impl FnOnce() -> Option<Vec<usize>>) {
        let absolute = if (a - b).is_nan() { f64::INFINITY } else { (a - b).abs() };
        if absolute > self.absolute {
            (self.absolute, self.index) = (absolute, index());
        }
        let larger = a.abs().max(b.abs());
        if larger > floor {
            self.relative = self.relative.max(absolute / larger);
        }
    }
}

/// Comparison of the three gradients of a tensor.
struct TensorComparison<'a> {
    options: &'a Options,
    tensor: &'a Tensor,
    backward: &'a [f64],
    tape: &'a [f64],
    /// Absolute tolerance of central differences.
    atol: f64,
    /// Tolerance of the difference between backward pass and tape.
    rounding: f64,
    check: TensorCheck,
    failures: Vec<Failure>,
}

impl<'a> TensorComparison<'a> {
    /// Comparison of the gradients by backward pass and tape, whose size is `size`.
    fn new(
        options: &'a Options,
        tensor: &'a Tensor,
        size: f64,
        [backward, tape]: [&'a [f64]; 2],
    ) -> Self {
        let check = TensorCheck {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            elements: tape.len(),
            checked: 0,
            kinks: 0,
            backward_tape: Difference::default(),
            backward_central: Difference::default(),
            tape_central: Difference::default(),
            passed: true,
        };
        let (atol, rounding) = (options.atol * size.min(1.0), ROUNDING * size);
        Self { options, tensor, backward, tape, atol, rounding, check, failures: Vec::new() }
    }

    /// Makes the comparison. Adds the elements that do not agree to `failures`.
    fn run(mut self, numerical: &mut Numerical<'_>, failures: &mut Vec<Failure>) -> TensorCheck {
        let Self { options, tensor, backward, tape, .. } = self;
        numerical.begin(tensor);
        let mut elements = BTreeSet::new();
        for (index, (&backward, &tape)) in backward.iter().zip(tape).enumerate() {
            self.check.backward_tape.take(backward, tape, self.atol, || Some(tensor.index(index)));
            if !self.are_equal(backward, tape) {
                self.check.passed = false;
                if elements.len() < options.max_failures {
                    elements.insert(index);
                }
            }
        }
        let mut stream = Stream::new(options.seed, "gradcheck sample", tensor.place.start as u64);
        if options.fast {
            self.compare_projection(numerical, &mut stream);
        } else if tape.len() <= MOST_CHECKED {
            elements.extend(0..tape.len());
        } else {
            let count = tape.len().min(elements.len() + MOST_CHECKED);
            while elements.len() < count {
                elements.insert(stream.below(tape.len() as u32) as usize);
            }
        }
        for index in elements {
            let values = [backward[index], tape[index]];
            let place = tensor.place.start + index;
            let at = Some(tensor.index(index));
            self.compare(numerical, values, at, place..place + 1, &[1.0]);
        }
        self.check.passed &= self.check.checked > 0;
        failures.append(&mut self.failures);
        self.check
    }

    /// Compares the slopes along a random direction of length 1, if possible one along which there
    /// is no kink.
    fn compare_projection(&mut self, numerical: &mut Numerical<'_>, stream: &mut Stream) {
        for _ in 0..MOST_DIRECTIONS {
            let mut direction: Vec<f64> =
                self.tape.iter().map(|_| f64::from(stream.uniform(-1.0, 1.0))).collect();
            let length = direction.iter().map(|value| value * value).sum::<f64>().sqrt();
            direction.iter_mut().for_each(|value| *value /= length);
            let along =
                |gradient: &[f64]| gradient.iter().zip(&direction).map(|(g, v)| g * v).sum();
            let values = [self.backward, self.tape].map(along);
            self.compare(numerical, values, None, self.tensor.place.clone(), &direction);
            if self.check.checked > 0 {
                return;
            }
        }
    }

    /// Compares the slopes along a `direction` of the values at `place`, by backward pass and tape,
    /// with the central difference.
    fn compare(
        &mut self,
        numerical: &mut Numerical<'_>,
        [backward, tape]: [f64; 2],
        index: Option<Vec<usize>>,
        place: Range<usize>,
        direction: &[f64],
    ) {
        let slopes = numerical.slopes(place, direction, self.options.eps);
        let central = slopes.central();
        let tolerance = self.atol + self.options.rtol * central.abs() + slopes.rounding;
        let mut agree = self.are_equal(backward, tape);
        let check = &mut self.check;
        if (slopes.right - slopes.left).abs() > tolerance {
            check.kinks += 1;
        } else {
            check.checked += 1;
            check.backward_central.take(backward, central, self.atol, || index.clone());
            check.tape_central.take(tape, central, self.atol, || index.clone());
            agree &= [backward, tape].iter().all(|a| (a - central).abs() <= tolerance);
        }
        if !agree {
            check.passed = false;
            let tensor = self.tensor.name.clone();
            self.failures.push(Failure { tensor, index, backward, tape, central });
        }
    }

    /// Whether backward pass and tape agree.
    fn are_equal(&self, backward: f64, tape: f64) -> bool {
        (backward - tape).abs() <= self.rounding
    }
}
