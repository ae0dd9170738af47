//! The files that a profile consists of.

use std::fs;
use std::io;
use std::path::Path;

use crate::bench::contestant::Contestant;
use crate::engine::phases::Phase;
use crate::error::{Error, Result, printable};
use crate::files::durable::{self, Folder};
use crate::files::lock::{Lock, lock_for_writing};
use crate::files::replaceable;
use crate::profile::capped_run::{ENOUGH_SAMPLES, Sampled};
use crate::profile::flamegraph::{self, Heading};
use crate::profile::part::Part;
use crate::profile::sampler::RATE_HZ;
use crate::report::bench::Bench;
use crate::report::html::{self, Graphs};
use crate::report::profile::{
    FunctionSamples, PhaseSamples, Profile, ProfileFailure, ProfiledStage,
};
use crate::report::text::numbers::{counted, grouped};
use crate::report::{Event, SCHEMA_VERSION, json};
use crate::simd::Isa;
use crate::stages::{STAGES, Stage};

/// Number of functions of a stage that are listed.
const TOP_FUNCTIONS: usize = 10;

/// Makes the folder, checks that every file of a profile of `stages` can be written there, and
/// locks these files against other processes. A new folder is removed again if no file is written.
///
/// # Errors
/// [`Error::Io`] or [`Error::Unavailable`] when a file cannot be written, [`Error::InvalidFile`]
/// when it would replace a file that is not from an earlier profile.
pub fn prepare(folder: &Path, stages: &[&'static Stage]) -> Result<(Vec<Lock>, Folder)> {
    let made = Folder::make(folder)?;
    let prepare = |name: &str, is_ours: &dyn Fn(&str) -> bool| -> Result<Lock> {
        let path = folder.join(name);
        let lock = lock_for_writing(&path)?;
        replaceable::check(&path, "the profile", is_ours)?;
        Ok(lock)
    };
    let mut locks = Vec::new();
    for stage in stages {
        for kind in KINDS {
            let is_ours = |content: &str| is_of_profile(content, kind, stage);
            locks.push(prepare(&name(stage, kind), &is_ours)?);
        }
    }
    locks.push(prepare(RECORD, &|content| replaceable::is_event(content, "profile"))?);
    locks.push(prepare(PAGE, &|content| content.contains(html::TITLE))?);
    Ok((locks, made))
}

/// Whether `content` is a file of this `kind` from a profile of `stage`.
pub(super) fn is_of_profile(content: &str, kind: &str, stage: &Stage) -> bool {
    match kind {
        FOLDED => content.starts_with(&format!("{};", stage.name)),
        // The subtitle of a graph names the program and its version.
        _ => content.contains("<svg ") && content.contains("; mnist-train "),
    }
}

/// Writer of a profile: the folder and the stages.
pub struct Outputs<'a> {
    pub folder: &'a Path,
    pub stages: &'a [&'static Stage],
}

