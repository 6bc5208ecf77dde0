//! What each pack of a job from cold storage waits for, and in which order packs are taken up. Times are those of the
//! wall clock: they outlive the process and are compared with the server's.
//!
//! A pack is fetched when the job's cursor has passed its turn; no row says so.

use super::super::{objects, set_fact};
use super::{Cursor, JobFile, signed};
use crate::clock::Wall;
use crate::error::{Error, Result};
use crate::model::{Sha256, Tier};
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

/// Where a pack stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThawState {
    Frozen = 0,
    Asked = 1,
    Ready = 2,
    /// Frozen, and nobody agreed to pay for it.
    Unpaid = 3,
}

/// One pack of a job from cold storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThawRow {
    pub pack: i64,
    pub hash: Sha256,
    pub tier: Tier,
    /// That are read of it.
    pub bytes: u64,
    /// Where to begin.
    pub chunk: u32,
    pub state: ThawState,
    pub turn: Option<i64>,
    pub history: ThawHistory,
}

/// Whether a pack was asked for before: then asking costs once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThawHistory {
    New,
    AskedBefore,
}

/// What there is of packs in one state, that are not taken up yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThawSum {
    pub packs: u64,
    /// That are read of them.
    pub bytes: u64,
    /// When the first of them was asked for.
    pub first_asked: Option<Wall>,
}

/// Packs that were asked for and are not fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedBefore {
    /// Whose copies went: they are to be asked for once more.
    pub gone: ThawSum,
    /// Those, and all others: the most that may have to be.
    pub all: ThawSum,
}

/// How long a copy must stay to be worth reading: until then, and for each byte so many milliseconds more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Enough {
    pub soon: Wall,
    pub ms_a_byte: f64,
}

impl Enough {
    /// Whether a copy that goes at `until` stays long enough for so many bytes.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a fetch")]
    pub fn is_before(self, until: Wall, bytes: u64) -> bool {
        until.0 as f64 > self.soon.0 as f64 + self.ms_a_byte * bytes as f64
    }
}

/// A wave on its way: what is still to be asked for, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wave {
    /// To be read of the packs still to be asked for.
    pub left: u64,
    pub days: u32,
    /// When the next one is due.
    pub next: Wall,
}

/// What is planned of a pack that may be frozen. It counts as ready until something else is known of it.
#[derive(Clone, Copy, Debug)]
pub struct NewThaw {
    /// The lower, the sooner.
    pub wanted: u64,
    /// To be read of it.
    pub bytes: u64,
}

impl NewThaw {
    pub(super) fn add(&self, tx: &Transaction<'_>, pack: i64) -> rusqlite::Result<()> {
        tx.prepare_cached("INSERT OR REPLACE INTO thaw (pack, wanted, bytes) VALUES (?, ?, ?)")?
            .execute((pack, signed(self.wanted), signed(self.bytes)))
            .map(drop)
    }
}

/// A pack that a later round needs.
#[derive(Clone, Copy, Debug)]
pub struct NewInRound {
    pub pack: i64,
    pub hash: Sha256,
    pub tier: Tier,
    /// As an earlier round left it; None: it was in no plan.
    pub known: Option<ThawState>,
}

const ROW: &str = "SELECT t.pack, p.hash, p.tier, t.bytes, t.chunk, t.state, t.turn, t.asked IS NOT NULL FROM thaw t JOIN pack p ON p.id = t.pack";

type Found = (i64, Vec<u8>, i64, i64, u32, i64, Option<i64>, bool);

fn found(r: &Row<'_>) -> rusqlite::Result<Found> {
    Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?, r.get(7)?))
}

