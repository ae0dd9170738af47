//! Compares every stage with naive, and with itself on other numbers of threads.

mod allocation;
mod common;

use common::{
    Comparison, compute, exact, gradient, gradient_on_tape, noise_split, runnable, see_gradient,
    to_f64,
};
use mnist_train::data::augment::{Augment, Augmented};
use mnist_train::data::batches::{Batch, epoch_order};
use mnist_train::data::dataset::Split;
use mnist_train::data::synthetic;
use mnist_train::engine::compute::Compute;
use mnist_train::model::architecture::Architecture;
use mnist_train::model::init::Init;
use mnist_train::model::mnist_cnn::MnistCnn;
use mnist_train::model::parameters::{Parameters, TrainState};
use mnist_train::model::recipe::{OptimizerKind, Recipe};
use mnist_train::nn::cross_entropy;
use mnist_train::nn::shape::Shape;
use mnist_train::optim::Optimizer;
use mnist_train::optim::adam::Adam;
use mnist_train::ranks::{Ranks, local};
use mnist_train::simd::Isa;
use mnist_train::stages::{EngineKind, Stage};

fn stage(name: &str) -> &'static Stage {
    Stage::find(name).expect("a stage of the table")
}

fn indices(count: usize) -> Vec<u32> {
    (0..count as u32).collect()
}

/// A small network of the same kinds of layers, with a stride, a second convolution and odd sizes.
fn small_network() -> Architecture {
    Architecture::parse(
        "conv3k5s2p1,relu,conv4k3,relu,maxpool2,flatten,fc9,relu,fc10",
        Shape::image(1, 28, 28),
    )
    .expect("is a network")
}

#[test]
fn gradients_of_whole_networks_agree_with_a_tape() {
    let mut comparison = Comparison::default();
    for architecture in [small_network(), MnistCnn::default().architecture()] {
        let parameters = Init::Pytorch.parameters(&architecture, 11);
        let split = noise_split(1, 5);
        let expected = gradient_on_tape(&architecture, &parameters, &split);
        let indices = indices(split.len());
        let batch = Batch::new(&split, &indices);
        for (stage, isa) in exact(&architecture) {
            let mut engine =
                stage.build(&architecture, &see_gradient(), Compute { threads: 2, isa }).unwrap();
            let found = gradient(engine.as_mut(), &parameters, &batch);
            for ((spec, found), expected) in found.iter().zip(&expected) {
                let what = format!("{stage:?} {isa} {}", spec.name);
                comparison.slices(&what, found, expected, 1e-5);
            }
        }
    }
    comparison.finish();
}

/// Networks of the pattern that the fused engine runs, with sizes around the sizes of vectors, tiles
/// and groups.
fn networks_of_the_pattern() -> [MnistCnn; 4] {
    let network = |channels, kernel_size, hidden| MnistCnn { channels, kernel_size, hidden };
    [MnistCnn::default(), network(16, 3, 1), network(48, 5, 100), network(64, 3, 144)]
}

/// Compares the gradients and logits of every exact stage with those of naive, in a batch of the
/// first `size` images of `split`.
fn compare_with_naive(
    comparison: &mut Comparison,
    what: &str,
    architecture: &Architecture,
    parameters: &Parameters,
    split: &Split,
    size: usize,
) {
    let indices = indices(size);
    let batch = Batch::new(split, &indices);
    let mut naive = stage("naive").build(architecture, &see_gradient(), compute(1)).unwrap();
    let expected = gradient(naive.as_mut(), parameters, &batch);
    let expected_logits = to_f64(naive.predict(&batch));
    for (stage, isa) in exact(architecture).into_iter().skip(1) {
        let what = format!("{what} {stage:?} {isa} batch {size}");
        let compute = Compute { threads: 2, isa };
        let mut engine = stage.build(architecture, &see_gradient(), compute).unwrap();
        let found = gradient(engine.as_mut(), parameters, &batch);
        for ((spec, found), (_, expected)) in found.iter().zip(expected.iter()) {
            let what = format!("{what} {}", spec.name);
            comparison.slices(&what, found, &to_f64(expected), 1e-5);
        }
        // The first step of Adam moves each weight by the learning rate, against the sign of its
        // gradient. A gradient near 0 may have either sign, so logits are compared loosely.
        let logits = engine.predict(&batch);
        comparison.slices(&format!("{what} logits"), logits, &expected_logits, 1e-3);
    }
}

