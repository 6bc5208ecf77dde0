//! Due rows to what they are now: a look, the metadata, and the content cut into chunks.
//!
//! A few threads read ahead of the one that packs; what passes between them is bounded in number and size. Paths are
//! read late: rows are taken only while the spool has room. Dying here leaves the rows dirty; chunks of a long file
//! that were committed are known already, so nothing is sent twice (promise 4).
//!
//! A path that cannot be read keeps its row and says why (promise 12); trouble with spool or catalog is never put
//! down to a path (promise 13).

mod cut;
mod feed;
mod look;
mod turns;
mod windows;

use super::roots::Watched;
use super::{Engine, SOON, UnderWay};
use crate::catalog::{DirtyRow, Due, NodeId, NodeRow, Outcome, RootId};
use crate::clock::Wall;
use crate::error::Result;
use crate::model::{ChunkId, Priority, Rank, Seq, Tier, TreePath};
use crate::source::Root;
pub use cut::Stretch;
use feed::Feeder;
use look::Reader;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use turns::AtWork;
pub(super) use turns::{Room, Turns};
use windows::Windows;

/// A stamp younger than this at capture is looked at again: a change within the clock's grain would not show.
const YOUNG_MS: i64 = 2000;
/// Tries before a file that never rests is kept as changed while read.
const TORN_AFTER: u32 = 5;
/// Threads that read: more than processors, since small files on a cold disk are all waiting. How many of them may read
/// files of more than one chunk, and how many of those [large](crate::model::Band::Large) ones, which may take days.
const READERS: usize = 4;
const LONG_AT_ONCE: usize = 3;
const LARGE_AT_ONCE: usize = 2;
/// Read at once, and so about what goes off together.
const STEP: usize = 1 << 20;
/// Small files handed over together: by number and by bytes.
const TOGETHER: usize = 128;
const TOGETHER_BYTES: usize = 512 << 10;

/// A piece of a file on its way to a pack. The bytes of chunks travel beside it: [`cut::Stretch`].
#[derive(Clone, Copy, Debug)]
pub enum Part {
    Hole(u64),
    Chunk { id: ChunkId, len: u32 },
}

/// What goes into one pack: packs of different lanes never mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    pub rank: Rank,
    pub tier: Tier,
}

/// A path that was looked at.
#[derive(Debug)]
pub struct Taken {
    pub row: DirtyRow,
    pub captured: Wall,
    pub outcome: Outcome,
    pub lane: Lane,
    /// The version it had, to be compared with.
    pub before: Option<Seq>,
}

/// Whose bytes they are, for the forecast: of a root, noticed at this place in the order of noticing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whose {
    pub root: RootId,
    pub notice: u64,
}

impl Whose {
    pub fn of(row: &DirtyRow) -> Self {
        Self { root: row.root, notice: row.notice }
    }
}

/// From a reader to the packer.
#[derive(Debug)]
pub enum Message {
    /// Whole paths of one lane, each with the number of parts it has of the stretch.
    Whole { stretch: Stretch, lane: Lane, paths: Vec<(usize, Taken)> },
    /// A stretch of a long file.
    Stretch { file: NodeId, whose: Whose, lane: Lane, stretch: Stretch },
    /// Its end.
    End { file: NodeId, taken: Box<Taken> },
    /// It was given up: what was packed of it stays known.
    Dropped { file: NodeId },
    /// Nothing more of this rank waits, or something goes before it: its packs are closed as they are.
    Border(Rank),
}

/// Rows of one folder.
#[derive(Debug)]
struct Group<'a> {
    rank: Rank,
    at_work: AtWork<'a>,
    root: Arc<Root>,
    watched: usize,
    folder: TreePath,
    rows: Vec<(DirtyRow, NodeRow)>,
}

