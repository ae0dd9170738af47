//! What the samples of a training step are counted under, and the functions that tell it.

use crate::engine::phases::Phase;

/// A phase of a step, or what is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Of a step.
    Phase(Phase),
    /// Threads without work.
    Waiting,
    /// All else within a step.
    Other,
}

impl Part {
    /// All of them, in the order of a step.
    pub fn all() -> impl Iterator<Item = Self> {
        Phase::ALL.into_iter().map(Self::Phase).chain([Self::Waiting, Self::Other])
    }

    /// What a table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phase(phase) => phase.name(),
            Self::Waiting => "waiting",
            Self::Other => "other",
        }
    }

    /// The part called `name`.
    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|part| part.name() == name)
    }

    /// Red, green and blue, on which black can be read: shades of one hue for one layer.
    pub fn colour(self) -> [u8; 3] {
        match self {
            Self::Phase(Phase::Data) => [222, 205, 110],
            Self::Phase(Phase::ConvForward) => [128, 190, 245],
            Self::Phase(Phase::ConvBackward) => [105, 155, 232],
            Self::Phase(Phase::LinearForward) => [250, 190, 100],
            Self::Phase(Phase::LinearBackward) => [240, 150, 85],
            Self::Phase(Phase::LinearUpdate) => [135, 205, 125],
            Self::Phase(Phase::Optimizer) => [185, 225, 150],
            Self::Phase(Phase::Loss) => [232, 145, 200],
            Self::Waiting => [225, 225, 225],
            Self::Other => [185, 185, 185],
        }
    }
}

/// Entry points of the phases, which are kept out of line so that they stand in call stacks: names
/// of functions, with their type or module where the name alone leaves it open.
///
/// Relu and pooling count for the convolution, also where relu follows a linear layer: there it is
/// less than a hundredth of all relu.
const ENTRIES: [(&str, Phase); 25] = [
    ("LayerwiseEngine::take_images", Phase::Data),
    ("Images::fill", Phase::Data),
    ("Images::prefetch", Phase::Data),
    ("CellRow::list_rows", Phase::Data),
    ("conv2d_forward", Phase::ConvForward),
    ("relu_forward", Phase::ConvForward),
    ("maxpool2d_forward", Phase::ConvForward),
    ("CellRow::convolve", Phase::ConvForward),
    ("linear_forward", Phase::LinearForward),
    ("CellRow::sum_linear", Phase::LinearForward),
    ("cross_entropy::backward", Phase::Loss),
    ("Group::forward", Phase::Loss),
    ("Group::backward", Phase::Loss),
    ("FusedEngine::sum_common", Phase::Loss),
    ("FusedEngine::gather_dz", Phase::Loss),
    ("linear_backward", Phase::LinearBackward),
    ("CellRow::input_gradient", Phase::LinearBackward),
    ("conv2d_backward", Phase::ConvBackward),
    ("relu_backward", Phase::ConvBackward),
    ("maxpool2d_backward", Phase::ConvBackward),
    ("CellRow::convolve_backward", Phase::ConvBackward),
    ("CellRow::update", Phase::LinearUpdate),
    ("LayerwiseEngine::update", Phase::Optimizer),
    ("AdamStep::update", Phase::Optimizer),
    ("fused::update_small_layers", Phase::Optimizer),
];

/// The phase that begins with `function`, a name with its type or module, if one does.
pub fn entered(function: &str) -> Option<Part> {
    let name = function.rsplit("::").next().unwrap_or(function);
    let is_it = |(entry, _): &&(&str, Phase)| *entry == function || *entry == name;
    ENTRIES.iter().find(is_it).map(|&(_, phase)| Part::Phase(phase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_name_and_a_colour_of_its_own() {
        for part in Part::all() {
            assert_eq!(Part::find(part.name()), Some(part));
            let same = Part::all().filter(|other| other.colour() == part.colour());
            assert_eq!(same.count(), 1, "{part:?}");
        }
    }

    #[test]
    fn a_function_enters_a_phase_by_its_whole_name() {
        assert_eq!(entered("Gemm::linear_forward"), Some(Part::Phase(Phase::LinearForward)));
        assert_eq!(entered("CellRow::update"), Some(Part::Phase(Phase::LinearUpdate)));
        assert_eq!(entered("Other::update"), None);
        assert_eq!(entered("linear_forwards"), None);
    }
}
