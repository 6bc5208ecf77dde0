//! Packs, places of chunks, and segments: what is in the spool, what is stored, what is lost.

use super::drills::DrillId;
use super::{Catalog, RootId, tree};
use crate::clock::Wall;
use crate::error::Result;
use crate::format::pack::PackRecord;
use crate::model::{ChunkId, Rank, SegmentNo, Seq, Sha256, Tier};
use rusqlite::{OptionalExtension, Transaction};

/// A pack sealed into the spool.
#[derive(Clone, Debug)]
pub struct NewPackRow {
    pub id: i64,
    pub record: PackRecord,
    pub rank: Rank,
    /// Of the file for which it was opened.
    pub root: RootId,
}

/// Where a chunk that needs no sending lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub pack: i64,
    pub number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    pub number: SegmentNo,
    pub hash: Sha256,
    pub size: u64,
    pub written: Wall,
}

/// Something sealed that waits for the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpooledObject {
    Pack { id: i64, hash: Sha256, tier: Tier, size: u64, rank: Rank },
    Segment(SegmentRow),
}

/// Packs of the next larger band that one may overtake in the spool: more than it holds of full packs as it is set.
pub(super) const OVERTAKEN: i64 = 32;

pub(super) fn tier_number(tier: Tier) -> i64 {
    i64::from(tier == Tier::Hot)
}
pub(super) fn tier(n: i64) -> Tier {
    if n == 1 { Tier::Hot } else { Tier::Cold }
}
fn hash(bytes: &[u8]) -> rusqlite::Result<Sha256> {
    Sha256::from_slice(bytes).ok_or(rusqlite::Error::InvalidQuery)
}

pub(super) fn insert_pack(tx: &Transaction<'_>, pack: &NewPackRow) -> rusqlite::Result<()> {
    insert_pack_as(tx, pack, 0, None)
}

pub(super) fn insert_pack_as(
    tx: &Transaction<'_>,
    pack: &NewPackRow,
    state: i64,
    segment: Option<u64>,
) -> rusqlite::Result<()> {
    let r = &pack.record;
    tx.prepare_cached("INSERT INTO pack (id, hash, tier, size, state, segment, record, rank, root) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute((
            pack.id,
            &r.hash.0[..],
            tier_number(r.table.tier),
            r.size.cast_signed(),
            state,
            segment.map(u64::cast_signed),
            r.to_cbor(),
            pack.rank.number() as i64,
            pack.root.0,
        ))?;
    // In id order: the table is a tree of ids, and neighbours share its pages.
    let mut order: Vec<(ChunkId, usize)> = r.table.ids.iter().copied().enumerate().map(|(i, id)| (id, i)).collect();
    order.sort_unstable();
    let mut place = tx.prepare_cached("INSERT OR IGNORE INTO place (chunk, pack, number) VALUES (?, ?, ?)")?;
    for (id, number) in order {
        place.execute((&id.0[..], pack.id, number as i64))?;
    }
    Ok(())
}

const LOG_END: &str = "log_end";

impl Catalog {
    /// For each chunk, a place that serves `wanted`: in a pack that is stored or intact in our spool.
    pub fn known(&self, chunks: &[ChunkId], wanted: Tier) -> Result<Vec<Option<Known>>> {
        self.read("look for known chunks", |c| {
            let mut s = c.prepare_cached(
                "SELECT place.pack, place.number FROM place JOIN pack ON pack.id = place.pack
                 WHERE place.chunk = ? AND pack.state < 2 AND pack.tier >= ? ORDER BY pack.state DESC, place.pack LIMIT 1",
            )?;
            chunks
                .iter()
                .map(|id| s.query_row((&id.0[..], tier_number(wanted)), |r| Ok(Known { pack: r.get(0)?, number: r.get(1)? })).optional())
                .collect()
        })
    }

