//! # naive: the loops of the definition
//!
//! **Starting point.** There is none: every other stage is measured against this one and checked
//! against it. Its arithmetic is the reference arithmetic of
//! [`nn::primitives`](crate::nn::primitives), the set [`Reference`](crate::nn::primitives::Reference),
//! which is compared with PyTorch.
//!
//! **Observation.** There is no earlier stage to observe.
//!
//! **Idea.** Write down the definition, one image at a time:
//!
//! ```text
//! for each image, output channel o, row i, column j
//!     sum = b[o]
//!     for each input channel c
//!         for each kernel row m and kernel column k whose pixel lies inside the image
//!             sum += x[c, i·s + m − p, j·s + k − p] · w[o,c,m,k]
//!     y[o,i,j] = sum
//! ```
//!
//! Here s is the stride of the convolution, p its padding, and a tap a position (m, k) in the
//! kernel. The loops run only over the taps inside the image, so no tap is tested for the padding.
//! Each access to `x`, `w` and `y` goes through a tensor type that knows the distances of
//! neighbouring elements in memory, its strides, and computes the offset, Σ index·stride. The
//! compiler can see which parts of an offset stay the same in a loop, and may compute them before
//! the loop.
//!
//! **What it costs.** The stage is as easy to read as the definition, and slow: the sums along a
//! kernel row are too short for vectors.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter naive.
