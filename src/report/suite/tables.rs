//! The tables of a report: what each of their columns is.

use super::table::Side::{Left, Right};
use super::table::{Column, Table};
use crate::measure::statistics::Line;
use crate::report::ablations::{AblationRow, BenchAblations};
use crate::report::autograd::{AutogradRow, BenchAutograd, BookkeepingRow};
use crate::report::bench::{Bench, BenchRow};
use crate::report::budget::{BenchBudget, BudgetRow, Source};
use crate::report::infer::{self, BenchInfer, InferRow, PrecisionRow, WidthRow};
use crate::report::layers::{BenchLayer, BenchLayers, Direction, LayerRow, SourceMs};
use crate::report::memory::{BenchMemory, LayerMemory, MemoryRow};
use crate::report::text::bench::{known, speedup};
use crate::report::text::budget::amount;
use crate::report::text::layers::time;
use crate::report::text::numbers::{digits, grouped};

/// What the mark of an inconclusive ratio means.
const INCONCLUSIVE: &str = "×: median of the ratios of the same rounds; ~: inconclusive, because the \
                            95 % interval contains 1 or there are fewer than 6 rounds.";

/// Share as a percentage.
fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn megabytes(bytes: u64) -> String {
    digits(bytes as f64 / 1e6)
}

/// Table of the stages.
pub fn stages(bench: &Bench) -> Table {
    let columns: [Column<&BenchRow>; 11] = [
        ("stage", Left, |row| row.stage.into()),
        ("threads", Right, |row| row.threads.to_string()),
        ("ms/step", Right, |row| digits(row.step_ms.median)),
        ("MAD", Right, |row| digits(row.step_ms.mad)),
        ("images/s", Right, |row| grouped(row.images_per_second as usize)),
        ("× naive", Right, |row| speedup(row.over_naive)),
        ("× previous", Right, |row| speedup(row.over_previous)),
        ("GFLOP/s", Right, |row| digits(row.gflops)),
        ("of peak", Right, |row| known(row.peak_share, percent)),
        ("allocations", Right, |row| known(row.allocations_per_step, digits)),
        ("RSS MB", Right, |row| known(row.peak_rss_bytes, megabytes)),
    ];
    Table::new("bench stages", "Stages", &columns, &bench.rows).with_note(format!(
        "ms/step: median; MAD: median absolute deviation; previous: the stage from which the stage \
         starts; allocations: in a step; RSS: largest memory of a separate process, with the data. \
         {INCONCLUSIVE}"
    ))
}

/// Tables of layers.
pub fn layers(bench: &BenchLayers) -> Vec<Table> {
    let columns: [Column<(&BenchLayer, &LayerRow)>; 12] = [
        ("layer", Left, |(layer, _)| layer.name.into()),
        ("pass", Left, |(_, row)| row.pass.name().into()),
        ("stage", Left, |(_, row)| row.stage.into()),
        ("threads", Right, |(_, row)| row.threads.to_string()),
        ("time", Right, |(_, row)| time(row.timed.call_ms.median)),
        ("MAD", Right, |(_, row)| time(row.timed.call_ms.mad)),
        ("GFLOP/s", Right, |(_, row)| known(row.gflops, digits)),
        ("of peak", Right, |(_, row)| known(row.peak_share, percent)),
        ("GB/s", Right, |(_, row)| known(row.gbytes_per_second, digits)),
        ("× naive", Right, |(_, row)| speedup(row.over_naive)),
        ("allocations", Right, |(_, row)| known(row.timed.allocations_per_call, digits)),
        ("bytes", Right, |(_, row)| known(row.timed.allocated_bytes_per_call, digits)),
    ];
    let rows = bench.layers.iter().flat_map(|layer| layer.rows.iter().map(move |row| (layer, row)));
    let times = Table::new("bench layers", "Times of the passes", &columns, rows).with_note(format!(
        "time: median; MAD: median absolute deviation; GB/s: all tensors, each read or written once, \
         where memory is the limit; allocations, bytes: in a call. A call of naive above {} ms is not \
         repeated and has no row. {INCONCLUSIVE}",
        digits(bench.call_budget_ms),
    ));

    let columns: [Column<&BenchLayer>; 6] = [
        ("layer", Left, |layer| layer.name.into()),
        ("text", Left, |layer| layer.layer.clone()),
        ("input", Left, |layer| shape(&layer.input)),
        ("output", Left, |layer| shape(&layer.output)),
        ("images", Right, |layer| layer.batch_size.to_string()),
        ("problem of benchdnn --conv", Left, |layer| layer.benchdnn.clone().unwrap_or("-".into())),
    ];
    let shapes = Table::new("bench shapes", "Shapes", &columns, &bench.layers)
        .with_note("The last column gives the same convolution to benchdnn, oneDNN's benchmark.");

    let columns: [Column<(&BenchLayer, SourceMs)>; 5] = [
        ("layer", Left, |(layer, _)| layer.name.into()),
        ("forward", Right, |(_, source)| time(source.forward)),
        ("ours", Right, |(layer, _)| fastest(layer, Direction::Forward)),
        ("backward", Right, |(_, source)| known(source.backward, time)),
        ("ours", Right, |(layer, _)| fastest(layer, Direction::Backward)),
    ];
    let rows = bench.layers.iter().filter_map(|layer| Some((layer, layer.source_ms?)));
    let source = Table::new("bench EasyRobot", "Beside EasyRobot", &columns, rows)
        .with_note(format!("{}; ours: the fastest row of the layer, here.", bench.source));
    vec![times, shapes, source]
}

