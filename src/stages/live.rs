//! # live: leaving out what relu made 0
//!
//! **Starting point.** [sparse](super::sparse); the engine is the same.
//!
//! **Observation.** relu makes zeros too, and more of them from epoch to epoch: in the first steps
//! most activations of the listed images are above 0, in the tenth epoch about a third of them. A
//! product with an activation of 0 adds nothing to the sums of the hidden units, and nothing to the
//! gradient of the weights; and relu lets no gradient through to it.
//!
//! **Idea.** An activation is *live* if it is not 0. The forward pass keeps, for each row of a cell,
//! the bits of its live channels; the backward pass transposes them, which gives the bits of the live
//! rows for each channel. Only live activations are multiplied. The convolution leaves out the rows
//! of pixels that have no ink:
//!
//! ```text
//! for each cell p
//!     for each image n of p
//!         for each row of n's patch that has ink                for each of its pixels
//!             s[q] += kernel · pixel, at the four places q
//!         a[n] = relu(max over q of s[q] + bias)
//!     for each row n of p                                       sums of H in registers
//!         z[n] += Σ over the live channels c of a[n][c] · W[p][c]
//! …
//! for each cell p
//!     for each channel c
//!         for each row n in which c is live                     dz[n] is loaded once
//!             g[c]     += a[n][c] · dz[n]                       vectors of hidden units
//!             da[n][c]  = dz[n] · W[p][c]                       a sum over the hidden units
//!     for each channel c, for each row n in which c is live
//!         dkernel[c] += da[n][c] · the window of the patch that pooling chose
//!     w, m, v = Adam(g + λ·W[p], …)
//! ```
//!
//! The code departs from the pseudocode and from [sparse](super::sparse) in these ways:
//!
//! 1. **Rows for a channel, not channels for a row**, in the backward pass: the gradient of a channel
//!    then stays in registers, and a vector of dz that is loaded serves two multiply-adds. W is not
//!    transposed. A square of 64×64 bits is transposed by exchanging halves of ever smaller squares.
//! 2. **Sums over the hidden units wait.** The product dz·W leaves a vector for each row. Square
//!    matrices of these vectors are transposed and added up when all rows of the channel are done.
//! 3. **Activations are stored as they are.** sparse subtracts relu(bias), which would destroy the
//!    zeros. Here each listed image begins its sums with −Σ_p relu(bias)·W_p instead, because the
//!    sums of all images get Σ_p relu(bias)·W_p from the virtual row.
//! 4. **The virtual row is a row like any other**, whose channels are live where relu(bias) > 0. Its
//!    dz is the sum over the blank images alone: the sum over all images less the listed ones.
//! 5. **The convolution's gradient goes channel by channel**: a live activation multiplies the rows
//!    of the window under its maximum as they lie in the patch, so no permutation is needed. A
//!    vector holds one or two rows of taps, and its other lanes are not used.
//! 6. **Adam runs after the products of a cell**, not in between them. The products prefetch the
//!    moments of the cell, and the weights of the next one, channel by channel.
//! 7. **A row of pixels meets two rows of the kernel**: the upper places of the window put row i of
//!    the kernel on it, the lower places row i − 1. The kernel has a row of zeros above and below,
//!    so every row of pixels is treated alike.
//!
//! **What it costs.** A second form of the kernels, in `fused/live`, whose loops depend on bits. A
//! loop over bits ends at a place that the CPU cannot predict, and a tile no longer shares a weight
//! between images: a live product takes longer than a dense one. So live wins most late in the
//! training. bf16 stays with the dense kernels, because a pair of activations is 0 only if both are.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter live.