#[test]
fn every_stage_agrees_with_naive_at_every_batch_size() {
    let split = noise_split(2, 65);
    let mut comparison = Comparison::default();
    for network in networks_of_the_pattern() {
        let architecture = network.architecture();
        let parameters = Init::Xavier.parameters(&architecture, 5);
        // Naive is slow, so the other networks have one batch size, which is on no edge.
        let sizes = if network == MnistCnn::default() { &[1, 5, 63, 64, 65][..] } else { &[13] };
        for &size in sizes {
            let what = format!("{network:?}");
            compare_with_naive(&mut comparison, &what, &architecture, &parameters, &split, size);
        }
    }
    comparison.finish();
}

#[test]
fn every_stage_agrees_with_naive_whatever_is_zero() {
    let ink = noise_split(15, 200);
    let with = |pixel: fn(u8) -> u8| {
        let pixels = ink.images().iter().map(|&byte| pixel(byte)).collect();
        Split::new(pixels, ink.sides(), ink.labels().to_vec())
    };
    let (no_background, no_ink) = (with(|byte| byte.max(1)), with(|_| 0));
    let (all_live, all_dead) = ([1.0; 32], [-100.0; 32]);
    let mut one_live = all_dead;
    one_live[31] = 0.5;
    let mut half_live = all_live;
    half_live[..16].fill(-0.25);
    let architecture = MnistCnn::default().architecture();
    let mut comparison = Comparison::default();
    for (what, biases, split, size) in [
        ("no background", None, &no_background, 65),
        ("no ink", None, &no_ink, 13),
        ("all live", Some(all_live), &ink, 200),
        ("all live, no background", Some(all_live), &no_background, 9),
        ("all dead", Some(all_dead), &ink, 65),
        ("all dead, no ink", Some(all_dead), &no_ink, 1),
        ("one live channel", Some(one_live), &ink, 63),
        ("blank cells half live", Some(half_live), &ink, 64),
    ] {
        let mut parameters = Init::Pytorch.parameters(&architecture, 16);
        if let Some(biases) = biases {
            let conv_bias = parameters.iter_mut().nth(1).expect("a tensor").1;
            conv_bias.copy_from_slice(&biases);
        }
        compare_with_naive(&mut comparison, what, &architecture, &parameters, split, size);
    }
    let mut parameters = Init::Pytorch.parameters(&architecture, 16);
    parameters.iter_mut().nth(3).expect("a tensor").1.fill(-100.0);
    let what = "every hidden unit silent";
    compare_with_naive(&mut comparison, what, &architecture, &parameters, &ink, 9);
    comparison.finish();
}

#[test]
fn every_stage_agrees_with_naive_on_augmented_images() {
    let split = synthetic::generate(17, 33, 1).train;
    let order = indices(split.len());
    let architecture = MnistCnn::default().architecture();
    let parameters = Init::Pytorch.parameters(&architecture, 17);
    let mut comparison = Comparison::default();
    for kind in [Augment::Shift, Augment::Affine, Augment::Elastic] {
        let mut augmented = Augmented::new(kind, 17, split.sides(), split.len());
        augmented.fill(&Batch::new(&split, &order), 0);
        let batch = augmented.batch();
        let pixels = batch.images().flatten().copied().collect();
        let images = Split::new(pixels, split.sides(), batch.labels().collect());
        let what = format!("{kind:?}");
        compare_with_naive(&mut comparison, &what, &architecture, &parameters, &images, 33);
    }
    comparison.finish();
}

/// Trains ten steps on shuffled batches, of which the last is smaller; returns the losses and the
/// state.
fn ten_steps(stage: &Stage, compute: Compute, split: &Split) -> (Vec<f64>, TrainState) {
    ten_steps_by(&Recipe::default(), stage, compute, split)
}

/// Trains ten steps as [`ten_steps`], by `recipe` but for its size of the batches.
fn ten_steps_by(
    recipe: &Recipe,
    stage: &Stage,
    compute: Compute,
    split: &Split,
) -> (Vec<f64>, TrainState) {
    ten_steps_of(&MnistCnn::default().architecture(), recipe, stage, compute, split, None)
}

