//! Models in the format of ONNX, the Open Neural Network Exchange (<https://onnx.ai>).
//!
//! A [`Graph`] is a record of a computation, as a tape of [`crate::autograd`] is, but without values: each
//! layer writes its definition as calls of standard operators, in its own file. [`Graph::into_model`]
//! makes the file of the graph, which has everything in it: it refers to no other file.
//!
//! [`messages`] has the format of the file.

mod graph;
pub mod messages;

pub use self::graph::{Attribute, Graph, OPSET, PRODUCER, Value, is_written_here};