    /// What waits for the vault: the segment first, then packs: by what was said of their files, and within it in the
    /// order they were opened, where small files overtake up to [`OVERTAKEN`] packs of larger ones, and no more.
    pub fn spooled(&self, most: usize) -> Result<Vec<SpooledObject>> {
        self.spooled_of(most, 1)
    }

    /// The same, of packs that are so many times smaller than they might be: so many more are overtaken.
    pub fn spooled_of(&self, most: usize, smaller: u64) -> Result<Vec<SpooledObject>> {
        let overtaken = OVERTAKEN.saturating_mul(smaller.max(1).cast_signed());
        self.read("read the spool's rows", |c| {
            let mut out = vec![];
            let mut s =
                c.prepare_cached("SELECT number, hash, size, written FROM segment WHERE state = 0 ORDER BY number")?;
            let mut rows = s.query([])?;
            while let Some(r) = rows.next()? {
                let row = SegmentRow {
                    number: SegmentNo(tree::number(r, 0)?),
                    hash: hash(&r.get::<_, Vec<u8>>(1)?)?,
                    size: tree::number(r, 2)?,
                    written: Wall(r.get(3)?),
                };
                out.push(SpooledObject::Segment(row));
            }
            let mut s =
                c.prepare_cached("SELECT id, hash, tier, size, rank FROM pack INDEXED BY pack_turn WHERE state = 0 ORDER BY rank / 3, id + ? * (rank % 3) LIMIT ?")?;
            let mut rows = s.query((overtaken, most as i64))?;
            while let Some(r) = rows.next()? {
                out.push(SpooledObject::Pack {
                    id: r.get(0)?,
                    hash: hash(&r.get::<_, Vec<u8>>(1)?)?,
                    tier: tier(r.get(2)?),
                    size: tree::number(r, 3)?,
                    rank: Rank::from_number(r.get(4)?),
                });
            }
            Ok(out)
        })
    }

    /// The rank of the pack that goes first of those in the spool.
    pub fn foremost_spooled(&self) -> Result<Option<Rank>> {
        self.read("look at the spool's rows", |c| {
            c.prepare_cached("SELECT MIN(rank) FROM pack INDEXED BY pack_turn WHERE state = 0")?
                .query_row([], |r| r.get::<_, Option<i64>>(0))
                .map(|rank| rank.map(Rank::from_number))
        })
    }

    /// Number and bytes of packs in the spool.
    pub fn spooled_packs(&self) -> Result<(u64, u64)> {
        self.read("count the spool's rows", |c| {
            c.prepare_cached("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM pack WHERE state = 0")?
                .query_row([], |r| Ok((tree::number(r, 0)?, tree::number(r, 1)?)))
        })
    }

    /// The vault confirmed a pack: versions stop waiting for it.
    pub fn pack_stored(&self, id: i64, at: Wall) -> Result<()> {
        self.write("note a stored pack", |tx| {
            tx.execute(
                "UPDATE version SET waits = waits - 1 WHERE seq IN (SELECT version FROM wait WHERE pack = ?)",
                [id],
            )?;
            tx.execute("DELETE FROM wait WHERE pack = ?", [id])?;
            super::set_fact(tx, "last_stored", at.0)?;
            tx.execute("UPDATE pack SET state = 1 WHERE id = ? AND state = 0", [id]).map(drop)
        })
    }

    /// The vault confirmed a segment and a listing showed no other writer: what it names is safe.
    pub fn segment_stored(&self, number: SegmentNo, at: Wall) -> Result<()> {
        self.write("note a stored segment", |tx| {
            super::set_fact(tx, "last_stored", at.0)?;
            tx.execute("UPDATE segment SET state = 1 WHERE number = ?", [number.0.cast_signed()]).map(drop)
        })
    }