/// Sizes of a shape, like `32x28x28`.
fn shape(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// Shortest median time of a pass of `layer`.
fn fastest(layer: &BenchLayer, pass: Direction) -> String {
    let of_pass = layer.rows.iter().filter(|row| row.pass == pass);
    known(of_pass.map(|row| row.timed.call_ms.median).reduce(f64::min), time)
}

/// Tables of the tape.
pub fn tape(bench: &BenchAutograd) -> Vec<Table> {
    let columns: [Column<&AutogradRow>; 8] = [
        ("computation", Left, |row| row.name.clone()),
        ("kind", Left, |row| row.group.into()),
        ("forward", Right, |row| time(row.forward.call_ms.median)),
        ("both", Right, |row| time(row.forward_backward.call_ms.median)),
        ("×", Right, |row| speedup(Some(row.over_forward))),
        ("a second", Right, |row| digits(1e3 / row.forward_backward.call_ms.median)),
        ("allocations", Right, |row| known(row.forward_backward.allocations_per_call, digits)),
        ("bytes", Right, |row| known(row.forward_backward.allocated_bytes_per_call, digits)),
    ];
    let computations = Table::new("bench tape", "Computations", &columns, &bench.rows).with_note(
        "forward: records the computation on a new tape; both: and the gradients of its result; times \
         are medians; ×: both over forward, the median of the ratios of the same rounds; a second, \
         allocations, bytes: of both.",
    );
    let columns: [Column<&BookkeepingRow>; 5] = [
        ("work", Left, |row| row.name.into()),
        ("time", Right, |row| time(row.timed.call_ms.median)),
        ("MAD", Right, |row| time(row.timed.call_ms.mad)),
        ("allocations", Right, |row| known(row.timed.allocations_per_call, digits)),
        ("bytes", Right, |row| known(row.timed.allocated_bytes_per_call, digits)),
    ];
    let itself = Table::new("bench bookkeeping", "The tape itself", &columns, &bench.bookkeeping);
    vec![computations, itself]
}

/// Size of a batch, images a second and milliseconds an image of another program, and our row.
type Beside<'a> = (usize, usize, f64, Option<&'a InferRow>);

