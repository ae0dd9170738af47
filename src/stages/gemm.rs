//! # gemm: a library's matrix product, on all cores
//!
//! **Starting point.** [im2col](super::im2col).
//!
//! **Observation.** The matrix product and its copies take most of the time. The product of the
//! previous chapter is compiled for vectors of 4 numbers, which every x86-64 CPU has, and keeps no
//! sums in registers. It uses one core.
//!
//! **Idea.** Hand the products to `ndarray`, which calls the library `matrixmultiply`. This library
//! packs the factors (copies their blocks in the order in which it reads them), computes tiles of
//! sums in registers, and picks AVX-512 or AVX2 at run time. Cut every operation into chunks, which
//! cores take from rayon:
//!
//! ```text
//! conv forward    chunks of images: unfold each image into columns, one product for each image
//! conv backward   chunks of images, each with its own dw and db;
//!                 then add the chunks' gradients in the order of the chunks
//! product         chunks of columns, each of which is a part of the result; or, where a sum has
//!                 more terms than the result has columns, chunks of terms, whose partial results
//!                 are added in the order of the chunks
//! ```
//!
//! The chunks have fixed sizes. They do not depend on the number of threads, and no sum depends on
//! the thread that takes a chunk, so one thread and seven threads give the same bits.
//!
//! **What it costs.** The stage depends on a library, and needs columns, dw and db for each chunk
//! of images. The library allocates memory for the packed factors in every product.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter gemm.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use rayon::ThreadPool;
use rayon::prelude::*;

use super::im2col::Im2col;
use crate::engine::phases::Phase;
use crate::error::{Error, Result};
use crate::nn::primitives::convolution::{ConvBackward, ConvForward, Convolution};
use crate::nn::primitives::pooling::{self, Pooling};
use crate::nn::primitives::product::{Matrices, Matrix};
use crate::nn::primitives::{ITEMS, Primitives, share_of};
use crate::scalar::Scalar;
use crate::team::{STACK_BYTES, check_memory};

/// Number of images that a core takes at a time.
const CHUNK_IMAGES: usize = 4;
/// Number of columns of a product that a core takes at a time or, if a sum has more terms than the
/// product has columns, number of terms. In the linear layers of the default network, both numbers
/// count input features. If a chunk were a range of output features, every chunk would pack all of
/// x again.
const CHUNK_FEATURES: usize = 784;
/// Number of elements below which handing work to the cores takes longer than the work.
const FEW_ELEMENTS: usize = 1 << 14;

/// Primitives that multiply matrices with `ndarray` and share their work over a pool of threads.
#[derive(Debug)]
pub struct Gemm<T = f32> {
    pool: ThreadPool,
    /// Buffers for each chunk of images in a convolution.
    chunks: Vec<ConvChunk<T>>,
    /// Partial sums of a product, (rows, columns), for each chunk of terms.
    partial_sums: Vec<Vec<T>>,
}

/// Buffers for one chunk of images in a convolution.
#[derive(Debug)]
struct ConvChunk<T> {
    /// Convolution of the chapter im2col, with the library's product.
    im2col: Im2col<T>,
    /// Gradient of the weight from the images of the chunk, (O, C, K, K).
    dw: Vec<T>,
    /// Gradient of the bias from the images of the chunk, (O).
    db: Vec<T>,
}

impl<T: Scalar> Gemm<T> {
    /// Primitives with a pool of `threads` threads.
    ///
    /// # Errors
    /// When the operating system refuses to start the threads.
    pub fn new(threads: usize) -> Result<Self> {
        check_memory(threads).map_err(Error::threads(threads))?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .stack_size(STACK_BYTES)
            .thread_name(|index| format!("gemm {index}"))
            .build()
            .map_err(Error::threads(threads))?;
        Ok(Self { pool, chunks: Vec::new(), partial_sums: Vec::new() })
    }

    fn conv_chunks(&mut self, images: usize) -> (&ThreadPool, &mut [ConvChunk<T>]) {
        let new =
            || ConvChunk { im2col: Im2col::with(add_product), dw: Vec::new(), db: Vec::new() };
        self.chunks.resize_with(images.div_ceil(CHUNK_IMAGES), new);
        (&self.pool, &mut self.chunks)
    }
}

