//! The page of a run as one HTML file, which loads nothing: scripts, pictures and weights are in it.

use askama::Template;

use super::result::RunReport;
use super::tables::Class;
use super::{curves, network, pictures, tables};
use crate::model::checkpoint::EpochRecord;
use crate::nn::shape::Shape;
use crate::report::text::numbers::{grouped, sure};
use crate::training::evaluation::Mistake;

/// Text in every page, by which an earlier page is recognized.
pub const MARK: &str = "mnist-train report of a run";

/// Largest number of mistakes that are shown.
const MISTAKES: usize = 24;
/// Largest number of filters that are shown.
const FILTERS: usize = 64;

/// `report` as one HTML page.
pub fn text(report: &RunReport<'_>) -> String {
    Page { report, history: history(report) }.render().expect("plain data")
}

/// History of the run. Training saves the last epoch before it tests it; the test of this page
/// fills the gap, if the images are of the same dataset.
fn history(report: &RunReport<'_>) -> Vec<EpochRecord> {
    let mut history = report.metadata.map(|metadata| metadata.history.clone()).unwrap_or_default();
    let is_between_epochs = report.metadata.is_some_and(|metadata| metadata.position.batch == 0);
    if let Some(last) = history.last_mut()
        && is_between_epochs
        && last.test_correct.is_none()
        && report.other_data.is_none()
    {
        last.test_correct = Some(report.evaluation.correct);
        last.test_total = Some(report.evaluation.total);
        last.test_loss = Some(report.evaluation.loss);
    }
    history
}

/// Values that the template of the page shows.
#[derive(Template)]
#[template(path = "run.html")]
struct Page<'a> {
    report: &'a RunReport<'a>,
    history: Vec<EpochRecord>,
}

impl Page<'_> {
    fn mark(&self) -> &'static str {
        MARK
    }

    fn accuracy(&self) -> String {
        let evaluation = self.report.evaluation;
        format!("{:.2} %", 100.0 * evaluation.correct as f64 / evaluation.total as f64)
    }

    /// Sentence about the result on the test images.
    fn result(&self) -> String {
        let evaluation = self.report.evaluation;
        format!(
            "{} of {} test images classified correctly, mean loss {:.4}",
            grouped(evaluation.correct),
            grouped(evaluation.total),
            evaluation.loss
        )
    }

    fn plots(&self) -> Vec<String> {
        curves::plots(&self.history).iter().map(curves::Plot::svg).collect()
    }

    fn epochs(&self) -> Vec<Vec<String>> {
        self.history.iter().map(tables::epoch).collect()
    }

    fn classes(&self) -> Vec<Class> {
        tables::classes(self.report)
    }

    fn colour(&self, cell: &tables::Cell) -> &'static str {
        if cell.is_right { "right" } else { "wrong" }
    }

    fn grouped(&self, count: &usize) -> String {
        grouped(*count)
    }

    fn mistakes(&self) -> &[Mistake] {
        let mistakes = &self.report.evaluation.mistakes;
        &mistakes[..mistakes.len().min(MISTAKES)]
    }

    fn picture(&self, mistake: &Mistake) -> String {
        let split = &self.report.test.split;
        pictures::address(split.image(mistake.index), split.sides())
    }

    fn name(&self, class: &usize) -> String {
        self.report.class(*class)
    }

    fn probability(&self, mistake: &Mistake) -> String {
        sure(mistake.probability)
    }

    /// Pictures of the first layer's kernels, if it is a convolution of one channel.
    fn filters(&self) -> Vec<String> {
        let Some((weight, values)) = self.report.parameters.iter().next() else {
            return Vec::new();
        };
        let first = &self.report.architecture.layers()[0];
        let ([_, 1, height, width], "conv") = (&weight.shape[..], &*first.layer.word()) else {
            return Vec::new();
        };
        let largest = values.iter().map(|weight| weight.abs()).fold(0.0, f32::max);
        let kernels = values.chunks_exact(height * width).take(FILTERS);
        let picture = |kernel| pictures::of_weights(kernel, largest);
        kernels.map(|kernel| pictures::address(&picture(kernel), [*height, *width])).collect()
    }

    /// Sentence below the filters, or in their place.
    fn about_filters(&self) -> String {
        let first = &self.report.architecture.layers()[0];
        let all = first.output.sizes()[0];
        match self.filters().len() {
            0 => format!("The first layer, {}, is no convolution: it has no filters.", first.name),
            shown => format!(
                "{} of {all} kernels of the layer {}: white is the largest weight, black its \
                 negative, and 0 is grey.",
                if shown == all { "All".into() } else { format!("The first {shown}") },
                first.name
            ),
        }
    }

    fn shape(&self, shape: Shape) -> String {
        shape.to_string().replace('x', "×")
    }

    fn layers(&self) -> Vec<[String; 4]> {
        tables::layers(self.report)
    }

    fn parameters(&self) -> String {
        grouped(self.report.architecture.parameter_count())
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        tables::facts(self.report)
    }

    fn settings(&self) -> Vec<(String, String)> {
        tables::settings(self.report)
    }

    /// Reason why the page has no pad, if it has none.
    fn unmet(&self) -> Option<String> {
        network::unmet(self.report)
    }

    fn sides(&self) -> [usize; 2] {
        self.report.test.split.sides()
    }

    fn description(&self) -> String {
        network::description(self.report)
    }

    fn weights(&self) -> String {
        network::weights(self.report)
    }

    fn script(&self) -> String {
        network::script()
    }
}
