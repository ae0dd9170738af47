//! # tiled: our own product and convolution, for any network
//!
//! **Starting point.** [gemm](super::gemm).
//!
//! **Observation.** Every product of gemm packs both factors into memory that it allocates. Its
//! convolution copies every pixel K² times before a product can begin, and adds as many gradients of
//! pixels up again. Its max pooling branches on which element of a window is the largest.
//!
//! **Idea.** Keep a tile of sums in registers, and bring the factors to it with as few copies as
//! possible. `tile.rs` has two loops for that: one multiplies numbers with vectors, the other vectors
//! with vectors. `product.rs` copies blocks of one factor, `convolution.rs` copies each image once, and
//! every tap of the kernel reads the copy at another address:
//!
//! ```text
//! for each image
//!     copy it with its padding                                   threads share images
//!     for each six output channels, for each 16 or 64 pixels
//!         sums = bias
//!         for each tap of the kernel                             sums stay in registers
//!             sums[o][pixels] += w[o][tap] · x[pixels, shifted by the tap]
//!         write the sums
//! ```
//!
//! Work is cut into 16 items, whatever the number of threads, so one thread and seven threads
//! give the same bits.
//!
//! **What it costs.** A kernel of its own for every kind of work, in place of a library; the text above
//! and in the two files must be understood before a line can be changed.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter tiled.

mod convolution;
mod pooling;
mod product;
mod tile;

use std::array;

use self::convolution::{Flat, Packed};
use self::product::{Begin, ROWS, add};
use crate::engine::compute::Compute;
use crate::engine::phases::Phase;
use crate::error::{Error, Result};
use crate::nn::primitives::convolution::{ConvBackward, ConvForward, Convolution};
use crate::nn::primitives::pooling::{Pooling, average_backward, average_forward};
use crate::nn::primitives::product::{Matrices, Matrix};
use crate::nn::primitives::{ITEMS, Primitives, share_of};
#[cfg(target_arch = "aarch64")]
use crate::simd::Neon;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Isa, Portable, Simd};
use crate::stages::floats::{self, Floats};
use crate::team::{Order, Team};

/// Number of elements below which sharing the loops of a layer takes longer than the loops.
const FEW_ELEMENTS: usize = 1 << 13;

/// Number of multiply-adds below which sharing a product takes longer than the product.
const FEW_PRODUCTS: usize = 1 << 16;

/// Primitives over tiles of sums in registers.
#[derive(Debug)]
pub struct Tiled<S> {
    simd: S,
    isa: Isa,
    team: Team,
    order: Order,
    packed: Packed,
    of_convolutions: [convolution::Buffers; ITEMS],
    of_products: [product::Buffers; ITEMS],
    /// Panels of the right factor of a product.
    panels: Floats,
    /// Address, sizes and order of the right factor whose panels these are.
    panels_of: Option<(usize, [usize; 2], bool)>,
}

/// Primitives with the threads and the vector instructions of `compute`.
///
/// # Errors
/// When the operating system refuses to start the threads.
///
/// # Panics
/// When the CPU does not have the instructions.
pub fn build(compute: Compute) -> Result<Box<dyn Primitives>> {
    let team = Team::new(compute.threads).map_err(Error::threads(compute.threads))?;
    let isa = compute.isa;
    Ok(match isa {
        Isa::Portable => Tiled::boxed(Some(Portable), isa, team),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Tiled::boxed(Neon::detect(), isa, team),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Tiled::boxed(Avx2::detect(), isa, team),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Tiled::boxed(Avx512::detect(), isa, team),
        isa => unreachable!("{isa} belongs to another architecture"),
    })
}

impl<S: Simd> Tiled<S> {
    fn boxed(simd: Option<S>, isa: Isa, team: Team) -> Box<dyn Primitives> {
        Box::new(Self {
            simd: simd.expect("the CPU has the instructions"),
            isa,
            team,
            order: Order::of(ITEMS),
            packed: Packed::default(),
            of_convolutions: Default::default(),
            of_products: Default::default(),
            panels: floats::zeros(0),
            panels_of: None,
        })
    }

