//! Bytes to compressed, encrypted, authenticated bytes, and back. The one place that names libsodium, Zstandard
//! and SHA-256; what the sealed bytes look like laid end to end is `format`'s business.
//!
//! The daemon holds [`keys::SealKeys`] and can seal; only [`keys::OpenKeys`], computed from the recovery words,
//! opens contents (promise 5). Keys are wiped when dropped and never printed (promise 15).

pub mod compress;
pub mod keys;
pub mod passphrase;
pub mod words;

use crate::error::{Error, Result};
use crate::model::Sha256;
use sha2::Digest;
use sodiumoxide::crypto::aead::xchacha20poly1305_ietf as aead;
use sodiumoxide::crypto::generichash;
use std::sync::OnceLock;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a seal adds to a text: the Poly1305 tag.
pub const TAG: usize = aead::TAGBYTES;
/// A random nonce stored in front of a sealed text.
pub const NONCE: usize = aead::NONCEBYTES;
/// What [`MetaKey::seal`] adds: nonce and tag.
pub const SEALED_EXTRA: usize = NONCE + TAG;
/// An object's header: associated data of every seal inside it (docs/format.md section 2).
pub type HeaderBytes = [u8; 48];

/// Where random bytes come from: the system in the daemon, a seed in tests.
pub trait Entropy: Send + Sync + std::fmt::Debug {
    fn fill(&self, out: &mut [u8]);
}

/// The system's random bytes, through libsodium.
#[derive(Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        ready();
        sodiumoxide::randombytes::randombytes_into(out);
    }
}

/// `N` fresh random bytes.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut out = [0; N];
    entropy.fill(&mut out);
    out
}

/// libsodium must be initialised once before anything else of it; every entry point here comes by.
pub(crate) fn ready() {
    static READY: OnceLock<()> = OnceLock::new();
    READY
        .get_or_init(|| sodiumoxide::init().expect("libsodium starts: it fails only without any source of randomness"));
}

/// 32 secret bytes: wiped on drop, silent in Debug.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes(pub [u8; 32]);

impl std::fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// BLAKE2b-256 of `parts` laid end to end, keyed.
pub(crate) fn keyed_hash(key: &[u8; 32], parts: &[&[u8]]) -> SecretBytes {
    ready();
    let mut state =
        generichash::State::new(Some(32), Some(key)).expect("a 32-byte key and result are within BLAKE2b's");
    for part in parts {
        state.update(part).expect("BLAKE2b takes any bytes");
    }
    let digest = state.finalize().expect("finalised once");
    SecretBytes(digest.as_ref().try_into().expect("asked for 32 bytes"))
}

/// Seals the log, tables of contents and the label, under random nonces.
#[derive(Clone, Debug)]
pub struct MetaKey(pub(crate) SecretBytes);

impl MetaKey {
    /// nonce ‖ ciphertext ‖ tag.
    pub fn seal(&self, header: &HeaderBytes, entropy: &dyn Entropy, text: &[u8]) -> Vec<u8> {
        seal_with_random_nonce(&self.0, header, entropy, text)
    }
    /// Damaged when the bytes were not sealed by this key under this header, or were changed since.
    pub fn open(&self, header: &HeaderBytes, sealed: &[u8]) -> Result<Vec<u8>> {
        open_with_stored_nonce(&self.0, header, sealed)
    }
}

pub(crate) fn seal_with_random_nonce(
    key: &SecretBytes,
    header: &HeaderBytes,
    entropy: &dyn Entropy,
    text: &[u8],
) -> Vec<u8> {
    ready();
    let nonce = aead::Nonce(random(entropy));
    let mut out = Vec::with_capacity(text.len() + SEALED_EXTRA);
    out.extend_from_slice(&nonce.0);
    out.extend_from_slice(text);
    let tag = aead::seal_detached(&mut out[NONCE..], Some(header), &nonce, &aead::Key(key.0));
    out.extend_from_slice(&tag.0);
    out
}

pub(crate) fn open_with_stored_nonce(key: &SecretBytes, header: &HeaderBytes, sealed: &[u8]) -> Result<Vec<u8>> {
    ready();
    let nonce = sealed.get(..NONCE).and_then(aead::Nonce::from_slice).ok_or_else(not_ours)?;
    aead::open(&sealed[NONCE..], Some(header), &nonce, &aead::Key(key.0)).map_err(|()| not_ours())
}

fn not_ours() -> Error {
    Error::damaged("open sealed bytes: they were changed, cut, or sealed with another key")
}

/// Seals the blocks of one pack; block i has nonce i, and no key seals two packs.
#[derive(Clone, Debug)]
pub struct PackKey(SecretBytes);

impl PackKey {
    fn nonce(block: u32) -> aead::Nonce {
        let mut nonce = [0; NONCE];
        nonce[..8].copy_from_slice(&u64::from(block).to_le_bytes());
        aead::Nonce(nonce)
    }
    /// Turns `text` into ciphertext ‖ tag in place.
    pub fn seal_block(&self, header: &HeaderBytes, block: u32, text: &mut Vec<u8>) {
        ready();
        let tag = aead::seal_detached(text, Some(header), &Self::nonce(block), &aead::Key(self.0.0));
        text.extend_from_slice(&tag.0);
    }
    /// Turns ciphertext ‖ tag back into the text in place; Damaged as [`MetaKey::open`].
    pub fn open_block(&self, header: &HeaderBytes, block: u32, sealed: &mut Vec<u8>) -> Result<()> {
        ready();
        let at = sealed.len().checked_sub(TAG).ok_or_else(not_ours)?;
        let tag = aead::Tag::from_slice(&sealed[at..]).ok_or_else(not_ours)?;
        sealed.truncate(at);
        aead::open_detached(sealed, Some(header), &tag, &Self::nonce(block), &aead::Key(self.0.0))
            .map_err(|()| not_ours())
    }
}

/// SHA-256 of everything fed so far.
#[derive(Clone, Debug, Default)]
pub struct Sha256Stream(sha2::Sha256);

impl Sha256Stream {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    pub fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

pub fn sha256(bytes: &[u8]) -> Sha256 {
    let mut stream = Sha256Stream::new();
    stream.update(bytes);
    stream.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> PackKey {
        PackKey(SecretBytes([n; 32]))
    }

    #[test]
    fn a_block_opens_only_with_its_key_its_number_and_its_header() {
        let mut sealed = b"some text".to_vec();
        key(1).seal_block(&[7; 48], 3, &mut sealed);
        for (k, header, block, opens) in [(1, 7, 3, true), (2, 7, 3, false), (1, 8, 3, false), (1, 7, 4, false)] {
            let mut copy = sealed.clone();
            assert_eq!(key(k).open_block(&[header; 48], block, &mut copy).is_ok(), opens);
            assert!(!opens || copy == b"some text");
        }
        assert!(key(1).open_block(&[7; 48], 3, &mut vec![1, 2, 3]).is_err());
    }

    #[test]
    fn any_flipped_bit_of_a_sealed_text_is_noticed() {
        let meta = MetaKey(SecretBytes([9; 32]));
        let sealed = meta.seal(&[1; 48], &SystemEntropy, b"names");
        assert_eq!(meta.open(&[1; 48], &sealed).unwrap(), b"names");
        for bit in 0..sealed.len() * 8 {
            let mut copy = sealed.clone();
            copy[bit / 8] ^= 1 << (bit % 8);
            assert!(meta.open(&[1; 48], &copy).is_err(), "bit {bit}");
        }
        assert!(meta.open(&[1; 48], &sealed[..sealed.len() - 1]).is_err());
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", key(5)), "PackKey((secret))");
    }
}