fn row((pack, hash, tier, bytes, chunk, state, turn, asked): Found) -> Result<ThawRow> {
    let hash = Sha256::from_slice(&hash).ok_or_else(|| Error::damaged("read a pack of the job"))?;
    let state = match state {
        0 => ThawState::Frozen,
        1 => ThawState::Asked,
        2 => ThawState::Ready,
        _ => ThawState::Unpaid,
    };
    let history = if asked { ThawHistory::AskedBefore } else { ThawHistory::New };
    Ok(ThawRow { pack, hash, tier: objects::tier(tier), bytes: bytes.cast_unsigned(), chunk, state, turn, history })
}

impl JobFile {
    /// The first file that wants a pack of the plan.
    pub fn first_file_of(&self, pack: i64) -> Result<Option<i64>> {
        self.read("read who wants a pack", |c| {
            c.prepare_cached("SELECT MIN(file) FROM piece WHERE round = 0 AND pack = ?")?
                .query_row([pack], |r| r.get(0))
        })
    }

    /// The pack of this hash, where the job needs it.
    pub fn pack_of_hash(&self, hash: Sha256) -> Result<Option<i64>> {
        self.read("look for a pack", |c| {
            c.prepare_cached("SELECT id FROM pack WHERE hash = ?")?.query_row([&hash.0[..]], |r| r.get(0)).optional()
        })
    }

    /// What a look told of packs; their turns stay.
    pub fn thaw_seen(&self, seen: &[(i64, ThawState, Option<Wall>)]) -> Result<()> {
        self.write("note thaws", |tx| {
            let mut s = tx.prepare_cached("UPDATE thaw SET state = ?, until = ? WHERE pack = ?")?;
            seen.iter()
                .try_for_each(|(pack, state, until)| s.execute((*state as i64, until.map(|w| w.0), pack)).map(drop))
        })
    }

    /// Of packs in a state that are not taken up yet.
    pub fn thaw_sum(&self, round: u32, state: ThawState) -> Result<ThawSum> {
        self.read("count thaws", |c| {
            c.prepare_cached(
                "SELECT COUNT(*), COALESCE(SUM(bytes), 0), MIN(asked) FROM thaw INDEXED BY thaw_next
                 WHERE round = ? AND state = ? AND turn IS NULL",
            )?
            .query_row((round, state as i64), |r| {
                let (packs, bytes): (i64, i64) = (r.get(0)?, r.get(1)?);
                let first_asked: Option<i64> = r.get(2)?;
                Ok(ThawSum {
                    packs: packs.cast_unsigned(),
                    bytes: bytes.cast_unsigned(),
                    first_asked: first_asked.map(Wall),
                })
            })
        })
    }

    /// Packs in a state that are not taken up yet, the most wanted first; `most` at a time.
    pub fn thaws(&self, round: u32, state: ThawState, most: u32) -> Result<Vec<ThawRow>> {
        let found: Vec<Found> = self.read("read thaws", |c| {
            c.prepare_cached(&format!(
                "{ROW} WHERE t.round = ? AND t.state = ? AND t.turn IS NULL ORDER BY t.wanted, t.pack LIMIT ?"
            ))?
            .query_map((round, state as i64, most), found)?
            .collect()
        })?;
        found.into_iter().map(row).collect()
    }

    /// The most wanted pack that can be taken up: its copy stays for long enough, or it is never to be thawed.
    pub fn thaw_to_fetch(&self, round: u32, enough: Enough) -> Result<Option<ThawRow>> {
        let found: Option<Found> = self.read("read what is thawed", |c| {
            c.prepare_cached(&format!(
                "{ROW} WHERE t.round = ?1 AND t.state >= 2 AND t.turn IS NULL
                 AND (t.until IS NULL OR t.until > ?2 + ?3 * t.bytes) ORDER BY t.state, t.wanted, t.pack LIMIT 1"
            ))?
            .query_row((round, enough.soon.0, enough.ms_a_byte), found)
            .optional()
        })?;
        found.map(row).transpose()
    }

