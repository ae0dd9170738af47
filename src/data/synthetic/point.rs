//! Points of a stroke.

/// Point (x, y), with y downwards.
pub type Point = [f32; 2];

/// Point of a stroke with the pressure of the pen, (x, y, pressure). The stroke is there `pressure`
/// times as broad as the pen.
pub type Touch = [f32; 3];
