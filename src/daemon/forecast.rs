//! What a forecast rests on, learnt while the daemon runs and kept in the vault's catalog, and the forecast of one vault made
//! of it ([`crate::uplink::forecast`] is the arithmetic).
//!
//! A look a minute: what the line gave while something waited, what capture made of what, how much is new. Kept every few
//! minutes while something goes, and at the end. Dying loses what was learnt since then; the time in which nothing ran, though
//! something waited, is counted at the next start.

mod suppose;

pub use suppose::Supposed;

use super::run::Vault;
use super::uplink::{Hold, May, Uplink, Why};
use crate::backup::{Engine, Yield};
use crate::catalog::{Ahead, Origin, RootId};
use crate::clock::{Steady, Wall};
use crate::error::{Kind, Result};
use crate::model::{Allowed, Band};
use crate::uplink::forecast::learn::{Files, Given, Heard, Spread};
use crate::uplink::forecast::plan::Plan;
use crate::uplink::forecast::{Habits, Need, Outlook, forecast};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A look a minute.
pub const LOOK: Duration = Duration::from_secs(60);
/// What is learnt is written so often while something goes: a sleeping disk is not woken for it.
const KEEP: Duration = Duration::from_secs(300);
/// What waits is counted at most this part of the time: of five million rows it takes seconds.
const COUNTING_SHARE: u32 = 50;
const LINE: &str = "forecast_line";
const FILES: &str = "forecast_origins";
/// Numbers of one kind of files as they are kept: root, band, origin and nine sums.
const KEPT_OF_FILES: usize = 12;

/// Files that are taken to shrink alike.
type Alike = (RootId, Band, Origin);

/// What is known of one vault's line and files.
#[derive(Debug, Default)]
pub struct Learnt {
    given: Given,
    files: BTreeMap<Alike, Files>,
    ahead: Vec<Ahead>,
    counted: Option<(Steady, Duration)>,
    /// Unread bytes of each kind when they were counted last; none while walks still find.
    known: Option<BTreeMap<Alike, u64>>,
    /// Captured since then.
    captured: BTreeMap<Alike, u64>,
    last: Option<Look>,
    kept: Option<Steady>,
    opened: bool,
}

/// What the look before saw.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Steady,
    sent: u64,
    stored: u64,
    allowed: Option<Allowed>,
}

/// When one root is safe in one vault.
#[derive(Clone, Debug)]
pub struct RootAhead {
    pub root: RootId,
    pub outlook: Outlook,
    /// Bytes of files that wait, and what of them and the spool is likely to be sent.
    pub waiting: u64,
    pub to_send: u64,
    pub new_per_day: u64,
    pub ratio: f64,
}

/// One vault's forecast.
#[derive(Clone, Debug, Default)]
pub struct VaultAhead {
    /// Empty where nothing can be said: nobody ever saw what a line without a limit gives.
    pub roots: Vec<RootAhead>,
    pub is_known: bool,
    /// Hours of looks it rests on.
    pub hours: u64,
    /// Of the allowed time, the part in which the line was there, per cent.
    pub there_percent: Option<u64>,
    pub fastest: Option<crate::model::Rate>,
    /// The link is not one to use now: when it will be nobody knows.
    pub link: Option<String>,
    pub is_paused_for_good: bool,
}

impl Learnt {
    /// What an earlier run learnt; what cannot be read is forgotten. Once for each process.
    pub fn open(&mut self, engine: &Engine) -> Result<()> {
        self.last = None;
        if self.opened {
            return Ok(());
        }
        let line = numbers(&engine.catalog.fact::<Vec<u8>>(LINE)?.unwrap_or_default());
        if let Some((waited, given)) = line.split_first()
            && let Some(mut given) = Given::of_figures(given)
        {
            if let Some(last) = given.last().filter(|_| *waited > 0.0) {
                given.absent(last, engine.clock.wall());
            }
            self.given = given;
        }
        let files = numbers(&engine.catalog.fact::<Vec<u8>>(FILES)?.unwrap_or_default());
        self.files = files.chunks_exact(KEPT_OF_FILES).filter_map(files_of).collect();
        self.opened = true;
        Ok(())
    }

