//! Trains the MNIST CNN on the CPU, and shows how the training became fast.
//!
//! The network is conv2d(1→32, 5×5, padding 2) → relu → maxpool 2×2 → flatten → linear(6272→128) →
//! relu → linear(128→10) under softmax cross-entropy, with 805,066 parameters;
//! [`model::mnist_cnn`] has the sizes that can be chosen instead. The recipe is Adam with cosine
//! annealing and L2. The subject is how a training step is *executed*: a ladder of [`stages`], each
//! of which is a chapter to read. The first stage is the loops of the definition.
//!
//! # How data flows
//!
//! ```text
//! files ─ data::source ─ data::idx ─ data::Dataset      pixels stay bytes
//!                                        │
//!                              data::batches            order from (seed, epoch)
//!                                        │
//! text ─ nn::grammar ─ model::architecture ─ engine::plan     layers, shapes, places of buffers
//!                                        │
//!                         engine.step(batch, lr)        forward, loss, backward, Adam
//!                                        │
//!                             training::trainer         epochs, schedule, signals
//!                               │              │
//!                  model::checkpoint       report       a durable file; text or JSON
//! ```
//!
//! Nothing flows backwards. Data knows no model, a model knows no engine, and an engine knows no file
//! and no terminal. Only [`commands`] and [`cli`] know that there is a terminal.
//!
//! # Example
//!
//! Two training steps on 64 drawn digits; the second one finds a smaller loss than the first.
//! `examples/train.rs` trains an epoch and evaluates it.
//!
//! ```
//! use mnist_train::data::{batches::Batch, synthetic};
//! use mnist_train::engine::compute::Compute;
//! use mnist_train::model::{mnist_cnn::MnistCnn, parameters::TrainState, recipe::Recipe};
//! use mnist_train::optim::adam::Adam;
//! use mnist_train::simd::Isa;
//! use mnist_train::stages::Stage;
//!
//! let digits = synthetic::generate(synthetic::DEFAULT_SEED, 64, 1);
//! let architecture = MnistCnn::default().architecture();
//! let recipe = Recipe::default();
//! let stage = Stage::fastest_exact(&architecture, &recipe);
//! let compute = Compute { threads: 2, isa: Isa::detect() };
//! let mut engine = stage.build(&architecture, &recipe, compute)?;
//! let parameters = recipe.init.parameters(&architecture, recipe.seed);
//! engine.load(&TrainState::new(parameters, &Adam::SLOTS));
//!
//! let indices: Vec<u32> = (0..64).collect();
//! let batch = Batch::new(&digits.train, &indices);
//! let first = engine.step(&batch, recipe.lr);
//! let second = engine.step(&batch, recipe.lr);
//! assert!(second.loss < first.loss);
//! # Ok::<(), mnist_train::error::Error>(())
//! ```
//!
//! # Reading order
//!
//! 1. [`nn`]: the mathematics. Each layer has a file, and is made of primitives. The files of
//!    layers and primitives derive the backward passes. [`autograd`] is the tape on which each layer
//!    records its definition, and by which its backward pass is checked. [`onnx`] is the graph to
//!    which each layer adds its definition when a model is exported.
//! 2. [`model::architecture`]: a network, its shapes, its tensors and the work of its layers.
//! 3. [`engine`]: the ways to execute a step. [`engine::plan`] gives every buffer its place, and
//!    [`engine::layerwise`] runs any network.
//! 4. [`stages`]: the ladder. Start at [`stages::naive`] and compare each chapter with the next. The
//!    layerwise engine executes the first three chapters; the engine in [`stages::fused`] executes
//!    the last four. OPTIMIZATIONS.md tells the same story with its figures.
//! 5. [`simd`] and [`team`]: vectors and threads, of which the fused engine is made.
//! 6. [`training::trainer`]: the loop.
//! 7. [`data`]: where images come from, and the digits drawn for users without files.
//! 8. [`model::checkpoint`], [`files::durable`] and [`training::checkpoints`]: a file that is replaced as
//!    a whole, and written while training goes on.
//! 9. [`mod@bench`] and [`measure`]: stages measured against each other, and against the limits of the
//!    machine. `profile`, which needs the feature of that name, finds the time of each function.
//! 10. [`gradcheck`]: backward passes, tape and central differences, side by side.
//! 11. [`commands`]: the commands of the program.
//!
//! # Notation
//!
//! - N: number of images of a batch
//! - C, H, W: numbers of channels, rows and columns of an input; F: number of its features
//! - O, H', W': numbers of channels (or features), rows and columns of an output
//! - K, s, p: side, stride and padding of a kernel or window (S and P where they belong to a layer)
//! - `dw`: gradient of the loss with respect to `w`
//! - λ: factor of L2, which adds λ·w to the gradient of a weight w
//! - a ⊗ b: outer product, the matrix of all products of an element of a and an element of b
//!
//! Arrays are row-major in the order of their shape: (N, C, H, W). The fused engine runs one
//! pattern of network; there, C is the number of output channels of the convolution, and H the
//! number of hidden units.

pub mod autograd;
pub mod bench;
pub mod cli;
pub mod commands;
pub mod data;
pub mod digest;
pub mod engine;
pub mod error;
pub mod files;
pub mod gradcheck;
pub mod measure;
pub mod model;
pub mod nn;
pub mod onnx;
pub mod optim;
#[cfg(feature = "profile")]
pub mod profile;
pub mod random;
pub mod ranks;
pub mod report;
pub mod scalar;
pub mod simd;
pub mod stages;
pub mod team;
pub mod training;