impl Engine {
    /// Captures everything that is due. Ends when the queue is drained; the packer blocks while the spool is full.
    pub fn capture_due(&self) -> Result<()> {
        let _under_way = UnderWay::new(&self.figures.capturing);
        let (windows, turns) = (Windows::new(LONG_AT_ONCE, LARGE_AT_ONCE), Turns::new(self.in_hand.clone()));
        let (windows, turns) = (&windows, &turns);
        let (groups_in, groups_out) = crossbeam_channel::bounded::<Group<'_>>(READERS);
        let (messages_in, messages_out) = crossbeam_channel::bounded::<Message>(1);
        // Texts go back when they are packed: megabytes are not asked of the allocator again and again.
        let (spares_in, spares_out) = crossbeam_channel::bounded::<Stretch>(READERS);
        let mut result = Ok(());
        std::thread::scope(|s| {
            let border = messages_in.clone();
            let feeder = s.spawn(move || Feeder::new(self, turns, groups_in, border)?.run());
            let handles: Vec<_> = (0..READERS)
                .map(|_| {
                    let (groups, messages, spares) = (groups_out.clone(), messages_in.clone(), spares_out.clone());
                    s.spawn(move || Reader::new(self, messages, spares, windows, turns).run(&groups))
                })
                .collect();
            drop((groups_out, messages_in, spares_out));
            result = self.pack_all(messages_out, &spares_in, turns);
            for handle in handles {
                let read = handle.join().expect("a reader does not panic");
                if result.is_ok() {
                    result = read;
                }
            }
            let fed = feeder.join().expect("the feeder does not panic");
            if result.is_ok() {
                result = fed;
            }
        });
        result
    }

    /// How much room the spool has.
    pub(super) fn room(&self, turns: &Turns) -> Result<Room> {
        let pack = self.settings.pack_size.0.max(1);
        let (_, spooled) = self.catalog.spooled_packs()?;
        let all = self.settings.spool_size.0 / pack;
        let free = (self.settings.spool_size.0.saturating_sub(spooled) / pack).saturating_sub(turns.unnamed());
        Ok(Room { free, all })
    }

    /// Ranks whose rows are captured now: all of them once there is enough for a pack or something waited as long as
    /// `gather` says, else those whose own time has come.
    pub fn ranks_to_capture(&self) -> Result<Vec<Rank>> {
        let due = self.catalog.ranks_due(self.now_ms())?;
        let sum = |of: &dyn Fn(Rank) -> bool| {
            due.iter().filter(|(rank, _)| of(*rank)).fold(Due::default(), |sum, (_, one)| Due {
                rows: sum.rows + one.rows,
                bytes: sum.bytes + one.bytes,
                oldest: sum.oldest.into_iter().chain(one.oldest).min(),
            })
        };
        let all = self.is_time(&sum(&|_| true), Priority::Normal);
        let first = self.is_time(&sum(&|rank| rank.priority == Priority::First), Priority::First);
        let now = due.iter().map(|(rank, _)| *rank).filter(|rank| all || first && rank.priority == Priority::First);
        Ok(now.collect())
    }

    /// Whether what is due is worth a pack, or waited long enough.
    fn is_time(&self, due: &Due, priority: Priority) -> bool {
        let is_enough = due.bytes >= self.settings.pack_size.0;
        let waits = |by: Duration| {
            due.oldest.is_none_or(|at| {
                let now = self.clock.wall();
                at > now || now.since(at) >= by
            })
        };
        // While a walk is still finding, every few files would make a pack of their own.
        if due.rows == 0 || self.figures.walking.load(Ordering::SeqCst) > 0 && !is_enough && !waits(SOON) {
            return false;
        }
        let gather = if priority == Priority::First { self.settings.gather.min(SOON) } else { self.settings.gather };
        self.is_hurried() || gather.is_zero() || is_enough || waits(gather)
    }

    fn root_index(&self, root: &Watched) -> usize {
        self.roots.iter().position(|r| std::ptr::eq(r, root)).expect("it is one of ours")
    }

    fn settle_alone(&self, row: DirtyRow, outcome: Outcome) -> Result<()> {
        let captured = self.clock.wall();
        self.faults.at("capture.settle")?;
        self.catalog.commit(None, &[crate::catalog::Settled { row, captured, outcome }])
    }
}
