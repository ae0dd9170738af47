//! The plan of a training run, made from the flags and, if the run is resumed, from its checkpoint.
//! Making a plan reads no file, no clock and no terminal.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::data::check_batch_size;
use crate::cli::TrainArgs;
use crate::data::dataset::ImageFormat;
use crate::engine::compute::Compute;
use crate::error::{Error, Result, printable, quoted};
use crate::model::architecture::Architecture;
use crate::model::checkpoint::{DatasetIdentity, Metadata, Position, check_place};
use crate::model::mnist_cnn::MnistCnn;
use crate::model::recipe::Recipe;
use crate::optim::schedule::Kind;
use crate::simd::Isa;
use crate::stages::{EngineKind, Stage, fused};

/// Number of parts of a batch that ranks share if the user gives no other.
const SHARED_PARTS: usize = 8;

/// Plan of a training run whose flags do not contradict each other.
#[derive(Debug)]
pub struct TrainPlan {
    /// Path of the file to which the model is written.
    pub model: PathBuf,
    /// Whether the run goes on from the checkpoint in the file of the model.
    pub resumed: bool,
    /// Network that is trained.
    pub architecture: Architecture,
    /// Stage that trains the network.
    pub stage: &'static Stage,
    /// Resources that the stage may compute with.
    pub compute: Compute,
    /// Metadata of the run before its next step: the recipe and the place in the run. If the run is
    /// resumed, it also names the dataset that the run needs.
    pub metadata: Metadata,
    /// Total number of epochs, including those before the run was resumed.
    pub epochs: f64,
    /// Path of the file with the initial weights, if they are not random.
    pub init_from: Option<PathBuf>,
    /// Number of epochs from one checkpoint to the next.
    pub checkpoint_every: usize,
    /// Largest number of models of other runs that stay beside the model; `None` if the run is resumed,
    /// because the file of the model is its own.
    pub keep_previous: Option<usize>,
    /// Path of the file for the model with the best validation, if it is kept.
    pub best_model: Option<PathBuf>,
    /// Whether the size of the batches is still to be chosen.
    pub auto_batch_size: bool,
    /// Number of epochs without a better validation after which the run ends.
    pub patience: Option<usize>,
    /// Whether the test images are classified.
    pub evaluate: bool,
    /// Number of epochs from one classification of the test images to the next.
    pub eval_every: usize,
    /// Notes that are printed before anything is loaded.
    pub notes: Vec<String>,
}

