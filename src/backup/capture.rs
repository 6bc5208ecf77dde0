//! Due rows to what they are now: a look, the metadata, and the content cut into chunks.
//!
//! Two threads read ahead of the one that packs; what passes between them is bounded in number and size. Paths are
//! read late: rows are taken only while the spool has room. Dying here leaves the rows dirty; chunks of a long file
//! that were committed are known already, so nothing is sent twice (promise 4).
//!
//! A path that cannot be read keeps its row and says why (promise 12); trouble with spool or catalog is never put
//! down to a path (promise 13).

use super::roots::Watched;
use super::{Engine, UnderWay, shape_of};
use crate::catalog::{DirtyRow, NewVersion, NodeId, NodeRow, Outcome, Scope};
use crate::chunk::{Cut, FIXED, MAX, MIN, Rest};
use crate::clock::Wall;
use crate::error::{Kind, Result};
use crate::filter::{FileOrDir, Verdict};
use crate::model::{ChunkId, HardLink, Seq, Stamp, Tier, TreePath};
use crate::source::{Finish, Folder, Form, Found, Look, Reading, Root, Step, Subject};
use crossbeam_channel::{Receiver, Sender};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A stamp younger than this at capture is looked at again: a change within the clock's grain would not show.
const YOUNG_MS: i64 = 2000;
/// Tries before a file that never rests is kept as changed while read.
const TORN_AFTER: u32 = 5;
/// Rows taken at once, and rows of one folder handed to one reader.
const TAKE: usize = 2048;
const GROUP: usize = 256;
/// What is read ahead of the cut; at least one chunk must fit.
const WINDOW: usize = 2 * MAX;
/// Small files handed over together: by number and by bytes.
const TOGETHER: usize = 128;
const TOGETHER_BYTES: usize = 512 << 10;

