//! Results as JSON, one object on each line.

use super::Event;

/// `event` as one line of JSON, without a line end.
pub fn line(event: &Event) -> String {
    serde_json::to_string(event).expect("plain data")
}
