//! When the roots are read again, and what is said of what is found: a worker of each vault, a few megabytes at a step, and
//! the same when the operator asks.
//!
//! Off unless configured. So much a day that every file has had its turn within the configured time; what was missed while
//! the machine was off is made up for. The disks of the roots are shared: whichever vault's turn it is, after each step all
//! wait as long as it took, so the disks are busy with this for half of the time at most. Walks and captures come first,
//! and a paused vault is left alone. How far a round came is in the catalog: a start costs at most one file.

use super::checks::{DAY, LOOK, TOLD_SINGLY, is_due};
use super::run::{Step, Vault};
use super::spell::rfc3339;
use crate::backup::Engine;
use crate::catalog::{Level, Rot};
use crate::clock::{Clock, Steady, Wall};
use crate::error::{Error, Result};
use crate::model::TreePath;
use crate::upkeep::reread::{Portion, Report, Rereading, Round, as_of, share, work};
use crate::upkeep::verify::Turn;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A file is held open that long while a backup is busy; then it is begun anew.
const HELD: Duration = Duration::from_secs(300);
/// Another vault reads just now.
const SOON: Duration = Duration::from_millis(100);

/// Until when the disks of the roots are left in peace, by all vaults.
#[derive(Debug, Default)]
pub struct Disks(Mutex<Steady>);

impl Disks {
    /// What was read and how long that took, after which all wait as long; or how long to wait before asking again.
    fn read<T>(&self, clock: &dyn Clock, read: impl FnOnce() -> T) -> std::result::Result<(T, Duration), Duration> {
        let Ok(mut in_peace_until) = self.0.try_lock() else { return Err(SOON) };
        let begun = clock.steady();
        if *in_peace_until > begun {
            return Err(in_peace_until.since(begun));
        }
        let what = read();
        let ended = clock.steady();
        let took = ended.since(begun);
        *in_peace_until = ended.plus(took);
        Ok((what, took))
    }
}

/// What the worker of one vault holds between two steps.
pub struct Timetable<'a> {
    engine: &'a Engine,
    rereading: Rereading<'a>,
    round: Option<Round<'a>>,
    busy_since: Option<Steady>,
    /// Findings told by this round.
    told: usize,
}

/// Longest path first.
pub fn roots_of(engine: &Engine) -> Vec<TreePath> {
    engine.roots.iter().map(|root| root.path.clone()).collect()
}

fn rereading<'a>(engine: &'a Engine, roots: &'a [TreePath]) -> Rereading<'a> {
    Rereading {
        catalog: &engine.catalog,
        chunker: &engine.chunker,
        roots,
        clock: &*engine.clock,
        faults: &engine.faults,
        stop: &engine.stop,
    }
}

impl<'a> Timetable<'a> {
    pub fn new(engine: &'a Engine, roots: &'a [TreePath]) -> Self {
        Self { engine, rereading: rereading(engine, roots), round: None, busy_since: None, told: 0 }
    }

    /// Whether something that must not wait reads the disks, or everything is to be still.
    fn gives_way(&mut self, vault: &Vault) -> bool {
        let engine = self.engine;
        let is_busy = [&engine.figures.walking, &engine.figures.capturing].iter().any(|n| n.load(Ordering::SeqCst) > 0);
        let is_still = vault.paused.load(Ordering::SeqCst) || vault.barred.load(Ordering::SeqCst);
        if !is_busy && !is_still && engine.all_walked() {
            self.busy_since = None;
            return false;
        }
        let now = engine.clock.steady();
        if now.since(*self.busy_since.get_or_insert(now)) >= HELD
            && let Some(round) = &mut self.round
        {
            Rereading::let_go(round);
        }
        true
    }

    fn begin_what_is_due(&mut self, every: Duration) -> Result<Step> {
        let (catalog, now) = (&self.engine.catalog, self.engine.clock.wall());
        let (last, period) = (catalog.last_rereading()?.map(|run| run.ended), every.min(DAY));
        if catalog.last_segment()?.is_none() || !is_due(now, last, period) {
            return Ok(Step::Wait(LOOK));
        }
        let since = last.map(|at| if at > now { period } else { now.since(at) });
        let portion = Portion::Work(share(work(catalog)?, since, period, every));
        (self.round, self.told) = (Some(self.rereading.begin(portion)?), 0);
        Ok(Step::Again)
    }
}

