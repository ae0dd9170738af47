//! The machine's limits, to judge a figure by: the most arithmetic and the most memory traffic that
//! some threads manage together (Williams, Waterman & Patterson, "Roofline", 2009), and the least
//! time in which they hand work to each other.
//!
//! Measured in the same process as the claim, because they are not what a data sheet says: clocks
//! depend on the instructions and on the neighbours.

use std::hint::{self, black_box};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::simd::Isa;
use crate::simd::peak::{MultiplyAdds, read_and_write};
use crate::team::{Order, Team};

/// Sizes of the arrays that are streamed: about that of weights and moments together, and one that
/// no cache of a desktop holds.
const ARRAYS_BYTES: [usize; 2] = [10_000_000, 100_000_000];
/// How long one try takes: short, so that some of them find all cores free on a busy machine.
const TRY: Duration = Duration::from_millis(1);
/// Items of a round of a team that has nothing to do.
const EMPTY_ITEMS: usize = 14;
/// The best of so many counts.
const TRIES: usize = 20;

/// The limits of this machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Roofline {
    /// Of arithmetic.
    pub peaks: Vec<Peak>,
    /// Of memory.
    pub streams: Vec<Stream>,
    /// Of working together.
    pub handovers: Vec<Handover>,
}

impl Roofline {
    /// With each of `thread_counts`, in every set of instructions that the CPU has; takes some
    /// 0.1 s for each of them.
    ///
    /// # Errors
    /// When the operating system refuses to start so many threads.
    pub fn measure(thread_counts: &[usize]) -> Result<Self> {
        let (mut peaks, mut streams, mut handovers) = (Vec::new(), Vec::new(), Vec::new());
        for &threads in thread_counts {
            let sets = Isa::ALL.into_iter().filter(|isa| isa.is_available());
            let in_f32 = sets.map(|isa| (isa, "f32", MultiplyAdds::f32(isa)));
            let in_bf16 = MultiplyAdds::bf16().map(|kernel| (Isa::Avx512, "bf16", kernel));
            for (isa, precision, kernel) in in_f32.chain(in_bf16) {
                let gflops = peak_gflops(kernel, threads)?;
                peaks.push(Peak { isa, precision, threads, gflops });
            }
            for array_bytes in ARRAYS_BYTES {
                let gbytes_per_second = stream_gbytes(Isa::detect(), array_bytes, threads)?;
                streams.push(Stream { threads, array_bytes, gbytes_per_second });
            }
            handovers.push(Handover { threads, microseconds: handover_microseconds(threads)? });
        }
        Ok(Self { peaks, streams, handovers })
    }

    /// Keeps the better of two measurements with the same thread counts: what disturbs one only
    /// makes it worse.
    pub fn keep_best(&mut self, other: &Self) {
        for (best, other) in self.peaks.iter_mut().zip(&other.peaks) {
            best.gflops = best.gflops.max(other.gflops);
        }
        for (best, other) in self.streams.iter_mut().zip(&other.streams) {
            best.gbytes_per_second = best.gbytes_per_second.max(other.gbytes_per_second);
        }
        for (best, other) in self.handovers.iter_mut().zip(&other.handovers) {
            best.microseconds = best.microseconds.min(other.microseconds);
        }
    }

    /// The peak that was measured for this, if the CPU can do it.
    pub fn peak_gflops(&self, isa: Isa, precision: &str, threads: usize) -> Option<f64> {
        let is_it =
            |peak: &&Peak| (peak.isa, peak.precision, peak.threads) == (isa, precision, threads);
        self.peaks.iter().find(is_it).map(|peak| peak.gflops)
    }
}

/// The most arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Peak {
    /// The instructions.
    pub isa: Isa,
    /// `f32` or `bf16`.
    pub precision: &'static str,
    /// At once.
    pub threads: usize,
    /// 10⁹ floating-point operations a second.
    pub gflops: f64,
}

/// The most memory traffic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stream {
    /// At once.
    pub threads: usize,
    /// Of all threads together.
    pub array_bytes: usize,
    /// 10⁹ bytes a second, read and written.
    pub gbytes_per_second: f64,
}

/// The least time for handing out work and waiting until it is done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Handover {
    /// Of the team.
    pub threads: usize,
    /// A round of 14 items, as many as a step has rows of cells, with nothing to do.
    pub microseconds: f64,
}

/// Microseconds of a round of a team of `threads` that has nothing to do.
///
/// # Errors
/// When the operating system refuses to start the threads.
fn handover_microseconds(threads: usize) -> Result<f64> {
    let mut team = Team::new(threads).map_err(Error::threads(threads))?;
    let (mut items, order) = ([(); EMPTY_ITEMS], Order::of(EMPTY_ITEMS));
    let mut rounds = |count| {
        (0..count)
            .for_each(|_| team.for_each(&mut items, &order, |index, ()| _ = black_box(index)));
    };
    let count = count_for(TRY, &mut rounds);
    let seconds = |_| {
        let began = Instant::now();
        rounds(count);
        began.elapsed().as_secs_f64()
    };
    Ok(1e6 * (0..TRIES).map(seconds).fold(f64::INFINITY, f64::min) / count as f64)
}