impl TrainPlan {
    /// Plan of a run with the flags `args` on images of the `format`. `saved` is the network and the metadata of the
    /// checkpoint from which a resumed run goes on.
    ///
    /// # Errors
    /// [`Error::Usage`] when flags contradict the checkpoint, or the stage cannot run.
    pub fn new(
        args: &TrainArgs,
        format: ImageFormat,
        saved: Option<(&Architecture, &Metadata)>,
    ) -> Result<Self> {
        let (architecture, recipe) = match saved {
            Some((architecture, Metadata { recipe, .. })) => {
                let mut recipe = recipe.clone();
                if args.recipe.given.contains_key("checkpoint_activations") {
                    // It changes no bit of the weights.
                    recipe.checkpoint_activations =
                        Recipe::from(&args.recipe).checkpoint_activations;
                }
                check_flags(args, format, architecture, &recipe)?;
                (architecture.clone(), recipe)
            }
            None => (args.network.architecture(format)?, Recipe::from(&args.recipe)),
        };
        if let Some(problem) = recipe.contradiction().or_else(|| recipe.misfit(&architecture)) {
            return Err(Error::Usage(problem));
        }
        let of_validation = [(args.save_best, "save-best"), (args.patience.is_some(), "patience")];
        if let Some((_, flag)) = of_validation.into_iter().find(|(is_given, _)| *is_given) {
            if recipe.validation.is_none() {
                return Err(Error::Usage(format!(
                    "--{flag}: there are no validation images: hold some out with --validation 5000"
                )));
            }
            if args.epochs.fract() > 0.0 {
                return Err(Error::Usage(format!(
                    "--{flag}: models are compared after whole epochs alone: choose a whole number \
                     of --epochs, and not {}",
                    args.epochs
                )));
            }
        }
        let saved = saved.map(|(_, metadata)| metadata);
        let mut notes = Vec::new();
        let stage = stage(args, saved, &architecture, &recipe, &mut notes)?;
        let isa = isa(args, saved, stage, (&architecture, &recipe), &mut notes);
        notes.extend(args.compute.idle_threads(stage));
        if args.compute.stage.is_none() && saved.is_none() {
            notes.extend(faster_run(&architecture, &recipe, stage));
        }
        notes.extend(of_parts(&architecture, &recipe));
        if recipe.schedule == Kind::OneCycle && args.epochs < recipe.t_max {
            notes.push(format!(
                "note: the run ends before the cycle of {} epochs does;\n\
                 they end together in a run that is begun with --t-max {}",
                recipe.t_max, args.epochs,
            ));
        }
        let stays = [Kind::Linear, Kind::OneCycle].contains(&recipe.schedule);
        if stays && args.epochs > recipe.t_max {
            notes.push(format!(
                "note: after epoch {} the learning rate stays at {};\n\
                 it falls to the end of a run that is begun with --t-max {}",
                recipe.t_max, recipe.min_lr, args.epochs,
            ));
        }
        if recipe.freeze_conv > 0.0 && !recipe.freezes_convolutions(args.epochs) {
            notes.push(format!(
                "note: the run ends before the convolutions are frozen, late in {} epochs;\n\
                 they are frozen at the end of a run that is begun with --t-max {}",
                recipe.t_max, args.epochs,
            ));
        }
        let falls = recipe.schedule == Kind::Cosine && recipe.lr > recipe.min_lr;
        if falls && args.epochs > recipe.t_max + 1.0 {
            notes.push(format!(
                "note: after epoch {} the learning rate rises again;\n\
                 it falls to the end of a run that is begun with --t-max {}",
                recipe.t_max,
                args.epochs.ceil() - 1.0,
            ));
        }
        let mut metadata = Metadata::new(&architecture, recipe, stage.name);
        metadata.isa = stage.vectorized.then(|| isa.name().into());
        if let Some(saved) = saved {
            metadata.dataset = saved.dataset.clone();
            metadata.position = saved.position;
            metadata.validation = saved.validation;
            metadata.history = saved.history.clone();
            metadata.steps = saved.steps;
        }
        Ok(Self {
            model: args.model.clone(),
            resumed: saved.is_some(),
            architecture,
            stage,
            compute: Compute { isa, ..args.compute.compute() },
            metadata,
            epochs: args.epochs,
            init_from: args.init_from.clone(),
            checkpoint_every: args.checkpoint_every,
            keep_previous: saved.is_none().then_some(args.keep_previous),
            best_model: args.save_best.then(|| best_model(&args.model)),
            auto_batch_size: args.recipe.auto_batch_size && saved.is_none(),
            patience: args.patience,
            evaluate: !args.no_eval,
            eval_every: args.eval_every,
            notes,
        })
    }

    /// Shares the run with this number of `ranks`. A stage that is shared by the parts of a batch gets
    /// [`SHARED_PARTS`] of them, unless their number was given.
    ///
    /// # Errors
    /// [`Error::Usage`] when so many ranks cannot share the run.
    pub fn share(&mut self, ranks: usize, parts_are_given: bool) -> Result<()> {
        let recipe = &mut self.metadata.recipe;
        let in_parts = matches!(self.stage.engine, EngineKind::Layerwise { .. });
        if in_parts && !parts_are_given && !self.resumed {
            recipe.accumulate = SHARED_PARTS;
            recipe.contradiction().map_or(Ok(()), |problem| Err(Error::Usage(problem)))?;
            self.notes.extend(of_parts(&self.architecture, recipe));
        }
        match self.stage.unshared(recipe, ranks) {
            None => Ok(()),
            Some(reason) => {
                let remedy = match in_parts {
                    true => "start another number of ranks, or anew with another --accumulate",
                    false => "start another number of ranks",
                };
                Err(Error::Usage(format!("{reason}: {remedy}")))
            }
        }
    }

