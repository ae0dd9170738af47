//! The messages of an ONNX file that a network needs, as Protocol Buffers.
//!
//! Names, numbers and types of the fields are those of [`onnx.proto`] of the ONNX project; fields that
//! this program never writes are left out. Shapes and attributes have the optional fields of the
//! original, because there a zero that is written differs from one that is not.
//!
//! [`onnx.proto`]: https://github.com/onnx/onnx/blob/v1.12.0/onnx/onnx.proto

use prost::{Message, Oneof};

/// Model: a graph, and what a runtime must know of it.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// Version of the format, which decides the messages and their fields.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// Name of the program that wrote the model.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// Version of the program that wrote the model.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// Computation of the model.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// Sets of operators that the graph uses.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    /// Facts about the model that no runtime needs.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// Version of a set of operators.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetIdProto {
    /// Name of the set; empty for the operators of ONNX itself.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Version of the set.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// Fact with a name.
#[derive(Clone, PartialEq, Message)]
pub struct StringStringEntryProto {
    /// Name of the fact.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Fact in words.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// Graph of a computation. Its nodes stand in an order in which they can be computed.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// Nodes, each after the nodes whose outputs it takes.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// Name of the graph.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Tensors whose values are part of the model.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// Inputs of the graph.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// Outputs of the graph.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

/// Call of an operator.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// Names of the values that the operator takes.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names that the values get which the operator computes.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Name of the node.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Name of the operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Settings of the operator.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
}

/// Setting of an operator. It has one value, of the kind that `type` says.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    /// Name of the setting.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value, if it is a number.
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    /// Value, if it is a whole number.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// Value, if it is a list of whole numbers.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// Kind of the value: [`Self::FLOAT`], [`Self::INT`] or [`Self::INTS`].
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

impl AttributeProto {
    /// Kind of a number.
    pub const FLOAT: i32 = 1;
    /// Kind of a whole number.
    pub const INT: i32 = 2;
    /// Kind of a list of whole numbers.
    pub const INTS: i32 = 7;
}

/// Tensor with its values.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// Sizes of the axes.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// Type of the elements: [`Self::FLOAT`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Name of the tensor.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Elements, row-major and little-endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

impl TensorProto {
    /// Type f32.
    pub const FLOAT: i32 = 1;
}

/// Name and type of an input or an output of a graph.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    /// Name of the value.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Type of the value.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

/// Type of a value.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    /// Type of a tensor, the only type that this program writes.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// Type of a tensor; in `onnx.proto`, `TypeProto.Tensor`.
#[derive(Clone, PartialEq, Message)]
pub struct TensorTypeProto {
    /// Type of the elements, as in [`TensorProto::data_type`].
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// Sizes of the axes.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// Sizes of the axes of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    /// Axes in their order.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// Axis of a tensor; in `onnx.proto`, `TensorShapeProto.Dimension`.
#[derive(Clone, PartialEq, Message)]
pub struct DimensionProto {
    /// Size of the axis.
    #[prost(oneof = "Size", tags = "1, 2")]
    pub size: Option<Size>,
}

/// Size of an axis.
#[derive(Clone, PartialEq, Eq, Oneof)]
pub enum Size {
    /// Fixed size.
    #[prost(int64, tag = "1")]
    Value(i64),
    /// Name of a size that each call of the model may choose.
    #[prost(string, tag = "2")]
    Param(String),
}
