//! The mathematics of the layers and of the loss. Each layer has a file with its shapes. The
//! definition of the layer and the derivation of its backward pass are in the same file, or in the
//! file of the primitive that computes the layer.
//!
//! A [`Layer`](layer::Layer) is written once over [`primitives`], the operations that a stage may
//! replace. The reference arithmetic of the primitives follows the definitions literally; it is the
//! stage [`naive`](crate::stages::naive), against which every faster stage is checked.
//!
//! A backward pass *overwrites* its gradients with the sum over the images of the batch. The
//! gradient with respect to the logits has already been divided by the number of images, so the sum
//! is the gradient of the mean loss.
//!
//! The passes and the primitives are written for any number format: f32 trains, and f64 checks the
//! gradients. A layer also records its definition on a [tape](crate::autograd), with which its
//! backward pass is compared. For other programs, it adds its definition to a [graph](crate::onnx) of
//! ONNX, and names the module of PyTorch that computes it.
//!
//! A new layer is a file here and a row of [`grammar::LAYERS`].

pub mod attention;
pub mod avgpool;
pub mod batchnorm;
pub mod channels;
pub mod conv1d;
pub mod conv2d;
pub mod cross_entropy;
pub mod dropout;
pub mod elementwise;
pub mod flatten;
pub mod gelu;
pub mod globalavgpool;
pub mod globalmaxpool;
pub mod grammar;
pub mod kernels;
pub mod last;
pub mod layer;
pub mod layernorm;
pub mod linear;
pub mod lstm;
pub mod maxpool;
pub mod mean;
pub mod normalize;
pub mod patches;
pub mod pool;
pub mod pos;
pub mod primitives;
pub mod relu;
pub mod rows;
pub mod settings;
pub mod shape;
pub mod sigmoid;
pub mod softmax;
pub mod split;
pub mod tanh;
pub mod tensor;
pub mod view;
