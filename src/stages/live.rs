//! # live: leaving out what relu made 0
//!
//! **Starting point.** [sparse](super::sparse); the engine is the same.
//!
//! **Observation.** relu makes zeros too, and more of them from epoch to epoch: in the first steps
//! about 70 % of the activations of the listed images are above 0, in the tenth epoch about 30 %. A product with an
//! activation of 0 adds nothing to the sums of the hidden units, and nothing to the gradient of the
//! weights; and relu lets no gradient through to it.
//!
//! **Idea.** An activation is *live* if it is not 0. The forward pass keeps, for each row of a cell,
//! the bits of its live channels; the backward pass turns them into a list of live rows for each
//! channel. Only live activations are multiplied:
//!
//! ```text
//! for each cell p
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
//! 1. **Lists of images for a channel, not of channels for an image**, in the backward pass: the
//!    gradient of a channel then stays in registers, and a vector of dz that is loaded serves two
//!    multiply-adds. W is not transposed.
//! 2. **Sums over the hidden units wait.** The product dz·W leaves a vector for each row. Square
//!    matrices of these vectors are transposed and added up when the list is done.
//! 3. **Activations are stored as they are.** sparse subtracts relu(bias), which would destroy the
//!    zeros. Here each listed image begins its sums with −Σ_p relu(bias)·W_p instead, because the
//!    sums of all images get Σ_p relu(bias)·W_p from the virtual row.
//! 4. **The virtual row is a row like any other**, whose channels are live where relu(bias) > 0. Its
//!    dz is the sum over the blank images alone: the sum over all images less the listed ones.
//! 5. **The convolution's gradient goes channel by channel**: a live activation multiplies the rows
//!    of the window under its maximum as they lie in the patch, so no permutation is needed. A
//!    vector holds one or two rows of taps, and its other lanes are not used.
//! 6. **Adam runs after the products of a cell**, not in between them. On the CPUs that we could
//!    measure, both take the same time here, and the loop of the products is simpler alone.
//!
//! **What it costs.** A second form of four kernels, whose loops depend on bits. Making the lists
//! takes time, a loop over bits ends at a place that the CPU cannot predict, and a tile no longer
//! shares a weight between images: a live product takes longer than a dense one. So live wins most
//! late in the training. bf16 stays with the dense kernels, because a pair of activations
//! is 0 only if both are.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter live.
