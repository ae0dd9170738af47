//! The stage bf16, compared with an f64 program that rounds the same factors.
//!
//! The two differ in the order of sums. They also round a few factors differently, which are so
//! close to the middle between two bf16 numbers that a rounding error decides.

mod common;

use common::{Comparison, gradient, noise_split, see_gradient, to_f64};
use mnist_train::data::batches::{Batch, epoch_order};
use mnist_train::data::dataset::Split;
use mnist_train::data::synthetic::SIDE;
use mnist_train::engine::compute::Compute;
use mnist_train::model::init::Init;
use mnist_train::model::mnist_cnn::MnistCnn;
use mnist_train::model::parameters::{Parameters, TrainState};
use mnist_train::model::recipe::Recipe;
use mnist_train::optim::adam::Adam;
use mnist_train::simd::{self, Isa};
use mnist_train::stages::Stage;

const CELLS: usize = SIDE / 2;
/// Largest accepted error. One factor that is rounded differently in a sum of 13 or more changes it
/// by a 3000th. In a batch of fewer images it could change an element by a 256th, but the images
/// drawn here have no such factor.
const TOLERANCE: f64 = 1e-3;

/// `value` rounded to bf16: to the nearest number with 8 bits of significand, ties to even.
fn rounded(value: f64) -> f64 {
    let bits = (value as f32).to_bits();
    let even = bits >> 16 & 1;
    f64::from(f32::from_bits((bits + 0x7fff + even) & 0xffff_0000))
}

#[test]
fn rounding_goes_to_the_nearest_and_to_even() {
    let ulp = 2_f64.powi(-7);
    for (value, expected) in [
        (1.0, 1.0),
        (1.0 + 0.49 * ulp, 1.0),
        (1.0 + 0.5 * ulp, 1.0),
        (1.0 + 1.5 * ulp, 1.0 + 2.0 * ulp),
        (-1.0 - 0.51 * ulp, -1.0 - ulp),
        (255.0, 255.0),
    ] {
        assert_eq!(rounded(value), expected, "{value}");
    }
}

/// Gradient of `network` at `parameters` for all images of `split`, in the canonical form and
/// order. The factors of the large products are rounded to bf16; all other arithmetic is in f64.
fn rounded_gradient(network: &MnistCnn, parameters: &Parameters, split: &Split) -> Vec<Vec<f64>> {
    let MnistCnn { channels, kernel_size, hidden } = *network;
    let (images, features) = (split.len(), channels * CELLS * CELLS);
    let tensors: Vec<Vec<f64>> = parameters.iter().map(|(_, values)| to_f64(values)).collect();
    let [kernel, bias, w1, b1, w2, b2] = &tensors[..] else { panic!("six tensors") };
    // The products multiply pixels as whole numbers by weights divided by 255.
    let kernel: Vec<f64> = kernel.iter().map(|w| rounded(w * f64::from(1.0_f32 / 255.0))).collect();
    let w1: Vec<f64> = w1.iter().copied().map(rounded).collect();
    let border = kernel_size / 2;
    let pixel = |n: usize, y: usize, x: usize| {
        let inside = |at: usize| (border..border + SIDE).contains(&at);
        if inside(y) && inside(x) {
            f64::from(split.image(n)[(y - border) * SIDE + x - border])
        } else {
            0.0
        }
    };
    let blank: Vec<f64> = bias.iter().map(|&b| b.max(0.0)).collect();

    // Activations minus the activations of a blank cell, and the position of each maximum, if it is
    // above 0.
    let mut a = vec![0.0; images * features];
    let mut place = vec![None; images * features];
    for n in 0..images {
        for feature in 0..features {
            let (c, y, x) = (feature / (CELLS * CELLS), feature / CELLS % CELLS, feature % CELLS);
            let sum_at = |p: usize| {
                let (top, left) = (2 * y + p / 2, 2 * x + p % 2);
                let taps = (0..kernel_size * kernel_size).map(|tap| {
                    let (i, j) = (tap / kernel_size, tap % kernel_size);
                    kernel[c * kernel_size * kernel_size + tap] * pixel(n, top + i, left + j)
                });
                taps.sum::<f64>()
            };
            let sums = [0, 1, 2, 3].map(sum_at);
            let best = (1..4).fold(0, |best, p| if sums[p] > sums[best] { p } else { best });
            let sum = sums[best] + bias[c];
            a[n * features + feature] = rounded(sum.max(0.0) - blank[c]);
            place[n * features + feature] = (sum > 0.0).then_some(best);
        }
    }
    let of_blank = |feature: usize| rounded(blank[feature / (CELLS * CELLS)]);
    let common: Vec<f64> = (0..hidden)
        .map(|h| b1[h] + (0..features).map(|f| of_blank(f) * w1[h * features + f]).sum::<f64>())
        .collect();

    let classes = b2.len();
    let (mut dw2, mut db2) = (vec![0.0; w2.len()], vec![0.0; classes]);
    let (mut dz, mut db1) = (vec![0.0; images * hidden], vec![0.0; hidden]);
    for n in 0..images {
        let z: Vec<f64> = (0..hidden)
            .map(|h| {
                let row = w1[h * features..].iter().zip(&a[n * features..][..features]);
                common[h] + row.map(|(w, a)| w * a).sum::<f64>()
            })
            .collect();
        let logits: Vec<f64> = (0..classes)
            .map(|o| {
                let row = w2[o * hidden..].iter().zip(&z);
                b2[o] + row.map(|(w, z)| w * z.max(0.0)).sum::<f64>()
            })
            .collect();
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        for o in 0..classes {
            let target = f64::from(u8::from(usize::from(split.labels()[n]) == o));
            let d = (logits[o].exp() / total - target) / images as f64;
            db2[o] += d;
            for h in 0..hidden {
                dw2[o * hidden + h] += d * z[h].max(0.0);
                if z[h] > 0.0 {
                    dz[n * hidden + h] += d * w2[o * hidden + h];
                }
            }
        }
        db1.iter_mut().zip(&dz[n * hidden..]).for_each(|(sum, dz)| *sum += dz);
    }
    let dz: Vec<f64> = dz.into_iter().map(rounded).collect();
    let dz_sum: Vec<f64> = db1.iter().copied().map(rounded).collect();

    let mut dw1 = vec![0.0; w1.len()];
    let (mut dkernel, mut dbias) = (vec![0.0; kernel.len()], vec![0.0; channels]);
    for feature in 0..features {
        let (c, y, x) = (feature / (CELLS * CELLS), feature / CELLS % CELLS, feature % CELLS);
        let da =
            |dz: &[f64]| -> f64 { (0..hidden).map(|h| dz[h] * w1[h * features + feature]).sum() };
        for h in 0..hidden {
            let products = (0..images).map(|n| a[n * features + feature] * dz[n * hidden + h]);
            dw1[h * features + feature] = products.sum::<f64>() + of_blank(feature) * dz_sum[h];
        }
        let blank_positive = f64::from(u8::from(blank[c] > 0.0));
        dbias[c] += blank_positive * da(&dz_sum);
        for n in 0..images {
            let da = da(&dz[n * hidden..][..hidden]);
            dbias[c] -= blank_positive * da;
            let Some(place) = place[n * features + feature] else { continue };
            dbias[c] += da;
            let (top, left) = (2 * y + place / 2, 2 * x + place % 2);
            for tap in 0..kernel_size * kernel_size {
                let (i, j) = (tap / kernel_size, tap % kernel_size);
                dkernel[c * kernel_size * kernel_size + tap] +=
                    rounded(da) * pixel(n, top + i, left + j) / 255.0;
            }
        }
    }
    vec![dkernel, dbias, dw1, db1, dw2, db2]
}

