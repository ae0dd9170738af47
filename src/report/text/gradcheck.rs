//! The check of gradients as tables: tensors, sets of primitives, failures.

use std::fmt::Write;

use super::numbers::{counted, grouped};
use crate::report::gradcheck::{Gradcheck, PrimitivesCheck, TensorCheck};

/// `check` as lines of text, without a line end after the last.
pub fn lines(check: &Gradcheck) -> String {
    let Gradcheck { architecture, images, seed, eps, atol, rtol, .. } = check;
    let mut text = format!(
        "gradients of {architecture}\n\
         in f64, {}, seed {seed}, eps {eps:e}, atol {atol:e}, rtol {rtol:e}\n\n\
         {:<51}largest difference of the\n{:<51}backward pass from\n\
         {:<13}{:>19}{:>6}{:>9}{:>8}{:>9}  at\n",
        counted(*images, "image"),
        "",
        "",
        "tensor",
        if check.fast { "projections" } else { "checked" },
        "kinks",
        "tape",
        "central",
        "relative",
    );
    for tensor in &check.tensors {
        tensor_line(&mut text, tensor, check.fast);
    }
    _ = writeln!(
        text,
        "\n{:<13}{:>7}{:>12}{:>20}{:>12}{:>13}",
        "primitives", "threads", "from tape", "from sum of images", "second time", "on 1 thread",
    );
    for primitives in &check.primitives {
        primitives_line(&mut text, primitives);
    }
    if !check.failures.is_empty() {
        _ = writeln!(
            text,
            "\nfirst failures\n{:<13}{:>15}{:>17}{:>17}{:>17}",
            "tensor", "at", "backward pass", "tape", "central",
        );
    }
    for failure in &check.failures {
        _ = writeln!(
            text,
            "{:<13}{:>15}{:>17.9e}{:>17.9e}{:>17.9e}",
            failure.tensor,
            index(failure.index.as_deref()),
            failure.backward,
            failure.tape,
            failure.central,
        );
    }
    text.push('\n');
    text.push_str(if check.passed { "all gradients agree" } else { "gradients do NOT agree" });
    text
}

fn tensor_line(text: &mut String, tensor: &TensorCheck, fast: bool) {
    let checked = match fast {
        true => tensor.checked.to_string(),
        false => format!("{} of {}", grouped(tensor.checked), grouped(tensor.elements)),
    };
    let line = format!(
        "{:<13}{checked:>19}{:>6}{:>9.0e}{:>8.0e}{:>9.0e}  {:<11}{}",
        tensor.name,
        tensor.kinks,
        tensor.backward_tape.absolute,
        tensor.backward_central.absolute,
        tensor.backward_central.relative,
        index(tensor.backward_central.index.as_deref()),
        verdict(tensor.passed),
    );
    _ = writeln!(text, "{}", line.trim_end());
}

fn primitives_line(text: &mut String, primitives: &PrimitivesCheck) {
    let bits = |are_same| if are_same { "same bits" } else { "OTHER BITS" };
    _ = writeln!(
        text,
        "{:<13}{:>7}{:>12.0e}{:>20}{:>12}{:>13}{}",
        primitives.stage,
        primitives.threads,
        primitives.from_tape,
        primitives.from_sum_of_images.map_or("-".into(), |share| format!("{share:.0e}")),
        bits(primitives.repeats),
        bits(primitives.as_on_one_thread),
        verdict(primitives.passed),
    );
}

/// Mark at the end of a line.
fn verdict(passed: bool) -> &'static str {
    if passed { "" } else { " <-" }
}

/// Index of an element; a hyphen if there is none.
fn index(index: Option<&[usize]>) -> String {
    let numbers = |index: &[usize]| index.iter().map(usize::to_string).collect::<Vec<_>>();
    index.map_or("-".into(), |index| numbers(index).join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::gradcheck::{Difference, Failure};

    #[test]
    fn a_failure_is_marked_in_its_line_and_listed_with_three_values() {
        let off = |absolute| Difference { absolute, relative: 0.5, index: Some(vec![255, 50_175]) };
        let tensor = TensorCheck {
            name: "fc1.weight".into(),
            shape: vec![1024, 50_176],
            elements: 51_380_224,
            checked: 1000,
            kinks: 999,
            backward_tape: off(f64::INFINITY),
            backward_central: off(1.25e-11),
            tape_central: off(1e-9),
            passed: false,
        };
        let primitives = PrimitivesCheck {
            stage: "im2col",
            threads: 1,
            from_tape: f64::INFINITY,
            from_sum_of_images: Some(1e-16),
            repeats: false,
            as_on_one_thread: true,
            passed: false,
        };
        let failure = |index| Failure {
            tensor: "fc1.weight".into(),
            index,
            backward: f64::NAN,
            tape: -1.0 / 3.0,
            central: -0.25e-11,
        };
        let check = Gradcheck {
            schema: 1,
            architecture: "fc4".into(),
            images: 5,
            seed: 1,
            eps: 1e-6,
            atol: 1e-5,
            rtol: 1e-3,
            fast: false,
            tensors: vec![tensor],
            primitives: vec![primitives],
            failures: vec![failure(Some(vec![255, 50_175])), failure(None)],
            passed: false,
        };
        let text = lines(&check);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for line in [
            "fc1.weight   1,000 of 51,380,224   999      inf   1e-11     5e-1  255,50175   <-",
            "im2col             1         inf               1e-16  OTHER BITS    same bits <-",
            "fc1.weight         255,50175              NaN  -3.333333333e-1 -2.500000000e-12",
            "fc1.weight                 -              NaN  -3.333333333e-1 -2.500000000e-12",
        ] {
            assert!(text.lines().any(|found| found == line), "{text}");
        }
        assert!(text.ends_with("\ngradients do NOT agree"));
        assert_eq!(check.failed(), ["fc1.weight", "im2col on 1 thread"]);
    }
}
