//! From the recovery secret to every key of a vault, and the split that lets the daemon seal what it cannot open.
//!
//! docs/format.md section 3: key(purpose) = BLAKE2b-256 keyed with the secret over "panicroom 1" ‖ 0 ‖ purpose ‖
//! 0 ‖ vault id.

use super::{
    Entropy, HeaderBytes, MetaKey, PackKey, SEALED_EXTRA, SecretBytes, keyed_hash, open_with_stored_nonce, random,
    ready, seal_with_random_nonce,
};
use crate::error::{Error, Kind, Result};
use crate::model::VaultId;
use sodiumoxide::crypto::{box_, pwhash::argon2id13 as argon2, sealedbox};
use zeroize::Zeroize;

/// Size of a pack's key box: 32 bytes in a libsodium sealed box.
pub const KEY_BOX: usize = 32 + sealedbox::SEALBYTES;

/// The recovery secret: 256 random bits, shown once as 24 words and kept on paper only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret(pub(super) SecretBytes);

/// What the machine that writes keeps: seals everything, opens names, opens no contents.
#[derive(Clone, Debug)]
pub struct SealKeys {
    pub vault: VaultId,
    pub public: [u8; 32],
    pub(crate) mix: SecretBytes,
    pub meta: MetaKey,
    pub(crate) chunk: SecretBytes,
    pub(crate) cut: SecretBytes,
    pub check: [u8; 32],
}

/// Everything: computed from the secret for a restore, never written down.
#[derive(Clone, Debug)]
pub struct OpenKeys {
    pub seal: SealKeys,
    seed: SecretBytes,
}

impl Secret {
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(SecretBytes(random(entropy)))
    }
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(SecretBytes(bytes))
    }
    fn key(&self, purpose: &str, vault: VaultId) -> SecretBytes {
        keyed_hash(&self.0.0, &[b"panicroom 1\0", purpose.as_bytes(), b"\0", &vault.0])
    }
    /// The value in `meta_vault` by which the right words are known.
    pub fn check(&self, vault: VaultId) -> [u8; 32] {
        self.key("check", vault).0
    }
    pub fn open_keys(&self, vault: VaultId) -> OpenKeys {
        let seed = self.key("box", vault);
        let (public, _) = pair(&seed);
        let seal = SealKeys {
            vault,
            public: public.0,
            mix: self.key("mix", vault),
            meta: MetaKey(self.key("meta", vault)),
            chunk: self.key("chunk", vault),
            cut: self.key("cut", vault),
            check: self.check(vault),
        };
        OpenKeys { seal, seed }
    }
}

fn pair(seed: &SecretBytes) -> (box_::PublicKey, box_::SecretKey) {
    ready();
    box_::keypair_from_seed(&box_::Seed(seed.0))
}

impl SealKeys {
    /// From the machine's key file; `keys` in the order mix, meta, chunk, cut.
    pub fn from_parts(vault: VaultId, public: [u8; 32], keys: [[u8; 32]; 4], check: [u8; 32]) -> Self {
        let [mix, meta, chunk, cut] = keys.map(SecretBytes);
        Self { vault, public, mix, meta: MetaKey(meta), chunk, cut, check }
    }
    /// Key of chunk ids, for `chunk`.
    pub fn chunk_key(&self) -> &[u8; 32] {
        &self.chunk.0
    }
    /// Key of the chunker's table, for `chunk`.
    pub fn cut_key(&self) -> &[u8; 32] {
        &self.cut.0
    }
    /// A fresh key for one pack, and the box in which it travels with the pack.
    pub fn new_pack_key(&self, entropy: &dyn Entropy) -> (PackKey, [u8; KEY_BOX]) {
        ready();
        let half = SecretBytes(random(entropy));
        let boxed = sealedbox::seal(&half.0, &box_::PublicKey(self.public));
        (self.mixed(&half), boxed.try_into().expect("a sealed box adds exactly its overhead"))
    }
    fn mixed(&self, half: &SecretBytes) -> PackKey {
        PackKey(keyed_hash(&self.mix.0, &[&half.0]))
    }
}

impl OpenKeys {
    /// Damaged when the box was not sealed to this vault, or was changed.
    pub fn pack_key(&self, key_box: &[u8; KEY_BOX]) -> Result<PackKey> {
        let (public, private) = pair(&self.seed);
        let mut half = sealedbox::open(key_box, &public, &private)
            .map_err(|()| Error::damaged("open a pack's key box: it was changed or belongs to another vault"))?;
        let half_bytes =
            SecretBytes(half.as_slice().try_into().map_err(|_| Error::damaged("open a pack's key box: wrong size"))?);
        half.zeroize();
        Ok(self.seal.mixed(&half_bytes))
    }
}

/// What wrapping a secret by a passphrase costs whoever guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrapCost {
    pub operations: u32,
    /// In bytes.
    pub memory: u64,
}

