//! The two places keys are written: `meta_key_…` in a vault (the secret wrapped by a passphrase; optional) and the
//! machine's own key file (the keys that seal; 0600, never the secret).

use super::wire::KeyMap;
use super::{Header, Name, ObjectKind};
use crate::error::{Error, Kind, Result};
use crate::model::VaultId;
use crate::seal::keys::{SealKeys, Secret, WrapCost, unwrap, wrap};
use crate::seal::{Entropy, random, sha256};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// Name and bytes of a new key object.
pub fn write(
    secret: &Secret,
    vault: VaultId,
    passphrase: &str,
    cost: WrapCost,
    entropy: &dyn Entropy,
) -> Result<(Name, Vec<u8>)> {
    let header = Header::new(ObjectKind::Key, vault, entropy).to_bytes();
    let salt = random(entropy);
    let wrapped = wrap(secret, passphrase, salt, cost, &header, entropy)?;
    let map = KeyMap {
        salt: salt.to_vec().into(),
        operations: cost.operations,
        memory: cost.memory,
        wrapped: wrapped.into(),
    };
    let mut out = header.to_vec();
    minicbor::encode(map, &mut out).expect("encodes into memory");
    Ok((Name::Key(sha256(&out)), out))
}

/// The secret, proved against the vault's check value; None when the passphrase does not open this object.
pub fn open(object: &[u8], vault: VaultId, check: &[u8; 32], passphrase: &str) -> Result<Option<Secret>> {
    let (header, rest) = Header::split(object, ObjectKind::Key, Some(vault))?;
    let map: KeyMap = minicbor::decode(rest).map_err(|e| Error::damaged("read a key object").because(e))?;
    let salt =
        map.salt.as_slice().try_into().map_err(|_| Error::damaged("read a key object: its salt has another size"))?;
    let cost = WrapCost { operations: map.operations, memory: map.memory };
    let secret = unwrap(&map.wrapped, passphrase, salt, cost, &header.to_bytes())?;
    Ok(secret.filter(|s| s.check(vault) == *check))
}

const FIRST_LINE: &str =
    "# panicroom keys 1: these seal backups and read their names; they cannot open contents. Keep private.";

/// The machine's key file as text.
pub fn machine_text(keys: &SealKeys) -> Zeroizing<String> {
    let hex = |b: &[u8]| {
        b.iter().fold(String::with_capacity(64), |mut s, x| {
            let _ = write!(s, "{x:02x}");
            s
        })
    };
    let mut out = Zeroizing::new(format!("{FIRST_LINE}\nvault = {}\n", keys.vault));
    for (name, value) in [
        ("public", &keys.public),
        ("mix", &keys.mix.0),
        ("meta", &keys.meta.0.0),
        ("chunk", &keys.chunk.0),
        ("cut", &keys.cut.0),
        ("check", &keys.check),
    ] {
        let value = Zeroizing::new(hex(value));
        let _ = writeln!(out, "{name} = {}", value.as_str());
    }
    out
}

/// Operator when anything is missing or doubtful: keys are never guessed.
pub fn parse_machine_text(text: &str) -> Result<SealKeys> {
    let broken = |what: String| {
        Error::new(Kind::Operator, format!("read the key file: {what}"))
            .remedy("put back an intact copy, or run 'panicroom rebuild' with the recovery words")
    };
    if text.lines().next() != Some(FIRST_LINE) {
        return Err(broken("its first line is not that of a panicroom key file".into()));
    }
    let value = |name: &str| {
        let mut found = text.lines().filter_map(|l| l.split_once(" = ")).filter(|(n, _)| *n == name).map(|(_, v)| v);
        match (found.next(), found.next()) {
            (Some(v), None) => Ok(v),
            _ => Err(broken(format!("'{name}' is missing or there twice"))),
        }
    };
    let key = |name: &str| {
        let v = crate::model::Sha256::from_hex(value(name)?)
            .ok_or_else(|| broken(format!("'{name}' is not 64 hex digits")))?;
        Ok::<_, Error>(v.0)
    };
    let vault = VaultId::from_hex(value("vault")?).ok_or_else(|| broken("'vault' is not 32 hex digits".into()))?;
    Ok(SealKeys::from_parts(
        vault,
        key("public")?,
        [key("mix")?, key("meta")?, key("chunk")?, key("cut")?],
        key("check")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::SystemEntropy;

    const VAULT: VaultId = VaultId([8; 16]);

    #[test]
    fn a_passphrase_opens_its_object_and_only_in_its_vault() {
        let secret = Secret::from_bytes([1; 32]);
        let check = secret.check(VAULT);
        let cost = WrapCost { operations: 1, memory: 8 << 20 };
        let (name, object) = write(&secret, VAULT, "six words", cost, &SystemEntropy).unwrap();
        assert_eq!(name, Name::Key(sha256(&object)));
        assert_eq!(open(&object, VAULT, &check, "six words").unwrap(), Some(secret));
        assert_eq!(open(&object, VAULT, &check, "seven words").unwrap(), None);
        assert_eq!(open(&object, VAULT, &[0; 32], "six words").unwrap(), None, "what opens must match the check value");
        assert!(open(&object, VaultId([9; 16]), &check, "six words").is_err());
    }

    #[test]
    fn the_machines_key_file_reads_back_and_is_never_guessed() {
        let keys = Secret::from_bytes([1; 32]).open_keys(VAULT).seal;
        let text = machine_text(&keys);
        let back = parse_machine_text(&text).unwrap();
        assert_eq!(machine_text(&back).as_str(), text.as_str());
        for line in 0..text.lines().count() {
            let without: String =
                text.lines().enumerate().filter(|(i, _)| *i != line).map(|(_, l)| format!("{l}\n")).collect();
            assert_eq!(parse_machine_text(&without).unwrap_err().kind(), Kind::Operator, "line {line}");
        }
        assert!(parse_machine_text(&text[..text.len() - 2]).is_err());
    }
}
