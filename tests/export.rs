//! Models for other programs. What the other programs make of them is checked by
//! tests/reference/check_export.py, which `.ci/run` runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mnist_train::data::batches::Batch;
use mnist_train::data::dataset::ImageFormat;
use mnist_train::data::dataset::Split;
use mnist_train::data::synthetic;
use mnist_train::engine::compute::Compute;
use mnist_train::model::architecture::Architecture;
use mnist_train::model::checkpoint::{self, Model};
use mnist_train::model::export::{Export, Format};
use mnist_train::model::parameters::{Parameters, TrainState, little_endian};
use mnist_train::model::presets::{self, PRESETS};
use mnist_train::model::recipe::Recipe;
use mnist_train::nn::grammar::LAYERS;
use mnist_train::onnx::messages::{ModelProto, Size, TensorProto, ValueInfoProto};
use mnist_train::optim::adam::Adam;
use mnist_train::simd::Isa;
use mnist_train::stages::Stage;
use prost::Message;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

mod program;

use program::{Run, Workplace, save};

/// Networks that have every kind of layer, with all their settings.
const OF_LAYERS: [&str; 6] = [
    "conv4k3s2p1,relu,avgpool3s2p1,conv6k2p2,sigmoid,maxpool3s1p1,globalavgpool,fc10",
    "conv8k3,batchnorm,gelu,avgpool2,globalmaxpool,batchnorm,tanh,fc10",
    "channels,conv1d8k3s2p1,batchnorm,relu,avgpool3s1p1,maxpool3s2,globalmaxpool,fc10",
    "rows,fc16,batchnorm,lstm12,layernorm,lstm7,mean,fc10,res(softmax)",
    "conv2k3p1,patches4,fc24,pos,attn3,res(layernorm,res(attn1,dropout0.1),gelu),last,fc10",
    "patches7,pos,softmax,flatten,layernorm,fc10,dropout0.5",
];

/// Operators that the layers call, all of which are in the opset.
const OPERATORS: [&str; 25] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Concat",
    "Constant",
    "Conv",
    "Div",
    "Erf",
    "Gather",
    "Gemm",
    "LSTM",
    "LayerNormalization",
    "MatMul",
    "MaxPool",
    "Mul",
    "ReduceMax",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Split",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

/// Parameters of `architecture` with a different value in each element.
fn numbered(architecture: &Architecture) -> Parameters {
    let values = (0..architecture.parameter_count()).map(|i| i as f32);
    Parameters::new(architecture, values.collect())
}

fn exported(architecture: &Architecture, parameters: &Parameters, format: Format) -> Vec<u8> {
    Export { architecture, parameters, dataset: Some("mnist") }.model(format)
}

/// Sizes of the axes of an input or output, whose first one must be free.
fn sizes_of_batch(value: &ValueInfoProto) -> Vec<i64> {
    let tensor = value.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
    assert_eq!(tensor.elem_type, TensorProto::FLOAT);
    let mut sizes = tensor.shape.as_ref().unwrap().dim.iter().map(|dim| dim.size.clone().unwrap());
    assert_eq!(sizes.next(), Some(Size::Param("N".into())));
    let sizes = sizes.map(|size| match size {
        Size::Value(size) => size,
        Size::Param(name) => panic!("{name} is free"),
    });
    sizes.collect()
}