/// 10⁹ floating-point operations a second that `threads` threads do at most.
///
/// # Errors
/// When the operating system refuses to start `threads` threads.
fn peak_gflops(multiply_adds: MultiplyAdds, threads: usize) -> Result<f64> {
    let repetitions = count_for(TRY, |count| multiply_adds.repeat(count));
    let seconds = best_seconds(threads, || (), |()| multiply_adds.repeat(repetitions))?;
    Ok((threads as u64 * repetitions * multiply_adds.flops) as f64 / seconds / 1e9)
}

/// 10⁹ bytes a second that `threads` threads read and write at most, in an array of `bytes` bytes
/// that they share out between them.
///
/// # Errors
/// When the operating system refuses to start `threads` threads.
fn stream_gbytes(isa: Isa, bytes: usize, threads: usize) -> Result<f64> {
    let share = || vec![1.0_f32; bytes / threads / size_of::<f32>()];
    let pass = |values: &mut Vec<f32>| read_and_write(isa, black_box(values));
    let passes = {
        let mut values = share();
        pass(&mut values);
        count_for(TRY, |count| (0..count).for_each(|_| pass(&mut values)))
    };
    let seconds = best_seconds(threads, share, |values| (0..passes).for_each(|_| pass(values)))?;
    Ok(2.0 * (passes * bytes as u64) as f64 / seconds / 1e9)
}

/// How many repetitions of `work` take `time`.
fn count_for(time: Duration, mut work: impl FnMut(u64)) -> u64 {
    let mut count = 1;
    loop {
        let began = Instant::now();
        work(count);
        let taken = began.elapsed();
        if taken >= time / 2 {
            return (count as f64 * time.as_secs_f64() / taken.as_secs_f64()).ceil() as u64;
        }
        count *= 2;
    }
}

/// The least time from when the first of `threads` threads begins `work` on what it has `prepared`
/// to when the last one ends.
///
/// # Errors
/// When the operating system refuses to start one of them.
fn best_seconds<T>(
    threads: usize,
    prepared: impl Fn() -> T + Sync,
    work: impl Fn(&mut T) + Sync,
) -> Result<f64> {
    let arrived = AtomicUsize::new(0);
    let run = || {
        let mut own = prepared();
        let one_try = |number: usize| {
            // Who slept or gave way here would come back late.
            arrived.fetch_add(1, Ordering::Relaxed);
            while arrived.load(Ordering::Relaxed) < (number + 1) * threads {
                hint::spin_loop();
            }
            let began = Instant::now();
            work(&mut own);
            (began, Instant::now())
        };
        (0..TRIES).map(one_try).collect::<Vec<_>>()
    };
    let tries = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, run);
        let running: Vec<_> =
            (0..threads).map(start).collect::<io::Result<_>>().inspect_err(|_| {
                // Those that run already wait for all.
                arrived.fetch_add(TRIES * threads, Ordering::Relaxed);
            })?;
        let finish = |thread: ScopedJoinHandle<'_, _>| thread.join().expect("arithmetic");
        io::Result::Ok(running.into_iter().map(finish).collect::<Vec<_>>())
    });
    let tries = tries.map_err(Error::threads(threads))?;
    let seconds = |one_try: usize| {
        let began = tries.iter().map(|of_thread| of_thread[one_try].0).min();
        let ended = tries.iter().map(|of_thread| of_thread[one_try].1).max();
        (ended.expect("a thread") - began.expect("a thread")).as_secs_f64()
    };
    Ok((0..TRIES).map(seconds).fold(f64::INFINITY, f64::min))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_found_and_the_better_of_two_is_kept() {
        let mut found = Roofline::measure(&[1, 2]).unwrap();
        for isa in Isa::ALL {
            for threads in [1, 2] {
                let peak = found.peak_gflops(isa, "f32", threads);
                assert_eq!(peak.is_some(), isa.is_available(), "{isa}");
                assert!(peak.is_none_or(|gflops| gflops > 0.0 && gflops.is_finite()), "{peak:?}");
            }
        }
        assert_eq!(found.streams.len(), 2 * ARRAYS_BYTES.len());
        let positive = |stream: &Stream| stream.gbytes_per_second > 0.0;
        assert!(found.streams.iter().all(positive), "{found:?}");
        assert_eq!(found.handovers.len(), 2);
        assert!(found.handovers.iter().all(|round| round.microseconds > 0.0), "{found:?}");

        let (mut better, worse) = (found.clone(), found.clone());
        better.peaks[0].gflops *= 2.0;
        better.streams[1].gbytes_per_second *= 2.0;
        better.handovers[1].microseconds /= 2.0;
        found.keep_best(&better);
        assert_eq!(found, better);
        found.keep_best(&worse);
        assert_eq!(found, better);
    }
}
