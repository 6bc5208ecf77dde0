//! Drills: what the log tells of those that were, the receipts it does not tell of yet, and what there is to drill.
//!
//! A receipt is handed over by whoever ran the drill, beside a daemon that may be at work: one row, which the daemon's
//! next publication takes along. The row has the drill's own id, so that a drill that dies after handing it over and
//! hands it over again is told once.

use super::history::pieces_of;
use super::{Catalog, CatalogPiece, NodeId, RootId, connect, objects, set_fact, sql, tree};
use crate::clock::Wall;
use crate::error::{Error, Result};
use crate::format::segment::Receipt;
use crate::model::{Proof, Seq, Sha256, Tier, Verdict};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use std::path::Path;

/// Identity of one drill.
pub type DrillId = [u8; 16];

/// Receipts handed over and not published; more than a publication ever meets.
const MOST_UNPUBLISHED: i64 = 200;

/// When a pack was last proved, by either proof.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drilled {
    pub sealed: Option<Wall>,
    pub contents: Option<Wall>,
}

/// A stored pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrillPack {
    /// Packs have ids in the order they were made.
    pub id: i64,
    pub hash: Sha256,
    pub tier: Tier,
    pub size: u64,
    pub drilled: Drilled,
}

/// A file whose newest version is stored whole and is not torn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillFile {
    pub node: NodeId,
    pub root: RootId,
    pub seq: Seq,
    pub captured: Wall,
    pub size: u64,
    /// Packs its content lies in, each once, sorted.
    pub packs: Vec<i64>,
}

fn proof_number(proof: Proof) -> i64 {
    match proof {
        Proof::Sealed => 0,
        Proof::Contents => 1,
    }
}

fn verdict_number(verdict: Verdict) -> i64 {
    match verdict {
        Verdict::Proved => 0,
        Verdict::Failed => 1,
        Verdict::Partly => 2,
    }
}

/// A receipt and what it says of packs; nothing where it is there already, but that a segment tells of it now.
pub(super) fn insert(tx: &Transaction<'_>, receipt: &Receipt, segment: Option<u64>) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO drill (id, at, proof, verdict, receipt, segment) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET segment = COALESCE(segment, excluded.segment)",
    )?
    .execute((
        &receipt.id[..],
        receipt.at.0,
        proof_number(receipt.proof),
        verdict_number(receipt.verdict),
        receipt.to_cbor(),
        segment.map(u64::cast_signed),
    ))?;
    let mut pack = tx.prepare_cached(
        "INSERT INTO drilled (hash, proof, at) VALUES (?1, ?2, ?3) ON CONFLICT (hash, proof) DO UPDATE SET at = MAX(at, ?3)",
    )?;
    receipt
        .sound
        .iter()
        .try_for_each(|hash| pack.execute((&hash.0[..], proof_number(receipt.proof), receipt.at.0)).map(drop))
}

pub(super) fn sealed(tx: &Transaction<'_>, id: DrillId, segment: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE drill SET segment = ? WHERE id = ?")?.execute((segment, &id[..])).map(drop)
}

fn drilled(c: &Connection, hash: &[u8]) -> rusqlite::Result<Drilled> {
    let mut s = c.prepare_cached("SELECT proof, at FROM drilled WHERE hash = ?")?;
    let mut rows = s.query([hash])?;
    let mut out = Drilled::default();
    while let Some(r) = rows.next()? {
        let at = Some(Wall(r.get(1)?));
        if r.get::<_, i64>(0)? == 0 { out.sealed = at } else { out.contents = at }
    }
    Ok(out)
}

fn receipts(c: &Connection, query: &str, most: i64) -> rusqlite::Result<Vec<Vec<u8>>> {
    c.prepare_cached(query)?.query_map([most], |r| r.get(0))?.collect()
}

