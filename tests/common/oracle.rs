//! The oracle: the forward pass in f64, written from the definitions alone.
//!
//! It has no backward pass. Tests compute its gradients by central differences, so that they do not
//! depend on the program's derivations.

use mnist_train::model::architecture::{Architecture, Layer};
use mnist_train::nn::geometry::{Conv2d, Linear, MaxPool2d};

/// Output y of a convolution for one image x.
pub fn conv2d(conv: &Conv2d, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
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

/// Output y of max pooling for one image x.
pub fn maxpool2d(pool: &MaxPool2d, x: &[f64]) -> Vec<f64> {
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

/// Output y of a linear layer for one image x.
pub fn linear(linear: &Linear, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let row = |o: usize| &weight[o * linear.in_features..][..linear.in_features];
    (0..linear.out_features)
        .map(|o| bias[o] + row(o).iter().zip(x).map(|(w, x)| w * x).sum::<f64>())
        .collect()
}

/// Logits of one image, whose pixels are between 0 and 1.
pub fn logits(architecture: &Architecture, parameters: &[Vec<f64>], image: &[f64]) -> Vec<f64> {
    let mut x = image.to_vec();
    let mut tensors = parameters.chunks_exact(2);
    for layer in architecture.layers() {
        x = match layer {
            Layer::Conv2d(conv) => {
                let pair = tensors.next().expect("a weight and a bias");
                conv2d(conv, &x, &pair[0], &pair[1])
            }
            Layer::Linear(layer) => {
                let pair = tensors.next().expect("a weight and a bias");
                linear(layer, &x, &pair[0], &pair[1])
            }
            Layer::MaxPool2d(pool) => maxpool2d(pool, &x),
            Layer::Relu(_) => x.into_iter().map(|x| x.max(0.0)).collect(),
            Layer::Flatten(_) => x,
        };
    }
    x
}

/// Mean cross-entropy of a batch of images, whose pixels are between 0 and 1.
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