#[test]
fn every_network_is_an_onnx_graph_in_order_whose_initializers_are_its_tensors() {
    let (mut kinds, mut operators) = (BTreeSet::new(), BTreeSet::new());
    for text in PRESETS.iter().map(|preset| preset.name).chain(OF_LAYERS) {
        let network = presets::network(text, ImageFormat::MNIST).unwrap();
        kinds.extend(network.layers().iter().map(|placed| placed.layer.word()));
        let parameters = numbered(&network);
        let model = ModelProto::decode(&*exported(&network, &parameters, Format::Onnx)).unwrap();
        assert_eq!((model.ir_version, &*model.producer_name), (8, "mnist-train"));
        assert_eq!(model.producer_version, env!("CARGO_PKG_VERSION"));
        let opsets: Vec<_> = model.opset_import.iter().map(|o| (&*o.domain, o.version)).collect();
        assert_eq!(opsets, [("", 17)]);
        let fact = |key| &*model.metadata_props.iter().find(|fact| fact.key == key).unwrap().value;
        assert_eq!([fact("network"), fact("dataset")], [&network.to_string(), "mnist"]);
        assert_eq!(fact("input"), "f32 (N, 1, 28, 28), pixels divided by 255");
        assert_eq!(fact("weights_sha256"), parameters.sha256().to_string());

        let graph = model.graph.unwrap();
        let ([input], [output]) = (&graph.input[..], &graph.output[..]) else { panic!("{text}") };
        assert_eq!((&*input.name, sizes_of_batch(input)), ("image", vec![1, 28, 28]));
        assert_eq!((&*output.name, sizes_of_batch(output)), ("logits", vec![10]));
        assert_eq!(graph.initializer.len(), network.tensors().len());
        for ((spec, values), tensor) in parameters.iter().zip(&graph.initializer) {
            let dims = spec.shape.iter().map(|&size| size as i64).collect::<Vec<_>>();
            assert_eq!((&tensor.name, &tensor.dims), (&spec.name, &dims), "{text}");
            assert_eq!(floats(&tensor.raw_data), values, "{text}");
        }
        let initializers = graph.initializer.iter().map(|tensor| tensor.name.clone());
        let mut known: BTreeSet<_> = initializers.chain(["image".into()]).collect();
        let mut names = BTreeSet::new();
        for node in &graph.node {
            assert!(names.insert(&node.name), "{text}: two nodes are called {}", node.name);
            let unknown: Vec<_> = node.input.iter().filter(|name| !known.contains(*name)).collect();
            assert!(unknown.is_empty(), "{text}: {} takes {unknown:?}", node.name);
            for output in &node.output {
                assert!(known.insert(output.clone()), "{text}: {output} is computed twice");
            }
            operators.insert(node.op_type.clone());
        }
        assert!(known.contains("logits"), "{text}");
        let all: BTreeSet<_> = graph.node.iter().flat_map(|node| &node.input).collect();
        let unused: Vec<_> = known.iter().filter(|name| !all.contains(name)).collect();
        assert_eq!(unused, ["logits"], "{text}");
    }
    let missing: Vec<_> =
        LAYERS.iter().map(|kind| kind.name).filter(|name| !kinds.contains(*name)).collect();
    assert!(missing.is_empty(), "no network has {missing:?}");
    assert!(operators.iter().eq(&OPERATORS), "{operators:?}");
}

#[test]
fn an_attribute_of_zero_is_written() {
    // A reader must be able to tell an axis 0 from an attribute without a value.
    let network = presets::network("rows,lstm2,last,fc10", ImageFormat::MNIST).unwrap();
    let model = exported(&network, &numbered(&network), Format::Onnx);
    let graph = ModelProto::decode(&*model).unwrap().graph.unwrap();
    let split = graph.node.iter().find(|node| node.op_type == "Split").unwrap();
    assert_eq!((&*split.attribute[0].name, split.attribute[0].i), ("axis", Some(0)));
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (words, rest) = bytes.as_chunks();
    assert!(rest.is_empty());
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// Logits of the default network for the first ten images of `split`, by the reference arithmetic.
fn naive_logits(parameters: &Parameters, split: &Split) -> Vec<f32> {
    let (network, recipe) =
        (presets::network("default", ImageFormat::MNIST).unwrap(), Recipe::default());
    let compute = Compute { threads: 1, isa: Isa::Portable };
    let mut engine = Stage::find("naive").unwrap().build(&network, &recipe, compute).unwrap();
    engine.load(&TrainState::new(parameters.clone(), &Adam::SLOTS));
    engine.predict(&Batch::new(split, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])).to_vec()
}

/// Weights of the model at `path`.
fn weights(path: &Path) -> Parameters {
    checkpoint::read(path, None).unwrap().1.parameters().clone()
}

