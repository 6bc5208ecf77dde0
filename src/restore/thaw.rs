//! The packs of a job in the order in which they can be read: asks cold storage for them wave by wave, looks what is
//! thawed, and hands out the most wanted one that is ready while the rest thaws.
//!
//! Everything it knows is in the job. Dying anywhere costs at most one request that is made again, which cold storage
//! answers with "underway": a pack is asked for once, and again only when its copy is gone. A pack is never read before
//! a look said that it can be.

pub mod pace;

use super::progress::{Progress, Wait};
use crate::catalog::jobs::{Cursor, Enough, JobFile, NewInRound, ThawHistory, ThawRow, ThawState, ThawSum, Wave};
use crate::clock::{Clock, Steady, Wall};
use crate::error::{Error, Kind, Result};
use crate::format::{Name, pack_prefix};
use crate::model::{Rate, Sha256, Size, Speed, Tier};
use crate::store::{Access, Held, ObjectInfo, ObjectName, ObjectStore, Thaw, is_archive};
use crate::worker::{Faults, Stop};
use pace::{Order, Terms};
use std::collections::VecDeque;
use std::time::Duration;

/// Rows read at once.
const PAGE: u32 = 500;
/// How often a wait looks whether it should end.
const LOOK: Duration = Duration::from_millis(500);
/// Requests made in a row, while packs that can be read wait: some seconds.
const ASKS: u32 = 100;
/// So many looks at single objects cost as much as one page of a listing, about.
const LOOKS_A_PAGE: u64 = 12;
/// Names on a page of a listing.
const PAGE_OF_LIST: u64 = 1000;
const LAST_MINUTE: Duration = Duration::from_secs(60);
/// A line is believed once it was measured for so long.
const MEASURED: Duration = Duration::from_secs(10);

/// Notes what was agreed on; from here on the job may spend. `again`: bytes that may be asked for once more where copies
/// went before they were fetched; beyond that the job stops until somebody agrees to it.
pub fn agree(job: &JobFile, terms: &Terms, again: u64, faults: &Faults) -> Result<()> {
    faults.at("thaw.agree")?;
    job.set_may_thaw_again(again)?;
    terms.keep(job)
}

/// What comes next.
pub(super) enum Turn {
    Pack {
        turn: i64,
        pack: i64,
        chunk: u32,
    },
    /// Frozen, and not in the plan that was agreed on.
    Unpaid {
        turn: i64,
        pack: i64,
    },
    /// Nothing is ready: wait.
    NotYet,
    Over,
}

/// What cold storage is waited for with.
#[derive(Clone, Copy)]
pub(super) struct Tending<'a> {
    pub store: &'a dyn ObjectStore,
    pub progress: &'a Progress,
    pub clock: &'a dyn Clock,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
    /// How many packs may be on their way at once.
    pub threads: usize,
}

