//! Settings of a training from flags, variables of the environment, a file and the defaults.

mod program;

use std::fs;

use mnist_train::model::recipes::{NamedRecipe, RECIPES};
use serde_json::Value;

use crate::program::{Run, Workplace};

/// Value and origin of the setting `name` that `config show` prints for `arguments` and `variables`.
fn shown(
    place: &Workplace,
    arguments: &str,
    variables: &[(&str, &str)],
    name: &str,
) -> [String; 2] {
    let mut command = place.bare(&format!("config show --json {arguments}"));
    command.envs(variables.iter().copied());
    let config = Run::of(command).last("config");
    let all = config["settings"].as_array().unwrap();
    let one = all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    let text = |value: &Value| value.as_str().unwrap_or("none").to_string();
    [text(&one["value"]), text(&one["origin"])]
}

#[test]
fn a_flag_comes_before_a_variable_before_the_file_before_the_default() {
    let place = Workplace::new();
    fs::write(place.path("run.toml"), "lr = 0.004\nepochs = 4\nno-eval = true\nnesterov = false\n")
        .unwrap();
    let file = "--config run.toml";
    let variable = [("MNIST_LR", "0.003")];
    let lr = |arguments: &str, variables| shown(&place, arguments, variables, "lr");
    assert_eq!(lr("", &[]), ["1e-3", "default"]);
    assert_eq!(lr(file, &[]), ["0.004", "run.toml"]);
    assert_eq!(lr(file, &variable), ["0.003", "MNIST_LR"]);
    assert_eq!(lr("--config run.toml --lr 2e-3", &variable), ["2e-3", "flag"]);
    assert_eq!(shown(&place, file, &[], "no-eval"), ["true", "run.toml"]);
    assert_eq!(shown(&place, file, &[], "nesterov"), ["false", "default"]);
    assert_eq!(shown(&place, "", &[("MNIST_NO_EVAL", "1")], "no-eval"), ["true", "MNIST_NO_EVAL"]);
    assert_eq!(shown(&place, "", &[("MNIST_SEED", "")], "seed"), ["1", "default"]);
    assert_eq!(shown(&place, "", &[], "stage"), ["none", "default"]);
    // An optimizer and a schedule have defaults of their own.
    assert_eq!(shown(&place, "--optimizer adamw", &[], "weight-decay"), ["0.01", "default"]);
    assert_eq!(shown(&place, "--optimizer adamw", &[], "l2"), ["0", "default"]);
    assert_eq!(shown(&place, "--schedule exponential", &[], "gamma"), ["0.9", "default"]);
    assert_eq!(shown(&place, "", &[], "gamma"), ["0.1", "default"]);
    let text = Run::of(place.bare("config show --config run.toml")).succeeds().stdout;
    assert!(
        text.contains("\nlr                      0.004                     run.toml\n"),
        "{text}"
    );
}

#[test]
fn a_setting_that_contradicts_one_of_a_place_before_it_is_left_out() {
    let place = Workplace::new();
    fs::write(place.path("run.toml"), "arch = \"mlp\"\n").unwrap();
    let file = "--config run.toml";
    assert_eq!(shown(&place, file, &[], "arch"), ["mlp", "run.toml"]);
    assert_eq!(shown(&place, &format!("{file} --hidden 64"), &[], "arch"), ["none", "default"]);
    let variable = [("MNIST_HIDDEN", "32")];
    assert_eq!(shown(&place, file, &variable, "arch"), ["none", "default"]);
}

#[test]
fn a_named_recipe_sets_what_nothing_else_sets() {
    let place = Workplace::new();
    fs::write(place.path("run.toml"), "recipe = \"99\"\nlr = 0.004\n").unwrap();
    let [by_flag, by_file] = ["--recipe 99", "--config run.toml"];
    assert_eq!(shown(&place, by_flag, &[], "epochs"), ["0.8", "recipe 99"]);
    assert_eq!(shown(&place, by_flag, &[], "init-scale"), ["fc1=2", "recipe 99"]);
    assert_eq!(shown(&place, &format!("{by_flag} --beta1 0.7"), &[], "beta1"), ["0.7", "flag"]);
    let variable = [("MNIST_EPOCHS", "2")];
    assert_eq!(shown(&place, by_flag, &variable, "epochs"), ["2", "MNIST_EPOCHS"]);
    assert_eq!(shown(&place, by_file, &[], "augment"), ["shift", "recipe 99"]);
    assert_eq!(shown(&place, by_file, &[], "lr"), ["0.004", "run.toml"]);
    assert_eq!(shown(&place, "--recipe source", &[], "epochs"), ["10", "default"]);
    Run::of(place.bare("--recipe 98")).fails(2, &["'98' for '--recipe <NAME>'"]);
}

#[test]
fn only_another_optimizer_or_schedule_takes_settings_of_a_recipe_with_it() {
    let place = Workplace::new();
    let origin = |flags: &str, flag: &str| shown(&place, flags, &[], flag)[1].clone();
    for (flags, flag, expected) in [
        ("--recipe 99 --schedule linear", "min-lr", "recipe 99"),
        ("--recipe 99 --schedule linear", "schedule-by", "recipe 99"),
        ("--recipe 99 --schedule cosine", "schedule-by", "default"),
        ("--recipe 99 --schedule cosine", "t-max", "recipe 99"),
        ("--recipe 99 --schedule constant", "t-max", "recipe 99"),
        ("--recipe 99 --schedule constant --freeze-conv 0", "t-max", "default"),
        ("--recipe 99.5 --schedule constant", "t-max", "default"),
        ("--recipe 99.5 --schedule onecycle", "t-max", "recipe 99.5"),
        ("--recipe 99 --optimizer adam", "beta1", "recipe 99"),
        ("--recipe 99.5 --optimizer adamw", "weight-decay", "recipe 99.5"),
        ("--recipe 99.5 --optimizer adam", "weight-decay", "default"),
    ] {
        assert_eq!(origin(flags, flag), expected, "{flags}: {flag}");
    }
}