    /// Number of images that the run trains on, of the `images` training images of `dataset`.
    ///
    /// # Errors
    /// [`Error::InvalidData`] when a resumed run was trained on another dataset, [`Error::Usage`]
    /// when there are too few images, [`Error::InvalidFile`] when no run on these images reaches
    /// the place in the checkpoint.
    pub fn images(&self, dataset: &DatasetIdentity, images: usize) -> Result<usize> {
        let DatasetIdentity { name, sha256, .. } = &self.metadata.dataset;
        if self.resumed && *sha256 != dataset.sha256 {
            let way = match &**name {
                "synthetic" => "with --data DIR after 'mnist-train data synthetic --out DIR'",
                _ => "on the same files",
            };
            return Err(Error::InvalidData(format!(
                "{} was trained on other data: {} (SHA-256 {}), and this is {} (SHA-256 {}); resume \
                 {way}, or leave --resume out to start anew",
                printable(&self.model),
                quoted(name),
                quoted(sha256),
                dataset.name,
                dataset.sha256,
            )));
        }
        let Recipe { max_samples, validation, batch_size, .. } = self.metadata.recipe;
        let held_out = validation.unwrap_or(0);
        let Some(rest) = images.checked_sub(held_out).filter(|rest| *rest > 0) else {
            return Err(Error::Usage(format!(
                "--validation {held_out} leaves none of the {images} training images to train on: \
                 hold out fewer"
            )));
        };
        let count = max_samples.unwrap_or(rest);
        if count > rest {
            let of = match held_out {
                0 => format!("the {images} training images"),
                held_out => {
                    format!("the {rest} training images that --validation {held_out} leaves")
                }
            };
            return Err(Error::Usage(format!("--max-samples {count} is more than {of}")));
        }
        if !self.auto_batch_size {
            check_batch_size(batch_size, count, "training images")?;
        }
        if self.resumed {
            check_place(&self.metadata, count).map_err(Error::invalid(&self.model))?;
        }
        Ok(count)
    }

    /// Message that says where a resumed run on this number of `images` begins; `None` for a new run.
    pub fn beginning(&self, images: usize) -> Option<String> {
        let Position { epoch, batch, .. } = self.metadata.position;
        let batches = images.div_ceil(self.metadata.recipe.batch_size);
        if (epoch, batch) >= Position::end(self.epochs, batches) {
            let path = printable(&self.model);
            let epochs = epoch as f64 + batch as f64 / batches as f64;
            let epochs = (100.0 * epochs).round() / 100.0;
            Some(format!("nothing to do: {path} has been trained for {epochs} epochs"))
        } else if self.metadata.position != Position::default() {
            let epochs = self.epochs.ceil();
            Some(format!("going on in epoch {} of {epochs} after {batch} batches", epoch + 1))
        } else {
            None
        }
    }
}

/// Note about batch normalization, if `architecture` has it and `recipe` computes a batch in parts.
fn of_parts(architecture: &Architecture, recipe: &Recipe) -> Option<String> {
    let normalizes = architecture.layers().iter().any(|placed| placed.layer.mixes_images());
    (recipe.accumulate > 1 && normalizes).then(|| {
        let images = recipe.batch_size.div_ceil(recipe.accumulate);
        format!("note: batch normalization sees one part of a batch at a time, {images} images")
    })
}

/// Path of the model with the best validation, beside `model`.
fn best_model(model: &Path) -> PathBuf {
    let mut name = model.as_os_str().to_owned();
    name.push(".best");
    name.into()
}

/// Refuses flags on the command line that contradict the checkpoint's `network` or `recipe`.
fn check_flags(
    args: &TrainArgs,
    format: ImageFormat,
    network: &Architecture,
    recipe: &Recipe,
) -> Result<()> {
    let mut given = args.recipe.given.clone();
    given.extend(fields(&args.network));
    let mut saved = fields(recipe);
    saved.insert("arch".into(), network.to_string().into());
    if args.network.arch.is_some() {
        let arch = args.network.architecture(format)?;
        given.insert("arch".into(), arch.to_string().into());
    }
    if let Some(sizes) = MnistCnn::of(network) {
        saved.extend(fields(&sizes));
    }
    let not_there = Value::from("no size of its network");
    let differences: Vec<String> = given
        .iter()
        .map(|(field, given)| (field, given, saved.get(field).unwrap_or(&not_there)))
        .filter(|(_, given, saved)| given != saved)
        .map(|(field, given, saved)| {
            let flag = field.replace('_', "-");
            format!("--{flag} is {} and was {}", shown(given), shown(saved))
        })
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{} cannot be resumed under another recipe: {}; leave these flags out to go on, or leave \
         --resume out to start anew",
        printable(&args.model),
        differences.join(", "),
    )))
}