    /// Writes the sum of `begin` and a · b to `c` (a.rows, b.columns).
    fn product(&mut self, a: Matrix<'_>, b: Matrix<'_>, begin: Begin<'_>, c: &mut [f32]) {
        assert_eq!(a.columns, b.rows);
        assert_eq!(c.len(), a.rows * b.columns);
        let Self { simd, team, order, of_products: buffers, panels, panels_of, .. } = self;
        if c.is_empty() || a.columns == 0 {
            return begin.write(c, b.columns);
        }
        if a.rows * a.columns * b.columns < FEW_PRODUCTS {
            return product::multiply(*simd, a, b, begin, c, &mut buffers[0]);
        }
        let width = product::panel_width::<S>();
        let count = b.columns.div_ceil(width);
        let own_panels = share_of(count);
        let own_tiles = share_of(a.rows.div_ceil(ROWS));
        if product::shares_rows(a, b, own_tiles) {
            let of_b = Some((b.data().as_ptr().addr(), [b.rows, b.columns], b.is_transposed()));
            let panels = convolution::front(panels, count * b.rows * width);
            if !b.is_unchanged() || *panels_of != of_b {
                let chunks = panels.chunks_mut(own_panels * b.rows * width);
                Self::share(team, order, items(chunks), |index, panels| {
                    product::copy_panels(*simd, b, index * own_panels, panels);
                });
                *panels_of = of_b;
            }
            let (panels, own) = (&*panels, own_tiles * ROWS);
            let chunks = c.chunks_mut(own * b.columns).zip(buffers);
            Self::share(team, order, items(chunks), |index, (c, buffers)| {
                let rows = index * own..index * own + c.len() / b.columns;
                product::multiply_rows(*simd, a, rows, panels, begin, c, buffers);
            });
            return;
        }
        let of_items = (0..count).step_by(own_panels).zip(buffers.iter_mut());
        Self::share(team, order, items(of_items), |_, (first, buffers)| {
            let panels = first..(first + own_panels).min(count);
            product::multiply_panels(*simd, a, b, panels, buffers);
        });
        let (buffers, own_rows) = (&*buffers, share_of(a.rows));
        let chunks = c.chunks_mut(own_rows * b.columns);
        Self::share(team, order, items(chunks), |index, c| {
            begin.write(c, b.columns);
            for (row, c) in (index * own_rows..).zip(c.chunks_exact_mut(b.columns)) {
                for (panel, c) in c.chunks_mut(width).enumerate() {
                    let (item, panel) = (panel / own_panels, panel % own_panels);
                    add(c, product::sums_of_row(&buffers[item], panel, a.rows, row, width));
                }
            }
        });
    }

    /// Calls `piece` with each of the items and its own buffers, on all threads.
    fn share<I: Send>(
        team: &mut Team,
        order: &Order,
        mut items: [Option<I>; ITEMS],
        piece: impl Fn(usize, I) + Sync,
    ) {
        let phase = Phase::current();
        team.for_each(&mut items, order, |index, item| {
            if let Some(item) = item.take() {
                Phase::go_on(phase, || piece(index, item));
            }
        });
    }
}

/// The items of an iterator, which has at most [`ITEMS`].
fn items<I>(mut iterator: impl Iterator<Item = I>) -> [Option<I>; ITEMS] {
    let items = array::from_fn(|_| iterator.next());
    debug_assert!(iterator.next().is_none());
    items
}

impl<S: Simd> Primitives for Tiled<S> {
    fn add_product(&mut self, a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) {
        self.product(a, b, Begin::Sums, c);
    }

    fn multiply(&mut self, a: Matrix<'_>, b: Matrix<'_>, bias: Option<&[f32]>, c: &mut [f32]) {
        self.product(a, b, bias.map_or(Begin::Zeros, Begin::Row), c);
    }

    fn multiply_pairs(&mut self, a: Matrices<'_>, b: Matrices<'_>, c: &mut [f32]) {
        let Self { simd, team, order, of_products: buffers, .. } = self;
        let (own, length) = (share_of(a.count()), a.rows * b.columns);
        let chunks = c.chunks_mut(own * length).zip(buffers);
        Self::share(team, order, items(chunks), |item, (c, buffers)| {
            for (index, c) in (item * own..).zip(c.chunks_exact_mut(length)) {
                product::multiply(*simd, a.get(index), b.get(index), Begin::Zeros, c, buffers);
            }
        });
    }

