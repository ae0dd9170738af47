//! Trains the default network for one epoch with the library, and evaluates it.
//!
//! The argument is the folder of a dataset, as data/README.md describes it; without an argument,
//! the program draws digits:
//!
//! ```sh
//! cargo run --release --example train -- data
//! ```

use std::env;
use std::path::Path;

use mnist_train::data::batches::{batches, epoch_order};
use mnist_train::data::files::{self, Part};
use mnist_train::data::synthetic;
use mnist_train::engine::compute::Compute;
use mnist_train::measure::machine;
use mnist_train::model::mnist_cnn::MnistCnn;
use mnist_train::model::parameters::TrainState;
use mnist_train::model::recipe::Recipe;
use mnist_train::nn::cross_entropy::LossSum;
use mnist_train::optim::adam::Adam;
use mnist_train::simd::Isa;
use mnist_train::stages::Stage;
use mnist_train::training::evaluation::Evaluation;

fn main() -> anyhow::Result<()> {
    let architecture = MnistCnn::default().architecture();
    let dataset = match env::args_os().nth(1) {
        Some(folder) => {
            files::locate(Path::new(&folder), None, &Part::ALL)?.read(architecture.format())?
        }
        None => synthetic::generate(synthetic::DEFAULT_SEED, 6000, 1000),
    };

    let recipe = Recipe::default();
    let stage = Stage::fastest_exact(&architecture, &recipe);
    let compute = Compute { threads: machine::threads(), isa: Isa::detect() };
    let mut engine = stage.build(&architecture, &recipe, compute)?;
    let parameters = recipe.init.parameters(&architecture, recipe.seed);
    engine.load(&TrainState::new(parameters, &Adam::SLOTS));

    let order = epoch_order(dataset.train.len(), recipe.seed, 0);
    let mut sum = LossSum::default();
    for batch in batches(&dataset.train, &order, recipe.batch_size) {
        sum += engine.step(&batch, recipe.lr);
    }
    let loss = sum.loss / order.len() as f64;
    println!("trained on {} images: loss {loss:.4}", order.len());

    let never_stop = || false;
    let test = dataset.test.as_ref().expect("it was read");
    let evaluation = Evaluation::of(engine.as_mut(), test, None, &never_stop)
        .expect("nothing stops the evaluation");
    println!("{} of {} test images correct", evaluation.correct, evaluation.total);
    Ok(())
}
