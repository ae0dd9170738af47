//! Comparison of every operation of every set of instructions that this CPU has with plain
//! arithmetic.

#[cfg(target_arch = "aarch64")]
use super::Neon;
#[cfg(target_arch = "x86_64")]
use super::{Avx2, Avx512, Avx512Bf16, bf16::Pair, has_bf16};
use super::{Isa, Pixels, Portable, Simd};

/// Sets of instructions whose factors are numbers in f32.
trait F32: Pixels<Pixel = f32, Factors = <Self as Simd>::Vector> {}
impl<S> F32 for S where S: Pixels<Pixel = f32, Factors = <S as Simd>::Vector> {}

/// Check that is run with each set of instructions.
trait Check {
    fn run<S: F32>(simd: S, isa: Isa);
}

/// Runs `C` with every set of instructions that this CPU has; there is always one.
fn with_every_isa<C: Check>() {
    fn run<C: Check, S: F32>(simd: Option<S>, isa: Isa) {
        assert_eq!(simd.is_some(), isa.is_available(), "{isa}");
        if let Some(simd) = simd {
            C::run(simd, isa);
        }
    }
    run::<C, _>(Some(Portable), Isa::Portable);
    #[cfg(target_arch = "aarch64")]
    run::<C, _>(Neon::detect(), Isa::Neon);
    #[cfg(target_arch = "x86_64")]
    {
        run::<C, _>(Avx2::detect(), Isa::Avx2);
        run::<C, _>(Avx512::detect(), Isa::Avx512);
    }
}

/// Numbers of both signs and many sizes, one for each lane of the widest vector.
fn numbers(seed: usize) -> [f32; 16] {
    std::array::from_fn(|i| {
        let number = ((i * 7 + seed * 5) % 16) as f32 - 7.5;
        number * 10_f32.powi((i as i32 + seed as i32) % 5 - 2)
    })
}

/// Lanes of the vector that `operation` returns.
fn lanes<S: Simd>(simd: S, operation: impl FnOnce() -> S::Vector) -> Vec<f32> {
    let mut lanes = vec![0.0; S::LANES];
    simd.vectorize(|| simd.store(operation(), &mut lanes));
    lanes
}

#[test]
fn arithmetic_works_on_every_lane() {
    struct Arithmetic;
    impl Check for Arithmetic {
        fn run<S: F32>(simd: S, isa: Isa) {
            let (a, b, c) = (numbers(0), numbers(3), numbers(6));
            let check = |name: &str, found: Vec<f32>, expected: &dyn Fn(usize) -> f32| {
                let expected: Vec<f32> = (0..S::LANES).map(expected).collect();
                assert_eq!(found, expected, "{name} of {isa}");
            };
            let (va, vb) = (simd.load(&a), simd.load(&b));
            check("splat", lanes(simd, || simd.splat(1.5)), &|_| 1.5);
            check("add", lanes(simd, || simd.add(va, vb)), &|i| a[i] + b[i]);
            check("sub", lanes(simd, || simd.sub(va, vb)), &|i| a[i] - b[i]);
            check("mul", lanes(simd, || simd.mul(va, vb)), &|i| a[i] * b[i]);
            check("div", lanes(simd, || simd.div(va, vb)), &|i| a[i] / b[i]);
            check("max", lanes(simd, || simd.max(va, vb)), &|i| a[i].max(b[i]));
            let squares = lanes(simd, || simd.sqrt(simd.mul(va, va)));
            check("sqrt", squares, &|i| (a[i] * a[i]).sqrt());
            let found = lanes(simd, || simd.mul_add(va, vb, simd.load(&c)));
            for (i, found) in found.into_iter().enumerate() {
                let exact = f64::from(a[i]) * f64::from(b[i]) + f64::from(c[i]);
                // The result is rounded once or twice.
                let rounding = 1.2e-7 * (f64::from(a[i] * b[i]).abs() + exact.abs());
                assert!((f64::from(found) - exact).abs() <= rounding, "mul_add of {isa}: {found}");
            }
            // With a power of two in each lane, sums are exact in any order, and none may be left
            // out.
            let powers: [f32; 16] = std::array::from_fn(|i| (1 << i) as f32);
            let sum = simd.vectorize(|| simd.sum(simd.load(&powers)));
            assert_eq!(sum, ((1 << S::LANES) - 1) as f32, "sum of {isa}");
        }
    }
    with_every_isa::<Arithmetic>();
}

