//! The page of a run, by `mnist-train report`: curves, mistakes, the network, and a pad on which
//! the reader draws for the trained network.

mod curves;
mod network;
pub mod page;
mod pictures;
pub mod result;
mod tables;
