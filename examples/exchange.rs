//! Measures what an exchange between ranks 0 and 1 costs, for messages of several sizes, and prints a line of
//! JSON for each. Both ranks send at the same time, as they do in training.
//!
//! ```sh
//! cargo build --release --features mpi --example exchange
//! mpirun -n 2 target/release/examples/exchange
//! ```

use std::iter;

use mnist_train::measure::statistics::Sample;
use mnist_train::ranks::launched;
use serde_json::json;

/// Numbers of floats: one, the gradient of a convolution, the sums of the hidden units of 64 images, and the gradient
/// of the default network, each of training; and some in between.
const SIZES: [usize; 6] = [1, 832, 8_320, 65_536, 262_144, 805_066];
/// Number of exchanges of a size that are not measured, and of those that are.
const ROUNDS: [usize; 2] = [20, 300];

fn main() -> anyhow::Result<()> {
    let ranks = launched::ranks()?.filter(|ranks| ranks.count() == 2);
    let Some(ranks) = ranks else { anyhow::bail!("start two: mpirun -n 2 exchange") };
    for size in SIZES {
        let mut numbers = vec![0.0; size];
        let mut seconds = || {
            let before = ranks.traffic().duration;
            ranks.unite(&mut [&mut numbers]);
            (ranks.traffic().duration - before).as_secs_f64()
        };
        let [unmeasured, measured] = ROUNDS;
        iter::repeat_with(&mut seconds).take(unmeasured).for_each(drop);
        let sample = Sample::of(&iter::repeat_with(seconds).take(measured).collect::<Vec<_>>());
        if ranks.rank() == 0 {
            println!("{}", json!({ "bytes": 4 * size, "seconds": sample }));
        }
    }
    Ok(())
}