#[test]
fn max_returns_its_second_argument_beside_a_nan_and_no_nan_is_greater() {
    struct NotANumber;
    impl Check for NotANumber {
        fn run<S: F32>(simd: S, isa: Isa) {
            let (nan, one) = (simd.splat(f32::NAN), simd.splat(1.0));
            assert!(lanes(simd, || simd.max(one, nan)).iter().all(|x| x.is_nan()), "{isa}");
            assert_eq!(lanes(simd, || simd.max(nan, one)), vec![1.0; S::LANES], "{isa}");
            let greater = |a, b| simd.vectorize(|| simd.greater(a, b));
            assert_eq!((greater(nan, one), greater(one, nan)), (0, 0), "{isa}");
        }
    }
    with_every_isa::<NotANumber>();
}

#[test]
fn masks_select_lanes() {
    struct Choice;
    impl Check for Choice {
        fn run<S: F32>(simd: S, isa: Isa) {
            let (a, b) = (numbers(0), numbers(3));
            let (va, vb) = (simd.load(&a), simd.load(&b));
            let bit = |bits: u16, i: usize| bits >> i & 1 == 1;
            let greater = simd.vectorize(|| simd.greater(va, vb));
            assert!((0..16).all(|i| bit(greater, i) == (i < S::LANES && a[i] > b[i])), "{isa}");
            for bits in [0, 1, 0x8001, 0x5a5a, 0xfff0, u16::MAX] {
                let selected = lanes(simd, || simd.select(bits, va));
                let spread = lanes(simd, || simd.expand(va, &simd.expansion(bits)));
                let pressed = lanes(simd, || simd.compress(va, &simd.expansion(bits)));
                let set = (0..S::LANES).filter(|&i| bit(bits, i));
                assert!(set.zip(pressed).all(|(i, value)| value == a[i]), "compress of {isa}");
                let mut next = a.into_iter();
                for i in 0..S::LANES {
                    assert_eq!(
                        selected[i],
                        if bit(bits, i) { a[i] } else { 0.0 },
                        "select of {isa}"
                    );
                    let expected = if bit(bits, i) { next.next().unwrap() } else { 0.0 };
                    assert_eq!(spread[i], expected, "expand of {isa}, {bits:#x}");
                }
            }
            let flushed = lanes(simd, || simd.flush_small(va, simd.splat(1.0)));
            for (flushed, a) in flushed.into_iter().zip(a) {
                assert_eq!(flushed, if a.abs() < 1.0 { 0.0 } else { a }, "flush_small of {isa}");
            }
        }
    }
    with_every_isa::<Choice>();
}

#[test]
fn lanes_are_permuted_and_transposed() {
    struct Movement;
    impl Check for Movement {
        fn run<S: F32>(simd: S, isa: Isa) {
            let table: [f32; 16] = std::array::from_fn(|i| i as f32);
            let (lower, right) = (0b0110_1100_1010_0011, 0b1100_0101_0110_1010);
            let found = lanes(simd, || {
                // The masks of a second number are not read.
                simd.permute(&table, simd.indices([lower, !lower], [right, !right]))
            });
            for (i, found) in found.into_iter().enumerate() {
                let index = 8 * (lower >> i & 1) + (right >> i & 1);
                assert_eq!(found, f32::from(index), "permute of {isa}");
            }
            let square: Vec<f32> = (0..S::LANES * S::LANES).map(|i| i as f32).collect();
            let mut columns = Vec::new();
            simd.vectorize(|| {
                simd.transpose(
                    |row| simd.load(&square[row * S::LANES..]),
                    |column, vector| {
                        let mut lanes = vec![0.0; S::LANES];
                        simd.store(vector, &mut lanes);
                        columns.push((column, lanes));
                    },
                );
            });
            assert_eq!(columns.len(), S::LANES);
            for (expected, (column, lanes)) in columns.into_iter().enumerate() {
                assert_eq!(column, expected, "transpose of {isa} gives columns in order");
                let expected = (0..S::LANES).map(|row| (row * S::LANES + column) as f32);
                assert!(lanes.into_iter().eq(expected), "transpose of {isa}");
            }
        }
    }
    with_every_isa::<Movement>();
}

