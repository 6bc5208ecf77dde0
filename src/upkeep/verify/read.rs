//! All bytes of a pack: their hash is its name, which needs no key; with the words every block is opened and each of its
//! chunks proved. Holds one pack. Never a frozen one: the look before the read tells.

use super::{Looked, Verifying, Why};
use crate::catalog::{PackToSee, Wrong};
use crate::chunk::Chunker;
use crate::error::{Kind, Result};
use crate::format::pack::{OpenBench, PackOpener};
use crate::seal::keys::OpenKeys;
use crate::seal::sha256;
use crate::store::identity::{Identity, identify};
use crate::store::{Access, ObjectInfo, ObjectName, is_archive, is_frozen};

impl Verifying<'_> {
    pub(super) fn read_pack(&self, pack: &PackToSee, name: &ObjectName) -> Result<Looked> {
        self.beneath_too(name, || self.read_on_top(pack, name))
    }

    fn read_on_top(&self, pack: &PackToSee, name: &ObjectName) -> Result<Looked> {
        let looked = match self.store.head(name) {
            Err(e) if e.kind() == Kind::Operator && self.is_ours()? => return Ok(Looked::Skipped(Why::NoRight)),
            other => other?,
        };
        let Some(info) = looked else {
            return Ok(Looked::Wrong(Wrong::Missing, "there is no such object".to_owned()));
        };
        if info.size != pack.size {
            let said = format!("it is {} bytes long, {} were sealed", info.size, pack.size);
            return Ok(Looked::Wrong(Wrong::Size, said));
        }
        if self.store.may_freeze() && !can_be_read(&info) {
            return Ok(Looked::Skipped(Why::Frozen));
        }
        let bytes = match self.store.read(name, None, self.stop) {
            Ok(bytes) => bytes,
            Err(e) if is_frozen(&e) => return Ok(Looked::Skipped(Why::Frozen)),
            Err(e) if e.kind() == Kind::Damaged => return Ok(Looked::Wrong(Wrong::Bytes, e.to_string())),
            // One file that cannot be read, on a disk that answers for everything else: the disk lost it.
            Err(e) if e.kind() == Kind::Operator && !self.store.may_freeze() && self.is_ours()? => {
                return Ok(Looked::Wrong(Wrong::Bytes, e.to_string()));
            }
            Err(e) if e.kind() == Kind::Operator && self.is_ours()? => return Ok(Looked::Skipped(Why::NoRight)),
            Err(e) => return Err(e),
        };
        let found = sha256(&bytes);
        if found != pack.hash {
            return Ok(Looked::Wrong(Wrong::Bytes, format!("its bytes are others: their hash is {found}")));
        }
        if let Some(keys) = self.open
            && let Err(e) = self.opens(pack, &bytes, keys)
        {
            return if e.kind() == Kind::Damaged { Ok(Looked::Wrong(Wrong::Bytes, e.to_string())) } else { Err(e) };
        }
        Ok(Looked::Sound { bytes: bytes.len() as u64 })
    }

    fn opens(&self, pack: &PackToSee, bytes: &[u8], keys: &OpenKeys) -> Result<()> {
        let Some((record, _)) = self.catalog.pack_record(pack.id)? else { return Ok(()) };
        let opener = PackOpener::new(&record, keys)?;
        let chunker = Chunker::new(keys.seal.cut_key(), keys.seal.chunk_key());
        let mut bench = OpenBench::new()?;
        for block in 0..record.table.blocks.len() {
            self.stop.check()?;
            let range = opener.range(block);
            let cut = || crate::error::Error::damaged("open a pack: it is shorter than its table says");
            let at = |n: u64| usize::try_from(n).map_err(|_| cut());
            let sealed = bytes.get(at(range.start)?..at(range.end)?).ok_or_else(cut)?;
            opener.open(block, sealed, &mut bench, &chunker)?;
        }
        Ok(())
    }

    /// Whether the vault there answers, and is the one of this catalog: then trouble with one object is that object's.
    pub(super) fn is_ours(&self) -> Result<bool> {
        Ok(matches!(identify(self.store, self.stop)?, Identity::Vault(found) if found.id == self.vault))
    }
}

/// Nobody reads what may be frozen: where the look cannot tell, the class does.
fn can_be_read(info: &ObjectInfo) -> bool {
    match info.access {
        Some(Access::Warm | Access::Thawed { .. }) => true,
        Some(Access::Frozen | Access::Thawing) => false,
        None => !info.class.as_deref().is_some_and(is_archive),
    }
}
