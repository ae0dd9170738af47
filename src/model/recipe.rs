//! The recipe of a run: every hyperparameter that decides what the weights become.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::architecture::Architecture;
use super::factors::Factors;
use super::init::{self, Init};
use super::parameters::Parameters;
use crate::data::augment::Augment;
use crate::data::dataset::Split;
use crate::optim::Optimizer;
use crate::optim::adam::Adam;
use crate::optim::schedule::{Interval, Kind, Schedule};
use crate::optim::sgd::Sgd;

/// Declares the hyperparameters, each once: help text, name, type, default and valid values. The
/// first line of its documentation is its help text; any other attribute goes to its field.
macro_rules! hyperparameters {
    ($(
        #[doc = $help:literal]
        $(#[$attribute:meta])*
        $name:ident: $type:ty = $default:expr, $valid:expr;
    )*) => {
        /// The hyperparameters of a run. Two runs with the same recipe, data, stage and vector
        /// instructions give the same weights; a checkpoint holds the recipe, and a run can only
        /// go on with the same recipe.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Recipe {
            $(#[doc = $help] $(#[$attribute])* pub $name: $type,)*
        }

        impl Default for Recipe {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Recipe {
            /// Table of the hyperparameters, in the order of the struct's fields.
            pub const FIELDS: &[Field] = &[
                $(Field { name: stringify!($name), help: $help.trim_ascii(), valid: $valid },)*
            ];
        }
    };
}

hyperparameters! {
    /// Images in a step.
    ///
    /// The last step of an epoch takes the remaining images.
    batch_size: usize = 64, Valid::Count;
    /// Optimizer: adam, adamw (Adam with decoupled decay), or sgd.
    #[serde(default)]
    optimizer: OptimizerKind = OptimizerKind::Adam, Valid::Choice(&OptimizerKind::NAMES);
    /// Learning rate at the start; with onecycle the largest one.
    lr: f64 = 1e-3, Valid::Number(Range::AboveZero);
    /// Schedule of the rate: cosine, constant, step, exponential, linear, or onecycle.
    #[serde(default)]
    schedule: Kind = Kind::Cosine, Valid::Choice(&Kind::NAMES);
    /// Interval in which the rate changes: epoch or step.
    #[serde(default)]
    schedule_by: Interval = Interval::Epoch, Valid::Choice(&Interval::NAMES);
    /// Epochs, also a fraction, in which the rate first rises from 0 to that of the schedule.
    #[serde(default)]
    warmup: f64 = 0.0, Valid::Number(Range::NotNegative);
    /// Learning rate at the end of the schedules cosine, linear and onecycle.
    min_lr: f64 = 1e-5, Valid::Number(Range::NotNegative);
    /// Epochs that cosine, linear and onecycle take; with cosine the rate then rises again.
    ///
    /// They are half a period of the cosine (PyTorch: `T_max`), and may be a fraction.
    #[serde(serialize_with = "serialize_plain")]
    t_max: f64 = 20.0, Valid::Number(Range::Epochs);
    /// Epochs from one step of the schedule step to the next.
    #[serde(default = "step_size")]
    step_size: usize = step_size(), Valid::Count;
    /// Factor of the schedules step and exponential; with exponential its default is 0.9.
    ///
    /// A step of the one, and an epoch of the other, multiplies the rate by it.
    #[serde(default = "gamma")]
    gamma: f64 = gamma(), Valid::Number(Range::AboveZero);
    /// L2: the part of a weight (not bias) added to its gradient; with adamw its default is 0.
    l2: f64 = 1e-4, Valid::Number(Range::NotNegative);
    /// AdamW's decay: times lr, the part that a weight (not bias) loses; its default there is 1e-2.
    #[serde(default)]
    weight_decay: f64 = 0.0, Valid::Number(Range::NotNegative);
    /// Adam's decay of the first moment.
    beta1: f64 = 0.9, Valid::Number(Range::Decay);
    /// Adam's decay of the second moment.
    beta2: f64 = 0.999, Valid::Number(Range::Decay);
    /// Adam's epsilon.
    ///
    /// Adam adds it to the denominator outside the root.
    eps: f64 = 1e-8, Valid::Number(Range::AboveZero);
    /// SGD's momentum: the part of its velocity that a step keeps.
    #[serde(default)]
    momentum: f64 = 0.0, Valid::Number(Range::Decay);
    /// Nesterov's form of SGD's momentum, which looks ahead along the velocity.
    #[serde(default)]
    nesterov: bool = false, Valid::Switch;
    /// Part of the target that is spread evenly over all classes in training.
    #[serde(default)]
    label_smoothing: f64 = 0.0, Valid::Number(Range::Decay);
    /// Change of the training images in each epoch: none, shift, affine, or elastic.
    #[serde(default)]
    augment: Augment = Augment::None, Valid::Choice(&Augment::NAMES);
    /// Share of the first t-max epochs, at their end, in which the convolutional layers are frozen.
    ///
    /// They stay frozen after these epochs too. At 0 they are never frozen.
    #[serde(default)]
    freeze_conv: f64 = 0.0, Valid::Number(Range::Share);
    /// Largest L2 norm of the gradient, to which a longer one is shortened; 0 for none.
    ///
    /// The norm is over all parameters (PyTorch: `clip_grad_norm_`).
    #[serde(default)]
    clip_norm: f64 = 0.0, Valid::Number(Range::NotNegative);
    /// Parts of a batch that are computed one after the other, to save memory.
    ///
    /// Their gradients are added, so the update is that of the whole batch.
    #[serde(default = "one")]
    accumulate: usize = one(), Valid::Count;
    /// Keep every K-th activation for the backward pass and compute the others again; 1 keeps all.
    ///
    /// It saves memory and changes no bit of the weights, so a resumed run may choose another value.
    #[serde(default = "one")]
    checkpoint_activations: usize = one(), Valid::Count;
    /// Seed of the random initial weights and of the order of images.
    seed: u64 = 1, Valid::Whole;
    /// Initial weights: pytorch, xavier, he, seed (the C program nn_c's), or patches (of images).
    init: Init = Init::Pytorch, Valid::Choice(&Init::NAMES);
    /// Factors of initial values, by the names of tensors or layers, as in fc1=2,conv1.bias=0.
    #[serde(default)]
    init_scale: Option<Factors> = None, Valid::Factors;
    /// Train on the first N images only.
    max_samples: Option<usize> = None, Valid::OptionalCount;
    /// Hold out the last N training images, and classify them after each epoch.
    #[serde(default)]
    validation: Option<usize> = None, Valid::OptionalCount;
}

fn one() -> usize {
    1
}

fn step_size() -> usize {
    5
}

fn gamma() -> f64 {
    0.1
}

/// Kind of an optimizer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Adam with coupled L2.
    #[default]
    Adam,
    /// Adam with decoupled decay.
    AdamW,
    /// Gradient descent, with or without momentum.
    Sgd,
}

impl OptimizerKind {
    /// Names of the optimizers in text and in JSON.
    pub const NAMES: [&str; 3] = ["adam", "adamw", "sgd"];

    /// Name of the optimizer.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl Recipe {
    /// Default recipe with the optimizer `kind`, which may have its own defaults.
    pub fn with_optimizer(optimizer: OptimizerKind) -> Self {
        let normal = Self { optimizer, ..Self::default() };
        match optimizer {
            OptimizerKind::AdamW => Self { l2: 0.0, weight_decay: 1e-2, ..normal },
            OptimizerKind::Adam | OptimizerKind::Sgd => normal,
        }
    }

    /// The same recipe with the schedule `kind`, which may have its own defaults.
    pub fn with_schedule(self, schedule: Kind) -> Self {
        match schedule {
            Kind::Exponential => Self { schedule, gamma: 0.9, ..self },
            _ => Self { schedule, ..self },
        }
    }

    /// Hyperparameter of the schedule that would have no effect, as
    /// [`contradiction`](Self::contradiction) says it.
    fn contradiction_of_schedule(&self) -> Option<String> {
        let default = Self::default();
        let with_gamma = [Kind::Step, Kind::Exponential];
        let gradual = [Kind::Cosine, Kind::Linear, Kind::OneCycle, Kind::Exponential];
        let by_step = self.schedule_by == Interval::Step;
        let uses: [(bool, &str, &[Kind]); 5] = [
            (self.min_lr != default.min_lr, "min-lr", &Kind::TO_AN_END),
            (self.t_max != default.t_max && self.freeze_conv == 0.0, "t-max", &Kind::TO_AN_END),
            (self.step_size != default.step_size, "step-size", &[Kind::Step]),
            (self.gamma != default.gamma, "gamma", &with_gamma),
            (by_step, "schedule-by step", &gradual),
        ];
        let (_, flag, kinds) =
            uses.into_iter().find(|(given, _, kinds)| *given && !kinds.contains(&self.schedule))?;
        let (name, kinds) = (self.schedule.name(), kinds.iter().map(|kind| kind.name()));
        let kinds: Vec<_> = kinds.collect();
        let kinds = kinds.join(", ");
        Some(format!("--{flag}: has no effect on --schedule {name}, only on {kinds}: leave it out"))
    }

    /// Hyperparameter that would have no effect, because another one has its value, in words that
    /// name the flags and say what to do; `None` if every hyperparameter has an effect.
    pub fn contradiction(&self) -> Option<String> {
        let default = Self::default();
        let name = self.optimizer.name();
        let of_adam = |is_given, flag, remedy: &str| {
            (is_given && self.optimizer == OptimizerKind::Sgd)
                .then(|| format!("--{flag}: --optimizer {name} has none: {remedy}"))
        };
        let leave_out = "leave it out, or choose adam or adamw";
        of_adam(self.beta1 != default.beta1, "beta1", "--momentum is its part")
            .or_else(|| of_adam(self.beta2 != default.beta2, "beta2", leave_out))
            .or_else(|| of_adam(self.eps != default.eps, "eps", leave_out))
            .or_else(|| {
                (self.weight_decay > 0.0 && self.optimizer != OptimizerKind::AdamW).then(|| {
                    format!(
                        "--weight-decay: --optimizer {name} has none: choose adamw, or use --l2"
                    )
                })
            })
            .or_else(|| {
                (self.momentum > 0.0 && self.optimizer != OptimizerKind::Sgd).then(|| {
                    format!("--momentum: --optimizer {name} has none: choose sgd, or use --beta1")
                })
            })
            .or_else(|| {
                (self.nesterov && self.momentum == 0.0)
                    .then(|| "--nesterov: there is no momentum: add --momentum 0.9".into())
            })
            .or_else(|| {
                let Self { accumulate, batch_size, .. } = self;
                (accumulate > batch_size).then(|| {
                    format!(
                        "--accumulate {accumulate} is more than the {batch_size} images of a \
                         batch: choose a smaller number, or a larger --batch-size"
                    )
                })
            })
            .or_else(|| self.contradiction_of_schedule())
    }

    /// Hyperparameter that does not fit `architecture`, in words that name the flag and say what to do.
    pub fn misfit(&self, architecture: &Architecture) -> Option<String> {
        if self.init == Init::Patches && !architecture.begins_with_convolution() {
            return Some(
                "--init patches: the first layer must be a convolution with kernels of 2 pixels up to \
                 the image's side: choose another scheme, like --init pytorch"
                    .into(),
            );
        }
        self.init_scale.as_ref()?.misfit(architecture)
    }

    /// Parameters of `architecture` before the first step of a training on the images `train`.
    ///
    /// # Panics
    /// When the recipe [does not fit](Self::misfit) the network.
    pub fn initial_parameters(&self, architecture: &Architecture, train: &Split) -> Parameters {
        let mut parameters = self.init.parameters(architecture, self.seed);
        if self.init == Init::Patches {
            init::set_filters(&mut parameters, train, self.seed);
        }
        if let Some(factors) = &self.init_scale {
            factors.apply(&mut parameters);
        }
        parameters
    }

    /// Whether the convolutional layers are frozen in the step that begins at `place`, in epochs from the
    /// beginning of training.
    pub fn freezes_convolutions(&self, place: f64) -> bool {
        self.freeze_conv > 0.0 && place >= (1.0 - self.freeze_conv) * self.t_max
    }

    /// Names and values of the hyperparameters that differ from the defaults of the optimizer and the
    /// schedule, which are among them if they are not the default ones.
    pub fn differences(&self) -> impl Iterator<Item = (&'static str, Value)> + use<> {
        let values_of = |recipe: &Self| serde_json::to_value(recipe).expect("plain data");
        let (values, normal) = (values_of(self), values_of(&Self::default()));
        let defaults = Self::with_optimizer(self.optimizer).with_schedule(self.schedule);
        let defaults = values_of(&defaults);
        Self::FIELDS.iter().map(|field| field.name).filter_map(move |name| {
            let is_kind = ["optimizer", "schedule"].contains(&name);
            let default = if is_kind { &normal[name] } else { &defaults[name] };
            (values[name] != *default).then(|| (name, values[name].clone()))
        })
    }

    /// First hyperparameter whose value is not valid, with its value as text.
    pub fn invalid(&self) -> Option<(&'static Field, String)> {
        let values = serde_json::to_value(self).expect("plain data");
        let field = Self::FIELDS.iter().find(|field| !field.valid.allows(&values[field.name]))?;
        let value = &values[field.name];
        let number = value.as_f64().filter(|_| value.is_f64());
        Some((field, number.map_or_else(|| value.to_string(), |number| number.to_string())))
    }

    /// What to change if training diverges at the learning rate `lr`: the hyperparameter that is
    /// farthest from its default, in the direction in which weights or moments grow.
    pub fn remedy(&self, lr: f64) -> &'static str {
        let default = Self::default();
        let rate = if self.min_lr > self.lr { "a lower --min-lr" } else { "a lower --lr" };
        let suspects = [
            (default.eps / self.eps, "a higher --eps"),
            (self.l2 / default.l2, "a lower --l2"),
            (self.weight_decay, "a lower --weight-decay"),
            (self.momentum / 0.99, "a lower --momentum"),
            // Of equals, the last one is the largest.
            (f64::max(lr / default.lr, 1.0), rate),
        ];
        suspects.into_iter().max_by(|(a, _), (b, _)| a.total_cmp(b)).expect("there are some").1
    }
}