/// When it is due next; None: not by itself.
pub fn next_run(every: Option<Duration>, last: Wall) -> Option<Wall> {
    every.map(|every| last.plus(every.min(DAY)))
}

/// One step of the worker.
pub(super) fn step(every: Option<Duration>, vault: &Vault, disks: &Disks, table: &mut Timetable<'_>) -> Result<Step> {
    let Some(every) = every else { return Ok(Step::Wait(LOOK)) };
    if table.gives_way(vault) {
        return Ok(Step::Wait(LOOK));
    }
    let Some(round) = &mut table.round else { return table.begin_what_is_due(every) };
    let (turn, took) = match disks.read(&*table.engine.clock, || table.rereading.step(round)) {
        Ok(read) => read,
        Err(wait) => return Ok(Step::Wait(wait)),
    };
    tell(table.engine, &round.take_news(), &mut table.told);
    if turn? == Turn::More {
        return Ok(Step::Wait(took));
    }
    if let Some(round) = table.round.take() {
        let report = table.rereading.end(round)?;
        tell_more(table.engine, &report, table.told);
    }
    Ok(Step::Again)
}

/// What the operator asks for, at once and without pauses.
pub fn ask(vault: &Vault, engine: &Engine, portion: Portion) -> Result<Report> {
    let Ok(_alone) = vault.rereading.try_lock() else {
        return Err(Error::retry(format!("read the files of {} again: that is under way", engine.name))
            .remedy("wait for it to end"));
    };
    let roots = roots_of(engine);
    let (rereading, mut told) = (rereading(engine, &roots), 0);
    let mut round = rereading.begin(portion)?;
    while rereading.step(&mut round)? == Turn::More {
        tell(engine, &round.take_news(), &mut told);
    }
    let report = rereading.end(round)?;
    tell_more(engine, &report, told);
    Ok(report)
}

fn tell(engine: &Engine, news: &[Rot], told: &mut usize) {
    for rot in news {
        if *told < TOLD_SINGLY {
            engine.tell(Level::Alarm, &in_words(rot));
        }
        *told += 1;
    }
}

fn tell_more(engine: &Engine, report: &Report, told: usize) {
    if told > TOLD_SINGLY {
        let text = format!("{told} of {} files found wrong are new: 'panicroom status' names them", report.run.wrong);
        engine.tell(Level::Alarm, &text);
    }
}

/// A finding in a sentence, with what to do after a semicolon.
pub fn in_words(rot: &Rot) -> String {
    let (path, at) = (&rot.path, rfc3339(as_of(rot.captured)));
    format!(
        "{path}: {}: {}. To have it back: panicroom restore \"{path}\" --at {at} --to DIR",
        rot.what.word(),
        rot.said
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn the_disks_are_busy_for_half_of_the_time_at_most_whoever_reads() {
        let (clock, disks) = (ManualClock::at(Wall(0)), Disks::default());
        let second = Duration::from_secs(1);
        let read = || disks.read(&*clock, || clock.advance(second));
        assert_eq!(read(), Ok(((), second)));
        assert_eq!(read(), Err(second), "this vault and any other");
        clock.advance(second / 4);
        assert_eq!(read(), Err(second / 4 * 3));
        clock.advance(second / 4 * 3);
        assert_eq!(read(), Ok(((), second)));
    }

    #[test]
    fn it_is_due_every_day_within_its_time_and_never_unless_wanted() {
        let day = i64::try_from(DAY.as_millis()).unwrap();
        assert_eq!(next_run(None, Wall(0)), None);
        assert_eq!(next_run(Some(DAY * 365), Wall(0)), Some(Wall(day)));
        assert_eq!(next_run(Some(DAY / 2), Wall(0)), Some(Wall(day / 2)));
    }
}
