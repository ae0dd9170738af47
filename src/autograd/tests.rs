//! Every operation against central differences, with broadcasting, and where the derivative does not
//! exist.

use super::{Tape, Var};
use crate::random::Stream;

/// Operation of some inputs, which may use them in any order and repeatedly.
type Operation = fn(&mut Tape<f64>, &[Var]) -> Var;

/// Values between `low` and `high`, further apart from each other, and from 0, than a step of a
/// central difference.
fn values(seed: u64, count: usize, low: f32, high: f32) -> Vec<f64> {
    let mut stream = Stream::new(seed, "tape", 0);
    (0..count).map(|_| f64::from(stream.uniform(low, high))).collect()
}

/// The number Σ y·w of the result y of `operation`, with weights w that differ from element to
/// element, so that no two elements of dy are equal.
fn weighted(tape: &mut Tape<f64>, operation: Operation, inputs: &[Var]) -> Var {
    let y = operation(tape, inputs);
    let count = tape.value(y).len();
    let w = tape.leaf(&[count], values(99, count, -1.0, 1.0));
    let y = tape.reshape(y, &[count]);
    let product = tape.mul(y, w);
    tape.sum(product, 0)
}

/// Compares the gradients of `operation` with central differences, for inputs of these `shapes` with
/// elements between `low` and `high`.
fn check_between(low: f32, high: f32, what: &str, shapes: &[&[usize]], operation: Operation) {
    const STEP: f64 = 1e-6;
    let inputs: Vec<Vec<f64>> = shapes
        .iter()
        .enumerate()
        .map(|(seed, shape)| values(seed as u64 + 1, shape.iter().product(), low, high))
        .collect();
    let record = |inputs: &[Vec<f64>]| {
        let mut tape = Tape::new();
        let leaves: Vec<Var> =
            shapes.iter().zip(inputs).map(|(shape, x)| tape.leaf(shape, x.clone())).collect();
        let result = weighted(&mut tape, operation, &leaves);
        (tape, leaves, result)
    };
    let (tape, leaves, result) = record(&inputs);
    let gradients = tape.gradients(result);
    let value_at = |inputs: &[Vec<f64>]| {
        let (tape, _, result) = record(inputs);
        tape.value(result)[0]
    };
    for (input, &leaf) in leaves.iter().enumerate() {
        assert_eq!(gradients.of(leaf).len(), inputs[input].len());
        for (index, &found) in gradients.of(leaf).iter().enumerate() {
            let mut moved = inputs.clone();
            moved[input][index] += STEP;
            let above = value_at(&moved);
            moved[input][index] -= 2.0 * STEP;
            let slope = (above - value_at(&moved)) / (2.0 * STEP);
            assert!(
                (found - slope).abs() < 1e-8 * (1.0 + slope.abs()),
                "{what} of {shapes:?}, input {input}, index {index}: {found} and {slope}"
            );
        }
    }
}

fn check(what: &str, shapes: &[&[usize]], operation: Operation) {
    check_between(-2.0, 2.0, what, shapes, operation);
}

#[test]
fn operations_of_pairs_have_the_slopes_of_central_differences_with_broadcasting() {
    let shapes: [[&[usize]; 2]; 8] = [
        [&[4], &[4]],
        [&[2, 3], &[2, 3]],
        [&[2, 3], &[3]],
        [&[3], &[2, 3]],
        [&[2, 1], &[1, 3]],
        [&[2, 3, 2], &[3, 1]],
        [&[2, 3], &[]],
        [&[1], &[2, 1, 2]],
    ];
    for shapes in shapes {
        check("add", &shapes, |tape, x| tape.add(x[0], x[1]));
        check("sub", &shapes, |tape, x| tape.sub(x[0], x[1]));
        check("mul", &shapes, |tape, x| tape.mul(x[0], x[1]));
        check_between(0.5, 2.0, "div", &shapes, |tape, x| tape.div(x[0], x[1]));
    }
}