/// Row of the table of hyperparameters, for code that treats all hyperparameters alike.
#[derive(Debug)]
pub struct Field {
    /// Name of the struct's field, and of the flag but for its hyphens.
    pub name: &'static str,
    /// Sentence that says what the hyperparameter is.
    pub help: &'static str,
    /// Values that the hyperparameter can have.
    pub valid: Valid,
}

/// Values that a hyperparameter can have.
#[derive(Debug, Clone, Copy)]
pub enum Valid {
    /// Whole number, 1 or more.
    Count,
    /// Whole number, 1 or more, or nothing.
    OptionalCount,
    /// Whole number, 0 or more.
    Whole,
    /// Number in a range.
    Number(Range),
    /// One of these names.
    Choice(&'static [&'static str]),
    /// Yes or no; the flag has no value.
    Switch,
    /// Text of [`Factors`], or nothing.
    Factors,
}

impl Valid {
    /// Whether `value`, from a serialised [`Recipe`], is valid.
    pub fn allows(self, value: &Value) -> bool {
        match self {
            Self::Count => value.as_u64().is_some_and(|count| count > 0),
            Self::OptionalCount => value.is_null() || Self::Count.allows(value),
            Self::Whole => value.is_u64(),
            Self::Number(range) => value.as_f64().is_some_and(|number| range.contains(number)),
            Self::Choice(names) => value.as_str().is_some_and(|name| names.contains(&name)),
            Self::Switch => value.is_boolean(),
            // No other text can be read.
            Self::Factors => value.is_null() || value.is_string(),
        }
    }
}

