//! Rows of a folder to what their paths are now: looks by handle, the metadata, and whether a path is gone, not
//! chosen, the same as before or a new version.
//!
//! A path that cannot be read keeps its row and says why (promise 12). Dying here leaves the rows dirty.

use super::cut::{Carry, Stretch, Window};
use super::turns::{AtWork, Going, Turns};
use super::windows::Windows;
use super::{Group, Lane, Message, TOGETHER, TOGETHER_BYTES, TORN_AFTER, Taken, Whose, YOUNG_MS};
use crate::backup::roots::Watched;
use crate::backup::{Engine, shape_of};
use crate::catalog::{DirtyRow, KeptContent, KeptEntry, Mark, NewVersion, NodeId, NodeRow, Outcome, Scope};
use crate::chunk::{Cut, FIXED, MIN};
use crate::error::{Error, Kind, Result};
use crate::filter::{FileOrDir, Verdict};
use crate::model::{Band, HardLink, Rank, Seq, Stamp, TreePath};
use crate::source::{Finish, Folder, Form, Found, Look, Reading, Subject};
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use std::time::Duration;

/// How often a reader that stands still looks whether it may go on.
const WAIT: Duration = Duration::from_millis(20);

/// One reading thread.
pub(super) struct Reader<'a> {
    engine: &'a Engine,
    messages: Sender<Message>,
    spares: Receiver<Stretch>,
    window: Window,
    windows: &'a Windows,
    turns: &'a Turns,
    /// Small paths that go off together, all of one lane.
    paths: Vec<(usize, Taken)>,
    stretch: Stretch,
    /// The groups they are of.
    at_work: Vec<AtWork<'a>>,
    /// Rows that were larger than they said.
    larger: Vec<(NodeId, Rank, u64)>,
}

impl<'a> Reader<'a> {
    pub fn new(
        engine: &'a Engine,
        messages: Sender<Message>,
        spares: Receiver<Stretch>,
        windows: &'a Windows,
        turns: &'a Turns,
    ) -> Self {
        let (window, stretch) = (Window::small(), Stretch::default());
        let (at_work, larger) = (vec![], vec![]);
        Self { engine, messages, spares, window, windows, turns, paths: vec![], stretch, at_work, larger }
    }

    pub fn run(mut self, groups: &Receiver<Group<'a>>) -> Result<()> {
        loop {
            let group = match groups.try_recv() {
                Ok(group) => group,
                Err(TryRecvError::Disconnected) => return self.hand_over(),
                Err(TryRecvError::Empty) => {
                    // Nothing waits here while there is nothing to do.
                    self.hand_over()?;
                    let Ok(group) = groups.recv() else { return Ok(()) };
                    group
                }
            };
            let read = self.group(&group);
            self.at_work.push(group.at_work);
            read?;
            if self.paths.is_empty() {
                self.at_work.clear();
            }
        }
    }

    /// Fails only when the packer is gone: something failed there, and says so there.
    fn send(&self, message: Message) -> Result<()> {
        self.messages.send(message).map_err(|_| Error::stopping())
    }

    /// A buffer that was used before, where one came back.
    fn spare(&self) -> Stretch {
        self.spares.try_recv().unwrap_or_default()
    }

    fn hand_over(&mut self) -> Result<()> {
        let Some(lane) = self.paths.first().map(|(_, taken)| taken.lane) else { return Ok(()) };
        let spare = self.spare();
        let stretch = std::mem::replace(&mut self.stretch, spare);
        let paths = std::mem::take(&mut self.paths);
        self.send(Message::Whole { stretch, lane, paths })?;
        self.at_work.clear();
        Ok(())
    }

    /// A path that is whole, with the last `parts` of what was gathered.
    fn whole(&mut self, parts: usize, taken: Taken) -> Result<()> {
        self.paths.push((parts, taken));
        if self.paths.len() >= TOGETHER || self.stretch.text.len() >= TOGETHER_BYTES {
            self.hand_over()?;
        }
        Ok(())
    }

