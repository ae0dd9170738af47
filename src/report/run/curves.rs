//! The curves of a run: its results by epoch, as SVG.

use crate::model::checkpoint::EpochRecord;
use crate::report::suite::plot::{escaped, line, mark, number, polyline, text};

/// Size of a plot in pixels.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 250.0;
/// Sides of the area inside the axes.
const LEFT: f64 = 56.0;
const RIGHT: f64 = WIDTH - 16.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = HEIGHT - 40.0;
/// Width of a character of a legend, on average.
const CHARACTER: f64 = 6.4;
/// Most epochs whose points have marks.
const MOST_MARKS: usize = 40;
/// Most numbers below the horizontal axis.
const MOST_NUMBERS: usize = 10;

/// A curve: its name, and a value for some epochs.
type Curve = (&'static str, Vec<(usize, f64)>);

/// A plot with one or more curves.
pub struct Plot {
    title: &'static str,
    /// Whether the vertical axis begins at 0.
    from_zero: bool,
    curves: Vec<Curve>,
}

/// Plots of a `history`; a plot without a point is left out.
pub fn plots(history: &[EpochRecord]) -> Vec<Plot> {
    let curve = |name, value: fn(&EpochRecord) -> Option<f64>| -> Curve {
        (name, history.iter().filter_map(|one| Some((one.epoch, value(one)?))).collect())
    };
    let plot = |title, from_zero, curves: Vec<Curve>| {
        let curves: Vec<_> = curves.into_iter().filter(|(_, points)| !points.is_empty()).collect();
        Plot { title, from_zero, curves }
    };
    let all = [
        plot(
            "Loss",
            true,
            vec![
                curve("training", |one| Some(one.loss)),
                curve("validation", |one| one.validation_loss),
                curve("test", |one| one.test_loss),
            ],
        ),
        plot(
            "Accuracy, %",
            false,
            vec![
                curve("training", |one| Some(100.0 * one.train_accuracy)),
                curve("validation", |one| percent(one.validation_correct, one.validation_total)),
                curve("test", |one| percent(one.test_correct, one.test_total)),
            ],
        ),
        plot("Learning rate", true, vec![curve("learning rate", |one| Some(one.lr))]),
        plot("Norm of the weights", false, vec![curve("weights", |one| Some(one.weight_norm))]),
        plot("Norm of the gradient", true, vec![curve("gradient", |one| one.gradient_norm)]),
    ];
    all.into_iter().filter(|plot| !plot.curves.is_empty()).collect()
}

/// Share of `correct` images in percent, if it is known.
fn percent(correct: Option<usize>, total: Option<usize>) -> Option<f64> {
    correct.zip(total).map(|(correct, total)| 100.0 * correct as f64 / total as f64)
}

impl Plot {
    /// The plot as an SVG element, with its title as its description.
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{}, by epoch\">\n",
            escaped(self.title)
        );
        text(&mut svg, (WIDTH / 2.0, 18.0), "middle", 14, self.title);
        self.legend(&mut svg);
        let points = || self.curves.iter().flat_map(|(_, points)| points);
        let ticks = ticks(points().map(|point| point.1), self.from_zero);
        let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
        let y = |value: f64| BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low);
        for &tick in &ticks {
            line(&mut svg, [(LEFT, y(tick)), (RIGHT, y(tick))], 0.18);
            text(&mut svg, (LEFT - 6.0, y(tick) + 4.0), "end", 11, &number(tick));
        }
        let first = points().map(|point| point.0).min().unwrap_or_default();
        let last = points().map(|point| point.0).max().unwrap_or_default();
        let x = |epoch: usize| match last - first {
            0 => (LEFT + RIGHT) / 2.0,
            length => LEFT + 8.0 + (RIGHT - LEFT - 16.0) * (epoch - first) as f64 / length as f64,
        };
        let step = (last - first + 1).div_ceil(MOST_NUMBERS);
        for epoch in (first..=last).step_by(step) {
            text(&mut svg, (x(epoch), BOTTOM + 15.0), "middle", 11, &epoch.to_string());
        }
        for (series, (_, points)) in self.curves.iter().enumerate() {
            let places: Vec<_> =
                points.iter().map(|&(epoch, value)| (x(epoch), y(value))).collect();
            polyline(&mut svg, series, &places);
            if last - first < MOST_MARKS {
                places.into_iter().for_each(|place| mark(&mut svg, series, place));
            }
        }
        line(&mut svg, [(LEFT, BOTTOM), (RIGHT, BOTTOM)], 1.0);
        text(&mut svg, ((LEFT + RIGHT) / 2.0, HEIGHT - 8.0), "middle", 12, "epoch");
        svg + "</svg>"
    }

    /// Appends the names of the curves below the title; a curve alone needs none.
    fn legend(&self, svg: &mut String) {
        if self.curves.len() < 2 {
            return;
        }
        let width = |name: &str| 34.0 + CHARACTER * name.len() as f64;
        let total: f64 = self.curves.iter().map(|(name, _)| width(name)).sum();
        let mut x = (WIDTH - total) / 2.0;
        for (series, (name, _)) in self.curves.iter().enumerate() {
            polyline(svg, series, &[(x, 34.0), (x + 18.0, 34.0)]);
            mark(svg, series, (x + 9.0, 34.0));
            text(svg, (x + 22.0, 38.0), "start", 11, name);
            x += width(name);
        }
    }
}

/// Multiples of 1, 2 or 5 times a power of ten around all `values`, and around 0 if they shall
/// begin there: at least two.
fn ticks(values: impl Iterator<Item = f64> + Clone, from_zero: bool) -> Vec<f64> {
    let high = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let low = if from_zero { 0.0 } else { values.fold(f64::INFINITY, f64::min) };
    // Equal values get an axis too.
    let range = (high - low).max(1e-3 * high.abs()).max(1e-12);
    let power = 10_f64.powf((range / 3.0).log10().floor());
    let wanted = [5.0, 2.0, 1.0].into_iter().find(|step| step * power <= range / 3.0);
    let step = wanted.unwrap_or(1.0) * power;
    let first = (low / step + 1e-9).floor();
    let last = (high / step - 1e-9).ceil().max(first + 1.0);
    (0..=(last - first) as usize).map(|count| (first + count as f64) * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_surround_the_values_and_begin_at_zero_if_they_shall() {
        for (values, from_zero, expected) in [
            (&[0.1, 0.4][..], true, &[0.0, 0.1, 0.2, 0.3, 0.4][..]),
            (&[97.4, 99.0], false, &[97.0, 97.5, 98.0, 98.5, 99.0]),
            (&[20.0], false, &[20.0, 20.005]),
            (&[0.0], true, &[0.0, 2e-13]),
        ] {
            let found = ticks(values.iter().copied(), from_zero);
            assert_eq!(found.len(), expected.len(), "{values:?}: {found:?}");
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * b.abs();
            assert!(found.iter().zip(expected).all(close), "{values:?}: {found:?}");
        }
    }
}