#[test]
fn every_named_recipe_trains_and_is_printed_and_kept_in_full() {
    for NamedRecipe { name, settings, .. } in &RECIPES {
        let place = Workplace::new();
        let run = place.run(&format!("--recipe {name} --max-samples 192 --epochs 0.5")).succeeds();
        let line = format!("{run:#?}").replace("\\n", " ");
        let printed = line.split_whitespace().collect::<Vec<_>>().join(" ");
        for (flag, value) in settings.iter().filter(|(flag, _)| *flag != "epochs") {
            assert!(printed.contains(&format!("--{flag} {value}")), "{name}, {flag}: {printed}");
        }
        assert!(*name == "source" || printed.contains("recipe: --epochs 0.5 "), "{printed}");
        // A resumed run has the recipe of the checkpoint, which is the same, and no other one.
        place.run("--resume --epochs 1").succeeds();
        place.run(&format!("--resume --epochs 1.5 --recipe {name}")).succeeds();
        if *name != "99" {
            place.run("--resume --epochs 2 --recipe 99").fails(2, &["under another recipe"]);
        }
    }
    // A value of the recipe that does not fit the network can be changed.
    let place = Workplace::new();
    let flags = "--recipe 99 --arch flatten,fc10 --max-samples 192";
    let with = |more: &str| place.run(&format!("{flags} {more}"));
    with("").fails(2, &["--init patches", "--init pytorch"]);
    with("--init pytorch").succeeds();
    with("--init pytorch --init-scale fc2=2").fails(2, &["no tensor fc2"]);
    with("--init pytorch --init-scale none").succeeds();
    // What belongs to the recipe's optimizer or schedule goes with it.
    with("--init pytorch --optimizer sgd --lr 0.1").succeeds();
    with("--init pytorch --schedule constant").succeeds();
    let long = with("--init pytorch --epochs 2").succeeds();
    assert!(long.stderr.contains("after epoch 0.8 the learning rate stays at 0"), "{long:#?}");
}

#[test]
fn a_run_with_a_file_is_the_run_with_its_flags() {
    let place = Workplace::new();
    let flags = "--epochs 2 --batch-size 20 --lr 3e-3 --arch flatten,fc16,relu,fc10 --optimizer sgd \
                 --momentum 0.9 --seed 7";
    let by_flags = place.run(&format!("{flags} --model flags --json"));
    let file = "epochs = 2\nbatch_size = 20\nlr = 3e-3\narch = \"flatten,fc16,relu,fc10\"\n\
                optimizer = \"sgd\"\nmomentum = 0.9\nseed = 7\n";
    fs::write(place.path("run.toml"), file).unwrap();
    let by_file = place.run("--config run.toml --model file --json");
    assert_eq!(by_file.weights(), by_flags.weights());
    // A checkpoint has everything but the number of epochs.
    let again = place.run("--config flags --epochs 2 --model again --json");
    assert_eq!(again.weights(), by_flags.weights());
    let other = place.run("--config flags --epochs 2 --seed 8 --model other --json");
    assert_ne!(other.weights(), by_flags.weights());
}

#[test]
fn a_setting_that_is_not_valid_names_its_place() {
    let place = Workplace::new();
    for (text, code, words) in [
        ("lr = \n", 3, "run.toml: line 1: "),
        ("epochs = 2\nlr = = 3\n", 3, "run.toml: line 2: "),
        ("learning_rate = 1\n", 3, "run.toml: learning_rate: no flag of training has this name"),
        ("config = \"other\"\n", 3, "run.toml: config: no flag of training has this name"),
        ("lr = [1, 2]\n", 3, "run.toml: lr: must be a text or a number"),
        ("[training]\nlr = 1\n", 3, "run.toml: training: no flag of training has this name"),
        ("no-eval = 1\n", 3, "run.toml: no-eval: must be true or false"),
        ("lr = -1\n", 2, "run.toml: invalid value '-1' for '--lr <X>'"),
        ("epochs = 0\n", 2, "run.toml: invalid value '0' for '--epochs <X>'"),
    ] {
        fs::write(place.path("run.toml"), text).unwrap();
        Run::of(place.bare("--config run.toml")).fails(code, &[words]);
    }
    fs::write(place.path("run.toml"), b"\xff\xfe\xff").unwrap();
    Run::of(place.bare("--config run.toml")).fails(3, &["run.toml: is not UTF-8"]);
    Run::of(place.bare("--config nowhere")).fails(1, &["nowhere: cannot open"]);
    for (name, value, words) in [
        ("MNIST_EPOCHS", "many", "MNIST_EPOCHS: invalid value 'many' for '--epochs <X>'"),
        ("MNIST_NO_EVAL", "yes", "MNIST_NO_EVAL: must be 1 or 0: --no-eval takes no value"),
    ] {
        let mut command = place.bare("");
        command.env(name, value);
        Run::of(command).fails(2, &[words]);
    }
    assert_eq!(place.names(), ["run.toml"]);
}