/// Trains ten steps of `architecture` as [`ten_steps_by`], as one of the `ranks`, if there are several.
fn ten_steps_of(
    architecture: &Architecture,
    recipe: &Recipe,
    stage: &Stage,
    compute: Compute,
    split: &Split,
    ranks: Option<Ranks>,
) -> (Vec<f64>, TrainState) {
    let recipe = Recipe { batch_size: 13, ..recipe.clone() };
    let mut engine = stage.build(architecture, &recipe, compute).unwrap();
    ranks.into_iter().for_each(|ranks| engine.join(ranks));
    let parameters = recipe.init.parameters(architecture, 3);
    engine.load(&TrainState::new(parameters, Optimizer::from(&recipe).slots()));
    let order = epoch_order(split.len(), 3, 0);
    let losses = order
        .chunks(recipe.batch_size)
        .map(|indices| engine.step(&Batch::new(split, indices), recipe.lr).loss)
        .collect();
    (losses, engine.store())
}

#[test]
fn ten_losses_of_every_stage_agree_with_naive() {
    let split = noise_split(4, 9 * 13 + 4);
    let (expected, state) = ten_steps(stage("naive"), compute(1), &split);
    assert_eq!((expected.len(), state.steps), (10, 10));
    for (stage, isa) in exact(&MnistCnn::default().architecture()).into_iter().skip(1) {
        let (losses, _) = ten_steps(stage, Compute { threads: 2, isa }, &split);
        for (step, (found, expected)) in losses.iter().zip(&expected).enumerate() {
            // Each loss is a sum of 13 losses near 2.3; the error grows with every step of Adam.
            let close = (found - expected).abs() < 2e-3;
            assert!(close, "{stage:?} {isa} step {step}: {found} {expected}");
        }
    }
}

#[test]
fn every_stage_that_takes_an_option_trains_as_naive_does() {
    let split = noise_split(4, 9 * 13 + 4);
    let architecture = MnistCnn::default().architecture();
    let [adamw, sgd] = [OptimizerKind::AdamW, OptimizerKind::Sgd].map(Recipe::with_optimizer);
    // A decay that the weights show after ten steps.
    let adamw = Recipe { weight_decay: 5.0, ..adamw };
    let sgd = Recipe { lr: 0.1, ..sgd };
    let nesterov = Recipe { momentum: 0.9, nesterov: true, lr: 0.01, ..sgd.clone() };
    let smoothed = Recipe { label_smoothing: 0.2, ..Recipe::default() };
    for recipe in [adamw, sgd, nesterov, smoothed] {
        let (expected, state) = ten_steps_by(&recipe, stage("naive"), compute(1), &split);
        let mut trained = 0;
        for (stage, isa) in exact(&architecture).into_iter().skip(1) {
            if stage.unmet(&architecture, &recipe, isa).is_some() {
                continue;
            }
            trained += 1;
            let (losses, found) = ten_steps_by(&recipe, stage, Compute { threads: 2, isa }, &split);
            for (step, (found, expected)) in losses.iter().zip(&expected).enumerate() {
                let close = (found - expected).abs() < 2e-3;
                assert!(close, "{recipe:?} {stage:?} {isa} step {step}: {found} {expected}");
            }
            let norm = |state: &TrainState| {
                state.parameters.values().iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt()
            };
            let (found, expected) = (norm(&found), norm(&state));
            assert!((found / expected - 1.0).abs() < 1e-4, "{stage:?}: {found} {expected}");
        }
        assert!(trained >= 3, "im2col, gemm and tiled at least");
    }
}

