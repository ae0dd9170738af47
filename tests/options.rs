//! Options of a step that holds a whole gradient: parts of a batch, clipping, and activations that
//! are computed again.

mod common;

use common::{compute, noise_split};
use mnist_train::data::batches::{Batch, epoch_order};
use mnist_train::data::dataset::ImageFormat;
use mnist_train::data::dataset::Split;
use mnist_train::engine::Engine;
use mnist_train::model::architecture::Architecture;
use mnist_train::model::parameters::{Parameters, TrainState};
use mnist_train::model::presets::{self, PRESETS};
use mnist_train::model::recipe::{OptimizerKind, Recipe};
use mnist_train::nn::tensor::Role;
use mnist_train::optim::Optimizer;
use mnist_train::stages::Stage;

/// Engine of `stage` for `architecture` and `recipe`, with initial weights.
fn engine(stage: &str, architecture: &Architecture, recipe: &Recipe) -> Box<dyn Engine> {
    let mut engine = Stage::find(stage).unwrap().build(architecture, recipe, compute(2)).unwrap();
    let parameters = recipe.init.parameters(architecture, recipe.seed);
    engine.load(&TrainState::new(parameters, Optimizer::from(recipe).slots()));
    engine
}

/// Trains an epoch of `split`. Returns the losses and the norms of the gradients of its steps, and
/// the state.
fn train(
    stage: &str,
    architecture: &Architecture,
    recipe: &Recipe,
    split: &Split,
) -> (Vec<(f64, f64)>, TrainState) {
    let mut engine = engine(stage, architecture, recipe);
    let steps = epoch_order(split.len(), 3, 0)
        .chunks(recipe.batch_size)
        .map(|indices| {
            let loss = engine.step(&Batch::new(split, indices), recipe.lr).loss;
            (loss, engine.gradient_norm().expect("the engine holds the gradient"))
        })
        .collect();
    (steps, engine.store())
}

/// Checks that the weights of two states differ by at most `tolerance`, relative to the largest of
/// their tensor.
fn assert_close(found: &Parameters, expected: &Parameters, tolerance: f32, what: &str) {
    for ((spec, found), (_, expected)) in found.iter().zip(expected.iter()) {
        let largest = expected.iter().fold(0.0, |largest: f32, w| largest.max(w.abs()));
        for (found, expected) in found.iter().zip(expected) {
            let error = (found - expected).abs();
            assert!(error <= tolerance * largest, "{what} {}: {found} {expected}", spec.name);
        }
    }
}

#[test]
fn a_batch_in_parts_trains_as_a_whole_batch() {
    // The last of three steps has 4 images, fewer than some numbers of parts.
    let split = noise_split(4, 2 * 13 + 4);
    let sgd = Recipe::with_optimizer(OptimizerKind::Sgd);
    let whole = Recipe { batch_size: 13, lr: 0.05, momentum: 0.9, l2: 0.0, ..sgd };
    for text in [
        "conv4k5p2,relu,maxpool2,dropout0.5,flatten,fc16,relu,fc10",
        "patches7,fc8,pos,res(layernorm,attn2),dropout0.2,mean,fc10",
        "rows,lstm6,last,fc10",
    ] {
        let architecture = presets::network(text, ImageFormat::MNIST).unwrap();
        let (expected, state) = train("gemm", &architecture, &whole, &split);
        for accumulate in [2, 3, 8, 13] {
            let parts = Recipe { accumulate, ..whole.clone() };
            let what = format!("{text} in {accumulate} parts");
            let (found, after) = train("gemm", &architecture, &parts, &split);
            for ((loss, norm), (whole_loss, whole_norm)) in found.iter().zip(&expected) {
                assert!((loss / whole_loss - 1.0).abs() < 1e-6, "{what}: {loss} {whole_loss}");
                assert!((norm / whole_norm - 1.0).abs() < 1e-5, "{what}: {norm} {whole_norm}");
            }
            assert_close(&after.parameters, &state.parameters, 1e-5, &what);
        }
    }
}

