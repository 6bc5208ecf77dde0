//! Due rows to the readers, in their order: rank by rank, the newest first, what one walk found folder by folder.
//!
//! The feeder stays for as long as anything is under way, and so what comes due meanwhile has its turn at once, also while
//! a film of fifty gigabytes is read. A rank that ran dry has its packs closed, and gathers anew before it is taken up
//! again. Dying here leaves the rows as they are.

use super::turns::Turns;
use super::{Group, LARGE_AT_ONCE, Message};
use crate::backup::Engine;
use crate::backup::roots::Watched;
use crate::catalog::{DirtyRow, NodeId, NodeRow, Outcome, Place};
use crate::clock::Steady;
use crate::error::{Error, Result};
use crate::model::{Band, Rank, TreePath};
use crate::source::Root;
use crossbeam_channel::{SendTimeoutError, Sender};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Rows taken at once, and rows of one folder handed to one reader: what a reader may have to hand back.
const TAKE: usize = 2048;
const GROUP: [usize; 3] = [256, 8, 1];
/// Looks at a rank from its top take this part of the time at most: rows with the readers are passed over one by one.
const RARELY: u32 = 30;
/// Looks after which one is for the other end, where the oldest wait; and rows taken there.
const PAGES: u32 = 5;
const OLDEST: usize = 64;
/// How long the readers are waited for before looking whether something else goes first.
const LOOK: Duration = Duration::from_millis(100);
/// While there is nothing to hand out, how soon and how late to look again.
const SOONEST: Duration = Duration::from_millis(5);
const LATEST: Duration = Duration::from_millis(250);

type Rows = Vec<(DirtyRow, NodeRow)>;

/// How far one rank has come.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// Whether its rows are taken now, or gather.
    taken_up: bool,
    /// Whether anything was handed out since its packs were closed.
    fed: bool,
    at: Place,
    /// When to look from the top again.
    look_again: Steady,
    /// Looks from the top.
    pages: u32,
}

/// What a look showed.
enum Seen {
    /// These, and where to go on after them.
    Rows(Pick, Place, Rows),
    Nothing,
    /// Nothing behind the place the rank had come to; before it nobody looked.
    NotAll,
}

pub(super) struct Feeder<'a> {
    engine: &'a Engine,
    turns: &'a Turns,
    groups: Sender<Group<'a>>,
    messages: Sender<Message>,
    open: HashMap<TreePath, Option<Arc<Root>>>,
    lines: [Line; Rank::COUNT],
}

/// What is to be done.
enum Next {
    /// These, and where to go on after them.
    Rows(Pick, Rows, Place),
    Later,
    Done,
}

/// From which end of a rank rows were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pick {
    Front(Rank),
    /// What waits longest: only another priority goes before it.
    Behind(Rank),
}

impl Pick {
    fn rank(self) -> Rank {
        let (Self::Front(rank) | Self::Behind(rank)) = self;
        rank
    }
}

/// What a look at a rank is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// Whether there is anything.
    Sight,
    Page,
}

/// How the handing out ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handed {
    All,
    /// Something goes before the rest.
    Part,
    /// The readers are gone: something failed there, and says so there.
    NoReaders,
}

impl<'a> Feeder<'a> {
    pub fn new(
        engine: &'a Engine,
        turns: &'a Turns,
        groups: Sender<Group<'a>>,
        messages: Sender<Message>,
    ) -> Result<Self> {
        let due = engine.ranks_to_capture()?;
        // Asked for though nothing is in a hurry: then everything.
        let taken_up = |n| due.is_empty() || due.iter().any(|rank| rank.number() == n);
        let line =
            |n| Line { taken_up: taken_up(n), fed: false, at: Place::TOP, look_again: Steady::default(), pages: 0 };
        let lines = std::array::from_fn(line);
        Ok(Self { engine, turns, groups, messages, open: HashMap::new(), lines })
    }

    pub fn run(mut self) -> Result<()> {
        let mut wait = SOONEST;
        loop {
            self.engine.stop.check()?;
            self.turns.tell_room(self.engine.room(self.turns)?);
            match self.next()? {
                Next::Rows(pick, rows, next) => {
                    wait = SOONEST;
                    let line = pick.rank().number();
                    match self.hand_out(pick, rows)? {
                        Handed::All => self.lines[line].at = next,
                        Handed::Part => {}
                        Handed::NoReaders => return Ok(()),
                    }
                }
                Next::Later => {
                    self.engine.stop.wait(wait);
                    wait = (wait * 2).min(LATEST);
                }
                Next::Done => return Ok(()),
            }
        }
    }

