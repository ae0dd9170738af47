//! Compiles the compiler's version and flags into the program, for its records of measurements.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var_os("RUSTC").expect("cargo names the compiler");
    let version = Command::new(rustc).arg("--version").output().expect("the compiler runs");
    let version = String::from_utf8_lossy(&version.stdout);
    // Cargo separates the flags by 0x1f.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().replace('\u{1f}', " ");
    println!("cargo::rustc-env=BUILT_BY={}", version.trim());
    println!("cargo::rustc-env=BUILT_WITH_RUSTFLAGS={flags}");
    println!("cargo::rerun-if-changed=build.rs");
}
