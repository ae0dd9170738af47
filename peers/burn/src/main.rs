//! The job in burn, on its flex backend.

#[path = "../../common.rs"]
mod common;

use std::time::Instant;

use burn::module::{Module, Param, ParamGroup};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};

use common::{EPS, L2, Run, Split, locked_version};

#[derive(Module, Debug)]
struct Network {
    conv1: Conv2d,
    pool: MaxPool2d,
    fc1: Linear,
    fc2: Linear,
}

impl Network {
    /// Starts from the given weights; burn's linear layers hold (in, out), the file has (out, in).
    fn new(run: &Run, device: &Device) -> Self {
        let data = |name: &str| {
            let (values, shape) = &run.weights[name];
            TensorData::new(values.clone(), shape.clone())
        };
        let linear = |layer: &str, inputs, outputs| {
            let mut linear = LinearConfig::new(inputs, outputs).init(device);
            let weight =
                Tensor::<2>::from_data(data(&format!("{layer}.weight")), device).transpose();
            // Through its data, so that it lies in memory as burn would have laid it.
            linear.weight = Param::from_data(weight.into_data(), device);
            linear.bias = Some(Param::from_data(data(&format!("{layer}.bias")), device));
            linear
        };
        let padding = PaddingConfig2d::Explicit(2, 2, 2, 2);
        let mut conv1 = Conv2dConfig::new([1, 32], [5, 5]).with_padding(padding).init(device);
        conv1.weight = Param::from_data(data("conv1.weight"), device);
        conv1.bias = Some(Param::from_data(data("conv1.bias"), device));
        Self {
            conv1,
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            fc1: linear("fc1", 6272, 128),
            fc2: linear("fc2", 128, 10),
        }
    }

    /// Logits (N, 10) of pixels (N, 1, 28, 28).
    fn forward(&self, pixels: Tensor<4>) -> Tensor<2> {
        let x = self.pool.forward(relu(self.conv1.forward(pixels)));
        let x = relu(self.fc1.forward(x.flatten(1, 3)));
        self.fc2.forward(x)
    }

    fn weights(&self) -> Vec<(String, Vec<f32>)> {
        let values =
            |name: &str, data: TensorData| (name.to_string(), data.try_to_vec().expect("f32"));
        let bias =
            |bias: &Option<Param<Tensor<1>>>| bias.as_ref().expect("a bias").val().into_data();
        vec![
            values("conv1.weight", self.conv1.weight.val().into_data()),
            values("conv1.bias", bias(&self.conv1.bias)),
            values("fc1.weight", self.fc1.weight.val().into_data()),
            values("fc1.bias", bias(&self.fc1.bias)),
            values("fc2.weight", self.fc2.weight.val().into_data()),
            values("fc2.bias", bias(&self.fc2.bias)),
        ]
    }
}

fn batch(split: &Split, indices: &[u32], device: &Device) -> (Tensor<4>, Tensor<1, Int>) {
    let (pixels, labels) = split.batch(indices);
    let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
    let pixels = TensorData::new(pixels, [indices.len(), 1, 28, 28]);
    let labels = TensorData::new(labels, [indices.len()]);
    (Tensor::from_data(pixels, device), Tensor::from_data(labels, device))
}

fn main() {
    let mut run = Run::from_command_line();
    let inference = Device::flex();
    let device = Device::flex().autodiff();
    run.start(serde_json::json!({ "burn": locked_version(include_str!("../Cargo.lock"), "burn"), "backend": "flex" }));
    let mut network = Network::new(&run, &device);
    let criterion: CrossEntropyLoss = CrossEntropyLossConfig::new().init(&device);
    let adam = AdamConfig::new().with_beta_1(0.9).with_beta_2(0.999).with_epsilon(EPS as f32);
    let decay = Some(WeightDecayConfig::new(L2 as f32));
    // L2 on the weights alone.
    let mut optimizer = ModuleOptimizer::from(adam.clone().with_weight_decay(decay).build())
        .with_group(ParamGroup::from_predicate("bias"), adam.build(), None);

    for epoch in 0..run.args.epochs {
        let lr = run.learning_rate(epoch);
        let began = Instant::now();
        let mut losses: Vec<f32> = Vec::new();
        for indices in run.batches(epoch) {
            let (pixels, labels) = batch(&run.train, indices, &device);
            let loss = criterion.forward(network.forward(pixels), labels);
            losses.push(loss.clone().into_scalar());
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(lr, network, gradients);
        }
        run.epoch(epoch, &losses, began.elapsed().as_secs_f64());
    }

    let network = network.valid();
    let indices: Vec<u32> = (0..run.test.labels.len() as u32).collect();
    let began = Instant::now();
    let mut correct = 0;
    for indices in indices.chunks(run.args.eval_batch) {
        let (pixels, labels) = batch(&run.test, indices, &inference);
        let predicted = network.forward(pixels).argmax(1).reshape([indices.len()]);
        correct += predicted.equal(labels).int().sum().into_scalar::<i64>() as usize;
    }
    run.done(network.weights(), correct, began.elapsed().as_secs_f64());
}
