//! Of several vaults, how far each is from the newest state there is of what is wanted.
//!
//! Vaults need not hold the same: one takes some roots only, one was set up yesterday, one lies in a drawer every other
//! week. A restore that took the cheapest unasked would bring back last week, or a part, and end well. So all their
//! catalogs are walked side by side, in name order, and each thing is compared by what was recorded of it and when; the
//! vaults' keys differ, so contents are told apart by their metadata, as everywhere a change is noticed.
//!
//! Reads catalogs only. Memory grows with depth. Dying here loses nothing.

use super::Wanted;
use crate::catalog::{Catalog, Child, ChildState, NodeId, When};
use crate::clock::Wall;
use crate::error::Result;
use crate::model::{Entry, Shape, TreePath};
use crate::worker::Stop;
use std::collections::VecDeque;

/// Names asked for at once, of each catalog.
const PAGE: usize = 512;

/// What a vault has not in its newest state: lacks, has older, or has though it was deleted since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacks {
    /// All but folders.
    pub things: u64,
    /// The first of them, in the order of names.
    pub first: Option<TreePath>,
}

impl Lacks {
    fn one(&mut self, path: &TreePath) {
        self.things += 1;
        self.first.get_or_insert_with(|| path.clone());
    }
}

/// For each catalog, what it lacks of `wanted` beside the others.
pub fn compare(catalogs: &[Catalog], wanted: &Wanted, stop: &Stop) -> Result<Vec<Lacks>> {
    let with = Compare { catalogs, when: wanted.when, stop };
    let mut lacks = vec![Lacks::default(); catalogs.len()];
    let everything = [TreePath::root()];
    let paths = if wanted.paths.is_empty() { &everything[..] } else { &wanted.paths };
    for path in paths {
        with.top(path, &mut lacks)?;
    }
    Ok(lacks)
}

struct Compare<'a> {
    catalogs: &'a [Catalog],
    when: When,
    stop: &'a Stop,
}

/// Where one catalog stands in the tree.
#[derive(Clone, Copy, Debug)]
enum At {
    /// At a folder, or at a name it has no record of beneath which there may be something.
    Node(NodeId),
    /// There is nothing here; since when, where that was recorded.
    Nothing(Option<Wall>),
}

/// What one catalog says of one name.
enum Word {
    Nothing(Option<Wall>),
    /// A folder, or a name with no record of its own.
    Folder(NodeId),
    Thing {
        captured: Wall,
        entry: Box<Entry>,
    },
}

impl Word {
    fn spoken(&self) -> Option<Wall> {
        match self {
            Self::Nothing(since) => *since,
            Self::Folder(_) => None,
            Self::Thing { captured, .. } => Some(*captured),
        }
    }

    /// Where the catalog stands beneath the name.
    fn beneath(&self) -> At {
        match self {
            Self::Folder(node) => At::Node(*node),
            other => At::Nothing(other.spoken()),
        }
    }
}

/// A folder: where each catalog stands in it, and what it has read of it.
struct Frame {
    path: TreePath,
    sides: Vec<Side>,
}

/// One catalog's names in a folder, page by page.
struct Side {
    at: At,
    page: VecDeque<Child>,
    after: Vec<u8>,
    ended: bool,
}

impl Frame {
    fn new(path: TreePath, at: Vec<At>) -> Self {
        let side = |at| Side { at, page: VecDeque::new(), after: vec![], ended: matches!(at, At::Nothing(_)) };
        Self { path, sides: at.into_iter().map(side).collect() }
    }
}

