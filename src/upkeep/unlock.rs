//! From a vault and a sheet of paper to the recovery secret. Needs no local file and writes nothing.

use crate::error::{Error, Result};
use crate::format::vault::VaultFile;
use crate::format::{KEY_PREFIX, MAX_SMALL, Name, key_file};
use crate::seal::keys::Secret;
use crate::seal::{passphrase, sha256, words};
use crate::store::identity::{Identity, identify};
use crate::store::{ObjectInfo, ObjectStore};
use crate::worker::Stop;

/// Most key objects that are tried: each costs the whole stretching of a passphrase.
pub const KEY_OBJECTS: usize = 32;

/// The vault at an address, whosever it is. Operator: there is none, or it is of a later release; Damaged: its
/// `meta_vault` cannot be read as one.
pub fn open_vault(store: &dyn ObjectStore, stop: &Stop) -> Result<VaultFile> {
    match identify(store, stop)? {
        Identity::Vault(found) => Ok(found),
        Identity::Absent => Err(Error::operator(format!("open the vault {}: there is no vault", store.url()))
            .remedy("check the address, and that the disk is mounted")),
        Identity::Damaged(e) | Identity::Newer(e) => Err(e),
    }
}

/// The secret of the words, or of a passphrase wrapped in one of the vault's `meta_key_` objects. What it gives
/// matches the vault's check value. Operator, with what is wrong where that can be found, when `text` is neither.
pub fn secret_from(store: &dyn ObjectStore, vault: &VaultFile, text: &str, stop: &Stop) -> Result<Secret> {
    if words::look_like_words(text) {
        return words::parse(text, vault.id, &vault.check);
    }
    let typed = text.trim_end_matches(['\r', '\n']);
    // One of six words that were drawn is known however it is typed.
    let drawn = passphrase::as_generated(typed).filter(|drawn| drawn.as_str() != typed);
    let mut objects = Vec::new();
    store.inventory(KEY_PREFIX, &mut |held| {
        objects.push(held.object);
        Ok(())
    })?;
    let mut unreadable = 0;
    for info in objects.iter().take(KEY_OBJECTS) {
        stop.check()?;
        let opened = read_key(store, info, stop).and_then(|o| {
            let as_typed = key_file::open(&o, vault.id, &vault.check, typed)?;
            match &drawn {
                Some(drawn) if as_typed.is_none() => key_file::open(&o, vault.id, &vault.check, drawn),
                _ => Ok(as_typed),
            }
        });
        match opened {
            Ok(Some(secret)) => return Ok(secret),
            Ok(None) => {}
            Err(e) if e.kind() == crate::error::Kind::Damaged => unreadable += 1,
            Err(e) => return Err(e),
        }
    }
    if words::look_like_some_words(text) {
        return words::parse(text, vault.id, &vault.check);
    }
    let doing = format!("open the vault {}", store.url());
    Err(match (objects.len(), unreadable) {
        (0, _) => Error::operator(format!("{doing}: these are not 24 words, and the vault knows no passphrase"))
            .remedy("give the 24 words of the recovery sheet"),
        (_, 0) => Error::operator(format!("{doing}: wrong passphrase"))
            .remedy("try again, or give the 24 words of the recovery sheet"),
        (all, n) => Error::operator(format!("{doing}: {n} of {all} objects that know a passphrase are damaged"))
            .remedy("give the 24 words of the recovery sheet: they always work"),
    })
}

/// Damage is told from a wrong passphrase by the hash in the name: a flipped bit opens with no passphrase either.
fn is_its_name(info: &ObjectInfo, object: &[u8]) -> Result<()> {
    match Name::parse(info.name.as_str()) {
        Some(Name::Key(hash)) if hash != sha256(object) => {
            Err(Error::damaged(format!("read {}: it is not what its name says", info.name)))
        }
        _ => Ok(()),
    }
}

/// One that is not what its name says is looked for beneath.
fn read_key(store: &dyn ObjectStore, info: &ObjectInfo, stop: &Stop) -> Result<Vec<u8>> {
    let read = || read_small(store, info, stop).and_then(|object| is_its_name(info, &object).map(|()| object));
    match read() {
        Err(e) if e.kind() == crate::error::Kind::Damaged && store.uncover(&info.name)? => read(),
        other => other,
    }
}

fn read_small(store: &dyn ObjectStore, info: &ObjectInfo, stop: &Stop) -> Result<Vec<u8>> {
    if info.size > MAX_SMALL {
        return Err(Error::damaged(format!("read {}: {} bytes, far too large", info.name, info.size)));
    }
    store.read(&info.name, None, stop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SystemClock, Wall};
    use crate::error::Kind;
    use crate::format::Name;
    use crate::format::vault::{Label, write};
    use crate::model::VaultId;
    use crate::seal::SystemEntropy;
    use crate::seal::keys::WrapCost;
    use crate::store::ObjectName;
    use crate::store::memory::MemoryStore;

    const VAULT: VaultId = VaultId([7; 16]);

    fn vault(passphrase: Option<&str>) -> (MemoryStore, Secret) {
        let (store, secret) = (MemoryStore::new(SystemClock::shared()), Secret::from_bytes([3; 32]));
        let label = Label { created: Wall(1), host: b"nas".to_vec() };
        let object = write(&secret.open_keys(VAULT).seal, &label, &SystemEntropy);
        store.put(&ObjectName::from(Name::Vault), &object);
        if let Some(passphrase) = passphrase {
            let cost = WrapCost { operations: 1, memory: 8 << 20 };
            let (name, object) = key_file::write(&secret, VAULT, passphrase, cost, &SystemEntropy).unwrap();
            store.put(&ObjectName::from(name), &object);
        }
        (store, secret)
    }

    #[test]
    fn words_and_passphrase_open_the_same_vault() {
        let (store, secret) = vault(Some("a long passphrase"));
        let file = open_vault(&store, &Stop::new()).unwrap();
        assert_eq!(secret_from(&store, &file, &secret.words().join("\n"), &Stop::new()).unwrap(), secret);
        assert_eq!(secret_from(&store, &file, "a long passphrase\n", &Stop::new()).unwrap(), secret);
        let (drawn, secret) = vault(Some("abandon ability able about above absent"));
        let drawn_file = open_vault(&drawn, &Stop::new()).unwrap();
        let typed = "Abandon ability able\nabout  above absent\n";
        assert_eq!(secret_from(&drawn, &drawn_file, typed, &Stop::new()).unwrap(), secret, "however it is typed");
        let e = secret_from(&store, &file, "another", &Stop::new()).unwrap_err();
        assert!(e.kind() == Kind::Operator && e.to_string().contains("wrong passphrase"), "{e}");
    }

    #[test]
    fn a_vault_without_a_passphrase_asks_for_the_words() {
        let (store, _) = vault(None);
        let file = open_vault(&store, &Stop::new()).unwrap();
        let e = secret_from(&store, &file, &vault(None).1.words()[1..].join(" "), &Stop::new()).unwrap_err();
        assert!(e.to_string().contains("23 words, not 24"), "{e}");
        let e = secret_from(&store, &file, "anything", &Stop::new()).unwrap_err();
        assert!(e.to_string().contains("24 words"), "{e}");
    }

    #[test]
    fn no_vault_there_is_for_the_operator_and_names_the_place() {
        let store = MemoryStore::new(SystemClock::shared());
        let e = open_vault(&store, &Stop::new()).unwrap_err();
        assert!(e.kind() == Kind::Operator && e.to_string().contains("there is no vault"), "{e}");
    }
}
