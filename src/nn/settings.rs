//! The numbers in the text of a layer, such as the 32, 5 and 2 of `conv32k5p2`.

use std::collections::BTreeMap;

/// Largest number that a text may have. More channels, features or pixels would fit into no memory.
const LARGEST: usize = 1 << 20;

/// Numbers in the text of a layer. The parser of a layer takes the numbers that the layer needs;
/// [`finish`](Self::finish) refuses the remaining ones.
#[derive(Debug, Default)]
pub struct Settings {
    /// Digits that follow the name directly, with a decimal point or without.
    number: Option<String>,
    /// Number after each letter.
    letters: BTreeMap<char, usize>,
}

impl Settings {
    /// Settings in `text`, the part of a layer's text after the name.
    ///
    /// # Errors
    /// When a number is missing, too large, or given twice.
    pub fn read(text: &str) -> Result<Self, String> {
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let end = text.find(|c| !is_digit(c)).unwrap_or(text.len());
        let (number, mut rest) = text.split_at(end);
        let number = (!number.is_empty()).then(|| number.into());
        let mut settings = Self { number, ..Self::default() };
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, after) = rest.split_at(end);
            let number = whole(digits, &format!("'{letter}'"))?;
            if settings.letters.insert(letter, number).is_some() {
                return Err(format!("'{letter}' is given twice"));
            }
            rest = after;
        }
        Ok(settings)
    }

    /// Takes the number after the name, which counts `what`.
    ///
    /// # Errors
    /// When the number is missing or 0.
    pub fn count(&mut self, what: &str) -> Result<usize, String> {
        let digits =
            self.number.take().ok_or(format!("needs the number of {what} after its name"))?;
        match whole(&digits, "the name")? {
            0 => Err(format!("the number of {what} is at least 1")),
            count => Ok(count),
        }
    }

    /// Takes the number after the name, which is a share: at least 0 and less than 1.
    ///
    /// # Errors
    /// When the number is missing or no share.
    pub fn share(&mut self) -> Result<f32, String> {
        let digits = self.number.take().unwrap_or_default();
        let share = digits.parse().ok().filter(|share| (0.0..1.0).contains(share));
        share.ok_or_else(|| "needs a number from 0 to less than 1 after the name, like 0.5".into())
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
        match (self.number, self.letters.keys().next()) {
            (Some(number), _) => Err(format!("takes no number {number}")),
            (None, Some(letter)) => Err(format!("takes no '{letter}'")),
            (None, None) => Ok(()),
        }
    }
}

/// Number that `digits` are; they stand after `place`.
fn whole(digits: &str, place: &str) -> Result<usize, String> {
    if digits.is_empty() {
        return Err(format!("needs a number after {place}"));
    }
    let number = digits.parse().ok().filter(|number| *number <= LARGEST);
    number.ok_or_else(|| format!("needs a whole number up to {LARGEST} after {place}"))
}
