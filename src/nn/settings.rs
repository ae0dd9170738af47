//! The numbers in the text of a layer, such as the 32, 5 and 2 of `conv32k5p2`.

use std::collections::BTreeMap;

/// Largest number that a text may have. More channels, features or pixels would fit into no memory.
const LARGEST: usize = 1 << 20;

/// Numbers in the text of a layer. The parser of a layer takes the numbers that the layer needs;
/// [`finish`](Self::finish) refuses the remaining ones.
#[derive(Debug, Default)]
pub struct Settings {
    /// Number that follows the name directly.
    count: Option<usize>,
    /// Number after each letter.
    letters: BTreeMap<char, usize>,
}

impl Settings {
    /// Settings in `text`, the part of a layer's text after the name.
    ///
    /// # Errors
    /// When a number is missing, too large, or given twice.
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
                    return Err(format!("'{}' is given twice", letter.unwrap_or(' ')));
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

    /// Takes the number after the name, which counts `what`.
    ///
    /// # Errors
    /// When the number is missing or 0.
    pub fn count(&mut self, what: &str) -> Result<usize, String> {
        match self.count.take() {
            Some(0) => Err(format!("the number of {what} is at least 1")),
            Some(count) => Ok(count),
            None => Err(format!("needs the number of {what} after its name")),
        }
    }

    /// Takes the number after `letter`, if the text has that letter.
    ///
    /// # Errors
    /// When the number is 0.
    pub fn letter(&mut self, letter: char) -> Result<Option<usize>, String> {
        match self.letters.remove(&letter) {
            Some(0) => Err(format!("the number after '{letter}' is at least 1")),
            number => Ok(number),
        }
    }

    /// Takes the number after `letter`, which may be 0, if the text has that letter.
    pub fn letter_or_zero(&mut self, letter: char) -> Option<usize> {
        self.letters.remove(&letter)
    }

    /// Ends the reading of a layer.
    ///
    /// # Errors
    /// When the text has a number that the layer has not taken.
    pub fn finish(self) -> Result<(), String> {
        match (self.count, self.letters.keys().next()) {
            (Some(count), _) => Err(format!("takes no number {count}")),
            (None, Some(letter)) => Err(format!("takes no '{letter}'")),
            (None, None) => Ok(()),
        }
    }
}
