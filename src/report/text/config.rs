//! Settings as text, one a line.

use std::fmt::Write;

use crate::error::escaped;
use crate::report::config::Config;

/// `config` as lines of text, without a line end after the last.
pub fn lines(config: &Config) -> String {
    let mut text = String::new();
    for setting in &config.settings {
        let value = setting.value.as_deref().unwrap_or("-");
        let (value, origin) = (escaped(value), escaped(&setting.origin));
        _ = write!(text, "\n{:<22}  {value:<24}  {origin}", setting.name);
    }
    text.trim_start().into()
}
