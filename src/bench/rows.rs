//! The rows of the report: results of the measurement in the report's units.

use super::agreement::Agreement;
use super::contestant::Contestant;
use super::protocol::Measurement;
use crate::engine::phases::{Phase, PhaseCost};
use crate::measure::roofline::Roofline;
use crate::measure::statistics::{Speedup, Spread};
use crate::report::bench::{BenchPhase, BenchRow};
use crate::simd::Isa;
use crate::stages::{STAGES, Stage};

/// Results of a measurement. The slices have one element for each contestant.
pub struct Rows<'a> {
    pub contestants: &'a [Contestant],
    pub agreements: &'a [Agreement],
    pub peaks_rss_bytes: &'a [Option<u64>],
    pub measurements: &'a [Measurement],
    pub roofline: &'a Roofline,
    /// Vector instructions of the stages that can choose them.
    pub isa: Isa,
    /// Number of images in an epoch.
    pub images: usize,
    pub batch_size: usize,
    pub dense_flops_per_step: usize,
}

impl Rows<'_> {
    /// Row of contestant `index` in the report.
    pub fn row(&self, index: usize) -> BenchRow {
        let Contestant { stage, threads } = self.contestants[index];
        let measurement = &self.measurements[index];
        let timing = &measurement.timing;
        let round_step_ms = timing.call_ms();
        let step_ms = Spread::of(&round_step_ms);
        let steps = timing.all_calls() as f64;
        let gflops = |flops: f64| flops / step_ms.median / 1e6;

        let PhaseCost { time, flops } = measurement.phases.total();
        let flops_per_step = flops as f64 / steps;
        let phases_step_ms = 1e3 * measurement.phases_duration.as_secs_f64() / steps;
        let waiting_thread_ms =
            (phases_step_ms * threads as f64 - 1e3 * time.as_secs_f64() / steps).max(0.0);
        let phase = |phase| {
            let PhaseCost { time, flops } = measurement.phases.of(phase);
            let thread_ms = 1e3 * time.as_secs_f64() / steps;
            BenchPhase { phase, thread_ms, flops: flops as f64 / steps }
        };
        let phases = Phase::ALL.into_iter().map(phase).filter(|phase| phase.thread_ms > 0.0);

        // A stage that is not vectorized uses the instructions that its library or the compiler
        // chooses.
        let peak_isa = if stage.vectorized { self.isa } else { Isa::detect() };
        let peak_gflops = self.roofline.peak_gflops(peak_isa, stage.precision.name(), threads);
        BenchRow {
            stage: stage.name,
            threads,
            precision: stage.precision.name(),
            loss_deviation: self.agreements[index].deviation,
            loss_tolerance: self.agreements[index].tolerance,
            round_steps: timing.calls,
            round_images: timing.calls * self.batch_size,
            step_ms,
            epoch_seconds: step_ms.times(1e-3 * self.images as f64 / self.batch_size as f64),
            images_per_second: 1e3 * self.batch_size as f64 / step_ms.median,
            flops_per_step,
            gflops: gflops(flops_per_step),
            peak_isa,
            peak_gflops,
            peak_share: peak_gflops.map(|peak| gflops(flops_per_step) / peak),
            dense_equivalent_gflops: gflops(self.dense_flops_per_step as f64),
            allocations_per_step: timing.allocations_per_call(),
            peak_rss_bytes: self.peaks_rss_bytes[index],
            over_naive: self.speedup(index, &STAGES[0], threads),
            over_previous: stage
                .predecessor
                .and_then(Stage::find)
                .and_then(|previous| self.speedup(index, previous, threads)),
            over_one_thread: self.speedup(index, stage, 1),
            phases: phases.collect(),
            waiting_thread_ms,
            phases_step_ms,
            round_step_ms,
        }
    }

    /// Speedup of contestant `index` over `stage`, on the largest measured number of threads up to
    /// `threads`. `None` if it is the same contestant or was not measured.
    fn speedup(&self, index: usize, stage: &Stage, threads: usize) -> Option<Speedup> {
        let is_it = |one: &Contestant| one.stage.name == stage.name && one.threads <= threads;
        let other = self.contestants.iter().rposition(is_it).filter(|other| *other != index)?;
        let [own, other] = [index, other].map(|one| self.measurements[one].timing.call_ms());
        Some(Speedup::of(&own, &other))
    }
}