    fn group(&mut self, group: &Group<'a>) -> Result<()> {
        let watched = &self.engine.roots[group.watched];
        let lane = Lane { rank: group.rank, tier: watched.tier };
        // What is handed over together is of one lane: known chunks are looked up for it, and packed together.
        if self.paths.first().is_some_and(|(_, t)| t.lane != lane) {
            self.hand_over()?;
        }
        // The root's own top lies above it: it is looked at through its own handle.
        let at_top = group.folder.is_within(&watched.path).then_some(()).is_none();
        let folder = if at_top { Ok(None) } else { group.root.folder(&group.folder).map(Some) };
        let chosen = match &folder {
            Ok(Some(_)) => watched.folder_is_walked(&group.root, &group.folder),
            _ => Ok(true),
        };
        let mut parent_checked = false;
        for (at, (row, node)) in group.rows.iter().enumerate() {
            self.engine.stop.check()?;
            if self.wait_for_turn(group.rank)? == Carry::Off {
                self.turns.take_back(group.rank, group.rows[at..].iter().map(|(row, _)| row.node));
                break;
            }
            let one = match (&folder, &chosen) {
                (Ok(None), _) => self.top(group, watched, row, node),
                (Ok(Some(folder)), Ok(true)) => self.name(group, folder, watched, row, node),
                (Ok(Some(_)), Ok(false)) => self.settle(watched, row, node, Outcome::NotChosen),
                (Err(e), _) if is_absence(e) => self.gone(group, watched, row, node),
                (Err(e), _) | (_, Err(e)) => Err(clone(e)),
            };
            match one {
                Ok(Captured::Version) if !at_top && !parent_checked => {
                    parent_checked = true;
                    self.parents(group, watched, node.parent, &group.folder)?;
                }
                Ok(_) => {}
                Err(e) if e.kind() == Kind::Stopping => return Err(e),
                Err(e) if e.kind() == Kind::Path => self.put_back(row, &e.to_string())?,
                Err(e) => return Err(e),
            }
        }
        self.rank_anew()
    }

    /// Until there is room for this rank; Off: something goes before it, and it is handed out again later.
    fn wait_for_turn(&mut self, rank: Rank) -> Result<Carry> {
        loop {
            match self.turns.going(rank) {
                Going::On => return Ok(Carry::On),
                Going::Yield => {
                    self.hand_over()?;
                    return Ok(Carry::Off);
                }
                Going::Wait => {
                    self.hand_over()?;
                    if self.engine.stop.wait(WAIT) {
                        return Err(Error::stopping());
                    }
                }
            }
        }
    }

    /// Rows of files that are larger than their rows knew wait again, in their true place.
    fn rank_anew(&mut self) -> Result<()> {
        if self.larger.is_empty() {
            return Ok(());
        }
        self.engine.faults.at("capture.rank")?;
        self.engine.catalog.rank_anew(&self.larger)?;
        for (node, rank, _) in self.larger.drain(..) {
            self.turns.take_back(rank, std::iter::once(node));
        }
        Ok(())
    }

    /// Failed paths are tried again after a while that grows with the tries, up to an hour.
    fn put_back(&self, row: &DirtyRow, error: &str) -> Result<()> {
        let wait = 15_000_i64.saturating_mul(1 << row.tries.min(8)).min(3_600_000);
        self.engine.faults.at("capture.put_back")?;
        self.engine.catalog.put_back(row.node, self.engine.now_ms() + wait, Some(error))?;
        self.turns.let_go(row.node);
        Ok(())
    }

    fn taken(&self, watched: &Watched, row: &DirtyRow, node: &NodeRow, outcome: Outcome) -> Taken {
        let mut row = row.clone();
        row.root = watched.id;
        Taken {
            lane: Lane { rank: row.rank, tier: watched.tier },
            row,
            captured: self.engine.clock.wall(),
            outcome,
            before: node.shape.is_some().then_some(node.seq),
        }
    }

    fn settle(&mut self, watched: &Watched, row: &DirtyRow, node: &NodeRow, outcome: Outcome) -> Result<Captured> {
        let taken = self.taken(watched, row, node, outcome);
        self.whole(0, taken).map(|()| Captured::Settled)
    }

    /// What is not there is believed to be gone only while every disk above it is mounted.
    fn gone(&mut self, group: &Group, watched: &Watched, row: &DirtyRow, node: &NodeRow) -> Result<Captured> {
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
        self.settle(watched, row, node, Outcome::Gone)
    }

