//! Points of a stroke.

/// (x, y), y downwards.
pub type Point = [f32; 2];

/// (x, y, pressure): a point of a stroke, and how broad the stroke is there, in parts of the pen's
/// breadth.
pub type Touch = [f32; 3];
