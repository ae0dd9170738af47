//! SHA-256, by which datasets, models and files are identified.

use std::fmt;

use sha2::{Digest, Sha256};

/// SHA-256 digest, displayed in lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// Digest of the concatenated `parts`.
    pub fn of(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let hash = parts.into_iter().fold(Sha256::new(), Sha256::chain_update);
        Self(hash.finalize().into())
    }

    /// The 32 bytes of the digest.
    pub fn bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_the_parts_is_the_digest_of_the_whole() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Sha256Digest::of(["abc"]).to_string(), expected);
        assert_eq!(Sha256Digest::of(["a", "", "bc"]).to_string(), expected);
    }
}
