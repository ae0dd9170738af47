//! Profiles of stages as text, two lines for each stage: its speed without the profiler, and its
//! largest phases.

use std::fmt::Write;

use super::bench;
use super::numbers::{digits, grouped};
use crate::report::profile::{PhaseSamples, Profile, ProfiledStage};

/// Number of phases for which a line has room.
const SHOWN_PHASES: usize = 3;

/// `profile` as lines of text, without a line end after the last.
pub fn lines(profile: &Profile) -> String {
    let ladder = &profile.ladder;
    let mut text = format!(
        "data: {}\npasses of {} images, the last batch of {}\n\n\
         {:<9}{:>4}{:>10}{:>9}{:>8}{:>9}\n",
        ladder.dataset_description,
        grouped(profile.images_per_pass),
        profile.last_batch_images,
        "stage",
        "thr.",
        "µs/image",
        "× naive",
        "passes",
        "samples",
    );
    for stage in &profile.stages {
        let row = ladder.row(stage.stage, stage.threads);
        let over_naive = row.over_naive.map_or("-".into(), |speedup| digits(speedup.median));
        _ = writeln!(
            text,
            "{:<9}{:>4}{:>10}{:>9}{:>8}{:>9}\n    {}",
            stage.stage,
            stage.threads,
            digits(1e6 / row.images_per_second),
            over_naive,
            grouped(stage.passes),
            grouped(stage.samples),
            largest_phases(stage),
        );
    }
    _ = write!(
        text,
        "{}µs/image and × naive: without a profiler; second lines: the largest phases\n{}",
        bench::inexact_stages(ladder),
        profile.page
    );
    text
}

/// Names and shares of the phases of `stage` with the most samples.
fn largest_phases(stage: &ProfiledStage) -> String {
    let mut phases: Vec<_> = stage.phases.iter().collect();
    phases.sort_by_key(|phase| std::cmp::Reverse(phase.samples));
    let share = |samples: usize| 100.0 * samples as f64 / stage.samples as f64;
    let phase =
        |phase: &&PhaseSamples| format!("{} {:.0} %", phase.phase.name(), share(phase.samples));
    phases.iter().take(SHOWN_PHASES).map(phase).collect::<Vec<_>>().join(", ")
}
