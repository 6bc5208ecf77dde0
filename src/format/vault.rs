//! `meta_vault`: names a vault, and proves the words without opening anything.

use super::wire::{LabelMap, VaultMap};
use super::{Header, ObjectKind};
use crate::clock::Wall;
use crate::error::{Error, Result};
use crate::model::VaultId;
use crate::seal::Entropy;
use crate::seal::keys::SealKeys;

/// What `meta_vault` says to anyone.
#[derive(Clone, Debug)]
pub struct VaultFile {
    pub id: VaultId,
    pub check: [u8; 32],
    header: Header,
    label: Vec<u8>,
}

/// What it says to whoever holds the meta key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub created: Wall,
    /// Host name of the machine that made the vault.
    pub host: Vec<u8>,
}

pub fn write(keys: &SealKeys, label: &Label, entropy: &dyn Entropy) -> Vec<u8> {
    let header = Header::new(ObjectKind::Vault, keys.vault, entropy).to_bytes();
    let text = minicbor::to_vec(LabelMap { created: label.created.0, host: label.host.clone().into() })
        .expect("encodes into memory");
    let map = VaultMap { check: keys.check.to_vec().into(), label: keys.meta.seal(&header, entropy, &text).into() };
    let mut out = header.to_vec();
    minicbor::encode(map, &mut out).expect("encodes into memory");
    out
}

impl VaultFile {
    pub fn read(object: &[u8]) -> Result<Self> {
        let (header, rest) = Header::split(object, ObjectKind::Vault, None)?;
        let map: VaultMap = minicbor::decode(rest).map_err(|e| Error::damaged("read meta_vault").because(e))?;
        let check = map
            .check
            .as_slice()
            .try_into()
            .map_err(|_| Error::damaged("read meta_vault: its check value has another size"))?;
        Ok(Self { id: header.vault, check, header, label: map.label.to_vec() })
    }

    pub fn label(&self, keys: &SealKeys) -> Result<Label> {
        let text = keys
            .meta
            .open(&self.header.to_bytes(), &self.label)
            .map_err(|e| e.during("read the label of meta_vault"))?;
        let map: LabelMap =
            minicbor::decode(&text).map_err(|e| Error::damaged("read the label of meta_vault").because(e))?;
        Ok(Label { created: Wall(map.created), host: map.host.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::SystemEntropy;
    use crate::seal::keys::Secret;

    #[test]
    fn it_proves_the_words_and_keeps_the_host_name_to_itself() {
        let secret = Secret::from_bytes([6; 32]);
        let keys = secret.open_keys(VaultId([4; 16])).seal;
        let label = Label { created: Wall(12), host: b"attic-nas".to_vec() };
        let object = write(&keys, &label, &SystemEntropy);
        assert!(!object.windows(9).any(|w| w == b"attic-nas"));
        let read = VaultFile::read(&object).unwrap();
        assert_eq!((read.id, read.check), (keys.vault, secret.check(keys.vault)));
        assert_eq!(read.label(&keys).unwrap(), label);
        assert!(VaultFile::read(&object[..60]).is_err());
    }
}
