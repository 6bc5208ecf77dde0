//! The reconcile walk: a tree against the catalog, folder by folder, on four threads. Events hasten, walks decide.
//!
//! A folder is watched first and listed then, so nothing made in between is missed. What a walk finds inherits the
//! walk's place in the order of noticing, and the tree's own row stays until the walk is over: a deletion found
//! meanwhile waits for all of it (promise 14). Names that are gone become dirty; only a look by handle, later,
//! believes a deletion. Dying anywhere leaves the tree's row: the walk begins again.
//!
//! Memory: the folders still to do (16 bytes each), one batch of names and one of marks a thread, and of the one
//! folder in hand the ids that were seen (8 bytes each). A new folder is entered only after its own row is written:
//! no row ever lacks its parent.

mod agenda;

use super::notice::ms;
use super::roots::Watched;
use super::{Engine, UnderWay, shape_of};
use crate::catalog::{DirtyRow, Level, Mark, NodeId, NodeRow, Pending, Scope};
use crate::clock::Wall;
use crate::error::{Error, Kind, Result};
use crate::filter::{FileOrDir, Verdict};
use crate::model::TreePath;
use crate::source::walk::{Child, Children, Sight};
use crate::source::watch::Watcher;
use crate::source::{Folder, Form, Ground, Look, Root};
use agenda::{Agenda, Hand};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Reading names waits for the disk, comparing them does not: with four, disk and processor are both kept busy even on
/// two cores, from a cold cache (measured: a quarter faster than two; a spinning disk sorts what it is asked).
const THREADS: usize = 4;
/// Marks written in one transaction.
const FLUSH: usize = 2000;
/// A folder with more nodes than this is compared batch by batch.
const WHOLE: usize = 8192;
/// How soon is looked again whether a disk that was missing is back.
const UNMOUNTED: Duration = Duration::from_secs(60);

/// Whether a folder has rows in the catalog beneath it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Novelty {
    /// Made in this walk: nothing is known of what it holds.
    New,
    Known,
}

/// What one thread found and has not written yet.
#[derive(Debug, Default)]
struct Finds {
    marks: Vec<Mark>,
    /// New folders among them, to be entered once their rows are written.
    folders: Vec<NodeId>,
}

/// How one tree went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walked {
    Yes,
    CannotOpen,
}

/// One walk.
struct Walk<'a> {
    engine: &'a Engine,
    root: &'a Watched,
    open: Root,
    row: &'a DirtyRow,
    watcher: Option<&'a Watcher>,
    agenda: Agenda<(NodeId, Novelty)>,
    now: Wall,
}

impl Engine {
    /// Walks every tree that waits for it. How many were walked.
    pub fn walk_due(&self, watcher: Option<&Watcher>) -> Result<usize> {
        let _under_way = UnderWay::new(&self.figures.walking);
        let mut walked = 0;
        for row in self.catalog.due_trees(self.now_ms())? {
            self.stop.check()?;
            match self.walk_tree(&row, watcher)? {
                Walked::Yes => walked += 1,
                // Its root cannot be read: that is shown, and tried again soon. The other roots go on.
                Walked::CannotOpen => {
                    self.faults.at("walk.put_back")?;
                    self.catalog.put_back(row.node, self.now_ms() + 15_000, None)?;
                }
            }
        }
        Ok(walked)
    }

    fn walk_tree(&self, row: &DirtyRow, watcher: Option<&Watcher>) -> Result<Walked> {
        let path = self.catalog.path_of(row.node)?;
        let Some(root) = self.root_of(&path) else {
            self.faults.at("walk.done")?;
            return self.catalog.walked(row, None).map(|_| Walked::Yes);
        };
        let Ok(open) = self.open_root(root) else { return Ok(Walked::CannotOpen) };
        let is_folder = match self.is_folder(row, root, &open, &path) {
            Err(e) if e.kind() == Kind::Path => {
                self.faults.at("walk.put_back")?;
                self.catalog.put_back(row.node, self.now_ms() + ms(UNMOUNTED), Some(&e.to_string()))?;
                return Ok(Walked::Yes);
            }
            told => told?,
        };
        if is_folder && root.folder_is_walked(&open, &path).unwrap_or(true) {
            let walk = Walk {
                engine: self,
                root,
                open,
                row,
                watcher,
                agenda: Agenda::new((row.node, Novelty::Known)),
                now: self.clock.wall(),
            };
            walk.run()?;
        }
        self.faults.at("walk.done")?;
        self.catalog.walked(row, (path == root.path).then_some(root.id))?;
        if path == root.path {
            self.figures.walked.lock().expect("figures lock").insert(root.path.clone(), self.now_ms());
        }
        Ok(Walked::Yes)
    }
}