/// Names and values of the fields of a struct of plain data.
fn fields(all: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(all) {
        Ok(Value::Object(fields)) => fields,
        _ => unreachable!("a struct of plain data"),
    }
}

/// Text of a value as it is written on the command line.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not given".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Stage that the flags name, or else the stage that trained the model so far, so that a resumed
/// run gives the same bits as an uninterrupted one. Adds to `notes` if the stage has changed.
fn stage(
    args: &TrainArgs,
    saved: Option<&Metadata>,
    architecture: &Architecture,
    recipe: &Recipe,
    notes: &mut Vec<String>,
) -> Result<&'static Stage> {
    let saved = saved.map(|metadata| metadata.stage.as_str());
    let known = saved.and_then(Stage::find);
    let stage = args.compute.stage(known, architecture, recipe)?;
    if let Some(name) = saved.filter(|name| *name != stage.name) {
        let name = quoted(name);
        notes.push(format!(
            "note: trained so far by stage {name}, going on with {}:\n\
             the weights will agree to rounding, not bit for bit",
            stage.name
        ));
    }
    Ok(stage)
}

/// Note that `stage` trains because no faster stage can train `architecture` by `recipe`, if that
/// is so, and what faster stages train.
fn faster_run(architecture: &Architecture, recipe: &Recipe, stage: &Stage) -> Option<String> {
    let (default, largest) = (MnistCnn::default(), MnistCnn::LARGEST);
    let normal = Recipe::default();
    let fastest = Stage::fastest_exact(&default.architecture(), &normal).name;
    if stage.name == fastest {
        return None;
    }
    if Stage::fastest_exact(architecture, &normal).name == fastest {
        let option = fused::unmet(recipe)?;
        return Some(format!(
            "note: stage {} trains;\n{fastest}, several times faster, cannot train with {option}",
            stage.name
        ));
    }
    let ImageFormat { rows, columns, .. } = ImageFormat::MNIST;
    let of_sides = architecture.format().rows == rows && architecture.format().columns == columns;
    let Some(network) = MnistCnn::of(architecture).filter(|_| of_sides) else {
        return Some(format!(
            "note: stage {} trains; {fastest}, several times faster, runs other networks:\n{}",
            stage.name,
            fused::Network::PATTERN
        ));
    };
    let is_fast =
        |network: &MnistCnn| Stage::fastest_exact(&network.architecture(), &normal).name == fastest;
    let channels = (1..=largest.channels).map(|channels| MnistCnn { channels, ..default });
    let kernels = (1..=largest.kernel_size).step_by(2);
    let kernels = kernels.map(|kernel_size| MnistCnn { kernel_size, ..default });
    let channels = channels.filter(is_fast).map(|fast| fast.channels);
    let channels = channels.min_by_key(|channels| channels.abs_diff(network.channels))?;
    let kernel_size = kernels.filter(is_fast).map(|fast| fast.kernel_size);
    let kernel_size = kernel_size.min_by_key(|side| side.abs_diff(network.kernel_size))?;
    Some(format!(
        "note: stage {} trains, because no faster stage runs a network of these sizes;\n\
         {fastest}, several times faster, runs --channels {channels} --kernel-size {kernel_size}",
        stage.name
    ))
}