    /// Packs that wait for their thaw, page by page by id.
    pub fn thaws_asked(&self, round: u32, after: i64, most: u32) -> Result<Vec<ThawRow>> {
        let found: Vec<Found> = self.read("read thaws", |c| {
            c.prepare_cached(&format!(
                "{ROW} WHERE t.round = ? AND t.state = 1 AND t.turn IS NULL AND t.pack > ? ORDER BY t.pack LIMIT ?"
            ))?
            .query_map((round, after, most), found)?
            .collect()
        })?;
        found.into_iter().map(row).collect()
    }

    /// A row by its pack.
    pub fn thaw_row(&self, pack: i64) -> Result<Option<ThawRow>> {
        let found: Option<Found> = self.read("read a thaw", |c| {
            c.prepare_cached(&format!("{ROW} WHERE t.pack = ?"))?.query_row([pack], found).optional()
        })?;
        found.map(row).transpose()
    }

    pub fn wave(&self) -> Result<Wave> {
        let days = self.count("wave_days")?;
        Ok(Wave {
            left: self.count("wave_left")?,
            days: u32::try_from(days).unwrap_or(u32::MAX),
            next: Wall(self.fact("wave_next")?.unwrap_or(i64::MIN)),
        })
    }
    pub fn begin_wave(&self, wave: Wave) -> Result<()> {
        self.write("begin a wave", |tx| {
            set_fact(tx, "wave_left", signed(wave.left))?;
            set_fact(tx, "wave_days", wave.days)?;
            set_fact(tx, "wave_next", wave.next.0)
        })
    }

    /// A pack was asked for, or found ready: it is off the wave.
    pub fn thaw_asked(&self, row: &ThawRow, state: ThawState, until: Option<Wall>, now: Wall) -> Result<()> {
        self.write("note a thaw that was asked for", |tx| {
            tx.prepare_cached("UPDATE thaw SET state = ?, asked = ?, until = ? WHERE pack = ?")?.execute((
                state as i64,
                now.0,
                until.map(|w| w.0),
                row.pack,
            ))?;
            if (row.history, state) == (ThawHistory::AskedBefore, ThawState::Asked) {
                let left = again_left(tx)?;
                set_fact(tx, AGAIN, signed(left.saturating_sub(row.bytes)))?;
            }
            more_of_the_wave(tx, -signed(row.bytes))
        })
    }

    /// Bytes that may still be asked for once more, because their copies went: what was shown covers no more.
    pub fn may_thaw_again(&self) -> Result<u64> {
        self.read("read what may be thawed again", again_left)
    }

