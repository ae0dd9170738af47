//! # gemm: a library's matrix product, on all cores
//!
//! **Starting point.** [im2col](super::im2col).
//!
//! **Observation.** The matrix product and its copies are by far the largest part now, and the
//! product of the previous chapter is compiled for vectors of 4 numbers, which every x86-64 has, and
//! keeps no sums in registers. One core works, the others wait.
//!
//! **Idea.** Hand the products to `ndarray`, whose `matrixmultiply` packs, tiles for registers and
//! picks AVX-512 or AVX2 at run time; and cut every layer into chunks that cores take from rayon:
//!
//! ```text
//! conv forward    chunks of images: unfold each into columns, one product an image
//! conv backward   chunks of images, each with a dw and db of its own;
//!                 then add the chunks' gradients in the order of the chunks
//! linear          chunks of input features: each has its own part of W, dW and dX to itself;
//!                 forward, add the chunks' partial y in the order of the chunks
//! ```
//!
//! The chunks have fixed sizes. They do not depend on the number of threads, and no sum depends on
//! which thread takes which chunk, so one thread and seven give the same bits.
//!
//! **What it costs.** A dependency, and columns, dw and db for each chunk of images.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter gemm.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use rayon::ThreadPool;
use rayon::prelude::*;

use super::im2col::{fold, sum_rows, unfold};
use super::naive::Naive;
use crate::engine::phases::Phase;
use crate::error::{Error, Result};
use crate::nn::geometry::{Conv2d, Linear, MaxPool2d};
use crate::nn::gradients::Gradients;
use crate::nn::primitives::LayerKernels;
use crate::optim::adam::AdamStep;

/// Images that a core takes at a time.
const CHUNK_IMAGES: usize = 4;
/// Input features of a linear layer that a core takes at a time. Cut the other way, by outputs,
/// every chunk would pack all of x again.
const CHUNK_INPUTS: usize = 784;
/// Parameters that a core updates at a time.
const CHUNK_PARAMETERS: usize = 1 << 14;

/// Products by `ndarray`, shared over a pool of threads.
#[derive(Debug)]
pub struct Gemm {
    pool: ThreadPool,
    /// One for each chunk of images.
    chunks: Vec<ConvChunk>,
    /// One y (N, O) for each chunk of input features.
    partial_sums: Vec<Vec<f32>>,
}

/// What one chunk of images needs of its own in a convolution.
#[derive(Debug, Default)]
struct ConvChunk {
    /// (C·K·K, H'·W').
    columns: Vec<f32>,
    /// [O, C, K, K].
    dw: Vec<f32>,
    /// [O].
    db: Vec<f32>,
}

impl ConvChunk {
    /// Convolves the images of the chunk, x (n, C, H, W) to y (n, O, H', W').
    #[inline(never)] // A name of its own in a profile.
    fn conv2d_forward(
        &mut self,
        conv: &Conv2d,
        x: &[f32],
        weight: ArrayView2<'_, f32>,
        bias: &[f32],
        y: &mut [f32],
    ) {
        let (output, taps) = (conv.output(), conv.taps());
        let images = x.chunks_exact(conv.input.len());
        for (x, y) in images.zip(y.chunks_exact_mut(output.len())) {
            unfold(conv, x, &mut self.columns);
            for (y, &bias) in y.chunks_exact_mut(output.plane()).zip(bias) {
                y.fill(bias);
            }
            let mut y = matrix_mut(y, conv.out_channels, output.plane());
            let columns = matrix(&self.columns, taps, output.plane());
            general_mat_mul(1.0, &weight, &columns, 1.0, &mut y);
        }
    }

    /// The gradients of the images of the chunk: dw and db stay in it, dx is theirs if it is
    /// wanted.
    #[inline(never)] // A name of its own in a profile.
    fn conv2d_backward(
        &mut self,
        conv: &Conv2d,
        x: &[f32],
        weight: ArrayView2<'_, f32>,
        dy: &[f32],
        mut dx: Option<&mut [f32]>,
    ) {
        let (output, taps) = (conv.output(), conv.taps());
        let Self { columns, dw, db } = self;
        dw.clear();
        dw.resize(conv.out_channels * taps, 0.0);
        db.clear();
        db.resize(conv.out_channels, 0.0);
        let mut dw = matrix_mut(dw, conv.out_channels, taps);
        let images = x.chunks_exact(conv.input.len()).zip(dy.chunks_exact(output.len()));
        for (image, (x, dy)) in images.enumerate() {
            for (db, dy) in db.iter_mut().zip(dy.chunks_exact(output.plane())) {
                *db += dy.iter().sum::<f32>();
            }
            let dy = matrix(dy, conv.out_channels, output.plane());
            unfold(conv, x, columns);
            general_mat_mul(1.0, &dy, &matrix(columns, taps, output.plane()).t(), 1.0, &mut dw);
            if let Some(dx) = &mut dx {
                let dx = &mut dx[image * conv.input.len()..][..conv.input.len()];
                let mut dcolumns = matrix_mut(columns, taps, output.plane());
                general_mat_mul(1.0, &weight.t(), &dy, 0.0, &mut dcolumns);
                dx.fill(0.0);
                fold(conv, columns, dx);
            }
        }
    }
}

