//! Who may go on: what the feeder, the readers and the packer of one capture tell one another about the order.
//!
//! Nothing here is durable; the rows and the spool are, and after a death the order is found in them again.
//!
//! - **Room** decides who begins a pack: the further back a rank, the more room it must leave in the spool, so that what
//!   comes first never finds it full. On a slow line this alone is a strict order; on a fast one nobody waits.
//! - **Every fifth pack** of a priority goes to what is larger and waits behind, so that no endless stream of small files
//!   keeps a large one waiting.
//! - **A call** goes out when something comes due that goes before what is being read: readers of what goes later hand
//!   back the rows they have not begun; a large file keeps open, fills its pack and waits at the border.

use crate::backup::in_hand::InHand;
use crate::catalog::{NodeId, Settled};
use crate::model::{Band, Priority, Rank};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Packs of smaller files after which one goes to larger ones of the same priority, if any wait.
const PASSED_BY: u32 = 4;
const NOBODY: usize = usize::MAX;

/// What a reader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Going {
    On,
    /// There is no room for it now.
    Wait,
    /// Something goes before it and needs a reader.
    Yield,
}

/// The room of the spool, in packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// That could still be begun.
    pub free: u64,
    /// That it holds altogether.
    pub all: u64,
}

#[derive(Debug)]
pub(crate) struct Turns {
    /// Ranks that may begin a pack, those that have one open, and those that had leave to begin it; a bit each.
    room: AtomicU32,
    open: AtomicU32,
    granted: AtomicU32,
    /// Ranks of which rows were handed back.
    returned: AtomicU32,
    /// Ranks of which rows wait or are at work.
    busy: AtomicU32,
    /// The rank that is called for.
    called: AtomicUsize,
    /// Groups of rows with the readers, by rank.
    at_work: [AtomicUsize; Rank::COUNT],
    /// Packs by which each rank was passed.
    passed_by: [AtomicU32; Rank::COUNT],
    /// Packs begun and not committed: they take room in the spool that no row names.
    unnamed: AtomicU64,
    /// Rows handed out and not settled.
    taken: InHand,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            room: AtomicU32::new(u32::MAX),
            open: AtomicU32::default(),
            granted: AtomicU32::default(),
            returned: AtomicU32::default(),
            busy: AtomicU32::default(),
            called: AtomicUsize::new(NOBODY),
            at_work: Default::default(),
            passed_by: Default::default(),
            unnamed: AtomicU64::default(),
            taken: InHand::default(),
        }
    }
}

fn bit(rank: Rank) -> u32 {
    1 << rank.number()
}

fn set(bits: &AtomicU32, rank: Rank, on: bool) {
    if on {
        bits.fetch_or(bit(rank), Ordering::SeqCst);
    } else {
        bits.fetch_and(!bit(rank), Ordering::SeqCst);
    }
}

fn has(bits: &AtomicU32, rank: Rank) -> bool {
    bits.load(Ordering::SeqCst) & bit(rank) != 0
}

impl Turns {
    /// Nobody has anything in hand yet.
    pub fn new(taken: InHand) -> Self {
        taken.clear();
        Self { taken, ..Self::default() }
    }

    /// For a reader, before each row and each step of a long file.
    pub fn going(&self, rank: Rank) -> Going {
        let called = self.called.load(Ordering::SeqCst);
        if called != NOBODY && self.place(Rank::from_number(called as i64)) < self.place(rank) {
            Going::Yield
        } else if self.may_pack(rank) {
            Going::On
        } else {
            Going::Wait
        }
    }

    /// Whether it may fill the pack it has, or begin one. A pack begun for the little that was on its way when the room
    /// ended is no leave to fill it.
    pub fn may_pack(&self, rank: Rank) -> bool {
        has(&self.granted, rank) || has(&self.room, rank)
    }