impl fmt::Display for Valid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count | Self::OptionalCount => f.write_str("1 or more"),
            Self::Whole => f.write_str("0 or more"),
            Self::Number(range) => range.fmt(f),
            Self::Choice(names) => f.write_str(&names.join(", ")),
            Self::Switch => f.write_str("true or false"),
            Self::Factors => f.write_str("names and factors like fc1=2,conv1.bias=0, or none"),
        }
    }
}

impl From<&Recipe> for Adam {
    fn from(recipe: &Recipe) -> Self {
        let Recipe { beta1, beta2, eps, l2, weight_decay: decay, .. } = *recipe;
        Self { beta1, beta2, eps, l2, decay }
    }
}

impl From<&Recipe> for Optimizer {
    fn from(recipe: &Recipe) -> Self {
        let Recipe { momentum, nesterov, l2, .. } = *recipe;
        match recipe.optimizer {
            OptimizerKind::Adam | OptimizerKind::AdamW => Self::Adam(recipe.into()),
            OptimizerKind::Sgd => Self::Sgd(Sgd { momentum, nesterov, l2 }),
        }
    }
}

impl From<&Recipe> for Schedule {
    fn from(recipe: &Recipe) -> Self {
        let Recipe { schedule: kind, schedule_by: by, lr: initial_lr, .. } = *recipe;
        let Recipe { min_lr, t_max, step_size, gamma, warmup, .. } = *recipe;
        Self { kind, by, initial_lr, min_lr, t_max, step_size, gamma, warmup }
    }
}

