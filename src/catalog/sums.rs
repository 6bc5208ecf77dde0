//! What the bill of a vault hangs on, summed up from the rows: objects by tier, size and age, what waits, how it grew.
//!
//! One look at every pack, in constant memory: a vault of 10 TB has 400,000. Files are never looked at one by one.

use super::{Catalog, tree};
use crate::clock::Wall;
use crate::error::Result;
use crate::model::{Tier, TreePath};
use crate::price::Held;
use std::time::Duration;

/// How far back growth is looked at.
pub const GROWTH_DAYS: u32 = 30;
const DAY: Duration = Duration::from_secs(86_400);

/// What a vault holds and what will come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VaultSums {
    /// Stored packs, in the class of the vault.
    pub cold: Held,
    /// Stored packs that are always readable.
    pub hot: Held,
    /// Stored segments.
    pub log: Held,
    /// Sealed and not yet stored.
    pub spool_objects: u64,
    pub spool_bytes: u64,
    /// Not yet read; sizes as they were seen, before dedup and compression.
    pub queued_files: u64,
    pub queued_bytes: u64,
    /// Bytes of packs and segments stored in the last [`GROWTH_DAYS`]; None while the log is younger than that.
    pub grown: Option<u64>,
}

/// Latest versions of one root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootSums {
    pub path: TreePath,
    pub files: u64,
    /// Of the files themselves, before dedup and compression.
    pub bytes: u64,
}

