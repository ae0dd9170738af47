//! Call stacks of the whole process, taken by pprof at a rate of its CPU time.
//!
//! # Which unwinder
//! pprof has three. Each was put to the gate, `tests/sampler.rs`:
//!
//! - `framehop-unwinder` passes it.
//! - libgcc's, without a feature, passes it too.
//! - `frame-pointer` fails: no stack reaches a function that spins. It needs a program with frame
//!   pointers, which a release is not, and begins with a return address, so that a function that
//!   calls nothing would be missing even there.
//!
//! Between the first two the gate does not decide. The first reads the interrupted registers and
//! tables that it has made before; the second runs libgcc's unwinder within a signal, of which
//! crashes are reported. So it is the first; docs/PROFILING.md has figures of it alone.
//!
//! What the chosen one needs is kept here, and what it cannot do:
//!
//! 1. **It makes its tables within the first signal**, and allocates. A signal that interrupts the
//!    allocator would wait for ever; so the thread that starts the sampler does nothing but
//!    arithmetic until the first signals have come.
//! 2. **pprof keeps one address for all samples with the same functions**, which says nothing about
//!    what was inlined where the others were. So only functions of the machine code are told.
//! 3. **On aarch64 it begins with the link register**, by its source: the innermost function is
//!    missing there. It was not tried.

use std::env;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;

use pprof::{ProfilerGuard, ProfilerGuardBuilder};

use super::stacks::Stack;

/// Samples a second of CPU time that are asked for. Linux looks at the clock of a process once in a
/// tick of each core, so more than its tick rate, often 250, cannot be had.
pub const RATE_HZ: i32 = 250;
/// Steps of arithmetic, some 100 ms: several signals even at a tick rate of 100.
const SETTLING_STEPS: u64 = 1 << 26;

/// A sampler at work. There can be one in a process at a time.
pub struct Sampler {
    guard: ProfilerGuard<'static>,
}

impl Sampler {
    /// Samples all threads from now on.
    ///
    /// # Errors
    /// When the operating system refuses, or a sampler is at work already.
    pub fn start() -> Result<Self, pprof::Error> {
        let guard = ProfilerGuardBuilder::default().frequency(RATE_HZ).build()?;
        settle();
        Ok(Self { guard })
    }

    /// Every call stack that was met since the start, in no order.
    ///
    /// # Errors
    /// When pprof cannot read the file into which it puts rare stacks.
    pub fn stacks(&self) -> Result<Vec<Stack>, pprof::Error> {
        let report = self.guard.report().build()?;
        Ok(report.data.iter().map(|(frames, &samples)| stack(&frames.frames, samples)).collect())
    }
}

/// Removes, when it is dropped, [what pprof leaves behind](remove_left_over).
pub struct LeftOver;

impl Drop for LeftOver {
    fn drop(&mut self) {
        remove_left_over();
    }
}

/// Removes the temporary file into which pprof puts rare stacks: what holds it lives as long as the
/// process, which therefore never removes it. No sampler works afterwards. Only Linux says what a
/// process has open.
pub fn remove_left_over() {
    let is_pprofs = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        path.parent() == env::temp_dir().canonicalize().ok().as_deref()
            && name.strip_prefix(".tmp").is_some_and(|random| random.len() == 6)
    };
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    // The first three are what this process was given, which may have any name.
    let own = open.filter(|file| !["0", "1", "2"].map(Into::into).contains(&file.file_name()));
    for path in own.filter_map(|file| fs::read_link(file.path()).ok()).filter(is_pprofs) {
        _ = fs::remove_file(path);
    }
}

/// The stack of `frames`, the innermost first, each of which ends with its function and begins with
/// what was inlined at one of its addresses.
fn stack(frames: &[Vec<pprof::Symbol>], samples: isize) -> Stack {
    let function = |frame: &Vec<pprof::Symbol>| frame.last().map(pprof::Symbol::name);
    Stack {
        functions: frames.iter().rev().filter_map(function).collect(),
        samples: usize::try_from(samples).expect("a count"),
    }
}

/// Lets the first signals come while no thread of ours can be in the allocator.
#[inline(never)]
fn settle() {
    let spin = |x: u64, _| black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    black_box((0..SETTLING_STEPS).fold(1, spin));
}