    /// One look.
    pub fn look(&mut self, vault: &Vault, engine: &Engine, sharing: u64) -> Result<()> {
        let (now, wall) = (engine.clock.steady(), engine.clock.wall());
        let waits = !engine.catalog.spooled(1)?.is_empty();
        let stuck = vault.worst().is_some_and(|t| matches!(t.kind, Kind::Operator | Kind::Damaged));
        // What waits for the next window, because it would be cut off in this one, says nothing of the line.
        let rests = vault.last_call.rests(wall);
        let goes = waits && !stuck && !rests && vault.may() == May::Everything;
        let rate = vault.throttle.rate().map(|r| part(r, sharing));
        let look = Look {
            at: now,
            sent: vault.throttle.sent_bytes(),
            stored: engine.figures.stored.load(Ordering::Relaxed),
            allowed: goes.then_some(rate.into()),
        };
        let seconds = self.last.map_or(0.0, |l| now.since(l.at).as_secs_f64());
        if let Some(last) = self.last.replace(look) {
            let sent = look.sent.saturating_sub(last.sent);
            self.given.landed(sent, look.stored.saturating_sub(last.stored));
            // Only a minute in which the same was allowed from end to end, and something waited at both, tells something.
            if let Some(allowed) = look.allowed.filter(|_| last.allowed == look.allowed) {
                self.given.hear(&Heard { at: wall, seconds, allowed, sent });
            }
        }
        self.count_yields(engine);
        self.count_ahead(engine, seconds)?;
        let is_time = self.kept.is_none_or(|at| now.since(at) >= KEEP);
        if waits && is_time {
            self.keep(engine)?;
        }
        Ok(())
    }

    fn count_yields(&mut self, engine: &Engine) {
        let yields = std::mem::take(&mut *engine.figures.yields.lock().expect("yields lock"));
        for (kind, Yield { source, sealed }) in yields {
            self.files.entry(kind).or_default().sealed(source, sealed);
            *self.captured.entry(kind).or_default() += source;
        }
    }

    /// What waits, and from that what is new: what waits now and was captured, less what waited before.
    fn count_ahead(&mut self, engine: &Engine, seconds: f64) -> Result<()> {
        let now = engine.clock.steady();
        let walking = engine.figures.walking.load(Ordering::SeqCst) > 0 || !engine.all_walked();
        if !walking && self.known.is_some() {
            for kind in self.files.keys().copied().collect::<Vec<_>>() {
                self.files.entry(kind).or_default().changed(0, seconds);
            }
        }
        if self.counted.is_some_and(|(at, took)| now.since(at) < took * COUNTING_SHARE) {
            return Ok(());
        }
        self.ahead = engine.catalog.ahead()?;
        self.counted = Some((now, engine.clock.steady().since(now)));
        let mut unread: BTreeMap<Alike, u64> = BTreeMap::new();
        for one in &self.ahead {
            if let Some(root) = one.root {
                *unread.entry((root, one.rank.band, one.origin)).or_default() += one.unread;
            }
        }
        let captured = std::mem::take(&mut self.captured);
        // What a walk finds, it finds late: that tells nothing of a day.
        let Some(before) = std::mem::replace(&mut self.known, (!walking).then(|| unread.clone())) else {
            return Ok(());
        };
        let kinds: BTreeSet<Alike> = unread.keys().chain(before.keys()).chain(captured.keys()).copied().collect();
        for kind in kinds.into_iter().filter(|_| !walking) {
            let of = |map: &BTreeMap<Alike, u64>| map.get(&kind).copied().unwrap_or(0);
            let new = (of(&unread) + of(&captured)).saturating_sub(of(&before));
            self.files.entry(kind).or_default().changed(new, 0.0);
        }
        Ok(())
    }

    /// Writes down what was learnt.
    pub fn keep(&mut self, engine: &Engine) -> Result<()> {
        let waits = f64::from(u8::from(self.last.is_some_and(|l| l.allowed.is_some())));
        let line: Vec<f64> = std::iter::once(waits).chain(self.given.figures()).collect();
        engine.catalog.set_fact(LINE, bytes(&line))?;
        let files: Vec<f64> = self.files.iter().flat_map(|(kind, f)| kept(*kind, f)).collect();
        engine.catalog.set_fact(FILES, bytes(&files))?;
        self.kept = Some(engine.clock.steady());
        Ok(())
    }