impl Engine {
    /// Whether a tree that is owed a walk is a folder. Path: that cannot be told now, or it is where a disk was mounted that
    /// is not: what it holds is then not seen, and nothing of it is gone.
    fn is_folder(&self, row: &DirtyRow, root: &Watched, open: &Root, path: &TreePath) -> Result<bool> {
        let Some((parent, name)) = path.parent().zip(path.name()).filter(|_| *path != root.path) else {
            return Ok(true);
        };
        let is_absence =
            |e: &Error| matches!(e.io_kind(), Some(std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory));
        let look = match open.folder(&parent).and_then(|folder| folder.look(name)) {
            Err(e) if is_absence(&e) => None,
            told => told?,
        };
        let Some(look) = look.filter(|look| look.form == Form::Dir) else { return Ok(false) };
        if look.mount_root == Some(false) && self.catalog.node(row.node)?.is_some_and(|node| node.mount) {
            return Err(not_mounted(path));
        }
        Ok(true)
    }
}

/// An alarm, never a deletion.
fn not_mounted(path: &TreePath) -> Error {
    Error::path(format!(
        "{path}: the disk that was mounted here is not mounted; mount it (nothing is taken for deleted meanwhile)"
    ))
}

/// One thread of it: what it has not written yet, and a batch of names to fill again and again.
struct Thread<'a, 'w> {
    walk: &'a Walk<'w>,
    batch: Vec<Child>,
    finds: Finds,
}

impl Hand<(NodeId, Novelty)> for Thread<'_, '_> {
    fn work(&mut self, (node, novelty): (NodeId, Novelty)) -> Result<()> {
        self.walk.engine.stop.check()?;
        self.walk.folder(node, novelty, &mut self.batch, &mut self.finds)
    }
    fn is_full(&self) -> bool {
        self.finds.marks.len() >= FLUSH
    }
    fn let_go(&mut self) -> Result<()> {
        self.walk.flush(&mut self.finds)
    }
}

