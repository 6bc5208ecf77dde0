//! What was heard and not yet taken: a bounded set of paths, none covered by another. When there are too many,
//! the fullest folders stand for what they hold, as trees; a root that would stand for all it holds is lost.
//!
//! A walk of one root leaves out another that lies in it, so nothing of a root stands for anything of another; a tree that
//! came or moved has brought the roots that lie in it along, and these are owed a walk of their own.

use super::{Depth, Hint, Lost, Taken};
use crate::model::TreePath;
use std::collections::{BTreeMap, HashMap};

#[derive(Debug)]
pub(super) struct Pending {
    roots: Vec<TreePath>,
    most: usize,
    hints: BTreeMap<TreePath, Depth>,
    trees: usize,
    lost: BTreeMap<TreePath, String>,
    must_reconnect: bool,
}

impl Pending {
    /// At most `most` hints (at least 1) are kept.
    pub(super) fn new(roots: Vec<TreePath>, most: usize) -> Self {
        Self { roots, most, hints: BTreeMap::new(), trees: 0, lost: BTreeMap::new(), must_reconnect: false }
    }

    pub(super) fn is_root(&self, path: &TreePath) -> bool {
        self.roots.contains(path)
    }

    /// Everything, and whether watching must begin anew.
    pub(super) fn take(&mut self) -> (Taken, bool) {
        let lost = std::mem::take(&mut self.lost).into_iter().map(|(root, why)| Lost { root, why }).collect();
        let hints = std::mem::take(&mut self.hints).into_iter().map(|(path, depth)| Hint { path, depth }).collect();
        self.trees = 0;
        (Taken { lost, hints }, std::mem::take(&mut self.must_reconnect))
    }

    /// Remembers a hint; false when that is nothing new.
    pub(super) fn note(&mut self, path: TreePath, depth: Depth) -> bool {
        let Some(root) = self.root_of(&path) else { return false };
        if self.lost.contains_key(root) || self.hints.get(&path).is_some_and(|known| *known >= depth) {
            return false;
        }
        if self.is_beneath_a_tree(&path) {
            return false;
        }
        if depth == Depth::Tree {
            let within: Vec<TreePath> =
                self.roots.iter().filter(|root| **root != path && root.is_within(&path)).cloned().collect();
            for root in within {
                self.lose_root(root, "a folder it lies in came or was moved");
            }
        }
        self.insert(path, depth);
        if self.hints.len() > self.most {
            self.coarsen();
        }
        true
    }

    /// All roots a path lies in, or that lie beneath it, are owed a walk.
    pub(super) fn lose(&mut self, path: &TreePath, why: &str) -> bool {
        let concerned = |root: &&TreePath| path.is_within(root) || root.is_within(path);
        let roots: Vec<TreePath> = self.roots.iter().filter(concerned).cloned().collect();
        roots.into_iter().fold(false, |new, root| self.lose_root(root, why) | new)
    }

    /// Every root is owed a walk, and nothing the kernel still holds for us counts.
    pub(super) fn lose_all(&mut self, why: &str) -> bool {
        self.must_reconnect = true;
        let roots = self.roots.clone();
        roots.into_iter().fold(false, |new, root| self.lose_root(root, why) | new)
    }

    fn lose_root(&mut self, root: TreePath, why: &str) -> bool {
        if self.lost.contains_key(&root) {
            return false;
        }
        let gone: Vec<TreePath> =
            self.beneath(&root).filter(|path| self.root_of(path) == Some(&root)).cloned().collect();
        for path in gone {
            self.remove(&path);
        }
        self.lost.insert(root, why.to_string());
        true
    }

    /// The longest root a path lies in.
    fn root_of(&self, path: &TreePath) -> Option<&TreePath> {
        self.roots.iter().filter(|root| path.is_within(root)).max_by_key(|root| root.as_bytes().len())
    }

    fn is_beneath_a_tree(&self, path: &TreePath) -> bool {
        if self.trees == 0 {
            return false;
        }
        let root = self.root_of(path);
        let mut above = std::iter::successors(path.parent(), TreePath::parent);
        above.any(|above| self.hints.get(&above) == Some(&Depth::Tree) && self.root_of(&above) == root)
    }

    /// Pending paths at and beneath one; they follow it in path order.
    fn beneath<'a>(&'a self, path: &'a TreePath) -> impl Iterator<Item = &'a TreePath> {
        self.hints.range(path.clone()..).map(|(pending, _)| pending).take_while(move |pending| pending.is_within(path))
    }

    fn insert(&mut self, path: TreePath, depth: Depth) {
        if depth == Depth::Tree {
            let root = self.root_of(&path);
            let covered: Vec<TreePath> =
                self.beneath(&path).filter(|pending| self.root_of(pending) == root).cloned().collect();
            for path in covered {
                self.remove(&path);
            }
            self.trees += 1;
        }
        self.hints.insert(path, depth);
    }

