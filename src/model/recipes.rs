//! Named recipes: sets of settings of a training, each for one aim. [RECORDS.md](../../RECORDS.md) has
//! what each of them reaches, and how it was found.

use super::recipe::Recipe;
use crate::optim::schedule::Kind;

/// Set of settings of a training of the default network on MNIST.
#[derive(Debug)]
pub struct NamedRecipe {
    /// Name of the recipe: the mean test accuracy that it is for, in percent, or `source`.
    pub name: &'static str,
    /// Mean test accuracy that the recipe is for, 0 to 1, if it is for one.
    pub mark: Option<f64>,
    /// Names and values of the flags that differ from the defaults.
    pub settings: &'static [(&'static str, &'static str)],
}

/// Settings that all recipes but that of the source have in common.
macro_rules! settings {
    ($($flag:literal: $value:literal,)*) => {
        &[
            ("schedule", "linear"),
            ("schedule-by", "step"),
            ("min-lr", "0"),
            $(($flag, $value),)*
        ]
    };
}

/// Table of the recipes: that of the source, whose values are the defaults, and then the recipes for marks
/// in ascending order.
pub const RECIPES: [NamedRecipe; 4] = [
    NamedRecipe { name: "source", mark: None, settings: &[] },
    NamedRecipe {
        name: "99",
        mark: Some(0.99),
        settings: settings! {
            "epochs": "0.8",
            "t-max": "0.8",
            "batch-size": "96",
            "lr": "0.011",
            "warmup": "0.16",
            "l2": "0",
            "beta1": "0.8",
            "beta2": "0.95",
            "label-smoothing": "0.15",
            "augment": "shift",
            "freeze-conv": "0.2",
            "init": "patches",
            "init-scale": "fc1=2",
        },
    },
    NamedRecipe {
        name: "99.3",
        mark: Some(0.993),
        settings: settings! {
            "epochs": "4",
            "t-max": "4",
            "batch-size": "96",
            "lr": "8e-3",
            "warmup": "0.3",
            "l2": "0",
            "beta1": "0.8",
            "beta2": "0.95",
            "label-smoothing": "0.15",
            "augment": "shift",
            "freeze-conv": "0.2",
            "init": "patches",
            "init-scale": "fc1=2",
        },
    },
    NamedRecipe {
        name: "99.5",
        mark: Some(0.995),
        settings: settings! {
            "epochs": "70",
            "t-max": "70",
            "batch-size": "128",
            "optimizer": "adamw",
            "weight-decay": "0.05",
            "lr": "3e-3",
            "label-smoothing": "0.1",
            "augment": "elastic",
        },
    },
];

impl NamedRecipe {
    /// Recipe called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        RECIPES.iter().find(|recipe| recipe.name == name)
    }

    /// Settings that have an effect beside the flags whose values `given` knows. Those that belong to the
    /// recipe's optimizer or schedule have none beside another one.
    pub fn beside(
        &self,
        given: impl Fn(&str) -> Option<String>,
    ) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        let own = |flag: &str, default: &'static str| {
            let setting = self.settings.iter().find(|(name, _)| *name == flag);
            setting.map_or(default, |(_, value)| *value)
        };
        let default = Recipe::default();
        let optimizer = own("optimizer", default.optimizer.name());
        let schedule = own("schedule", default.schedule.name());
        let keeps_optimizer = given("optimizer").is_none_or(|other| other == optimizer);
        let given_schedule = given("schedule").unwrap_or_else(|| schedule.into());
        let keeps_schedule = given_schedule == schedule;
        let falls = Kind::TO_AN_END.iter().any(|kind| kind.name() == given_schedule);
        let frozen = given("freeze-conv").unwrap_or_else(|| own("freeze-conv", "0").into());
        let freezes = frozen.parse() != Ok(0.0);
        let has_effect = move |(flag, _): &&(&str, &str)| {
            given(flag).is_none()
                && match *flag {
                    "weight-decay" | "l2" | "beta1" | "beta2" => keeps_optimizer,
                    "schedule-by" | "min-lr" => keeps_schedule,
                    "t-max" => falls || freezes,
                    _ => true,
                }
        };
        self.settings.iter().filter(has_effect)
    }

    /// Names of all recipes.
    pub fn names() -> [&'static str; RECIPES.len()] {
        RECIPES.each_ref().map(|recipe| recipe.name)
    }
}