#[test]
fn both_formats_have_the_weights_of_the_checkpoint_and_ten_images_with_their_logits() {
    let place = Workplace::new();
    place.run("--epochs 2 --no-eval").succeeds();
    let checkpoint = weights(&place.path("ckpt.bin"));
    for format in ["onnx", "safetensors"] {
        let run = place.run(&format!("export --format {format}")).succeeds().fits_a_terminal();
        let file = format!("ckpt.{format}");
        for name in [&file, &format!("{file}.test.safetensors"), &format!("{file}.py")] {
            assert!(run.stdout.contains(&format!("{name}: ")) && place.path(name).exists());
        }
        let again = place.run(&format!("export ckpt.bin --json --out {file}")).succeeds();
        let event = again.last("export");
        assert_eq!(event["weights_sha256"], checkpoint.sha256().to_string());
        assert_eq!(event["opset"].as_i64(), (format == "onnx").then_some(17));
        for (key, value) in [("format", format), ("file", &file), ("trained_on", "custom")] {
            assert_eq!(event[key], value);
        }
        assert_eq!(event["bytes"], place.read(&file).len());
        let bytes = place.read(event["test_file"].as_str().unwrap());
        let test = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = |name, dtype, shape: &[usize]| {
            let tensor = test.tensor(name).unwrap();
            assert_eq!((tensor.dtype(), tensor.shape()), (dtype, shape));
            tensor.data().to_vec()
        };
        let digits = synthetic::generate(1, program::TRAIN_IMAGES, program::TEST_IMAGES);
        let split = digits.test.unwrap();
        let images = floats(&tensor("images", Dtype::F32, &[10, 1, 28, 28]));
        let pixels = split.images()[..10 * 28 * 28].iter().map(|&pixel| f32::from(pixel) / 255.0);
        assert!(pixels.eq(images), "the first images");
        let labels = tensor("labels", Dtype::I64, &[10]);
        let labels = labels.as_chunks().0.iter().map(|label| i64::from_le_bytes(*label));
        assert!(labels.eq(split.labels()[..10].iter().map(|&label| i64::from(label))));
        let logits = floats(&tensor("logits", Dtype::F32, &[10, 10]));
        let largest = logits.iter().map(|logit| logit.abs()).fold(0.0, f32::max);
        assert_eq!(event["largest_logit"].as_f64().unwrap() as f32, largest);
        let expected = naive_logits(&checkpoint, &split);
        let differences = logits.iter().zip(expected).map(|(a, b)| (a - b).abs());
        assert!(differences.fold(0.0, f32::max) <= 1e-5 * largest, "{logits:?}");
    }
    let exported = place.path("ckpt.safetensors");
    assert_eq!(weights(&exported), checkpoint);
    let (_, model) = checkpoint::read(&exported, None).unwrap();
    assert!(matches!(model, Model::Weights(_)), "no moments of the optimizer");
    let of_export = place.run("eval ckpt.safetensors --json").succeeds().last("eval");
    let of_checkpoint = place.run("eval --json").succeeds().last("eval");
    assert_eq!(of_export["correct"], of_checkpoint["correct"]);
}

#[test]
fn the_script_of_pytorch_builds_the_network_under_the_names_of_its_tensors() {
    let script = |text: &str| {
        let network = presets::network(text, ImageFormat::MNIST).unwrap();
        let export =
            Export { architecture: &network, parameters: &numbered(&network), dataset: None };
        export.script(Format::Safetensors)
    };
    let default = script("default");
    let network = "\
network = nn.Sequential(OrderedDict(
    conv1=nn.Conv2d(1, 32, 5, padding=2),
    relu1=nn.ReLU(),
    maxpool1=nn.MaxPool2d(2),
    flatten1=nn.Flatten(),
    fc1=nn.Linear(6272, 128),
    relu2=nn.ReLU(),
    fc2=nn.Linear(128, 10),
))
";
    assert!(default.contains(network) && !default.contains("class "), "{default}");
    let nested = script("rows,lstm8,res(layernorm,res(relu),lstm8),lstm4,last,fc10,res(softmax)");
    let network = "\
network = nn.Sequential(OrderedDict(
    rows1=nn.Flatten(1, 2),
    lstm1=Lstm(28, 8, batch_first=True),
    res1=Residual(OrderedDict(
        layernorm1=nn.LayerNorm(8, eps=1e-6),
        res2=Residual(OrderedDict(
            relu1=nn.ReLU(),
        )),
        lstm2=Lstm(8, 8, batch_first=True),
    )),
    lstm3=Lstm(8, 4, batch_first=True),
    last1=Last(),
    fc1=nn.Linear(4, 10),
    res3=Residual(OrderedDict(
        softmax1=nn.Softmax(-1),
    )),
))
";
    assert!(nested.contains(network), "{nested}");
    let classes: Vec<_> = nested.lines().filter(|line| line.starts_with("class ")).collect();
    let expected =
        ["class Lstm(nn.LSTM):", "class Last(nn.Module):", "class Residual(nn.Sequential):"];
    assert_eq!(classes, expected);
    let of_layers: String = OF_LAYERS.map(script).concat();
    for module in [
        "nn.Conv2d(1, 4, 3, stride=2, padding=1)",
        "nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)",
        "nn.AvgPool2d(2)",
        "nn.MaxPool2d(3, stride=1, padding=1)",
        "nn.Conv1d(28, 8, 3, stride=2, padding=1)",
        "nn.AvgPool1d(3, stride=1, padding=1, count_include_pad=False)",
        "nn.MaxPool1d(3, stride=2)",
        "nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())",
        "nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten())",
        "batchnorm1=nn.BatchNorm2d(8)",
        "batchnorm2=nn.BatchNorm1d(8)",
        "Patches(4, stride=4)",
        "Position(49, 24)",
        "SelfAttention(24, 3, batch_first=True)",
        "nn.Dropout(0.5)",
        "nn.GELU()",
    ] {
        assert!(of_layers.contains(module), "{module}: {of_layers}");
    }
}

