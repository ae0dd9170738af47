//! Small plots of the page of a trend: one row over the records.

use super::steps::Line;
use crate::report::suite::plot::{escaped, line, mark, polyline, text};

/// Size of a plot in pixels.
const WIDTH: f64 = 260.0;
const HEIGHT: f64 = 104.0;
/// Sides of the area in which values lie.
const LEFT: f64 = 14.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = HEIGHT - 18.0;
/// Space between a mark and the number above it.
const ABOVE: f64 = 9.0;
/// Most records whose numbers all stand below a plot.
const MOST_NUMBERS: usize = 12;
/// Series of medians, and of medians after a step.
const MEDIAN: usize = 0;
const STEP: usize = 1;

/// Plot of `row` over a number of `records`: medians with their intervals, from 0 to the largest
/// value, with a mark at each step.
pub fn svg(row: &Line, records: usize) -> String {
    let highest = row.points.iter().map(|point| point.row.interval.high).fold(0.0, f64::max);
    let x = |record: usize| LEFT + (RIGHT - LEFT) * record as f64 / (records - 1) as f64;
    let y = |value: f64| BOTTOM - (BOTTOM - TOP) * value / highest;
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
        escaped(&row.id.name)
    );
    text(&mut svg, (0.0, 11.0), "start", 11, &row.id.suite.amount(highest));
    line(&mut svg, [(0.0, TOP), (WIDTH, TOP)], 0.18);
    line(&mut svg, [(0.0, BOTTOM), (WIDTH, BOTTOM)], 1.0);
    let medians: Vec<_> = row.points.iter().map(|one| (x(one.record), y(one.row.median))).collect();
    polyline(&mut svg, MEDIAN, &medians);
    for (point, &place) in row.points.iter().zip(&medians) {
        let interval = point.row.interval;
        line(&mut svg, [(place.0, y(interval.low)), (place.0, y(interval.high))], 0.6);
        let step = row.steps.iter().find(|step| step.record == point.record);
        mark(&mut svg, if step.is_some() { STEP } else { MEDIAN }, place);
        let ends = [0, records - 1].contains(&point.record);
        if records <= MOST_NUMBERS || ends || step.is_some() {
            let number = (point.record + 1).to_string();
            text(&mut svg, (place.0, HEIGHT - 4.0), "middle", 10, &number);
        }
        if let Some(step) = step {
            let ratio = format!("{:.2}×", step.ratio);
            text(&mut svg, (place.0, y(interval.high) - ABOVE), "middle", 11, &ratio);
        }
    }
    svg + "</svg>"
}