    fn remove(&mut self, path: &TreePath) {
        if self.hints.remove(path) == Some(Depth::Tree) {
            self.trees -= 1;
        }
    }

    /// Halves what is pending: the folders that hold most of it take its place.
    fn coarsen(&mut self) {
        while self.hints.len() > self.most / 2 {
            let mut folders: HashMap<TreePath, usize> = HashMap::new();
            for path in self.hints.keys() {
                let folder = if self.is_root(path) { None } else { path.parent() };
                *folders.entry(folder.unwrap_or_else(|| path.clone())).or_default() += 1;
            }
            let mut fullest: Vec<(usize, TreePath)> = folders.into_iter().map(|(path, held)| (held, path)).collect();
            fullest.sort_unstable_by(|a, b| b.cmp(a));
            for (_, folder) in fullest {
                if self.hints.len() <= self.most / 2 {
                    return;
                }
                if self.is_root(&folder) {
                    self.lose_root(folder, "more changes than are kept");
                } else if !self.is_beneath_a_tree(&folder) {
                    self.insert(folder, Depth::Tree);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn p(path: &str) -> TreePath {
        TreePath::from_bytes(path).unwrap()
    }

    /// What is heard of one root says nothing of another that lies in it.
    fn covers(taken: &Taken, path: &TreePath, depth: Depth) -> bool {
        let root = |path: &TreePath| {
            let roots = ["/r/nested", "/r", "/s"].map(p);
            roots.into_iter().find(|root| path.is_within(root))
        };
        taken.lost.iter().any(|lost| root(path).as_ref() == Some(&lost.root))
            || taken.hints.iter().any(|hint| match hint.depth {
                Depth::Tree => path.is_within(&hint.path) && root(path) == root(&hint.path),
                Depth::Only => depth == Depth::Only && hint.path == *path,
            })
    }

    proptest! {
        #[test]
        fn whatever_was_noted_is_covered_and_never_more_is_kept_than_agreed(
            noted in prop::collection::vec(("(/r|/r/nested|/s)(/[abc]){0,5}", any::<bool>()), 0..200),
            most in 1usize..20,
        ) {
            let mut pending = Pending::new(vec![p("/r"), p("/r/nested"), p("/s")], most);
            let noted: Vec<(TreePath, Depth)> =
                noted.iter().map(|(path, tree)| (p(path), if *tree { Depth::Tree } else { Depth::Only })).collect();
            for (path, depth) in &noted {
                pending.note(path.clone(), *depth);
                prop_assert!(pending.hints.len() <= most);
                prop_assert_eq!(pending.trees, pending.hints.values().filter(|d| **d == Depth::Tree).count());
            }
            let (taken, _) = pending.take();
            for (path, depth) in &noted {
                prop_assert!(covers(&taken, path, *depth), "{} {:?} in {:?}", path, depth, taken);
            }
            for (at, one) in taken.hints.iter().enumerate() {
                let others = taken.hints.iter().enumerate().filter(|(other, _)| *other != at);
                let is_covered = |h: &Hint| {
                    let alone = Taken { lost: vec![], hints: vec![h.clone()] };
                    h.depth == Depth::Tree && covers(&alone, &one.path, one.depth)
                };
                prop_assert!(!others.into_iter().any(|(_, h)| is_covered(h)));
            }
            prop_assert!(pending.take().0 == Taken::default());
        }
    }

    #[test]
    fn a_busy_folder_does_not_coarsen_a_quiet_one() {
        let mut pending = Pending::new(vec![p("/r")], 100);
        pending.note(p("/r/quiet/file"), Depth::Only);
        for n in 0..1000 {
            pending.note(p(&format!("/r/busy/{n}")), Depth::Only);
        }
        let (taken, _) = pending.take();
        let expected = [("/r/busy", Depth::Tree), ("/r/quiet/file", Depth::Only)];
        assert_eq!(taken.hints, expected.map(|(path, depth)| Hint { path: p(path), depth }));
        assert_eq!(taken.lost, []);
    }

    #[test]
    fn a_failure_at_a_path_loses_the_roots_around_and_beneath_it_alone() {
        let mut pending = Pending::new(vec![p("/a"), p("/a/b"), p("/c")], 10);
        pending.note(p("/c/kept"), Depth::Only);
        pending.note(p("/a/dropped"), Depth::Only);
        assert!(pending.lose(&p("/a"), "why"));
        assert!(!pending.lose(&p("/a/x"), "why"), "told once");
        assert!(!pending.note(p("/a/later"), Depth::Tree), "a lost root is walked anyway");
        assert!(!pending.note(p("/elsewhere"), Depth::Tree));
        let (taken, must_reconnect) = pending.take();
        assert_eq!(taken.lost.iter().map(|l| l.root.clone()).collect::<Vec<_>>(), [p("/a"), p("/a/b")]);
        assert_eq!(taken.hints.len(), 1);
        assert!(!must_reconnect);
        assert!(pending.lose_all("overflow") && pending.take().1);
    }
}