impl Gemm {
    /// # Errors
    /// When the operating system refuses to start `threads` threads.
    pub fn new(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("gemm {index}"))
            .build()
            .map_err(Error::threads(threads))?;
        Ok(Self { pool, chunks: Vec::new(), partial_sums: Vec::new() })
    }

    fn conv_chunks(&mut self, conv: &Conv2d, images: usize) -> (&ThreadPool, &mut [ConvChunk]) {
        self.chunks.resize_with(images.div_ceil(CHUNK_IMAGES), ConvChunk::default);
        for chunk in &mut self.chunks {
            chunk.columns.resize(conv.taps() * conv.output().plane(), 0.0);
        }
        (&self.pool, &mut self.chunks)
    }
}

/// `data` as a matrix, row by row.
fn matrix(data: &[f32], rows: usize, columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns), data).expect("the lengths agree")
}

/// `data` as a matrix to write, row by row.
fn matrix_mut(data: &mut [f32], rows: usize, columns: usize) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((rows, columns), data).expect("the lengths agree")
}

impl LayerKernels for Gemm {
    #[inline(never)]
    fn conv2d_forward(
        &mut self,
        conv: &Conv2d,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        y: &mut [f32],
    ) {
        let (output, taps) = (conv.output(), conv.taps());
        let images = conv.input.images_in(x.len());
        assert_eq!(y.len(), images * output.len());
        let weight = matrix(weight, conv.out_channels, taps);
        let (pool, chunks) = self.conv_chunks(conv, images);
        let work = x
            .par_chunks(CHUNK_IMAGES * conv.input.len())
            .zip(y.par_chunks_mut(CHUNK_IMAGES * output.len()))
            .zip(chunks);
        pool.install(|| {
            work.for_each(|((x, y), chunk)| {
                Phase::ConvForward.run(|| chunk.conv2d_forward(conv, x, weight, bias, y));
            });
        });
    }

    #[inline(never)]
    fn conv2d_backward(
        &mut self,
        conv: &Conv2d,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        gradients: Gradients<'_>,
    ) {
        let (output, taps) = (conv.output(), conv.taps());
        let images = conv.input.images_in(x.len());
        assert_eq!(dy.len(), images * output.len());
        let Gradients { weight: dw, bias: db, input: dx } = gradients;
        let weight = matrix(weight, conv.out_channels, taps);
        let (pool, chunks) = self.conv_chunks(conv, images);
        // Chunks of dx where it is wanted, and as many `None`s where it is not.
        let dx_chunks: Vec<Option<&mut [f32]>> = match dx {
            Some(dx) => dx.chunks_mut(CHUNK_IMAGES * conv.input.len()).map(Some).collect(),
            None => (0..chunks.len()).map(|_| None).collect(),
        };
        let work = x
            .par_chunks(CHUNK_IMAGES * conv.input.len())
            .zip(dy.par_chunks(CHUNK_IMAGES * output.len()))
            .zip(dx_chunks)
            .zip(&mut *chunks);
        pool.install(|| {
            work.for_each(|(((x, dy), dx), chunk)| {
                Phase::ConvBackward.run(|| chunk.conv2d_backward(conv, x, weight, dy, dx));
            });
        });
        dw.fill(0.0);
        db.fill(0.0);
        for chunk in chunks {
            dw.iter_mut().zip(&chunk.dw).for_each(|(sum, dw)| *sum += dw);
            db.iter_mut().zip(&chunk.db).for_each(|(sum, db)| *sum += db);
        }
    }

