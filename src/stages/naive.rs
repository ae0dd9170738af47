//! # naive: the loops of the definition
//!
//! **Starting point.** There is none: every other stage is measured against this one and checked
//! against it. Its arithmetic is the reference arithmetic of
//! [`nn::primitives`](crate::nn::primitives), the set [`Reference`](crate::nn::primitives::Reference),
//! which is compared with PyTorch.
//!
//! **Observation.** None.
//!
//! **Idea.** Write down the definition, one image at a time:
//!
//! ```text
//! for each image, output channel o, row i, column j
//!     y[o,i,j] = b[o]
//!     for each input channel c
//!         for each kernel row m and kernel column k whose pixel lies inside the image
//!             y[o,i,j] += x[c, i·s + m − p, j·s + k − p] · w[o,c,m,k]
//! ```
//!
//! Each access to `x`, `w` and `y` goes through a tensor type that knows its strides and computes
//! the offset, Σ index·stride. The compiler may move what does not change out of the loops, and
//! nothing here hides anything from it. The loops run over the taps inside the image, so that no
//! tap is tested for the padding.
//!
//! **What it costs.** Nothing to read. The sums along a kernel row are too short for vectors.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter naive.
