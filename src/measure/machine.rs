//! Facts about the machine that decide how fast a stage can be.

use std::fs;
use std::thread;
use std::time::SystemTime;

use serde::Serialize;

/// What work can be shared over, and how wide it can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Of the instruction set.
    pub architecture: &'static str,
    /// Vector extensions that this program, or the library it hands products to, has code for.
    pub features: Vec<&'static str>,
    /// Threads that can run at once, as far as this process may use them.
    pub threads: usize,
}

impl Machine {
    /// This machine.
    pub fn detect() -> Self {
        Self { architecture: std::env::consts::ARCH, features: features(), threads: threads() }
    }
}

/// What else a reader needs to judge a measurement: where, when, by what program.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Environment {
    /// The machine.
    #[serde(flatten)]
    pub machine: Machine,
    /// Its CPU as the operating system calls it, where it does.
    pub cpu: Option<String>,
    /// Version of the operating system's kernel, likewise.
    pub kernel: Option<String>,
    /// Programs that wanted to run, a mean over the last minute, likewise.
    pub load_average: Option<f64>,
    /// Now, since 1970.
    pub unix_seconds: u64,
    /// The compiler.
    pub rustc: &'static str,
    /// What it was told beyond Cargo.toml.
    pub rustflags: &'static str,
    /// Whether overflow checks and assertions, which cost time, were left out.
    pub release: bool,
}

impl Environment {
    /// Of this process.
    pub fn detect() -> Self {
        let cpu = contents("/proc/cpuinfo").and_then(|text| {
            let value = text.lines().find_map(|line| line.strip_prefix("model name"))?;
            Some(value.trim_start_matches([' ', '\t', ':']).into())
        });
        let load = contents("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            machine: Machine::detect(),
            cpu,
            kernel: contents("/proc/sys/kernel/osrelease"),
            load_average: load,
            unix_seconds: now.map_or(0, |since| since.as_secs()),
            rustc: env!("BUILT_BY"),
            rustflags: env!("BUILT_WITH_RUSTFLAGS"),
            release: !cfg!(debug_assertions),
        }
    }
}

/// What Linux says in the file `path`.
fn contents(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().into())
}

/// Threads that can run at once, as far as this process may use them; 1 where that is not known.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn features() -> Vec<&'static str> {
    [
        ("avx512_bf16", is_x86_feature_detected!("avx512bf16")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
    ]
    .into_iter()
    .filter_map(|(name, detected)| detected.then_some(name))
    .collect()
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}
