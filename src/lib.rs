//! Trains the MNIST CNN on the CPU, and shows how it got fast.
//!
//! The network is conv2d(1→32, 5×5, padding 2) → relu → maxpool 2×2 → flatten → linear(6272→128)
//! → relu → linear(128→10) under softmax cross-entropy: 805,066 parameters, or other
//! [sizes](model::mnist_cnn). The recipe is Adam with cosine annealing and L2. How a training step
//! is *executed* is the subject: a ladder of [`stages`], from the loops of the definition upwards,
//! each a chapter to read.
//!
//! # How data flows
//!
//! ```text
//! files ─ data::source ─ data::idx ─ data::Dataset      pixels stay bytes
//!                                        │
//!                              data::batches            order from (seed, epoch)
//!                                        │
//!                         engine.step(batch, lr)        forward, loss, backward, Adam
//!                                        │
//!                             training::trainer         epochs, schedule, signals
//!                               │              │
//!                  model::checkpoint       report       an atomic file; text or JSON
//! ```
//!
//! Nothing flows backwards. Data knows no model, an engine knows no file and no terminal, and only
//! [`commands`] and [`cli`] know that there is a terminal at all.
//!
//! # Reading order
//!
//! 1. [`model::architecture`]: the layers, their shapes and the work in them.
//! 2. [`nn`]: the mathematics, one piece a file, with the derivation of each backward pass.
//! 3. [`engine`]: one complete way to execute a step, behind one trait.
//! 4. [`stages`]: the ladder. Start at [`stages::naive`] and compare each chapter with the next;
//!    [`engine::layerwise`] is the engine under the first four, [`stages::fused`] that under the
//!    others. OPTIMIZATIONS.md tells the same story with its figures.
//! 5. [`simd`] and [`team`]: what the fused engine is made of, vectors and threads.
//! 6. [`training::trainer`]: the loop, and nothing but the loop.
//! 7. [`data`]: where images come from, and the digits drawn for those who have none.
//! 8. [`model::checkpoint`], [`files::durable`] and [`training::checkpoints`]: one file that is never
//!    torn, written while training goes on.
//! 9. [`mod@bench`] and [`measure`]: stages against each other, and against what the machine can
//!    do; `profile`, with the feature of that name: where their time goes, function by function.
//! 10. [`commands`]: the verbs of the program.
//!
//! # Notation
//!
//! N images of a batch; C input channels, O output channels or features; H and W rows and columns,
//! H' and W' those of an output; K the side of a kernel; F input features. A gradient of the loss
//! with respect to `w` is `dw`. Arrays are row-major in the order in which their shape is written:
//! (N, C, H, W). The fused engine knows one network only, and there C is the convolution's output
//! channels and H the hidden units.

pub mod bench;
pub mod cli;
pub mod commands;
pub mod data;
pub mod digest;
pub mod engine;
pub mod error;
pub mod files;
pub mod measure;
pub mod model;
pub mod nn;
pub mod optim;
#[cfg(feature = "profile")]
pub mod profile;
pub mod random;
pub mod report;
pub mod simd;
pub mod stages;
pub mod team;
pub mod training;
