//! Folded call stacks: lines of the form `phase;function;function` with their numbers of samples.
//!
//! Folding removes from a stack what a reader of a profile of training does not need:
//!
//! 1. **A phase is one column.** A stack begins with the phase whose [wrapper](Phase::run) it goes
//!    through, on whichever thread. Names of threads, and the functions by which rayon or the
//!    [team](crate::team) share work, are left out.
//! 2. **The parts of a kernel count for the kernel**: adapters of the standard library and [vector
//!    operations](crate::simd).
//! 3. **Names are short**: `Dense::convolve`, without type arguments, closures and most of the
//!    path.
//! 4. **Waiting** is the time in which threads share out work or look for work. A sample that
//!    belongs to no phase is **other**.
//! 5. **Preparation is not profiled**: samples outside of passes are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::part::Part;
use crate::engine::phases::Phase;

/// Call stack with the number of its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Demangled names of the functions, the outermost first.
    pub functions: Vec<String>,
    /// Number of samples with this stack.
    pub samples: usize,
}

/// Number of samples of each folded stack, `part;function;function`, the outermost function first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folded(BTreeMap<String, usize>);

impl Folded {
    /// Folded form of `stacks`, without preparation.
    pub fn of(stacks: &[Stack]) -> Self {
        let mut folded = BTreeMap::new();
        for stack in stacks {
            let paths: Vec<_> = stack.functions.iter().map(|function| path(function)).collect();
            if !is_preparation(&paths) {
                *folded.entry(cleaned(&paths)).or_default() += stack.samples;
            }
        }
        Self(folded)
    }

    /// Number of samples of all stacks.
    pub fn samples(&self) -> usize {
        self.0.values().sum()
    }

    /// Number of samples of `part`.
    pub fn of_part(&self, part: Part) -> usize {
        let is_it = |(stack, _): &(&String, &usize)| part_of(stack) == part;
        self.0.iter().filter(is_it).map(|(_, samples)| samples).sum()
    }

    /// Functions with the number of samples in which they are the innermost function, in descending
    /// order of that number.
    pub fn top_functions(&self) -> Vec<(&str, usize)> {
        let mut own: BTreeMap<&str, usize> = BTreeMap::new();
        for (stack, samples) in &self.0 {
            *own.entry(functions(stack).last().unwrap_or(stack)).or_default() += samples;
        }
        let mut own: Vec<_> = own.into_iter().collect();
        own.sort_by_key(|&(_, samples)| std::cmp::Reverse(samples));
        own
    }

    /// Parts in whose stacks each function appears.
    pub fn parts_of_functions(&self) -> BTreeMap<&str, BTreeSet<Part>> {
        let mut parts: BTreeMap<&str, BTreeSet<Part>> = BTreeMap::new();
        for stack in self.0.keys() {
            for function in functions(stack) {
                parts.entry(function).or_default().insert(part_of(stack));
            }
        }
        parts
    }

    /// Text with one stack a line, as flamegraph programs read it. Each stack begins with `root`.
    pub fn lines(&self, root: &str) -> String {
        lines(root, self.0.iter().map(|(stack, &samples)| (stack.as_str(), samples)))
    }

    /// Text with one part a line, as flamegraph programs read it. Each line begins with `root`.
    pub fn lines_of_parts(&self, root: &str) -> String {
        let parts = Part::all().map(|part| (part.name(), self.of_part(part)));
        lines(root, parts.filter(|&(_, samples)| samples > 0))
    }
}

fn lines<'a>(root: &str, stacks: impl Iterator<Item = (&'a str, usize)>) -> String {
    stacks.fold(String::new(), |mut text, (stack, samples)| {
        _ = writeln!(text, "{root};{stack} {samples}");
        text
    })
}

fn part_of(stack: &str) -> Part {
    let name = stack.split(';').next().unwrap_or_default();
    Part::find(name).expect("a stack begins with a part")
}

fn functions(stack: &str) -> impl Iterator<Item = &str> {
    stack.split(';').skip(1)
}