    pub fn set_may_thaw_again(&self, bytes: u64) -> Result<()> {
        self.set_fact(AGAIN, i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    pub fn thaws_asked_before(&self) -> Result<AskedBefore> {
        let turn = self.cursor()?.pack;
        self.read("count what may be thawed again", |c| {
            c.prepare_cached(
                "SELECT COUNT(*) FILTER (WHERE state = 0 AND turn IS NULL),
                        COALESCE(SUM(bytes) FILTER (WHERE state = 0 AND turn IS NULL), 0), COUNT(*), COALESCE(SUM(bytes), 0)
                 FROM thaw WHERE asked IS NOT NULL AND (turn IS NULL OR turn >= ?)",
            )?
            .query_row([turn], |r| {
                let sum = |at: usize| -> rusqlite::Result<ThawSum> {
                    let (packs, bytes): (i64, i64) = (r.get(at)?, r.get(at + 1)?);
                    Ok(ThawSum { packs: packs.cast_unsigned(), bytes: bytes.cast_unsigned(), first_asked: None })
                };
                Ok(AskedBefore { gone: sum(0)?, all: sum(2)? })
            })
        })
    }

    /// Copies that go too soon and were not taken up are frozen again, and asked for with the wave on its way. How many.
    pub fn thaws_expired(&self, round: u32, enough: Enough) -> Result<u64> {
        self.write("note copies that expired", |tx| {
            const GONE: &str = "round = ?1 AND state = 2 AND turn IS NULL AND until <= ?2 + ?3 * bytes";
            let now = (round, enough.soon.0, enough.ms_a_byte);
            let bytes: i64 = tx
                .prepare_cached(&format!("SELECT COALESCE(SUM(bytes), 0) FROM thaw WHERE {GONE}"))?
                .query_row(now, |r| r.get(0))?;
            let gone = tx
                .prepare_cached(&format!("UPDATE thaw SET state = 0, asked = COALESCE(asked, 0) WHERE {GONE}"))?
                .execute(now)?;
            if gone > 0 {
                more_of_the_wave(tx, bytes)?;
            }
            Ok(gone as u64)
        })
    }

    /// The next pack that was taken up, from a turn on.
    pub fn turn_from(&self, round: u32, from: i64) -> Result<Option<ThawRow>> {
        Ok(self.turns_from(round, from, 1)?.pop())
    }
    pub fn turns_from(&self, round: u32, from: i64, most: u32) -> Result<Vec<ThawRow>> {
        let found: Vec<Found> = self.read("read turns", |c| {
            c.prepare_cached(&format!("{ROW} WHERE t.round = ? AND t.turn >= ? ORDER BY t.turn LIMIT ?"))?
                .query_map((round, from, most), found)?
                .collect()
        })?;
        found.into_iter().map(row).collect()
    }

    /// It is this pack's turn now; no number is given twice.
    pub fn take_turn(&self, pack: i64) -> Result<i64> {
        self.write("take up a pack", |tx| {
            let turn: i64 = tx
                .prepare_cached("SELECT value FROM fact WHERE name = 'turns'")?
                .query_row([], |r| r.get(0))
                .optional()?
                .unwrap_or(0)
                + 1;
            set_fact(tx, "turns", turn)?;
            tx.prepare_cached("UPDATE thaw SET turn = ? WHERE pack = ?")?.execute((turn, pack))?;
            Ok(turn)
        })
    }

    /// A pack that was taken up cannot be read: it gets another turn, and goes on at its chunk. To ask for it counts as
    /// asking again, though nobody asked before where it was not frozen then: the first price did not have it.
    pub fn put_back(&self, row: &ThawRow, state: ThawState) -> Result<()> {
        self.write("put a pack back", |tx| {
            tx.prepare_cached(
                "UPDATE thaw SET state = ?1, until = NULL, turn = NULL, chunk = ?2,
                        asked = CASE ?1 WHEN 0 THEN COALESCE(asked, 0) ELSE asked END WHERE pack = ?3",
            )?
            .execute((state as i64, row.chunk, row.pack))?;
            if state == ThawState::Frozen { more_of_the_wave(tx, signed(row.bytes)) } else { Ok(()) }
        })
    }

    /// Packs of a later round that have no row of it yet, some at a time.
    pub fn packs_without_thaw(&self, round: u32, most: u32) -> Result<Vec<NewInRound>> {
        type Missing = (i64, Vec<u8>, i64, Option<i64>);
        let found: Vec<Missing> = self.read("read packs of a round", |c| {
            c.prepare_cached(
                "SELECT p.id, p.hash, p.tier, t.state FROM pack p LEFT JOIN thaw t ON t.pack = p.id
                 WHERE p.id IN (SELECT pack FROM piece WHERE round = ?1) AND COALESCE(t.round, -1) < ?1 LIMIT ?2",
            )?
            .query_map((round, most), |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?
            .collect()
        })?;
        found
            .into_iter()
            .map(|(pack, hash, tier, state)| {
                let hash = Sha256::from_slice(&hash).ok_or_else(|| Error::damaged("read a pack of the job"))?;
                let known = state.map(|s| if s == 3 { ThawState::Unpaid } else { ThawState::Ready });
                Ok(NewInRound { pack, hash, tier: objects::tier(tier), known })
            })
            .collect()
    }

    /// The first pack of a round from an id on.
    pub fn thaw_from(&self, round: u32, from: i64) -> Result<Option<i64>> {
        self.read("look for a pack of a round", |c| {
            c.prepare_cached("SELECT pack FROM thaw WHERE pack >= ? AND round = ? ORDER BY pack LIMIT 1")?
                .query_row((from, round), |r| r.get(0))
                .optional()
        })
    }

    /// Whether any pack of this tier was asked for and is not there yet.
    pub fn is_asked(&self, round: u32, tier: Tier) -> Result<bool> {
        self.read("look what was asked for", |c| {
            c.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM thaw t JOIN pack p ON p.id = t.pack
                 WHERE t.round = ? AND t.state = 1 AND t.turn IS NULL AND p.tier = ?)",
            )?
            .query_row((round, objects::tier_number(tier)), |r| r.get(0))
        })
    }

    /// Packs of a round from an id on: how many, and the bytes that are read of them.
    pub fn thaws_from(&self, round: u32, pack: i64) -> Result<(u64, u64)> {
        self.read("count packs", |c| {
            c.prepare_cached("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM thaw WHERE round = ? AND pack >= ?")?
                .query_row((round, pack), |r| {
                    Ok((r.get::<_, i64>(0)?.cast_unsigned(), r.get::<_, i64>(1)?.cast_unsigned()))
                })
        })
    }

    /// A job whose packs were fetched by their ids fetches them in turns from now on, because some are frozen: those the
    /// cursor has passed have had theirs, the one it stands in goes on at its chunk. `plan`: what the plan says now.
    pub fn begin_turns(&self, cursor: Cursor, plan: &str) -> Result<()> {
        self.write("begin to fetch in turns", |tx| {
            tx.prepare_cached("UPDATE thaw SET turn = pack WHERE round = ? AND turn IS NULL AND pack < ?")?
                .execute((cursor.round, cursor.pack))?;
            tx.prepare_cached("UPDATE thaw SET chunk = ? WHERE round = ? AND pack = ?")?.execute((
                cursor.chunk,
                cursor.round,
                cursor.pack,
            ))?;
            set_fact(tx, "turns", cursor.pack)?;
            set_fact(tx, "chunk", 0)?;
            set_fact(tx, "plan", plan)
        })
    }

    /// A pack is to be fetched in a later round.
    pub fn thaw_in_round(&self, round: u32, pack: i64, state: ThawState, until: Option<Wall>) -> Result<()> {
        self.write("plan a round", |tx| {
            tx.prepare_cached(
                "INSERT INTO thaw (pack, wanted, bytes, round, state, until) VALUES (?1, 0, 1, ?2, ?3, ?4)
                 ON CONFLICT (pack) DO UPDATE SET round = ?2, state = ?3, until = ?4, turn = NULL, chunk = 0",
            )?
            .execute((pack, round, state as i64, until.map(|w| w.0)))
            .map(drop)
        })
    }
}

/// The fact that bounds asking once more.
const AGAIN: &str = "thaw_again";

/// A job of before this was counted has no bound.
fn again_left(c: &Connection) -> rusqlite::Result<u64> {
    let left: Option<i64> =
        c.prepare_cached("SELECT value FROM fact WHERE name = ?")?.query_row([AGAIN], |r| r.get(0)).optional()?;
    Ok(left.map_or(u64::MAX, i64::cast_unsigned))
}

/// What is still to be asked for at once, never less than nothing.
fn more_of_the_wave(tx: &Transaction<'_>, by: i64) -> rusqlite::Result<()> {
    let left: i64 = tx
        .prepare_cached("SELECT value FROM fact WHERE name = 'wave_left'")?
        .query_row([], |r| r.get(0))
        .optional()?
        .unwrap_or(0);
    set_fact(tx, "wave_left", left.saturating_add(by).max(0))
}
