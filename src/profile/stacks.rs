//! Call stacks, cleaned and folded: `phase;function;function` and how often that was met.
//!
//! What a stack says is cut down to what a reader of a training step asks for:
//!
//! 1. **A phase is one column.** A stack begins with the phase of the step whose entry point
//!    ([`entered`]) it has passed through, whichever thread that was on; names of threads, and what
//!    rayon or the [team](crate::team) do to share work, are left out.
//! 2. **What a kernel is made of is folded** into the kernel: the standard library's adapters and the
//!    [vector operations](crate::simd). A loop is the loop of who wrote it.
//! 3. **Names are short**: `CellRow::convolve`, without generics, closures and most of the path.
//! 4. **Waiting** is what threads do that have found no work to share; what belongs to no phase is
//!    **other**.
//! 5. **Preparation is not profiled**: what is done outside of passes is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::part::{Part, entered};

/// A call stack and how often it was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Functions of the machine code, the outermost first.
    pub functions: Vec<String>,
    /// What was inlined where the innermost function was met, the outermost first.
    pub inlined: Vec<String>,
    /// Samples.
    pub samples: usize,
}

/// Samples of each cleaned stack, `part;function;function`, the outermost first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folded(BTreeMap<String, usize>);

impl Folded {
    /// What is left of `stacks`.
    pub fn of(stacks: &[Stack]) -> Self {
        let mut folded = BTreeMap::new();
        for stack in stacks {
            let frames = stack.functions.iter().chain(&stack.inlined);
            let paths: Vec<_> = frames.map(|frame| path(frame)).collect();
            if is_preparation(&paths) {
                continue;
            }
            *folded.entry(cleaned(&paths)).or_default() += stack.samples;
        }
        Self(folded)
    }

    /// Samples of all stacks.
    pub fn samples(&self) -> usize {
        self.0.values().sum()
    }

    /// Samples of `part`.
    pub fn of_part(&self, part: Part) -> usize {
        let is_it = |(stack, _): &(&String, &usize)| part_of(stack) == part;
        self.0.iter().filter(is_it).map(|(_, samples)| samples).sum()
    }

    /// The functions with the most samples in which they were the innermost one, most first.
    pub fn top_functions(&self) -> Vec<(&str, usize)> {
        let mut own: BTreeMap<&str, usize> = BTreeMap::new();
        for (stack, samples) in &self.0 {
            *own.entry(functions(stack).last().unwrap_or(stack)).or_default() += samples;
        }
        let mut own: Vec<_> = own.into_iter().collect();
        own.sort_by_key(|&(_, samples)| std::cmp::Reverse(samples));
        own
    }

    /// The parts in which each function was met.
    pub fn parts_of_functions(&self) -> BTreeMap<&str, BTreeSet<Part>> {
        let mut parts: BTreeMap<&str, BTreeSet<Part>> = BTreeMap::new();
        for stack in self.0.keys() {
            for function in functions(stack) {
                parts.entry(function).or_default().insert(part_of(stack));
            }
        }
        parts
    }

    /// One stack a line, as flamegraph programs read them, each beginning with `root`.
    pub fn lines(&self, root: &str) -> String {
        let stacks = self.0.iter();
        lines(root, stacks.map(|(stack, &samples)| (stack.as_str(), samples)))
    }

