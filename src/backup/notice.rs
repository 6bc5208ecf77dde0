//! Hints to dirty rows. A path is looked at once it rested for its root's quiet period, or never rested for the
//! maximum; a tree is walked at once, because its folders must be watched.
//!
//! Hints that were lost make a root dirty as a whole, written down before anything else happens. Dying before a row
//! is written loses only the hint: every start walks every root.

use super::Engine;
use super::roots::Watched;
use crate::catalog::{Level, Mark, PathMark, Scope};
use crate::error::Result;
use crate::filter::{FileOrDir, Verdict};
use crate::model::TreePath;
use crate::source::watch::{Depth, Hint, Lost, Taken};
use std::time::Duration;

pub(super) fn ms(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

impl Engine {
    /// Steady milliseconds at which a path of this root may be looked at, and must be.
    pub(super) fn waits(&self, root: &Watched) -> (i64, i64) {
        let now = self.now_ms();
        if self.is_hurried() {
            (0, 0)
        } else {
            (now.saturating_add(ms(root.quiet)), now.saturating_add(ms(root.quiet_max)))
        }
    }

    /// Writes down everything the watcher heard.
    pub fn notice(&self, taken: &Taken) -> Result<()> {
        for lost in &taken.lost {
            self.notice_lost(lost)?;
        }
        let mut marks = Vec::new();
        for hint in &taken.hints {
            self.marks_of(hint, &mut marks);
        }
        self.faults.at("notice.mark")?;
        self.catalog.mark_paths(&marks, self.clock.wall())?;
        if marks.iter().any(|m| m.scope == Scope::Tree) || !taken.lost.is_empty() {
            self.bells.walk.ring();
        }
        if !marks.is_empty() {
            self.bells.capture.ring();
        }
        Ok(())
    }

    fn notice_lost(&self, lost: &Lost) -> Result<()> {
        let Some(root) = self.roots.iter().find(|r| r.path == lost.root) else { return Ok(()) };
        self.mark_root(root)?;
        self.tell(Level::Note, &format!("{}: events were lost ({}); walking it", lost.root, lost.why));
        Ok(())
    }

    /// The whole root is owed a walk: durable when this returns.
    pub fn mark_root(&self, root: &Watched) -> Result<()> {
        self.faults.at("root.ensure")?;
        let node = self.catalog.ensure(&root.path, root.id)?;
        let mark = Mark::at_once(node, root.id, Scope::Tree, self.catalog.new_notice(), self.clock.wall());
        self.faults.at("root.mark")?;
        self.catalog.mark(&[mark])
    }

    /// The path itself, and the folder it lies in (its times change with every name that comes or goes).
    fn marks_of(&self, hint: &Hint, marks: &mut Vec<PathMark>) {
        let Some(root) = self.root_of(&hint.path) else { return };
        if root.filter.explain(&hint.path, FileOrDir::Dir).verdict == Verdict::Exclude
            && root.filter.explain(&hint.path, FileOrDir::File).verdict == Verdict::Exclude
        {
            return;
        }
        let scope = if hint.depth == Depth::Tree { Scope::Tree } else { Scope::Path };
        marks.push(self.mark_for(root, hint.path.clone(), scope));
        if let Some(parent) = hint.path.parent().filter(|p| p.is_within(&root.path)) {
            // What it holds may be chosen now, or not any more.
            let scope =
                if hint.path.name().is_some_and(|name| root.is_marker(name)) { Scope::Tree } else { Scope::Path };
            marks.push(self.mark_for(root, parent, scope));
        }
    }

    fn mark_for(&self, root: &Watched, path: TreePath, scope: Scope) -> PathMark {
        let (due, deadline) = if scope == Scope::Tree { (0, 0) } else { self.waits(root) };
        // Whether it is a folder is not known yet: as one, every rule that may name it does.
        let priority = root.order.of(&path, FileOrDir::Dir);
        PathMark { path, root: root.id, scope, priority, due, deadline }
    }
}