#[test]
fn a_frozen_convolution_keeps_its_bits_and_all_else_trains_as_with_naive() {
    let split = noise_split(4, 9 * 13 + 4);
    let architecture = MnistCnn::default().architecture();
    // The first steps train all layers, so that there are moments; the last one does so again.
    let train = |stage: &Stage, compute| {
        let recipe = Recipe { batch_size: 13, ..Recipe::default() };
        let mut engine = stage.build(&architecture, &recipe, compute).unwrap();
        let parameters = recipe.init.parameters(&architecture, 3);
        engine.load(&TrainState::new(parameters, Optimizer::from(&recipe).slots()));
        let order = epoch_order(split.len(), 3, 0);
        let (mut losses, mut states) = (Vec::new(), Vec::new());
        for (step, indices) in order.chunks(13).enumerate() {
            engine.freeze_convolutions((3..9).contains(&step));
            losses.push(engine.step(&Batch::new(&split, indices), recipe.lr).loss);
            states.push(engine.store());
        }
        (losses, states)
    };
    // Weights and moments of the convolution, or of all other layers.
    let parts = |state: &TrainState, of_convolution: bool| -> Vec<f32> {
        let slots = state.slots.iter().map(|slot| &slot.values);
        let all = [&state.parameters].into_iter().chain(slots).flat_map(Parameters::iter);
        let parts = all.filter(|(spec, _)| spec.name.starts_with("conv") == of_convolution);
        parts.flat_map(|(_, values)| values.to_vec()).collect()
    };
    let (expected, reference) = train(stage("naive"), compute(1));
    for (stage, isa) in exact(&architecture) {
        let (losses, states) = train(stage, Compute { threads: 2, isa });
        for step in 1..10 {
            let [before, after] = [&states[step - 1], &states[step]];
            let is_frozen = parts(before, true) == parts(after, true);
            assert_eq!(is_frozen, (3..9).contains(&step), "{stage:?} {isa} step {step}");
            assert_ne!(parts(before, false), parts(after, false), "{stage:?} {isa} step {step}");
        }
        for (step, (found, expected)) in losses.iter().zip(&expected).enumerate() {
            let close = (found - expected).abs() < 2e-3;
            assert!(close, "{stage:?} {isa} step {step}: {found} {expected}");
        }
        let norms = [&states[9], &reference[9]].map(|state| state.parameters.norm());
        assert!((norms[0] / norms[1] - 1.0).abs() < 1e-4, "{stage:?} {isa}: {norms:?}");
    }
}

#[test]
fn the_fused_engine_leaves_gradient_descent_to_other_stages() {
    let architecture = MnistCnn::default().architecture();
    let sgd = Recipe::with_optimizer(OptimizerKind::Sgd);
    let unmet = stage("live").unmet(&architecture, &sgd, Isa::Portable).unwrap();
    assert!(unmet.contains("live cannot train with --optimizer sgd"), "{unmet}");
    assert_eq!(Stage::fastest_exact(&architecture, &sgd).name, "tiled");
    let adamw = Recipe::with_optimizer(OptimizerKind::AdamW);
    assert_eq!(Stage::fastest_exact(&architecture, &adamw).name, "live");
}

#[test]
fn the_counted_work_does_not_depend_on_the_batch_before() {
    let inked = noise_split(7, 20);
    let mut pixels = vec![0; 3 * 784];
    pixels[784 + 300..784 + 320].fill(200);
    let blank = Split::new(pixels, [28, 28], vec![1, 2, 3]);
    let (many, few) = (indices(20), indices(3));
    let architecture = MnistCnn::default().architecture();
    let state = TrainState::new(Init::Pytorch.parameters(&architecture, 5), &Adam::SLOTS);
    for (stage, isa) in runnable(&architecture) {
        let work_after = |batches: &[Batch<'_>]| {
            let compute = Compute { isa, threads: 1 };
            let mut engine = stage.build(&architecture, &Recipe::default(), compute).unwrap();
            engine.load(&state);
            for batch in batches {
                engine.predict(batch);
            }
            engine.measure_phases(true);
            engine.step(&Batch::new(&blank, &few), 1e-3);
            engine.take_phases().total().flops
        };
        let alone = work_after(&[]);
        assert_eq!(work_after(&[Batch::new(&inked, &many)]), alone, "{} on {isa}", stage.name);
    }
}