    fn next(&mut self) -> Result<Next> {
        self.take_up()?;
        // Asked before the rows: what a reader hands back after they were looked at is found the next time.
        let mut more = self.turns.anybody_at_work();
        if let Some((rank, rows)) = self.passed_by()? {
            let at = self.lines[rank.number()].at;
            self.begin(rank)?;
            return Ok(Next::Rows(Pick::Behind(rank), rows, at));
        }
        for rank in Rank::all().filter(|r| self.lines[r.number()].taken_up).collect::<Vec<_>>() {
            let may = self.may_begin(rank);
            match self.look(rank, if may { Want::Page } else { Want::Sight })? {
                Seen::Nothing => self.ran_dry(rank),
                Seen::NotAll => more = true,
                Seen::Rows(pick, next, rows) => {
                    self.turns.tell_busy(rank, true);
                    if may {
                        self.begin(rank)?;
                        return Ok(Next::Rows(pick, rows, next));
                    }
                    more = true;
                }
            }
        }
        Ok(if more { Next::Later } else { Next::Done })
    }

    /// Ranks that gathered for long enough.
    fn take_up(&mut self) -> Result<()> {
        for rank in Rank::all() {
            if !self.lines[rank.number()].taken_up {
                let due = self.engine.catalog.rank_due(rank, self.engine.now_ms())?;
                self.lines[rank.number()].taken_up = self.engine.is_time(&due, rank.priority);
            }
        }
        Ok(())
    }

    /// Whether a reader would get on with rows of this rank.
    fn may_begin(&self, rank: Rank) -> bool {
        self.turns.may_pack(rank) && (rank.band != Band::Large || self.turns.large_at_work(rank) < LARGE_AT_ONCE)
    }

    fn begin(&mut self, rank: Rank) -> Result<()> {
        self.lines[rank.number()].fed = true;
        // What is half full behind it would wait for as long as this lasts.
        for later in Rank::all().filter(|r| r.priority > rank.priority) {
            if self.lines[later.number()].fed && self.turns.at_work(later) == 0 {
                self.close(later);
            }
        }
        self.engine.stop.check()
    }

    /// A rank without rows: once nothing of it is under way, its packs are closed, and it gathers anew.
    fn ran_dry(&mut self, rank: Rank) {
        let at_work = self.turns.at_work(rank) > 0;
        self.turns.tell_busy(rank, at_work);
        if !at_work && self.lines[rank.number()].fed && self.turns.anybody_at_work() && self.close(rank) {
            self.lines[rank.number()].taken_up = false;
        }
    }

    /// False: the packer has no time just now.
    fn close(&mut self, rank: Rank) -> bool {
        let closed = self.messages.try_send(Message::Border(rank)).is_ok();
        if closed {
            self.lines[rank.number()].fed = false;
        }
        closed
    }

    /// The next rows of a rank: from the top, so that what was noticed since comes first, as often as that costs little;
    /// else from where it is.
    fn look(&mut self, rank: Rank, want: Want) -> Result<Seen> {
        let (turns, catalog, clock) = (self.turns, &self.engine.catalog, &self.engine.clock);
        let (now, begun) = (self.engine.now_ms(), clock.steady());
        let most = if want == Want::Sight || rank.band == Band::Large { 1 } else { TAKE };
        let taken = |node| turns.is_taken(node);
        let line = &mut self.lines[rank.number()];
        // Once nobody is at work, nothing is cheaper than to be sure.
        let from_top = turns.came_back(rank) || line.look_again <= begun || !turns.anybody_at_work();
        let mut page = catalog.turn(rank, now, if from_top { Place::TOP } else { line.at }, None, most, &taken)?;
        while page.rows.is_empty()
            && let Some(next) = page.next
        {
            page = catalog.turn(rank, now, next, None, most, &taken)?;
        }
        let first = page.rows.first().map(|(row, _)| row.notice);
        let mut seen = match page.rows.last() {
            None if from_top => Seen::Nothing,
            None => Seen::NotAll,
            Some((row, _)) => Seen::Rows(Pick::Front(rank), Place::of(row).max(line.at), page.rows),
        };
        line.pages += u32::from(want == Want::Page && from_top);
        if want == Want::Page && from_top && line.pages.is_multiple_of(PAGES) {
            let oldest = catalog.waited_longest(rank, now, most.min(OLDEST), &taken)?;
            if oldest.first().is_some_and(|(row, _)| Some(row.notice) < first) {
                seen = Seen::Rows(Pick::Behind(rank), line.at, oldest);
            }
        }
        if from_top {
            let ended = clock.steady();
            line.look_again = Steady(ended.0 + ended.since(begun) * RARELY);
        }
        Ok(seen)
    }

    /// The one that waited longest of the larger files that were passed by too often.
    fn passed_by(&mut self) -> Result<Option<(Rank, Rows)>> {
        let turns = self.turns;
        for rank in Rank::all().filter(|r| r.band != Band::Small).rev() {
            if !turns.was_passed_by(rank) || turns.at_work(rank) > 0 || !self.lines[rank.number()].taken_up {
                continue;
            }
            let now = self.engine.now_ms();
            let rows = self.engine.catalog.waited_longest(rank, now, 1, &|node| turns.is_taken(node))?;
            turns.tell_busy(rank, !rows.is_empty());
            if rows.is_empty() {
                turns.none_was_passed_by(rank);
                self.ran_dry(rank);
                continue;
            }
            turns.tell_room(self.engine.room(turns)?);
            if self.may_begin(rank) {
                return Ok(Some((rank, rows)));
            }
        }
        Ok(None)
    }