#[test]
fn the_same_model_gives_the_same_bytes_and_replaces_its_earlier_export() {
    let place = Workplace::new();
    place.run("--epochs 1 --max-samples 64 --no-eval").succeeds();
    let export = || {
        for format in ["onnx", "safetensors"] {
            place.run(&format!("export --format {format}")).succeeds();
        }
        let names = place.names();
        names.iter().map(|name| (name.clone(), place.read(name))).collect::<Vec<_>>()
    };
    let first = export();
    assert_eq!(first.len(), 7, "the checkpoint, and three files of each format");
    assert_eq!(export(), first);
}

#[test]
fn nothing_but_an_earlier_export_is_replaced_by_an_export() {
    let place = Workplace::new();
    place.run("--epochs 1 --max-samples 64 --no-eval --model m.safetensors").succeeds();
    let checkpoint = place.read("m.safetensors");
    let words = ["m.safetensors is the model itself: name another --out"];
    place.run("export m.safetensors --format safetensors").fails(2, &words);
    place.run("export m.safetensors --out ./m.safetensors").fails(2, &words);
    assert_eq!(
        (place.names(), place.read("m.safetensors")),
        (vec!["m.safetensors".into()], checkpoint)
    );
    for name in ["m.onnx", "m.onnx.test.safetensors", "m.onnx.py"] {
        for content in ["mine", "# Written by hand\n", "\u{8}\u{8}\u{12}\u{7}pytorch"] {
            fs::write(place.path(name), content).unwrap();
            let words = [name, "is not the export of an earlier run, and is not replaced"];
            place.run("export m.safetensors --format onnx").fails(3, &words);
            assert_eq!(place.read(name), content.as_bytes());
            assert_eq!(place.names().len(), 2, "no other file is written");
        }
        // An empty file holds nothing that could be lost.
        fs::write(place.path(name), "").unwrap();
        place.run("export m.safetensors --format onnx").succeeds();
        for name in ["m.onnx", "m.onnx.test.safetensors", "m.onnx.py"] {
            fs::remove_file(place.path(name)).unwrap();
        }
    }
    fs::create_dir(place.path("m.onnx")).unwrap();
    place.run("export m.safetensors --format onnx").fails(1, &["m.onnx is a directory"]);
    let words = ["none/m.onnx: the folder none does not exist: create it first"];
    place.run("export m.safetensors --out none/m.onnx").fails(1, &words);
}

