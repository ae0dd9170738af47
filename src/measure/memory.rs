//! How much memory the program has needed.

use std::fs;

/// The most memory that this process has had in RAM at once; `None` where the operating system does
/// not say, which is everywhere but on Linux.
///
/// Not `getrusage`: on Linux its maximum is handed down from the process that started this one.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let field = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = field.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(1024 * kibibytes)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_written_to_counts_after_it_is_freed() {
        let before = peak_rss_bytes().unwrap();
        const BYTES: usize = 64 << 20;
        // More than the present peak may be below the past one.
        drop(std::hint::black_box(vec![1_u8; BYTES + before as usize]));
        assert!(peak_rss_bytes().unwrap() >= before + BYTES as u64);
    }
}
