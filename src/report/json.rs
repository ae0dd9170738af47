//! One JSON object a line.

use super::Event;

/// `event` as a line, without its end.
pub fn line(event: &Event) -> String {
    serde_json::to_string(event).expect("plain data")
}
