//! Convolution whose vectors are neighbouring pixels.
//!
//! # The flat image
//! An image is copied to rows of W₊ pixels, with its padding, one row after the other. The output is
//! thought to have rows of W₊ pixels, too. Then the pixel under a tap of the kernel is, for every
//! output q = i·W₊ + j, the same distance away:
//!
//! ```text
//! y[o][q] = b[o] + Σ over the taps t = (c, m, k) of w[o][t] · x[shift(t) + q]
//! shift(c, m, k) = c·H₊·W₊ + m·W₊ + k
//! ```
//!
//! So a vector of neighbouring outputs, even across the end of a row, needs one vector of x for each
//! tap, at any address. The outputs at the end of a row, j ≥ W', belong to no window; they are computed
//! and not used. They are (K − 1)/W₊ of all.
//!
//! With a stride s, the rows and the columns of the padded image are sorted by their remainder modulo s
//! into s·s planes. Neighbouring outputs then need neighbouring pixels of the plane (m mod s, k mod s),
//! and everything else stays as it is.
//!
//! Short images, such as signals, whose rows would not fill the vectors, lie side by side: the n-th
//! image begins n·H₊·W₊ pixels after the first one in every channel, and the outputs of all of them
//! are one row.
//!
//! # The passes
//! ```text
//! forward    y  = the sums above, for tiles of outputs × channels
//! dX         the same: dy, with s − 1 zeros between neighbours and a padding of K − 1 − p, is
//!            convolved with the kernel turned by half a turn, its channels exchanged
//! dW         dw[o][t] = Σ_q dy[o][q] · x[shift(t) + q], for tiles of channels × taps
//! ```

use std::array;

use super::tile::{Tile, inner_products, outer_products, store};
use crate::nn::primitives::convolution::Convolution;
use crate::nn::primitives::window::Window;
use crate::nn::shape::ImageShape;
use crate::simd::Simd;
use crate::stages::floats::{self, Floats};

/// Number of output channels of a tile of the forward pass.
const CHANNELS: usize = 6;
/// Number of vectors of outputs of a tile of the forward pass. CHANNELS · VECTORS sums, VECTORS vectors
/// of pixels and a factor fit 16 registers; 32 registers take twice as many vectors.
const VECTORS: usize = 2;
/// Number of output channels of a tile of dW.
const DW_CHANNELS: usize = 3;
/// Number of taps of a tile of dW.
const DW_TAPS: usize = 3;

/// Axis of a flat image: where the elements of an image are along it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axis {
    /// Number of planes into which the padded axis is sorted, s.
    planes: usize,
    /// Distance between neighbours of the image in the padded axis.
    spread: usize,
    /// Position of the image's first element in the padded axis; it may be negative.
    first: isize,
    /// Number of elements of each plane.
    length: usize,
}

impl Axis {
    /// Plane of the image's element `index` and its place in the plane; `None` if no window sees it.
    fn place(&self, index: usize) -> Option<(usize, usize)> {
        let padded = usize::try_from(self.first + (index * self.spread) as isize).ok()?;
        let (plane, place) = (padded % self.planes, padded / self.planes);
        (place < self.length).then_some((plane, place))
    }
}

/// Flat images of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flat {
    input: ImageShape,
    output: ImageShape,
    kernel: [usize; 2],
    rows: Axis,
    columns: Axis,
    /// Number of images that lie side by side.
    images: usize,
}

impl Flat {
    /// Flat images of the forward pass of `conv`.
    pub fn forward(conv: &Convolution) -> Self {
        let output = conv.output();
        let axis = |window: &Window, outputs: usize| Axis {
            planes: window.stride,
            spread: 1,
            first: window.padding as isize,
            length: outputs - 1 + (window.kernel - 1) / window.stride + 1,
        };
        Self {
            input: conv.input,
            output,
            kernel: [conv.rows.kernel, conv.columns.kernel],
            rows: axis(&conv.rows, output.height),
            columns: axis(&conv.columns, output.width),
            images: 1,
        }
    }

    /// Flat images of dy, from which the gradient of the input of `conv` is computed.
    pub fn backward(conv: &Convolution) -> Self {
        let axis = |window: &Window, length: usize| Axis {
            planes: 1,
            spread: window.stride,
            first: window.kernel as isize - 1 - window.padding as isize,
            length: length + window.kernel - 1,
        };
        Self {
            input: conv.output(),
            output: conv.input,
            kernel: [conv.rows.kernel, conv.columns.kernel],
            rows: axis(&conv.rows, conv.input.height),
            columns: axis(&conv.columns, conv.input.width),
            images: 1,
        }
    }

