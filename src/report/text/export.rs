//! The files of an exported model as text.

use super::numbers::{counted, digits, grouped};
use crate::error::escaped;
use crate::report::export::Export;

/// `export` as lines of text, without a line end after the last.
pub fn lines(export: &Export) -> String {
    let input: Vec<_> = export.input.iter().map(usize::to_string).collect();
    let content = match export.opset {
        Some(opset) => format!(
            "  image (N, {}) of pixels/255 to logits (N, {}), ONNX opset {opset}",
            input.join(", "),
            export.classes
        ),
        None => "  weights alone, under PyTorch's names".into(),
    };
    format!(
        "{}: {} parameters, {:.2} MB\n\
         {content}\n\
         {}: {}, {}\n  \
         with their labels and logits, the largest {}\n\
         {}: runs it in {} and compares the logits,\n  \
         which may differ by {:e} of the largest",
        escaped(&export.file),
        grouped(export.parameters),
        export.bytes as f64 / 1e6,
        escaped(&export.test_file),
        counted(export.test_images, "test image"),
        export.dataset_description,
        digits(export.largest_logit.into()),
        escaped(&export.script),
        if export.opset.is_some() { "onnxruntime" } else { "PyTorch" },
        export.tolerance,
    )
}
