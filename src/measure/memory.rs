//! Memory that the program has used, and memory that it may still use.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// Largest amount of memory that this process has had in RAM, in bytes; `None` outside Linux.
///
/// It comes from `VmHWM` and not from `getrusage`, whose maximum a process on Linux inherits from
/// the process that started it.
pub fn peak_rss_bytes() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Memory in bytes that the program can use without taking it from other programs: the available
/// memory of the machine or, if it is smaller, the limit of its control groups. `None` outside
/// Linux.
pub fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|facts| kibibytes(&facts, "MemAvailable:"));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine.into_iter().chain(limit_of_groups(Path::new("/sys/fs/cgroup"), &groups)).min()
}

/// Smallest memory limit, in bytes, of the control groups in `groups` and of the groups that contain
/// them. Each group is a folder: of version 2 below `root`, of version 1 below `root/memory`.
fn limit_of_groups(root: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let (top, file, own) = match line.split_once(':')?.1.split_once(":/")? {
            ("", own) => (root.to_path_buf(), "memory.max", own),
            (controllers, own) if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes", own)
            }
            _ => return None,
        };
        let own = top.join(own);
        let all = own.ancestors().take_while(|folder| folder.starts_with(&top));
        let limits = all.filter_map(|folder| fs::read_to_string(folder.join(file)).ok());
        limits.filter_map(|limit| limit.trim().parse().ok()).min()
    });
    limits.min()
}

/// Checks that `needed` bytes of memory are available. Without this check the operating system
/// would kill the program, and say nothing.
///
/// # Errors
/// When fewer than `needed` bytes are [available](available_bytes).
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

/// Value of `field` in bytes, found in lines like `field  123 kB`.
fn kibibytes(lines: &str, field: &str) -> Option<u64> {
    let value = lines.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(1024 * kibibytes)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_available_memory_is_positive_and_at_most_the_memory_of_the_machine() {
        let total = kibibytes(&fs::read_to_string("/proc/meminfo").unwrap(), "MemTotal:").unwrap();
        assert!((1..=total).contains(&available_bytes().unwrap()));
    }

    #[test]
    fn the_smallest_limit_of_all_control_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("system/run");
        fs::create_dir_all(&own).unwrap();
        let limit = || limit_of_groups(root.path(), "1:cpu:/other\n0::/system/run\n");
        assert_eq!(limit(), None);
        fs::write(own.join("memory.max"), "max\n").unwrap();
        fs::write(root.path().join("system/memory.max"), "500000000\n").unwrap();
        assert_eq!(limit(), Some(500_000_000));
        fs::write(own.join("memory.max"), "4096\n").unwrap();
        assert_eq!(limit(), Some(4096));
        assert_eq!(limit_of_groups(root.path(), ""), None);
    }

    #[test]
    fn the_limits_of_both_versions_of_control_groups_count() {
        let root = tempfile::tempdir().unwrap();
        let (job, container) = (root.path().join("memory/jobs/7"), root.path().join("memory"));
        fs::create_dir_all(&job).unwrap();
        let hybrid = "12:cpu,cpuacct:/other\n5:hugetlb,memory:/jobs/7\n1:name=systemd:/\n0::/x\n";
        let limit = || limit_of_groups(root.path(), hybrid);
        assert_eq!(limit(), None);
        // The largest number stands for no limit.
        fs::write(job.join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        fs::write(container.join("memory.limit_in_bytes"), "60000000\n").unwrap();
        assert_eq!(limit(), Some(60_000_000));
        fs::write(root.path().join("memory.max"), "50000000\n").unwrap();
        assert_eq!(limit(), Some(50_000_000));
        // A container sees the path that its group has outside.
        assert_eq!(limit_of_groups(root.path(), "3:memory:/docker/5e\n"), Some(60_000_000));
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
        // The present use may be below the peak so far, so allocate more than the peak.
        drop(std::hint::black_box(vec![1_u8; BYTES + before as usize]));
        assert!(peak_rss_bytes().unwrap() >= before + BYTES as u64);
    }
}