    /// Counts the room anew.
    pub fn tell_room(&self, room: Room) {
        let (open, mut bits) = (self.open.load(Ordering::SeqCst), 0);
        for rank in Rank::all() {
            // Its own pack is not in its way.
            let own = u64::from(open & bit(rank) != 0);
            if room.free + own >= self.least_room(rank, room) {
                bits |= bit(rank);
            }
        }
        if room.free + self.unnamed() >= room.all {
            // Only open packs take room: somebody must fill one.
            bits |= Rank::all().map(bit).find(|bit| open & bit != 0).unwrap_or(0);
        }
        self.room.store(bits, Ordering::SeqCst);
    }

    /// Larger files whose turn has come stand before all of their priority.
    fn place(&self, rank: Rank) -> (Priority, Option<Band>) {
        (rank.priority, Some(rank.band).filter(|_| self.owed(rank.priority) != Some(rank)))
    }

    /// Packs that must be free for this rank to begin one.
    fn least_room(&self, rank: Rank, room: Room) -> u64 {
        let place = match self.owed(rank.priority) {
            // It changes places with what it waited behind.
            Some(owed) if owed == rank => rank.priority as usize * 3,
            Some(owed) if owed.band > rank.band => rank.number() + 1,
            _ => rank.number(),
        };
        // A small spool has no room to leave: what comes first waits for one pack there.
        1 + (place as u64).min(room.all.saturating_sub(2))
    }

    /// The larger files of a priority whose turn has come: passed by often enough, and there.
    pub fn owed(&self, priority: Priority) -> Option<Rank> {
        [Band::Large, Band::Medium]
            .map(|band| Rank { priority, band })
            .into_iter()
            .filter(|rank| has(&self.busy, *rank))
            .map(|rank| (self.passed_by[rank.number()].load(Ordering::SeqCst), rank))
            .filter(|(passed, _)| *passed >= PASSED_BY)
            .max()
            .map(|(_, rank)| rank)
    }

    /// Whether larger files were passed by often enough that it matters whether any are there.
    pub fn was_passed_by(&self, rank: Rank) -> bool {
        self.passed_by[rank.number()].load(Ordering::SeqCst) >= PASSED_BY
    }
    pub fn none_was_passed_by(&self, rank: Rank) {
        self.passed_by[rank.number()].store(0, Ordering::SeqCst);
    }

