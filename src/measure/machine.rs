//! Facts about the machine that limit the speed of a stage.

use std::fs;
use std::thread;
use std::time::SystemTime;

use serde::Serialize;

/// Instruction set and number of threads of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Name of the instruction set, like `x86_64`.
    pub architecture: &'static str,
    /// Vector extensions of the CPU that this program or its library for matrix products can use.
    pub features: Vec<&'static str>,
    /// Number of threads that can run at once and that this process may use.
    pub threads: usize,
}

impl Machine {
    /// The machine that this process runs on.
    pub fn detect() -> Self {
        Self { architecture: std::env::consts::ARCH, features: features(), threads: threads() }
    }
}

/// Circumstances of a measurement: the machine, the time and the build of the program.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Environment {
    /// Machine that the process runs on.
    #[serde(flatten)]
    pub machine: Machine,
    /// Name of the CPU; `None` outside Linux.
    pub cpu: Option<String>,
    /// Version of the operating system's kernel; `None` outside Linux.
    pub kernel: Option<String>,
    /// Mean number of runnable processes over the last minute; `None` outside Linux.
    pub load_average: Option<f64>,
    /// Time of the measurement in seconds since 1970.
    pub unix_seconds: u64,
    /// Version of the compiler that built the program.
    pub rustc: &'static str,
    /// Compiler flags beyond the settings in Cargo.toml.
    pub rustflags: &'static str,
    /// Whether the program was built without debug assertions, which cost time.
    pub release: bool,
}

impl Environment {
    /// The circumstances of this process, now.
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

/// Text of a file that Linux provides at `path`; `None` if there is no such file.
fn contents(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().into())
}

/// Number of threads that can run at once and that this process may use; 1 if it is unknown.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Names of the vector extensions that the CPU has.
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
    use crate::simd::Isa;

    Isa::Neon.is_available().then_some("neon").into_iter().collect()
}