    /// Packs that are stored but that no segment names yet.
    pub fn unpublished_packs(&self, after: i64, most: usize) -> Result<Vec<NewPackRow>> {
        let rows: Vec<(i64, Vec<u8>, i64, i64)> = self.read("read packs to publish", |c| {
            let mut s = c.prepare_cached(
                "SELECT id, record, rank, root FROM pack WHERE state = 1 AND segment IS NULL AND id > ? ORDER BY id LIMIT ?",
            )?;
            s.query_map((after, most as i64), |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?.collect()
        })?;
        rows.into_iter()
            .map(|(id, record, rank, root)| {
                let (record, rank) = (PackRecord::from_cbor(&record)?, Rank::from_number(rank));
                Ok(NewPackRow { id, record, rank, root: RootId(root) })
            })
            .collect()
    }

    pub fn unpublished_losses(&self) -> Result<Vec<(Sha256, Seq)>> {
        self.read("read losses to publish", |c| {
            let mut s = c.prepare_cached("SELECT hash, seq FROM lost ORDER BY seq")?;
            let mut rows = s.query([])?;
            let mut out = vec![];
            while let Some(r) = rows.next()? {
                out.push((hash(&r.get::<_, Vec<u8>>(0)?)?, Seq(tree::number(r, 1)?)));
            }
            Ok(out)
        })
    }

    /// A segment is sealed into the spool: from now on it names these packs and records, and will never be sealed again.
    pub fn segment_sealed(
        &self,
        row: &SegmentRow,
        packs: &[i64],
        records: &[Seq],
        losses: &[Sha256],
        drills: &[DrillId],
    ) -> Result<()> {
        self.write("note a sealed segment", |tx| {
            insert_segment(tx, row, 0)?;
            let number = row.number.0.cast_signed();
            let mut pack = tx.prepare_cached("UPDATE pack SET segment = ? WHERE id = ?")?;
            packs.iter().try_for_each(|id| pack.execute((number, id)).map(drop))?;
            let mut record = tx.prepare_cached("UPDATE version SET segment = ? WHERE seq = ?")?;
            records.iter().try_for_each(|seq| record.execute((number, seq.0.cast_signed())).map(drop))?;
            losses
                .iter()
                .try_for_each(|hash| tx.execute("DELETE FROM lost WHERE hash = ?", [&hash.0[..]]).map(drop))?;
            drills.iter().try_for_each(|id| super::drills::sealed(tx, *id, number))
        })
    }

    /// Where the log ended when the catalog was read from it: the highest number, and the segments of that number, whether or
    /// not they could be read or a merge stands for them. What took such a number would never be read.
    pub fn keep_log_end(&self, number: SegmentNo, hashes: &[Sha256]) -> Result<()> {
        let text = hashes.iter().fold(number.0.to_string(), |text, hash| format!("{text} {hash}"));
        self.set_fact(LOG_END, text)
    }
    /// Zero and none: it was empty, or nothing was read from it.
    pub fn log_end(&self) -> Result<(SegmentNo, Vec<String>)> {
        let text: Option<String> = self.fact(LOG_END)?;
        let text = text.unwrap_or_default();
        let mut words = text.split_whitespace();
        let number = words.next().and_then(|n| n.parse().ok()).map_or_else(SegmentNo::default, SegmentNo);
        Ok((number, words.map(str::to_owned).collect()))
    }

    /// The newest segment of any state.
    pub fn last_segment(&self) -> Result<Option<SegmentRow>> {
        self.read("read the newest segment", |c| {
            let mut s =
                c.prepare_cached("SELECT number, hash, size, written FROM segment ORDER BY number DESC LIMIT 1")?;
            s.query_row([], |r| {
                Ok(SegmentRow {
                    number: SegmentNo(tree::number(r, 0)?),
                    hash: hash(&r.get::<_, Vec<u8>>(1)?)?,
                    size: tree::number(r, 2)?,
                    written: Wall(r.get(3)?),
                })
            })
            .optional()
        })
    }

    /// Stored segments after a number, in order.
    pub fn segments_after(&self, number: SegmentNo, most: usize) -> Result<Vec<SegmentRow>> {
        self.read("read stored segments", |c| {
            let mut s = c.prepare_cached("SELECT number, hash, size, written FROM segment WHERE number > ? AND state = 1 ORDER BY number LIMIT ?")?;
            let mut rows = s.query((number.0.cast_signed(), most as i64))?;
            let mut out = vec![];
            while let Some(r) = rows.next()? {
                let row = SegmentRow { number: SegmentNo(tree::number(r, 0)?), hash: hash(&r.get::<_, Vec<u8>>(1)?)?, size: tree::number(r, 2)?, written: Wall(r.get(3)?) };
                out.push(row);
            }
            Ok(out)
        })
    }

    /// Hash of a segment this catalog knows.
    pub fn segment_hash(&self, number: SegmentNo) -> Result<Option<Sha256>> {
        self.read("read a segment's hash", |c| {
            c.prepare_cached("SELECT hash FROM segment WHERE number = ?")?
                .query_row([number.0.cast_signed()], |r| r.get::<_, Vec<u8>>(0))
                .optional()?
                .map(|b| hash(&b))
                .transpose()
        })
    }

    /// Names of packs that must be in the vault, in hash order, page by page.
    pub fn stored_packs(&self, after: &[u8], most: usize) -> Result<Vec<(i64, Sha256, Tier, u64)>> {
        self.read("read stored packs", |c| {
            let mut s = c.prepare_cached(
                "SELECT id, hash, tier, size FROM pack WHERE state = 1 AND hash > ? ORDER BY hash LIMIT ?",
            )?;
            let mut rows = s.query((after, most as i64))?;
            let mut out = vec![];
            while let Some(r) = rows.next()? {
                out.push((r.get(0)?, hash(&r.get::<_, Vec<u8>>(1)?)?, tier(r.get(2)?), tree::number(r, 3)?));
            }
            Ok(out)
        })
    }

    /// Record of a pack and whether it is not lost; None when there is no such pack, or no segment told what is in it.
    pub fn pack_record(&self, id: i64) -> Result<Option<(PackRecord, bool)>> {
        let found: Option<(Vec<u8>, i64)> = self.read("read a pack record", |c| {
            c.prepare_cached("SELECT record, state FROM pack WHERE id = ? AND LENGTH(record) > 0")?
                .query_row([id], |r| Ok((r.get(0)?, r.get(1)?)))
                .optional()
        })?;
        found.map(|(record, state)| Ok((PackRecord::from_cbor(&record)?, state < 2))).transpose()
    }

    /// Hash of a pack, whatever else is known of it.
    pub fn pack_hash(&self, id: i64) -> Result<Option<Sha256>> {
        self.read("read a pack's hash", |c| {
            c.prepare_cached("SELECT hash FROM pack WHERE id = ?")?
                .query_row([id], |r| hash(&r.get::<_, Vec<u8>>(0)?))
                .optional()
        })
    }

    /// The next stored pack that holds the chunk, in order of pack ids, from `after` on and other than `not`.
    pub fn another_place(&self, chunk: ChunkId, not: i64, after: i64) -> Result<Option<Known>> {
        self.read("look for another place of a chunk", |c| {
            c.prepare_cached(
                "SELECT place.pack, place.number FROM place JOIN pack ON pack.id = place.pack
                 WHERE chunk = ? AND pack > ? AND pack != ? AND pack.state = 1 ORDER BY pack LIMIT 1",
            )?
            .query_row((&chunk.0[..], after, not), |r| Ok(Known { pack: r.get(0)?, number: r.get(1)? }))
            .optional()
        })
    }
}

pub(super) fn insert_segment(tx: &Transaction<'_>, row: &SegmentRow, state: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO segment (number, hash, size, state, written) VALUES (?, ?, ?, ?, ?)")?
        .execute((row.number.0.cast_signed(), &row.hash.0[..], row.size.cast_signed(), state, row.written.0))
        .map(drop)
}