/// `number` as JSON, which has no point if it is whole.
pub fn plain(number: f64) -> Value {
    let is_whole = number.fract() == 0.0 && number.abs() < LARGEST_WHOLE;
    if is_whole { Value::from(number as i64) } else { Value::from(number) }
}

/// Shortest text of the value of a hyperparameter: 1e-3 for 0.001, but 0.9.
pub fn shortest(value: &Value) -> String {
    match (value.as_str(), value.as_f64()) {
        (Some(text), _) => text.into(),
        (None, Some(number)) if value.is_f64() => {
            let (plain, scientific) = (number.to_string(), format!("{number:e}"));
            if scientific.len() < plain.len() { scientific } else { plain }
        }
        _ => value.to_string(),
    }
}

/// Serializes `number` as [`plain`] writes it.
pub fn serialize_plain<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    plain(*number).serialize(serializer)
}

/// Number below which every whole f64 is written without a point: 2⁵³.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Shortest training, in epochs; its range is checked in f32 too, where 0.001 is a little more.
const SHORTEST: f64 = 0.001;
/// Longest training, in epochs.
const LONGEST: f64 = 1e9;

/// Range of numbers that a hyperparameter can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Numbers above 0.
    AboveZero,
    /// Numbers from 0 on.
    NotNegative,
    /// Numbers from 0 to below 1.
    Decay,
    /// Numbers from 0 to 1.
    Share,
    /// Lengths of a training, in epochs.
    Epochs,
}

