//! How much memory the program has needed, and how much it may have.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// The most memory that this process has had in RAM at once; `None` where the operating system does
/// not say, which is everywhere but on Linux.
///
/// Not `getrusage`: on Linux its maximum is handed down from the process that started this one.
pub fn peak_rss_bytes() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The memory that the program can have without taking it from others, in bytes: what Linux says is
/// available, or what the control groups that it runs in may have, if that is less. `None` where
/// the operating system does not say.
pub fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|facts| kibibytes(&facts, "MemAvailable:"));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine.into_iter().chain(most_of_groups(Path::new("/sys/fs/cgroup"), &groups)).min()
}

/// The most that the control group of version 2 among `groups`, and those that it is part of, may
/// have; they stand as folders below `root`.
fn most_of_groups(root: &Path, groups: &str) -> Option<u64> {
    let own = root.join(groups.lines().find_map(|line| line.strip_prefix("0::/"))?);
    let all = own.ancestors().take_while(|folder| folder.starts_with(root));
    let most = all.filter_map(|folder| fs::read_to_string(folder.join("memory.max")).ok());
    most.filter_map(|most| most.trim().parse().ok()).min()
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
    fn the_least_of_all_control_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("system/run");
        fs::create_dir_all(&own).unwrap();
        let most = || most_of_groups(root.path(), "1:cpu:/other\n0::/system/run\n");
        assert_eq!(most(), None);
        fs::write(own.join("memory.max"), "max\n").unwrap();
        fs::write(root.path().join("system/memory.max"), "500000000\n").unwrap();
        assert_eq!(most(), Some(500_000_000));
        fs::write(own.join("memory.max"), "4096\n").unwrap();
        assert_eq!(most(), Some(4096));
        assert_eq!(most_of_groups(root.path(), ""), None);
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