/// Folded stack, `part;function;function`, of a stack of paths.
fn cleaned(paths: &[String]) -> String {
    let phase = |at: usize| Some((Part::Phase(Phase::of_frame(&paths[at])?), at + 1));
    let (part, first) = if is_waiting(paths) {
        (Part::Waiting, paths.len())
    } else {
        // The stack begins after the innermost wrapper, or else after the function of the pass.
        (0..paths.len()).rev().find_map(phase).unwrap_or_else(|| {
            let pass = paths.iter().position(|path| path == PASS);
            (Part::Other, pass.map_or(0, |at| at + 1))
        })
    };
    let functions = paths[first..].iter().filter(|path| !is_folded(path)).map(|path| short(path));
    let mut names: Vec<_> = [part.name()].into_iter().chain(functions).collect();
    names.dedup();
    names.join(";")
}

/// Whether a stack belongs to a thread that takes no part in a pass. Such a stack reads files, or
/// it is complete and goes neither through a pass nor to a pool. A stack whose beginning was not
/// found may belong to any thread, and is not taken for preparation.
fn is_preparation(paths: &[String]) -> bool {
    let any = |is_it: &dyn Fn(&str) -> bool| paths.iter().any(|path| is_it(path));
    let is_complete = any(&|path| ["mnist_train::main", "start_thread"].contains(&path));
    let reads = any(&|path| path.starts_with("mnist_train::data::"));
    !any(&|path| path == PASS) && (reads || is_complete && !any(&shares_work))
}

/// Whether the innermost function that belongs neither to the standard library nor to C shares out
/// work.
fn is_waiting(paths: &[String]) -> bool {
    let own = |path: &&String| path.contains("::") && !begins(path, &STANDARD);
    paths.iter().rfind(own).is_some_and(|path| shares_work(path))
}

const PASS: &str = "mnist_train::profile::capped_run::CappedRun::pass";
const STANDARD: [&str; 3] = ["std::", "core::", "alloc::"];
const POOLS: [&str; 4] = ["rayon::", "rayon_core::", "crossbeam_", "mnist_train::team::"];

fn begins(path: &str, modules: &[&str]) -> bool {
    modules.iter().any(|module| path.starts_with(module))
}

fn shares_work(path: &str) -> bool {
    begins(path, &POOLS)
}

fn is_folded(path: &str) -> bool {
    begins(path, &STANDARD) || shares_work(path) || path.starts_with("mnist_train::simd::")
}

/// Last two names of a path, or its only name.
fn short(path: &str) -> &str {
    path.rmatch_indices("::").nth(1).map_or(path, |(at, _)| &path[at + 2..])
}

