//! # parallel: rows of cells shared over the cores
//!
//! **Starting point.** [fused](super::fused); the engine is the same.
//!
//! **Observation.** The fused stage keeps one core busy with products, and the other cores are
//! idle. Some pieces of a step take only microseconds; waking a sleeping thread takes longer.
//!
//! **Idea.** Share the cells and not the images. A row of 14 cells has its own weights, moments,
//! activations and sums, so cores meet only where sums over all cells are needed. The *head* is all
//! that comes between these sums and the loss:
//!
//! ```text
//! each row of cells    conv, relu, pooling; its partial sums of the hidden units     ┐ any core,
//! ── wait ──                                                                         │ any order
//! each 8 images        add the 14 partial sums, in the order of a tree; logits       │
//! ── wait ──                                                                         │
//! each 8 images        loss, dlogits, dz; gradients of the head                      │
//! ── wait ──           add the head's gradients, in the order of the images          │
//! each row of cells    dX, conv backward, dW, L2, Adam; its own conv gradient        ┘
//! ── wait ──           add the 14 conv gradients, in the order of a tree; Adam on conv and head
//! ```
//!
//! 1. **The same bits for any number of threads.** Rows and groups of images do not depend on the
//!    number of threads, and the result of a row or a group does not depend on the thread that
//!    computes it. The results are added in a fixed order, when all of them are there.
//! 2. **Little to exchange.** If cores shared the images, every core would need its own gradient of
//!    all weights of the first linear layer, and all these gradients would have to be added. If
//!    cores share cells, they exchange the sums of the hidden units and a gradient of the
//!    convolution.
//! 3. **Waiting without sleeping.** Members of a [`Team`](crate::team::Team) spin: they read a
//!    number in memory until it changes. They sleep only if no work comes for a while.
//! 4. **Rows stay at home.** Each row of cells belongs to one thread, so that its weights and moments
//!    stay in the caches near one core from step to step. A thread that has finished its own rows
//!    takes rows that other threads have not begun, so a core that another program disturbs gets
//!    fewer rows.
//!
//! **What it costs.** The team is a module with `unsafe` code, because its threads outlive a piece
//! of work and borrow the data of the piece. Threads that spin use their core while they wait.
//! There are 14 rows: a number of threads that does not divide 14 leaves some threads waiting at
//! the end, and no more than 14 threads are started.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter parallel.