#[test]
fn a_format_must_be_named_and_fit_the_name_of_the_file() {
    let place = Workplace::new();
    for (flags, problem) in [
        ("", "--format: there is none: choose safetensors or onnx"),
        ("--out m.bin", "--out m.bin: the name must end with .safetensors or .onnx"),
        ("--out onnx", "--out onnx: the name must end with .safetensors or .onnx"),
        ("--out m.bin --format onnx", "--out m.bin: the name must end with .onnx"),
        ("--out m.onnx --format safetensors", "m.onnx: the name must end with .safetensors"),
    ] {
        place.run(&format!("export {flags}")).fails(2, &[problem]);
    }
    let words = ["--format", "there are safetensors and onnx"];
    place.run("export --format pickle").rejects_flags(&words);
    place.run("export --format onnx").fails(1, &["ckpt.bin: cannot open: no such file"]);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn weights_of_another_network_need_its_name_and_weights_must_give_numbers() {
    let place = Workplace::new();
    let network = presets::network("lstm", ImageFormat::MNIST).unwrap();
    let write = |values: &[f32]| {
        let parameters = Parameters::new(&network, values.to_vec());
        let tensors: Vec<_> = parameters
            .iter()
            .map(|(spec, values)| (&spec.name, &spec.shape, little_endian(values)))
            .collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            (name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
        });
        let file = safetensors::serialize(views, None).unwrap();
        fs::write(place.path("w.safetensors"), file).unwrap();
    };
    let count = network.parameter_count();
    write(&vec![0.01; count]);
    let export = "export w.safetensors --out w.onnx --json";
    place.run(export).fails(3, &["tensor conv1.weight is missing", "name it with --arch"]);
    place.run(&format!("{export} --arch mlp")).fails(3, &["does not belong to this network"]);
    let run = place.run(&format!("{export} --arch lstm")).succeeds();
    assert!(run.stderr.contains("the weights get pixels/255"), "{run:#?}");
    assert!(run.last("export").get("trained_on").is_none());
    write(&vec![f32::MAX; count]);
    let words = ["w.safetensors: its logits are not finite: the weights are too large to use"];
    place.run(&format!("{export} --arch lstm")).fails(3, &words);
}

#[test]
fn an_export_of_weights_names_its_network() {
    let place = Workplace::new();
    place.run("--arch rows,lstm8,last,fc10 --epochs 1 --json").succeeds();
    place.run("export --out w.safetensors").succeeds();
    let evaluated = |model: &str| {
        let event = place.run(&format!("eval {model} --json")).succeeds().last("eval");
        (event["architecture"].clone(), event["correct"].clone(), event["weights_sha256"].clone())
    };
    assert_eq!(evaluated("w.safetensors"), evaluated("ckpt.bin"));
    let other = place.run("eval w.safetensors --arch rows,lstm8,mean,fc10");
    other.fails(3, &["w.safetensors: holds another network: rows,lstm8,last,fc10; expected rows"]);
    // Another training can begin with it, if the tensors fit.
    let flags = "--epochs 1 --init-from w.safetensors --model new.bin";
    place.run(&format!("{flags} --arch rows,lstm8,mean,fc10")).succeeds();
    place.run(flags).fails(3, &["w.safetensors: tensor conv1.weight is missing"]);

    let good = place.read("w.safetensors");
    for (from, to, reason) in [
        ("rows,lstm8", "rows,lstn8", "field network of mnist-train.export: layer 2 'lstn8'"),
        ("last,fc10", "last,fc1 ", "the last layer must have 2 to "),
        ("(N, 1, 28, 28)", "(N, 0, 28, 28)", "[0, 28, 28] (C, H, W), and are read with one"),
        ("(N, 1, 28, 28)", "(N, 1, 280, 2)", "[1, 280, 2] (C, H, W), and are read with one"),
        ("(N, 1, 28, 28)", "(N, 1, 28: 28)", "has no shape (N, C, H, W)"),
        ("\\\"network", "\\\\network", "no JSON from column"),
    ] {
        let at = good.windows(from.len()).position(|bytes| bytes == from.as_bytes()).unwrap();
        let mut changed = good.clone();
        changed[at..][..from.len()].copy_from_slice(to.as_bytes());
        fs::write(place.path("w.safetensors"), changed).unwrap();
        let run = place.run("eval w.safetensors");
        run.fails(3, &["w.safetensors: damaged checkpoint metadata: ", reason]);
    }
}

#[test]
fn fewer_test_images_are_all_written_and_without_data_they_are_synthetic() {
    let place = Workplace::new();
    save(&synthetic::generate(1, 64, 1), &place.path("few"));
    place.run("--epochs 1 --no-eval").succeeds();
    let export = "export --format onnx";
    let one = Run::of(place.bare(&format!("{export} --data few"))).succeeds();
    assert!(one.stdout.contains("test.safetensors: 1 test image, "), "{one:#?}");
    let none = Run::of(place.bare(&format!("{export} --offline --json"))).succeeds();
    assert!(none.stderr.contains("NOT MNIST"), "{none:#?}");
    let event = none.last("export");
    assert_eq!((&event["dataset"], &event["test_images"]), (&"synthetic".into(), &10.into()));
    let words = ["missing: no such folder"];
    Run::of(place.bare(&format!("{export} --data missing"))).fails(1, &words);
}