    /// When each root is safe, as things are or as it is supposed they were. `unsafe_roots`: something of them is not safe.
    pub fn ahead(
        &mut self,
        vault: &Vault,
        engine: &Engine,
        uplink: &Uplink,
        sharing: u64,
        unsafe_roots: &BTreeSet<RootId>,
        supposed: &[Supposed],
    ) -> Result<VaultAhead> {
        self.count_yields(engine);
        self.count_ahead(engine, 0.0)?;
        let now = engine.clock.wall();
        let needs = self.needs(engine, unsafe_roots);
        let habits = Habits {
            publish_every: engine.settings.publish_every,
            gather: if engine.is_hurried() { Duration::ZERO } else { engine.settings.gather },
            pack: engine.pack_target(),
            object: match engine.catalog.spooled_packs()? {
                (0, _) => engine.pack_target(),
                (packs, bytes) => bytes / packs,
            },
            spool: engine.settings.spool_size.0,
        };
        let (plan, link, is_paused_for_good) = plan(vault, engine, uplink, sharing, supposed);
        let list: Vec<Need> = needs.iter().map(|(_, need)| *need).collect();
        let given = self.given_or_now(vault, now);
        let outlooks = forecast(now, &list, &given, &habits, || plan.teller());
        let is_known = outlooks.is_some();
        let mut roots: BTreeMap<RootId, RootAhead> = BTreeMap::new();
        let outlooks = outlooks.unwrap_or_else(|| vec![Outlook::default(); needs.len()]);
        for ((root, need), outlook) in needs.iter().zip(outlooks) {
            let Some(root) = *root else { continue };
            let likely = sealed_of(need);
            let one = roots.entry(root).or_insert(RootAhead {
                root,
                outlook: Outlook::SAFE,
                waiting: 0,
                to_send: 0,
                new_per_day: 0,
                ratio: need.ratio.likely,
            });
            if need.waits() {
                one.outlook = one.outlook.and(outlook);
            }
            // The ratio of what weighs most.
            if likely > one.to_send {
                one.ratio = need.ratio.likely;
            }
            one.waiting += need.unread;
            one.to_send += likely;
            one.new_per_day += need.new_per_day;
        }
        Ok(VaultAhead {
            roots: roots.into_values().collect(),
            is_known,
            hours: whole(self.given.seconds() / 3600.0),
            there_percent: self.given.there().map(|part| whole(part * 100.0)),
            fastest: self.given.fastest(),
            link,
            is_paused_for_good,
        })
    }

    /// In the first minutes of a line nobody knows: what goes at this moment.
    fn given_or_now(&self, vault: &Vault, now: Wall) -> Given {
        let mut given = self.given.clone();
        let sent = vault.throttle.rate_bytes_per_s() * LOOK.as_secs();
        if given.seconds() <= 0.0 && sent > 0 {
            let allowed = vault.throttle.rate().into();
            given.hear(&Heard { at: now, seconds: LOOK.as_secs_f64(), allowed, sent });
        }
        given
    }

    /// What comes later shrinks as the first backup did, as far as nothing else was seen.
    fn ratio(&self, kind: Option<Alike>, mean_file: u64) -> Spread {
        let of = |origin| kind.and_then(|(root, band, _)| self.files.get(&(root, band, origin)));
        let first = of(Origin::First).map_or_else(|| Files::default().ratio_or(mean_file), |f| f.ratio_or(mean_file));
        match kind {
            Some((_, _, Origin::Later)) => of(Origin::Later).map_or(first, |f| f.ratio_beside(first)),
            _ => first,
        }
    }

