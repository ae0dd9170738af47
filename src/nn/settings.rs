//! The numbers that describe a layer.

use std::collections::BTreeMap;

/// The largest number in a text: more channels, features or pixels fit into no memory.
const LARGEST: usize = 1 << 20;

/// The numbers of a layer's text.
#[derive(Debug, Default)]
pub struct Settings {
    /// Number after the name.
    count: Option<usize>,
    /// Numbers after letters.
    letters: BTreeMap<char, usize>,
}

impl Settings {
    /// Reads `text`, the part after a layer's name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut settings = Self::default();
        let mut rest = text;
        let mut letter = None;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, after) = rest.split_at(end);
            if !digits.is_empty() || letter.is_some() {
                let number = digits.parse().ok().filter(|number| *number <= LARGEST);
                let number = number.ok_or_else(|| {
                    let place = letter.map_or("the name".into(), |letter| format!("'{letter}'"));
                    format!("needs a number up to {LARGEST} after {place}")
                })?;
                let earlier = match letter {
                    None => settings.count.replace(number),
                    Some(letter) => settings.letters.insert(letter, number),
                };
                if earlier.is_some() {
                    return Err(format!("'{}' stands twice", letter.unwrap_or(' ')));
                }
            }
            letter = after.chars().next();
            rest = &after[letter.map_or(0, char::len_utf8)..];
            if rest.is_empty() && letter.is_some() {
                return Err(format!("needs a number after '{}'", letter.unwrap_or(' ')));
            }
        }
        Ok(settings)
    }

    /// Takes the number after the name, the number of `what`, which is at least 1.
    pub fn count(&mut self, what: &str) -> Result<usize, String> {
        match self.count.take() {
            Some(0) => Err(format!("the number of {what} is at least 1")),
            Some(count) => Ok(count),
            None => Err(format!("needs the number of {what} after its name")),
        }
    }

    /// Takes the number after `letter`, if there is one; it is at least 1.
    pub fn letter(&mut self, letter: char) -> Result<Option<usize>, String> {
        match self.letters.remove(&letter) {
            Some(0) => Err(format!("the number after '{letter}' is at least 1")),
            number => Ok(number),
        }
    }

    /// Takes the number after `letter`, if there is one.
    pub fn letter_or_zero(&mut self, letter: char) -> Result<Option<usize>, String> {
        Ok(self.letters.remove(&letter))
    }

    /// Refuses numbers that no layer of the kind has taken.
    pub fn finish(self) -> Result<(), String> {
        match (self.count, self.letters.keys().next()) {
            (Some(count), _) => Err(format!("takes no number {count}")),
            (None, Some(letter)) => Err(format!("takes no '{letter}'")),
            (None, None) => Ok(()),
        }
    }
}
