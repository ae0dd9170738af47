//! Numbers as text: whole numbers with commas, other numbers with three significant digits.

/// Remark about matrix products in the format `products`; empty for `f32`.
pub fn not_exact(products: &str) -> String {
    if products == "f32" { String::new() } else { format!(", {products} products: not exact") }
}

/// `count` with its noun: `1 thread`, `2 threads`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// `count` with commas between groups of three digits.
pub fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `value` with three significant digits, or rounded to a whole number from 1,000 on.
pub fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 999.5 => grouped(value.round() as usize),
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Percentage of a `probability`, which is below 1 even if it is rounded to 1.
pub fn sure(probability: f32) -> String {
    match format!("{:.2} %", 100.0 * probability) {
        rounded if rounded == "100.00 %" => "> 99.99 %".into(),
        percent => percent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_answer_is_never_quite_sure() {
        assert_eq!([0.99994, 0.99996, 1.0].map(sure), ["99.99 %", "> 99.99 %", "> 99.99 %"]);
    }

    #[test]
    fn numbers_have_three_significant_digits() {
        let cases = [
            (0.0, "0.00"),
            (0.012_34, "0.012"),
            (0.999_6, "1.00"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (99.96, "100"),
            (999.4, "999"),
            (999.6, "1,000"),
            (54_321.0, "54,321"),
        ];
        for (value, expected) in cases {
            assert_eq!(digits(value), expected);
        }
    }

    #[test]
    fn large_numbers_are_grouped() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (805_066, "805,066"),
            (1_234_567, "1,234,567"),
        ];
        for (count, expected) in cases {
            assert_eq!(grouped(count), expected);
        }
    }
}
