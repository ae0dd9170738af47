//! Facts about the machine that limit the speed of a stage.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::thread;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::ranks::launched;

/// Instruction set and number of threads of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Name of the instruction set, like `x86_64`.
    pub architecture: &'static str,
    /// Vector extensions of the CPU that this program or its library for matrix products can use.
    pub features: Vec<&'static str>,
    /// Number of threads that can run at once and that this process may use.
    pub threads: usize,
    /// Arrangement of the CPUs that this process may use; `None` where the system does not tell it,
    /// as outside Linux.
    pub topology: Option<Topology>,
}

impl Machine {
    /// The machine that this process runs on.
    pub fn detect() -> Self {
        Self {
            architecture: std::env::consts::ARCH,
            features: features(),
            threads: threads(),
            topology: Topology::detect(),
        }
    }
}

/// Arrangement of the CPUs that a process may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// Number of cores. A core may run several threads, which share its arithmetic units.
    pub cores: usize,
    /// Number of third-level caches. A core takes long to read what lies in another one's cache.
    pub l3_caches: usize,
    /// Whether the CPU says that a hypervisor runs the system, which may share the CPUs with others
    /// and hide how they lie. Only x86 CPUs can say so.
    pub virtual_machine: bool,
}

impl Topology {
    /// Topology of the CPUs that this process may use, if the system tells it.
    fn detect() -> Option<Self> {
        let cpus = allowed_cpus()?;
        // The same text for CPUs that share a core or a cache.
        let distinct = |file: &str| {
            let of_cpu = |cpu| contents(&format!("/sys/devices/system/cpu/cpu{cpu}/{file}"));
            Some(cpus.iter().map(of_cpu).collect::<Option<BTreeSet<_>>>()?.len())
        };
        let flags = contents("/proc/cpuinfo").unwrap_or_default();
        Some(Self {
            cores: distinct("topology/thread_siblings_list")?,
            // A CPU without this cache has no such file.
            l3_caches: distinct("cache/index3/shared_cpu_list").unwrap_or(0),
            virtual_machine: flags.split_ascii_whitespace().any(|word| word == "hypervisor"),
        })
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, l3_caches, virtual_machine } = *self;
        let plural = |count| if count == 1 { "" } else { "s" };
        write!(f, "{cores} core{}, {l3_caches} L3 cache{}", plural(cores), plural(l3_caches))?;
        if virtual_machine { write!(f, ", virtual machine") } else { Ok(()) }
    }
}

/// Numbers of a list of CPUs in Linux's form, like `0-3,8`; `None` for another text.
fn cpus(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        cpus.extend(first..=last);
    }
    Some(cpus)
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
        Self {
            machine: Machine::detect(),
            cpu,
            kernel: contents("/proc/sys/kernel/osrelease"),
            load_average: load,
            unix_seconds: unix_seconds(),
            rustc: env!("BUILT_BY"),
            rustflags: env!("BUILT_WITH_RUSTFLAGS"),
            release: !cfg!(debug_assertions),
        }
    }
}

/// Time in seconds since 1970, for the date of a file or a record; durations are not taken from it.
pub fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

/// Text of a file that Linux provides at `path`; `None` if there is no such file.
fn contents(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().into())
}

/// Number of threads that can run at once and that this process may use; 1 if it is unknown. Processes that
/// a launcher of MPI started on this machine share its CPUs, unless each is bound to its own.
pub fn threads() -> usize {
    let available = thread::available_parallelism().map_or(1, usize::from);
    let ranks = launched::on_this_machine();
    match allowed_cpus().zip(online_cpus()) {
        Some((allowed, online)) if allowed.len() * ranks <= online.len() => available,
        _ => (available / ranks).max(1),
    }
}

/// Numbers of the CPUs that this process may use, where the system tells it.
fn allowed_cpus() -> Option<Vec<usize>> {
    let status = contents("/proc/self/status")?;
    cpus(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim())
}

/// Numbers of all CPUs that run, where the system tells it.
fn online_cpus() -> Option<Vec<usize>> {
    cpus(&contents("/sys/devices/system/cpu/online")?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read() {
        assert_eq!(cpus("0"), Some(vec![0]));
        assert_eq!(cpus("0-2,8,10-11"), Some(vec![0, 1, 2, 8, 10, 11]));
        assert_eq!(cpus(""), None);
        assert_eq!(cpus("0-x"), None);
    }

    #[test]
    fn a_topology_says_how_many_share_what() {
        let one = Topology { cores: 1, l3_caches: 1, virtual_machine: false };
        assert_eq!(one.to_string(), "1 core, 1 L3 cache");
        let two = Topology { cores: 4, l3_caches: 2, virtual_machine: true };
        assert_eq!(two.to_string(), "4 cores, 2 L3 caches, virtual machine");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn there_are_no_more_cores_than_cpus_and_no_more_caches_than_cores() {
        let Machine { threads, topology, .. } = Machine::detect();
        // Some containers hide it.
        let Some(topology) = topology else { return };
        let status = contents("/proc/self/status").unwrap();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let allowed = cpus(allowed.unwrap().trim()).unwrap().len();
        assert!(threads <= allowed);
        assert!((1..=allowed).contains(&topology.cores), "{topology}");
        assert!(topology.l3_caches <= topology.cores, "{topology}");
    }
}