impl Outputs<'_> {
    /// Draws and writes all files of a profile. Returns the report of the profile.
    ///
    /// # Errors
    /// When a file cannot be written or an old file cannot be removed.
    pub fn write(
        &self,
        ladder: Bench,
        profiles: &[(Contestant, Sampled)],
        failures: Vec<ProfileFailure>,
        isa: Isa,
    ) -> Result<Profile> {
        let (mut stages, mut graphs) = (Vec::new(), Vec::new());
        for (contestant, sampled) in profiles {
            let Contestant { stage, threads } = *contestant;
            let heading = Heading {
                title: format!(
                    "{}: {} stack samples of {} of {} images",
                    stage.name,
                    grouped(sampled.stacks.samples()),
                    html::passes(sampled.passes),
                    grouped(sampled.images),
                ),
                subtitle: circumstances(contestant, isa, &ladder),
            };
            let before = profiles.iter().find(|(one, _)| Some(one.stage.name) == stage.predecessor);
            let flamegraph = flamegraph::draw(&sampled.stacks, stage.name, &heading);
            self.replace(&name(stage, GRAPH), &flamegraph)?;
            self.replace(&name(stage, FOLDED), &sampled.stacks.lines(stage.name))?;
            let time =
                |of: &Contestant| 1e6 / ladder.row(of.stage.name, of.threads).images_per_second;
            let difference = before.map(|(before, earlier)| {
                let heading = Heading {
                    title: format!("{} against {}", stage.name, before.stage.name),
                    subtitle: format!(
                        "red: a larger share, blue: a smaller one; {}",
                        heading.subtitle
                    ),
                };
                let earlier = (&earlier.stacks, time(before));
                flamegraph::draw_difference(earlier, (&sampled.stacks, time(contestant)), &heading)
            });
            if let Some(difference) = &difference {
                self.replace(&name(stage, DIFFERENCE), difference)?;
            }
            stages.push(ProfiledStage {
                stage: stage.name,
                threads,
                isa: stage.vectorized.then_some(isa),
                passes: sampled.passes,
                samples: sampled.stacks.samples(),
                phases: phases(sampled),
                waiting_samples: sampled.stacks.of_part(Part::Waiting),
                other_samples: sampled.stacks.of_part(Part::Other),
                top_functions: top_functions(sampled),
                flamegraph: name(stage, GRAPH),
                folded: name(stage, FOLDED),
                difference: difference.as_ref().map(|_| name(stage, DIFFERENCE)),
            });
            graphs.push(Graphs { flamegraph, difference });
        }
        let profile = Profile {
            schema: SCHEMA_VERSION,
            images_per_pass: ladder.train_images,
            last_batch_images: (ladder.train_images - 1) % ladder.recipe.batch_size + 1,
            ladder,
            rate_hz: RATE_HZ,
            enough_samples: ENOUGH_SAMPLES,
            stages,
            failures,
            page: printable(&self.folder.join(PAGE)),
        };
        self.remove_others(&profile)?;
        let event = Event::Profile(Box::new(profile.clone()));
        self.replace(RECORD, &format!("{}\n", json::line(&event)))?;
        self.replace(PAGE, &html::page(&profile, &graphs))?;
        Ok(profile)
    }

    /// Removes files of an earlier profile of the same stages that `profile` does not have.
    fn remove_others(&self, profile: &Profile) -> Result<()> {
        let of_stage = |one: &ProfiledStage| {
            [Some(one.flamegraph.clone()), Some(one.folded.clone()), one.difference.clone()]
        };
        let written: Vec<_> = profile.stages.iter().flat_map(of_stage).flatten().collect();
        let all = self.stages.iter().flat_map(|stage| KINDS.map(|kind| name(stage, kind)));
        for name in all.filter(|name| !written.contains(name)) {
            let path = self.folder.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn replace(&self, name: &str, content: &str) -> Result<()> {
        durable::replace(&self.folder.join(name), content.as_bytes())
    }
}

const RECORD: &str = "profiles.json";
const PAGE: &str = "index.html";
pub(super) const GRAPH: &str = "svg";
pub(super) const FOLDED: &str = "folded";
const DIFFERENCE: &str = "diff.svg";
const KINDS: [&str; 3] = [GRAPH, FOLDED, DIFFERENCE];

/// Name of a stage's file, which begins with the stage's number in the table of stages.
fn name(stage: &Stage, kind: &str) -> String {
    let place = STAGES.iter().position(|one| one.name == stage.name).expect("is in the table");
    format!("{:02}-{}.{kind}", place + 1, stage.name)
}

fn circumstances(contestant: &Contestant, isa: Isa, ladder: &Bench) -> String {
    let Contestant { stage, threads } = contestant;
    let isa = if stage.vectorized { format!(", {isa}") } else { String::new() };
    let data = &ladder.dataset_description;
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "{}{isa}; {data}; mnist-train {version}, pprof at {RATE_HZ} Hz",
        counted(*threads, "thread")
    )
}

fn phases(sampled: &Sampled) -> Vec<PhaseSamples> {
    let samples =
        |phase| PhaseSamples { phase, samples: sampled.stacks.of_part(Part::Phase(phase)) };
    Phase::ALL.into_iter().map(samples).filter(|one| one.samples > 0).collect()
}

fn top_functions(sampled: &Sampled) -> Vec<FunctionSamples> {
    let top = sampled.stacks.top_functions().into_iter().take(TOP_FUNCTIONS);
    top.map(|(function, samples)| FunctionSamples { function: function.into(), samples }).collect()
}
