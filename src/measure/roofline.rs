//! The limits of the machine, by which a timing can be judged: the largest rates of arithmetic and
//! of memory traffic of some threads together (Williams, Waterman & Patterson, "Roofline", 2009),
//! and the shortest time in which threads hand work to each other.
//!
//! They are measured in the process that also times the stages. A data sheet does not tell them,
//! because the clock rate depends on the instructions and on other programs.

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

/// Sizes of the arrays that are read and written: about the size of all weights and moments, and a
/// size that fits into no cache of a desktop.
const ARRAYS_BYTES: [usize; 2] = [10_000_000, 100_000_000];
/// Duration of one try: short, so that some tries find all cores free on a busy machine.
const TRY: Duration = Duration::from_millis(1);
/// Number of items of an empty round of a team.
const EMPTY_ITEMS: usize = 14;
/// Number of tries; the best one counts.
const TRIES: usize = 20;

/// Limits of this machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Roofline {
    /// Largest rates of arithmetic, one for each instruction set, precision and thread count.
    pub peaks: Vec<Peak>,
    /// Largest rates of memory traffic, one for each thread count and array size.
    pub streams: Vec<Stream>,
    /// Shortest times to hand out work, one for each thread count.
    pub handovers: Vec<Handover>,
}

impl Roofline {
    /// Measures the limits for each of `thread_counts` and each instruction set that the CPU has;
    /// takes about 0.1 s for each combination.
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

    /// Takes every limit from `other`, measured with the same thread counts, where it is better
    /// there: a disturbance only makes a measurement worse.
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

    /// Peak of `isa`, `precision` and `threads` in 10⁹ floating-point operations a second; `None`
    /// if it was not measured.
    pub fn peak_gflops(&self, isa: Isa, precision: &str, threads: usize) -> Option<f64> {
        let is_it =
            |peak: &&Peak| (peak.isa, peak.precision, peak.threads) == (isa, precision, threads);
        self.peaks.iter().find(is_it).map(|peak| peak.gflops)
    }

    /// Rate of reading and writing the smallest of the measured arrays by `threads` threads, in 10⁹
    /// bytes a second; `None` if it was not measured.
    pub fn stream_gbytes(&self, threads: usize) -> Option<f64> {
        let is_it = |stream: &&Stream| stream.threads == threads;
        self.streams.iter().find(is_it).map(|stream| stream.gbytes_per_second)
    }
}

/// Largest rate of multiply-adds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Peak {
    /// Vector instructions of the multiply-adds.
    pub isa: Isa,
    /// Format of the factors, `f32` or `bf16`.
    pub precision: &'static str,
    /// Number of threads that compute at the same time.
    pub threads: usize,
    /// Rate of all threads together, in 10⁹ floating-point operations a second.
    pub gflops: f64,
}

/// Largest rate of memory traffic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stream {
    /// Number of threads that read and write at the same time.
    pub threads: usize,
    /// Size of the arrays of all threads together, in bytes.
    pub array_bytes: usize,
    /// Rate of all threads together, in 10⁹ bytes read or written a second.
    pub gbytes_per_second: f64,
}

/// Shortest time to hand out work and to wait until it is done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Handover {
    /// Number of threads of the team.
    pub threads: usize,
    /// Time of an empty round in microseconds: 14 items, as many as a step has rows of cells, with
    /// no work in them.
    pub microseconds: f64,
}

/// Time in microseconds of an empty round of a team of `threads` threads.
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

/// Largest rate of `threads` threads, in 10⁹ floating-point operations a second.
///
/// # Errors
/// When the operating system refuses to start `threads` threads.
fn peak_gflops(multiply_adds: MultiplyAdds, threads: usize) -> Result<f64> {
    let repetitions = count_for(TRY, |count| multiply_adds.repeat(count));
    let seconds = best_seconds(threads, || (), |()| multiply_adds.repeat(repetitions))?;
    Ok((threads as u64 * repetitions * multiply_adds.flops) as f64 / seconds / 1e9)
}

/// Largest rate, in 10⁹ bytes a second, at which `threads` threads read and write arrays of `bytes`
/// bytes together.
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

/// Number of repetitions of `work` that take `time`.
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

/// Shortest time in seconds in which `threads` threads do `work`, from the first start to the last
/// end. Each thread works on its own value, made by `prepare` before the time is taken.
///
/// # Errors
/// When the operating system refuses to start a thread.
fn best_seconds<T>(
    threads: usize,
    prepare: impl Fn() -> T + Sync,
    work: impl Fn(&mut T) + Sync,
) -> Result<f64> {
    let arrived = AtomicUsize::new(0);
    let run = || {
        let mut own = prepare();
        let one_try = |number: usize| {
            // A thread that slept or yielded here would start late.
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
                // The running threads wait for all threads: let them go on.
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
    fn every_limit_is_measured_and_the_better_of_two_measurements_is_kept() {
        let mut found = Roofline::measure(&[1, 2]).unwrap();
        for isa in Isa::ALL {
            for threads in [1, 2] {
                let peak = found.peak_gflops(isa, "f32", threads);
                assert_eq!(peak.is_some(), isa.is_available(), "{isa}");
                assert!(peak.is_none_or(|gflops| gflops > 0.0 && gflops.is_finite()), "{peak:?}");
            }
        }
        assert_eq!(found.streams.len(), 2 * ARRAYS_BYTES.len());
        assert_eq!(found.stream_gbytes(2), Some(found.streams[2].gbytes_per_second));
        assert_eq!(found.stream_gbytes(3), None);
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