    /// The same with some of `images` images side by side, if that makes no more outputs than tiles
    /// of vectors of `lanes` floats compute for single images.
    pub fn side_by_side(self, images: usize, lanes: usize) -> Self {
        let computed = self.outputs().next_multiple_of(VECTORS * lanes);
        let together = if self.image_plane() <= computed { OUTPUTS / computed } else { 1 };
        Self { images: together.clamp(1, images.max(1)), ..self }
    }

    /// Number of pixels of one plane of an image, H₊·W₊.
    fn image_plane(&self) -> usize {
        self.rows.length * self.columns.length
    }

    /// Number of pixels of one plane of all images that lie side by side.
    fn plane(&self) -> usize {
        self.images * self.image_plane()
    }

    /// Number of outputs of a channel in rows of W₊, up to the last one that is used.
    fn outputs(&self) -> usize {
        let before = (self.images - 1) * self.image_plane();
        before + (self.output.height - 1) * self.columns.length + self.output.width
    }

    /// Number of floats of the flat form of the images that lie side by side.
    fn image_len(&self) -> usize {
        self.input.channels * self.rows.planes * self.columns.planes * self.plane()
    }

    /// Distance from an output to the pixel under each tap (c, m, k), in their order.
    fn shifts(&self) -> impl Iterator<Item = usize> {
        let Self { rows, columns, .. } = *self;
        let [height, width] = self.kernel;
        (0..self.input.channels * height * width).map(move |tap| {
            let (c, m, k) = (tap / (height * width), tap / width % height, tap % width);
            let plane = (c * rows.planes + m % rows.planes) * columns.planes + k % columns.planes;
            plane * self.plane() + m / rows.planes * columns.length + k / columns.planes
        })
    }

    /// Copies the `images` (n, C, H, W), at most as many as lie side by side, to their places in
    /// `flat`, whose places of padding are 0.
    fn copy_in(&self, images: &[f32], flat: &mut [f32]) {
        for (n, image) in images.chunks_exact(self.input.len()).enumerate() {
            self.copy_image(image, &mut flat[n * self.image_plane()..]);
        }
    }

    /// Copies `image` (C, H, W) to the places of the first image in `flat`.
    fn copy_image(&self, image: &[f32], flat: &mut [f32]) {
        let Self { rows, columns, .. } = *self;
        let ImageShape { height, width, .. } = self.input;
        // The columns that windows see, of which the first is at this place.
        let seen = |column: &usize| columns.place(*column).is_some();
        let Some(from) = (0..width).find(seen) else { return };
        let to = (0..width).rfind(seen).map_or(from, |last| last + 1);
        for (c, channel) in image.chunks_exact(height * width).enumerate() {
            for (h, row) in channel.chunks_exact(width).enumerate() {
                let Some((plane, i)) = rows.place(h) else { continue };
                let planes = (c * rows.planes + plane) * columns.planes;
                let start = |plane: usize| (planes + plane) * self.plane() + i * columns.length;
                if columns.planes == 1 && columns.spread == 1 {
                    let first = start(0) + (columns.first + from as isize) as usize;
                    flat[first..][..to - from].copy_from_slice(&row[from..to]);
                } else {
                    for (w, &value) in row.iter().enumerate().take(to).skip(from) {
                        let (plane, j) = columns.place(w).expect("windows see it");
                        flat[start(plane) + j] = value;
                    }
                }
            }
        }
    }
}

/// Weights in the order in which tiles read them: for each group of output channels, for each tap, the
/// weights of the group. Channels that fill the last group up have weights of 0.
#[derive(Debug, Default)]
pub struct Packed {
    weights: Vec<[f32; CHANNELS]>,
    shifts: Vec<usize>,
}

impl Packed {
    /// Packs the weight (O, C, K, K) of `conv` for its forward pass on the `flat` images.
    pub fn pack_forward(&mut self, conv: &Convolution, flat: &Flat, weight: &[f32]) {
        let taps = conv.taps();
        self.pack(flat, |o, tap| weight[o * taps + tap]);
    }

    /// Packs the weight (O, C, K, K) of `conv` for the gradient of its input: kernels are turned by
    /// half a turn, and output channels take the part of input channels.
    pub fn pack_backward(&mut self, conv: &Convolution, flat: &Flat, weight: &[f32]) {
        let (taps, window) = (conv.taps(), conv.rows.kernel * conv.columns.kernel);
        self.pack(flat, |c, tap| {
            let (o, place) = (tap / window, tap % window);
            weight[o * taps + c * window + window - 1 - place]
        });
    }

    fn pack(&mut self, flat: &Flat, weight: impl Fn(usize, usize) -> f32) {
        self.shifts.clear();
        self.shifts.extend(flat.shifts());
        self.weights.clear();
        let channels = flat.output.channels;
        for group in (0..channels).step_by(CHANNELS) {
            self.weights.extend((0..self.shifts.len()).map(|tap| {
                array::from_fn(|o| if group + o < channels { weight(group + o, tap) } else { 0.0 })
            }));
        }
    }
}