    fn top(&mut self, group: &Group, watched: &Watched, row: &DirtyRow, node: &NodeRow) -> Result<Captured> {
        let subject = group.root.top().itself()?;
        self.described(watched, row, node, &subject)
    }

    fn name(
        &mut self,
        group: &Group,
        folder: &Folder,
        watched: &Watched,
        row: &DirtyRow,
        node: &NodeRow,
    ) -> Result<Captured> {
        let Some(look) = folder.look(&node.name)? else {
            if node.mount {
                return Err(not_mounted(&folder.path_of(&node.name)?));
            }
            return self.gone(group, watched, row, node);
        };
        if !self.chosen(folder, watched, node, &look)? {
            return self.settle(watched, row, node, Outcome::NotChosen);
        }
        if node.mount && look.form == Form::Dir && look.mount_root == Some(false) {
            return Err(not_mounted(&folder.path_of(&node.name)?));
        }
        if node.stamp == look.stamp && node.shape == Some(shape_of(&look)) {
            return self.settle(watched, row, node, Outcome::Same { stamp: look.stamp, again: None });
        }
        match folder.subject_seen(&node.name, &look)? {
            Found::Gone => self.gone(group, watched, row, node),
            Found::Socket => self.settle(watched, row, node, Outcome::NotChosen),
            Found::Here(mut subject) => match subject.file.take() {
                None => self.described(watched, row, node, &subject),
                Some(file) => self.file(folder, watched, row, node, &subject, file),
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
            entry: KeptEntry::of(&subject.entry),
            stamp,
            mount: subject.look.form == Form::Dir && subject.look.mount_root == Some(true),
            content: KeptContent::default(),
            torn: false,
            fixed,
            again,
        }
    }

    fn described(&mut self, watched: &Watched, row: &DirtyRow, node: &NodeRow, subject: &Subject) -> Result<Captured> {
        let outcome = Outcome::Version(Box::new(self.version(subject, false)));
        let taken = self.taken(watched, row, node, outcome);
        self.whole(0, taken).map(|()| Captured::Version)
    }

    /// Folders above that have no version yet (they were only on the way) are captured with what they now hold.
    fn parents(&mut self, group: &Group, watched: &Watched, parent: NodeId, path: &TreePath) -> Result<()> {
        let (mut id, mut at) = (parent, Some(path.clone()));
        while let Some(folder) = at.filter(|p| p.is_within(&watched.path)) {
            let Some(node) = self.engine.catalog.node(id)? else { break };
            if node.shape.is_some() || node.dirty {
                break;
            }
            let (notice, noticed) = (group.rows[0].0.notice, group.rows[0].0.noticed);
            let subject = match group.root.folder(&folder).and_then(|f| f.itself()) {
                Ok(subject) => subject,
                // It went away meanwhile, or cannot be read just now: its own look says so.
                Err(e) if e.kind() == Kind::Path => {
                    return self.engine.catalog.mark(&[Mark::at_once(
                        node.id,
                        watched.id,
                        Scope::Path,
                        notice,
                        noticed,
                    )]);
                }
                Err(e) => return Err(e),
            };
            let row = DirtyRow {
                node: node.id,
                root: watched.id,
                scope: Scope::Path,
                generation: 0,
                notice,
                noticed,
                tries: 0,
                rank: group.rank,
            };
            self.described(watched, &row, &node, &subject)?;
            id = node.parent;
            at = folder.parent();
        }
        Ok(())
    }

    fn file(
        &mut self,
        folder: &Folder,
        watched: &Watched,
        row: &DirtyRow,
        node: &NodeRow,
        subject: &Subject,
        file: Reading,
    ) -> Result<Captured> {
        let fixed = node.fixed || watched.in_place.matches(folder.path(), &node.name);
        let how = if fixed { Cut::Fixed } else { Cut::ByContent };
        if let Some(link) = subject.entry.link {
            self.other_names(link, &subject.look.stamp, row)?;
        }
        let version = self.version(subject, fixed);
        let size = subject.look.stamp.size;
        if Band::of(size) > row.rank.band {
            self.larger.push((row.node, Rank::of(row.rank.priority, size), size));
            return Ok(Captured::Settled);
        }
        let small = size <= if fixed { FIXED as u64 } else { MIN as u64 };
        let mut taken = self.taken(watched, row, node, Outcome::Version(Box::new(version)));
        let before = (self.stretch.parts.len(), self.stretch.text.len());
        let finish = if small {
            self.window.read(self.engine, file, how, &mut self.stretch, |_| Ok(Carry::On))
        } else {
            self.long(file, how, &taken)
        };
        let given_up = match &finish {
            Ok(Some(Finish::Changed)) => row.tries < TORN_AFTER,
            Ok(Some(_)) => false,
            Ok(None) | Err(_) => true,
        };
        if given_up {
            if small {
                self.stretch.parts.truncate(before.0);
                self.stretch.text.truncate(before.1);
            } else {
                self.send(Message::Dropped { file: node.id })?;
            }
        }
        let Some(finish) = finish? else {
            self.turns.take_back(row.rank, std::iter::once(row.node));
            return Ok(Captured::Settled);
        };
        if finish == Finish::Changed {
            if given_up {
                self.engine.faults.at("capture.put_back")?;
                self.engine.catalog.put_back(row.node, self.engine.now_ms() + 2000 * (1 << row.tries), None)?;
                self.turns.let_go(row.node);
                return Ok(Captured::Settled);
            }
            if let Outcome::Version(v) = &mut taken.outcome {
                // Kept as it is, and looked at again: it may rest one day.
                v.torn = true;
                v.stamp.ctime = 0;
                v.again = Some(self.engine.now_ms() + 600_000);
            }
        }
        if small {
            self.whole(self.stretch.parts.len() - before.0, taken)?;
        } else {
            self.send(Message::End { file: node.id, taken: Box::new(taken) })?;
        }
        Ok(Captured::Version)
    }

    /// A long file's parts go off step by step.
    ///
    /// None: something goes before it, and it is read again later. A large one is given up only for another large one:
    /// else it stands still at the border of its pack, and goes on where it is.
    fn long(&self, reading: Reading, how: Cut, taken: &Taken) -> Result<Option<Finish>> {
        let (file, whose, lane) = (taken.row.node, Whose::of(&taken.row), taken.lane);
        let (turns, stop, rank) = (self.turns, &self.engine.stop, lane.rank);
        let goes_before = || turns.going(rank) == Going::Yield;
        let Some(mut lent) = self.windows.take(rank, stop, goes_before)? else { return Ok(None) };
        let gives_up = || match rank.band {
            Band::Large => self.windows.make_way(rank.priority),
            _ => !turns.may_pack(rank) && goes_before(),
        };
        lent.window().read(self.engine, reading, how, &mut self.spare(), |stretch| {
            if !stretch.parts.is_empty() {
                let stretch = std::mem::replace(stretch, self.spare());
                self.send(Message::Stretch { file, whose, lane, stretch })?;
            }
            while !gives_up() {
                if turns.may_pack(rank) {
                    return Ok(Carry::On);
                }
                if stop.wait(WAIT) {
                    return Err(Error::stopping());
                }
            }
            Ok(Carry::Off)
        })
    }

    /// A change through one name of a file is a change of all.
    fn other_names(&self, link: HardLink, stamp: &Stamp, row: &DirtyRow) -> Result<()> {
        let mut marks = vec![];
        for other in self.engine.catalog.names_of_file(link.dev, link.ino)? {
            if other != row.node && self.engine.catalog.node(other)?.is_some_and(|n| n.stamp != *stamp && !n.dirty) {
                marks.push(Mark::at_once(other, row.root, Scope::Path, row.notice, row.noticed));
            }
        }
        if marks.is_empty() {
            return Ok(());
        }
        self.engine.faults.at("capture.mark")?;
        self.engine.catalog.mark(&marks)
    }
}

/// What became of a row, as far as its folder cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Captured {
    Version,
    Settled,
}

/// An alarm, never a deletion.
fn not_mounted(path: &TreePath) -> Error {
    Error::path(format!("look at {path}"))
        .because("the disk that was mounted here is not mounted")
        .remedy("mount it; nothing is taken for deleted meanwhile")
}

/// Whether a folder is not there: no such name on the way, or one that is no folder any more.
fn is_absence(e: &Error) -> bool {
    matches!(e.io_kind(), Some(std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory))
}

/// The same trouble for every row of a folder.
fn clone(e: &Error) -> Error {
    Error::new(e.kind(), e.to_string())
}
