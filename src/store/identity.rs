//! Which vault lies at an address: its `meta_vault`, read and put into one of the cases there are. What to do about
//! each is for who asked to say: the daemon that must not write to it, or a person who wants something back.
//!
//! One look and one small read, never a thaw. Writes nothing, so dying here does nothing.

use super::{ObjectName, ObjectStore};
use crate::error::{Error, Kind, Result};
use crate::format::vault::VaultFile;
use crate::format::{MAX_SMALL, Name, VAULT_NAME};
use crate::worker::Stop;

/// What was found; the errors say what is wrong with the vault, and carry a remedy only where there is just one.
#[derive(Debug)]
pub enum Identity {
    /// No `meta_vault`: never started, emptied, or a disk that is not mounted.
    Absent,
    Damaged(Error),
    /// Written by a later release.
    Newer(Error),
    /// A vault; whose, its id says.
    Vault(VaultFile),
}

/// Reads `meta_vault`; where somebody overwrote it, what lies beneath. An error is about reaching the vault, not about
/// what lies there.
pub fn identify(store: &dyn ObjectStore, stop: &Stop) -> Result<Identity> {
    match look(store, stop)? {
        Identity::Damaged(_) if store.uncover(&Name::Vault.into())? => look(store, stop),
        found => Ok(found),
    }
}

fn look(store: &dyn ObjectStore, stop: &Stop) -> Result<Identity> {
    let doing = || format!("open the vault {}", store.url());
    let name = ObjectName::from(Name::Vault);
    let Some(info) = store.head(&name)? else { return Ok(Identity::Absent) };
    if info.size > MAX_SMALL {
        let e = Error::damaged(format!("its {VAULT_NAME} is {} bytes long", info.size));
        return Ok(Identity::Damaged(e.during(&doing())));
    }
    let object = store.read(&name, Some(0..info.size), stop)?;
    Ok(match VaultFile::read(&object) {
        Ok(vault) => Identity::Vault(vault),
        Err(e) if e.kind() == Kind::Operator => Identity::Newer(e.during(&doing())),
        Err(e) => Identity::Damaged(e.during(&doing())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SystemClock, Wall};
    use crate::format::MAGIC;
    use crate::format::vault::{Label, write};
    use crate::model::VaultId;
    use crate::seal::SystemEntropy;
    use crate::seal::keys::Secret;
    use crate::store::memory::MemoryStore;

    fn of(object: Option<&[u8]>) -> Identity {
        let store = MemoryStore::new(SystemClock::shared());
        if let Some(bytes) = object {
            store.put(&ObjectName::from(Name::Vault), bytes);
        }
        identify(&store, &Stop::new()).unwrap()
    }

    #[test]
    fn each_case_is_told_from_the_others() {
        let vault = VaultId([7; 16]);
        let label = Label { created: Wall(1), host: b"nas".to_vec() };
        let sound = write(&Secret::from_bytes([3; 32]).open_keys(vault).seal, &label, &SystemEntropy);
        assert!(matches!(of(None), Identity::Absent));
        assert!(matches!(of(Some(&sound)), Identity::Vault(file) if file.id == vault));
        let mut newer = sound.clone();
        newer[MAGIC.len()] = 9;
        assert!(matches!(of(Some(&newer)), Identity::Newer(e) if e.to_string().contains("newer release")));
        let long = [&sound[..], &vec![0; 64 << 10]].concat();
        for broken in [&[][..], b"hello", &sound[..sound.len() / 2], &long] {
            assert!(matches!(of(Some(broken)), Identity::Damaged(e) if e.to_string().contains("open the vault")));
        }
    }
}