/// Buffers of one item of work.
#[derive(Debug)]
pub struct Buffers {
    /// Images in their flat form.
    flat: Floats,
    /// Outputs or their gradients in rows of W₊.
    wide: Floats,
    /// Gradient of the weight from the images of the item.
    pub dw: Floats,
    /// Gradient of the bias from the images of the item.
    pub db: Floats,
}

impl Default for Buffers {
    fn default() -> Self {
        let [flat, wide, dw, db] = array::from_fn(|_| floats::zeros(0));
        Self { flat, wide, dw, db }
    }
}

/// Front of `buffer` with `count` floats. Allocates only if it was never as long.
pub fn front(buffer: &mut Floats, count: usize) -> &mut [f32] {
    if buffer.len() < count {
        buffer.resize(count, 0.0);
    }
    &mut buffer[..count]
}

/// Writes the outputs `y` (n, O, H', W') of the images `x` (n, C, H, W), to each of which the `bias` of
/// its channel is added.
pub fn convolve<S: Simd>(
    simd: S,
    flat: &Flat,
    packed: &Packed,
    bias: Option<&[f32]>,
    x: &[f32],
    y: &mut [f32],
    Buffers { flat: image, wide, .. }: &mut Buffers,
) {
    let ImageShape { channels, width, .. } = flat.output;
    let (taps, pitch) = (packed.shifts.len(), flat.columns.length);
    let slack = S::REGISTERS * S::LANES;
    let outputs = flat.outputs().next_multiple_of(S::LANES);
    let image = front(image, flat.image_len() + slack);
    image.fill(0.0);
    let wide = front(wide, CHANNELS * outputs);
    let groups = x.chunks(flat.images * flat.input.len());
    for (x, y) in groups.zip(y.chunks_mut(flat.images * flat.output.len())) {
        flat.copy_in(x, image);
        let image = &image[..];
        simd.vectorize(
            #[inline(always)]
            || {
                let groups = packed.weights.chunks_exact(taps);
                for (first, weights) in (0..channels).step_by(CHANNELS).zip(groups) {
                    let own = CHANNELS.min(channels - first);
                    let bias: [f32; CHANNELS] =
                        array::from_fn(|o| bias.map_or(0.0, |bias| bias[first + o.min(own - 1)]));
                    let group = Group { weights, shifts: &packed.shifts, bias, image };
                    match own {
                        1 => group.outputs::<S, 1>(simd, wide, outputs),
                        2 => group.outputs::<S, 2>(simd, wide, outputs),
                        3 | 4 => group.outputs::<S, 4>(simd, wide, outputs),
                        _ => group.outputs::<S, CHANNELS>(simd, wide, outputs),
                    }
                    for (n, y) in y.chunks_exact_mut(flat.output.len()).enumerate() {
                        let maps = y.chunks_exact_mut(flat.output.plane()).skip(first).take(own);
                        for (y, wide) in maps.zip(wide.chunks_exact(outputs)) {
                            let wide = wide[n * flat.image_plane()..].chunks(pitch);
                            for (y, wide) in y.chunks_exact_mut(width).zip(wide) {
                                y.copy_from_slice(&wide[..width]);
                            }
                        }
                    }
                }
            },
        );
    }
}

/// Group of output channels.
struct Group<'a> {
    /// Weights of the group, for each tap.
    weights: &'a [[f32; CHANNELS]],
    /// Distance from an output to the pixel under each tap.
    shifts: &'a [usize],
    bias: [f32; CHANNELS],
    /// Flat image.
    image: &'a [f32],
}

impl Group<'_> {
    /// Writes the first R channels of the group to `wide` (R, outputs).
    #[inline(always)]
    fn outputs<S: Simd, const R: usize>(&self, simd: S, wide: &mut [f32], outputs: usize) {
        let mut q = 0;
        while q < outputs {
            let vectors = match (outputs - q) / S::LANES {
                vectors if vectors >= 2 * VECTORS && S::REGISTERS >= 32 => {
                    self.tile::<S, R, { 2 * VECTORS }>(simd, wide, outputs, q);
                    2 * VECTORS
                }
                VECTORS.. => {
                    self.tile::<S, R, VECTORS>(simd, wide, outputs, q);
                    VECTORS
                }
                _ => {
                    self.tile::<S, R, 1>(simd, wide, outputs, q);
                    1
                }
            };
            q += vectors * S::LANES;
        }
    }

    /// Writes U vectors of outputs, from output `q` on, of R channels.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const U: usize>(
        &self,
        simd: S,
        wide: &mut [f32],
        outputs: usize,
        q: usize,
    ) {
        let mut sums: Tile<S, R, U> = [[simd.splat(0.0); U]; R];
        for (sums, &bias) in sums.iter_mut().zip(&self.bias) {
            *sums = [simd.splat(bias); U];
        }
        let image = &self.image[q..];
        let terms = self.weights.iter().zip(self.shifts);
        let terms = terms.map(|(weights, shift)| (|r: usize| weights[r], &image[*shift..]));
        let sums = outer_products(simd, sums, terms);
        for r in 0..R {
            store(simd, sums[r], &mut wide[r * outputs + q..]);
        }
    }
}

