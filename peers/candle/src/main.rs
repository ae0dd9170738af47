//! The job in candle.

#[path = "../../common.rs"]
mod common;

use std::collections::HashMap;
use std::time::Instant;

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, loss};

use common::{EPS, L2, Run, locked_version};

const NAMES: [&str; 6] =
    ["conv1.weight", "conv1.bias", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"];

struct Network(HashMap<&'static str, Var>);

impl Network {
    /// Logits (N, 10) of pixels (N, 1, 28, 28).
    fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let var = |name: &str| self.0[name].as_tensor();
        let linear = |x: &Tensor, layer: &str| {
            x.matmul(&var(&format!("{layer}.weight")).t()?)?
                .broadcast_add(var(&format!("{layer}.bias")))
        };
        let bias = var("conv1.bias").reshape((1, 32, 1, 1))?;
        let x = pixels.conv2d(var("conv1.weight"), 2, 1, 1, 1)?.broadcast_add(&bias)?.relu()?;
        let x = max_pool(&x)?.flatten_from(1)?;
        linear(&linear(&x, "fc1")?.relu()?, "fc2")
    }
}

/// The maxima of 2×2 windows, whose gradient goes to the first of equal ones. candle's own `max_pool2d` gives each
/// maximum (how many are equal)/4 of the gradient, which trains another network: the loss curves differ.
fn max_pool(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let windows = x.reshape(&[n * c, h / 2, 2, w / 2, 2][..])?.transpose(2, 3)?.contiguous()?;
    let windows = windows.reshape((n * c * (h / 2) * (w / 2), 4))?;
    let first = windows.detach().argmax_keepdim(1)?;
    windows.gather(&first, 1)?.reshape((n, c, h / 2, w / 2))
}

fn main() -> Result<()> {
    let mut run = Run::from_command_line();
    let device = Device::Cpu;
    run.start(serde_json::json!({ "candle": locked_version(include_str!("../Cargo.lock"), "candle-core") }));
    let vars = NAMES.iter().map(|&name| {
        let (values, shape) = &run.weights[name];
        Ok((name, Var::from_vec(values.clone(), shape.as_slice(), &device)?))
    });
    let network = Network(vars.collect::<Result<_>>()?);
    // candle has AdamW alone, and coupled L2 is not its weight decay: λ·w is added to the gradient below.
    let params = ParamsAdamW {
        beta1: 0.9,
        beta2: 0.999,
        eps: EPS,
        weight_decay: 0.0,
        ..ParamsAdamW::default()
    };
    let mut optimizer =
        AdamW::new(NAMES.iter().map(|name| network.0[name].clone()).collect(), params)?;
    let batch = |run: &Run, indices: &[u32], test: bool| -> Result<(Tensor, Tensor)> {
        let split = if test { &run.test } else { &run.train };
        let (pixels, labels) = split.batch(indices);
        let pixels = Tensor::from_vec(pixels, (indices.len(), 1, 28, 28), &device)?;
        Ok((pixels, Tensor::from_vec(labels, indices.len(), &device)?))
    };

    for epoch in 0..run.args.epochs {
        optimizer.set_learning_rate(run.learning_rate(epoch));
        let began = Instant::now();
        let mut losses = Vec::new();
        for indices in run.batches(epoch) {
            let (pixels, labels) = batch(&run, indices, false)?;
            let loss = loss::cross_entropy(&network.forward(&pixels)?, &labels)?;
            let mut gradients = loss.backward()?;
            for name in NAMES.iter().filter(|name| name.ends_with(".weight")) {
                let weight = network.0[name].as_tensor();
                let gradient = gradients.remove(weight).expect("a gradient for each weight");
                gradients.insert(weight, (gradient + (weight * L2)?)?.detach());
            }
            optimizer.step(&gradients)?;
            losses.push(loss.to_scalar::<f32>()?);
        }
        run.epoch(epoch, &losses, began.elapsed().as_secs_f64());
    }

    let indices: Vec<u32> = (0..run.test.labels.len() as u32).collect();
    let began = Instant::now();
    let mut correct = 0;
    for indices in indices.chunks(run.args.eval_batch) {
        let (pixels, labels) = batch(&run, indices, true)?;
        let right = network.forward(&pixels)?.argmax(D::Minus1)?.eq(&labels)?;
        correct += right.to_dtype(DType::U32)?.sum_all()?.to_scalar::<u32>()? as usize;
    }
    let seconds = began.elapsed().as_secs_f64();
    let weights = NAMES.iter().map(|&name| {
        Ok((name.to_string(), network.0[name].as_tensor().detach().flatten_all()?.to_vec1()?))
    });
    run.done(weights.collect::<Result<Vec<_>>>()?, correct, seconds);
    Ok(())
}
