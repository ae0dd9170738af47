//! The command `mnist-train gradcheck`, which checks the gradients of a network in three ways.

use anyhow::bail;

use super::output::Output;
use crate::cli::GradcheckArgs;
use crate::data::dataset::ImageFormat;
use crate::gradcheck::{self, Options};
use crate::report::Event;

/// Checks the gradients and prints the result.
pub fn run(args: &GradcheckArgs) -> anyhow::Result<()> {
    let GradcheckArgs { eps, atol, rtol, fast, max_failures, seed, .. } = *args;
    let options = Options { eps, atol, rtol, fast, max_failures, seed };
    let check = gradcheck::check(&args.network.architecture(ImageFormat::MNIST)?, &options)?;
    let failed = check.failed();
    let output = Output::new(args.output, false);
    output.event(&Event::Gradcheck(check));
    output.finish()?;
    if !failed.is_empty() {
        bail!(
            "gradients do not agree: {}; compare the backward pass of the layer, and of the layers \
             after it, with the definition",
            failed.join(", ")
        );
    }
    Ok(())
}