/// A stretch of a file on its way to a pack.
#[derive(Debug)]
pub enum Part {
    Hole(u64),
    Chunk { id: ChunkId, bytes: Vec<u8> },
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
    /// Whole paths: their parts and what they are.
    Whole(Vec<(Vec<Part>, Taken)>),
    /// A stretch of a long file.
    Stretch { file: NodeId, tier: Tier, parts: Vec<Part> },
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
        let readers = 2;
        let (groups_in, groups_out) = crossbeam_channel::bounded::<Group>(readers);
        let (messages_in, messages_out) = crossbeam_channel::bounded::<Message>(readers);
        let mut result = Ok(());
        std::thread::scope(|s| {
            let feeder = s.spawn(move || self.feed(&groups_in));
            let handles: Vec<_> = (0..readers)
                .map(|_| {
                    let (groups, messages) = (groups_out.clone(), messages_in.clone());
                    s.spawn(move || Reader::new(self, messages).run(&groups))
                })
                .collect();
            drop((groups_out, messages_in));
            result = self.pack_all(messages_out);
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

/// One reading thread.
struct Reader<'a> {
    engine: &'a Engine,
    messages: Sender<Message>,
    window: Box<[u8]>,
    whole: Vec<(Vec<Part>, Taken)>,
    whole_bytes: usize,
}

/// The packer is gone: something failed there, and says so there.
struct Gone;

impl<'a> Reader<'a> {
    fn new(engine: &'a Engine, messages: Sender<Message>) -> Self {
        Self { engine, messages, window: vec![0; WINDOW].into_boxed_slice(), whole: vec![], whole_bytes: 0 }
    }

    fn run(mut self, groups: &Receiver<Group>) -> Result<()> {
        for group in groups {
            if self.group(&group)?.is_err() {
                return Ok(());
            }
        }
        let _ = self.hand_over();
        Ok(())
    }

    fn send(&self, message: Message) -> std::result::Result<(), Gone> {
        self.messages.send(message).map_err(|_| Gone)
    }

    fn hand_over(&mut self) -> std::result::Result<(), Gone> {
        self.whole_bytes = 0;
        let paths = std::mem::take(&mut self.whole);
        if paths.is_empty() { Ok(()) } else { self.send(Message::Whole(paths)) }
    }

    fn whole(&mut self, parts: Vec<Part>, taken: Taken) -> std::result::Result<(), Gone> {
        self.whole_bytes +=
            parts.iter().map(|p| if let Part::Chunk { bytes, .. } = p { bytes.len() } else { 0 }).sum::<usize>();
        self.whole.push((parts, taken));
        if self.whole.len() >= TOGETHER || self.whole_bytes >= TOGETHER_BYTES { self.hand_over() } else { Ok(()) }
    }

    fn group(&mut self, group: &Group) -> Result<std::result::Result<(), Gone>> {
        let watched = &self.engine.roots[group.watched];
        // What is handed over together is of one tier: known chunks are looked up for it.
        if self.whole.first().is_some_and(|(_, t)| t.tier != watched.tier) && self.hand_over().is_err() {
            return Ok(Err(Gone));
        }
        // The root's own top lies above it: it is looked at through its own handle.
        let at_top = group.folder.is_within(&watched.path).then_some(()).is_none();
        let folder = if at_top { Ok(None) } else { group.root.folder(&group.folder).map(Some) };
        let chosen = match &folder {
            Ok(Some(_)) => watched.folder_is_walked(&group.root, &group.folder),
            _ => Ok(true),
        };
        let mut parent_checked = false;
        for (row, node) in &group.rows {
            self.engine.stop.check()?;
            let one = match (&folder, &chosen) {
                (Ok(None), _) => self.top(group, watched, row, node),
                (Ok(Some(folder)), Ok(true)) => self.name(group, folder, watched, row, node),
                (Ok(Some(_)), Ok(false)) => Ok(self.settle(watched, row, node, Outcome::NotChosen)),
                (Err(e), _) if is_absence(e) => self.gone(group, watched, row, node),
                (Err(e), _) | (_, Err(e)) => Err(clone(e)),
            };
            match one {
                Ok(Ok(captured)) => {
                    if captured == Captured::Version && !at_top && !parent_checked {
                        parent_checked = true;
                        if self.parents(group, watched, node.parent, &group.folder)?.is_err() {
                            return Ok(Err(Gone));
                        }
                    }
                }
                Ok(Err(gone)) => return Ok(Err(gone)),
                Err(e) if e.kind() == Kind::Stopping => return Err(e),
                Err(e) if e.kind() == Kind::Path => self.put_back(row, &e.to_string())?,
                Err(e) => return Err(e),
            }
        }
        Ok(Ok(()))
    }

    /// Failed paths are tried again after a while that grows with the tries, up to an hour.
    fn put_back(&self, row: &DirtyRow, error: &str) -> Result<()> {
        let wait = 15_000_i64.saturating_mul(1 << row.tries.min(8)).min(3_600_000);
        self.engine.faults.at("capture.put_back")?;
        self.engine.catalog.put_back(row.node, self.engine.now_ms() + wait, Some(error))
    }

    fn taken(&self, watched: &Watched, row: &DirtyRow, node: &NodeRow, outcome: Outcome) -> Taken {
        let mut row = row.clone();
        row.root = watched.id;
        Taken {
            row,
            captured: self.engine.clock.wall(),
            outcome,
            tier: watched.tier,
            before: node.shape.is_some().then_some(node.seq),
        }
    }

    fn settle(
        &mut self,
        watched: &Watched,
        row: &DirtyRow,
        node: &NodeRow,
        outcome: Outcome,
    ) -> std::result::Result<Captured, Gone> {
        let taken = self.taken(watched, row, node, outcome);
        self.whole(vec![], taken).map(|()| Captured::Settled)
    }

    /// What is not there is believed to be gone only while every disk above it is mounted.
    fn gone(
        &mut self,
        group: &Group,
        watched: &Watched,
        row: &DirtyRow,
        node: &NodeRow,
    ) -> Result<std::result::Result<Captured, Gone>> {
        let (mut id, mut at) = (node.parent, Some(group.folder.clone()));
        while let Some(path) = at.filter(|p| p.is_within(&watched.path)) {
            let Some(above) = self.engine.catalog.node(id)? else { break };
            let is_mounted = || group.root.folder(&path).is_ok_and(|f| f.look_at_itself().mount_root != Some(false));
            if above.mount && !is_mounted() {
                return Err(not_mounted(&path));
            }
            id = above.parent;
            at = path.parent();
        }
        Ok(self.settle(watched, row, node, Outcome::Gone))
    }

    fn top(
        &mut self,
        group: &Group,
        watched: &Watched,
        row: &DirtyRow,
        node: &NodeRow,
    ) -> Result<std::result::Result<Captured, Gone>> {
        let subject = group.root.top().itself()?;
        Ok(self.described(watched, row, node, subject))
    }

    fn name(
        &mut self,
        group: &Group,
        folder: &Folder,
        watched: &Watched,
        row: &DirtyRow,
        node: &NodeRow,
    ) -> Result<std::result::Result<Captured, Gone>> {
        let Some(look) = folder.look(&node.name)? else {
            if node.mount {
                return Err(not_mounted(&folder.path_of(&node.name)?));
            }
            return self.gone(group, watched, row, node);
        };
        if !self.chosen(folder, watched, node, &look)? {
            return Ok(self.settle(watched, row, node, Outcome::NotChosen));
        }
        if node.mount && look.form == Form::Dir && look.mount_root == Some(false) {
            return Err(not_mounted(&folder.path_of(&node.name)?));
        }
        if node.stamp == look.stamp && node.shape == Some(shape_of(&look)) {
            return Ok(self.settle(watched, row, node, Outcome::Same { stamp: look.stamp, again: None }));
        }
        match folder.subject_seen(&node.name, &look)? {
            Found::Gone => self.gone(group, watched, row, node),
            Found::Socket => Ok(self.settle(watched, row, node, Outcome::NotChosen)),
            Found::Here(mut subject) => match subject.file.take() {
                None => Ok(self.described(watched, row, node, *subject)),
                Some(file) => self.file(folder, watched, row, node, *subject, file),
            },
        }
    }

    fn chosen(&self, folder: &Folder, watched: &Watched, node: &NodeRow, look: &Look) -> Result<bool> {
        let path = folder.path_of(&node.name)?;
        let what = if look.form == Form::Dir { FileOrDir::Dir } else { FileOrDir::File };
        Ok(match watched.filter.decide(&path, what).verdict {
            Verdict::Include => look.form != Form::Dir || !watched.left_out(&folder.child(&node.name)?)?,
            // Only on the way to something: it is kept once something beneath it is.
            Verdict::Descend => {
                node.shape.is_some() || node.seq == Seq(0) && !self.engine.catalog.living_children(node.id)?.is_empty()
            }
            Verdict::Exclude => false,
        })
    }

    /// When to look again at a stamp so young that a change could hide behind it, in steady milliseconds.
    fn again(&self, stamp: &Stamp) -> Option<i64> {
        let age = self.engine.clock.wall().0 - stamp.ctime / 1_000_000;
        (0..YOUNG_MS).contains(&age).then(|| self.engine.now_ms() + YOUNG_MS)
    }

    fn version(&self, subject: &Subject, fixed: bool) -> NewVersion {
        let again = if subject.file.is_none() && subject.look.form != Form::File {
            None
        } else {
            self.again(&subject.look.stamp)
        };
        let mut stamp = subject.look.stamp;
        if again.is_some() {
            // Never equal: the second look reads again.
            stamp.ctime = 0;
        }
        NewVersion {
            entry: subject.entry.clone(),
            stamp,
            mount: subject.look.form == Form::Dir && subject.look.mount_root == Some(true),
            content: vec![],
            torn: false,
            fixed,
            again,
        }
    }

    fn described(
        &mut self,
        watched: &Watched,
        row: &DirtyRow,
        node: &NodeRow,
        subject: Subject,
    ) -> std::result::Result<Captured, Gone> {
        let outcome = Outcome::Version(Box::new(self.version(&subject, false)));
        let taken = self.taken(watched, row, node, outcome);
        self.whole(vec![], taken).map(|()| Captured::Version)
    }

    /// Folders above that have no version yet (they were only on the way) are captured with what they now hold.
    fn parents(
        &mut self,
        group: &Group,
        watched: &Watched,
        parent: NodeId,
        path: &TreePath,
    ) -> Result<std::result::Result<(), Gone>> {
        let (mut id, mut at) = (parent, Some(path.clone()));
        while let Some(folder) = at.filter(|p| p.is_within(&watched.path)) {
            let Some(node) = self.engine.catalog.node(id)? else { break };
            if node.shape.is_some() || node.dirty {
                break;
            }
            let subject = group.root.folder(&folder)?.itself()?;
            let row = DirtyRow {
                node: node.id,
                root: watched.id,
                scope: Scope::Path,
                generation: 0,
                notice: group.rows[0].0.notice,
                noticed: group.rows[0].0.noticed,
                tries: 0,
            };
            if self.described(watched, &row, &node, subject).is_err() {
                return Ok(Err(Gone));
            }
            id = node.parent;
            at = folder.parent();
        }
        Ok(Ok(()))
    }

    fn file(
        &mut self,
        folder: &Folder,
        watched: &Watched,
        row: &DirtyRow,
        node: &NodeRow,
        subject: Subject,
        file: Reading,
    ) -> Result<std::result::Result<Captured, Gone>> {
        let fixed = node.fixed || watched.in_place.matches(folder.path(), &node.name);
        let how = if fixed { Cut::Fixed } else { Cut::ByContent };
        if let Some(link) = subject.entry.link {
            self.other_names(link, &subject.look.stamp, row)?;
        }
        let version = self.version(&subject, fixed);
        let small = subject.look.stamp.size <= if fixed { FIXED as u64 } else { MIN as u64 };
        let mut taken = self.taken(watched, row, node, Outcome::Version(Box::new(version)));
        let mut parts = Vec::new();
        let read = self.read(file, how, if small { None } else { Some((node.id, watched.tier)) }, &mut parts)?;
        let finish = match read {
            Ok(finish) => finish,
            Err(gone) => return Ok(Err(gone)),
        };
        if finish == Finish::Changed {
            if row.tries < TORN_AFTER {
                self.engine.faults.at("capture.put_back")?;
                self.engine.catalog.put_back(row.node, self.engine.now_ms() + 2000 * (1 << row.tries), None)?;
                return Ok(if small { Ok(()) } else { self.send(Message::Dropped { file: node.id }) }
                    .map(|()| Captured::Settled));
            }
            if let Outcome::Version(v) = &mut taken.outcome {
                // Kept as it is, and looked at again: it may rest one day.
                v.torn = true;
                v.stamp.ctime = 0;
                v.again = Some(self.engine.now_ms() + 600_000);
            }
        }
        let sent = if small {
            self.whole(parts, taken)
        } else {
            self.send(Message::End { file: node.id, taken: Box::new(taken) })
        };
        Ok(sent.map(|()| Captured::Version))
    }

    /// A change through one name of a file is a change of all.
    fn other_names(&self, link: HardLink, stamp: &Stamp, row: &DirtyRow) -> Result<()> {
        let mut marks = vec![];
        for other in self.engine.catalog.names_of_file(link.dev, link.ino)? {
            if other != row.node && self.engine.catalog.node(other)?.is_some_and(|n| n.stamp != *stamp && !n.dirty) {
                marks.push(crate::catalog::Mark {
                    node: other,
                    new: None,
                    root: row.root,
                    scope: Scope::Path,
                    notice: row.notice,
                    noticed: row.noticed,
                    due: 0,
                    deadline: 0,
                    new_file: None,
                });
            }
        }
        if marks.is_empty() {
            return Ok(());
        }
        self.engine.faults.at("capture.mark")?;
        self.engine.catalog.mark(&marks)
    }

    /// Reads to the end. A long file's parts go off in stretches, a small one's into `parts`.
    fn read(
        &mut self,
        mut file: Reading,
        how: Cut,
        long: Option<(NodeId, Tier)>,
        parts: &mut Vec<Part>,
    ) -> Result<std::result::Result<Finish, Gone>> {
        // What lies in the window and was not cut yet, and where in the file it begins (for cuts at fixed places).
        let (mut start, mut end, mut offset) = (0, 0, 0u64);
        loop {
            if start > 0 && WINDOW - end < MAX {
                self.window.copy_within(start..end, 0);
                (start, end) = (0, end - start);
            }
            let step = match file.step(&mut self.window[end..]) {
                Ok(step) => step,
                Err(e) => {
                    if let Some((file, _)) = long {
                        let _ = self.send(Message::Dropped { file });
                    }
                    return Err(e);
                }
            };
            let rest = match step {
                Step::Data(n) => {
                    self.engine.figures.read_bytes.fetch_add(n as u64, Ordering::Relaxed);
                    end += n;
                    Rest::More
                }
                Step::Hole(_) | Step::End => Rest::End,
            };
            while let Some(len) = self.next_cut(&self.window[start..end], offset, how, rest) {
                let bytes = self.window[start..start + len].to_vec();
                parts.push(Part::Chunk { id: self.engine.chunker.id(&bytes), bytes });
                start += len;
                offset += len as u64;
            }
            if let Step::Hole(n) = step {
                parts.push(Part::Hole(n));
                offset += n;
            }
            if let Some((node, tier)) = long
                && !parts.is_empty()
                && self.send(Message::Stretch { file: node, tier, parts: std::mem::take(parts) }).is_err()
            {
                return Ok(Err(Gone));
            }
            if step == Step::End {
                return file.finish().map(Ok);
            }
            self.engine.stop.check()?;
        }
    }

    fn next_cut(&self, window: &[u8], offset: u64, how: Cut, rest: Rest) -> Option<usize> {
        if how == Cut::ByContent {
            return self.engine.chunker.cut(window, how, rest);
        }
        // Up to the next place that is a multiple of the piece, whatever holes came before.
        let place = usize::try_from(offset % FIXED as u64).expect("less than a piece");
        let piece = FIXED - place;
        if window.len() >= piece {
            return Some(piece);
        }
        (rest == Rest::End && !window.is_empty()).then_some(window.len())
    }
}

/// What became of a row, as far as its folder cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Captured {
    Version,
    Settled,
}

/// An alarm, never a deletion.
fn not_mounted(path: &TreePath) -> crate::error::Error {
    crate::error::Error::path(format!("look at {path}"))
        .because("the disk that was mounted here is not mounted")
        .remedy("mount it; nothing is taken for deleted meanwhile")
}

/// Whether a folder is not there: no such name on the way, or one that is no folder any more.
fn is_absence(e: &crate::error::Error) -> bool {
    matches!(e.io_kind(), Some(std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory))
}

/// The same trouble for every row of a folder.
fn clone(e: &crate::error::Error) -> crate::error::Error {
    crate::error::Error::new(e.kind(), e.to_string())
}
