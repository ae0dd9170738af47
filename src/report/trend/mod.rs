//! The page of `mnist-train report trend`: how the results of `bench all` have changed from record to
//! record.

pub mod page;
pub mod record;
mod spark;
pub mod steps;
#[cfg(test)]
mod tests;