/// Vector instructions that the flags name, or else the instructions that trained the model so far,
/// if this CPU and `stage` have them, or else the widest. Adds to `notes` if they have changed.
fn isa(
    args: &TrainArgs,
    saved: Option<&Metadata>,
    stage: &Stage,
    (architecture, recipe): (&Architecture, &Recipe),
    notes: &mut Vec<String>,
) -> Isa {
    let saved = saved.and_then(|metadata| metadata.isa.as_deref());
    let can_run = |isa: &Isa| stage.isas(architecture, recipe).contains(isa);
    let known = saved.and_then(Isa::find).filter(can_run);
    let isa = args.compute.isa().or(known).unwrap_or_else(Isa::detect);
    if let Some(name) = saved.filter(|name| stage.vectorized && *name != isa.name()) {
        let name = quoted(name);
        notes.push(format!(
            "note: trained so far with {name}, going on with {isa}:\n\
             the weights will agree to rounding, not bit for bit"
        ));
    }
    isa
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    /// The plan of a run with these flags, separated by spaces.
    fn plan(flags: &str, saved: Option<&Metadata>) -> Result<TrainPlan> {
        let flags = ["mnist-train"].into_iter().chain(flags.split_whitespace());
        let network = MnistCnn::default().architecture();
        let saved = saved.map(|metadata| (&network, metadata));
        TrainPlan::new(&Cli::parse_from(flags).train, ImageFormat::MNIST, saved)
    }

    /// A run of 400 images that `stage` has trained for two epochs and three batches.
    fn saved(stage: &str, isa: Option<&str>) -> Metadata {
        let recipe = Recipe { lr: 0.002, seed: 7, ..Recipe::default() };
        Metadata {
            isa: isa.map(String::from),
            dataset: DatasetIdentity {
                name: "custom".into(),
                sha256: "5e".into(),
                class_names: vec![],
            },
            position: Position { epoch: 2, batch: 3, ..Position::default() },
            steps: 17,
            ..Metadata::new(&MnistCnn::default().architecture(), recipe, stage)
        }
    }

    fn problem<T: std::fmt::Debug>(result: Result<T>) -> (u8, String) {
        let error = result.unwrap_err();
        (error.exit_code(), error.to_string())
    }

    #[test]
    fn a_new_run_does_what_its_flags_say_from_the_beginning() {
        let flags =
            "--epochs 3 --lr 0.5 --hidden 64 --stage im2col --threads 2 --no-eval --model m";
        let plan = plan(flags, None).unwrap();
        assert_eq!(plan.metadata.recipe, Recipe { lr: 0.5, ..Recipe::default() });
        let network = MnistCnn { hidden: 64, ..MnistCnn::default() };
        assert_eq!(plan.architecture.to_string(), network.architecture().to_string());
        assert_eq!((plan.stage.name, plan.compute.threads, plan.epochs), ("im2col", 2, 3.0));
        assert_eq!(plan.beginning(60_000), None);
        assert!(!plan.resumed && !plan.evaluate);
        assert_eq!(plan.notes, ["note: of 2 threads, stage im2col uses 1 at most"]);
        assert_eq!((plan.metadata.position, plan.metadata.isa), (Position::default(), None));
    }

    #[test]
    fn a_run_that_ends_before_the_convolutions_are_frozen_says_so() {
        let notes = |flags| plan(flags, None).unwrap().notes;
        let early = "note: the run ends before the convolutions are frozen, late in 20 epochs;\n\
                     they are frozen at the end of a run that is begun with --t-max 10";
        assert_eq!(notes("--stage live --epochs 10 --freeze-conv 0.2"), [early]);
        assert!(notes("--stage live --epochs 20 --freeze-conv 0.2").is_empty());
        assert!(notes("--stage live --epochs 10 --t-max 10 --freeze-conv 0.2").is_empty());
    }

    #[test]
    fn a_resumed_run_takes_everything_from_what_was_saved() {
        let saved = saved("gemm", None);
        for flags in ["--resume", "--resume --lr 2e-3 --seed 7 --channels 32 --init pytorch"] {
            let plan = plan(flags, Some(&saved)).unwrap();
            assert_eq!(plan.metadata, saved);
            assert!(plan.resumed && plan.notes.is_empty());
            assert_eq!(plan.stage.name, "gemm");
            let beginning = "going on in epoch 3 of 10 after 3 batches";
            assert_eq!(plan.beginning(400).unwrap(), beginning);
        }
    }

    #[test]
    fn flags_that_contradict_what_was_saved_are_refused_together() {
        // The default of a flag contradicts nothing unless it is given.
        let flags = "--resume --lr 1e-3 --seed 7 --max-samples 5 --hidden 64 --init he --model m";
        let expected = "m cannot be resumed under another recipe: --hidden is 64 and was 128, \
                        --init is he and was pytorch, --lr is 0.001 and was 0.002, \
                        --max-samples is 5 and was not given; leave these flags out to go on, or \
                        leave --resume out to start anew";
        let found = problem(plan(flags, Some(&saved("naive", None))));
        assert_eq!(found, (2, expected.to_string()));
    }

    #[test]
    fn another_stage_or_other_instructions_are_taken_and_said() {
        let bits = "the weights will agree to rounding, not bit for bit";
        let widest = Isa::detect();
        for (saved, flags, stage, isa, notes) in [
            (
                saved("naive", None),
                "--stage im2col",
                "im2col",
                widest,
                vec![format!("note: trained so far by stage naive, going on with im2col:\n{bits}")],
            ),
            (
                saved("unheard", None),
                "--stage naive",
                "naive",
                widest,
                vec![format!(
                    "note: trained so far by stage unheard, going on with naive:\n{bits}"
                )],
            ),
            (saved("fused", Some("portable")), "", "fused", Isa::Portable, vec![]),
            (
                saved("fused", Some("sse9")),
                "--isa portable",
                "fused",
                Isa::Portable,
                vec![format!("note: trained so far with sse9, going on with portable:\n{bits}")],
            ),
            (
                saved("sparse", Some("sse9")),
                "--stage fused",
                "fused",
                widest,
                vec![
                    format!("note: trained so far by stage sparse, going on with fused:\n{bits}"),
                    format!("note: trained so far with sse9, going on with {widest}:\n{bits}"),
                ],
            ),
            // Whichever it was, this stage has no choice.
            (saved("gemm", Some("sse9")), "", "gemm", widest, vec![]),
        ] {
            let plan = plan(flags, Some(&saved)).unwrap();
            assert_eq!((plan.stage.name, plan.compute.isa), (stage, isa), "{flags}");
            assert_eq!(plan.notes, notes, "{flags}");
        }
        let (code, problem) = problem(plan("--stage fused --kernel-size 7", None));
        assert!(code == 2 && problem.ends_with("choose another with --stage"), "{problem}");
    }

    #[test]
    fn a_run_whose_epochs_are_done_has_nothing_to_do() {
        let flags = "--resume --epochs 2 --model m";
        let said = plan(flags, Some(&saved("gemm", None))).unwrap().beginning(400).unwrap();
        assert_eq!(said, "nothing to do: m has been trained for 2.43 epochs");
    }

    #[test]
    fn images_are_those_of_the_dataset_or_as_many_as_are_asked_for() {
        let dataset =
            DatasetIdentity { name: "custom".into(), sha256: "5e".into(), class_names: vec![] };
        let images = |flags| plan(flags, None).unwrap().images(&dataset, 100);
        assert_eq!(images("").unwrap(), 100);
        assert_eq!(images("--max-samples 64").unwrap(), 64);
        let few = "--max-samples 101 is more than the 100 training images";
        assert_eq!(problem(images("--max-samples 101")), (2, few.into()));
        let few = "--batch-size 64 is more than the 63 training images";
        assert_eq!(problem(images("--max-samples 63")), (2, few.into()));
    }

    #[test]
    fn a_resumed_run_needs_its_own_dataset() {
        let plan = plan("--resume --model m", Some(&saved("gemm", None))).unwrap();
        let dataset = |sha256: &str| DatasetIdentity {
            name: "mnist".into(),
            sha256: sha256.into(),
            class_names: vec![],
        };
        assert_eq!(plan.images(&dataset("5e"), 400).unwrap(), 400);
        let other = "m was trained on other data: custom (SHA-256 5e), and this is mnist (SHA-256 \
                     6f); resume on the same files, or leave --resume out to start anew";
        assert_eq!(problem(plan.images(&dataset("6f"), 400)), (3, other.into()));
        let drawn =
            DatasetIdentity { name: "synthetic".into(), sha256: "5e".into(), class_names: vec![] };
        let drawn = Metadata { dataset: drawn, ..saved("gemm", None) };
        let drawn = self::plan("--resume --model m", Some(&drawn)).unwrap();
        let (_, way) = problem(drawn.images(&dataset("6f"), 400));
        assert!(
            way.contains("; resume with --data DIR after 'mnist-train data synthetic"),
            "{way}"
        );
        // The same data cannot have more images, so the file must be wrong.
        let (code, problem) = problem(plan.images(&dataset("5e"), 500));
        assert!(code == 3 && problem.starts_with("m: "), "{problem}");
    }
}
