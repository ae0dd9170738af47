//! Facts about the machine that decide how fast a stage can be.

use std::thread;

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

/// Threads that can run at once, as far as this process may use them; 1 where that is not known.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn features() -> Vec<&'static str> {
    [
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
