//! The parts of a training step to which samples are assigned.

use crate::engine::phases::Phase;

/// Part of a training step: a phase, waiting, or work of no phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Work of a phase of the step.
    Phase(Phase),
    /// Waiting of threads that have no work.
    Waiting,
    /// Work in a step that belongs to no phase.
    Other,
}

impl Part {
    /// Iterator over all parts, in the order of a step.
    pub fn all() -> impl Iterator<Item = Self> {
        Phase::ALL.into_iter().map(Self::Phase).chain([Self::Waiting, Self::Other])
    }

    /// Name of the part in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phase(phase) => phase.name(),
            Self::Waiting => "waiting",
            Self::Other => "other",
        }
    }

    /// Part with this `name`, if there is one.
    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|part| part.name() == name)
    }

    /// Colour of the part as \[red, green, blue\]. Black text on it is readable, and the phases of
    /// one layer have shades of one hue.
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
}