/// Number of outputs for which the sums of dW stay in registers before they are added up, and of
/// the outputs of images that lie side by side.
const OUTPUTS: usize = 512;

/// Adds to `dw` (O, C, K, K) and `db` (O) of `buffers` the gradients from the images `x` (n, C, H, W)
/// and the gradients `dy` (n, O, H', W') of their outputs. `shifts` are those of the forward pass.
pub fn add_weight_gradient<S: Simd>(
    simd: S,
    flat: &Flat,
    shifts: &Packed,
    x: &[f32],
    dy: &[f32],
    Buffers { flat: images, wide, dw, db }: &mut Buffers,
) {
    let ImageShape { channels, width, .. } = flat.output;
    let (shifts, pitch, plane) = (&shifts.shifts[..], flat.columns.length, flat.output.plane());
    let (dw, db) = (&mut dw[..channels * shifts.len()], &mut db[..channels]);
    let outputs = flat.outputs().next_multiple_of(S::LANES);
    let side_by_side = flat.images * flat.input.len();
    let together = OUTPUTS.div_ceil(outputs).min(x.len().div_ceil(side_by_side));
    let (image_len, wide_len) = (flat.image_len(), channels * outputs);
    let images = front(images, together * image_len + S::REGISTERS * S::LANES);
    images.fill(0.0);
    let wide = front(wide, together * wide_len);
    wide.fill(0.0);
    let groups = x.chunks(together * side_by_side);
    for (x, dy) in groups.zip(dy.chunks(together * flat.images * flat.output.len())) {
        let count = x.len().div_ceil(side_by_side);
        if x.len() < count * side_by_side {
            // The last images that lie side by side are fewer; the places of the others get 0.
            wide.fill(0.0);
        }
        for (x, flat_images) in x.chunks(side_by_side).zip(images.chunks_mut(image_len)) {
            flat.copy_in(x, flat_images);
        }
        for (n, dy) in dy.chunks_exact(flat.output.len()).enumerate() {
            let wide = &mut wide[n / flat.images * wide_len..][..wide_len];
            let first = n % flat.images * flat.image_plane();
            for (dy, wide) in dy.chunks_exact(plane).zip(wide.chunks_exact_mut(outputs)) {
                let rows = wide[first..].chunks_mut(pitch);
                for (dy, wide) in dy.chunks_exact(width).zip(rows) {
                    wide[..width].copy_from_slice(dy);
                }
            }
        }
        let (images, wide) = (&images[..], &wide[..]);
        simd.vectorize(
            #[inline(always)]
            || {
                for wide in wide[..count * wide_len].chunks_exact(wide_len) {
                    for (db, dy) in db.iter_mut().zip(wide.chunks_exact(outputs)) {
                        let vectors = dy.chunks_exact(S::LANES).map(|dy| simd.load(dy));
                        *db += simd.sum(vectors.fold(simd.splat(0.0), |sum, dy| simd.add(sum, dy)));
                    }
                }
                for (group, dw) in dw.chunks_mut(DW_CHANNELS * shifts.len()).enumerate() {
                    let own = dw.len() / shifts.len();
                    for (taps, first_tap) in shifts.chunks(DW_TAPS).zip((0..).step_by(DW_TAPS)) {
                        let mut sums: Tile<S, DW_CHANNELS, DW_TAPS> =
                            [[simd.splat(0.0); DW_TAPS]; DW_CHANNELS];
                        for n in 0..count {
                            let mut a = [&wide[..0]; DW_CHANNELS];
                            for (r, a) in a.iter_mut().enumerate() {
                                let o = group * DW_CHANNELS + r.min(own - 1);
                                *a = &wide[n * wide_len + o * outputs..][..outputs];
                            }
                            let mut b = [&images[..0]; DW_TAPS];
                            for (u, b) in b.iter_mut().enumerate() {
                                let shift = taps[u.min(taps.len() - 1)];
                                *b = &images[n * image_len + shift..][..outputs];
                            }
                            sums = inner_products(simd, sums, a, b);
                        }
                        for (sums, dw) in sums.iter().zip(dw.chunks_exact_mut(shifts.len())) {
                            for (sum, dw) in sums.iter().zip(&mut dw[first_tap..][..taps.len()]) {
                                *dw += simd.sum(*sum);
                            }
                        }
                    }
                }
            },
        );
    }
}
