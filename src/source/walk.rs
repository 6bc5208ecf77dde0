//! One folder's step of a walk: its children in batches, each batch in inode order (the order of the disk on
//! most file systems), each child looked at, each crossing to another file system judged. Which folder comes
//! next, and on which thread, is for the flow above. A million names in one folder take the memory of one batch.

use super::folder::{Folder, Listing, Name};
use super::look::Look;
use super::mounts::{Crossing, Ground};
use crate::error::{Error, Result};

/// Names looked at together. More would read large folders a little faster, and hold more.
pub const BATCH: usize = 4096;

/// A name of the folder and what a glance at it showed.
#[derive(Debug)]
pub struct Child {
    pub name: Box<[u8]>,
    pub sight: Sight,
}

#[derive(Debug)]
pub enum Sight {
    Seen {
        look: Look,
        ground: Ground,
    },
    /// It is there but cannot be looked at; about this path alone.
    Failed(Error),
}

/// The children of one folder.
#[derive(Debug)]
pub struct Children<'a> {
    folder: &'a Folder,
    crossing: &'a Crossing,
    listing: Listing<'a>,
    names: Vec<Name>,
}

impl<'a> Children<'a> {
    pub fn of(folder: &'a Folder, crossing: &'a Crossing) -> Result<Self> {
        Ok(Self { folder, crossing, listing: folder.list()?, names: Vec::new() })
    }

    /// Replaces `into` by the next children, about [`BATCH`] of them, in inode order; names gone between list and
    /// look are left out. False when that was the last batch. An error is about the folder.
    pub fn next_batch(&mut self, into: &mut Vec<Child>) -> Result<bool> {
        into.clear();
        self.names.clear();
        let more = self.listing.next_batch(BATCH, &mut self.names)?;
        self.names.sort_unstable_by_key(|name| name.ino);
        for Name { name, .. } in self.names.drain(..) {
            let seen = self.folder.look(&name).and_then(|look| {
                let Some(look) = look else { return Ok(None) };
                Ok(Some(Sight::Seen { look, ground: self.crossing.judge(self.folder, &name, &look)? }))
            });
            match seen {
                Ok(None) => {}
                Ok(Some(sight)) => into.push(Child { name, sight }),
                Err(e) => into.push(Child { name, sight: Sight::Failed(e) }),
            }
        }
        Ok(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TreePath;
    use crate::source::{Form, Root};
    use std::collections::BTreeSet;

    fn root(at: &std::path::Path) -> Root {
        Root::open(&TreePath::from_typed(at).unwrap()).unwrap()
    }

    #[test]
    fn every_child_is_told_once_in_bounded_batches_by_inode() {
        let tmp = tempfile::tempdir().unwrap();
        let all: BTreeSet<Vec<u8>> = (0..15_000).map(|n| format!("some-name-{n:05}").into_bytes()).collect();
        for name in &all {
            std::fs::write(tmp.path().join(std::str::from_utf8(name).unwrap()), "").unwrap();
        }
        let (root, crossing) = (root(tmp.path()), Crossing::default());
        // Twice over the same handle: a listing begins at the first name.
        for _ in 0..2 {
            let mut children = Children::of(root.top(), &crossing).unwrap();
            let (mut batch, mut told, mut batches) = (Vec::new(), BTreeSet::new(), 0);
            loop {
                let more = children.next_batch(&mut batch).unwrap();
                assert!(batch.len() < 2 * BATCH, "{}", batch.len());
                let mut last = 0;
                for child in &batch {
                    let Sight::Seen { look, ground } = &child.sight else { panic!("{child:?}") };
                    assert_eq!((look.form, ground), (Form::File, &Ground::Same));
                    assert!(look.stamp.ino > last);
                    last = look.stamp.ino;
                    assert!(told.insert(child.name.to_vec()), "told twice");
                }
                batches += 1;
                if !more {
                    break;
                }
            }
            assert!(batches > 2);
            assert_eq!(told, all);
        }
    }

    #[test]
    fn what_the_kernel_makes_up_is_refused_beneath_a_root() {
        let root = root(std::path::Path::new("/"));
        let crossing = Crossing::listing(["/proc".to_string()]);
        let look = root.top().look(b"proc").unwrap().unwrap();
        let ground = crossing.judge(root.top(), b"proc", &look).unwrap();
        assert!(matches!(&ground, Ground::Refused { file_system, .. } if file_system == "proc"), "{ground:?}");
    }
}
