//! The hashes a vault proves bytes with: SHA-256, the seal's own, and MD5, which many servers show as ETag. MD5
//! only ever compares what we sent with what came; nothing rests on it against an attacker.

use crate::model::Sha256;
use sha2::Digest;
use std::fmt::Write;

/// SHA-256 and MD5 of the same bytes as they pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Hashing {
    sha256: sha2::Sha256,
    md5: md5::Md5,
}

impl Hashing {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.md5.update(bytes);
    }
    /// The SHA-256, and the MD5 as lower-case hex.
    pub(super) fn finish(self) -> (Sha256, String) {
        let md5 = self.md5.finalize().iter().fold(String::new(), |mut hex, b| {
            let _ = write!(hex, "{b:02x}");
            hex
        });
        (Sha256(self.sha256.finalize().into()), md5)
    }
}

/// SHA-256 alone, as bytes pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum(sha2::Sha256);

impl Sum {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    pub(super) fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
    pub(super) fn of(bytes: &[u8]) -> Sha256 {
        let mut sum = Self::default();
        sum.update(bytes);
        sum.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_the_standard_ones() {
        let mut hashing = Hashing::default();
        hashing.update(b"a");
        hashing.update(b"bc");
        let (sha256, md5) = hashing.finish();
        assert_eq!(sha256.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(md5, "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(Sum::of(b"abc"), sha256);
    }
}