/// Hands a receipt to a catalog that a daemon may have open: the one row anybody but its owner writes. Operator: there is
/// no catalog there, or one of another release.
pub(super) fn hand_over(path: &Path, receipt: &Receipt) -> Result<()> {
    let flags = OpenFlags::default().difference(OpenFlags::SQLITE_OPEN_CREATE);
    let mut writer = connect(path, flags)?;
    let found: i64 = writer.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(sql("read the version"))?;
    if usize::try_from(found) != Ok(super::MIGRATIONS.len()) {
        return Err(Error::operator(format!(
            "hand a receipt to the catalog {}: it is of another release",
            path.display()
        ))
        .remedy("start this release's daemon once; the drill then goes on from here"));
    }
    let doing = sql("hand over a drill's receipt");
    let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&doing)?;
    insert(&tx, receipt, None).map_err(&doing)?;
    tx.commit().map_err(&doing)
}

impl Catalog {
    /// Adds a receipt that the log is to tell of.
    pub fn add_drill(&self, receipt: &Receipt) -> Result<()> {
        self.write("keep a drill's receipt", |tx| insert(tx, receipt, None))
    }

    /// The same, from another process than the one that owns the catalog.
    pub fn hand_over(path: &Path, receipt: &Receipt) -> Result<()> {
        hand_over(path, receipt)
    }

    /// In the order they ended.
    pub fn unpublished_drills(&self) -> Result<Vec<Receipt>> {
        let found = self.read("read receipts to publish", |c| {
            receipts(c, "SELECT receipt FROM drill WHERE segment IS NULL ORDER BY at LIMIT ?", MOST_UNPUBLISHED)
        })?;
        found.iter().map(|cbor| Receipt::from_cbor(cbor)).collect()
    }

    /// The newest first.
    pub fn drills(&self, most: usize) -> Result<Vec<Receipt>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let found = self.read("read the drills that were", |c| {
            receipts(c, "SELECT receipt FROM drill ORDER BY at DESC LIMIT ?", most)
        })?;
        found.iter().map(|cbor| Receipt::from_cbor(cbor)).collect()
    }

    /// When a drill last proved all it tried.
    pub fn last_proved(&self) -> Result<Option<Wall>> {
        self.read("read the drills that were", |c| {
            c.prepare_cached("SELECT MAX(at) FROM drill WHERE verdict = 0")?
                .query_row([], |r| Ok(r.get::<_, Option<i64>>(0)?.map(Wall)))
        })
    }

    /// When the vault's log begins.
    pub fn first_segment(&self) -> Result<Option<Wall>> {
        self.read("read the first segment", |c| {
            c.prepare_cached("SELECT written FROM segment ORDER BY number LIMIT 1")?
                .query_row([], |r| Ok(Wall(r.get(0)?)))
                .optional()
        })
    }

    /// Every stored pack in the order of making; an error of `each` ends it.
    pub fn packs_to_drill(&self, each: &mut dyn FnMut(DrillPack) -> Result<()>) -> Result<()> {
        let mut failed = Ok(());
        self.read("look for packs to drill", |c| {
            let mut s = c.prepare_cached("SELECT id, hash, tier, size FROM pack WHERE state = 1 ORDER BY id")?;
            let mut rows = s.query([])?;
            while let Some(r) = rows.next()? {
                failed = each(pack_row(c, r)?);
                if failed.is_err() {
                    break;
                }
            }
            Ok(())
        })?;
        failed
    }

    /// A pack by its id; None where it is not stored.
    pub fn pack_to_drill(&self, id: i64) -> Result<Option<DrillPack>> {
        self.read("look at a pack to drill", |c| {
            c.prepare_cached("SELECT id, hash, tier, size FROM pack WHERE id = ? AND state = 1")?
                .query_row([id], |r| pack_row(c, r))
                .optional()
        })
    }

    /// Every file that can be drilled, in the order of nodes (neighbours are of one folder, and often of one pack); an
    /// error of `each` ends it. Files without contents are none.
    pub fn files_to_drill(&self, each: &mut dyn FnMut(DrillFile) -> Result<()>) -> Result<()> {
        let mut failed = Ok(());
        self.read("look for files to drill", |c| {
            let mut s = c.prepare_cached(
                "SELECT n.id, n.root, v.seq, v.captured, v.size, v.content FROM node n JOIN version v ON v.seq = n.seq
                 WHERE n.shape = 0 AND n.torn = 0 AND v.kind = 0 AND v.waits = 0 AND v.content IS NOT NULL ORDER BY n.id",
            )?;
            let mut rows = s.query([])?;
            while let Some(r) = rows.next()? {
                let content: Vec<u8> = r.get(5)?;
                let Ok(packs) = packs_of(&content) else { continue };
                if packs.is_empty() {
                    continue;
                }
                failed = each(DrillFile {
                    node: NodeId(r.get(0)?),
                    root: RootId(r.get(1)?),
                    seq: Seq(tree::number(r, 2)?),
                    captured: Wall(r.get(3)?),
                    size: tree::number(r, 4)?,
                    packs,
                });
                if failed.is_err() {
                    break;
                }
            }
            Ok(())
        })?;
        failed
    }

    /// Receipts of `other` that its log does not tell of yet: a rebuilt catalog takes them over.
    pub fn take_over_drills(&self, other: &Catalog) -> Result<()> {
        for receipt in other.unpublished_drills()? {
            self.add_drill(&receipt)?;
        }
        Ok(())
    }

    /// Keeps that somebody was asked for a drill.
    pub fn asked_for_drill(&self, at: Wall) -> Result<()> {
        self.write("keep that a drill was asked for", |tx| set_fact(tx, "drill_asked", at.0))
    }
}

