//! The generated digits: the same bytes on every machine, and shapes like MNIST's.

use mnist_train::data::dataset::{DatasetKind, Split};
use mnist_train::data::synthetic::{
    CLASSES, DEFAULT_SEED, SIDE, TEST_IMAGES, TRAIN_IMAGES, generate,
};

/// Number of outputs of the pooling layer along each side; each output sees a window of the image.
/// Pixels of an image.
const PIXELS: usize = SIDE * SIDE;
const WINDOWS: usize = SIDE / 2;

fn sample() -> Split {
    generate(DEFAULT_SEED, 4_000, 1).train
}

#[test]
fn the_default_dataset_is_recognized_by_its_checksums() {
    let dataset = generate(DEFAULT_SEED, TRAIN_IMAGES, TEST_IMAGES);
    assert_eq!((dataset.train.len(), dataset.test.as_ref().unwrap().len()), (60_000, 10_000));
    assert_eq!(dataset.kind(), DatasetKind::Synthetic);
}

#[test]
fn a_split_is_cut_to_any_count_and_not_beyond_its_length() {
    let mut split = sample();
    // The number of bytes of so many images would overflow to 0.
    split.truncate(1 << 60);
    assert_eq!((split.len(), split.images().len()), (4_000, 4_000 * PIXELS));
    split.truncate(3);
    assert_eq!((split.len(), split.images().len()), (3, 3 * PIXELS));
}

#[test]
fn a_seed_always_gives_the_same_digits_and_another_seed_others() {
    let digits = generate(1, 20, 20);
    assert_eq!(digits, generate(1, 20, 20));
    assert_ne!(digits.train, generate(2, 20, 20).train);
    assert_ne!(Some(digits.train), digits.test);
}

#[test]
fn a_smaller_set_is_the_beginning_of_a_larger_one() {
    let mut large = generate(3, 50, 40);
    let small = generate(3, 20, 10);
    large.train.truncate(20);
    large.test.as_mut().unwrap().truncate(10);
    assert_eq!((large.train, large.test), (small.train, small.test));
}

#[test]
fn every_digit_is_equally_likely() {
    let mut counts = [0; CLASSES];
    for &label in sample().labels() {
        counts[usize::from(label)] += 1;
    }
    // Each count has the mean 400 and the standard deviation 19; five are allowed.
    let near = counts.iter().all(|count| (305..=495).contains(count));
    assert!(near, "{counts:?}");
}

#[test]
fn the_ink_fills_a_box_of_twenty_pixels_around_its_centre_of_mass() {
    let split = sample();
    for index in 0..split.len() {
        let mut mass = 0.0;
        // Axis 0 is the row, axis 1 the column.
        let mut moments = [0.0; 2];
        let mut first = [SIDE; 2];
        let mut last = [0; 2];
        for (place, &pixel) in split.image(index).iter().enumerate() {
            if pixel == 0 {
                continue;
            }
            mass += f64::from(pixel);
            for (axis, at) in [place / SIDE, place % SIDE].into_iter().enumerate() {
                moments[axis] += f64::from(pixel) * at as f64;
                first[axis] = first[axis].min(at);
                last[axis] = last[axis].max(at);
            }
        }
        let extents = [0, 1].map(|axis| last[axis] - first[axis] + 1);
        let larger = extents[0].max(extents[1]);
        assert!((18..=20).contains(&larger), "image {index}: {extents:?}");
        let centre = moments.map(|moment| moment / mass);
        for axis in [0, 1] {
            let central = (centre[axis] - (SIDE / 2) as f64).abs() <= 0.5;
            // The edge of the image stops a digit with all its mass at one end.
            let stopped = first[axis] == 0 || last[axis] == SIDE - 1;
            assert!(central || stopped, "image {index}: {centre:?}");
        }
    }
}

#[test]
fn ink_and_blanks_have_the_shares_they_have_in_mnist() {
    let split = sample();
    let blank_pixels = split.images().iter().filter(|&&pixel| pixel == 0).count();
    let ink: usize = split.images().iter().map(|&pixel| usize::from(pixel)).sum();
    let blank_windows: usize =
        (0..split.len()).map(|index| count_blank_windows(split.image(index))).sum();

    let pixels = split.len() * PIXELS;
    let windows = split.len() * WINDOWS * WINDOWS;
    for (what, part, whole, in_mnist, tolerance) in [
        ("blank pixels", blank_pixels, pixels, 0.8088, 0.015),
        ("blank windows", blank_windows, windows, 0.5000, 0.015),
        ("ink", ink, pixels * 255, 0.1307, 0.006),
    ] {
        let share = part as f64 / whole as f64;
        let near = (share - in_mnist).abs() <= tolerance;
        assert!(near, "{what}: {share}, MNIST: {in_mnist} ± {tolerance}");
    }
}

/// Number of outputs of the pooling layer that see only background. Output (r, c) sees rows
/// 2r−2..=2r+3 and columns 2c−2..=2c+3 of the image, through four 5×5 kernels with padding 2.
fn count_blank_windows(image: &[u8]) -> usize {
    let seen = |output: usize| (2 * output).saturating_sub(2)..(2 * output + 4).min(SIDE);
    let is_blank = |row: usize, column: usize| {
        seen(row).all(|y| seen(column).all(|x| image[y * SIDE + x] == 0))
    };
    (0..WINDOWS * WINDOWS).filter(|window| is_blank(window / WINDOWS, window % WINDOWS)).count()
}
