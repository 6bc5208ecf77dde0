//! Due rows to what they are now: a look, the metadata, and the content cut into chunks.
//!
//! A few threads read ahead of the one that packs; what passes between them is bounded in number and size. Paths are
//! read late: rows are taken only while the spool has room. Dying here leaves the rows dirty; chunks of a long file
//! that were committed are known already, so nothing is sent twice (promise 4).
//!
//! A path that cannot be read keeps its row and says why (promise 12); trouble with spool or catalog is never put
//! down to a path (promise 13).

mod cut;
mod look;

use super::roots::Watched;
use super::{Engine, UnderWay};
use crate::catalog::{DirtyRow, NodeId, NodeRow, Outcome};
use crate::clock::Wall;
use crate::error::Result;
use crate::model::{ChunkId, Seq, Tier, TreePath};
use crate::source::Root;
use crossbeam_channel::Sender;
pub use cut::Stretch;
use cut::Windows;
use look::Reader;
use std::collections::HashMap;
use std::sync::Arc;

/// A stamp younger than this at capture is looked at again: a change within the clock's grain would not show.
const YOUNG_MS: i64 = 2000;
/// Tries before a file that never rests is kept as changed while read.
const TORN_AFTER: u32 = 5;
/// Threads that read: more than processors, since small files on a cold disk are all waiting. And how many of them may
/// read long files.
const READERS: usize = 4;
const LONG_AT_ONCE: usize = 2;
/// Rows taken at once, and rows of one folder handed to one reader.
const TAKE: usize = 2048;
const GROUP: usize = 256;
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

/// A path that was looked at.
#[derive(Debug)]
pub struct Taken {
    pub row: DirtyRow,
    pub captured: Wall,
    pub outcome: Outcome,
    pub tier: Tier,
    /// The version it had, to be compared with.
    pub before: Option<Seq>,
}

/// From a reader to the packer.
#[derive(Debug)]
pub enum Message {
    /// Whole paths of one tier, each with the number of parts it has of the stretch.
    Whole { stretch: Stretch, tier: Tier, paths: Vec<(usize, Taken)> },
    /// A stretch of a long file.
    Stretch { file: NodeId, tier: Tier, stretch: Stretch },
    /// Its end.
    End { file: NodeId, taken: Box<Taken> },
    /// It was given up: what was packed of it stays known.
    Dropped { file: NodeId },
}

/// Rows of one folder.
#[derive(Debug)]
struct Group {
    root: Arc<Root>,
    watched: usize,
    folder: TreePath,
    rows: Vec<(DirtyRow, NodeRow)>,
}

impl Engine {
    /// Captures everything that is due. Ends when the queue is drained; the packer blocks while the spool is full.
    pub fn capture_due(&self) -> Result<()> {
        let _under_way = UnderWay::new(&self.figures.capturing);
        let windows = Windows::new(LONG_AT_ONCE);
        let (groups_in, groups_out) = crossbeam_channel::bounded::<Group>(READERS);
        let (messages_in, messages_out) = crossbeam_channel::bounded::<Message>(1);
        // Texts go back when they are packed: megabytes are not asked of the allocator again and again.
        let (spares_in, spares_out) = crossbeam_channel::bounded::<Stretch>(READERS);
        let mut result = Ok(());
        std::thread::scope(|s| {
            let feeder = s.spawn(move || self.feed(&groups_in));
            let windows = &windows;
            let handles: Vec<_> = (0..READERS)
                .map(|_| {
                    let (groups, messages, spares) = (groups_out.clone(), messages_in.clone(), spares_out.clone());
                    s.spawn(move || Reader::new(self, messages, spares, windows).run(&groups))
                })
                .collect();
            drop((groups_out, messages_in, spares_out));
            result = self.pack_all(messages_out, &spares_in);
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

    /// Takes due rows in node order, folder by folder, and hands them to the readers.
    fn feed(&self, groups: &Sender<Group>) -> Result<()> {
        let mut after = NodeId(0);
        let mut open: HashMap<TreePath, Option<Arc<Root>>> = HashMap::new();
        loop {
            self.stop.check()?;
            let rows = self.catalog.due(self.now_ms(), after, TAKE)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = last.node;
            let mut rows = rows.into_iter().peekable();
            while let Some(first) = rows.next() {
                let parent = first.1.parent;
                let mut group = vec![first];
                while group.len() < GROUP && rows.peek().is_some_and(|r| r.1.parent == parent) {
                    group.extend(rows.next());
                }
                let folder = if parent == NodeId::TOP { TreePath::root() } else { self.catalog.path_of(parent)? };
                for group in self.by_root(folder, group, &mut open)? {
                    if groups.send(group).is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Splits a folder's rows by the root they belong to (a nested root's top lies in another root's folder). Rows of
    /// no root are settled at once; rows of a root in trouble wait.
    fn by_root(
        &self,
        folder: TreePath,
        rows: Vec<(DirtyRow, NodeRow)>,
        open: &mut HashMap<TreePath, Option<Arc<Root>>>,
    ) -> Result<Vec<Group>> {
        let mut out: Vec<Group> = Vec::new();
        for (row, node) in rows {
            let path = folder
                .join(&node.name)
                .ok_or_else(|| crate::error::Error::damaged("read the queue: a name is no name"))?;
            let Some(at) = self.root_of(&path).map(|r| self.root_index(r)) else {
                self.settle_alone(row, Outcome::NotChosen)?;
                continue;
            };
            let watched = &self.roots[at];
            let root = open.entry(watched.path.clone()).or_insert_with(|| self.open_root(watched).ok().map(Arc::new));
            let Some(root) = root else {
                self.faults.at("capture.put_back")?;
                self.catalog.put_back(row.node, self.now_ms() + 30_000, None)?;
                continue;
            };
            match out.iter_mut().find(|g| g.watched == at) {
                Some(group) => group.rows.push((row, node)),
                None => out.push(Group {
                    root: Arc::clone(root),
                    watched: at,
                    folder: folder.clone(),
                    rows: vec![(row, node)],
                }),
            }
        }
        Ok(out)
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