    /// Folder by folder.
    fn hand_out(&mut self, pick: Pick, rows: Rows) -> Result<Handed> {
        let most = GROUP[pick.rank().band as usize];
        let mut rows = rows.into_iter().peekable();
        while let Some(first) = rows.next() {
            let parent = first.1.parent;
            let mut group = vec![first];
            while group.len() < most && rows.peek().is_some_and(|r| r.1.parent == parent) {
                group.extend(rows.next());
            }
            let folder = if parent == NodeId::TOP { TreePath::root() } else { self.engine.catalog.path_of(parent)? };
            for one in self.by_root(folder, group)? {
                let handed = self.give(pick, one)?;
                if handed != Handed::All {
                    return Ok(handed);
                }
            }
        }
        Ok(Handed::All)
    }

    /// To the next reader that is free. Whoever reads what goes later is called, and what comes due meanwhile goes first.
    fn give(&mut self, pick: Pick, part: PartOfFolder) -> Result<Handed> {
        let rank = pick.rank();
        let (turns, nodes) = (self.turns, || part.rows.iter().map(|(row, _)| row.node).collect::<Vec<_>>());
        let (nodes, newest) = (nodes(), part.rows[0].0.notice);
        let at_work = turns.hand_out(rank, nodes.iter().copied());
        let PartOfFolder { root, watched, folder, rows } = part;
        let mut group = Group { rank, at_work, root, watched, folder, rows };
        loop {
            match self.groups.send_timeout(group, LOOK) {
                Ok(()) => {
                    turns.call(None);
                    return Ok(Handed::All);
                }
                Err(SendTimeoutError::Disconnected(_)) => return Ok(Handed::NoReaders),
                Err(SendTimeoutError::Timeout(back)) => group = back,
            }
            turns.call(Some(rank));
            self.engine.stop.check()?;
            turns.tell_room(self.engine.room(turns)?);
            if self.something_goes_before(pick, newest)? {
                drop(group);
                turns.take_back(rank, nodes.into_iter());
                return Ok(Handed::Part);
            }
        }
    }

    /// Whether rows that go before this one came due: of a rank before it, or newer of its own.
    fn something_goes_before(&mut self, pick: Pick, notice: u64) -> Result<bool> {
        self.take_up()?;
        let rank = pick.rank();
        let goes_before = |r: &Rank| match pick {
            Pick::Front(_) => *r <= rank,
            Pick::Behind(_) => r.priority < rank.priority,
        };
        let (turns, now) = (self.turns, self.engine.now_ms());
        for before in Rank::all().filter(goes_before) {
            let line = &self.lines[before.number()];
            let looked = line.look_again > self.engine.clock.steady();
            if !line.taken_up || looked || !self.may_begin(before) {
                continue;
            }
            let until = (before == rank).then_some(Place::of_notice(notice));
            let page = self.engine.catalog.turn(before, now, Place::TOP, until, 1, &|node| turns.is_taken(node))?;
            if !page.rows.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Splits a folder's rows by the root they belong to (a nested root's top lies in another root's folder). Rows of
    /// no root are settled at once; rows of a root in trouble wait.
    fn by_root(&mut self, folder: TreePath, rows: Rows) -> Result<Vec<PartOfFolder>> {
        let engine = self.engine;
        let mut out: Vec<PartOfFolder> = Vec::new();
        for (row, node) in rows {
            let path = folder.join(&node.name).ok_or_else(|| Error::damaged("read the queue: a name is no name"))?;
            let Some(at) = engine.root_of(&path).map(|r| engine.root_index(r)) else {
                engine.settle_alone(row, Outcome::NotChosen)?;
                continue;
            };
            let watched: &Watched = &engine.roots[at];
            let root =
                self.open.entry(watched.path.clone()).or_insert_with(|| engine.open_root(watched).ok().map(Arc::new));
            let Some(root) = root else {
                engine.faults.at("capture.put_back")?;
                engine.catalog.put_back(row.node, engine.now_ms() + 30_000, None)?;
                continue;
            };
            match out.iter_mut().find(|g| g.watched == at) {
                Some(part) => part.rows.push((row, node)),
                None => out.push(PartOfFolder {
                    root: Arc::clone(root),
                    watched: at,
                    folder: folder.clone(),
                    rows: vec![(row, node)],
                }),
            }
        }
        Ok(out)
    }
}

/// Rows of one folder and one root.
struct PartOfFolder {
    root: Arc<Root>,
    watched: usize,
    folder: TreePath,
    rows: Rows,
}