/// Path of a demangled function: `a::T::f` of `<a::T<B> as Trait>::f::<C>::{closure#0}`.
fn path(function: &str) -> String {
    // The bracket around the type of a method is kept; brackets inside and after it are left out.
    let (mut outside, mut depth, mut last) = (String::new(), 0, ' ');
    for c in function.strip_prefix('<').unwrap_or(function).chars() {
        match c {
            '<' | '(' | '[' | '{' => depth += 1,
            // This is the arrow of a function's type.
            '>' if last == '-' => {}
            '>' | ')' | ']' | '}' if depth > 0 => depth -= 1,
            _ if depth == 0 => outside.push(c),
            _ => {}
        }
        last = c;
    }
    let (whose, rest) = match outside.split_once('>') {
        // If the type has no path, because it is a number, a slice or a type parameter, the path of
        // its trait counts. If the trait has no path either, both are the standard library's.
        Some((method_of, rest)) => {
            let has_path = |name: &&str| name.find("::").is_some_and(|at| at > 0);
            (method_of.split(" as ").find(has_path).unwrap_or("core"), rest)
        }
        None => (outside.as_str(), ""),
    };
    let names = whose.split("::").chain(rest.split("::")).filter(|name| !name.is_empty());
    names.collect::<Vec<_>>().join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(frames: &[&str], samples: usize) -> Stack {
        let functions = frames.iter().map(|frame| frame.to_string()).collect();
        Stack { functions, samples }
    }

    #[test]
    fn names_lose_types_closures_and_most_of_their_path() {
        for (symbol, expected) in [
            ("mnist_train::stages::fused::dense::Dense::convolve", "Dense::convolve"),
            ("<mnist_train::stages::gemm::Gemm as a::Kernels>::adam::{{closure}}", "Gemm::adam"),
            ("<a::Engine<b::Avx512> as c::Engine>::step", "Engine::step"),
            ("<usize as core::iter::Sum>::sum::<core::iter::Map<I, F>>", "Sum::sum"),
            ("<usize>::checked_sub", "core::checked_sub"),
            ("<S as a::products::Products>::multiply_add", "Products::multiply_add"),
            ("<<a::T as b::U>::V as c::W<D>>::f", "W::f"),
            ("a::Engine<S>::forward::{closure#0}", "Engine::forward"),
            ("core::impls::<impl core::ops::FnOnce<A> for &F>::call_once", "impls::call_once"),
            ("a::b::call<fn(A) -> B, C>", "b::call"),
            ("<core::iter::Map<I, F> as Iterator>::fold::<f32, fn(A) -> B>", "Map::fold"),
            ("__memset_avx512_unaligned_erms", "__memset_avx512_unaligned_erms"),
        ] {
            assert_eq!(short(&path(symbol)), expected, "{symbol}");
        }
    }

    #[test]
    fn a_phase_is_one_column_on_whichever_thread_it_ran() {
        let main = ["mnist_train::main", "mnist_train::profile::capped_run::CappedRun::pass"];
        let pool = ["clone3", "std::sys::thread::start", "rayon_core::registry::WorkerThread::run"];
        let phase = [
            "mnist_train::engine::phases::frames::conv_forward::<(), a::Gemm::{closure#0}>",
            "<mnist_train::stages::naive::Naive as K>::maxpool2d_forward",
            "<core::slice::Chunks<T> as core::iter::Iterator>::next",
        ];
        let waiting = ["<mnist_train::team::Team>::run", "std::thread::yield_now", "sched_yield"];
        let folded = Folded::of(&[
            stack(&[main.as_slice(), &phase[..2]].concat(), 3),
            stack(&[main.as_slice(), &phase[..1], &pool, &phase].concat(), 4),
            stack(&[main.as_slice(), &phase, &waiting].concat(), 1),
            stack(&[pool.as_slice(), &phase].concat(), 5),
            stack(&[pool.as_slice(), &phase[..1]].concat(), 6),
            stack(&pool, 2),
            stack(&main[..1], 100),
            stack(&["clone3", "start_thread", "mnist_train::commands::signals::wait"], 100),
            stack(&["start_thread", "rayon_core::job::run", "mnist_train::data::idx::read"], 100),
        ]);
        assert_eq!(
            folded.lines("gemm"),
            "gemm;conv forward 6\ngemm;conv forward;Naive::maxpool2d_forward 12\ngemm;waiting 3\n"
        );
        assert_eq!(folded.lines_of_parts("step"), "step;conv forward 18\nstep;waiting 3\n");
        assert_eq!((folded.samples(), folded.of_part(Part::Waiting)), (21, 3));
        assert_eq!(
            folded.top_functions(),
            [("Naive::maxpool2d_forward", 12), ("conv forward", 6), ("waiting", 3)]
        );
    }

    #[test]
    fn what_kernels_are_made_of_counts_for_the_kernel() {
        let folded = Folded::of(&[stack(
            &[
                "mnist_train::engine::phases::frames::conv_forward",
                "<mnist_train::stages::fused::dense::Dense<S>>::convolve",
                "<mnist_train::simd::avx2::Avx2 as mnist_train::simd::Simd>::vectorize",
                "mnist_train::stages::fused::conv::forward",
                "<usize as core::iter::Sum>::sum",
                "<usize>::checked_add",
            ],
            2,
        )]);
        assert_eq!(folded.lines("s"), "s;conv forward;Dense::convolve;conv::forward 2\n");
    }

    #[test]
    fn what_belongs_to_no_phase_is_other() {
        let pass = "mnist_train::profile::capped_run::CappedRun::pass";
        let step = "<mnist_train::stages::fused::FusedEngine<S> as Engine>::step";
        let folded = Folded::of(&[
            stack(&["mnist_train::main", pass, step, "__memcpy"], 1),
            stack(&["somewhere"], 1),
        ]);
        assert_eq!(
            folded.lines("s"),
            "s;other;FusedEngine::step;__memcpy 1\ns;other;somewhere 1\n"
        );
    }
}