/// The stage bf16 if this CPU can run it; otherwise checks that the stage says so.
fn bf16() -> Option<&'static Stage> {
    let stage = Stage::find("bf16").expect("a stage of the table");
    let unmet = stage.unmet(&MnistCnn::default().architecture(), &Recipe::default(), Isa::detect());
    assert_eq!(unmet.is_none(), simd::has_bf16(), "{unmet:?}");
    if let Some(unmet) = &unmet {
        assert!(unmet.contains("avx512_bf16"), "{unmet}");
    }
    unmet.is_none().then_some(stage)
}

#[test]
fn the_gradient_is_the_gradient_of_rounded_factors() {
    let Some(stage) = bf16() else { return };
    let network = |channels, kernel_size, hidden| MnistCnn { channels, kernel_size, hidden };
    let mut comparison = Comparison::default();
    for (network, images) in [
        (MnistCnn::default(), 1),
        (MnistCnn::default(), 5),
        (MnistCnn::default(), 65),
        (network(16, 3, 1), 13),
        (network(48, 5, 100), 14),
        (network(64, 3, 144), 13),
    ] {
        let architecture = network.architecture();
        let parameters = Init::Xavier.parameters(&architecture, 5);
        let split = noise_split(2, images);
        let expected = rounded_gradient(&network, &parameters, &split);
        let indices: Vec<u32> = (0..images as u32).collect();
        let compute = Compute { threads: 2, isa: Isa::Avx512 };
        let mut engine = stage.build(&architecture, &see_gradient(), compute).unwrap();
        let batch = Batch::new(&split, &indices);
        let found = gradient(engine.as_mut(), &parameters, &batch);
        for ((spec, found), expected) in found.iter().zip(&expected) {
            let what = format!("{network:?}, {images} images, {}", spec.name);
            comparison.slices(&what, found, expected, TOLERANCE);
        }
    }
    comparison.finish();
}

#[test]
fn losses_stay_near_the_losses_of_naive() {
    let Some(stage) = bf16() else { return };
    let split = noise_split(4, 9 * 13 + 4);
    let recipe = Recipe { batch_size: 13, ..Recipe::default() };
    let architecture = MnistCnn::default().architecture();
    let start = TrainState::new(recipe.init.parameters(&architecture, 3), &Adam::SLOTS);
    let losses = |stage: &Stage| -> Vec<f64> {
        let compute = Compute { threads: 2, isa: Isa::detect() };
        let mut engine = stage.build(&architecture, &recipe, compute).unwrap();
        engine.load(&start);
        let order = epoch_order(split.len(), 3, 0);
        let batches = order.chunks(recipe.batch_size);
        batches.map(|indices| engine.step(&Batch::new(&split, indices), recipe.lr).loss).collect()
    };
    let naive = losses(Stage::find("naive").expect("a stage of the table"));
    for (step, (found, expected)) in losses(stage).into_iter().zip(naive).enumerate() {
        // Each loss is a sum of 13 losses near 2.3.
        let close = (found - expected).abs() < 0.02 * 13.0;
        assert!(close, "step {step}: {found} {expected}");
        assert!(step > 0 || found != expected, "no factor was rounded");
    }
}
