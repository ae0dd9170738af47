//! The structure of `src`: a room uses only the rooms below it, and the imports have no circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms of the crate from the top floor down. A file may use its own room and the rooms below.
const FLOORS: [&str; 26] = [
    "main",
    "commands",
    "cli",
    "bench",
    "gradcheck",
    "report",
    "profile",
    "training",
    "stages",
    "engine",
    "model",
    "data",
    "nn",
    "autograd",
    "onnx",
    "optim",
    "files",
    "measure",
    "ranks",
    "team",
    "simd",
    "random",
    "scalar",
    "digest",
    "error",
    "lib",
];

/// Source file of every module, by the path of the module, like `stages::fused::conv`.
fn modules() -> BTreeMap<String, PathBuf> {
    fn collect(folder: &Path, module: &str, modules: &mut BTreeMap<String, PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let inner = if module.is_empty() { name.into() } else { format!("{module}::{name}") };
            if name == "tests" {
                continue;
            }
            if path.is_dir() {
                collect(&path, &inner, modules);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                modules.insert(if name == "mod" { module.into() } else { inner }, path);
            }
        }
    }
    let mut modules = BTreeMap::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut modules);
    modules
}

/// Paths in the `use` declarations of `text`, with `a::{b, c::d}` expanded, and its private modules
/// as `self::name`. The declarations of its tests do not count.
fn used(text: &str) -> Vec<String> {
    fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
        match tree.split_once('{') {
            None => paths.push(format!("{prefix}{}", tree.split(" as ").next().unwrap().trim())),
            Some((before, rest)) => {
                let inner = rest.rsplit_once('}').expect("braces are closed").0;
                let (mut depth, mut start) = (0, 0);
                for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            let part = inner[start..at].trim();
                            if !part.is_empty() {
                                expand(&format!("{prefix}{}", before.trim()), part, paths);
                            }
                            start = at + 1;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    let text = text.split("\nmod tests {").next().unwrap();
    let mut paths = Vec::new();
    for statement in text.split(';') {
        let statement = statement.trim_start_matches(|c: char| c.is_whitespace());
        let last = statement.lines().position(|line| {
            let line = line.trim_start();
            line.starts_with("use ") || line.starts_with("pub use ") || line.starts_with("mod ")
        });
        let Some(first) = last else { continue };
        let statement: Vec<_> = statement.lines().skip(first).map(str::trim).collect();
        let statement = statement.join(" ");
        let statement = statement.trim_start_matches("pub ");
        if let Some(module) = statement.strip_prefix("mod ") {
            paths.push(format!("self::{module}"));
        } else {
            expand("", statement.trim_start_matches("use "), &mut paths);
        }
    }
    paths
}

/// Modules that each module uses.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let modules = modules();
    let target = |from: &str, path: &str| {
        let mut base: Vec<&str> = from.split("::").collect();
        let mut names: Vec<&str> = path.split("::").collect();
        match names[0] {
            "crate" | "mnist_train" => {
                base.clear();
                names.remove(0);
            }
            "self" => _ = names.remove(0),
            "super" => {
                while names.first() == Some(&"super") {
                    base.pop();
                    names.remove(0);
                }
            }
            _ => return None,
        }
        base.extend(names);
        (1..=base.len()).rev().map(|n| base[..n].join("::")).find(|m| modules.contains_key(m))
    };
    let mut arrows = BTreeMap::new();
    for (module, path) in &modules {
        let text = fs::read_to_string(path).unwrap();
        let targets = used(&text).into_iter().filter_map(|path| target(module, &path));
        arrows.insert(module.clone(), targets.filter(|target| target != module).collect());
    }
    arrows
}

fn room(module: &str) -> usize {
    let name = module.split("::").next().unwrap();
    FLOORS.iter().position(|floor| *floor == name).unwrap_or_else(|| panic!("{name} has no floor"))
}

#[test]
fn no_import_leads_up() {
    let arrows = arrows();
    let all = arrows.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    let up: Vec<_> = all.clone().filter(|(from, to)| room(from) > room(to)).collect();
    assert!(up.is_empty(), "these use what stands above them: {up:#?}");
    assert!(all.count() > 300, "imports are found");
}

#[test]
fn no_imports_form_a_circle() {
    let mut left = arrows();
    // A module that uses no remaining module is on no circle.
    loop {
        let before = left.len();
        let names: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, to| to.iter().any(|to| names.contains(to)));
        if left.len() == before {
            break;
        }
    }
    // A module that no remaining module uses is on no circle either.
    loop {
        let before = left.len();
        let used: BTreeSet<String> = left.values().flatten().cloned().collect();
        left.retain(|from, _| used.contains(from));
        if left.len() == before {
            break;
        }
    }
    let names: BTreeSet<String> = left.keys().cloned().collect();
    left.values_mut().for_each(|to| to.retain(|to| names.contains(to)));
    assert!(left.is_empty(), "circles among {left:#?}");
}
