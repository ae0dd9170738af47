//! The graph of a computation, to which one call of an operator after the other is added.

use std::collections::BTreeMap;

use prost::Message;

use super::messages::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, Size,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

/// Version of ONNX's operators that a graph uses: the first version with LayerNormalization, so that
/// runtimes from the year 2022 on can run the model.
pub const OPSET: i64 = 17;
/// Version of the format that belongs to [`OPSET`].
const IR_VERSION: i64 = 8;
/// Name of the program in the files that it writes.
pub const PRODUCER: &str = "mnist-train";
/// Name of the axis of the images, whose size is free.
const BATCH: &str = "N";

/// Value of a graph: an input, a tensor of the model, or the output of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value(usize);

/// Value of a setting of an operator.
#[derive(Debug, Clone, Copy)]
pub enum Attribute<'a> {
    /// Number.
    Float(f32),
    /// Whole number.
    Int(i64),
    /// List of whole numbers.
    Ints(&'a [usize]),
}

/// Graph of a computation with one input and one output, both for N images.
#[derive(Debug, Default)]
pub struct Graph {
    /// Names of all values.
    names: Vec<String>,
    content: GraphProto,
    /// Beginning of the names of new nodes.
    scope: String,
    /// Number of nodes whose names have the same beginning and operator.
    calls: BTreeMap<String, usize>,
}

impl Graph {
    /// Graph of an input `name`, f32 of the shape (N, `sizes`), and that input. N is free.
    pub fn new(name: &str, sizes: &[usize]) -> (Self, Value) {
        let mut graph = Self::default();
        graph.content.name = PRODUCER.into();
        graph.content.input = vec![of_batch(name, sizes)];
        let input = graph.value(name.into());
        (graph, input)
    }

    /// Adds the tensor `name` with these `sizes`; `bytes` are its elements, row-major f32 in
    /// little-endian order.
    pub fn tensor(&mut self, name: &str, sizes: &[usize], bytes: Vec<u8>) -> Value {
        self.content.initializer.push(TensorProto {
            dims: whole(sizes),
            data_type: TensorProto::FLOAT,
            name: name.into(),
            raw_data: bytes,
        });
        self.value(name.into())
    }

    /// Lets the names of the nodes that follow begin with `scope`, which should be the name of a
    /// layer.
    pub fn enter(&mut self, scope: &str) {
        self.scope = scope.into();
    }

    /// Output of a call of `operator`.
    pub fn call<const N: usize>(
        &mut self,
        operator: &str,
        inputs: &[Value],
        attributes: [(&str, Attribute); N],
    ) -> Value {
        let [output] = self.call_for_several(operator, inputs, attributes);
        output
    }

    /// Parts of `x`, which are equal in size, along `axis`.
    pub fn split<const PARTS: usize>(&mut self, x: Value, axis: i64) -> [Value; PARTS] {
        self.call_for_several("Split", &[x], [("axis", Attribute::Int(axis))])
    }

    /// Outputs of a call of `operator`.
    fn call_for_several<const N: usize, const OUTPUTS: usize>(
        &mut self,
        operator: &str,
        inputs: &[Value],
        attributes: [(&str, Attribute); N],
    ) -> [Value; OUTPUTS] {
        let name = format!("{}/{operator}", self.scope);
        let calls = self.calls.entry(name.clone()).or_default();
        *calls += 1;
        let name = if *calls == 1 { name } else { format!("{name}_{calls}") };
        let outputs = std::array::from_fn(|output| match OUTPUTS {
            1 => self.value(name.clone()),
            _ => self.value(format!("{name}:{output}")),
        });
        self.content.node.push(NodeProto {
            input: inputs.iter().map(|input| self.names[input.0].clone()).collect(),
            output: outputs.iter().map(|output: &Value| self.names[output.0].clone()).collect(),
            name,
            op_type: operator.into(),
            attribute: attributes.map(|(name, value)| attribute(name, value)).into(),
        });
        outputs
    }

    /// List of whole numbers, as an operator takes for the sizes of axes.
    pub fn numbers(&mut self, numbers: &[usize]) -> Value {
        self.call("Constant", &[], [("value_ints", Attribute::Ints(numbers))])
    }

    /// Number, as a tensor without axes.
    pub fn number(&mut self, number: f32) -> Value {
        self.call("Constant", &[], [("value_float", Attribute::Float(number))])
    }

    /// Values of `x` (N, …) in the shape (N, `sizes`).
    pub fn reshape(&mut self, x: Value, sizes: &[usize]) -> Value {
        // 0 stands for the size that the axis has in x.
        let sizes = self.numbers(&[&[0], sizes].concat());
        self.call("Reshape", &[x, sizes], [])
    }

