//! Initial values of weights and biases.
//!
//! The schemes of weights and biases draw from uniform distributions, because that needs no function
//! whose last bit depends on the platform. Gains, tables and running statistics begin in the same way
//! under every scheme. Each tensor has its own stream, so a tensor's values do not depend on
//! the tensors before it.

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::parameters::Parameters;
use crate::data::dataset::Split;
use crate::nn::tensor::{Role, TensorSpec, Uniform};
use crate::random::Stream;

/// Scheme of the initial values of weights and biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// PyTorch's default for each layer: U(±1/√fan_in) for most weights and biases.
    Pytorch,
    /// U(±√(2/(fan_in + fan_out))), biases 0: the scheme of the C program nn_c, which calls it
    /// Xavier although it is narrower by a factor of √3.
    Seed,
    /// U(±√(6/(fan_in + fan_out))), biases 0 (Glorot & Bengio 2010, equation 16).
    Xavier,
    /// U(±√(6/fan_in)), biases 0 (He et al. 2015, equation 10, as a uniform distribution).
    He,
    /// PyTorch's default, but the filters of the first layer, a convolution, are random patches of the
    /// training images (Coates & Ng 2012): of mean 0 and norm 0.5, with biases 0.
    Patches,
}

/// L2 norm of a filter that is a patch of an image.
const PATCH_NORM: f32 = 0.5;
/// Norm below which a patch is blank.
const BLANK_NORM: f32 = 0.1;
/// Number of patches that are drawn before one that is blank is accepted.
const MOST_DRAWS: usize = 1000;

impl Init {
    /// Names of the schemes in text and in JSON.
    pub const NAMES: [&str; 5] = ["pytorch", "seed", "xavier", "he", "patches"];

    /// Bound of the uniform distribution of the values of a weight or a bias; 0 makes every value 0.
    fn bound(self, spec: &TensorSpec) -> f32 {
        let (fan_in, fan_out) = (spec.fan_in as f64, spec.fan_out as f64);
        let xavier = (6.0 / (fan_in + fan_out)).sqrt();
        let bound = match (self, spec.pytorch) {
            (Self::Pytorch | Self::Patches, Uniform::FanIn) => 1.0 / fan_in.sqrt(),
            (Self::Pytorch | Self::Patches, Uniform::Xavier) => xavier,
            (Self::Pytorch | Self::Patches, Uniform::Zero) => 0.0,
            _ if spec.role == Role::Bias => 0.0,
            (Self::Seed, _) => (2.0 / (fan_in + fan_out)).sqrt(),
            (Self::Xavier, _) => xavier,
            (Self::He, _) => (6.0 / fan_in).sqrt(),
        };
        bound as f32
    }

    /// Initial parameters without patches of images. The same `architecture` and `seed` give the same
    /// values on every machine.
    pub fn parameters(self, architecture: &Architecture, seed: u64) -> Parameters {
        let mut parameters = Parameters::zeros(architecture);
        for (index, (spec, values)) in parameters.iter_mut().enumerate() {
            let mut stream = Stream::new(seed, "initial parameters", index as u64);
            match spec.role {
                Role::Weight | Role::Bias => {
                    let bound = self.bound(spec);
                    values.fill_with(|| stream.uniform(-bound, bound));
                }
                Role::Gain | Role::RunningVariance => values.fill(1.0),
                Role::RunningMean => values.fill(0.0),
                Role::Table => values.fill_with(|| 0.02 * normal(&mut stream)),
            }
        }
        parameters
    }
}

/// Sets the filters of the first layer of the network, a convolution, to random patches of `images`.
pub fn set_filters(parameters: &mut Parameters, images: &Split, seed: u64) {
    let mut tensors = parameters.iter_mut();
    let (spec, filters) = tensors.next().expect("a convolution has a weight");
    let (_, biases) = tensors.next().expect("a convolution has a bias");
    let side = *spec.shape.last().expect("a filter has sides");
    for (index, filter) in filters.chunks_exact_mut(side * side).enumerate() {
        let mut stream = Stream::new(seed, "patches", index as u64);
        let mut draws = (0..MOST_DRAWS).map(|_| draw_patch(images, side, &mut stream, filter));
        draws.find(|norm| *norm > BLANK_NORM);
    }
    biases.fill(0.0);
}

/// Writes a random patch of `images` with this `side` to `filter`, with mean 0 and norm [`PATCH_NORM`],
/// and returns the norm that it had with mean 0.
fn draw_patch(images: &Split, side: usize, stream: &mut Stream, filter: &mut [f32]) -> f32 {
    let [rows, columns] = images.sides();
    let mut below = |count: usize| stream.below(count as u32) as usize;
    let image = images.image(below(images.len()));
    let corner = below(rows + 1 - side) * columns + below(columns + 1 - side);
    for (to, from) in filter.chunks_exact_mut(side).zip(image[corner..].chunks(columns)) {
        to.iter_mut().zip(from).for_each(|(to, pixel)| *to = f32::from(*pixel) / 255.0);
    }
    let mean = filter.iter().sum::<f32>() / filter.len() as f32;
    filter.iter_mut().for_each(|value| *value -= mean);
    let norm = filter.iter().map(|value| value * value).sum::<f32>().sqrt();
    filter.iter_mut().for_each(|value| *value *= PATCH_NORM / norm.max(BLANK_NORM));
    norm
}

