//! What a chapter of OPTIMIZATIONS.md shows: the gain of its stage, and the profile of the stage from
//! which it starts.

use serde::Deserialize;

use super::bench::Bench;
use super::records::Records;
use super::words::{RATIOS, amount, over, percent, table as markdown, threads};
use crate::engine::phases::Phase;
use crate::error::quoted;
use crate::report::text::numbers::grouped;
use crate::stages::Stage;

/// Number of phases and of functions that the text about a profile names.
const PHASES: usize = 4;
const FUNCTIONS: usize = 3;

/// The stage called `name`.
fn stage(name: &str) -> Result<&'static Stage, String> {
    Stage::find(name).ok_or_else(|| format!("no stage is called '{}'", quoted(name)))
}

/// Table of what the stage called `name` gains, and where the time of a step goes.
pub fn table(records: &Records, name: &str) -> Result<String, String> {
    let stage = stage(name)?;
    let record = Bench::of_ladder(records)?;
    let mut rows = record.of(stage.name).peekable();
    let Some(first) = rows.peek() else {
        return Ok("The CPU of the record above cannot run this stage.\n".into());
    };
    let mut heading = vec!["threads", "a step, ms", "over the stage before", "of peak"];
    heading.extend(first.phases.iter().map(|one| one.phase.name()));
    heading.push("waiting");
    let cells = rows.map(|row| {
        let begin = [row.threads.to_string(), row.step(), over(row.over_previous), row.share()];
        let phases = row.phases.iter().map(|one| amount(one.thread_ms));
        begin.into_iter().chain(phases).chain([amount(row.waiting_thread_ms)]).collect()
    });
    let cells: Vec<_> = cells.collect();
    Ok(format!(
        "{}\n{RATIOS}. The time of a phase, in ms, is summed over the threads; it is measured in extra \
         steps, whose clock costs a few percent.\n",
        markdown(&heading, &cells)
    ))
}

/// Fields of the record of profiles.
#[derive(Deserialize)]
struct Profiles {
    stages: Vec<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    stage: String,
    threads: usize,
    samples: usize,
    phases: Vec<PhaseSamples>,
    top_functions: Vec<FunctionSamples>,
    flamegraph: String,
}

#[derive(Deserialize)]
struct PhaseSamples {
    phase: Phase,
    samples: usize,
}

#[derive(Deserialize)]
struct FunctionSamples {
    function: String,
    samples: usize,
}

/// Flamegraph and text about the profile of the stage from which the stage called `name` starts.
pub fn profile(records: &Records, name: &str) -> Result<String, String> {
    let before = stage(name)?.predecessor;
    let before = before.ok_or_else(|| format!("{name} starts from no other stage"))?;
    let file = "flamegraphs/profiles.json";
    let Profiles { stages } = records.event(file, "profile")?;
    let profile = stages.into_iter().find(|one| one.stage == before);
    let mut profile =
        profile.ok_or_else(|| records.foreign(file, &format!("it has no profile of {before}")))?;
    let of_all = |samples: usize| percent(samples as f64, profile.samples as f64);
    // The order of phases with as many samples stays.
    profile.phases.sort_by_key(|one| std::cmp::Reverse(one.samples));
    let phases = profile.phases.iter().take(PHASES);
    let phases = phases.map(|one| format!("{} {}", one.phase.name(), of_all(one.samples)));
    let functions = profile.top_functions.iter().take(FUNCTIONS);
    let functions = functions.map(|one| format!("`{}` {}", one.function, of_all(one.samples)));
    let graph = format!("profiles/flamegraphs/{}", profile.flamegraph);
    Ok(format!(
        "[![Flamegraph of {before}]({graph})]({graph})\n\nThe profile of {before} on {} has {} samples. \
         Phases: {}. Innermost functions: {}.\n",
        threads(profile.threads),
        grouped(profile.samples),
        phases.collect::<Vec<_>>().join(", "),
        functions.collect::<Vec<_>>().join(", "),
    ))
}
