//! The forward pass once more, in f64, from the definitions alone.
//!
//! There is no backward pass here: gradients are found by central differences, so that nothing of
//! the program's own derivations is assumed.

use std::any::Any;

use mnist_train::model::architecture::{Architecture, PlacedLayer};
use mnist_train::nn::conv2d::Conv2d;
use mnist_train::nn::elementwise::Elementwise;
use mnist_train::nn::flatten::Flatten;
use mnist_train::nn::linear::Linear;
use mnist_train::nn::maxpool2d::MaxPool2d;
use mnist_train::nn::primitives::convolution::Convolution;
use mnist_train::nn::primitives::pooling::Pooling;
use mnist_train::nn::shape::Shape;

/// y of a convolution for one image.
pub fn conv2d(conv: &Convolution, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let (input, output, k) = (conv.input, conv.output(), conv.kernel as isize);
    let pixel = |c: usize, h: isize, w: isize| {
        let inside = |at: isize, length: usize| at >= 0 && at < length as isize;
        if inside(h, input.height) && inside(w, input.width) {
            x[c * input.plane() + h as usize * input.width + w as usize]
        } else {
            0.0
        }
    };
    let mut y = Vec::with_capacity(output.len());
    for o in 0..output.channels {
        for i in 0..output.height {
            for j in 0..output.width {
                let (top, left) = (
                    (i * conv.stride) as isize - conv.padding as isize,
                    (j * conv.stride) as isize - conv.padding as isize,
                );
                let mut sum = bias[o];
                for tap in 0..conv.taps() {
                    let (c, m, n) =
                        (tap as isize / (k * k), tap as isize / k % k, tap as isize % k);
                    sum += weight[o * conv.taps() + tap] * pixel(c as usize, top + m, left + n);
                }
                y.push(sum);
            }
        }
    }
    y
}

/// y of max pooling for one image.
pub fn maxpool2d(pool: &Pooling, x: &[f64]) -> Vec<f64> {
    let (input, output) = (pool.input, pool.output());
    let mut y = Vec::with_capacity(output.len());
    for c in 0..output.channels {
        for i in 0..output.height {
            for j in 0..output.width {
                let window = (0..pool.kernel * pool.kernel).map(|place| {
                    let row = i * pool.stride + place / pool.kernel;
                    let column = j * pool.stride + place % pool.kernel;
                    x[c * input.plane() + row * input.width + column]
                });
                y.push(window.fold(f64::NEG_INFINITY, f64::max));
            }
        }
    }
    y
}

/// y of a linear layer for one image.
pub fn linear(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let rows = weight.chunks_exact(x.len()).zip(bias);
    rows.map(|(row, bias)| bias + row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>()).collect()
}

/// y of any layer for one image; `tensors` are its own.
pub fn layer(layer: &dyn Any, input: Shape, tensors: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
    if let Some(&Conv2d { out_channels, kernel, stride, padding }) = layer.downcast_ref() {
        let conv = Convolution { input, out_channels, kernel, stride, padding };
        conv2d(&conv, x, &tensors[0], &tensors[1])
    } else if layer.is::<Linear>() {
        linear(x, &tensors[0], &tensors[1])
    } else if let Some(&MaxPool2d { kernel, stride }) = layer.downcast_ref() {
        maxpool2d(&Pooling { input, kernel, stride }, x)
    } else if let Some(&Elementwise { word, .. }) = layer.downcast_ref() {
        let function = |&x: &f64| match word {
            "relu" => x.max(0.0),
            "sigmoid" => 1.0 / (1.0 + (-x).exp()),
            _ => panic!("the oracle knows no {word}"),
        };
        x.iter().map(function).collect()
    } else {
        assert!(layer.is::<Flatten>(), "the oracle knows every layer");
        x.to_vec()
    }
}

/// The logits of one image, whose pixels are in 0..=1.
pub fn logits(architecture: &Architecture, parameters: &[Vec<f64>], image: &[f64]) -> Vec<f64> {
    let mut x = image.to_vec();
    let mut rest = parameters;
    for PlacedLayer { layer, input, .. } in architecture.layers() {
        let tensors = rest.split_off(..layer.tensors(*input).len()).expect("its tensors");
        x = self::layer(layer.as_ref(), *input, tensors, &x);
    }
    x
}

/// The mean cross-entropy of a batch of images, pixels in 0..=1.
pub fn mean_loss(
    architecture: &Architecture,
    parameters: &[Vec<f64>],
    images: &[Vec<f64>],
    labels: &[u8],
) -> f64 {
    let losses = images.iter().zip(labels).map(|(image, &label)| {
        let z = logits(architecture, parameters, image);
        let sum: f64 = z.iter().map(|z| z.exp()).sum();
        sum.ln() - z[usize::from(label)]
    });
    losses.sum::<f64>() / images.len() as f64
}