    /// The packer opened a pack of this rank, or closed its last one.
    pub fn opened(&self, rank: Rank) {
        self.unnamed.fetch_add(1, Ordering::SeqCst);
        if has(&self.room, rank) {
            set(&self.granted, rank, true);
        }
        set(&self.open, rank, true);
    }
    pub fn committed(&self) {
        self.unnamed.fetch_sub(1, Ordering::SeqCst);
    }
    pub fn unnamed(&self) -> u64 {
        self.unnamed.load(Ordering::SeqCst)
    }
    pub fn closed(&self, rank: Rank) {
        set(&self.open, rank, false);
        set(&self.granted, rank, false);
        self.passed_by[rank.number()].store(0, Ordering::SeqCst);
        for later in Rank::all().filter(|r| r.priority == rank.priority && r.band > rank.band) {
            self.passed_by[later.number()].fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether rows of this rank wait or are at work.
    pub fn tell_busy(&self, rank: Rank, busy: bool) {
        set(&self.busy, rank, busy);
    }

    /// Calls for readers for a rank; None: nobody is called for.
    pub fn call(&self, rank: Option<Rank>) {
        self.called.store(rank.map_or(NOBODY, Rank::number), Ordering::SeqCst);
    }

    /// Rows are with the readers from now on, for as long as what is returned lives.
    pub fn hand_out(&self, rank: Rank, rows: impl Iterator<Item = NodeId>) -> AtWork<'_> {
        self.taken.take(rows);
        self.at_work[rank.number()].fetch_add(1, Ordering::SeqCst);
        AtWork(&self.at_work[rank.number()])
    }

    /// They were not begun: they are handed out again in their turn.
    pub fn take_back(&self, rank: Rank, rows: impl Iterator<Item = NodeId>) {
        self.taken.let_go(rows);
        set(&self.returned, rank, true);
    }

    /// Whether rows of this rank came back since this was asked last.
    pub fn came_back(&self, rank: Rank) -> bool {
        self.returned.fetch_and(!bit(rank), Ordering::SeqCst) & bit(rank) != 0
    }

    /// The row says what is to become of it: it is nobody's any more.
    pub fn let_go(&self, node: NodeId) {
        self.taken.let_go([node]);
    }
    pub fn settled(&self, settled: &[Settled]) {
        self.taken.let_go(settled.iter().map(|one| one.row.node));
    }

    pub fn is_taken(&self, node: NodeId) -> bool {
        self.taken.has(node)
    }

    pub fn at_work(&self, rank: Rank) -> usize {
        self.at_work[rank.number()].load(Ordering::SeqCst)
    }
    pub fn anybody_at_work(&self) -> bool {
        Rank::all().any(|rank| self.at_work(rank) > 0)
    }
    /// Large files under way that go before or with this one.
    pub fn large_at_work(&self, rank: Rank) -> usize {
        let same = |r: &Rank| r.band == Band::Large && r.priority <= rank.priority;
        Rank::all().filter(same).map(|r| self.at_work(r)).sum()
    }
}

/// A group of rows with a reader, until what it read is handed to the packer.
#[derive(Debug)]
pub(crate) struct AtWork<'a>(&'a AtomicUsize);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(priority: Priority, band: Band) -> Rank {
        Rank { priority, band }
    }

    #[test]
    fn the_further_back_the_more_room_must_be_left() {
        let turns = Turns::default();
        for free in 0..20 {
            turns.tell_room(Room { free, all: 20 });
            let may: Vec<bool> = Rank::all().map(|r| turns.may_pack(r)).collect();
            assert!(may.is_sorted_by(|a, b| a >= b), "{free}: {may:?}");
            assert_eq!(may[0], free > 0);
            assert!(free > 8 || !may[8]);
        }
    }

    #[test]
    fn in_the_smallest_spool_everybody_may_begin_a_pack_while_it_is_empty() {
        let turns = Turns::default();
        turns.tell_room(Room { free: 2, all: 2 });
        assert!(Rank::all().all(|r| turns.may_pack(r)));
        turns.tell_room(Room { free: 0, all: 2 });
        assert!(Rank::all().all(|r| !turns.may_pack(r)));
        let last = rank(Priority::Last, Band::Large);
        turns.opened(last);
        assert_eq!(turns.going(last), Going::Wait, "it was begun without leave");
        turns.tell_room(Room { free: 1, all: 2 });
        assert_eq!(turns.going(last), Going::On);
    }

    #[test]
    fn every_fifth_pack_goes_to_the_larger_files_that_wait() {
        let turns = Turns::default();
        let (small, large) = (rank(Priority::Normal, Band::Small), rank(Priority::Normal, Band::Large));
        let tight = Room { free: 4, all: 20 };
        turns.tell_busy(large, true);
        let mut went = vec![];
        for _ in 0..20 {
            turns.tell_room(tight);
            let next = if turns.may_pack(large) { large } else { small };
            assert!(turns.may_pack(next));
            turns.opened(next);
            turns.closed(next);
            went.push(next.band);
        }
        assert_eq!(went.iter().filter(|b| **b == Band::Large).count(), 4, "{went:?}");
    }

    #[test]
    fn who_is_called_for_gets_the_readers_of_what_goes_later() {
        let turns = Turns::default();
        let (doc, video) = (rank(Priority::First, Band::Small), rank(Priority::Last, Band::Large));
        turns.call(Some(doc));
        assert_eq!((turns.going(doc), turns.going(video)), (Going::On, Going::Yield));
        turns.call(None);
        assert_eq!(turns.going(video), Going::On);
        let letter = rank(Priority::Last, Band::Small);
        turns.call(Some(video));
        assert_eq!(turns.going(letter), Going::On);
        turns.tell_busy(video, true);
        for _ in 0..PASSED_BY {
            turns.opened(letter);
            turns.closed(letter);
        }
        assert_eq!((turns.going(letter), turns.going(video)), (Going::Yield, Going::On), "its turn has come");
        turns.call(Some(letter));
        assert_eq!(turns.going(video), Going::On);
    }
}