/// Tables of predictions.
pub fn predictions(bench: &BenchInfer) -> Vec<Table> {
    let columns: [Column<&InferRow>; 8] = [
        ("threads", Right, |row| row.threads.to_string()),
        ("batch", Right, |row| row.batch_size.to_string()),
        ("images/s", Right, |row| grouped(row.images_per_second as usize)),
        ("ms/image", Right, |row| digits(row.ms_per_image)),
        ("p50", Right, |row| time(row.latency.p50_ms)),
        ("p95", Right, |row| time(row.latency.p95_ms)),
        ("p99", Right, |row| time(row.latency.p99_ms)),
        ("allocations", Right, |row| known(row.timed.allocations_per_call, digits)),
    ];
    let batches = Table::new("bench batches", "Sizes of the batch", &columns, &bench.rows)
        .with_note(
            "images/s and ms/image: from the median time of a batch in the rounds; p50, p95, p99: \
             percentiles of the times of single calls.",
        );
    let columns: [Column<&WidthRow>; 5] = [
        ("hidden units", Right, |width| grouped(width.hidden)),
        ("parameters", Right, |width| grouped(width.parameters)),
        ("images/s", Right, |width| grouped(width.row.images_per_second as usize)),
        ("ms/image", Right, |width| digits(width.row.ms_per_image)),
        ("p99", Right, |width| time(width.row.latency.p99_ms)),
    ];
    let widths = Table::new("bench widths", "Sizes of the network", &columns, &bench.widths)
        .with_note("The default network, untrained, in batches of 32.");
    let columns: [Column<(&PrecisionRow, &PrecisionRow, usize)>; 6] = [
        ("products", Left, |(row, ..)| row.precision.into()),
        ("images/s", Right, |(row, ..)| grouped(row.row.images_per_second as usize)),
        ("p50", Right, |(row, ..)| time(row.row.latency.p50_ms)),
        ("p99", Right, |(row, ..)| time(row.row.latency.p99_ms)),
        ("correct", Right, |(row, _, images)| {
            format!("{} of {}", grouped(row.test_correct), grouped(*images))
        }),
        ("difference", Right, |(row, exact, _)| {
            format!("{:+}", row.test_correct as i64 - exact.test_correct as i64)
        }),
    ];
    let exact = bench.precisions.first();
    let rows = bench.precisions.iter().filter_map(|row| Some((row, exact?, bench.test_images)));
    let formats = Table::new("bench formats", "Formats of the products", &columns, rows).with_note(
        match &bench.without_bf16 {
            Some(reason) => format!("bf16 was not measured: {reason}."),
            None => "correct: test images; difference: from f32, in images.".into(),
        },
    );
    let columns: [Column<Beside<'_>>; 5] = [
        ("batch", Right, |(batch, ..)| batch.to_string()),
        ("images/s", Right, |(_, rate, ..)| grouped(*rate)),
        ("ours", Right, |(.., row)| known(*row, |row| grouped(row.images_per_second as usize))),
        ("ms/image", Right, |(_, _, ms, _)| format!("{ms:.2}")),
        ("ours", Right, |(.., row)| known(*row, |row| digits(row.ms_per_image))),
    ];
    let ours = |batch| bench.rows.iter().rfind(|row| row.batch_size == batch);
    let rows = infer::SOURCE.map(|(batch, rate, ms)| (batch, rate, ms, ours(batch)));
    let source = Table::new("bench NeuralLayers", "Beside NeuralLayers", &columns, rows).with_note(
        "NeuralLayers on an RTX 3090, with another network, by its document; its program does \
             not run, so nobody can repeat its figures. Ours: on all threads, here.",
    );
    vec![batches, widths, formats, source]
}

/// Table of what advice is worth.
pub fn advice(bench: &BenchAblations) -> Table {
    let columns: [Column<&AblationRow>; 7] = [
        ("advice", Left, |row| row.name.into()),
        ("as advised", Left, |row| row.ways[0].into()),
        ("time", Right, |row| time(row.advised.call_ms.median)),
        ("otherwise", Left, |row| row.ways[1].into()),
        ("time", Right, |row| time(row.otherwise.call_ms.median)),
        ("×", Right, |row| digits(row.over_otherwise.median)),
        ("95 %", Right, |row| {
            format!("{} to {}", digits(row.over_otherwise.low), digits(row.over_otherwise.high))
        }),
    ];
    Table::new("bench advice", "What advice is worth", &columns, &bench.rows).with_note(
        "×: time of the other way over the advised one, the median of the ratios of the same \
         rounds, and its interval. Predictions use all threads, the other work one.",
    )
}

