//! Trees compared by names beneath their tops: what was restored elsewhere with what it was made from.

use super::tree::{Thing, Tree, look};
use panicroom::model::TreePath;
use std::collections::BTreeMap;
use std::path::Path;

/// A tree by names beneath its top; a file of several names is known by the first of them.
pub fn portable(top: &Path) -> BTreeMap<Vec<u8>, (Thing, Option<Vec<u8>>)> {
    let tree: Tree = look(top);
    let top = TreePath::from_typed(top).unwrap();
    let beneath = |path: &TreePath| path.beneath(&top).unwrap().to_vec();
    let mut first = BTreeMap::new();
    for (path, thing) in tree.iter().filter(|(_, t)| t.link.is_some()) {
        first.entry(thing.link).or_insert_with(|| beneath(path));
    }
    let name = |thing: &Thing| first.get(&thing.link).cloned();
    tree.iter().map(|(path, t)| (beneath(path), (Thing { link: None, ..t.clone() }, name(t)))).collect()
}

/// Everything about both trees is the same.
#[track_caller]
pub fn assert_same(found: &Path, wanted: &Path) {
    let (found, wanted) = (portable(found), portable(wanted));
    for path in found.keys().chain(wanted.keys()) {
        let name = String::from_utf8_lossy(path);
        assert_eq!(found.get(path), wanted.get(path), "{name}");
    }
}
