//! What the program gives to a shell and to man: completions, the manual, and their installation.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::CommandFactory;
use mnist_train::cli::Cli;

mod program;

use program::{Run, Workplace};

/// Name of every command of `command` that `is_listed`, with the names of the commands above it.
fn commands(command: &clap::Command, is_listed: fn(&clap::Command) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    for inner in command.get_subcommands().filter(|inner| is_listed(inner)) {
        names.push(inner.get_name().to_string());
        let below = commands(inner, is_listed);
        names.extend(below.iter().map(|below| format!("{} {below}", inner.get_name())));
    }
    names
}

/// Last words of the names of all visible commands, and of all hidden ones.
fn visible_and_hidden() -> [Vec<String>; 2] {
    let is_visible = |command: &clap::Command| !command.is_hide_set();
    let [visible, hidden] = [is_visible, clap::Command::is_hide_set].map(|is_listed| {
        commands(&Cli::command(), is_listed)
            .iter()
            .map(|name| name.rsplit(' ').next().unwrap().to_string())
            .collect::<Vec<_>>()
    });
    assert!(visible.len() > 15 && hidden.contains(&"peak-memory".into()), "{visible:?} {hidden:?}");
    [visible, hidden]
}

fn printed(arguments: &str) -> String {
    let run = Run::of(Workplace::new().bare(arguments)).succeeds();
    assert_eq!(run.stderr, "");
    run.stdout
}

#[test]
fn the_script_of_each_shell_has_every_visible_command_and_no_hidden_one() {
    let [visible, hidden] = visible_and_hidden();
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&format!("completions {shell}"));
        for name in &visible {
            assert!(script.contains(name.as_str()), "{shell} has no {name}");
        }
        for name in hidden.iter().map(String::as_str).chain(["--serve", "-l serve"]) {
            assert!(!script.contains(name), "{shell} has {name}");
        }
        for flag in ["checkpoint-every", "version"] {
            assert!(script.contains(flag), "{shell} has no {flag}");
        }
    }
    let other = Run::of(Workplace::new().bare("completions sh"));
    other.rejects_flags(&["invalid value 'sh' for '<SHELL>'", "bash"]);
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let place = Workplace::new();
    fs::write(place.path("script"), printed("completions bash")).unwrap();
    for (line, completed) in [
        ("mnist-train ev", "eval"),
        ("mnist-train bench sta", "stages"),
        ("mnist-train eval --off", "--offline"),
        ("mnist-train peak", ""),
    ] {
        let ask = "source ./script && COMP_WORDS=($1) COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) && \
                   _mnist__train mnist-train \"${COMP_WORDS[COMP_CWORD]}\" \
                   \"${COMP_WORDS[COMP_CWORD - 1]}\" && echo \"${COMPREPLY[@]}\"";
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", ask, "bash", line]).current_dir(place.path("."));
        assert_eq!(Run::of(bash).succeeds().stdout.trim(), completed, "{line}");
    }
    let mut check = Command::new("bash");
    check.arg("-n").arg(place.path("script"));
    assert_eq!(Run::of(check).succeeds().stderr, "");
}

#[test]
fn the_manual_has_a_page_for_every_visible_command() {
    let manual = printed("man");
    let is_visible = |command: &clap::Command| !command.is_hide_set();
    for name in commands(&Cli::command(), is_visible) {
        let title = format!("\n.TH mnist-train-{} 1 ", name.replace(' ', "-"));
        assert!(manual.contains(&title), "no {title}");
    }
    assert!(manual.contains("\\-\\-checkpoint\\-every"));
    for hidden in ["peak\\-memory", "peak-memory", "\\-\\-serve"] {
        assert!(!manual.contains(hidden), "{hidden}");
    }
}

/// The program is not built again: make takes the given one for the release.
#[cfg(target_os = "linux")]
#[test]
fn make_installs_the_program_with_its_scripts_and_removes_them() {
    let place = Workplace::new();
    let built = place.path("release/mnist-train");
    fs::create_dir(built.parent().unwrap()).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_mnist-train"), &built).unwrap();
    let make = |target: &str| {
        let mut make = Command::new("make");
        make.arg(target)
            .arg(format!("CARGO_TARGET_DIR={}", built.ancestors().nth(2).unwrap().display()))
            .arg(format!("--assume-old={}", built.display()))
            .arg(format!("DESTDIR={}", place.path("image").display()))
            .arg("PREFIX=/usr")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null());
        Run::of(make).succeeds()
    };
    make("install");
    let usr = place.path("image/usr");
    let installed = [
        ("bin/mnist-train", "ELF"),
        ("share/man/man1/mnist-train.1", ".TH mnist-train 1"),
        ("share/bash-completion/completions/mnist-train", "complete -F _mnist__train"),
        ("share/zsh/site-functions/_mnist-train", "#compdef mnist-train"),
        ("share/fish/vendor_completions.d/mnist-train.fish", "complete -c mnist-train"),
    ];
    let read = |path: &Path| fs::read(path).ok();
    for (file, content) in installed {
        let found = read(&usr.join(file)).expect(file);
        assert!(String::from_utf8_lossy(&found).contains(content), "{file}");
    }
    assert_eq!(read(&usr.join("bin/mnist-train")), read(&built));
    make("uninstall");
    for (file, _) in installed {
        assert!(read(&usr.join(file)).is_none(), "{file} is still there");
    }
}