fn pack_row(c: &Connection, r: &rusqlite::Row<'_>) -> rusqlite::Result<DrillPack> {
    let hash: Vec<u8> = r.get(1)?;
    Ok(DrillPack {
        id: r.get(0)?,
        drilled: drilled(c, &hash)?,
        hash: Sha256::from_slice(&hash).ok_or(rusqlite::Error::InvalidQuery)?,
        tier: objects::tier(r.get(2)?),
        size: tree::number(r, 3)?,
    })
}

fn packs_of(content: &[u8]) -> Result<Vec<i64>> {
    let mut packs: Vec<i64> = pieces_of(content)?
        .into_iter()
        .filter_map(|piece| if let CatalogPiece::Run { pack, .. } = piece { Some(pack) } else { None })
        .collect();
    packs.sort_unstable();
    packs.dedup();
    Ok(packs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::SegmentRow;
    use crate::model::SegmentNo;

    fn receipt(n: u8, verdict: Verdict) -> Receipt {
        Receipt {
            id: [n; 16],
            at: Wall(i64::from(n) * 1000),
            proof: Proof::Contents,
            verdict,
            files: 1,
            live: 1,
            failed: 0,
            bytes: 1,
            sound: vec![Sha256([n; 32])],
            damaged: vec![],
            cost: None,
        }
    }

    #[test]
    fn a_receipt_handed_over_beside_an_open_catalog_is_published_once_however_often_it_is_handed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.db");
        assert!(Catalog::hand_over(&path, &receipt(1, Verdict::Proved)).is_err(), "no catalog is made");
        let catalog = Catalog::open(&path).unwrap();
        for _ in 0..2 {
            Catalog::hand_over(&path, &receipt(1, Verdict::Proved)).unwrap();
        }
        Catalog::hand_over(&path, &receipt(2, Verdict::Failed)).unwrap();
        assert_eq!(catalog.unpublished_drills().unwrap(), [receipt(1, Verdict::Proved), receipt(2, Verdict::Failed)]);
        let row = SegmentRow { number: SegmentNo(1), hash: Sha256([0; 32]), size: 1, written: Wall(5) };
        catalog.segment_sealed(&row, &[], &[], &[], &[[1; 16]]).unwrap();
        Catalog::hand_over(&path, &receipt(1, Verdict::Proved)).unwrap();
        assert_eq!(catalog.unpublished_drills().unwrap(), [receipt(2, Verdict::Failed)]);
        assert_eq!(catalog.drills(1).unwrap(), [receipt(2, Verdict::Failed)]);
        assert_eq!(catalog.last_proved().unwrap(), Some(Wall(1000)), "one that failed proves nothing");
        assert_eq!(catalog.first_segment().unwrap(), Some(Wall(5)));
        let beside = Catalog::open(&dir.path().join("new.db")).unwrap();
        beside.take_over_drills(&catalog).unwrap();
        assert_eq!(beside.unpublished_drills().unwrap(), [receipt(2, Verdict::Failed)]);
    }
}
