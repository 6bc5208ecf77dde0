//! The server's own checksum of a pack against the pack's name, which is the hash of its bytes. One HEAD; nothing is
//! read, and a frozen pack answers like any other.

use super::{Looked, Verifying, Why};
use crate::catalog::{PackToSee, Wrong};
use crate::error::{Kind, Result};
use crate::store::ObjectName;

impl Verifying<'_> {
    pub(super) fn sum_of(&self, pack: &PackToSee, name: &ObjectName) -> Result<Looked> {
        self.beneath_too(name, || self.sum_on_top(pack, name))
    }

    fn sum_on_top(&self, pack: &PackToSee, name: &ObjectName) -> Result<Looked> {
        let info = match self.store.head(name) {
            Ok(Some(info)) => info,
            Ok(None) => return Ok(Looked::Wrong(Wrong::Missing, "the server has no such object".to_owned())),
            // The writer's rights end at the listing: no fault of the vault.
            Err(e) if e.kind() == Kind::Operator && self.is_ours()? => return Ok(Looked::Skipped(Why::NoRight)),
            Err(e) => return Err(e),
        };
        if info.size != pack.size {
            let said = format!("it is {} bytes long, {} were sealed", info.size, pack.size);
            return Ok(Looked::Wrong(Wrong::Size, said));
        }
        Ok(match info.sha256 {
            None => Looked::Skipped(Why::NoSum),
            Some(sum) if sum == pack.hash => Looked::Sound { bytes: pack.size },
            Some(sum) => Looked::Wrong(Wrong::Bytes, format!("the server's checksum of it is {sum}")),
        })
    }
}