impl Walk<'_> {
    fn run(&self) -> Result<()> {
        std::thread::scope(|s| {
            for _ in 0..THREADS {
                s.spawn(|| {
                    let mut thread = Thread { walk: self, batch: vec![], finds: Finds::default() };
                    self.agenda.share(&mut thread);
                });
            }
        });
        self.agenda.outcome()
    }

    fn flush(&self, finds: &mut Finds) -> Result<()> {
        if !finds.marks.is_empty() {
            self.engine.faults.at("walk.mark")?;
            self.engine.catalog.mark(&finds.marks)?;
            finds.marks.clear();
            self.engine.bells.capture.ring();
        }
        if !finds.folders.is_empty() {
            // Taken from the end: the first one found is the next one done.
            self.agenda.add(finds.folders.drain(..).rev().map(|node| (node, Novelty::New)));
        }
        Ok(())
    }

    /// Of a path that is not looked at here: it goes as its root and what is known of it say.
    fn mark(&self, node: NodeId, new: Option<(NodeId, Vec<u8>)>, due: i64, new_file: Option<u64>) -> Mark {
        let deadline = if due == 0 { 0 } else { self.engine.waits(self.root).1 };
        let mark = Mark::at_once(node, self.root.id, Scope::Path, self.row.notice, self.now);
        Mark { new, due, deadline, new_file, size: Some(0), ..mark }
    }

    /// When what was found changed may be looked at: at once if it rested for the quiet period already.
    fn due(&self, look: &Look) -> i64 {
        let rested = self.now.since(Wall(look.stamp.ctime / 1_000_000));
        if rested >= self.root.quiet || look.stamp.ctime / 1_000_000 > self.now.0 {
            0
        } else {
            self.engine.waits(self.root).0
        }
    }

    fn folder(&self, node: NodeId, novelty: Novelty, batch: &mut Vec<Child>, finds: &mut Finds) -> Result<()> {
        let path = self.engine.catalog.path_of(node)?;
        if let Some(watcher) = self.watcher
            && let Err(e) = watcher.add(&path)
            && e.kind() != Kind::Path
        {
            self.cannot_watch(&e);
        }
        match self.list(&path, node, novelty, batch, finds) {
            Err(e) if e.io_kind() == Some(std::io::ErrorKind::NotFound) => {
                // Gone since its parent was listed: a look decides.
                finds.marks.push(self.mark(node, None, 0, None));
                Ok(())
            }
            Err(e) if e.kind() == Kind::Path => {
                self.flush(finds)?;
                self.trouble(node, Duration::from_secs(300), &e.to_string())
            }
            other => other,
        }
    }

    /// Said once a walk: walks find the changes instead.
    fn cannot_watch(&self, e: &Error) {
        let known = self.engine.catalog.fact::<String>("watch_trouble").ok().flatten();
        if known.as_deref() != Some(&e.to_string()) {
            self.engine.tell(Level::Warning, &e.to_string());
            let _ = self.engine.catalog.set_fact("watch_trouble", e.to_string());
        }
    }

    fn list(
        &self,
        path: &TreePath,
        node: NodeId,
        novelty: Novelty,
        batch: &mut Vec<Child>,
        finds: &mut Finds,
    ) -> Result<()> {
        let folder = self.open.folder(path)?;
        let mut seen: Vec<NodeId> = Vec::new();
        let left_out = *path != self.root.path && self.root.left_out(&folder)?;
        if left_out {
            finds.marks.push(self.mark(node, None, 0, None));
        } else {
            let mut judge = self.root.filter.folder(path);
            let mut children = Children::of(&folder, &self.root.crossing)?;
            loop {
                let more = children.next_batch(batch)?;
                let known = if novelty == Novelty::New {
                    HashMap::new()
                } else {
                    self.known(node, batch, more || !seen.is_empty())?
                };
                for child in batch.drain(..) {
                    let row = known.get(&*child.name);
                    seen.extend(row.filter(|r| r.shape.is_some()).map(|r| r.id));
                    self.child(&folder, node, child, row, &mut judge, finds)?;
                }
                if !more {
                    break;
                }
                self.flush(finds)?;
            }
        }
        if novelty == Novelty::Known {
            self.missing(node, seen, finds)?;
        }
        Ok(())
    }

    fn known(&self, node: NodeId, batch: &[Child], in_parts: bool) -> Result<HashMap<Vec<u8>, NodeRow>> {
        let rows = if in_parts { vec![] } else { self.engine.catalog.children(node, WHOLE)? };
        let rows = if in_parts || rows.len() == WHOLE {
            self.engine.catalog.children_named(node, batch.iter().map(|c| &*c.name))?
        } else {
            rows
        };
        Ok(rows.into_iter().map(|r| (r.name.clone(), r)).collect())
    }

    /// Nodes with a version that the folder no longer names, or no longer chooses.
    fn missing(&self, node: NodeId, mut seen: Vec<NodeId>, finds: &mut Finds) -> Result<()> {
        let living = self.engine.catalog.living_children(node)?;
        if living.len() > seen.len() {
            seen.sort_unstable();
            finds.marks.extend(
                living.into_iter().filter(|id| seen.binary_search(id).is_err()).map(|id| self.mark(id, None, 0, None)),
            );
        }
        Ok(())
    }

    fn child(
        &self,
        folder: &Folder,
        parent: NodeId,
        child: Child,
        row: Option<&NodeRow>,
        judge: &mut crate::filter::Folder<'_>,
        finds: &mut Finds,
    ) -> Result<()> {
        self.engine.figures.met.fetch_add(1, Ordering::Relaxed);
        let path = || folder.path_of(&child.name);
        let (look, ground) = match child.sight {
            Sight::Seen { look, ground } => (look, ground),
            // It cannot even be looked at: capture tries again and keeps the reason.
            Sight::Failed(_) => {
                self.dirty(parent, &child.name, row, 0, None, finds);
                return Ok(());
            }
        };
        let is_dir = look.form == Form::Dir;
        let verdict = match look.form {
            Form::Socket => {
                self.engine.figures.sockets.fetch_add(1, Ordering::Relaxed);
                Verdict::Exclude
            }
            Form::Dir if self.is_anothers(&path()?) => Verdict::Exclude,
            Form::Dir => judge.decide(&child.name, FileOrDir::Dir).verdict,
            _ => judge.decide(&child.name, FileOrDir::File).verdict,
        };
        let living = row.filter(|r| r.shape.is_some());
        if verdict == Verdict::Exclude {
            if let Some(row) = living {
                finds.marks.push(self.mark(row.id, None, 0, None));
            }
            return Ok(());
        }
        if is_dir && living.is_some_and(|r| r.mount) && ground == Ground::Same && look.mount_root != Some(true) {
            return self.vanished_mount(living.expect("just seen"), &path()?, finds);
        }
        if verdict == Verdict::Include || living.is_some() {
            let same = living.is_some_and(|r| r.stamp == look.stamp && r.shape == Some(shape_of(&look)));
            if !same {
                let new_file = (look.form == Form::File && living.is_none()).then_some(look.stamp.size);
                let id = self.dirty(parent, &child.name, row, self.due(&look), new_file, finds);
                let mark = finds.marks.last_mut().expect("just pushed");
                let what = if is_dir { FileOrDir::Dir } else { FileOrDir::File };
                mark.priority = Some(match self.root.order.of_all() {
                    Some(priority) => priority,
                    None => self.root.order.of(&path()?, what),
                });
                mark.size = Some(if look.form == Form::File { look.stamp.size } else { 0 });
                // One in hand may have been read before this.
                if !row.is_some_and(|r| self.engine.in_hand.has(r.id)) {
                    mark.pending = Pending::Enough;
                }
                if is_dir && row.is_none() {
                    if self.may_enter(&path()?, &ground) {
                        finds.folders.push(id);
                    }
                    return Ok(());
                }
            }
        }
        if is_dir && self.may_enter(&path()?, &ground) {
            self.enter(parent, &child.name, row, finds);
        }
        Ok(())
    }

    /// Its turn comes in this walk.
    fn enter(&self, parent: NodeId, name: &[u8], row: Option<&NodeRow>, finds: &mut Finds) {
        if let Some(row) = row {
            self.agenda.add([(row.id, Novelty::Known)]);
        } else {
            // A folder only on the way to something chosen: it gets a node, and a look only when that is captured.
            let id = self.dirty(parent, name, None, 0, None, finds);
            finds.marks.last_mut().expect("just pushed").scope = Scope::Way;
            finds.folders.push(id);
        }
    }

    /// Another root's top, or a folder of our own.
    fn is_anothers(&self, path: &TreePath) -> bool {
        self.engine.is_ours(path) || self.engine.roots.iter().any(|r| r.path == *path && r.path != self.root.path)
    }

    fn dirty(
        &self,
        parent: NodeId,
        name: &[u8],
        row: Option<&NodeRow>,
        due: i64,
        new_file: Option<u64>,
        finds: &mut Finds,
    ) -> NodeId {
        let (id, new) = match row {
            Some(row) => (row.id, None),
            None => (self.engine.catalog.new_node_id(), Some((parent, name.to_vec()))),
        };
        finds.marks.push(self.mark(id, new, due, new_file));
        id
    }

    fn may_enter(&self, path: &TreePath, ground: &Ground) -> bool {
        if let Ground::Refused { file_system, why } = ground {
            tracing::info!(vault = %self.engine.name, "{path} is not entered: {file_system}, {why}");
            return false;
        }
        true
    }

    /// Something was mounted here and is not any more: an alarm, never a deletion of what lay beneath.
    fn vanished_mount(&self, row: &NodeRow, path: &TreePath, finds: &mut Finds) -> Result<()> {
        self.flush(finds)?;
        self.trouble(row.id, UNMOUNTED, &not_mounted(path).to_string())
    }

    /// A folder that cannot be gone through stays dirty with all it holds, says why and is walked again after `wait`: it is
    /// not seen again by a look at the folder alone.
    fn trouble(&self, node: NodeId, wait: Duration, why: &str) -> Result<()> {
        let engine = self.engine;
        engine.faults.at("walk.mark")?;
        engine.catalog.mark(&[Mark { scope: Scope::Tree, ..self.mark(node, None, 0, None) }])?;
        engine.faults.at("walk.put_back")?;
        engine.catalog.put_back(node, engine.now_ms() + ms(wait), Some(why))
    }
}