    fn needs(&self, engine: &Engine, unsafe_roots: &BTreeSet<RootId>) -> Vec<(Option<RootId>, Need)> {
        let mut needs = vec![];
        let mut told: BTreeSet<Alike> = BTreeSet::new();
        let empty = Files::default();
        for one in &self.ahead {
            let kind = one.root.map(|root| (root, one.rank.band, one.origin));
            let files = kind.and_then(|k| self.files.get(&k)).unwrap_or(&empty);
            let ratio = self.ratio(kind, one.unread / one.files.max(1));
            let is_first = kind.is_some_and(|k| told.insert(k));
            let need = Need {
                rank: u32::try_from(one.rank.number()).unwrap_or(0),
                unread: one.unread.saturating_sub(if is_first { files.under_way(ratio.likely) } else { 0 }),
                sealed: one.sealed,
                ratio,
                new_per_day: if is_first { files.new_per_day() } else { 0 },
                unnamed: true,
            };
            needs.push((one.root, need));
        }
        // What is new comes also where nothing waits now; and a root of which all is stored waits to be named.
        for root in &engine.roots {
            let waits = needs.iter().any(|(r, _)| *r == Some(root.id));
            let rank = u32::try_from(crate::model::Rank::of(root.priority, 0).number()).unwrap_or(0);
            for (kind, files) in self.files.iter().filter(|(k, _)| k.0 == root.id && !told.contains(*k)) {
                let need = Need {
                    rank: rank + kind.1 as u32,
                    unread: 0,
                    sealed: 0,
                    ratio: self.ratio(Some(*kind), 0),
                    new_per_day: files.new_per_day(),
                    unnamed: false,
                };
                needs.push((Some(root.id), need));
            }
            if !waits {
                let ratio = empty.ratio_or(0);
                let unnamed = unsafe_roots.contains(&root.id);
                needs.push((Some(root.id), Need { rank, unread: 0, sealed: 0, ratio, new_per_day: 0, unnamed }));
            }
        }
        needs
    }
}

/// What will be allowed; why nothing goes now where no end is known; and whether a pause has none.
fn plan(
    vault: &Vault,
    engine: &Engine,
    uplink: &Uplink,
    sharing: u64,
    supposed: &[Supposed],
) -> (Plan, Option<String>, bool) {
    let now = uplink.now();
    let hold = now.hold_of(vault.is_bucket());
    let paused = match hold {
        Some(Hold::Paused(term)) => Some(term.until),
        _ => None,
    };
    let link = match hold {
        Some(Hold::Link(why)) => Some(why.clone()),
        _ => None,
    };
    let ordered = match now.why {
        Why::Ordered(term) if supposed.is_empty() => Some((Allowed::from(now.rates.up), term.until)),
        _ => None,
    };
    let plan = Plan {
        now: engine.clock.wall(),
        calendar: suppose::calendar(uplink.calendar(), uplink.plain_limit(), supposed),
        zone: uplink.zone(),
        ordered,
        paused,
        own: vault.settings.limit,
        sharing,
        caps: if vault.is_bucket() { uplink.caps() } else { vec![] },
        pack: engine.pack_target(),
    };
    (plan, link, paused == Some(None))
}

fn sealed_of(need: &Need) -> u64 {
    let unread = u32::try_from(need.unread >> 20).map_or(f64::from(u32::MAX), f64::from) * 1_048_576.0
        + f64::from(u32::try_from(need.unread & 0xf_ffff).unwrap_or(0));
    need.sealed + whole(unread * need.ratio.likely)
}

fn part(rate: crate::model::Rate, sharing: u64) -> crate::model::Rate {
    crate::model::Rate::bytes_per_second((rate.get() / sharing.max(1)).max(1)).unwrap_or(rate)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative; saturates")]
fn whole(x: f64) -> u64 {
    x.round() as u64
}

fn bytes(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn numbers(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes"))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of roots are small")]
fn kept((root, band, origin): Alike, files: &Files) -> Vec<f64> {
    let head = [root.0 as f64, f64::from(band as u8), f64::from(origin as u8)];
    head.into_iter().chain(files.figures()).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "numbers of roots are small; saturates")]
fn files_of(kept: &[f64]) -> Option<(Alike, Files)> {
    let (head, figures) = kept.split_at_checked(3)?;
    let is = |number: u8, kept: f64| (f64::from(number) - kept).abs() < 0.5;
    let band = [Band::Small, Band::Medium, Band::Large].into_iter().find(|b| is(*b as u8, head[1]))?;
    let origin = [Origin::First, Origin::Later].into_iter().find(|o| is(*o as u8, head[2]))?;
    Some(((RootId(head[0] as i64), band, origin), Files::of_figures(figures)?))
}

/// So far from `now`.
pub fn after(now: Wall, seconds: u64) -> Wall {
    now.plus(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
