//! How much memory the program has needed, and how much it may have.

use std::fs;

use crate::error::{Error, Result};

/// The most memory that this process has had in RAM at once; `None` where the operating system does
/// not say, which is everywhere but on Linux.
///
/// Not `getrusage`: on Linux its maximum is handed down from the process that started this one.
pub fn peak_rss_bytes() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The memory that the program can have without taking it from others, in bytes: what Linux says is
/// available, or what the control group that it runs in may have, if that is less. `None` where the
/// operating system does not say.
pub fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|facts| kibibytes(&facts, "MemAvailable:"));
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|most| most.trim().parse().ok());
    machine.into_iter().chain(group).min()
}

/// Refuses a run that is sure to be ended by the operating system, which does so without a word.
///
/// # Errors
/// When fewer than the `needed` bytes are [available](available_bytes).
pub fn check_available(needed: u64) -> Result<()> {
    match available_bytes() {
        Some(available) if available < needed => Err(Error::Unavailable(format!(
            "this network and --batch-size need at least {} MB of memory, and {} MB are available: \
             choose smaller ones",
            needed.div_ceil(1_000_000),
            available / 1_000_000,
        ))),
        _ => Ok(()),
    }
}

/// The value of `field`, in bytes, among lines like `field  123 kB`.
fn kibibytes(lines: &str, field: &str) -> Option<u64> {
    let value = lines.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(1024 * kibibytes)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn something_is_available_and_no_more_than_the_machine_has() {
        let total = kibibytes(&fs::read_to_string("/proc/meminfo").unwrap(), "MemTotal:").unwrap();
        assert!((1..=total).contains(&available_bytes().unwrap()));
    }

    #[test]
    fn a_run_that_cannot_fit_is_refused() {
        check_available(1).unwrap();
        let error = check_available(1 << 60).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        let words = ["at least 1152921504607 MB of memory", "--batch-size", "are available"];
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }

    #[test]
    fn memory_that_was_written_to_counts_after_it_is_freed() {
        let before = peak_rss_bytes().unwrap();
        const BYTES: usize = 64 << 20;
        // More than the present peak may be below the past one.
        drop(std::hint::black_box(vec![1_u8; BYTES + before as usize]));
        assert!(peak_rss_bytes().unwrap() >= before + BYTES as u64);
    }
}