impl Range {
    /// Whether `number` is in the range, both as an f64 and rounded to f32. A number that overflows
    /// or becomes 0 in f32 may thus be outside.
    pub fn contains(self, number: f64) -> bool {
        [number, f64::from(number as f32)].into_iter().all(|number| match self {
            Self::AboveZero => number > 0.0 && number.is_finite(),
            Self::NotNegative => number >= 0.0 && number.is_finite(),
            Self::Decay => (0.0..1.0).contains(&number),
            Self::Share => (0.0..=1.0).contains(&number),
            Self::Epochs => (SHORTEST..=LONGEST).contains(&number),
        })
    }
}

/// The limits, in f32.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AboveZero => "a number from 1e-45 to 3.4e38",
            Self::NotNegative => "a number from 0 to 3.4e38",
            Self::Decay => "a number from 0 to 0.9999999",
            Self::Share => "a number from 0 to 1",
            Self::Epochs => "a number from 0.001 to 1000000000",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_recipe_is_valid_and_every_field_has_its_row() {
        let recipe = Recipe::default();
        assert!(recipe.invalid().is_none(), "{recipe:?}");
        let Value::Object(values) = serde_json::to_value(recipe).unwrap() else {
            panic!("is a struct");
        };
        let mut names: Vec<_> = Recipe::FIELDS.iter().map(|field| field.name).collect();
        names.sort_unstable();
        assert!(values.keys().eq(names), "{values:?}");
    }

    #[test]
    fn a_hyperparameter_without_an_effect_is_named() {
        let [adam, adamw, sgd] = [OptimizerKind::Adam, OptimizerKind::AdamW, OptimizerKind::Sgd]
            .map(Recipe::with_optimizer);
        let momentum = Recipe { momentum: 0.9, ..sgd.clone() };
        let nesterov = Recipe { nesterov: true, ..momentum.clone() };
        for kind in [Kind::Cosine, Kind::Step, Kind::Exponential, Kind::OneCycle] {
            assert_eq!(Recipe::default().with_schedule(kind).contradiction(), None);
        }
        for possible in [&adam, &adamw, &sgd, &momentum, &nesterov] {
            assert_eq!(possible.contradiction(), None);
        }
        for (recipe, begins) in [
            (Recipe { weight_decay: 0.1, ..adam.clone() }, "--weight-decay: --optimizer adam "),
            (Recipe { weight_decay: 0.1, ..sgd.clone() }, "--weight-decay: --optimizer sgd "),
            (Recipe { momentum: 0.1, ..adamw }, "--momentum: --optimizer adamw "),
            (Recipe { nesterov: true, ..sgd.clone() }, "--nesterov: there is no momentum"),
            (Recipe { t_max: 3.0, schedule: Kind::Constant, ..adam.clone() }, "--t-max: has no "),
            (Recipe { min_lr: 0.1, schedule: Kind::Step, ..adam.clone() }, "--min-lr: has no "),
            (Recipe { gamma: 0.3, ..adam.clone() }, "--gamma: has no effect on --schedule cosine,"),
            (Recipe { step_size: 3, ..adam.clone() }, "--step-size: has no effect"),
            (
                Recipe { schedule_by: Interval::Step, ..adam.with_schedule(Kind::Constant) },
                "--schedule-by step: has no effect on --schedule constant",
            ),
            (Recipe { beta1: 0.5, ..sgd.clone() }, "--beta1: --optimizer sgd "),
            (Recipe { beta2: 0.5, ..sgd.clone() }, "--beta2: --optimizer sgd "),
            (Recipe { eps: 0.5, ..sgd }, "--eps: --optimizer sgd "),
        ] {
            let found = recipe.contradiction().unwrap();
            assert!(found.starts_with(begins), "{found}");
        }
    }

    #[test]
    fn the_convolutions_are_frozen_in_the_last_share_of_the_schedule() {
        let frozen = |freeze_conv, t_max| {
            let recipe = Recipe { freeze_conv, t_max, ..Recipe::default() };
            let frozen = (0..12).map(|step| recipe.freezes_convolutions(f64::from(step) / 4.0));
            frozen.filter(|&is_frozen| is_frozen).count()
        };
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|share| frozen(share, 2.0)), [0, 6, 8, 12]);
        assert_eq!(frozen(0.5, 20.0), 0);
        let constant = Recipe { t_max: 2.0, freeze_conv: 0.5, ..Recipe::default() };
        assert_eq!(constant.with_schedule(Kind::Constant).contradiction(), None);
    }

    #[test]
    fn the_first_value_that_is_not_valid_is_found() {
        let normal = Recipe::default();
        for (recipe, expected) in [
            (Recipe { batch_size: 0, lr: -1.0, ..normal.clone() }, ("batch_size", "0")),
            (Recipe { max_samples: Some(0), ..normal.clone() }, ("max_samples", "0")),
            (Recipe { lr: 1e39, ..normal.clone() }, ("lr", &format!("1{}", "0".repeat(39)))),
            (Recipe { min_lr: f64::NAN, ..normal.clone() }, ("min_lr", "null")),
            (Recipe { beta2: 1.0, ..normal }, ("beta2", "1")),
        ] {
            let (field, found) = recipe.invalid().unwrap();
            assert_eq!((field.name, found.as_str()), expected);
        }
    }
}
