//! A checkpoint comes back bit for bit; a damaged or foreign file is refused, and says why.

use std::fs;
use std::path::Path;

use half::{bf16, f16};
use mnist_train::error::Error;
use mnist_train::files::durable;
use mnist_train::model::architecture::Architecture;
use mnist_train::model::checkpoint::{self, Model};
use mnist_train::model::mnist_cnn::MnistCnn;
use mnist_train::random::Stream;
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};

mod allocation;
mod crafted;

use allocation::peak_bytes;
use crafted::{Crafted, checkpoint as good, network, weights_alone, whole};

/// Error message for a file with these bytes.
#[track_caller]
fn refusal(bytes: &[u8], architecture: &Architecture) -> String {
    let reason = checkpoint::parse(bytes, Some(architecture)).expect_err("accepted").to_string();
    assert!(!reason.contains(char::is_control), "{reason:?}");
    reason
}

/// Error message for the file at `path`, without its path.
#[track_caller]
fn refusal_of(path: &Path) -> String {
    let error = checkpoint::read(path, None).expect_err("accepted");
    assert!(matches!(error, Error::InvalidFile { .. }), "{error:?}");
    assert_eq!(error.exit_code(), 3);
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
    let reason = message.strip_prefix(&format!("{}: ", path.display()));
    reason.expect("names the file").to_string()
}