    /// `x` with its axes in the order `axes`.
    pub fn transpose(&mut self, x: Value, axes: &[usize]) -> Value {
        self.call("Transpose", &[x], [("perm", Attribute::Ints(axes))])
    }

    /// Output of a call of `operator`, whose window slides over the last `axes` axes of `inputs[0]`. It
    /// has `kernel` elements along each of them, moves by `stride`, and sees `padding` elements on each
    /// side.
    pub fn slide(
        &mut self,
        operator: &str,
        inputs: &[Value],
        axes: usize,
        [kernel, stride, padding]: [usize; 3],
    ) -> Value {
        let attributes = [
            ("kernel_shape", Attribute::Ints(&vec![kernel; axes])),
            ("strides", Attribute::Ints(&vec![stride; axes])),
            ("pads", Attribute::Ints(&vec![padding; 2 * axes])),
        ];
        self.call(operator, inputs, attributes)
    }

    /// Output of a call of `operator`, which makes one number of all numbers along the `axes` of `x`.
    pub fn reduce(&mut self, operator: &str, x: Value, axes: &[usize]) -> Value {
        let attributes = [("axes", Attribute::Ints(axes)), ("keepdims", Attribute::Int(0))];
        self.call(operator, &[x], attributes)
    }

    /// Rows x·Wᵀ + b of the last axis of `x`, for a `weight` (O, F) and a `bias` (O).
    pub fn linear(&mut self, x: Value, [weight, bias]: [Value; 2]) -> Value {
        let weight = self.transpose(weight, &[1, 0]);
        let products = self.call("MatMul", &[x, weight], []);
        self.call("Add", &[products, bias], [])
    }

    /// Bytes of the model whose output is `output`, f32 of the shape (N, `sizes`), under the name
    /// `name`, with these `facts` as its metadata.
    ///
    /// # Panics
    /// When `output` is not the output of the last node.
    pub fn into_model(
        mut self,
        output: Value,
        name: &str,
        sizes: &[usize],
        facts: &[(&str, String)],
    ) -> Vec<u8> {
        let last = self.content.node.last_mut().expect("the graph has a node");
        assert_eq!(last.output, [self.names[output.0].clone()]);
        last.output = vec![name.into()];
        self.content.output = vec![of_batch(name, sizes)];
        let fact = |(key, value): &(&str, String)| StringStringEntryProto {
            key: (*key).into(),
            value: value.clone(),
        };
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: PRODUCER.into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.content),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            metadata_props: facts.iter().map(fact).collect(),
        };
        model.encode_to_vec()
    }

    fn value(&mut self, name: String) -> Value {
        self.names.push(name);
        Value(self.names.len() - 1)
    }
}

/// Whether `bytes` are, or begin, a model that this program wrote.
pub fn is_written_here(bytes: &[u8]) -> bool {
    // Fields are written in the order of their numbers, and the producer is the second.
    let named = ModelProto { producer_name: PRODUCER.into(), ..ModelProto::default() };
    let named = named.encode_to_vec();
    let beginning = &bytes[..bytes.len().min(32)];
    beginning.windows(named.len()).any(|window| window == named)
}

/// Input or output `name`, f32 of the shape (N, `sizes`).
fn of_batch(name: &str, sizes: &[usize]) -> ValueInfoProto {
    let images = Size::Param(BATCH.into());
    let sizes = whole(sizes).into_iter().map(Size::Value);
    let dim = [images].into_iter().chain(sizes).map(|size| DimensionProto { size: Some(size) });
    let shape = Some(TensorShapeProto { dim: dim.collect() });
    let tensor = TensorTypeProto { elem_type: TensorProto::FLOAT, shape };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

fn attribute(name: &str, value: Attribute) -> AttributeProto {
    let name = name.into();
    match value {
        Attribute::Float(f) => AttributeProto {
            name,
            f: Some(f),
            r#type: AttributeProto::FLOAT,
            ..AttributeProto::default()
        },
        Attribute::Int(i) => AttributeProto {
            name,
            i: Some(i),
            r#type: AttributeProto::INT,
            ..AttributeProto::default()
        },
        Attribute::Ints(ints) => AttributeProto {
            name,
            ints: whole(ints),
            r#type: AttributeProto::INTS,
            ..AttributeProto::default()
        },
    }
}

/// `sizes` in the type that ONNX has for them.
fn whole(sizes: &[usize]) -> Vec<i64> {
    sizes.iter().map(|&size| size as i64).collect()
}