/// Calls `piece` with every item of `work`, on the threads of `pool`. The calls belong to the phase
/// of the thread that waits for them.
fn share<I: Send>(
    pool: &ThreadPool,
    work: impl ParallelIterator<Item = I>,
    piece: impl Fn(I) + Sync,
) {
    let phase = Phase::current();
    pool.install(|| work.for_each(|item| Phase::go_on(phase, || piece(item))));
}

/// Adds a · b to c (a.rows, b.columns) by the library's product, on this thread.
fn add_product<T: Scalar>(a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T]) {
    general_mat_mul(T::one(), &view(a), &view(b), T::one(), &mut matrix_mut(c, a.rows, b.columns));
}

/// View of `matrix` for `ndarray`.
fn view<T: Scalar>(matrix: Matrix<'_, T>) -> ArrayView2<'_, T> {
    let (rows, columns) = (matrix.rows, matrix.columns);
    if matrix.is_transposed() {
        self::matrix(matrix.data(), columns, rows).reversed_axes()
    } else {
        self::matrix(matrix.data(), rows, columns)
    }
}

/// Matrix whose elements are `data`, row by row.
fn matrix<T>(data: &[T], rows: usize, columns: usize) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((rows, columns), data).expect("the lengths agree")
}

/// Mutable matrix whose elements are `data`, row by row.
fn matrix_mut<T>(data: &mut [T], rows: usize, columns: usize) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape((rows, columns), data).expect("the lengths agree")
}

