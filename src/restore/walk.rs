//! The tree of the vault at a time, folder by folder, streaming: what is absent, what stands beneath a folder nobody
//! recorded (docs/format.md section 6). Memory grows with depth only.

use crate::catalog::{Catalog, Child, ChildState, NodeId, When};
use crate::error::Result;
use crate::model::{Entry, Shape, TreePath};
use crate::worker::Stop;
use std::collections::VecDeque;

/// Names asked for at once.
const PAGE: usize = 512;

/// What the walk meets, each folder before all it holds. Paths are those at the target.
pub(super) trait Visit {
    /// A wanted folder, or one on the way to what is wanted that has no record (`entry` None).
    fn folder(&mut self, path: &TreePath, entry: Option<&Entry>) -> Result<()>;
    /// A folder above what is wanted.
    fn above(&mut self, path: &TreePath, entry: Option<&Entry>) -> Result<()>;
    /// Anything but a folder; the content as the catalog keeps it.
    fn leaf(&mut self, path: TreePath, entry: Box<Entry>, content: Vec<u8>) -> Result<()>;
}

pub(super) struct Walk<'a> {
    pub catalog: &'a Catalog,
    pub when: When,
    pub stop: &'a Stop,
}

/// Whether there was anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Something,
    Nothing,
}

struct Frame {
    node: NodeId,
    path: TreePath,
    after: Vec<u8>,
    /// Folders of the page before, still to be entered.
    folders: VecDeque<(NodeId, Vec<u8>, Told)>,
    ended: bool,
    told: Told,
}

/// The folder that holds something, and all folders on the way with what is recorded of them.
type Way = (NodeId, Vec<(TreePath, Option<Entry>)>);

/// Whether the visitor knows the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Yes,
    NotYet,
}

impl Frame {
    fn new(node: NodeId, path: TreePath, told: Told) -> Self {
        Self { node, path, after: vec![], folders: VecDeque::new(), ended: false, told }
    }
}

impl Walk<'_> {
    /// `source` and all it holds, as it goes to `path`.
    pub fn top(&self, source: &TreePath, path: &TreePath, visit: &mut dyn Visit) -> Result<Found> {
        let Some(name) = source.name() else {
            return self.beneath(Frame::new(NodeId::TOP, path.clone(), Told::Yes), visit);
        };
        let Some((parent, above)) = self.way_to(source)? else { return Ok(Found::Nothing) };
        let Some(child) = self.catalog.child_at(parent, name, self.when)? else { return Ok(Found::Nothing) };
        if matches!(child.state, ChildState::Absent) {
            return Ok(Found::Nothing);
        }
        if source == path {
            for (path, entry) in above {
                visit.above(&path, entry.as_ref())?;
            }
        }
        match child.state {
            ChildState::Present { entry, content, .. } if entry.shape != Shape::Dir => {
                visit.leaf(path.clone(), entry, content)?;
                Ok(Found::Something)
            }
            ChildState::Present { entry, .. } => {
                visit.folder(path, Some(&entry))?;
                self.beneath(Frame::new(child.node, path.clone(), Told::Yes), visit)?;
                Ok(Found::Something)
            }
            _ => self.beneath(Frame::new(child.node, path.clone(), Told::NotYet), visit),
        }
    }

    /// Whether there is anything of this name, or beneath it, that was ever recorded and is not absent.
    pub fn has(&self, source: &TreePath) -> Result<bool> {
        let Some(name) = source.name() else { return Ok(true) };
        let Some((parent, _)) = self.way_to(source)? else { return Ok(false) };
        Ok(self.catalog.child_at(parent, name, self.when)?.is_some_and(|c| !matches!(c.state, ChildState::Absent)))
    }

    /// None where a folder above `source` is absent or no folder.
    fn way_to(&self, source: &TreePath) -> Result<Option<Way>> {
        let (mut at, mut path, mut above) = (NodeId::TOP, TreePath::root(), Vec::new());
        let parent = source.parent().unwrap_or_else(TreePath::root);
        for name in parent.components() {
            let Some(child) = self.catalog.child_at(at, name, self.when)? else { return Ok(None) };
            let Some(next) = path.join(name) else { return Ok(None) };
            let entry = match child.state {
                ChildState::Present { entry, .. } if entry.shape == Shape::Dir => Some(*entry),
                ChildState::Unrecorded => None,
                _ => return Ok(None),
            };
            (at, path) = (child.node, next);
            above.push((path.clone(), entry));
        }
        Ok(Some((at, above)))
    }

    fn beneath(&self, top: Frame, visit: &mut dyn Visit) -> Result<Found> {
        let (mut stack, mut found) = (vec![top], Found::Nothing);
        while let Some(frame) = stack.last_mut() {
            if let Some((node, name, told)) = frame.folders.pop_front() {
                if let Some(path) = frame.path.join(&name) {
                    stack.push(Frame::new(node, path, told));
                }
                continue;
            }
            if frame.ended {
                stack.pop();
                continue;
            }
            self.stop.check()?;
            let page = self.catalog.children_at(frame.node, &frame.after, PAGE, self.when)?;
            frame.ended = page.len() < PAGE;
            if let Some(last) = page.last() {
                frame.after.clone_from(&last.name);
            }
            if page.iter().any(|c| matches!(c.state, ChildState::Present { .. })) {
                found = Found::Something;
                for frame in stack.iter_mut().filter(|f| f.told == Told::NotYet) {
                    visit.folder(&frame.path, None)?;
                    frame.told = Told::Yes;
                }
            }
            if let Some(frame) = stack.last_mut() {
                page.into_iter().try_for_each(|child| meet(frame, child, visit))?;
            }
        }
        Ok(found)
    }
}

fn meet(frame: &mut Frame, child: Child, visit: &mut dyn Visit) -> Result<()> {
    match child.state {
        ChildState::Absent => {}
        ChildState::Unrecorded => frame.folders.push_back((child.node, child.name, Told::NotYet)),
        ChildState::Present { entry, content, .. } => {
            let Some(path) = frame.path.join(&child.name) else { return Ok(()) };
            if entry.shape == Shape::Dir {
                visit.folder(&path, Some(&entry))?;
                frame.folders.push_back((child.node, child.name, Told::Yes));
            } else {
                visit.leaf(path, entry, content)?;
            }
        }
    }
    Ok(())
}