#[test]
fn a_running_mean_is_that_of_the_whole_batch_however_it_is_cut() {
    let split = noise_split(5, 12);
    let architecture =
        presets::network("conv3k3,batchnorm,relu,flatten,fc10", ImageFormat::MNIST).unwrap();
    let whole = Recipe { batch_size: 12, ..Recipe::default() };
    let parts = Recipe { accumulate: 5, ..whole.clone() };
    let mean = |recipe| {
        let (_, state) = train("gemm", &architecture, recipe, &split);
        let mut tensors = state.parameters.iter();
        tensors.find(|(spec, _)| spec.role == Role::RunningMean).expect("it has one").1.to_vec()
    };
    for (found, expected) in mean(&parts).into_iter().zip(mean(&whole)) {
        assert!(expected.abs() > 1e-4, "{expected}");
        assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn activations_that_are_computed_again_change_no_bit() {
    let split = noise_split(6, 7);
    let with_names = PRESETS.iter().map(|preset| preset.name);
    let blocks = "conv4k3p1,res(batchnorm,relu,res(conv4k3p1,dropout0.4)),maxpool2,res(relu),\
                  flatten,dropout0.3,res(fc784,res(tanh)),fc10";
    for text in with_names.chain([blocks, "flatten,fc10", "conv10k28,flatten"]) {
        let architecture = presets::network(text, ImageFormat::MNIST).unwrap();
        let all = Recipe { batch_size: 4, ..Recipe::default() };
        let expected = train("tiled", &architecture, &all, &split);
        for keep_every in [2, 3, 5, usize::MAX] {
            let some = Recipe { checkpoint_activations: keep_every, ..all.clone() };
            let found = train("tiled", &architecture, &some, &split);
            assert!(found == expected, "{text}, every {keep_every}");
        }
    }
}

#[test]
fn fewer_kept_activations_take_less_memory() {
    let tiled = Stage::find("tiled").unwrap();
    let bytes = |name, keep_every| {
        let recipe = Recipe { checkpoint_activations: keep_every, ..Recipe::default() };
        tiled.activation_bytes(&presets::network(name, ImageFormat::MNIST).unwrap(), &recipe)
    };
    for name in ["deep", "resnet", "attention"] {
        let (all, every_third) = (bytes(name, 1), bytes(name, 3));
        assert!(every_third < all * 9 / 10, "{name}: {every_third} of {all}");
    }
}

#[test]
fn a_gradient_is_clipped_to_the_norm_and_reported_before() {
    let split = noise_split(7, 8);
    let architecture =
        presets::network("flatten,fc16,relu,batchnorm,fc10", ImageFormat::MNIST).unwrap();
    let sgd = Recipe::with_optimizer(OptimizerKind::Sgd);
    let free = Recipe { batch_size: 8, lr: 0.5, l2: 0.0, ..sgd };
    let before = free.init.parameters(&architecture, free.seed);
    // Length of the step that the parameters took, but for running statistics.
    let moved = |after: &Parameters| {
        let pairs = after.iter().zip(before.iter());
        let trained = pairs.filter(|((spec, _), _)| !spec.role.is_running());
        let squares = trained.flat_map(|((_, after), (_, before))| {
            after.iter().zip(before).map(|(a, b)| f64::from(a - b).powi(2)).collect::<Vec<_>>()
        });
        squares.sum::<f64>().sqrt() / free.lr
    };
    let (steps, state) = train("gemm", &architecture, &free, &split);
    let norm = steps[0].1;
    assert!((moved(&state.parameters) / norm - 1.0).abs() < 1e-4);
    for (most, expected) in [(norm / 4.0, norm / 4.0), (norm * 2.0, norm)] {
        let clipped = Recipe { clip_norm: most, ..free.clone() };
        let (steps, state) = train("gemm", &architecture, &clipped, &split);
        assert_eq!(steps[0].1, norm);
        let moved = moved(&state.parameters);
        assert!((moved / expected - 1.0).abs() < 1e-4, "{most}: {moved} {expected}");
    }
}