impl Catalog {
    /// A pack is as old as the segment that names it.
    pub fn sums(&self, now: Wall) -> Result<VaultSums> {
        self.read("sum up the vault", |c| {
            let mut sums = VaultSums::default();
            let days = |written: i64| now.since(Wall(written)).as_secs() / DAY.as_secs();
            let mut grown = 0_u64;
            let mut first: Option<i64> = None;
            {
                let mut s = c.prepare_cached("SELECT size, written FROM segment WHERE state = 1")?;
                let mut rows = s.query([])?;
                while let Some(r) = rows.next()? {
                    let (size, written) = (tree::number(r, 0)?, r.get(1)?);
                    sums.log.add(size, days(written));
                    first = Some(first.map_or(written, |f| f.min(written)));
                    if days(written) < u64::from(GROWTH_DAYS) {
                        grown += size;
                    }
                }
            }
            {
                let mut s = c.prepare_cached(
                    "SELECT p.tier, p.size, s.written FROM pack p LEFT JOIN segment s ON s.number = p.segment
                     WHERE p.state = 1",
                )?;
                let mut rows = s.query([])?;
                while let Some(r) = rows.next()? {
                    let (size, written) = (tree::number(r, 1)?, r.get::<_, Option<i64>>(2)?);
                    let age = written.map_or(0, days);
                    let held = match super::objects::tier(r.get(0)?) {
                        Tier::Cold => &mut sums.cold,
                        Tier::Hot => &mut sums.hot,
                    };
                    held.add(size, age);
                    if age < u64::from(GROWTH_DAYS) {
                        grown += size;
                    }
                }
            }
            let two =
                |sql: &str| c.prepare_cached(sql)?.query_row([], |r| Ok((tree::number(r, 0)?, tree::number(r, 1)?)));
            let packs = two("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM pack WHERE state = 0")?;
            let segments = two("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM segment WHERE state = 0")?;
            (sums.spool_objects, sums.spool_bytes) = (packs.0 + segments.0, packs.1 + segments.1);
            (sums.queued_files, sums.queued_bytes) =
                two("SELECT COUNT(*), COALESCE(SUM(CASE WHEN d.file = 1 THEN d.bytes ELSE n.size END), 0)
                 FROM dirty d JOIN node n ON n.id = d.node
                 WHERE d.scope = 0 AND d.error IS NULL AND (d.file = 1 OR n.shape = 0)")?;
            sums.grown = first.filter(|f| days(*f) >= u64::from(GROWTH_DAYS)).map(|_| grown);
            Ok(sums)
        })
    }

    /// Every root the catalog knows, in the order of their paths; those no longer configured among them.
    pub fn root_sums(&self) -> Result<Vec<RootSums>> {
        self.read("sum up the roots", |c| {
            let mut s = c.prepare_cached("SELECT path, files, bytes FROM root ORDER BY path")?;
            let mut rows = s.query([])?;
            let mut out = Vec::new();
            while let Some(r) = rows.next()? {
                let path = TreePath::from_bytes(r.get::<_, Vec<u8>>(0)?).ok_or(rusqlite::Error::InvalidQuery)?;
                out.push(RootSums { path, files: tree::number(r, 1)?, bytes: tree::number(r, 2)? });
            }
            Ok(out)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn catalog(dir: &tempfile::TempDir) -> Catalog {
        Catalog::open(&dir.path().join("catalog.db")).unwrap()
    }

    fn fill(catalog: &Catalog, segments: &[(i64, i64, i64)], packs: &[(i64, i64, i64, Option<i64>)]) {
        catalog
            .write("fill", |tx| {
                for (number, state, written) in segments {
                    tx.execute(
                        "INSERT INTO segment (number, hash, size, state, written) VALUES (?, x'00', 1000, ?, ?)",
                        (number, state, written),
                    )?;
                }
                for (id, tier, state, segment) in packs {
                    tx.execute(
                        "INSERT INTO pack (id, hash, tier, size, state, segment, record) VALUES (?1, CAST(?1 AS BLOB), ?2, 5000, ?3, ?4, x'')",
                        (id, tier, state, segment),
                    )?;
                }
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn packs_are_summed_by_tier_and_age_and_what_is_lost_or_waits_is_not_billed() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = catalog(&dir);
        let now = Wall(100 * DAY_MS);
        fill(
            &catalog,
            &[(1, 1, 0), (2, 1, 90 * DAY_MS), (3, 0, 100 * DAY_MS)],
            &[(1, 0, 1, Some(1)), (2, 0, 1, Some(2)), (3, 1, 1, None), (4, 0, 0, None), (5, 0, 2, Some(1))],
        );
        let sums = catalog.sums(now).unwrap();
        let mut cold = Held::default();
        cold.add(5000, 100);
        cold.add(5000, 10);
        assert_eq!(sums.cold, cold);
        assert_eq!((sums.hot.objects(), sums.log.objects(), sums.log.bytes()), (1, 2, 2000));
        assert_eq!((sums.spool_objects, sums.spool_bytes), (2, 6000));
        assert_eq!(sums.grown, Some(1000 + 2 * 5000), "the second segment, its pack, and one nobody named yet");
    }

    #[test]
    fn growth_is_not_known_of_a_log_younger_than_a_month() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = catalog(&dir);
        assert_eq!(catalog.sums(Wall(0)).unwrap(), VaultSums::default());
        fill(&catalog, &[(1, 1, 80 * DAY_MS)], &[]);
        assert_eq!(catalog.sums(Wall(100 * DAY_MS)).unwrap().grown, None);
        assert_eq!(catalog.sums(Wall(110 * DAY_MS)).unwrap().grown, Some(0));
    }

    #[test]
    fn roots_come_with_what_their_files_are() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = catalog(&dir);
        let paths = ["/b", "/a"].map(|p| TreePath::from_bytes(p).unwrap());
        catalog.roots(&paths).unwrap();
        catalog
            .write("fill", |tx| tx.execute("UPDATE root SET files = 3, bytes = 70 WHERE path = x'2f61'", []))
            .unwrap();
        let sums = catalog.root_sums().unwrap();
        assert_eq!(sums[0], RootSums { path: paths[1].clone(), files: 3, bytes: 70 });
        assert_eq!((&sums[1].path, sums[1].bytes), (&paths[0], 0));
    }
}