/// Tables of memory.
pub fn memory(bench: &BenchMemory) -> Vec<Table> {
    let columns: [Column<(&str, u64)>; 2] = [
        ("part", Left, |(name, _)| name.to_string()),
        ("MB", Right, |(_, bytes)| megabytes(*bytes)),
    ];
    let parts = [
        ("parameters", bench.parameter_bytes),
        ("gradients", bench.gradient_bytes),
        ("moments", bench.moment_bytes),
    ];
    let parts = Table::new("bench parts", "Parts that do not depend on the batch", &columns, parts);
    let columns: [Column<&MemoryRow>; 9] = [
        ("batch", Right, |row| row.batch_size.to_string()),
        ("expected", Right, |row| megabytes(row.expected_bytes)),
        ("training", Right, |row| known(row.training, |bytes| megabytes(bytes.live_bytes))),
        ("peak", Right, |row| known(row.training, |bytes| megabytes(bytes.peak_bytes))),
        ("inference", Right, |row| known(row.inference, |bytes| megabytes(bytes.live_bytes))),
        ("peak", Right, |row| known(row.inference, |bytes| megabytes(bytes.peak_bytes))),
        ("ratio", Right, |row| known(row.training_to_inference(), digits)),
        ("MB/image", Right, |row| {
            let each = |bytes: u64| bytes as f64 / 1e6 / row.batch_size as f64;
            row.training.map_or("-".into(), |bytes| digits(each(bytes.live_bytes)))
        }),
        ("process", Right, |row| known(row.process_peak_bytes, megabytes)),
    ];
    let batches = Table::new("bench memory", "Sizes of the batch", &columns, &bench.rows).with_note(
        "MB; expected: for training; training: after a step, and the peak until then; inference: \
         likewise, after a prediction; ratio: of training to inference; MB/image: of training; \
         process: peak of a process that trains two batches, with the images.",
    );
    let columns: [Column<(&str, Line)>; 4] = [
        ("of", Left, |(name, _)| name.to_string()),
        ("MB", Right, |(_, line)| digits(line.intercept / 1e6)),
        ("KB an image", Right, |(_, line)| digits(line.slope / 1e3)),
        ("R²", Right, |(_, line)| format!("{:.4}", line.r_squared)),
    ];
    let lines = [("inference", bench.inference_fit), ("training", bench.training_fit)];
    let lines = lines.into_iter().filter_map(|(name, line)| Some((name, line?)));
    let fits = Table::new("bench fits", "Bytes as a line over the batch", &columns, lines)
        .with_note("MB: without an image; least squares.");
    let columns: [Column<&LayerMemory>; 5] = [
        ("layer", Left, |layer| layer.name.clone()),
        ("text", Left, |layer| layer.layer.clone()),
        ("parameters", Right, |layer| grouped(layer.parameter_bytes as usize)),
        ("output", Right, |layer| grouped(layer.output_bytes_per_image as usize)),
        ("kept beside it", Right, |layer| grouped(layer.kept_bytes_per_image as usize)),
    ];
    let layers = Table::new("bench bytes", "Bytes of each layer", &columns, &bench.layers).with_note(
        "output: of an image; kept: what the forward pass of an image keeps for the backward pass, \
         in a stage that computes layer after layer.",
    );
    vec![parts, batches, fits, layers]
}

/// Table of limits.
pub fn limits(bench: &BenchBudget) -> Table {
    let columns: [Column<&BudgetRow>; 7] = [
        ("limit", Left, |row| row.name.clone()),
        ("document", Left, |row| match row.source {
            Source::Autograd => "autograd".into(),
            Source::Guide => "guide".into(),
        }),
        ("measured", Right, |row| amount(row.unit, row.value)),
        ("limit", Right, |row| amount(row.unit, row.limit)),
        ("factor", Right, |row| digits(row.factor)),
        ("our limit", Right, |row| amount(row.unit, row.own_limit)),
        ("verdict", Left, |row| if row.passed { "PASS" } else { "FAIL" }.into()),
    ];
    Table::new("bench limits", "Limits and what was measured", &columns, &bench.rows).with_note(
        "document: about TenfloweRS's automatic differentiation, or the guide to the performance of a \
         network in NumPy; factor: by which its limit is met; our limit: ten times the time or the \
         bytes of a recorded run on two cores of a Xeon, or the document's; /s: calls a second; \
         training: 10 epochs of 60,000 images, from the time of a step; memory: that an engine \
         allocates, without the images.",
    )
}