    /// The same without the entry points of the phases.
    pub fn lines_below_entries(&self, root: &str) -> String {
        let mut below: BTreeMap<String, usize> = BTreeMap::new();
        for (stack, samples) in &self.0 {
            let entries = usize::from(matches!(part_of(stack), Part::Phase(_)));
            let left = [part_of(stack).name()].into_iter().chain(functions(stack).skip(entries));
            *below.entry(left.collect::<Vec<_>>().join(";")).or_default() += samples;
        }
        lines(root, below.iter().map(|(stack, &samples)| (stack.as_str(), samples)))
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

/// `part;function;function` of a stack of paths.
fn cleaned(paths: &[Vec<&str>]) -> String {
    let entry = paths.iter().position(|path| entered(&short(path)).is_some());
    let (part, first) = match entry {
        Some(entry) => (entered(&short(&paths[entry])).expect("found"), entry),
        None if is_waiting(paths) => (Part::Waiting, paths.len()),
        // Nothing of how the pass was reached.
        None => (Part::Other, paths.iter().position(|path| is_pass(path)).map_or(0, |at| at + 1)),
    };
    let mut cleaned = part.name().to_string();
    let mut last = String::new();
    for path in &paths[first..] {
        let function = short(path);
        if !is_folded(path) && function != last {
            cleaned.push(';');
            cleaned.push_str(&function.replace(';', ","));
            last = function;
        }
    }
    cleaned
}

/// Whether a thread was met that had no part in a pass: one that reads files, or whose stack begins
/// where threads do and goes neither through a pass nor to a pool. One whose beginning was not found
/// may be any.
fn is_preparation(paths: &[Vec<&str>]) -> bool {
    let any = |of: &dyn Fn(&Vec<&str>) -> bool| paths.iter().any(of);
    let is_complete =
        any(&|path| path.ends_with(&["mnist_train", "main"]) || path.ends_with(&["start_thread"]));
    let reads = any(&|path| path.starts_with(&["mnist_train", "data"]));
    !any(&|path| is_pass(path)) && (reads || is_complete && !any(&|path| shares_work(path)))
}

fn is_pass(path: &[&str]) -> bool {
    path.ends_with(&["CappedRun", "pass"])
}

/// Whether the innermost function that is not the standard library's or C's shares out work.
fn is_waiting(paths: &[Vec<&str>]) -> bool {
    let own = |path: &&Vec<&str>| path.len() > 1 && !is_of(path, &STANDARD);
    paths.iter().rfind(own).is_some_and(|path| shares_work(path))
}

const STANDARD: [&str; 3] = ["std", "core", "alloc"];
const POOLS: [&str; 5] =
    ["rayon", "rayon_core", "crossbeam_deque", "crossbeam_epoch", "crossbeam_utils"];

fn is_of(path: &[&str], crates: &[&str]) -> bool {
    path.first().is_some_and(|first| crates.contains(first))
}

fn shares_work(path: &[&str]) -> bool {
    is_of(path, &POOLS) || path.starts_with(&["mnist_train", "team"])
}

fn is_folded(path: &[&str]) -> bool {
    is_of(path, &STANDARD)
        || shares_work(path)
        || path.starts_with(&["mnist_train", "simd"])
        || path.contains(&"Products")
}

/// The last two names of a path, or the only one.
fn short(path: &[&str]) -> String {
    path[path.len().saturating_sub(2)..].join("::")
}

/// The names of a demangled path: `<a::T<B> as Trait>::f::{{closure}}` is `a`, `T`, `f`.
fn path(symbol: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (index, part) in split(symbol, "::").into_iter().enumerate() {
        if let Some(inner) = part.strip_prefix('<') {
            // The type of a method; what comes later are type arguments.
            if index == 0 {
                let inner = inner.strip_suffix('>').unwrap_or(inner);
                let named = split(inner, " as ");
                // A number, a slice or a type parameter has no path, but its trait has; what has
                // none either is the standard library's.
                match named.iter().find(|name| name.contains("::")) {
                    Some(whose) => names.extend(path(whose)),
                    None => names.extend(["core", inner]),
                }
            }
        } else if !part.starts_with('{') && !is_hash(part) {
            names.push(part.split('<').next().unwrap_or(part));
        }
    }
    names
}

/// Whether `name` is what a compiler adds to tell namesakes apart, which perf leaves in place.
fn is_hash(name: &str) -> bool {
    name.strip_prefix('h')
        .is_some_and(|hash| hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()))
}

/// The parts of `text` between the `separator`s that no bracket encloses.
fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' | '[' | '{' => depth += 1,
            // Not the arrow of a function's type.
            '>' if text[..at].ends_with('-') => {}
            '>' | ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 && at >= start && text[at..].starts_with(separator) => {
                parts.push(&text[start..at]);
                start = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(frames: &[&str], samples: usize) -> Stack {
        let functions = frames.iter().map(|frame| frame.to_string()).collect();
        Stack { functions, inlined: Vec::new(), samples }
    }

    #[test]
    fn names_lose_types_closures_and_most_of_their_path() {
        for (symbol, expected) in [
            ("mnist_train::stages::fused::cell_row::CellRow::convolve", "CellRow::convolve"),
            ("<mnist_train::stages::gemm::Gemm as a::Kernels>::adam::{{closure}}", "Gemm::adam"),
            ("<a::Engine<b::Avx512> as c::Engine>::step", "Engine::step"),
            ("<usize as core::iter::Sum>::sum::<core::iter::Map<I, F>>", "Sum::sum"),
            ("<usize>::checked_sub", "usize::checked_sub"),
            ("<S as a::products::Products>::multiply_add", "Products::multiply_add"),
            ("a::Engine<S>::forward::{closure#0}", "Engine::forward"),
            ("a::b::c::h0123456789abcdef", "b::c"),
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
            "<mnist_train::stages::naive::Naive as K>::maxpool2d_forward",
            "<core::slice::Chunks<T> as core::iter::Iterator>::next",
        ];
        let folded = Folded::of(&[
            stack(&[main.as_slice(), &phase[..1]].concat(), 3),
            stack(&[pool.as_slice(), &phase].concat(), 4),
            stack(&pool, 2),
            stack(&main[..1], 100),
            stack(&["clone3", "start_thread", "mnist_train::commands::signals::wait"], 100),
            stack(&["start_thread", "rayon_core::job::run", "mnist_train::data::idx::read"], 100),
        ]);
        assert_eq!(
            folded.lines("gemm"),
            "gemm;conv forward;Naive::maxpool2d_forward 7\ngemm;waiting 2\n"
        );
        assert_eq!(folded.lines_below_entries("step"), "step;conv forward 7\nstep;waiting 2\n");
        assert_eq!((folded.samples(), folded.of_part(Part::Waiting)), (9, 2));
        assert_eq!(folded.top_functions(), [("Naive::maxpool2d_forward", 7), ("waiting", 2)]);
    }

    #[test]
    fn what_was_inlined_stands_on_its_function_without_what_kernels_are_made_of() {
        let mut sampled = stack(&["<a::Naive as K>::conv2d_forward"], 2);
        sampled.inlined = [
            "mnist_train::nn::conv2d::forward",
            "<mnist_train::nn::TensorView<T, 4>>::offset",
            "<usize as core::iter::Sum>::sum",
            "<usize>::checked_add",
            "<mnist_train::simd::avx2::Avx2 as mnist_train::simd::Simd>::add",
            "<S as mnist_train::stages::fused::products::Products>::multiply_add",
        ]
        .map(String::from)
        .to_vec();
        assert_eq!(
            Folded::of(&[sampled]).lines("s"),
            "s;conv forward;Naive::conv2d_forward;conv2d::forward;TensorView::offset 2\n"
        );
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