/// Checks cases (description, bytes of the file, words that the error must contain) and reports all
/// that fail.
#[track_caller]
fn assert_refused(cases: impl IntoIterator<Item = (String, Vec<u8>, Vec<String>)>) {
    let mut failures = Vec::new();
    for (what, bytes, words) in cases {
        let reason = refusal(&bytes, &network());
        if !words.iter().all(|word| reason.contains(word)) {
            failures.push(format!("{what}: {words:?} expected, found: {reason}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Case for [`assert_refused`].
fn case(what: &str, bytes: impl Into<Vec<u8>>, words: &[&str]) -> (String, Vec<u8>, Vec<String>) {
    let words = words.iter().map(|word| word.to_string()).collect();
    (what.into(), bytes.into(), words)
}

/// Case whose file is a good checkpoint that `spoil` has changed. Its checksum is right again, so
/// the change itself must be found.
fn spoilt(
    what: &str,
    spoil: impl FnOnce(&mut Crafted),
    words: &[&str],
) -> (String, Vec<u8>, Vec<String>) {
    let mut file = Crafted::from(&whole());
    spoil(&mut file);
    file.seal();
    case(what, file.bytes(), words)
}

#[test]
fn everything_comes_back_bit_for_bit() {
    for architecture in [network(), MnistCnn::default().architecture()] {
        let mut written = good(&architecture);
        let bytes = written.to_bytes();
        let (_, Model::Checkpoint(read)) = checkpoint::parse(&bytes, None).unwrap() else {
            panic!("read as weights alone");
        };
        assert_eq!(*read, written);
        assert_eq!(read.metadata.steps, 345);
    }
}

#[test]
fn a_file_tells_the_sizes_of_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    let odd = MnistCnn { channels: 3, kernel_size: 7, hidden: 11 };
    for network in [MnistCnn::default(), odd] {
        let mut written = good(&network.architecture());
        durable::replace(&path, &written.to_bytes()).unwrap();
        let architecture = network.architecture();
        let expected = (architecture.clone(), Model::Checkpoint(Box::new(written)));
        assert_eq!(checkpoint::read(&path, None).unwrap(), expected);

        let mut weights = Crafted::from(&fs::read(&path).unwrap());
        weights.keep(|name| !name.starts_with("adam."));
        weights.metadata = None;
        fs::write(&path, weights.bytes()).unwrap();
        let expected = (architecture, Model::Weights(expected.1.parameters().clone()));
        assert_eq!(checkpoint::read(&path, None).unwrap(), expected);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A checkpoint of format version 1: one epoch of a network of 1 channel, 3×3 kernels and 2 hidden
/// units on 100 synthetic digits, trained by the stage naive.
const FORMAT_1: &[u8] = include_bytes!("reference/format1.safetensors");

#[test]
fn a_file_of_format_version_1_is_read_and_written_as_one_of_today() {
    let sizes = MnistCnn { channels: 1, kernel_size: 3, hidden: 2 };
    let (architecture, model) = checkpoint::parse(FORMAT_1, None).unwrap();
    assert_eq!(architecture, sizes.architecture());
    let Model::Checkpoint(mut read) = model else { panic!("read as weights alone") };
    assert_eq!(
        read.state.parameters.sha256().to_string(),
        "83ca82e7feed7c15c0c2b400a4888681f30e275fbe14751a0724ca79135b4de9"
    );
    assert_eq!(read.state.slots.len(), 2);
    assert_eq!((read.metadata.steps, read.metadata.position.epoch), (4, 1));
    assert_eq!(read.metadata.architecture, "conv1k3p1,relu,maxpool2,flatten,fc2,relu,fc10");
    let written = read.to_bytes();
    assert_eq!(checkpoint::parse(&written, None).unwrap().1, Model::Checkpoint(read));

    let mut other = Crafted::from(&FORMAT_1.to_vec());
    other.replace_in_metadata("linear(2)", "linear(3)");
    other.seal();
    let reason = checkpoint::parse(&other.bytes(), None).unwrap_err().to_string();
    let words = ["another network", "linear(3)", "expected", "linear(2)"];
    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
}

#[test]
fn a_file_of_an_early_version_does_not_say_which_instructions_trained_it() {
    let expected = good(&network());
    for early in ["", "\"isa\":null,"] {
        let mut file = Crafted::from(&whole());
        file.replace_in_metadata("\"isa\":\"avx2\",", early);
        file.seal();
        let (_, Model::Checkpoint(read)) =
            checkpoint::parse(&file.bytes(), Some(&network())).unwrap()
        else {
            panic!("read as weights alone");
        };
        assert_eq!(read.metadata.isa, None);
        assert_eq!(read.state, expected.state);
    }
}

#[test]
fn refuses_tensors_that_fit_no_network_before_taking_memory_for_one() {
    let whole =
        good(&MnistCnn { channels: 2, kernel_size: 3, hidden: 4 }.architecture()).to_bytes();
    let (conv1, fc1) = ("expected [C, 1, K, K] with C at most 256 and", "expected [H, F] with");
    let cases: [(&str, &[usize], &[&str]); 10] = [
        ("conv1.weight", &[18], &["tensor conv1.weight has shape [18]", conv1]),
        ("conv1.weight", &[1, 2, 3, 3], &[conv1]),
        ("conv1.weight", &[2, 1, 1, 9], &[conv1]),
        ("conv1.weight", &[0, 1, 3, 3], &[conv1]),
        ("conv1.weight", &[257, 1, 1, 1], &[conv1]),
        ("conv1.weight", &[1, 1, 2, 2], &[conv1, "K odd and at most 27"]),
        ("conv1.weight", &[256, 1, 1, 1], &["tensor conv1.bias has shape [2], expected [256]"]),
        ("fc1.weight", &[1568], &["tensor fc1.weight has shape [1568]", fc1]),
        ("fc1.weight", &[1025, 1], &[fc1, "H at most 1024"]),
        ("fc1.weight", &[1024, 0], &["shape [1024, 0], expected [1024, 392]"]),
    ];
    for (name, shape, words) in cases {
        let mut file = Crafted::from(&whole);
        file.keep(|other| other != name && !other.starts_with("adam."));
        file.metadata = None;
        file.add(name, "F32", shape, &vec![0; 4 * shape.iter().product::<usize>()]);
        let bytes = file.bytes();
        let (refused, peak) = peak_bytes(|| checkpoint::parse(&bytes, None));
        let reason = refused.unwrap_err().to_string();
        for word in words {
            assert!(reason.contains(word), "{name} {shape:?}: {word:?} is not in: {reason}");
        }
        assert!(peak < 50_000, "{name} {shape:?}: {peak} bytes for a file of {}", bytes.len());
    }
    for name in ["conv1.weight", "fc1.weight", "fc2.bias"] {
        let mut file = Crafted::from(&whole);
        file.keep(|other| other != name);
        let reason = checkpoint::parse(&file.bytes(), None).unwrap_err().to_string();
        let words = format!("tensor {name} is missing; the file has ");
        assert!(reason.starts_with(&words), "{reason}");
    }
}

#[test]
fn the_same_state_gives_the_same_bytes() {
    let bytes = whole();
    assert_eq!(bytes, whole());
    let (_, Model::Checkpoint(mut read)) = checkpoint::parse(&bytes, Some(&network())).unwrap()
    else {
        panic!("read as weights alone");
    };
    assert_eq!(read.to_bytes(), bytes);
    read.metadata.recipe.seed += 1;
    assert_ne!(read.to_bytes(), bytes);
}

#[test]
fn weights_alone_are_a_model() {
    let (_, Model::Weights(read)) = checkpoint::parse(&weights_alone(), Some(&network())).unwrap()
    else {
        panic!("read as a checkpoint");
    };
    assert_eq!(read, good(&network()).state.parameters);
}

/// The file of [`weights_alone`] with other names of tensors.
fn renamed(name: impl Fn(&str) -> String) -> Vec<u8> {
    let mut file = Crafted::from(&weights_alone());
    file.tensors.iter_mut().for_each(|tensor| tensor.name = name(&tensor.name));
    file.bytes()
}

#[test]
fn weights_of_a_network_inside_of_another_module_are_a_model() {
    let expected = checkpoint::parse(&weights_alone(), Some(&network())).unwrap();
    for prefix in ["module.", "_orig_mod.", "_orig_mod.module.", "model.net-1."] {
        let bytes = renamed(|name| format!("{prefix}{name}"));
        let found = checkpoint::parse(&bytes, Some(&network()));
        assert_eq!(found.unwrap(), expected, "{prefix}");
    }
}

/// Bytes of a file of weights alone in numbers of type `dtype`, each of which `bytes` writes.
fn weights_in(dtype: Dtype, bytes: impl Fn(f32) -> Vec<u8>) -> Vec<u8> {
    let parameters = good(&network()).state.parameters;
    let tensors = parameters.iter().map(|(spec, values)| {
        let data: Vec<u8> = values.iter().flat_map(|value| bytes(*value)).collect();
        (format!("_orig_mod.module.{}", spec.name), spec.shape.clone(), data)
    });
    let tensors: Vec<_> = tensors.collect();
    let views = tensors.iter().map(|(name, shape, data)| {
        (name, TensorView::new(dtype, shape.clone(), data).expect("the shape fits"))
    });
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn weights_in_other_formats_are_converted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let values = good(&network()).state.parameters.values().to_vec();
    let round_to = |round: fn(f32) -> f32| values.iter().map(|v| round(*v)).collect::<Vec<_>>();
    for (bytes, expected) in [
        (weights_in(Dtype::F32, |v| v.to_le_bytes().into()), values.clone()),
        (weights_in(Dtype::F64, |v| f64::from(v).to_le_bytes().into()), values.clone()),
        (
            weights_in(Dtype::F16, |v| f16::from_f32(v).to_le_bytes().into()),
            round_to(|v| f16::from_f32(v).to_f32()),
        ),
        (
            weights_in(Dtype::BF16, |v| bf16::from_f32(v).to_le_bytes().into()),
            round_to(|v| bf16::from_f32(v).to_f32()),
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(checkpoint::weights(&path, &network()).unwrap().values(), expected);
    }
}

#[test]
fn a_training_begins_with_the_weights_of_a_checkpoint_whose_tensors_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ckpt.bin");
    fs::write(&path, whole()).unwrap();
    let text = network().to_string();
    let like = |text: &str| Architecture::parse(text, network().input()).unwrap();
    let weights = |text: &str| checkpoint::weights(&path, &like(text));
    let expected = good(&network()).state.parameters;
    assert_eq!(weights(&text).unwrap(), expected);
    // Another activation has the same tensors.
    let tanh = weights(&text.replace("relu", "tanh")).unwrap();
    assert_eq!(tanh.values(), expected.values());
    let (all_but_last, _) = text.rsplit_once(",fc").unwrap();
    for (other, words) in [
        (format!("{all_but_last},fc7"), "tensor fc1.weight has shape [3, 8], expected [7, 8]"),
        (format!("{text},relu,fc10"), "tensor fc2.weight is missing; the file has conv1.weight,"),
        (all_but_last.into(), "tensor fc1.weight does not belong to this network"),
    ] {
        let error = weights(&other).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn names_that_are_not_the_networks_are_listed_in_the_same_order_every_time() {
    let there = "conv1.bias, fc1.bias, fc1.weight, m.conv1.weight";
    let one = renamed(|name| name.replace("conv1.weight", "m.conv1.weight"));
    let numbered = renamed(|name| name.replace("conv1", "0").replace("fc1", "4"));
    for _ in 0..20 {
        let said = |bytes| checkpoint::parse(bytes, None).unwrap_err().to_string();
        let problem = |there: &str| {
            format!(
                "tensor conv1.weight is missing; the file has {there}; if this is not the default \
                 network in some size, name it with --arch"
            )
        };
        assert_eq!(said(&one), problem(there));
        let there = "0.bias, 0.weight, 4.bias, 4.weight";
        assert_eq!(said(&numbered), problem(there));
        let extra = checkpoint::parse(&numbered, Some(&network())).unwrap_err().to_string();
        assert_eq!(extra, "tensor 0.bias does not belong to this network");
    }
}

#[test]
fn a_header_of_any_length_is_read() {
    // Some lengths begin with the byte of a pickle or of '<'.
    for padding in 0..1024 {
        for bytes in [weights_alone(), whole()] {
            let expected = checkpoint::parse(&bytes, Some(&network())).unwrap();
            let padded = crafted::pad_header(&bytes, padding);
            let found = checkpoint::parse(&padded, Some(&network()));
            assert_eq!(found.unwrap(), expected, "{padding} spaces more");
        }
    }
}

/// Beginning of a zip archive whose first file has this name.
fn zip(name: &str) -> Vec<u8> {
    [b"PK\x03\x04", &[0; 22][..], &[name.len() as u8, 0, 0, 0], name.as_bytes()].concat()
}

#[test]
fn refuses_files_that_are_not_checkpoints() {
    let mut stream = Stream::new(1, "random bytes", 0);
    let random: Vec<u8> = (0..1000).map(|_| stream.below(256) as u8).collect();
    let length = |length: u64, rest: &[u8]| [&length.to_le_bytes(), rest].concat();
    let header = |what: &str, json: &str, words: &str| {
        case(
            what,
            length(json.len() as u64, json.as_bytes()),
            &["damaged checkpoint header", words],
        )
    };
    assert_refused([
        case("nothing", "", &["empty file"]),
        case("five bytes", "abcde", &["need 8 bytes", "have 5"]),
        case("random bytes", random, &["header length", "not a checkpoint"]),
        case(
            "a header length of 2^63",
            length(1 << 63, b"{}"),
            &["header length 9223372036854775808", "at most 1048576"],
        ),
        case(
            "a header length just above the limit",
            length((1 << 20) + 1, b"{}"),
            &["header length 1048577"],
        ),
        case(
            "a PyTorch file",
            zip("archive/data.pkl"),
            &["is a pickle, as PyTorch writes", "export safetensors"],
        ),
        case(
            "an old PyTorch file",
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
            &["is a pickle, as PyTorch writes", "export safetensors"],
        ),
        case("NumPy arrays", zip("fc1.weight.npy"), &["an archive of NumPy arrays, and only safe"]),
        case("a Keras model", zip("metadata.json"), &["an archive, as Keras writes, and only"]),
        case("an archive", zip("readme.txt"), &["is a zip archive, and only safetensors is read"]),
        case("half an archive", "PK\x03\x04\x14", &["is a zip archive"]),
        case("an old Keras model", b"\x89HDF\r\n\x1a\n\0\0", &["is an HDF5 file, as Keras writes"]),
        case("a NumPy array", b"\x93NUMPY\x01\0v\0{'descr'", &["is a NumPy array"]),
        case("an ONNX model", b"\x08\x08\x12\x07pytorch", &["is an ONNX model", "save_file"]),
        case("an ONNX model of nobody", b"\x08\x0a\x3a\xb4\x80\x01", &["is an ONNX model"]),
        case("a TensorFlow Lite model", b"\x1c\0\0\0TFL3\x14\0", &["a TensorFlow Lite model"]),
        case("a packed file", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", &["packed with gzip: unpack it"]),
        case(
            "a Git LFS pointer",
            "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9662108\n",
            &["Git LFS pointer", "git lfs pull"],
        ),
        case("HTML", "<!DOCTYPE html>", &["looks like HTML"]),
        case("HTML after a blank line", "\r\n <html>", &["looks like HTML"]),
        case("no JSON", length(4, b"nono"), &["damaged checkpoint header", "at line 1 column 2"]),
        case("a JSON array", length(2, b"[]"), &["expected an object of tensors"]),
        case(
            "JSON nested deeply",
            length(100_000, &[b'['; 100_000]),
            &["expected an object of tensors"],
        ),
        case(
            "a header that is no UTF-8",
            length(8, b"{\"\xff\":{}}"),
            &["invalid unicode", "column 3"],
        ),
        case("a header without tensors", length(2, b"{}"), &["conv1.weight is missing"]),
        header("a number for a tensor", r#"{"x":1}"#, "x: invalid type: integer `1`"),
        header("an unknown type", r#"{"x":{"dtype":"F33"}}"#, "x: unknown variant `F33`"),
        header("no shape", r#"{"x":{"dtype":"F32"}}"#, "x: missing field `shape`"),
        header(
            "a shape below 0",
            r#"{"x":{"dtype":"F32","shape":[-1]}}"#,
            "x: invalid value: integer `-1`",
        ),
        header(
            "one offset",
            r#"{"x":{"dtype":"F32","shape":[0],"data_offsets":[0]}}"#,
            "x: invalid length 1",
        ),
        header(
            "a shape whose bytes cannot be counted",
            r#"{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#,
            "overflow computing buffer size from shape",
        ),
        header(
            "a number among the texts",
            r#"{"__metadata__":{"mnist-train":1}}"#,
            "__metadata__: invalid type: integer `1`, expected a string",
        ),
    ]);
}

#[test]
fn refuses_tensors_that_do_not_belong_to_the_network() {
    let mut cases = vec![
        spoilt(
            "an extra tensor",
            |file| file.add("fc2.bias", "F32", &[1], &[0; 4]),
            &["tensor fc2.bias does not belong"],
        ),
        spoilt(
            "an extra tensor with a name that moves the cursor",
            |file| file.add("\x1b[2J", "F32", &[1], &[0; 4]),
            &[r"tensor \u{1b}[2J does not belong"],
        ),
        spoilt(
            "a transposed tensor",
            |file| file.tensor("fc1.weight").shape = vec![8, 3],
            &["fc1.weight has shape [8, 3], expected [3, 8]"],
        ),
        spoilt(
            "a flattened moment",
            |file| file.tensor("adam.v.conv1.weight").shape = vec![18],
            &["adam.v.conv1.weight has shape [18], expected [2, 1, 3, 3]"],
        ),
        spoilt(
            "integers",
            |file| file.tensor("fc1.bias").dtype = "I32".into(),
            &["fc1.bias has type I32, expected F32"],
        ),
        spoilt(
            "half the precision",
            |file| {
                let half = file.tensor("fc1.bias");
                (half.dtype, half.shape) = ("F16".into(), vec![6]);
            },
            &["fc1.bias has shape [6], expected [3]"],
        ),
    ];
    for spec in network().tensors() {
        for prefix in ["", "adam.m.", "adam.v."] {
            let name = format!("{prefix}{}", spec.name);
            let twice = |file: &mut Crafted| file.repeat(&name);
            cases.push(spoilt(&name, twice, &[&name, "appears twice"]));
            let without = |file: &mut Crafted| file.keep(|other| other != name);
            cases.push(spoilt(&name, without, &[&format!("{name} is missing")]));
        }
        let mut file = Crafted::from(&weights_alone());
        file.keep(|other| other != spec.name);
        let words = [&format!("{} is missing", spec.name)[..]];
        cases.push(case("of weights alone", file.bytes(), &words));
    }
    assert_refused(cases);
}

#[test]
fn refuses_offsets_that_do_not_tile_the_data() {
    let (first, second) = ("adam.m.conv1.bias", "adam.m.conv1.weight");
    let last = "fc1.weight";
    let end = Crafted::from(&whole()).data.len() as u64;
    let offsets = |name, offsets| move |file: &mut Crafted| file.tensor(name).offsets = offsets;
    let outside = &["invalid offset for tensor", second];
    // The library does not say which tensor it is.
    let other_length = &["damaged checkpoint header: invalid shape, data type, or offset"];
    assert_refused([
        spoilt("an overlap", offsets(second, [4, 76]), outside),
        spoilt("a gap", offsets(second, [12, 84]), outside),
        spoilt("two tensors in one place", offsets(second, [0, 8]), outside),
        spoilt("a wrong length", offsets(first, [0, 4]), other_length),
        spoilt("an end before the start", offsets(second, [8, 0]), outside),
        spoilt(
            "a tensor that ends after the file",
            |file| {
                let tensor = file.tensor(last);
                (tensor.shape, tensor.offsets) = (vec![25], [end - 96, end + 4]);
            },
            &["truncated checkpoint", &format!("the file has {end}")],
        ),
        spoilt("a longer tensor than its shape", offsets(last, [end - 96, end + 4]), other_length),
        spoilt("a tensor that ends at 2^64 - 1", offsets(last, [end - 96, u64::MAX]), other_length),
        spoilt(
            "data that belongs to no tensor",
            |file| file.data.extend([0; 4]),
            &["damaged checkpoint", &format!("need {end} bytes")],
        ),
        case(
            "tensors whose lengths add up to 2^64 bytes",
            crafted::wrapping_lengths(),
            &["truncated checkpoint", &u64::MAX.to_string()],
        ),
    ]);
}

#[test]
fn refuses_values_that_are_not_finite() {
    let mut cases = Vec::new();
    for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-f32::INFINITY, "-inf")] {
        for name in ["conv1.bias", "fc1.weight", "adam.m.fc1.weight", "adam.v.conv1.weight"] {
            let words = [&format!("tensor {name} holds {shown} at index 1")[..]];
            let spoil =
                |file: &mut Crafted| file.values(name)[4..8].copy_from_slice(&value.to_le_bytes());
            cases.push(spoilt("a checkpoint", spoil, &words));
            if !name.starts_with("adam.") {
                let mut file = Crafted::from(&weights_alone());
                spoil(&mut file);
                cases.push(case("weights alone", file.bytes(), &words));
            }
        }
    }
    assert_refused(cases);
}

#[test]
fn refuses_metadata_from_which_no_run_can_go_on() {
    let replace = |from, to| move |file: &mut Crafted| file.replace_in_metadata(from, to);
    assert_refused([
        spoilt(
            "a newer version, whatever else it holds",
            |file| file.replace_metadata(r#"{"format_version":3,"network":{}}"#),
            &["format version 3", "reads up to 2", "newer version"],
        ),
        spoilt(
            "another network",
            replace("flatten,fc3", "flatten,fc4"),
            &["another network", "flatten,fc4", "expected", "flatten,fc3"],
        ),
        spoilt(
            "no network",
            replace("flatten,fc3", "fc3"),
            &["field architecture: layer 4 'fc3': needs features or tokens, gets 2x2x2"],
        ),
        spoilt(
            "another optimizer",
            replace("adam.v", "adam.w"),
            &["field slots is adam.m, adam.w, expected adam.m, adam.v"],
        ),
        spoilt(
            "no JSON",
            |file| file.replace_metadata("{"),
            &["damaged checkpoint metadata: no JSON from column 1 on"],
        ),
        spoilt(
            "no version",
            replace("format_version", "version"),
            &["damaged checkpoint metadata: no whole number in field format_version"],
        ),
        spoilt(
            "no seed",
            replace("\"seed\":77,", ""),
            &["damaged checkpoint metadata: field recipe: missing field `seed`"],
        ),
        spoilt(
            "a negative seed",
            replace("\"seed\":77", "\"seed\":-77"),
            &["field recipe.seed: invalid value: integer `-77`, expected u64"],
        ),
        spoilt(
            "an unknown hyperparameter",
            replace("\"seed\":77", "\"seed\":77,\"impetus\":0.9"),
            &["damaged checkpoint metadata: field recipe.impetus: unknown field `impetus`"],
        ),
        spoilt(
            "a stage that is a number",
            replace("\"stage\":\"fused\"", "\"stage\":1"),
            &["field stage: invalid type: integer `1`, expected a string"],
        ),
        spoilt(
            "instructions that are a list",
            replace("\"isa\":\"avx2\"", "\"isa\":[]"),
            &["field isa: invalid type: sequence, expected a string"],
        ),
        spoilt(
            "no instructions, which an early version left out, and no seed",
            |file| {
                file.replace_in_metadata("\"isa\":\"avx2\",", "");
                file.replace_in_metadata("\"seed\":77,", "");
            },
            &["damaged checkpoint metadata: field recipe: missing field `seed`"],
        ),
        spoilt(
            "initial weights that no run has",
            replace("\"init\":\"pytorch\"", "\"init\":\"ones\""),
            &["field recipe.init: unknown variant `ones`"],
        ),
    ]);
}

#[test]
fn refuses_values_that_no_run_writes() {
    let value = |what: &str, from: &str, to: &str, words: &[&str]| {
        let words = [&["damaged checkpoint metadata"], words].concat();
        spoilt(what, |file| file.replace_in_metadata(from, to), &words)
    };
    let field = |field: &str, was: &str, is: &str, expected: &str| {
        let name = field.rsplit('.').next().unwrap();
        let (from, to) = (format!("\"{name}\":{was}"), format!("\"{name}\":{is}"));
        let said = format!("field {field} is {is}, expected {expected}");
        value(&format!("{field} {is}"), &from, &to, &[&said])
    };
    let (above_zero, not_negative) = ("a number from 1e-45 to 3.4e38", "a number from 0 to 3.4e38");
    let decay = "a number from 0 to 0.9999999";
    assert_refused([
        field("recipe.batch_size", "64", "0", "1 or more"),
        field("recipe.t_max", "20", "0", "a number from 0.001 to 1000000000"),
        field("recipe.max_samples", "null", "0", "1 or more"),
        field("recipe.lr", "0.001", "-1", above_zero),
        field("recipe.lr", "0.001", "0", above_zero),
        value("a rate that vanishes", "\"lr\":0.001", "\"lr\":1e-300", &["recipe.lr", above_zero]),
        value("a rate that overflows", "\"lr\":0.001", "\"lr\":1e300", &["recipe.lr", above_zero]),
        field("recipe.min_lr", "0.00001", "-1", not_negative),
        field("recipe.l2", "0.0001", "-1", not_negative),
        field("recipe.beta1", "0.9", "1", decay),
        field("recipe.beta2", "0.999", "5", decay),
        field("recipe.eps", "1e-8", "-1", above_zero),
        field("steps", "345", "346", "those of 3 whole epochs and 45 batches"),
        field("steps", "345", "18446744073709551615", "those of 3 whole epochs"),
        // The run has 40 batches in an epoch.
        field("steps", "345", "165", "those of 3 whole epochs and 45 batches"),
        value("batches", "\"batch\":45", "\"batch\":1844674407370955161", &["field steps is 345"]),
        value("no epoch", "\"epoch\":3", "\"epoch\":0", &["those of 0 whole epochs and 45"]),
        field("history.epoch", "1", "3", "a number from 0 to less than 3"),
        field("history.train_accuracy", "0.75", "1.5", "a share from 0 to 1"),
        field("history.test_correct", "80", "91", "at most 90 images"),
        field("history.test_loss", "0.375", "-1", "a number from 0 on"),
        field("history.weight_norm", "12.5", "-12.5", "a number from 0 on"),
        field("position.correct", "2345", "2881", "at most the 2880 images"),
        value(
            "a loss",
            "678.9123456789011",
            "2.9e7",
            &["field position.loss is 29000000", "2.88e7"],
        ),
        value("a loss", "678.9123456789011", "-2.9e7", &["field position.loss is -29000000"]),
        value(
            "a newest version",
            "\"format_version\":2",
            "\"format_version\":0",
            &["field format_version is 0, expected 1 to 2"],
        ),
        value(
            "a field",
            "\"steps\":345",
            "\"steps\":345,\"mood\":1",
            &["field mood: unknown field"],
        ),
        value(
            "a field",
            "\"correct\":2345",
            "\"correct\":2345,\"mood\":1",
            &["field position.mood: unknown field"],
        ),
        // 6300 images in batches of 64 are 99 batches and not 100, as the steps say.
        value(
            "images",
            "\"max_samples\":null",
            "\"max_samples\":6300",
            &["field steps is 345, expected 342 after 3 epochs and 45 batches"],
        ),
        value(
            "images",
            "\"max_samples\":null",
            "\"max_samples\":2880",
            &["field position.batch is 45, expected less than the 45 of an epoch"],
        ),
    ]);
    let mut file = Crafted::from(&whole());
    file.replace_in_metadata("\"max_samples\":null", "\"max_samples\":6400");
    file.seal();
    checkpoint::parse(&file.bytes(), Some(&network())).unwrap();
}

#[test]
fn quotations_from_a_file_are_truncated() {
    let long = "x".repeat(100_000);
    for (from, to) in [
        ("\"init\":\"pytorch\"", format!("\"init\":\"{long}\"")),
        ("\"seed\":77", format!("\"seed\":77,\"{long}\":1")),
        ("conv2k3p1", long.clone()),
    ] {
        let mut file = Crafted::from(&whole());
        file.replace_in_metadata(from, &to);
        file.seal();
        let reason = refusal(&file.bytes(), &network());
        assert!(reason.contains("xxx…") && reason.chars().count() < 400, "{reason}");
    }
}

#[test]
fn the_checksum_covers_weights_moments_and_metadata() {
    let mismatch = &["checksum mismatch"];
    let changed = |what: &str, change: &dyn Fn(&mut Crafted)| {
        let mut file = Crafted::from(&whole());
        change(&mut file);
        case(what, file.bytes(), mismatch)
    };
    let mut cases: Vec<_> = [
        ("\"seed\":77", "\"seed\":78"),
        ("\"lr\":0.001", "\"lr\":0.002"),
        ("\"epoch\":3", "\"epoch\":2"),
        ("\"name\":\"custom\"", "\"name\":\"mnist\""),
        ("\"isa\":\"avx2\"", "\"isa\":\"avx9\""),
        ("\"seed\":77", "\"seed\": 77"),
    ]
    .map(|(from, to)| changed(to, &|file| file.replace_in_metadata(from, to)))
    .into();
    for name in ["conv1.weight", "adam.m.fc1.bias", "adam.v.fc1.weight"] {
        cases.push(changed(name, &|file| file.values(name)[0] ^= 1));
    }
    cases.push(changed("two tensors of one shape exchanged", &|file| {
        file.tensor("adam.m.fc1.bias").name = "adam.v.fc1.bias".into();
        file.last("adam.v.fc1.bias").name = "adam.m.fc1.bias".into();
    }));
    assert_refused(cases);
}

#[test]
fn refuses_a_file_that_ends_early_wherever_it_ends() {
    let architecture = MnistCnn::default().architecture();
    let bytes = good(&architecture).to_bytes();
    let data = bytes.len() - Crafted::from(&bytes).data.len();
    let lengths = (0..=data).chain((data..bytes.len()).step_by(4096));
    for length in lengths.chain([bytes.len() - 1]) {
        let error = checkpoint::parse(&bytes[..length], Some(&architecture)).unwrap_err();
        let expected = match length {
            0 => "empty file",
            1..8 => "need 8 bytes",
            _ if length < data => "the header needs",
            _ => "the tensors need",
        };
        let message = error.to_string();
        assert!(message.contains(expected), "{length} bytes: {message}");
    }
}

#[test]
fn no_flipped_bit_of_the_header_goes_unnoticed() {
    let bytes = whole();
    let data = bytes.len() - Crafted::from(&bytes).data.len();
    let original = checkpoint::parse(&bytes, Some(&network())).unwrap();
    for bit in 0..8 * data {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (parsed, peak) = peak_bytes(|| checkpoint::parse(&flipped, Some(&network())));
        if let Ok(model) = parsed {
            assert_eq!(model, original, "bit {} of byte {}", bit % 8, bit / 8);
        }
        assert!(peak < 10 * bytes.len(), "bit {} of byte {}: {peak} bytes", bit % 8, bit / 8);
    }
}

#[test]
fn refuses_a_file_that_is_too_large_before_reading_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    let file = fs::File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap(); // A sparse file takes no room on the disk.
    let reason = refusal_of(&path);
    assert!(reason.starts_with("not a checkpoint: 1099511627776 bytes"), "{reason}");
}

#[test]
fn a_folder_or_a_missing_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for (path, reason) in
        [(folder.path(), "is a directory"), (&missing, "no such file or directory")]
    {
        let error = checkpoint::read(path, None).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        let expected = format!("{}: cannot open: {reason}", path.display());
        assert_eq!(error.to_string(), expected);
    }
}

#[cfg(unix)]
#[test]
fn refuses_a_pipe_and_a_device_instead_of_waiting_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for path in [&pipe, Path::new("/dev/zero")] {
        assert_eq!(refusal_of(path), "not a regular file: name a file, not a pipe or a device");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_never_a_model_and_never_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        prop_assert!(checkpoint::parse(&bytes, Some(&network())).is_err());
    }

    #[test]
    fn an_arbitrary_header_is_never_a_model_and_never_a_panic(
        json in r#"[{}\[\]",:0-9a-z_. \\-]{0,200}"#,
        data in 0_usize..64,
    ) {
        let length = (json.len() as u64).to_le_bytes();
        let bytes = [&length, json.as_bytes(), &vec![0; data]].concat();
        prop_assert!(checkpoint::parse(&bytes, Some(&network())).is_err());
    }

    #[test]
    fn a_changed_byte_is_noticed_unless_the_model_stays_the_same(
        place in any::<proptest::sample::Index>(),
        change in 1_u8..,
    ) {
        let mut bytes = whole();
        let original = checkpoint::parse(&bytes, Some(&network())).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= change;
        if let Ok(model) = checkpoint::parse(&bytes, Some(&network())) {
            prop_assert_eq!(model, original);
        }
    }

    #[test]
    fn every_finite_number_of_the_metadata_comes_back_exactly(lr in 1e-30..1e30, loss in 0.0..2e7) {
        let mut written = good(&network());
        written.metadata.recipe.lr = lr;
        written.metadata.position.loss = loss;
        let (_, Model::Checkpoint(read)) = checkpoint::parse(&written.to_bytes(), Some(&network())).unwrap() else {
            panic!("read as weights alone");
        };
        prop_assert_eq!(read.metadata, written.metadata);
    }
}
