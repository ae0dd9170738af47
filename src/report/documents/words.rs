//! Words, numbers and tables as the documents have them.

use crate::measure::statistics::Speedup;
use crate::report::text::numbers::{counted, digits};

/// Sentence below tables with ratios.
pub const RATIOS: &str = "A ratio is the median of the ratios within rounds, not the quotient of two \
                          medians in the table";

/// Table of Markdown with this `heading` and these `rows`.
pub fn table<C: AsRef<str>>(heading: &[C], rows: &[Vec<String>]) -> String {
    fn line<C: AsRef<str>>(cells: &[C]) -> String {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        format!("| {} |\n", cells.join(" | "))
    }
    let rows: String = rows.iter().map(|row| line(row)).collect();
    line(heading) + &line(&vec!["---"; heading.len()]) + &rows
}

/// `value` with three significant digits, and with three decimals if it is 0.
pub fn amount(value: f64) -> String {
    if value == 0.0 { "0.000".into() } else { digits(value) }
}

/// Speed relative to another program, with its interval; a dash if there is none.
pub fn over(speedup: Option<Speedup>) -> String {
    let Some(Speedup { median, low, high, inconclusive }) = speedup else { return "–".into() };
    let interval = format!("{}–{}", amount(low), amount(high));
    match inconclusive {
        true => format!("inconclusive ({interval})"),
        false => format!("{}× ({interval})", amount(median)),
    }
}

/// Words about the share of the time of the processors that other processes used.
pub fn contended(share: f64) -> String {
    format!(", other processes used {:.0} % of the processors", 100.0 * share)
}

/// `count` threads in words.
pub fn threads(count: usize) -> String {
    counted(count, "thread")
}

/// `part` of `whole` in percent, as a whole number.
pub fn percent(part: f64, whole: f64) -> String {
    format!("{:.0} %", 100.0 * part / whole)
}

/// Deviation with one digit and an exponent of two.
pub fn deviation(value: f64) -> String {
    let text = format!("{value:.0e}");
    let (digit, exponent) = text.split_once('e').expect("a number with an exponent");
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digit}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_form_of_the_documents() {
        for (value, expected) in
            [(0.0, "0.000"), (0.0042, "0.004"), (2.5, "2.50"), (1384.2, "1,384")]
        {
            assert_eq!(amount(value), expected);
        }
        for (value, expected) in
            [(1.6e-7, "2e-07"), (0.0, "0e+00"), (3e-12, "3e-12"), (40.0, "4e+01")]
        {
            assert_eq!(deviation(value), expected);
        }
    }

    #[test]
    fn a_ratio_without_a_decision_is_its_interval_alone() {
        let speedup =
            |inconclusive| Some(Speedup { median: 2.0, low: 0.9, high: 30.0, inconclusive });
        assert_eq!(over(speedup(false)), "2.00× (0.900–30.0)");
        assert_eq!(over(speedup(true)), "inconclusive (0.900–30.0)");
        assert_eq!(over(None), "–");
    }

    #[test]
    fn a_table_has_a_line_for_each_row() {
        let rows = [vec!["1".to_string(), "2".into()]];
        assert_eq!(table(&["a", "b"], &rows), "| a | b |\n| --- | --- |\n| 1 | 2 |\n");
    }
}
