//! From a version's content to runs of chunks at their offsets in the file: needs the lengths of the chunks, which
//! the pack records know.

use crate::catalog::jobs::Run;
use crate::catalog::{Catalog, CatalogPiece};
use crate::error::{Error, Kind, Result};
use crate::format::Name;
use crate::format::pack::{PackRecord, read_own_record};
use crate::model::{Sha256, Tier};
use crate::seal::keys::SealKeys;
use crate::store::{Access, ObjectName, ObjectStore};
use crate::worker::Stop;
use std::collections::HashMap;
use std::sync::Arc;

/// Chunk lengths kept in memory, of all packs together: 16 MiB.
const LENGTHS: usize = 2 << 20;

/// Where the chunks of a pack begin when all are laid end to end; one more than there are chunks.
pub(super) type Starts = Arc<Vec<u64>>;

pub(super) fn starts(record: &PackRecord) -> Starts {
    let mut at = 0;
    let ends = record.table.lens.iter().map(|len| {
        at += u64::from(*len);
        at
    });
    Arc::new(std::iter::once(0).chain(ends).collect())
}

/// Lays contents out.
pub(super) struct Layouts<'a> {
    pub catalog: &'a Catalog,
    pub records: Records<'a>,
    lengths: HashMap<i64, Starts>,
    held: usize,
}

/// A content laid out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Laid {
    pub runs: Vec<Run>,
    /// Holes included.
    pub size: u64,
    /// Without holes.
    pub data: u64,
}

impl<'a> Layouts<'a> {
    pub fn new(catalog: &'a Catalog, records: Records<'a>) -> Self {
        Self { catalog, records, lengths: HashMap::new(), held: 0 }
    }

    /// Path: a pack it needs is not known, or has fewer chunks than it says.
    pub fn lay(&mut self, pieces: &[CatalogPiece]) -> Result<Laid> {
        let (mut runs, mut at, mut data) = (Vec::new(), 0u64, 0u64);
        for piece in pieces {
            match piece {
                CatalogPiece::Hole(n) => at = at.saturating_add(*n),
                CatalogPiece::Run { pack, first, count } => {
                    let starts = self.starts_of(*pack)?;
                    let ends = first
                        .checked_add(*count)
                        .and_then(|end| Some(starts.get(end as usize)? - starts.get(*first as usize)?));
                    let len = ends.ok_or_else(|| Error::path("its pack has fewer chunks than it names"))?;
                    runs.push(Run { pack: *pack, first: *first, count: *count, offset: at });
                    at = at.saturating_add(len);
                    data += len;
                }
            }
        }
        Ok(Laid { runs, size: at, data })
    }

    fn starts_of(&mut self, pack: i64) -> Result<Starts> {
        if let Some(known) = self.lengths.get(&pack) {
            return Ok(Arc::clone(known));
        }
        let record = self.records.of(self.catalog, pack)?.ok_or_else(|| {
            Error::path("no segment of the log tells what is in a pack it needs, and the pack itself cannot be read")
        })?;
        let starts = starts(&record);
        if self.held + starts.len() > LENGTHS {
            self.lengths.clear();
            self.held = 0;
        }
        self.held += starts.len();
        self.lengths.insert(pack, Arc::clone(&starts));
        Ok(starts)
    }
}

/// Finds what is in a pack: in the catalog, or where a segment is lost, in the pack itself.
pub(super) struct Records<'a> {
    pub store: &'a dyn ObjectStore,
    pub keys: &'a SealKeys,
    pub stop: &'a Stop,
    /// Packs asked in vain.
    pub unknown: HashMap<i64, Sha256>,
}

impl Records<'_> {
    /// None: nothing tells. What a pack tells of itself goes to the catalog, so that the log gets it again.
    pub fn of(&mut self, catalog: &Catalog, pack: i64) -> Result<Option<PackRecord>> {
        if let Some((record, _)) = catalog.pack_record(pack)? {
            return Ok(Some(record));
        }
        if self.unknown.contains_key(&pack) {
            return Ok(None);
        }
        let Some(hash) = catalog.pack_hash(pack)? else { return Ok(None) };
        for tier in [Tier::Cold, Tier::Hot] {
            if let Some(record) = self.ask(tier, hash)? {
                catalog.adopt_pack(record.clone())?;
                return Ok(Some(record));
            }
        }
        self.unknown.insert(pack, hash);
        Ok(None)
    }

    fn ask(&self, tier: Tier, hash: Sha256) -> Result<Option<PackRecord>> {
        let name = ObjectName::from(Name::Pack(tier, hash));
        match self.store.head(&name)?.map(|info| info.access) {
            None | Some(Some(Access::Frozen | Access::Thawing)) => return Ok(None),
            Some(_) => {}
        }
        let own = || {
            let object = self.store.read(&name, None, self.stop)?;
            let record = read_own_record(&object, &self.keys.meta, self.keys.vault)?;
            if record.hash == hash { Ok(record) } else { Err(Error::damaged("it is another pack")) }
        };
        let record = match own() {
            Err(e) if e.kind() == Kind::Damaged && self.store.uncover(&name)? => own(),
            other => other,
        };
        match record {
            Ok(record) => Ok(Some(record)),
            // Frozen, refused or damaged: the files that need it are named.
            Err(e) if matches!(e.kind(), Kind::Damaged | Kind::Operator) => Ok(None),
            Err(e) => Err(e),
        }
    }
}