impl Compare<'_> {
    /// `path` and all it holds.
    fn top(&self, path: &TreePath, lacks: &mut [Lacks]) -> Result<()> {
        let mut at = vec![At::Node(NodeId::TOP); self.catalogs.len()];
        let (mut above, mut words) = (TreePath::root(), Vec::new());
        for name in path.components() {
            words.clear();
            for (catalog, at) in self.catalogs.iter().zip(&at) {
                let child = match at {
                    At::Node(node) => catalog.child_at(*node, name, self.when)?,
                    At::Nothing(_) => None,
                };
                words.push(self.word(catalog, *at, child)?);
            }
            at = words.iter().map(Word::beneath).collect();
            let Some(next) = above.join(name) else { return Ok(()) };
            above = next;
        }
        judge(path, &words, lacks);
        self.beneath(Frame::new(path.clone(), at), lacks)
    }

    fn beneath(&self, top: Frame, lacks: &mut [Lacks]) -> Result<()> {
        let mut stack = vec![top];
        while let Some(frame) = stack.last_mut() {
            self.stop.check()?;
            let Some((name, words)) = self.next(frame)? else {
                stack.pop();
                continue;
            };
            let Some(path) = frame.path.join(&name) else { continue };
            judge(&path, &words, lacks);
            if words.iter().any(|word| matches!(word, Word::Folder(_))) {
                stack.push(Frame::new(path, words.iter().map(Word::beneath).collect()));
            }
        }
        Ok(())
    }

    /// The next name of a folder, with what each catalog says of it.
    fn next(&self, frame: &mut Frame) -> Result<Option<(Vec<u8>, Vec<Word>)>> {
        for (side, catalog) in frame.sides.iter_mut().zip(self.catalogs) {
            self.fill(side, catalog)?;
        }
        let Some(name) = frame.sides.iter().filter_map(|s| s.page.front()).map(|c| &c.name).min().cloned() else {
            return Ok(None);
        };
        let words = frame.sides.iter_mut().zip(self.catalogs).map(|(side, catalog)| {
            let child = if side.page.front().is_some_and(|c| c.name == name) { side.page.pop_front() } else { None };
            self.word(catalog, side.at, child)
        });
        let words = words.collect::<Result<_>>()?;
        Ok(Some((name, words)))
    }

    fn fill(&self, side: &mut Side, catalog: &Catalog) -> Result<()> {
        let At::Node(node) = side.at else { return Ok(()) };
        if !side.page.is_empty() || side.ended {
            return Ok(());
        }
        let page = catalog.children_at(node, &side.after, PAGE, self.when)?;
        side.ended = page.len() < PAGE;
        if let Some(last) = page.last() {
            side.after.clone_from(&last.name);
        }
        side.page = page.into();
        Ok(())
    }

    fn word(&self, catalog: &Catalog, above: At, child: Option<Child>) -> Result<Word> {
        let Some(child) = child else {
            return Ok(Word::Nothing(if let At::Nothing(since) = above { since } else { None }));
        };
        Ok(match child.state {
            ChildState::Present { entry, captured, .. } if entry.shape != Shape::Dir => Word::Thing { captured, entry },
            ChildState::Present { .. } | ChildState::Unrecorded => Word::Folder(child.node),
            ChildState::Absent => Word::Nothing(catalog.last_word(child.node, self.when)?),
        })
    }
}

/// Counts one name against those that have not its newest state. Folders count by what they hold.
fn judge(path: &TreePath, words: &[Word], lacks: &mut [Lacks]) {
    let Some(newest) = words.iter().filter(|w| w.spoken().is_some()).max_by_key(|w| w.spoken()) else { return };
    for (word, lacks) in words.iter().zip(lacks) {
        let has = match (word, newest) {
            (Word::Thing { entry, .. }, Word::Thing { entry: newest, .. }) => is_same(entry, newest),
            (Word::Thing { .. }, _) | (_, Word::Thing { .. }) => false,
            _ => true,
        };
        if !has {
            lacks.one(path);
        }
    }
}

/// But for which names are one file: the numbers that tell may change with each boot.
fn is_same(one: &Entry, other: &Entry) -> bool {
    let bare = |entry: &Entry| Entry { link: None, ..entry.clone() };
    one == other || (one.size == other.size && one.mtime == other.mtime && bare(one) == bare(other))
}
