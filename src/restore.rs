//! From "restore this" to files on a disk: a plan, then a fetch, both over a durable job.
//!
//! [`plan`](plan::plan) walks the catalog and writes the job: which chunks of which packs go where. It reads no
//! contents, thaws nothing and places nothing. [`fetch`](fetch::fetch) works the job off pack by pack, each block read
//! once and every chunk proved by its id; then hard links, other things, and folders, the deepest first. Where packs are
//! frozen, [`thaw`] asks for them, and hands the fetch what can be read.
//!
//! Dying in the plan leaves a job that says it is not planned: plan again. Dying in the fetch loses at most the
//! batch on its way; fetching with the same job goes on from the last one (promise 11).

mod cut;
pub mod drill;
pub mod fetch;
mod finish;
mod late;
mod layout;
pub mod list;
pub mod newest;
pub mod plan;
mod progress;
mod second;
mod settle;
pub mod thaw;
mod unit;
mod walk;

pub use fetch::{BATCH_BYTES, Fetching, Report, Shortfalls, fetch};
pub use late::waits_for_a_word;
pub use plan::{Cost, Plan, Planning, SpeedPlan, plan, preview};
pub use progress::{Phase, Progress, Seen, Wait};

use crate::catalog::{Catalog, When};
use crate::error::{Error, Result};
use crate::model::TreePath;
use crate::place::Clobber;
use crate::worker::Stop;

/// What to restore.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Files and folders with all they hold; none for everything there is.
    pub paths: Vec<TreePath>,
    pub when: When,
    pub layout: Layout,
    pub clobber: Clobber,
}

/// Where beneath the target a path goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `/abs/path` to `TARGET/abs/path`.
    Whole,
    /// Each wanted path loses its parent: `/abs/path` to `TARGET/path`.
    Strip,
}

impl Wanted {
    /// Whether a vault has all of it, as its catalog says.
    pub fn is_in(&self, catalog: &Catalog) -> Result<bool> {
        let stop = Stop::new();
        let walk = walk::Walk { catalog, when: self.when, stop: &stop };
        self.paths.iter().try_fold(true, |all, path| Ok(all && walk.has(path)?))
    }

    /// The wanted paths in the order given and where each goes; none within another unless stripping tells them apart.
    fn tops(&self) -> Result<Vec<(TreePath, TreePath)>> {
        let mut paths: Vec<TreePath> = Vec::new();
        for path in &self.paths {
            if !paths.contains(path) {
                paths.push(path.clone());
            }
        }
        if paths.is_empty() {
            paths.push(TreePath::root());
        }
        if self.layout == Layout::Whole {
            let is_within_another = |path: &TreePath| paths.iter().any(|p| p != path && path.is_within(p));
            return Ok(paths.iter().filter(|p| !is_within_another(p)).map(|p| (p.clone(), p.clone())).collect());
        }
        let mut tops: Vec<(TreePath, TreePath)> = Vec::new();
        for path in paths {
            let bare = match path.name() {
                Some(name) => TreePath::root().join(name).unwrap_or_else(TreePath::root),
                None => TreePath::root(),
            };
            if let Some((other, _)) = tops.iter().find(|(_, to)| *to == bare || to.is_root() || bare.is_root()) {
                return Err(Error::operator(format!("restore {path}: stripped of its parent it meets {other}"))
                    .remedy("restore them one after the other to two folders, or without --strip"));
            }
            tops.push((path, bare));
        }
        Ok(tops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(s: &str) -> TreePath {
        TreePath::from_bytes(s).unwrap()
    }

    fn tops(paths: &[&str], layout: Layout) -> Result<Vec<(TreePath, TreePath)>> {
        let paths = paths.iter().map(|s| p(s)).collect();
        Wanted { paths, when: When::Now, layout, clobber: Clobber::Keep }.tops()
    }

    #[test]
    fn a_path_within_another_is_wanted_once() {
        let found = tops(&["/a/b", "/c", "/a", "/a/b/d", "/ab"], Layout::Whole).unwrap();
        assert_eq!(found, [(p("/c"), p("/c")), (p("/a"), p("/a")), (p("/ab"), p("/ab"))]);
        assert_eq!(tops(&[], Layout::Strip).unwrap(), [(p("/"), p("/"))]);
    }

    #[test]
    fn stripped_paths_that_would_meet_are_refused() {
        assert_eq!(tops(&["/a/x", "/b/y"], Layout::Strip).unwrap(), [(p("/a/x"), p("/x")), (p("/b/y"), p("/y"))]);
        assert!(tops(&["/a/x", "/b/x"], Layout::Strip).unwrap_err().to_string().contains("/a/x"));
    }
}
