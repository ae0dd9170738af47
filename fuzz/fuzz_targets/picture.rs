#![no_main]

#[path = "../checks.rs"]
#[allow(dead_code)] // Each target uses one function.
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::picture(bytes));