    fn convolve(&mut self, conv: &Convolution, io: ConvForward<'_>) {
        let Self { simd, team, order, packed, of_convolutions: buffers, .. } = self;
        let ConvForward { x, weight, bias, y } = io;
        let (input, output) = (conv.input.len(), conv.output().len());
        let own = share_of(conv.input.images_in(x.len()));
        let flat = Flat::forward(conv).side_by_side(own, S::LANES);
        packed.pack_forward(conv, &flat, weight);
        let packed = &*packed;
        let chunks = x.chunks(own * input).zip(y.chunks_mut(own * output)).zip(buffers);
        Self::share(team, order, items(chunks), |_, ((x, y), buffers)| {
            convolution::convolve(*simd, &flat, packed, Some(bias), x, y, buffers);
        });
    }

    fn convolve_backward(&mut self, conv: &Convolution, io: ConvBackward<'_>) {
        let Self { simd, team, order, packed, of_convolutions: buffers, .. } = self;
        let ConvBackward { x, weight, dy, dw, db, dx } = io;
        let (input, output) = (conv.input.len(), conv.output().len());
        let images = conv.input.images_in(x.len());
        let own = share_of(images);
        {
            let flat = Flat::forward(conv).side_by_side(own, S::LANES);
            packed.pack_forward(conv, &flat, weight);
            let shifts = &*packed;
            let chunks = x.chunks(own * input).zip(dy.chunks(own * output));
            let chunks = chunks.zip(buffers.iter_mut());
            Self::share(team, order, items(chunks), |_, ((x, dy), buffers)| {
                convolution::front(&mut buffers.dw, weight.len()).fill(0.0);
                convolution::front(&mut buffers.db, conv.out_channels).fill(0.0);
                convolution::add_weight_gradient(*simd, &flat, shifts, x, dy, buffers);
            });
        }
        dw.fill(0.0);
        db.fill(0.0);
        for buffers in &buffers[..images.div_ceil(own)] {
            add(dw, &buffers.dw);
            add(db, &buffers.db);
        }
        if let Some(dx) = dx {
            let flat = Flat::backward(conv).side_by_side(own, S::LANES);
            packed.pack_backward(conv, &flat, weight);
            let packed = &*packed;
            let chunks = dy.chunks(own * output).zip(dx.chunks_mut(own * input)).zip(buffers);
            Self::share(team, order, items(chunks), |_, ((dy, dx), buffers)| {
                convolution::convolve(*simd, &flat, packed, None, dy, dx, buffers);
            });
        }
    }

    fn max_pool(&mut self, pool: &Pooling, x: &[f32], y: &mut [f32], argmax: &mut [u8]) {
        let (input, output) = (pool.input.len(), pool.output().len());
        let (own, simd) = (share_of(pool.input.images_in(x.len())), self.simd);
        let chunks = x.chunks(own * input).zip(y.chunks_mut(own * output));
        let chunks = chunks.zip(argmax.chunks_mut(own * output));
        Self::share(&mut self.team, &self.order, items(chunks), |_, ((x, y), argmax)| {
            pooling::max_forward(simd, pool, x, y, argmax);
        });
    }

    fn max_pool_backward(&mut self, pool: &Pooling, argmax: &[u8], dy: &[f32], dx: &mut [f32]) {
        let (input, output) = (pool.input.len(), pool.output().len());
        let (own, simd) = (share_of(pool.input.images_in(dx.len())), self.simd);
        let chunks = argmax.chunks(own * output).zip(dy.chunks(own * output));
        let chunks = chunks.zip(dx.chunks_mut(own * input));
        Self::share(&mut self.team, &self.order, items(chunks), |_, ((argmax, dy), dx)| {
            pooling::max_backward(simd, pool, argmax, dy, dx);
        });
    }

    fn average_pool(&mut self, pool: &Pooling, x: &[f32], y: &mut [f32]) {
        let (input, output) = (pool.input.len(), pool.output().len());
        let own = share_of(pool.input.images_in(x.len()));
        let chunks = x.chunks(own * input).zip(y.chunks_mut(own * output));
        Self::share(&mut self.team, &self.order, items(chunks), |_, (x, y)| {
            average_forward(pool, x, y);
        });
    }