#[test]
fn operations_of_each_element_have_the_slopes_of_central_differences() {
    for shape in [&[1][..], &[5], &[2, 3]] {
        check("relu", &[shape], |tape, x| tape.relu(x[0]));
        check("sigmoid", &[shape], |tape, x| tape.sigmoid(x[0]));
        check("tanh", &[shape], |tape, x| tape.tanh(x[0]));
        check("erf", &[shape], |tape, x| tape.erf(x[0]));
        check("exp", &[shape], |tape, x| tape.exp(x[0]));
        check_between(0.3, 3.0, "log", &[shape], |tape, x| tape.log(x[0]));
    }
}

#[test]
fn operations_along_every_axis_have_the_slopes_of_central_differences() {
    macro_rules! check_axis {
        ($($axis:literal $shape:expr;)+) => {
            $(check("sum", &[&$shape], |tape, x| tape.sum(x[0], $axis));
            check("mean", &[&$shape], |tape, x| tape.mean(x[0], $axis));
            check("max", &[&$shape], |tape, x| tape.max(x[0], $axis));
            check("min", &[&$shape], |tape, x| tape.min(x[0], $axis));
            check("softmax", &[&$shape], |tape, x| tape.softmax(x[0], $axis));)+
        };
    }
    check_axis! { 0 [4]; 0 [3, 2]; 1 [3, 2]; 0 [2, 3, 2]; 1 [2, 3, 2]; 2 [2, 3, 2]; 1 [2, 1]; }
}

#[test]
fn products_and_moves_have_the_slopes_of_central_differences() {
    let products: [[&[usize]; 2]; 4] =
        [[&[1, 1], &[1, 1]], [&[2, 3], &[3, 4]], [&[3, 1], &[1, 2]], [&[2, 2, 3], &[2, 3, 2]]];
    for shapes in products {
        check("matmul", &shapes, |tape, x| tape.matmul(x[0], x[1]));
    }
    for shape in [&[2, 3][..], &[3, 1], &[2, 3, 2]] {
        check("transpose", &[shape], |tape, x| tape.transpose(x[0]));
    }
    check("reshape", &[&[2, 3]], |tape, x| tape.reshape(x[0], &[3, 2]));
    // Some elements go to several places, some to none, and some places are 0.
    check("gather", &[&[2, 3]], |tape, x| {
        tape.gather(x[0], [2, 2, 2], |[a, b, c]| [Some(4), None, Some(a * 3 + c)][(a + b + c) % 3])
    });
}

#[test]
fn a_node_that_is_used_twice_gets_both_gradients() {
    check("x² + x", &[&[3]], |tape, x| {
        let square = tape.mul(x[0], x[0]);
        tape.add(square, x[0])
    });
    check("x·xᵀ", &[&[2, 3]], |tape, x| {
        let transposed = tape.transpose(x[0]);
        tape.matmul(x[0], transposed)
    });
    check_between(0.5, 2.0, "x/(x + tanh x)", &[&[2]], |tape, x| {
        let tanh = tape.tanh(x[0]);
        let sum = tape.add(x[0], tanh);
        tape.div(x[0], sum)
    });
}

#[test]
fn values_are_those_of_the_formulas() {
    let mut tape = Tape::<f64>::new();
    let x = tape.leaf(&[2, 3], vec![1., -2., 3., 0., 5., -6.]);
    let row = tape.leaf(&[3], vec![10., 20., 30.]);
    let found = |tape: &Tape<f64>, y: Var| (tape.shape(y).to_vec(), tape.value(y).to_vec());
    for (y, shape, value) in [
        (tape.add(x, row), vec![2, 3], vec![11., 18., 33., 10., 25., 24.]),
        (tape.relu(x), vec![2, 3], vec![1., 0., 3., 0., 5., 0.]),
        (tape.sum(x, 0), vec![1, 3], vec![1., 3., -3.]),
        (tape.mean(x, 1), vec![2, 1], vec![2. / 3., -1. / 3.]),
        (tape.max(x, 1), vec![2, 1], vec![3., 5.]),
        (tape.min(x, 0), vec![1, 3], vec![0., -2., -6.]),
        (tape.transpose(x), vec![3, 2], vec![1., 0., -2., 5., 3., -6.]),
        (tape.reshape(x, &[6]), vec![6], vec![1., -2., 3., 0., 5., -6.]),
        (tape.gather(x, [3], |[i]| i.checked_sub(1)), vec![3], vec![0., 1., -2.]),
    ] {
        assert_eq!(found(&tape, y), (shape, value));
    }
    let column = tape.transpose(x);
    let product = tape.matmul(x, column);
    assert_eq!(found(&tape, product), (vec![2, 2], vec![14., -28., -28., 61.]));
}

