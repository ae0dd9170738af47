//! The figures of a report: what each of their panels shows.

use super::plot::{Figure, Marks, Panel, Scale};
use crate::report::infer::{BenchInfer, InferRow};
use crate::report::memory::{BenchMemory, Bytes, LayerMemory, MemoryRow};
use crate::report::text::numbers::counted;

const THROUGHPUT: &str = "throughput_benchmark";
const MODEL_SIZE: &str = "model_size_benchmark";
const COMPARISON: &str = "memory_comparison";
const BREAKDOWN: &str = "training_memory_breakdown";

/// Names of all figures.
pub const NAMES: [&str; 4] = [THROUGHPUT, MODEL_SIZE, COMPARISON, BREAKDOWN];

/// Number of images of the batch whose bytes are shown layer by layer.
const BATCH: u64 = 64;

/// Figures of predictions.
pub fn of_predictions(bench: &BenchInfer) -> Vec<Figure> {
    let mut threads: Vec<_> = bench.rows.iter().map(|row| row.threads).collect();
    threads.dedup();
    let most = threads.iter().copied().max();
    let by_threads = |value: fn(&InferRow) -> f64| {
        let of = |threads: &usize| {
            let rows = bench.rows.iter().filter(|row| row.threads == *threads);
            let points = rows.map(|row| (row.batch_size as f64, value(row)));
            (counted(*threads, "thread"), points.collect())
        };
        Marks::Lines(threads.iter().map(of).collect())
    };
    let percentile = |name: &str, value: fn(&InferRow) -> f64| {
        let rows = bench.rows.iter().filter(|row| Some(row.threads) == most);
        (name.to_string(), rows.map(|row| (row.batch_size as f64, value(row))).collect())
    };
    let batch = "images of a batch";
    let throughput = Figure {
        name: THROUGHPUT,
        panels: vec![
            Panel {
                title: "Throughput",
                axes: [batch, "images/s"],
                scale: Scale::Linear,
                marks: by_threads(|row| row.images_per_second),
            },
            Panel {
                title: "Time of an image",
                axes: [batch, "ms/image"],
                scale: Scale::Log,
                marks: by_threads(|row| row.ms_per_image),
            },
            Panel {
                title: "Latency of a call on all threads",
                axes: [batch, "ms"],
                scale: Scale::Log,
                marks: Marks::Lines(vec![
                    percentile("p50", |row| row.latency.p50_ms),
                    percentile("p95", |row| row.latency.p95_ms),
                    percentile("p99", |row| row.latency.p99_ms),
                ]),
            },
        ],
    };
    let of_widths = |value: &dyn Fn(usize) -> f64| {
        let widths = bench.widths.iter().enumerate();
        let points = widths.map(|(index, width)| (width.hidden as f64, value(index)));
        Marks::Lines(vec![(String::new(), points.collect())])
    };
    let hidden = "hidden units";
    let model_size = Figure {
        name: MODEL_SIZE,
        panels: vec![
            Panel {
                title: "Throughput in batches of 32",
                axes: [hidden, "images/s"],
                scale: Scale::Linear,
                marks: of_widths(&|index| bench.widths[index].row.images_per_second),
            },
            Panel {
                title: "Size of the network",
                axes: [hidden, "parameters"],
                scale: Scale::Linear,
                marks: of_widths(&|index| bench.widths[index].parameters as f64),
            },
        ],
    };
    vec![throughput, model_size]
}

/// Figures of memory.
pub fn of_memory(bench: &BenchMemory) -> Vec<Figure> {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let over_batch = |name: &str, value: &dyn Fn(&MemoryRow) -> Option<f64>| {
        let point = |row: &MemoryRow| Some((row.batch_size as f64, value(row)?));
        (name.to_string(), bench.rows.iter().filter_map(point).collect())
    };
    let live = |bytes: Option<Bytes>| bytes.map(|bytes| megabytes(bytes.live_bytes));
    let batch = "images of a batch";
    let comparison = Figure {
        name: COMPARISON,
        panels: vec![
            Panel {
                title: "Memory of an engine",
                axes: [batch, "MB"],
                scale: Scale::Linear,
                marks: Marks::Lines(vec![
                    over_batch("training", &|row| live(row.training)),
                    over_batch("inference", &|row| live(row.inference)),
                ]),
            },
            Panel {
                title: "Training relative to inference",
                axes: [batch, "ratio"],
                scale: Scale::Linear,
                marks: Marks::Lines(vec![over_batch("", &MemoryRow::training_to_inference)]),
            },
        ],
    };
    let parts = |name: &str, bytes: &dyn Fn(&MemoryRow) -> u64| {
        let values = bench.rows.iter().map(|row| megabytes(bytes(row)));
        (name.to_string(), values.collect::<Vec<_>>())
    };
    let of_layers = |name: String, bytes: &dyn Fn(&LayerMemory) -> u64| {
        (name, bench.layers.iter().map(|layer| megabytes(bytes(layer))).collect::<Vec<_>>())
    };
    let breakdown = Figure {
        name: BREAKDOWN,
        panels: vec![
            Panel {
                title: "Expected memory of training",
                axes: [batch, "MB"],
                scale: Scale::Linear,
                marks: Marks::Bars {
                    labels: bench.rows.iter().map(|row| row.batch_size.to_string()).collect(),
                    series: vec![
                        parts("parameters", &|_| bench.parameter_bytes),
                        parts("gradients", &|_| bench.gradient_bytes),
                        parts("moments", &|_| bench.moment_bytes),
                        parts("activations", &|row| row.activation_bytes),
                    ],
                },
            },
            Panel {
                title: "Layers, with batches of 64 images",
                axes: ["layer", "MB"],
                scale: Scale::Linear,
                marks: Marks::Bars {
                    labels: bench.layers.iter().map(|layer| layer.name.clone()).collect(),
                    series: vec![
                        of_layers("parameters".into(), &|layer| layer.parameter_bytes),
                        of_layers("output".into(), &|layer| BATCH * layer.output_bytes_per_image),
                        of_layers("kept beside it".into(), &|layer| {
                            BATCH * layer.kept_bytes_per_image
                        }),
                    ],
                },
            },
        ],
    };
    vec![comparison, breakdown]
}