    fn average_pool_backward(&mut self, pool: &Pooling, dy: &[f32], dx: &mut [f32]) {
        let (input, output) = (pool.input.len(), pool.output().len());
        let own = share_of(pool.input.images_in(dx.len()));
        let chunks = dy.chunks(own * output).zip(dx.chunks_mut(own * input));
        Self::share(&mut self.team, &self.order, items(chunks), |_, (dy, dx)| {
            average_backward(pool, dy, dx);
        });
    }

    fn for_each_item(&mut self, elements: usize, item: &(dyn Fn(usize) + Sync)) {
        if elements < FEW_ELEMENTS {
            return (0..ITEMS).for_each(item);
        }
        let phase = Phase::current();
        self.team.for_each(&mut [(); ITEMS], &self.order, |index, ()| {
            Phase::go_on(phase, || item(index));
        });
    }

    fn isa(&self) -> Isa {
        self.isa
    }

    fn threads(&self) -> usize {
        self.team.threads()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::primitives::Reference;

    /// Numbers between −1 and 1 that look random.
    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0).collect()
    }

    /// What each operation makes of `a` and `b`, one after the other: c += a · b, and a · b with and
    /// without a bias, with the factor that the first product has.
    fn products(primitives: &mut dyn Primitives, a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
        let mut results = [(); 3].map(|()| numbers(a.rows * b.columns));
        let [sum, with_bias, product] = &mut results;
        primitives.add_product(a, b, sum);
        let bias = numbers(b.columns);
        primitives.multiply(a, b.unchanged(), Some(&bias), with_bias);
        primitives.multiply(a, b.unchanged(), None, product);
        results.concat()
    }

    /// Sizes on both sides of every limit: rows and vectors that fill no tile, several blocks of
    /// terms, few rows, and a right factor larger than the caches.
    #[test]
    fn products_are_those_of_the_reference_and_the_same_on_all_threads() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let with = |threads| build(Compute { isa, threads }).unwrap();
            let mut sets = [1, 2, 3, 7].map(with);
            for (rows, terms, columns) in [
                (1, 1, 1),
                (5, 300, 70),
                (16, 16, 16),
                (47, 257, 28),
                (64, 128, 200),
                (100, 600, 9),
                (64, 1100, 130),
                (200, 520, 300),
            ] {
                let (of_a, of_b) = (numbers(rows * terms), numbers(terms * columns));
                let left = Matrix::new(&of_a, rows, terms);
                let left_columns = Matrix::new(&of_a, terms, rows).transposed();
                let right = Matrix::new(&of_b, terms, columns);
                let right_columns = Matrix::new(&of_b, columns, terms).transposed();
                for a in [left, left_columns] {
                    for b in [right, right_columns] {
                        let expected = products(&mut Reference, a, b);
                        let found = sets.each_mut().map(|set| products(set.as_mut(), a, b));
                        for (found, expected) in found[0].iter().zip(&expected) {
                            let difference = (found - expected).abs();
                            assert!(difference < 2e-4, "{isa} {rows} {terms} {columns}");
                        }
                        assert!(found.iter().all(|other| *other == found[0]), "{isa} {rows}");
                    }
                }
            }
        }
    }

    /// The same memory with other numbers, as a weight is after an update.
    #[test]
    fn a_factor_that_changed_is_read_again() {
        let mut set = build(Compute { isa: Isa::detect(), threads: 1 }).unwrap();
        let (a, mut b, mut c) = (numbers(64 * 64), numbers(64 * 64), [0.0; 64 * 64]);
        for _ in 0..2 {
            let product = |set: &mut dyn Primitives, c: &mut [f32]| {
                set.multiply(Matrix::new(&a, 64, 64), Matrix::new(&b, 64, 64), None, c);
            };
            product(set.as_mut(), &mut c);
            let mut expected = [0.0; 64 * 64];
            product(&mut Reference, &mut expected);
            assert!(c.iter().zip(&expected).all(|(c, e)| (c - e).abs() < 2e-4));
            b.iter_mut().for_each(|b| *b = 1.0 - *b);
        }
    }
}
