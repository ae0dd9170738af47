//! mnist-train
fn main() {}
