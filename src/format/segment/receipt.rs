//! The receipt of a drill as CBOR: the same map in a drill record of the log and in the catalog's rows, so that what is
//! rebuilt from a vault is what was there before.

use crate::clock::Wall;
use crate::error::{Error, Result};
use crate::format::wire::{Bytes, DrillMap};
use crate::model::{Proof, Sha256, Verdict};

/// Most packs one receipt names of each kind: 64 KiB of hashes.
pub const RECEIPT_PACKS: usize = 2048;

/// What a drill came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Of this drill: a receipt that is said twice counts once.
    pub id: [u8; 16],
    /// When it ended.
    pub at: Wall,
    pub proof: Proof,
    pub verdict: Verdict,
    /// Files restored and compared; 0 where only sealed bytes were read.
    pub files: u64,
    /// Of these, compared with the file as it lies on the machine.
    pub live: u64,
    /// Files, or packs where only sealed bytes were read, that did not come back as they should.
    pub failed: u64,
    /// Of the files' contents, or of the packs where only sealed bytes were read.
    pub bytes: u64,
    /// Packs that were read and are sound.
    pub sound: Vec<Sha256>,
    /// Packs that are missing or damaged.
    pub damaged: Vec<Sha256>,
    /// Millionths of the currency, and its three letters, as it was agreed on; None: not known.
    pub cost: Option<(u64, String)>,
}

impl Receipt {
    pub(super) fn to_map(&self) -> DrillMap {
        let hashes = |list: &[Sha256]| Bytes::from(list.iter().flat_map(|h| h.0).collect::<Vec<u8>>());
        DrillMap {
            id: self.id.to_vec().into(),
            at: self.at.0,
            proof: match self.proof {
                Proof::Sealed => 0,
                Proof::Contents => 1,
            },
            verdict: match self.verdict {
                Verdict::Proved => 0,
                Verdict::Failed => 1,
                Verdict::Partly => 2,
            },
            files: self.files,
            live: self.live,
            failed: self.failed,
            bytes: self.bytes,
            sound: hashes(&self.sound),
            damaged: (!self.damaged.is_empty()).then(|| hashes(&self.damaged)),
            cost: self.cost.as_ref().map(|c| c.0),
            currency: self.cost.as_ref().map(|c| c.1.as_bytes().to_vec().into()),
        }
    }

    pub(super) fn from_map(m: DrillMap) -> Result<Self> {
        let wrong = |what: &str| Error::damaged(format!("read a drill record: {what}"));
        let hashes = |bytes: Bytes| {
            let parts = bytes.chunks_exact(32);
            if !parts.remainder().is_empty() || bytes.len() > 32 * RECEIPT_PACKS {
                return Err(wrong("its list of packs is broken"));
            }
            Ok(parts.filter_map(Sha256::from_slice).collect::<Vec<_>>())
        };
        let currency = m.currency.and_then(|c| String::from_utf8(c.into()).ok());
        Ok(Self {
            id: m.id.as_slice().try_into().map_err(|_| wrong("its id has another size"))?,
            at: Wall(m.at),
            proof: match m.proof {
                0 => Proof::Sealed,
                1 => Proof::Contents,
                _ => return Err(wrong("an unknown proof")),
            },
            // What this release does not know is never taken for a success.
            verdict: match m.verdict {
                0 => Verdict::Proved,
                2 => Verdict::Partly,
                _ => Verdict::Failed,
            },
            files: m.files,
            live: m.live,
            failed: m.failed,
            bytes: m.bytes,
            sound: hashes(m.sound)?,
            damaged: m.damaged.map_or(Ok(vec![]), hashes)?,
            cost: m.cost.zip(currency.filter(|c| c.len() == 3 && c.bytes().all(|b| b.is_ascii_uppercase()))),
        })
    }

    /// As the catalog keeps it.
    pub fn to_cbor(&self) -> Vec<u8> {
        minicbor::to_vec(self.to_map()).expect("encodes into memory")
    }
    pub fn from_cbor(bytes: &[u8]) -> Result<Self> {
        Self::from_map(minicbor::decode(bytes).map_err(|e| Error::damaged("read a drill's receipt").because(e))?)
    }
}
