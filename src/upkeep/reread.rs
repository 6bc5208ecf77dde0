//! Reading the roots again: whether the files on this machine still are what was captured of them. A disk that gives back
//! other bytes under an unchanged stamp (rot) is noticed by nobody else: events and walks look at stamps.
//!
//! Each file whose latest version is safe and whose stamp is the recorded one is read and compared with the recorded ids
//! of its chunks. What differs is named, and **nothing else happens to it**: it is not made dirty, so rot never replaces
//! the good version by itself. A file that cannot be read is a finding too. What was found wrong before is looked at
//! first, and comes off the list when it is well, written anew, restored or gone.
//!
//! A round goes through the nodes in order and on from where the last one stopped, so those looked at longest ago come
//! first. Dying loses the file under the hands and those not yet written down; they are read again.

mod compare;
mod layout;

use super::verify::Turn;
use crate::catalog::{Catalog, Compared, LiveFile, NodeId, Rereading as Run, Rot};
use crate::chunk::Chunker;
use crate::clock::{Clock, Wall};
use crate::error::Result;
use crate::model::TreePath;
use crate::worker::{Faults, Stop};
use compare::{Look, Open};
use std::collections::VecDeque;
use std::time::Duration;

/// Files written down together, at most, and about how many bytes they are.
const AT_ONCE: usize = 256;
const AT_ONCE_BYTES: u64 = 256 << 20;
/// What opening a file costs, in bytes of reading.
const OPENING: u64 = 64 << 10;
/// Findings looked at first.
const STANDING: usize = 1000;
/// Findings named in a report; beyond that only counted.
const TOLD: usize = 100;

/// What a re-read is done with.
pub struct Rereading<'a> {
    pub catalog: &'a Catalog,
    pub chunker: &'a Chunker,
    /// Longest path first.
    pub roots: &'a [TreePath],
    pub clock: &'a dyn Clock,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
}

/// How much of the roots a run reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion {
    All,
    Files(u64),
    /// Bytes, with something for each file.
    Work(u64),
}

/// All the work there is.
pub fn work(catalog: &Catalog) -> Result<u64> {
    let (files, bytes) = catalog.files_and_bytes()?;
    Ok(bytes.saturating_add(files.saturating_mul(OPENING)))
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub run: Run,
    /// The first of what is wrong.
    pub rot: Vec<Rot>,
}

/// A run, some of a file at a time.
pub struct Round<'a> {
    report: Report,
    left: Portion,
    /// Where the round began, and where it is.
    began: NodeId,
    at: NodeId,
    phase: Phase,
    queue: VecDeque<LiveFile>,
    open: Option<Box<Open<'a>>>,
    /// Looked at and not yet written down.
    done: Vec<(LiveFile, Compared)>,
    done_bytes: u64,
    /// Found wrong, and not known before.
    news: Vec<Rot>,
}

impl Round<'_> {
    /// What was found wrong since this was last asked.
    pub fn take_news(&mut self) -> Vec<Rot> {
        std::mem::take(&mut self.news)
    }
}

/// Which files are next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// What was found wrong before.
    Standing,
    /// From the place to the end.
    Onward,
    /// From the beginning to the place.
    Round,
    Ended,
}

impl<'a> Rereading<'a> {
    /// A run from its beginning to its end, without pauses.
    pub fn run(&self, portion: Portion) -> Result<Report> {
        let mut round = self.begin(portion)?;
        while self.step(&mut round)? == Turn::More {}
        self.end(round)
    }

