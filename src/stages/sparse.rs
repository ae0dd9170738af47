//! # sparse: leaving out what is multiplied by zero
//!
//! **Starting point.** [parallel](super::parallel); the engine is the same.
//!
//! **Observation.** Most pixels of MNIST are background, exactly 0. In about half of all pairs of
//! an image and a cell, the cell sees background alone; its activation is then relu(bias), the same
//! value for every image. And a good part of the hidden units is 0 for all images of a batch, so
//! that relu lets no gradient through to them.
//!
//! **Idea.** *Ink* is a pixel that is not 0. For each cell p, list the images in which p sees ink,
//! and compute p for these images alone. In all other images, which are *blank* for p, the
//! activation is r = relu(bias):
//!
//! ```text
//!            listed images n        and one virtual row for all N images
//! stored     A'[n] = A[n] − r       A'[N] = r          dz[N] = Σ over all images of dz
//!
//! forward    z[n] = b1 + Σ_p A'[n]·W_p, where n is listed, + Σ_p r·W_p, once for the batch
//! dW_p       = Σ listed A'[n] ⊗ dz[n] + r ⊗ dz[N]
//! dA_p       = dz[n]·W_pᵀ for the listed rows and the virtual row
//! dbias      += Σ listed (dA[n] where A[n] > 0, less dA[n] where r > 0) + (dA[N] where r > 0)
//! dkernel    += listed images alone: the pixels of blank images are 0
//! ```
//!
//! This is the same mathematics: put `A[n] = A'[n] + r` for listed images and `A[n] = r` for blank
//! images into the dense formulas, and collect the terms with r. The virtual row goes through the
//! same kernels as a listed row, so that no product needs a case for blank images.
//!
//! A **silent unit** is a hidden unit whose relu is 0 for every image of the batch; any other
//! hidden unit is *active*. The column of dz of a silent unit is 0, so the unit adds nothing to dA,
//! and the gradient of its weights is 0. Before the backward pass, dz is packed to the columns of
//! the active units, and W is transposed without the silent units:
//!
//! ```text
//! h > 0 for any image    1 0 0 1 1 0 1 0      dz  (N + 1, H) → packed (N + 1, A), A units active
//! gradient, packed       a b c d              spread again:  a 0 0 b c 0 d 0
//! ```
//!
//! Adam still runs on every weight: the moments of a silent unit go on shrinking, and L2 goes on.
//!
//! Rows of cells in the middle see far more ink than outer rows. The queue of the rows begins with
//! the rows that have the most pairs of an image and a cell that sees ink in this batch.
//!
//! **What it costs.** A list names the rows of each product, a table spreads the gradients over the
//! hidden units, and the gradient of the convolution's bias has two more terms. Sums run in another
//! order than in [parallel](super::parallel), so results agree with it to rounding. If no pixel is
//! 0, only the silent units save time.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter sparse.
