//! Results of recipes that are measured side by side: of each run, and of all runs of a recipe.

use serde::{Deserialize, Serialize};

use crate::measure::statistics::Sample;
use crate::model::recipes::NamedRecipe;

/// Name of the runs that train one epoch by the recipe of the source, as the unit of time.
pub const ONE_EPOCH: &str = "one epoch";

/// Result of one run, in a process of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordRun {
    /// Name of the recipe, or [`ONE_EPOCH`].
    pub recipe: String,
    /// Seed of the run.
    pub seed: u64,
    /// Test images that are classified correctly.
    pub test_correct: usize,
    /// All test images.
    pub test_total: usize,
    /// Duration of the training steps.
    pub train_seconds: f64,
    /// Duration from the images in memory to the last prediction.
    pub clock_seconds: f64,
    /// Duration from the start of the process to its end.
    pub process_seconds: f64,
    /// SHA-256 of the weights and biases.
    pub weights_sha256: String,
    /// Result of the same weights with selective test-time averaging; absent for [`ONE_EPOCH`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaged: Option<Averaged>,
}

/// Result of a test that averages over copies of the images that are not sure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Averaged {
    /// Test images that are classified correctly.
    pub test_correct: usize,
    /// Number of images that are not sure.
    pub images: usize,
    /// Duration of the test.
    pub seconds: f64,
}

/// Results of all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// Version of the schema, [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema: u32,
    /// Path of the file with the runs.
    pub file: String,
    /// Kind of the dataset, as in [`Start::dataset`](super::Start::dataset).
    pub dataset: String,
    /// Results of each recipe, in the order of their runs.
    pub rows: Vec<RecordRow>,
}

/// Results of the runs of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordRow {
    /// Name of the recipe, or [`ONE_EPOCH`].
    pub recipe: String,
    /// Mean test accuracy that the recipe is for, 0 to 1, if it is for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<f64>,
    /// Share of the test images that are classified correctly, 0 to 1.
    pub accuracy: Sample,
    /// Probability of so high a mean by chance, if the accuracy is the mark (Student's t-test, one-sided);
    /// absent without a mark, for one run, and if all runs agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// Share of the test images that are classified correctly with selective test-time averaging; absent
    /// for [`ONE_EPOCH`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub averaged: Option<Sample>,
    /// The same as `chance`, of the mean of `averaged`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub averaged_chance: Option<f64>,
    /// Durations from the images in memory to the last prediction.
    pub clock_seconds: Sample,
    /// Durations of the processes.
    pub process_seconds: Sample,
    /// Median of `clock_seconds`, divided by the median duration of the training steps of one epoch by the
    /// recipe of the source.
    pub epochs_of_source: f64,
}

/// Whether each of the `recipes` has a run with this `seed`.
pub fn is_complete(runs: &[RecordRun], recipes: &[&str], seed: u64) -> bool {
    let has = |recipe: &&str| runs.iter().any(|run| run.recipe == *recipe && run.seed == seed);
    recipes.iter().all(has)
}

/// Those of the `runs` whose seed has a run of each of the `recipes`.
pub fn complete(runs: &[RecordRun], recipes: &[&str]) -> Vec<RecordRun> {
    let is_kept = |run: &&RecordRun| is_complete(runs, recipes, run.seed);
    runs.iter().filter(is_kept).cloned().collect()
}

/// A row for each recipe of `runs`, in the order of their first runs; none without [`ONE_EPOCH`].
pub fn rows(runs: &[RecordRun]) -> Vec<RecordRow> {
    let sample = |recipe: &str, value: fn(&RecordRun) -> f64| {
        let values = runs.iter().filter(|run| run.recipe == recipe).map(value);
        Sample::of(&values.collect::<Vec<_>>())
    };
    if !runs.iter().any(|run| run.recipe == ONE_EPOCH) {
        return Vec::new();
    }
    let epoch = sample(ONE_EPOCH, |run| run.train_seconds).median;
    let mut recipes: Vec<&str> = Vec::new();
    for run in runs {
        if !recipes.contains(&&*run.recipe) {
            recipes.push(&run.recipe);
        }
    }
    let row = |recipe: &str| {
        let mark = NamedRecipe::find(recipe).and_then(|recipe| recipe.mark);
        let accuracy = sample(recipe, |run| run.test_correct as f64 / run.test_total as f64);
        let clock_seconds = sample(recipe, |run| run.clock_seconds);
        let averaged: Vec<f64> = runs
            .iter()
            .filter(|run| run.recipe == recipe)
            .filter_map(|run| Some(run.averaged?.test_correct as f64 / run.test_total as f64))
            .collect();
        let averaged = (!averaged.is_empty()).then(|| Sample::of(&averaged));
        let chance = |sample: Sample| mark.and_then(|mark| sample.chance_above(mark));
        RecordRow {
            recipe: recipe.into(),
            mark,
            accuracy,
            chance: chance(accuracy),
            averaged,
            averaged_chance: averaged.and_then(chance),
            clock_seconds,
            process_seconds: sample(recipe, |run| run.process_seconds),
            epochs_of_source: clock_seconds.median / epoch,
        }
    };
    recipes.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(recipe: &str, seed: u64, test_correct: usize, clock_seconds: f64) -> RecordRun {
        RecordRun {
            recipe: recipe.into(),
            seed,
            test_correct,
            test_total: 1000,
            train_seconds: clock_seconds / 2.0,
            clock_seconds,
            process_seconds: clock_seconds + 1.0,
            weights_sha256: String::new(),
            averaged: (recipe != ONE_EPOCH).then_some(Averaged {
                test_correct: test_correct + 2,
                images: 30,
                seconds: 0.1,
            }),
        }
    }

    #[test]
    fn a_recipe_is_compared_with_its_mark_and_an_epoch_of_the_source() {
        let mut runs = Vec::new();
        for (seed, better) in [(1, 0), (2, 2), (3, 1)] {
            runs.push(run(ONE_EPOCH, seed, 950, 4.0));
            runs.push(run("99", seed, 990 + better, 3.0 + better as f64));
        }
        let rows = rows(&runs);
        assert_eq!(rows.iter().map(|row| &*row.recipe).collect::<Vec<_>>(), [ONE_EPOCH, "99"]);
        let [epoch, fast] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((epoch.mark, epoch.chance, epoch.epochs_of_source), (None, None, 2.0));
        assert_eq!((fast.mark, fast.epochs_of_source), (Some(0.99), 2.0));
        assert!((fast.accuracy.mean - 0.991).abs() < 1e-12);
        assert!((fast.averaged.unwrap().mean - 0.993).abs() < 1e-12 && epoch.averaged.is_none());
        // t = 0.001 / (0.001 / √3) = √3 with 2 degrees of freedom: p = (1 − √(3/5)) / 2.
        assert!((fast.chance.unwrap() - (1.0 - 0.6_f64.sqrt()) / 2.0).abs() < 1e-9, "{fast:?}");
        // With averaging t = 3·√3: p = (1 − √(27/29)) / 2.
        let chance = (1.0 - (27.0 / 29.0_f64).sqrt()) / 2.0;
        assert!((fast.averaged_chance.unwrap() - chance).abs() < 1e-9, "{fast:?}");
        assert_eq!((fast.process_seconds.median, fast.clock_seconds.min), (5.0, 3.0));
        assert!(self::rows(&runs[1..2]).is_empty());
        // The third seed lacks the recipe.
        assert_eq!(complete(&runs[..5], &[ONE_EPOCH, "99"]), runs[..4]);
    }
}