/// Number that is nearly of the normal distribution N(0, 1): the sum of twelve uniform numbers from 0
/// to 1, minus 6. It needs additions alone, so it has the same bits on every machine.
fn normal(stream: &mut Stream) -> f32 {
    (0..12).map(|_| stream.uniform(-0.5, 0.5)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mnist_cnn::MnistCnn;

    #[test]
    fn names_are_those_of_json() {
        let all = [Init::Pytorch, Init::Seed, Init::Xavier, Init::He, Init::Patches];
        assert_eq!(serde_json::to_value(all).unwrap(), serde_json::json!(Init::NAMES));
    }

    #[test]
    fn bounds_are_those_of_the_papers_and_of_the_source() {
        let network = MnistCnn::default().architecture();
        let bounds = |init: Init| -> Vec<f32> {
            network.tensors().iter().map(|spec| init.bound(spec)).collect()
        };
        let close = |found: &[f32], expected: &[f32]| {
            found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 5e-6)
        };
        let pytorch = [0.2, 0.2, 0.012_627, 0.012_627, 0.088_388, 0.088_388];
        assert!(close(&bounds(Init::Pytorch), &pytorch));
        assert!(close(&bounds(Init::Seed), &[0.049_237, 0.0, 0.017_678, 0.0, 0.120_386, 0.0]));
        assert!(close(&bounds(Init::Xavier), &[0.085_280, 0.0, 0.030_619, 0.0, 0.208_514, 0.0]));
        assert!(close(&bounds(Init::He), &[0.489_898, 0.0, 0.030_929, 0.0, 0.216_506, 0.0]));
    }

    #[test]
    fn values_fill_the_interval_evenly() {
        let parameters = Init::Pytorch.parameters(&MnistCnn::default().architecture(), 1);
        let (_, fc1) = parameters.iter().nth(2).unwrap();
        let bound = 1.0 / 6272_f64.sqrt();
        let mean = fc1.iter().map(|&v| f64::from(v)).sum::<f64>() / fc1.len() as f64;
        let square = fc1.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / fc1.len() as f64;
        assert!(fc1.iter().all(|&v| f64::from(v).abs() <= bound + 1e-9));
        assert!(mean.abs() < bound / 300.0, "{mean}");
        assert!((square / (bound * bound / 3.0) - 1.0).abs() < 0.01, "{square}");
    }

    #[test]
    fn another_seed_gives_other_values() {
        let network = MnistCnn::default().architecture();
        let hash = |seed| Init::He.parameters(&network, seed).sha256();
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }

    #[test]
    fn filters_are_patches_of_images_that_are_not_blank() {
        let network = MnistCnn::default().architecture();
        // Half of each image is blank, and so are all images but one.
        let mut images = vec![0; 10 * 28 * 28];
        images[..14 * 28]
            .iter_mut()
            .enumerate()
            .for_each(|(i, pixel)| *pixel = (i * i % 251) as u8);
        let images = Split::new(images, [28, 28], vec![0; 10]);
        let mut parameters = Init::Patches.parameters(&network, 1);
        let before = parameters.clone();
        set_filters(&mut parameters, &images, 1);
        let tensors: Vec<_> = parameters.iter().collect();
        assert!(tensors[1].1.iter().all(|bias| *bias == 0.0));
        for filter in tensors[0].1.chunks_exact(25) {
            let mean = filter.iter().sum::<f32>() / 25.0;
            let norm = filter.iter().map(|value| value * value).sum::<f32>().sqrt();
            assert!(mean.abs() < 1e-6 && (norm - PATCH_NORM).abs() < 1e-5, "{filter:?}");
            let is_patch = |y: usize, x: usize| {
                let pixel = |i: usize| f32::from(images.image(0)[(y + i / 5) * 28 + x + i % 5]);
                let mean = (0..25).map(pixel).sum::<f32>() / 25.0;
                let norm = (0..25).map(|i| (pixel(i) - mean).powi(2)).sum::<f32>().sqrt();
                (0..25).all(|i| ((pixel(i) - mean) / norm * PATCH_NORM - filter[i]).abs() < 1e-4)
            };
            assert!((0..24).any(|y| (0..24).any(|x| is_patch(y, x))), "{filter:?}");
        }
        // Nothing else has changed, and without a patch that is not blank, filters are 0.
        assert!(before.iter().zip(parameters.iter()).skip(2).all(|(was, is)| was == is));
        let blank = Split::new(vec![7; 28 * 28], [28, 28], vec![0]);
        set_filters(&mut parameters, &blank, 1);
        assert!(parameters.iter().next().unwrap().1.iter().all(|value| *value == 0.0));
    }

    #[test]
    fn initial_values_never_change_between_releases() {
        let network = MnistCnn::default().architecture();
        for (init, expected) in [
            (Init::Pytorch, "2d49f2391fd0ec17"),
            (Init::Seed, "0a350f576011394d"),
            (Init::Xavier, "5bb9b4c5928bf645"),
            (Init::He, "9a668839d84898a1"),
            (Init::Patches, "2d49f2391fd0ec17"),
        ] {
            assert_eq!(
                init.parameters(&network, 1).sha256().to_string()[..16],
                *expected,
                "{init:?}"
            );
        }
    }
}
