//! The sampler, which takes call stacks of the whole process with pprof, at a fixed rate per second
//! of CPU time.
//!
//! # Which unwinder
//! pprof has three unwinders. Each was tested with `tests/sampler.rs`:
//!
//! - `framehop-unwinder` passes the test.
//! - libgcc's unwinder, which pprof uses without a feature, passes it too.
//! - `frame-pointer` fails: no stack contains the function that spins. It needs a program with frame
//!   pointers, which a release build does not have. It also begins with a return address, so that it
//!   would miss a function that calls nothing even in a program with frame pointers.
//!
//! The sampler uses the first unwinder, which only reads the interrupted registers, and tables that
//! it has made before. The second unwinder runs code of libgcc in a signal handler, and there are
//! reports of crashes there. docs/PROFILING.md has figures of the first unwinder alone.
//!
//! The chosen unwinder has these needs and limits:
//!
//! 1. **It makes its tables in the first signal**, and allocates memory for them. If the signal
//!    interrupted the allocator, the process would wait for ever. So the thread that starts the
//!    sampler does nothing but arithmetic until the first signals have come.
//! 2. **pprof keeps one address for all samples with the same functions**. Inlined functions at the
//!    addresses of the remaining samples are unknown. So stacks contain only functions of the machine
//!    code, and no inlined ones.
//! 3. **On aarch64 it begins with the link register**, according to its source code, so the
//!    innermost function is missing. This was not tested.

use std::env;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;

use pprof::{ProfilerGuard, ProfilerGuardBuilder};

use super::stacks::Stack;

/// Number of samples per second of CPU time that the sampler asks for. Linux checks the CPU time of
/// a process once in a tick of each core, so it gives no more samples than ticks, often 250 a
/// second.
pub const RATE_HZ: i32 = 250;
/// Number of steps of arithmetic that take about 100 ms, in which several signals come even at a
/// tick rate of 100 Hz.
const SETTLING_STEPS: u64 = 1 << 26;

/// Sampler at work. A process can have only one at a time.
pub struct Sampler {
    guard: ProfilerGuard<'static>,
}

impl Sampler {
    /// Starts to sample all threads.
    ///
    /// # Errors
    /// When the operating system refuses, or another sampler is at work.
    pub fn start() -> Result<Self, pprof::Error> {
        let guard = ProfilerGuardBuilder::default().frequency(RATE_HZ).build()?;
        settle();
        Ok(Self { guard })
    }

    /// Call stacks that were sampled since the start, in no particular order.
    ///
    /// # Errors
    /// When pprof cannot read the file into which it puts rare stacks.
    pub fn stacks(&self) -> Result<Vec<Stack>, pprof::Error> {
        let report = self.guard.report().build()?;
        Ok(report.data.iter().map(|(frames, &samples)| stack(&frames.frames, samples)).collect())
    }
}

/// Guard that removes [pprof's temporary file](remove_left_over) when it is dropped.
pub struct LeftOver;

impl Drop for LeftOver {
    fn drop(&mut self) {
        remove_left_over();
    }
}

/// Removes the temporary file into which pprof writes rare stacks. pprof holds the file until the
/// process ends, and so never removes it. A sampler must not be used afterwards. This works only on
/// Linux, where a process can list its open files.
pub fn remove_left_over() {
    let is_pprofs = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        path.parent() == env::temp_dir().canonicalize().ok().as_deref()
            && name.strip_prefix(".tmp").is_some_and(|random| random.len() == 6)
    };
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    // The first three descriptors are stdin, stdout and stderr, whose files may have any name.
    let own = open.filter(|file| !["0", "1", "2"].map(Into::into).contains(&file.file_name()));
    for path in own.filter_map(|file| fs::read_link(file.path()).ok()).filter(is_pprofs) {
        _ = fs::remove_file(path);
    }
}

/// Stack of `frames`, which begin with the innermost frame. The last symbol of a frame is its
/// function; the symbols before it were inlined at one of the frame's addresses.
fn stack(frames: &[Vec<pprof::Symbol>], samples: isize) -> Stack {
    let function = |frame: &Vec<pprof::Symbol>| frame.last().map(pprof::Symbol::name);
    Stack {
        functions: frames.iter().rev().filter_map(function).collect(),
        samples: usize::try_from(samples).expect("a count"),
    }
}

/// Waits for the first signals while no thread of this program can be in the allocator.
#[inline(never)]
fn settle() {
    let spin = |x: u64, _| black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    black_box((0..SETTLING_STEPS).fold(1, spin));
}