#[test]
fn the_first_of_equal_elements_gets_the_gradient_of_a_maximum_and_a_minimum() {
    for extreme in [Tape::max, Tape::min] {
        let mut tape = Tape::<f64>::new();
        let x = tape.leaf(&[2, 3], vec![7., 7., 7., 4., 4., 4.]);
        let y = extreme(&mut tape, x, 1);
        let w = tape.leaf(&[2, 1], vec![2., 3.]);
        let product = tape.mul(y, w);
        let sum = tape.sum(product, 0);
        assert_eq!(tape.gradients(sum).of(x), [2., 0., 0., 3., 0., 0.]);
    }
    let mut tape = Tape::<f64>::new();
    let x = tape.leaf(&[4], vec![1., 9., 9., 1.]);
    let (largest, smallest) = (tape.max(x, 0), tape.min(x, 0));
    assert_eq!(tape.gradients(largest).of(x), [0., 1., 0., 0.]);
    assert_eq!(tape.gradients(smallest).of(x), [1., 0., 0., 0.]);
}

#[test]
fn the_slope_of_relu_at_0_is_0() {
    let mut tape = Tape::<f64>::new();
    let x = tape.leaf(&[3], vec![0., -0., 2.]);
    let y = tape.relu(x);
    let sum = tape.sum(y, 0);
    assert_eq!(tape.gradients(sum).of(x), [0., 0., 1.]);
}

#[test]
fn softmax_of_large_numbers_neither_overflows_nor_loses_its_gradient() {
    let mut tape = Tape::<f64>::new();
    let x = tape.leaf(&[3], vec![1000., 1001., -1000.]);
    let y = tape.softmax(x, 0);
    let first = tape.gather(y, [1], |_| Some(0));
    let p = 1.0 / (1.0 + 1f64.exp());
    assert!((tape.value(first)[0] - p).abs() < 1e-12);
    let gradients = tape.gradients(first);
    let expected = [p * (1.0 - p), -p * (1.0 - p), 0.0];
    assert!(gradients.of(x).iter().zip(expected).all(|(found, e)| (found - e).abs() < 1e-12));
}

#[test]
fn a_tape_in_f32_agrees_with_one_in_f64() {
    fn of<T: crate::scalar::Scalar>() -> Vec<f64> {
        let mut tape = Tape::<T>::new();
        let x: Vec<T> = values(5, 6, -1.0, 1.0).into_iter().map(T::of).collect();
        let x = tape.leaf(&[2, 3], x);
        let w = tape.leaf(&[3, 2], values(6, 6, -1.0, 1.0).into_iter().map(T::of).collect());
        let y = tape.matmul(x, w);
        let y = tape.softmax(y, 1);
        let y = tape.log(y);
        let y = tape.gather(y, [2], |[n]| Some(2 * n));
        let loss = tape.mean(y, 0);
        let gradients = tape.gradients(loss);
        [x, w].iter().flat_map(|&node| gradients.of(node)).map(|value| value.wide()).collect()
    }
    let (narrow, wide) = (of::<f32>(), of::<f64>());
    assert_eq!(narrow.len(), 12);
    assert!(narrow.iter().zip(&wide).all(|(n, w)| (n - w).abs() < 1e-6), "{narrow:?} {wide:?}");
}

#[test]
#[should_panic(expected = "do not fit each other")]
fn shapes_that_do_not_broadcast_are_a_mistake() {
    let mut tape = Tape::<f64>::new();
    let (a, b) = (tape.leaf(&[2], vec![0.; 2]), tape.leaf(&[3], vec![0.; 3]));
    tape.add(a, b);
}
