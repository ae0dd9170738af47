//! The recipe of a run: every hyperparameter that decides what the weights become.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::init::Init;
use crate::optim::adam::Adam;
use crate::optim::schedule::CosineAnnealing;

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
    /// Adam's learning rate at the start.
    lr: f64 = 1e-3, Valid::Number(Range::AboveZero);
    /// Learning rate at the end of cosine annealing.
    min_lr: f64 = 1e-5, Valid::Number(Range::NotNegative);
    /// Epochs that cosine annealing takes; in later ones the rate rises again.
    ///
    /// They are half a period of the cosine (PyTorch: `T_max`).
    t_max: usize = 20, Valid::Count;
    /// L2 factor: the part of each weight (not bias) that is added to its gradient.
    l2: f64 = 1e-4, Valid::Number(Range::NotNegative);
    /// Adam's decay of the first moment.
    beta1: f64 = 0.9, Valid::Number(Range::Decay);
    /// Adam's decay of the second moment.
    beta2: f64 = 0.999, Valid::Number(Range::Decay);
    /// Adam's epsilon.
    ///
    /// Adam adds it to the denominator outside the root.
    eps: f64 = 1e-8, Valid::Number(Range::AboveZero);
    /// Seed of the random initial weights and of the order of images.
    seed: u64 = 1, Valid::Whole;
    /// Initial weights: pytorch, xavier, he, or seed (the scheme of the C program nn_c).
    init: Init = Init::Pytorch, Valid::Choice(&Init::NAMES);
    /// Train on the first N images only.
    max_samples: Option<usize> = None, Valid::OptionalCount;
}

impl Recipe {
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
            // Of equals, the last one is the largest.
            (f64::max(lr / default.lr, 1.0), rate),
        ];
        suspects.into_iter().max_by(|(a, _), (b, _)| a.total_cmp(b)).expect("there are three").1
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
        }
    }
}

impl From<&Recipe> for Adam {
    fn from(recipe: &Recipe) -> Self {
        let Recipe { beta1, beta2, eps, l2, .. } = *recipe;
        Self { beta1, beta2, eps, l2 }
    }
}

impl From<&Recipe> for CosineAnnealing {
    fn from(recipe: &Recipe) -> Self {
        Self { initial_lr: recipe.lr, min_lr: recipe.min_lr, t_max: recipe.t_max }
    }
}

/// Range of numbers that a hyperparameter can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Numbers above 0.
    AboveZero,
    /// Numbers from 0 on.
    NotNegative,
    /// Numbers from 0 to below 1.
    Decay,
}

impl Range {
    /// Whether `number` is in the range, both as an f64 and rounded to f32. A number that overflows
    /// or becomes 0 in f32 may thus be outside.
    pub fn contains(self, number: f64) -> bool {
        [number, f64::from(number as f32)].into_iter().all(|number| match self {
            Self::AboveZero => number > 0.0 && number.is_finite(),
            Self::NotNegative => number >= 0.0 && number.is_finite(),
            Self::Decay => (0.0..1.0).contains(&number),
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
