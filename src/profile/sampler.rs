//! Call stacks of the whole process, taken by pprof at a rate of its CPU time.
//!
//! # Which unwinder
//! pprof has three. Each was put to the gate, `tests/sampler.rs`, on 1, 2 and 8 threads:
//!
//! | feature | a spinning leaf is on top of | 70 % of the work | every stage, 20 times |
//! |---|---|---|---|
//! | `framehop-unwinder` | 100 %, 100 %, 100 % | 71.0 %, 69.0 %, 70.2 % | ends as undisturbed |
//! | none (libgcc's) | 100 %, 100 %, 100 % | 69.4 %, 69.2 %, 70.6 % | ends as undisturbed |
//! | `frame-pointer` | no stack reaches it | no stack reaches it | ends as undisturbed |
//!
//! The last one needs a program with frame pointers, which a release is not, and begins with a
//! return address, so that a function that calls nothing would be missing even there. Between the
//! others the gate does not decide. The first reads the interrupted registers and tables that it
//! has made before; the second runs libgcc's unwinder within a signal, of which crashes are
//! reported. So it is the first.
//!
//! What the chosen one needs is kept here:
//!
//! 1. **It makes its tables within the first signal**, and allocates. A signal that interrupts the
//!    allocator would wait for ever; so the thread that starts the sampler does nothing but
//!    arithmetic until the first signals have come.
//! 2. **Stacks are told apart by their functions, not by their addresses.** Of all samples with the
//!    same functions only the first address is kept, so what was inlined there says nothing about
//!    the others. Only functions that exist in the program's machine code are told. Their names
//!    come from its symbol table, which every release has, so nothing is added to it.
//! 3. **On aarch64 it begins with the link register**, by its source: the innermost function is
//!    missing there. It was not tried.

use std::hint::black_box;

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
        let stack = |(frames, &samples): (&pprof::Frames, &isize)| {
            // The last symbol of a frame is the function, those before it were inlined there.
            let functions = frames.frames.iter().rev().filter_map(|inlined| inlined.last());
            Stack {
                frames: functions.map(pprof::Symbol::name).collect(),
                samples: usize::try_from(samples).expect("a count"),
            }
        };
        Ok(report.data.iter().map(stack).collect())
    }
}

/// Lets the first signals come while no thread of ours can be in the allocator.
#[inline(never)]
fn settle() {
    let spin = |x: u64, _| black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    black_box((0..SETTLING_STEPS).fold(1, spin));
}
