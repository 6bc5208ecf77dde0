//! What a vault holds at a time, told path by path: for people who look before they restore.

use super::walk::{Found, Visit, Walk};
use crate::catalog::{Catalog, When};
use crate::error::Result;
use crate::model::{Entry, Shape, TreePath};
use crate::worker::Stop;

/// How far beneath the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The path, and what lies right in it.
    Folder,
    /// Everything beneath.
    Tree,
}

/// Hands over the path and what is beneath it, each folder before what it holds; an entry is None for a folder nobody
/// recorded. False when there is nothing at that path.
pub fn list(
    catalog: &Catalog,
    when: When,
    path: &TreePath,
    reach: Reach,
    stop: &Stop,
    each: &mut dyn FnMut(&TreePath, Option<&Entry>) -> Result<()>,
) -> Result<bool> {
    let mut lister = Lister { top: path, reach, each };
    Ok(Walk { catalog, when, stop }.top(path, path, &mut lister)? != Found::Nothing)
}

struct Lister<'a> {
    top: &'a TreePath,
    reach: Reach,
    each: &'a mut dyn FnMut(&TreePath, Option<&Entry>) -> Result<()>,
}

impl Lister<'_> {
    fn tell(&mut self, path: &TreePath, entry: Option<&Entry>) -> Result<()> {
        let near = path == self.top || path.parent().as_ref() == Some(self.top);
        if self.reach == Reach::Tree || near { (self.each)(path, entry) } else { Ok(()) }
    }
}

impl Visit for Lister<'_> {
    fn folder(&mut self, path: &TreePath, entry: Option<&Entry>) -> Result<()> {
        self.tell(path, entry)
    }
    fn above(&mut self, _: &TreePath, _: Option<&Entry>) -> Result<()> {
        Ok(())
    }
    fn leaf(&mut self, path: TreePath, entry: Box<Entry>, _: Vec<u8>) -> Result<()> {
        debug_assert!(entry.shape != Shape::Dir);
        self.tell(&path, Some(&entry))
    }
}