pub(super) struct Thawer<'a> {
    with: Tending<'a>,
    job: &'a JobFile,
    round: u32,
    terms: Terms,
    /// When it was looked last, and where listings tell nothing, that they do not.
    looked: Option<Steady>,
    lists: Lists,
    /// When the last pack was handed out, and its bytes.
    handed: Option<(Steady, u64)>,
    /// Bytes of those handed out last: as many as may still be on their way.
    ahead: VecDeque<u64>,
    /// Bytes and time of fetching so far.
    measured: (u64, Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lists {
    MayTell,
    TellNothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Some,
    Nothing,
}

pub(super) fn name(hash: Sha256, tier: Tier) -> ObjectName {
    ObjectName::from(Name::Pack(tier, hash))
}

pub(super) fn count(packs: u64) -> String {
    if packs == 1 { "1 pack".to_owned() } else { format!("{packs} packs") }
}

/// It is there, and the server does not thaw what lies behind a delete marker.
fn cannot_thaw(e: Error) -> Error {
    e.as_kind(Kind::Operator).remedy(
        "it lies behind a delete marker, and this server thaws only what its name answers with: take the delete marker \
         away with the reaper's key (docs/setup.md), then resume",
    )
}

/// None: it cannot be told from this.
pub(super) fn state_of(access: Option<Access>) -> Option<(ThawState, Option<Wall>)> {
    Some(match access? {
        Access::Warm => (ThawState::Ready, None),
        Access::Thawed { until } => (ThawState::Ready, until),
        Access::Thawing => (ThawState::Asked, None),
        Access::Frozen => (ThawState::Frozen, None),
    })
}

impl<'a> Thawer<'a> {
    /// None: the job needs no thaw.
    pub fn of(with: Tending<'a>, job: &'a JobFile, round: u32) -> Result<Option<Self>> {
        let Some(terms) = Terms::read(job)? else { return Ok(None) };
        let thawer = Self {
            with,
            job,
            round,
            terms,
            looked: None,
            lists: Lists::MayTell,
            handed: None,
            ahead: VecDeque::new(),
            measured: (job.count("line_bytes")?, Duration::from_millis(job.count("line_ms")?)),
        };
        if round > 0 {
            thawer.begin_round()?;
        }
        Ok(Some(thawer))
    }

    /// Packs a damaged one is replaced from: each is looked at once. What is frozen among them and was in no plan is
    /// not asked for: its price was not shown.
    fn begin_round(&self) -> Result<()> {
        loop {
            let packs = self.job.packs_without_thaw(self.round, PAGE)?;
            if packs.is_empty() {
                return Ok(());
            }
            for NewInRound { pack, hash, tier, known } in packs {
                self.with.stop.check()?;
                let (seen, until) = self.look_at(&name(hash, tier))?;
                let state = match (seen, known) {
                    (ThawState::Frozen | ThawState::Asked, None | Some(ThawState::Unpaid)) => ThawState::Unpaid,
                    (seen, _) => seen,
                };
                self.with.faults.at("thaw.round")?;
                self.job.thaw_in_round(self.round, pack, state, until)?;
            }
        }
    }

    /// A pack that was taken up and not settled, from turn `at` on, else the most wanted one that is ready.
    pub fn next(&mut self, at: i64) -> Result<Turn> {
        self.measure()?;
        if let Some(row) = self.job.turn_from(self.round, at)? {
            return Ok(self.hand_out(&row, row.turn.unwrap_or(at)));
        }
        self.tend()?;
        // A large wave is asked for bit by bit, between packs that can be read.
        if self.job.wave()?.left > 0 {
            self.ask()?;
        }
        loop {
            if let Some(turn) = self.take_up()? {
                return Ok(turn);
            }
            if self.ask()? == Asked::Nothing {
                break;
            }
        }
        let left = |state| Ok::<_, Error>(self.job.thaw_sum(self.round, state)?.packs);
        let left = left(ThawState::Asked)? + left(ThawState::Frozen)? + left(ThawState::Ready)?;
        Ok(if left == 0 { Turn::Over } else { Turn::NotYet })
    }

    /// A copy that goes before its bytes and those ahead of them are here is as good as gone.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a fetch")]
    fn enough(&self) -> Enough {
        let rate = self.rate();
        let ahead = pace::fetching(self.ahead.iter().sum(), rate) + LAST_MINUTE;
        Enough { soon: self.with.clock.wall().plus(ahead), ms_a_byte: 1100.0 / rate.get() as f64 }
    }

    fn take_up(&mut self) -> Result<Option<Turn>> {
        let Some(row) = self.job.thaw_to_fetch(self.round, self.enough())? else { return Ok(None) };
        self.with.faults.at("thaw.turn")?;
        let turn = self.job.take_turn(row.pack)?;
        Ok(Some(self.hand_out(&row, turn)))
    }

    fn hand_out(&mut self, row: &ThawRow, turn: i64) -> Turn {
        self.with.progress.wait_for_thaw(None);
        self.handed = Some((self.with.clock.steady(), row.bytes));
        self.ahead.push_back(row.bytes);
        if self.ahead.len() > 2 * self.with.threads + 1 {
            self.ahead.pop_front();
        }
        match row.state {
            ThawState::Unpaid => Turn::Unpaid { turn, pack: row.pack },
            _ => Turn::Pack { turn, pack: row.pack, chunk: row.chunk },
        }
    }

    /// Until the next look or wave is due; `over` ends it.
    pub fn wait(&mut self, over: &dyn Fn() -> bool) -> Result<()> {
        self.handed = None;
        self.ahead.clear();
        let clock = self.with.clock;
        let asked = self.job.thaw_sum(self.round, ThawState::Asked)?;
        let left = self.job.thaw_sum(self.round, ThawState::Frozen)?;
        let look = self.looked.map_or(Duration::ZERO, |at| self.terms.poll.saturating_sub(clock.steady().since(at)));
        let wave = self.job.wave()?.next.since(clock.wall());
        // A wave that is due and held back waits for the line, not for a time.
        let by = if left.packs > 0 && !wave.is_zero() { look.min(wave) } else { look };
        self.with.progress.wait_for_thaw(Some(Wait {
            packs: asked.packs,
            bytes: asked.bytes,
            later: left.packs,
            speed: self.terms.speed,
            by: asked.first_asked.map(|at| at.plus(self.terms.takes)),
            look: clock.wall().plus(by),
        }));
        let end = clock.steady().plus(by);
        loop {
            self.with.stop.check()?;
            let left = end.since(clock.steady());
            if left.is_zero() || over() {
                return Ok(());
            }
            clock.sleep(left.min(LOOK));
        }
    }

    /// Looks and asks where that is due.
    fn tend(&mut self) -> Result<()> {
        let now = self.with.clock.steady();
        if self.looked.is_none_or(|at| now.since(at) >= self.terms.poll) {
            self.with.faults.at("thaw.expired")?;
            self.job.thaws_expired(self.round, self.enough())?;
            self.look()?;
            self.looked = Some(self.with.clock.steady());
            self.ask()?;
        }
        Ok(())
    }

    /// How fast packs come, once that was seen for long enough.
    fn rate(&self) -> Rate {
        let (bytes, time) = self.measured;
        let per_second = u128::from(bytes) * 1000 / time.as_millis().max(1);
        let seen = Rate::bytes_per_second(u64::try_from(per_second).unwrap_or(u64::MAX));
        seen.filter(|_| time >= MEASURED).unwrap_or(self.terms.downlink)
    }

    fn measure(&mut self) -> Result<()> {
        let Some((from, bytes)) = self.handed.take() else { return Ok(()) };
        self.measured.0 = self.measured.0.saturating_add(bytes);
        self.measured.1 += self.with.clock.steady().since(from);
        self.job.set_fact("line_bytes", self.measured.0.cast_signed())?;
        self.job.set_fact("line_ms", i64::try_from(self.measured.1.as_millis()).unwrap_or(i64::MAX))
    }

    // --- asking ------------------------------------------------------------------------------------------------------

    /// Some of the wave on its way, or the first of the next one when it is due.
    fn ask(&mut self) -> Result<Asked> {
        let wave = self.job.wave()?;
        if wave.left > 0 {
            return self.ask_for(wave);
        }
        let frozen = self.job.thaw_sum(self.round, ThawState::Frozen)?;
        if frozen.packs == 0 {
            return Ok(Asked::Nothing);
        }
        let (now, rate) = (self.with.clock.wall(), self.rate());
        let asked = self.job.thaw_sum(self.round, ThawState::Asked)?.bytes;
        let on_the_way = asked + self.job.thaw_sum(self.round, ThawState::Ready)?.bytes;
        let is_due = now >= wave.next && on_the_way <= pace::most_on_the_way(&self.terms, rate);
        if !is_due && on_the_way > 0 {
            return Ok(Asked::Nothing);
        }
        let order = if wave.days == 0 { Order::First } else { Order::Later };
        let bytes = pace::wave(rate).min(frozen.bytes).max(1);
        let days = pace::days(bytes, rate, &self.terms, order);
        let wave = Wave { left: bytes, days, next: now.plus(pace::fetching(bytes, rate)) };
        self.with.faults.at("thaw.wave")?;
        self.job.begin_wave(wave)?;
        tracing::debug!(packs = frozen.packs, bytes, days, rate = rate.get(), "a wave of thaws begins");
        self.ask_for(wave)
    }

    fn ask_for(&mut self, wave: Wave) -> Result<Asked> {
        let rows = self.job.thaws(self.round, ThawState::Frozen, ASKS)?;
        if rows.is_empty() {
            self.job.begin_wave(Wave { left: 0, ..wave })?;
            return Ok(Asked::Nothing);
        }
        let mut left = wave.left;
        for row in rows {
            self.with.stop.check()?;
            self.ask_for_one(&row, wave.days)?;
            left = left.saturating_sub(row.bytes);
            if left == 0 {
                break;
            }
        }
        Ok(Asked::Some)
    }

    fn ask_for_one(&mut self, row: &ThawRow, days: u32) -> Result<()> {
        let object = name(row.hash, row.tier);
        let days = days.max(pace::days(row.bytes, self.rate(), &self.terms, Order::First));
        if row.history == ThawHistory::AskedBefore && self.job.may_thaw_again()? < row.bytes {
            return Err(self.must_be_agreed_to());
        }
        self.with.faults.at("thaw.ask")?;
        let (state, until) = loop {
            match self.with.store.thaw(&object, self.terms.speed, days) {
                Ok(Thaw::Asked | Thaw::Underway) => break (ThawState::Asked, None),
                // Warm, or a copy is there already; some servers say so of one on its way.
                Ok(Thaw::Ready) => break self.look_at(&object)?,
                Ok(Thaw::NotAtThisSpeed) => self.slow_down()?,
                // What is lost is found out when it is read, and looked for elsewhere.
                Err(e) if e.kind() == Kind::Damaged => match self.look_at(&object)? {
                    (ThawState::Frozen, _) => return Err(cannot_thaw(e)),
                    _ => break (ThawState::Ready, None),
                },
                Err(e) => return Err(e),
            }
        };
        let state = if state == ThawState::Frozen { ThawState::Asked } else { state };
        self.with.faults.at("thaw.asked")?;
        self.job.thaw_asked(row, state, until, self.with.clock.wall())
    }

    fn must_be_agreed_to(&self) -> Error {
        let gone = self.job.thaws_asked_before().unwrap_or_default().gone;
        Error::operator(format!(
            "thaw once more: the copies of {} ({}) went before they were fetched, and asking for them again costs more \
             than was shown",
            count(gone.packs),
            Size(gone.bytes)
        ))
        .remedy("the same command shows what that costs, and asks; what is here is not fetched again")
    }

    /// The next slower speed costs less than what was agreed on.
    fn slow_down(&mut self) -> Result<()> {
        let slower = match self.terms.speed {
            Speed::Expedited => Speed::Standard,
            Speed::Standard => Speed::Bulk,
            Speed::Bulk => {
                return Err(Error::operator("thaw: the vault does not thaw at the speed bulk, and every other one costs more")
                    .remedy("look at its words above; '--speed standard' with the same command shows the price of that one, and asks"));
            }
        };
        tracing::warn!("the vault does not thaw at the speed {} now; going on at {slower}", self.terms.speed);
        let usual = Terms::of(None, slower);
        self.terms = Terms { speed: slower, takes: usual.takes, poll: self.terms.poll.max(usual.poll), ..self.terms };
        self.with.faults.at("thaw.slower")?;
        self.terms.keep(self.job)
    }

    // --- looking -----------------------------------------------------------------------------------------------------

    /// What became of the packs that were asked for: by listing, or where they are few, one by one.
    fn look(&mut self) -> Result<()> {
        let asked = self.job.thaw_sum(self.round, ThawState::Asked)?.packs;
        let pages = self.job.count("listed")? / PAGE_OF_LIST + 1;
        if asked > LOOKS_A_PAGE * pages && self.lists == Lists::MayTell {
            self.look_by_listing()?;
        } else if asked > 0 {
            self.look_one_by_one()?;
        }
        Ok(())
    }

    fn look_by_listing(&mut self) -> Result<()> {
        let (mut seen, mut told) = (Vec::new(), 0u64);
        let mut each = |Held { object: info, .. }: Held| {
            self.with.stop.check()?;
            let Some((pack, tier)) = self.job_pack(&info)? else { return Ok(()) };
            let row = self.job.thaw_row(pack)?.filter(|r| r.state == ThawState::Asked && r.turn.is_none());
            let Some(row) = row.filter(|r| r.tier == tier) else { return Ok(()) };
            // What archives by itself keeps to itself in every listing whether it did.
            let untold = info.access.is_none() && !info.class.as_deref().is_some_and(is_archive);
            match state_of(info.access) {
                Some((ThawState::Ready, until)) => seen.push((row.pack, ThawState::Ready, until)),
                Some((ThawState::Asked, _)) => {}
                None if !untold => return Ok(()),
                // Looked at by itself before it is asked for again.
                _ => {
                    let (state, until) = self.look_at(&info.name)?;
                    if state == ThawState::Ready {
                        seen.push((row.pack, state, until));
                    } else if state == ThawState::Frozen {
                        self.put_back(&row, state)?;
                    }
                }
            }
            told += 1;
            if seen.len() >= PAGE as usize {
                self.note(&mut seen)?;
            }
            Ok(())
        };
        for tier in [Tier::Cold, Tier::Hot] {
            if self.job.is_asked(self.round, tier)? {
                self.with.store.inventory(pack_prefix(tier), &mut each)?;
            }
        }
        self.note(&mut seen)?;
        if told == 0 {
            self.lists = Lists::TellNothing;
            self.look_one_by_one()?;
        }
        Ok(())
    }

    fn job_pack(&self, info: &ObjectInfo) -> Result<Option<(i64, Tier)>> {
        let Some(Name::Pack(tier, hash)) = Name::parse(info.name.as_str()) else { return Ok(None) };
        Ok(self.job.pack_of_hash(hash)?.map(|pack| (pack, tier)))
    }

    fn look_one_by_one(&mut self) -> Result<()> {
        let (mut after, mut seen) = (i64::MIN, Vec::new());
        loop {
            let rows = self.job.thaws_asked(self.round, after, PAGE)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.pack;
            for row in &rows {
                self.with.stop.check()?;
                match self.look_at(&name(row.hash, row.tier))? {
                    (ThawState::Asked, _) => {}
                    (ThawState::Frozen, _) => self.put_back(row, ThawState::Frozen)?,
                    (state, until) => seen.push((row.pack, state, until)),
                }
            }
            self.note(&mut seen)?;
        }
    }

    fn note(&self, seen: &mut Vec<(i64, ThawState, Option<Wall>)>) -> Result<()> {
        if !seen.is_empty() {
            self.with.faults.at("thaw.look")?;
            self.job.thaw_seen(seen)?;
            seen.clear();
        }
        Ok(())
    }

    /// One object; what is not there is ready, so that reading it says that it is lost.
    fn look_at(&self, object: &ObjectName) -> Result<(ThawState, Option<Wall>)> {
        match self.with.store.head(object) {
            Ok(Some(info)) => Ok(state_of(info.access).unwrap_or((ThawState::Frozen, None))),
            Ok(None) => Ok((ThawState::Ready, None)),
            Err(e) if e.kind() == Kind::Damaged => Ok((ThawState::Ready, None)),
            Err(e) => Err(e),
        }
    }

    // --- copies that went --------------------------------------------------------------------------------------------

    fn put_back(&self, row: &ThawRow, state: ThawState) -> Result<()> {
        self.with.faults.at("thaw.again")?;
        self.job.put_back(row, state)
    }

    /// A read found a pack frozen. Where the vault says that all can be read, it is given time.
    pub fn frozen_again(&mut self, cursor: Cursor) -> Result<()> {
        if self.look_at_turns(cursor)? == 0 {
            self.looked = Some(self.with.clock.steady());
            self.wait(&|| false)?;
        }
        Ok(())
    }

    /// Of the packs that were taken up and are not settled, each that cannot be read gets another turn. How many.
    pub fn look_at_turns(&self, cursor: Cursor) -> Result<u64> {
        let (mut from, mut put_back) = (cursor.pack, 0);
        loop {
            let rows = self.job.turns_from(self.round, from, PAGE)?;
            let Some(last) = rows.last().and_then(|r| r.turn) else { break };
            from = last + 1;
            for mut row in rows {
                if row.turn == Some(cursor.pack) && cursor.chunk > 0 {
                    row.chunk = cursor.chunk;
                }
                let (state, until) = self.look_at(&name(row.hash, row.tier))?;
                // Asked for again while it is there, a copy only stays for longer.
                let goes = until.is_some_and(|until| !self.enough().is_before(until, row.bytes));
                let state = if goes { ThawState::Frozen } else { state };
                if matches!(state, ThawState::Frozen | ThawState::Asked) {
                    self.put_back(&row, state)?;
                    put_back += 1;
                }
            }
        }
        if put_back > 0 {
            tracing::info!(packs = put_back, "copies of packs went before they were fetched; they are asked for again");
        }
        Ok(put_back)
    }
}

/// Where a job stands with cold storage, as it was left.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub terms: Terms,
    /// Of packs that are not fetched.
    pub frozen: ThawSum,
    pub asked: ThawSum,
    pub ready: ThawSum,
}

/// None: nothing was agreed on, or nothing needs a thaw.
pub fn standing(job: &JobFile) -> Result<Option<Standing>> {
    let Some(terms) = Terms::read(job)? else { return Ok(None) };
    let round = job.cursor()?.round;
    let sum = |state| job.thaw_sum(round, state);
    let (frozen, asked, ready) = (sum(ThawState::Frozen)?, sum(ThawState::Asked)?, sum(ThawState::Ready)?);
    Ok(Some(Standing { terms, frozen, asked, ready }))
}
