//! A pack whose bytes are not what its name says is looked for once among the vault's older versions, before it is
//! called lost: somebody may have overwritten it where versions are kept.
//!
//! Remembers nothing that lasts: dying here, the pack is looked for once more.

use super::unit::PackAt;
use crate::error::Result;
use crate::store::ObjectStore;
use std::collections::HashMap;
use std::sync::Mutex;

/// Damaged packs whose outcome of a second look is remembered.
const SECOND_LOOKS: usize = 1024;

/// Shared by all workers: whichever meets the pack first looks, the others take its answer.
#[derive(Debug, Default)]
pub(super) struct SecondLook(Mutex<HashMap<i64, bool>>);

impl SecondLook {
    /// Whether there is a reason to read it again.
    pub fn look(&self, store: &dyn ObjectStore, pack: &PackAt) -> Result<bool> {
        let mut looks = self.0.lock().expect("second looks lock");
        if let Some(found) = looks.get(&pack.id) {
            return Ok(*found);
        }
        let found = store.uncover(&pack.name)?;
        if found {
            tracing::warn!(pack = %pack.name, "somebody overwrote it; what lies beneath is read");
        }
        if looks.len() >= SECOND_LOOKS {
            looks.clear();
        }
        looks.insert(pack.id, found);
        Ok(found)
    }
}