impl WrapCost {
    /// libsodium's "moderate": about a second and 256 MiB.
    pub const DEFAULT: Self = Self { operations: 3, memory: 256 << 20 };

    /// Refuses what a hostile vault could ask for.
    pub fn check(self) -> Result<Self> {
        if (1..=16).contains(&self.operations) && (8 << 20..=1 << 30).contains(&self.memory) {
            Ok(self)
        } else {
            Err(Error::damaged(format!(
                "read a key object: its cost ({} operations, {} bytes) is out of bounds",
                self.operations, self.memory
            )))
        }
    }
}

/// Size of a wrapped secret.
pub const WRAPPED: usize = 32 + SEALED_EXTRA;

fn wrapping_key(passphrase: &str, salt: [u8; 16], cost: WrapCost) -> Result<SecretBytes> {
    ready();
    cost.check()?;
    let mut key = SecretBytes([0; 32]);
    let memory = usize::try_from(cost.memory).unwrap_or(usize::MAX);
    argon2::derive_key(
        &mut key.0,
        passphrase.as_bytes(),
        &argon2::Salt(salt),
        argon2::OpsLimit(cost.operations as usize),
        argon2::MemLimit(memory),
    )
    .map_err(|()| {
        Error::new(Kind::Operator, "stretch the passphrase: not enough memory")
            .remedy(format!("free {} MiB", cost.memory >> 20))
    })?;
    Ok(key)
}

/// nonce ‖ sealed secret.
pub fn wrap(
    secret: &Secret,
    passphrase: &str,
    salt: [u8; 16],
    cost: WrapCost,
    header: &HeaderBytes,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>> {
    let key = wrapping_key(passphrase, salt, cost)?;
    Ok(seal_with_random_nonce(&key, header, entropy, &secret.0.0))
}

/// None when the passphrase is not the one it was wrapped with.
pub fn unwrap(
    wrapped: &[u8],
    passphrase: &str,
    salt: [u8; 16],
    cost: WrapCost,
    header: &HeaderBytes,
) -> Result<Option<Secret>> {
    let key = wrapping_key(passphrase, salt, cost)?;
    let Ok(mut text) = open_with_stored_nonce(&key, header, wrapped) else { return Ok(None) };
    let secret = text.as_slice().try_into().ok().map(Secret::from_bytes);
    text.zeroize();
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::SystemEntropy;

    fn secret() -> Secret {
        Secret::from_bytes([42; 32])
    }

    #[test]
    fn promise_5_the_daemons_keys_seal_a_pack_that_only_the_secret_opens() {
        let vault = VaultId([1; 16]);
        let open = secret().open_keys(vault);
        let (key, key_box) = open.seal.new_pack_key(&SystemEntropy);
        let mut text = b"contents".to_vec();
        key.seal_block(&[0; 48], 0, &mut text);
        open.pack_key(&key_box).unwrap().open_block(&[0; 48], 0, &mut text).unwrap();
        assert_eq!(text, b"contents");
        let stranger = Secret::from_bytes([43; 32]).open_keys(vault);
        assert!(stranger.pack_key(&key_box).is_err());
    }

    #[test]
    fn breaking_the_box_alone_opens_nothing_without_mix() {
        let open = secret().open_keys(VaultId([1; 16]));
        let (key, key_box) = open.seal.new_pack_key(&SystemEntropy);
        let mut other = open.clone();
        other.seal.mix = SecretBytes([0; 32]);
        let mut text = b"contents".to_vec();
        key.seal_block(&[0; 48], 0, &mut text);
        assert!(other.pack_key(&key_box).unwrap().open_block(&[0; 48], 0, &mut text).is_err());
    }

    #[test]
    fn keys_differ_by_purpose_and_by_vault() {
        let (a, b) = (secret().open_keys(VaultId([1; 16])).seal, secret().open_keys(VaultId([2; 16])).seal);
        let all = [a.mix.0, a.chunk.0, a.cut.0, a.check, a.public, b.mix.0, b.chunk.0, b.cut.0, b.check, b.public];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn a_wrapped_secret_opens_with_its_passphrase_only() {
        let cost = WrapCost { operations: 1, memory: 8 << 20 };
        let wrapped = wrap(&secret(), "correct horse", [5; 16], cost, &[2; 48], &SystemEntropy).unwrap();
        assert_eq!(wrapped.len(), WRAPPED);
        assert_eq!(unwrap(&wrapped, "correct horse", [5; 16], cost, &[2; 48]).unwrap(), Some(secret()));
        assert_eq!(unwrap(&wrapped, "correct hose", [5; 16], cost, &[2; 48]).unwrap(), None);
        let greedy = WrapCost { operations: 1, memory: 1 << 40 };
        assert_eq!(unwrap(&wrapped, "x", [5; 16], greedy, &[2; 48]).unwrap_err().kind(), Kind::Damaged);
    }
}