impl<T: Scalar> Primitives<T> for Gemm<T> {
    fn add_product(&mut self, a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T]) {
        let (a, b) = (view(a), view(b));
        let (rows, columns) = (a.nrows(), b.ncols());
        if columns >= b.nrows() {
            let mut c = matrix_mut(c, rows, columns);
            let work = b
                .axis_chunks_iter(Axis(1), CHUNK_FEATURES)
                .into_par_iter()
                .zip(c.axis_chunks_iter_mut(Axis(1), CHUNK_FEATURES));
            share(&self.pool, work, |(b, mut c)| {
                general_mat_mul(T::one(), &a, &b, T::one(), &mut c)
            });
            return;
        }
        let partial_sums = &mut self.partial_sums;
        partial_sums.resize_with(b.nrows().div_ceil(CHUNK_FEATURES), Vec::new);
        let work = a
            .axis_chunks_iter(Axis(1), CHUNK_FEATURES)
            .into_par_iter()
            .zip(b.axis_chunks_iter(Axis(0), CHUNK_FEATURES))
            .zip(&mut *partial_sums);
        share(&self.pool, work, |((a, b), sums)| {
            sums.resize(rows * columns, T::zero());
            general_mat_mul(T::one(), &a, &b, T::zero(), &mut matrix_mut(sums, rows, columns));
        });
        for sums in partial_sums {
            c.iter_mut().zip(sums).for_each(|(c, sum)| *c += *sum);
        }
    }

    fn multiply_pairs(&mut self, a: Matrices<'_, T>, b: Matrices<'_, T>, c: &mut [T]) {
        let (own, length) = (share_of(a.count()), a.rows * b.columns);
        let work = c.par_chunks_mut(own * length).enumerate();
        share(&self.pool, work, |(item, c)| {
            for (index, c) in (item * own..).zip(c.chunks_exact_mut(length)) {
                c.fill(T::zero());
                add_product(a.get(index), b.get(index), c);
            }
        });
    }

    fn convolve(&mut self, conv: &Convolution, io: ConvForward<'_, T>) {
        let ConvForward { x, weight, bias, y } = io;
        let (input, output) = (conv.input.len(), conv.output().len());
        let images = conv.input.images_in(x.len());
        assert_eq!(y.len(), images * output);
        let (pool, chunks) = self.conv_chunks(images);
        let work = x
            .par_chunks(CHUNK_IMAGES * input)
            .zip(y.par_chunks_mut(CHUNK_IMAGES * output))
            .zip(chunks);
        share(pool, work, |((x, y), chunk)| {
            chunk.im2col.convolve(conv, ConvForward { x, weight, bias, y });
        });
    }

    fn convolve_backward(&mut self, conv: &Convolution, io: ConvBackward<'_, T>) {
        let ConvBackward { x, weight, dy, dw, db, dx } = io;
        let (input, output) = (conv.input.len(), conv.output().len());
        let images = conv.input.images_in(x.len());
        assert_eq!(dy.len(), images * output);
        let (pool, chunks) = self.conv_chunks(images);
        // One chunk of dx, or `None` if there is no dx, for each chunk of images.
        let dx_chunks: Vec<Option<&mut [T]>> = match dx {
            Some(dx) => dx.chunks_mut(CHUNK_IMAGES * input).map(Some).collect(),
            None => (0..chunks.len()).map(|_| None).collect(),
        };
        let work = x
            .par_chunks(CHUNK_IMAGES * input)
            .zip(dy.par_chunks(CHUNK_IMAGES * output))
            .zip(dx_chunks)
            .zip(&mut *chunks);
        share(pool, work, |(((x, dy), dx), ConvChunk { im2col, dw, db })| {
            dw.resize(weight.len(), T::zero());
            db.resize(conv.out_channels, T::zero());
            im2col.convolve_backward(conv, ConvBackward { x, weight, dy, dw, db, dx });
        });
        dw.fill(T::zero());
        db.fill(T::zero());
        for chunk in chunks {
            dw.iter_mut().zip(&chunk.dw).for_each(|(sum, &dw)| *sum += dw);
            db.iter_mut().zip(&chunk.db).for_each(|(sum, &db)| *sum += db);
        }
    }

    fn max_pool(&mut self, pool: &Pooling, x: &[T], y: &mut [T], argmax: &mut [u8]) {
        let (input, output) = (pool.input.len(), pool.output().len());
        let outputs = pool.input.images_in(x.len()) * output;
        assert_eq!((y.len(), argmax.len()), (outputs, outputs));
        let work = x
            .par_chunks(CHUNK_IMAGES * input)
            .zip(y.par_chunks_mut(CHUNK_IMAGES * output))
            .zip(argmax.par_chunks_mut(CHUNK_IMAGES * output));
        share(&self.pool, work, |((x, y), argmax)| pooling::max_forward(pool, x, y, argmax));
    }

    fn max_pool_backward(&mut self, pool: &Pooling, argmax: &[u8], dy: &[T], dx: &mut [T]) {
        let (input, output) = (pool.input.len(), pool.output().len());
        let outputs = pool.input.images_in(dx.len()) * output;
        assert_eq!((dy.len(), argmax.len()), (outputs, outputs));
        let work = argmax
            .par_chunks(CHUNK_IMAGES * output)
            .zip(dy.par_chunks(CHUNK_IMAGES * output))
            .zip(dx.par_chunks_mut(CHUNK_IMAGES * input));
        share(&self.pool, work, |((argmax, dy), dx)| pooling::max_backward(pool, argmax, dy, dx));
    }

    fn average_pool(&mut self, pool: &Pooling, x: &[T], y: &mut [T]) {
        let (input, output) = (pool.input.len(), pool.output().len());
        assert_eq!(y.len(), pool.input.images_in(x.len()) * output);
        let work = x.par_chunks(CHUNK_IMAGES * input).zip(y.par_chunks_mut(CHUNK_IMAGES * output));
        share(&self.pool, work, |(x, y)| pooling::average_forward(pool, x, y));
    }

    fn average_pool_backward(&mut self, pool: &Pooling, dy: &[T], dx: &mut [T]) {
        let (input, output) = (pool.input.len(), pool.output().len());
        assert_eq!(dy.len(), pool.input.images_in(dx.len()) * output);
        let work =
            dy.par_chunks(CHUNK_IMAGES * output).zip(dx.par_chunks_mut(CHUNK_IMAGES * input));
        share(&self.pool, work, |(dy, dx)| pooling::average_backward(pool, dy, dx));
    }

    fn for_each_item(&mut self, elements: usize, item: &(dyn Fn(usize) + Sync)) {
        if elements < FEW_ELEMENTS {
            return (0..ITEMS).for_each(item);
        }
        share(&self.pool, (0..ITEMS).into_par_iter(), item);
    }

    fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }
}