    #[inline(never)]
    fn relu_forward(&mut self, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len());
        let work = x.par_chunks(CHUNK_PARAMETERS).zip(y.par_chunks_mut(CHUNK_PARAMETERS));
        self.pool.install(|| {
            work.for_each(|(x, y)| Phase::ConvForward.run(|| Naive.relu_forward(x, y)));
        });
    }

    #[inline(never)]
    fn relu_backward(&mut self, y: &[f32], dy: &[f32], dx: &mut [f32]) {
        assert_eq!((y.len(), dy.len()), (dx.len(), dx.len()));
        let work = y
            .par_chunks(CHUNK_PARAMETERS)
            .zip(dy.par_chunks(CHUNK_PARAMETERS))
            .zip(dx.par_chunks_mut(CHUNK_PARAMETERS));
        self.pool.install(|| {
            work.for_each(|((y, dy), dx)| {
                Phase::ConvBackward.run(|| Naive.relu_backward(y, dy, dx));
            });
        });
    }

    #[inline(never)]
    fn maxpool2d_forward(&mut self, pool: &MaxPool2d, x: &[f32], y: &mut [f32], argmax: &mut [u8]) {
        let (input, output) = (pool.input.len(), pool.output().len());
        let outputs = pool.input.images_in(x.len()) * output;
        assert_eq!((y.len(), argmax.len()), (outputs, outputs));
        let work = x
            .par_chunks(CHUNK_IMAGES * input)
            .zip(y.par_chunks_mut(CHUNK_IMAGES * output))
            .zip(argmax.par_chunks_mut(CHUNK_IMAGES * output));
        self.pool.install(|| {
            work.for_each(|((x, y), argmax)| {
                Phase::ConvForward.run(|| Naive.maxpool2d_forward(pool, x, y, argmax));
            });
        });
    }

    #[inline(never)]
    fn maxpool2d_backward(&mut self, pool: &MaxPool2d, argmax: &[u8], dy: &[f32], dx: &mut [f32]) {
        let (input, output) = (pool.input.len(), pool.output().len());
        let outputs = pool.input.images_in(dx.len()) * output;
        assert_eq!((dy.len(), argmax.len()), (outputs, outputs));
        let work = argmax
            .par_chunks(CHUNK_IMAGES * output)
            .zip(dy.par_chunks(CHUNK_IMAGES * output))
            .zip(dx.par_chunks_mut(CHUNK_IMAGES * input));
        self.pool.install(|| {
            work.for_each(|((argmax, dy), dx)| {
                Phase::ConvBackward.run(|| Naive.maxpool2d_backward(pool, argmax, dy, dx));
            });
        });
    }

    #[inline(never)]
    fn linear_forward(
        &mut self,
        linear: &Linear,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        y: &mut [f32],
    ) {
        let Linear { in_features, out_features } = *linear;
        let samples = x.len() / in_features;
        let x = matrix(x, samples, in_features);
        let weight = matrix(weight, out_features, in_features);
        let partial_sums = &mut self.partial_sums;
        partial_sums.resize_with(in_features.div_ceil(CHUNK_INPUTS), Vec::new);
        let work = x
            .axis_chunks_iter(Axis(1), CHUNK_INPUTS)
            .into_par_iter()
            .zip(weight.axis_chunks_iter(Axis(1), CHUNK_INPUTS))
            .zip(&mut *partial_sums);
        self.pool.install(|| {
            work.for_each(|((x, weight), sums)| {
                sums.resize(samples * out_features, 0.0);
                let mut y = matrix_mut(sums, samples, out_features);
                Phase::LinearForward.run(|| general_mat_mul(1.0, &x, &weight.t(), 0.0, &mut y));
            });
        });
        for y in y.chunks_exact_mut(out_features) {
            y.copy_from_slice(bias);
        }
        for sums in partial_sums {
            y.iter_mut().zip(sums).for_each(|(y, sum)| *y += *sum);
        }
    }

    #[inline(never)]
    fn linear_backward(
        &mut self,
        linear: &Linear,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        gradients: Gradients<'_>,
    ) {
        let Linear { in_features, out_features } = *linear;
        let samples = x.len() / in_features;
        let Gradients { weight: dw, bias: db, input: dx } = gradients;
        sum_rows(dy, db);
        let x = matrix(x, samples, in_features);
        let dy = matrix(dy, samples, out_features);
        let weight = matrix(weight, out_features, in_features);
        let mut dw = matrix_mut(dw, out_features, in_features);
        self.pool.install(|| {
            x.axis_chunks_iter(Axis(1), CHUNK_INPUTS)
                .into_par_iter()
                .zip(dw.axis_chunks_iter_mut(Axis(1), CHUNK_INPUTS))
                .for_each(|(x, mut dw)| {
                    Phase::LinearBackward.run(|| general_mat_mul(1.0, &dy.t(), &x, 0.0, &mut dw));
                });
            if let Some(dx) = dx {
                let mut dx = matrix_mut(dx, samples, in_features);
                weight
                    .axis_chunks_iter(Axis(1), CHUNK_INPUTS)
                    .into_par_iter()
                    .zip(dx.axis_chunks_iter_mut(Axis(1), CHUNK_INPUTS))
                    .for_each(|(weight, mut dx)| {
                        Phase::LinearBackward
                            .run(|| general_mat_mul(1.0, &dy, &weight, 0.0, &mut dx));
                    });
            }
        });
    }

    #[inline(never)]
    fn adam(
        &mut self,
        step: &AdamStep,
        g: &[f32],
        w: &mut [f32],
        m: &mut [f32],
        v: &mut [f32],
    ) -> bool {
        assert!([w.len(), m.len(), v.len()] == [g.len(); 3]);
        let work = g
            .par_chunks(CHUNK_PARAMETERS)
            .zip(w.par_chunks_mut(CHUNK_PARAMETERS))
            .zip(m.par_chunks_mut(CHUNK_PARAMETERS))
            .zip(v.par_chunks_mut(CHUNK_PARAMETERS));
        let are_finite =
            work.map(|(((g, w), m), v)| Phase::Optimizer.run(|| step.update(g, w, m, v)));
        self.pool.install(|| are_finite.reduce(|| true, |one, other| one & other))
    }

    fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }
}