#[test]
fn a_prediction_of_all_stages_but_gemm_allocates_nothing() {
    let split = noise_split(5, 100);
    let indices = indices(split.len());
    let batch = Batch::new(&split, &indices);
    let architecture = MnistCnn::default().architecture();
    let stages = runnable(&architecture).into_iter().filter(|(stage, _)| stage.name != "gemm");
    for (stage, isa) in stages {
        let compute = Compute { isa, threads: 1 };
        let mut engine = stage.build(&architecture, &Recipe::default(), compute).unwrap();
        let first = allocation::peak_bytes(|| engine.predict(&batch).len()).1;
        assert!(first > 0, "the first batch needs memory");
        let bytes = allocation::peak_bytes(|| engine.predict(&batch).len()).1;
        assert_eq!(bytes, 0, "{} on {isa}", stage.name);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let split = noise_split(6, 9 * 13 + 4);
    let runnable = runnable(&MnistCnn::default().architecture());
    for (stage, isa) in runnable.into_iter().filter(|(stage, _)| stage.multithreaded) {
        let (losses, state) = ten_steps(stage, Compute { threads: 1, isa }, &split);
        for threads in [2, 3, 7] {
            let (other_losses, other_state) = ten_steps(stage, Compute { threads, isa }, &split);
            assert_eq!(losses, other_losses, "{stage:?} {isa} on {threads} threads");
            assert_eq!(state.parameters.sha256(), other_state.parameters.sha256());
            assert!(state == other_state, "moments of {stage:?} {isa} on {threads} threads");
        }
    }
}

#[test]
fn ranks_that_share_the_rows_of_cells_give_the_bits_of_one_process() {
    let split = noise_split(6, 9 * 13 + 4);
    let architecture = MnistCnn::default().architecture();
    let batch = indices(21);
    let trained = |stage: &Stage, isa, threads, ranks: Option<Ranks>| {
        let recipe = Recipe::default();
        let compute = Compute { threads, isa };
        let ten = ten_steps_of(&architecture, &recipe, stage, compute, &split, ranks.clone());
        // A prediction of the trained network, by another engine.
        let mut engine = stage.build(&architecture, &recipe, compute).unwrap();
        ranks.into_iter().for_each(|ranks| engine.join(ranks));
        engine.load(&ten.1);
        let logits = engine.predict(&Batch::new(&split, &batch)).to_vec();
        (ten, logits)
    };
    let engines = runnable(&architecture).into_iter();
    let engines = engines.filter(|(stage, _)| matches!(stage.engine, EngineKind::Fused { .. }));
    for (stage, isa) in engines {
        let expected = trained(stage, isa, 2, None);
        for count in [2, 4, 8] {
            let found = local::run(count, |ranks| trained(stage, isa, 1, Some(ranks)));
            let same = found.iter().all(|found| *found == expected);
            assert!(same, "{stage:?} {isa}, {count} ranks");
        }
    }
}

#[test]
fn ranks_that_share_the_parts_of_a_batch_give_the_bits_of_one_process() {
    let split = noise_split(6, 9 * 13 + 4);
    let networks = [
        "conv3k5s2p1,batchnorm,relu,maxpool2,flatten,dropout0.5,fc9,relu,fc10",
        "rows,lstm8,layernorm,attn4,last,fc10",
    ];
    let recipe =
        Recipe { accumulate: 8, clip_norm: 0.5, label_smoothing: 0.1, ..Recipe::default() };
    let sgd = Recipe { accumulate: 8, momentum: 0.9, ..Recipe::with_optimizer(OptimizerKind::Sgd) };
    for (network, recipe) in networks.iter().zip([recipe, sgd]) {
        let architecture = Architecture::parse(network, Shape::image(1, 28, 28)).unwrap();
        for stage in [stage("im2col"), stage("tiled")] {
            let steps = |threads, ranks| {
                let compute = compute(threads);
                ten_steps_of(&architecture, &recipe, stage, compute, &split, ranks)
            };
            let expected = steps(2, None);
            for count in [2, 4, 8] {
                // Batches of 13 have 7 parts of two images, and the last one has 4 parts of one image,
                // so some ranks have no part.
                let found = local::run(count, |ranks| steps(1, Some(ranks)));
                let same = found.iter().all(|found| *found == expected);
                assert!(same, "{network} {stage:?}, {count} ranks");
            }
        }
    }
}

#[test]
fn fused_and_parallel_give_the_same_bits() {
    let split = noise_split(9, 9 * 13 + 4);
    for isa in stage("fused").isas(&MnistCnn::default().architecture(), &Recipe::default()) {
        let (losses, state) = ten_steps(stage("fused"), Compute { threads: 1, isa }, &split);
        let parallel = ten_steps(stage("parallel"), Compute { threads: 2, isa }, &split);
        assert!(parallel == (losses, state), "{isa}");
    }
}

#[test]
fn a_state_comes_back_from_every_engine_as_it_went_in() {
    let split = noise_split(8, 20);
    for network in networks_of_the_pattern() {
        let architecture = network.architecture();
        let mut gemm = stage("gemm").build(&architecture, &see_gradient(), compute(2)).unwrap();
        let parameters = Init::Pytorch.parameters(&architecture, 4);
        gradient(gemm.as_mut(), &parameters, &Batch::new(&split, &indices(20)));
        let state = gemm.store();
        for (stage, isa) in runnable(&architecture) {
            let mut engine =
                stage.build(&architecture, &see_gradient(), Compute { threads: 2, isa }).unwrap();
            engine.load(&state);
            assert!(engine.store() == state, "{stage:?} {isa} {network:?}");
        }
    }
}

#[test]
fn a_batch_does_not_depend_on_the_size_of_the_batch_before() {
    let split = noise_split(10, 70);
    let architecture = MnistCnn::default().architecture();
    let parameters = Init::Pytorch.parameters(&architecture, 4);
    for (stage, isa) in runnable(&architecture).into_iter().skip(1) {
        // The batch sizes grow within a group of images and across groups, and shrink again.
        for sizes in [[9, 70], [70, 9], [3, 7], [57, 64]] {
            let [before, batch] = sizes.map(indices);
            let [before, batch] = [&before, &batch].map(|indices| Batch::new(&split, indices));
            let compute = Compute { threads: 2, isa };
            let mut fresh = stage.build(&architecture, &see_gradient(), compute).unwrap();
            let expected = gradient(fresh.as_mut(), &parameters, &batch);
            let mut engine = stage.build(&architecture, &see_gradient(), compute).unwrap();
            engine.predict(&before);
            let found = gradient(engine.as_mut(), &parameters, &batch);
            assert!(found == expected, "{stage:?} {isa} {sizes:?}, after a prediction");
            gradient(engine.as_mut(), &parameters, &before);
            let found = gradient(engine.as_mut(), &parameters, &batch);
            assert!(found == expected, "{stage:?} {isa} {sizes:?}, after a step");
        }
    }
}

#[test]
fn a_stage_says_which_networks_it_cannot_run() {
    let (fused, isa) = (stage("fused"), Isa::detect());
    assert_eq!(fused.unmet(&MnistCnn::default().architecture(), &Recipe::default(), isa), None);
    let unmet = fused.unmet(&small_network(), &Recipe::default(), isa);
    assert!(unmet.is_some_and(|unmet| unmet.contains("multiple of 16")));
    assert_eq!(Stage::fastest_exact(&small_network(), &Recipe::default()).name, "tiled");
    assert_eq!(
        Stage::fastest_exact(&MnistCnn::default().architecture(), &Recipe::default()).name,
        "live"
    );
}

#[test]
fn an_engine_starts_the_threads_that_its_stage_says() {
    let architecture = MnistCnn::default().architecture();
    for (stage, isa) in runnable(&architecture) {
        for most in [1, 3, 40] {
            let engine =
                stage.build(&architecture, &see_gradient(), Compute { threads: most, isa });
            assert_eq!(engine.unwrap().threads(), stage.threads(most), "{stage:?}");
        }
    }
    let of_forty = ["naive", "gemm", "fused", "sparse"].map(|name| stage(name).threads(40));
    assert_eq!(of_forty, [1, 40, 1, 14], "as many as there are rows of cells");
}

#[test]
fn the_smallest_eps_makes_no_weight_nan() {
    let split = noise_split(14, 9);
    let architecture = MnistCnn::default().architecture();
    let indices = indices(9);
    let parameters = Init::Pytorch.parameters(&architecture, 4);
    let recipe = Recipe { eps: f32::from_bits(1).into(), ..Recipe::default() };
    for (stage, isa) in runnable(&architecture) {
        let mut engine = stage.build(&architecture, &recipe, Compute { threads: 1, isa }).unwrap();
        engine.load(&TrainState::new(parameters.clone(), &Adam::SLOTS));
        assert!(engine.step(&Batch::new(&split, &indices), 1e-3).loss.is_finite(), "{stage:?}");
    }
}

#[test]
fn a_cpu_that_has_wide_vectors_is_tested_with_them() {
    // The tests above skip instructions that the CPU lacks; they must not skip those it has.
    let architecture = MnistCnn::default().architecture();
    let fused = stage("fused").isas(&architecture, &Recipe::default());
    assert!(fused.contains(&Isa::Portable));
    assert_eq!(fused.contains(&Isa::Neon), cfg!(target_arch = "aarch64"));
    #[cfg(target_arch = "x86_64")]
    {
        assert_eq!(fused.contains(&Isa::Avx512), is_x86_feature_detected!("avx512bw"));
        assert_eq!(fused.contains(&Isa::Avx2), is_x86_feature_detected!("avx2"));
        let bf16 = stage("bf16").isas(&architecture, &Recipe::default());
        assert_eq!(bf16 == [Isa::Avx512], is_x86_feature_detected!("avx512bf16"));
    }
}

#[test]
fn a_step_that_leaves_a_weight_that_is_not_finite_has_no_loss() {
    let split = noise_split(13, 9);
    let architecture = MnistCnn::default().architecture();
    let indices = indices(9);
    let batch = Batch::new(&split, &indices);
    for (stage, isa) in runnable(&architecture) {
        let compute = Compute { threads: 2, isa };
        let mut engine = stage.build(&architecture, &Recipe::default(), compute).unwrap();
        let parameters = Init::Pytorch.parameters(&architecture, 4);
        let good = TrainState::new(parameters, &Adam::SLOTS);
        for tensor in 0..6 {
            let mut state = good.clone();
            let moments = state.slots[0].values.iter_mut().nth(tensor).expect("one of six").1;
            *moments.last_mut().expect("a moment") = f32::INFINITY;
            engine.load(&state);
            let loss = engine.step(&batch, 1e-3).loss;
            assert!(loss.is_nan(), "{stage:?} {isa}, tensor {tensor}: {loss}");
        }
        engine.load(&good);
        assert!(engine.step(&batch, 1e-3).loss.is_finite(), "{stage:?} {isa}");
    }
}

/// Number of the four pairs of bits to which `network` gives the right label, 0 or 1, after 100 steps
/// of gradient descent at the rate 0.5, each with all four pairs.
fn learned(stage: &Stage, isa: Isa, network: &str, labels: [u16; 4]) -> usize {
    let architecture = Architecture::parse(network, Shape::image(1, 1, 2)).expect("is a network");
    let recipe = Recipe { l2: 0.0, ..Recipe::with_optimizer(OptimizerKind::Sgd) };
    let mut engine = stage.build(&architecture, &recipe, Compute { threads: 2, isa }).unwrap();
    let slots = Optimizer::from(&recipe).slots();
    engine.load(&TrainState::new(Init::Pytorch.parameters(&architecture, 1), slots));
    let split = Split::new(vec![0, 0, 0, 255, 255, 0, 255, 255], [1, 2], labels.to_vec());
    let order = indices(4);
    let batch = Batch::new(&split, &order);
    for _ in 0..100 {
        engine.step(&batch, 0.5);
    }
    cross_entropy::evaluate(engine.predict(&batch), batch.labels()).correct
}

#[test]
fn every_exact_stage_learns_and_or_and_with_a_hidden_layer_xor() {
    let (perceptron, hidden) = ("flatten,fc2", "flatten,fc8,tanh,fc2");
    let [and, or, xor] = [[0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 1, 0]];
    let architecture = Architecture::parse(hidden, Shape::image(1, 1, 2)).expect("is a network");
    for (stage, isa) in exact(&architecture) {
        for (network, labels) in [(perceptron, and), (perceptron, or), (hidden, xor)] {
            assert_eq!(learned(stage, isa, network, labels), 4, "{stage:?} {isa} {labels:?}");
        }
        // No line parts the pairs of XOR.
        assert!(learned(stage, isa, perceptron, xor) < 4, "{stage:?} {isa}");
    }
}