#[test]
fn bytes_become_pixels_and_masks() {
    struct Bytes;
    impl Check for Bytes {
        fn run<S: F32>(simd: S, isa: Isa) {
            let bytes: [u8; 16] = std::array::from_fn(|i| (i * 17) as u8);
            let mut floats = [0.0; 16];
            simd.vectorize(|| simd.u8_to_f32(bytes, &mut floats));
            assert!(floats.into_iter().eq(bytes.map(f32::from)), "u8_to_f32 of {isa}");
            let bytes: [u8; 32] =
                std::array::from_fn(|i| if i % 3 == 0 { 0 } else { 128 + i as u8 });
            let bits = simd.vectorize(|| simd.nonzero(&bytes));
            assert!((0..32).all(|i| (bits >> i & 1 == 1) == (bytes[i] != 0)), "nonzero of {isa}");
        }
    }
    with_every_isa::<Bytes>();
}

/// Bits of `number` in bf16, the upper half of an f32; the lower half must be 0.
#[cfg(target_arch = "x86_64")]
fn exact(number: f32) -> u16 {
    assert_eq!(number.to_bits() & 0xffff, 0, "{number} has more than 8 bits");
    (number.to_bits() >> 16) as u16
}

#[cfg(target_arch = "x86_64")]
#[test]
fn pairs_are_rounded_side_by_side_and_multiplied_lane_by_lane() {
    assert_eq!(Avx512Bf16::detect().is_some(), has_bf16());
    let Some(simd) = Avx512Bf16::detect() else { return };
    let first: [f32; 16] = std::array::from_fn(|i| i as f32);
    let second: [f32; 16] = std::array::from_fn(|i| 0.5 - i as f32);
    let (mut pairs, mut rounded) = ([Pair::default(); 16], [Pair::default(); 8]);
    let mut pixels = [0; 16];
    let bytes: [u8; 16] = std::array::from_fn(|i| 255 - i as u8);
    let sums = lanes(simd, || {
        let both = simd.pairs(simd.load(&first), simd.load(&second));
        simd.store_pairs(both, &mut pairs);
        // A quarter of the way to the next number of 8 bits.
        simd.store_rounded(simd.splat(1.0 + 0.25 / 128.0), &mut rounded);
        simd.u8_to_pixels(bytes, &mut pixels);
        let factor = simd.splat_pair(&[exact(2.0), exact(-4.0)]);
        simd.dot(simd.load_pairs(&pairs), factor, simd.splat(100.0))
    });
    for i in 0..16 {
        assert_eq!(pairs[i], [exact(first[i]), exact(second[i])]);
        assert_eq!(sums[i], 100.0 + 2.0 * first[i] - 4.0 * second[i]);
    }
    assert_eq!(rounded, [[exact(1.0); 2]; 8]);
    assert_eq!(pixels, bytes.map(|byte| exact(f32::from(byte))));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn pairs_are_permuted_from_the_rows_of_two_images() {
    let Some(simd) = Avx512Bf16::detect() else { return };
    let table: [u16; 32] = std::array::from_fn(|i| i as u16);
    let (lower, right) = ([0xf0f0, 0x3333], [0xaaaa, 0x1234]);
    let mut found = [Pair::default(); 16];
    simd.vectorize(|| {
        let indices = simd.indices(lower, right);
        simd.store_pairs(simd.permute(&table, indices), &mut found);
    });
    for (lane, found) in found.into_iter().enumerate() {
        let index = |k: usize| 16 * (lower[k] >> lane & 1) + (right[k] >> lane & 1);
        assert_eq!(found, [index(0), 8 + index(1)], "lane {lane}");
    }
}