    pub fn begin(&self, portion: Portion) -> Result<Round<'a>> {
        let began = self.catalog.reread_place()?;
        let now = self.clock.wall();
        Ok(Round {
            report: Report { run: Run { begun: now, ended: now, ..Run::default() }, rot: vec![] },
            left: portion,
            began,
            at: NodeId(0),
            phase: Phase::Standing,
            queue: VecDeque::new(),
            open: None,
            done: vec![],
            done_bytes: 0,
            news: vec![],
        })
    }

    /// Reads a few megabytes, or looks at one file. After an error of kind Retry the same file is next.
    pub fn step(&self, round: &mut Round<'a>) -> Result<Turn> {
        self.stop.check()?;
        let (file, look) = if let Some(open) = round.open.take() {
            let file = open.file.clone();
            let look = self.go_on(open);
            (file, look)
        } else {
            let Some(file) = self.next(round)? else {
                self.write_down(round)?;
                return Ok(Turn::Over);
            };
            let look = self.open(file.clone());
            (file, look)
        };
        match look {
            Err(e) => {
                round.queue.push_front(file);
                return Err(e);
            }
            Ok(Look::More(open)) => round.open = Some(open),
            Ok(Look::Over { compared, bytes, why }) => self.looked(round, file, compared, bytes, why)?,
        }
        Ok(Turn::More)
    }

    /// Gives up the handle it holds; the file is begun anew.
    pub fn let_go(round: &mut Round<'a>) {
        if let Some(open) = round.open.take() {
            round.queue.push_front(open.file);
        }
    }

    /// A run that is over, or given up here.
    pub fn end(&self, mut round: Round<'a>) -> Result<Report> {
        self.write_down(&mut round)?;
        round.report.run.ended = self.clock.wall();
        self.faults.at("reread.end")?;
        self.catalog.end_rereading(&round.report.run)?;
        Ok(round.report)
    }

    fn looked(
        &self,
        round: &mut Round<'a>,
        file: LiveFile,
        compared: Compared,
        bytes: u64,
        why: Option<compare::Why>,
    ) -> Result<()> {
        let Report { run, rot } = &mut round.report;
        if round.phase != Phase::Standing {
            round.at = file.node;
            round.left = match round.left {
                Portion::All => Portion::All,
                Portion::Files(n) => Portion::Files(n.saturating_sub(1)),
                // What is not read had its turn too: the round comes to its end in time.
                Portion::Work(n) => Portion::Work(n.saturating_sub(file.stamp.size.saturating_add(OPENING))),
            };
        }
        run.bytes += bytes;
        match &compared {
            Compared::NotCompared => run.skipped += 1,
            Compared::AsCaptured => run.looked += 1,
            Compared::Wrong(what, said) => {
                (run.looked, run.wrong) = (run.looked + 1, run.wrong + 1);
                let at = self.clock.wall();
                let captured = self.catalog.captured(file.seq)?.unwrap_or(at);
                let one = Rot { path: file.path.clone(), captured, what: *what, at, said: said.clone() };
                if !self.catalog.is_rotten(file.node)? && round.news.len() < TOLD {
                    round.news.push(one.clone());
                }
                if rot.len() < TOLD {
                    rot.push(one);
                }
            }
        }
        if let Some(text) = why.map(compare::Why::text).filter(|text| !run.note.contains(text)) {
            run.note = if run.note.is_empty() { text.to_owned() } else { format!("{}; {text}", run.note) };
        }
        let is_news = matches!(compared, Compared::Wrong(..));
        round.done.push((file, compared));
        round.done_bytes += bytes;
        if is_news || round.done.len() >= AT_ONCE || round.done_bytes >= AT_ONCE_BYTES {
            self.write_down(round)?;
        }
        Ok(())
    }

    fn write_down(&self, round: &mut Round<'a>) -> Result<()> {
        if !round.done.is_empty() {
            self.faults.at("reread.looked")?;
            let place = (round.phase != Phase::Standing).then_some(round.at);
            self.catalog.reread(place, self.clock.wall(), &round.done)?;
        }
        round.done.clear();
        round.done_bytes = 0;
        Ok(())
    }

    /// The file whose turn it is.
    fn next(&self, round: &mut Round<'a>) -> Result<Option<LiveFile>> {
        const TOP: NodeId = NodeId(i64::MAX);
        loop {
            let is_over = round.phase != Phase::Standing && matches!(round.left, Portion::Files(0) | Portion::Work(0));
            if is_over || round.phase == Phase::Ended {
                return Ok(None);
            }
            if let Some(file) = round.queue.pop_front() {
                return Ok(Some(file));
            }
            let (page, then) = match round.phase {
                // Once: those that stand are few, or the disk is gone.
                Phase::Standing if round.at == NodeId(0) => {
                    round.at = TOP;
                    (self.catalog.rotten_files(NodeId(0), STANDING)?, None)
                }
                Phase::Standing => (vec![], Some((Phase::Onward, round.began))),
                Phase::Onward => {
                    (self.catalog.files_to_reread(round.at, TOP, AT_ONCE)?, Some((Phase::Round, NodeId(0))))
                }
                Phase::Round => {
                    (self.catalog.files_to_reread(round.at, round.began, AT_ONCE)?, Some((Phase::Ended, round.began)))
                }
                Phase::Ended => (vec![], None),
            };
            if let (true, Some((phase, at))) = (page.is_empty(), then) {
                // The place is that of what was looked at in this phase.
                self.write_down(round)?;
                (round.phase, round.at) = (phase, at);
            }
            round.queue.extend(page);
        }
    }
}

/// So much each time that all has had its turn after `every`, and what was missed since `last` is made up for.
pub fn share(work: u64, since: Option<Duration>, period: Duration, every: Duration) -> u64 {
    let span = since.map_or(period, |since| since.clamp(period, every.max(period)));
    let part = u128::from(work) * span.as_millis();
    u64::try_from(part.div_ceil(every.as_millis().max(1))).unwrap_or(u64::MAX).max(1)
}

/// The whole second at or after: a time that is typed back must not lie before the capture.
pub fn as_of(captured: Wall) -> Wall {
    Wall(captured.0.saturating_add(999) / 1000 * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_year_s_worth_is_read_within_a_year_and_what_was_missed_is_made_up_for() {
        let year = DAY * 365;
        assert_eq!(share(3650, None, DAY, year), 10);
        assert_eq!(share(3650, Some(DAY), DAY, year), 10);
        assert_eq!(share(3650, Some(DAY * 7), DAY, year), 70);
        assert_eq!(share(3650, Some(year * 5), DAY, year), 3650, "never more than all");
        assert_eq!(share(u64::MAX, Some(DAY), DAY, DAY), u64::MAX);
        assert_eq!(share(0, None, DAY, year), 1);
    }

    #[test]
    fn a_time_typed_back_is_not_before_the_capture() {
        assert_eq!((as_of(Wall(1000)), as_of(Wall(1001)), as_of(Wall(0))), (Wall(1000), Wall(2000), Wall(0)));
    }
}
