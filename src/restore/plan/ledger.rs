//! What a plan is written into: the job that will do it, with a row for each thing that is to be placed, or, where only the
//! plan is asked for, nothing but which chunks of which packs are needed. That is a bit for each chunk of the vault at most:
//! five million files are summed up in a few megabytes and without a write.

use crate::catalog::jobs::{JobFile, NewItem, NewPack, Run, ThawState};
use crate::clock::Wall;
use crate::error::Result;
use crate::model::{HardLink, Sha256, TreePath};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// A pack and what a look at the vault told of it.
pub(in crate::restore) type Seen = (i64, ThawState, Option<Wall>);

pub(in crate::restore) trait Ledger {
    fn add(&self, items: &[NewItem]) -> Result<()>;
    fn add_failures(&self, failed: &[(TreePath, String)]) -> Result<()>;
    /// The path under which the file (link, content) comes first; None where it is `path`.
    fn first_name(&self, link: HardLink, content: Sha256, path: &TreePath) -> Result<Option<TreePath>>;
    /// The first pack from an id on of which something is needed.
    fn pack_from(&self, from: i64) -> Result<Option<i64>>;
    /// The needed runs of a pack, (first chunk, count), in order of the first chunk; they may overlap.
    fn runs_of(&self, pack: i64, each: &mut dyn FnMut(u32, u32)) -> Result<()>;
    /// The item that wants the pack first, where anybody will ask.
    fn first_file_of(&self, pack: i64) -> Result<Option<i64>>;
    fn add_packs(&self, packs: &[NewPack]) -> Result<()>;
    /// The needed pack of this hash.
    fn pack_of_hash(&self, hash: Sha256) -> Result<Option<i64>>;
    fn thaw_seen(&self, seen: &[Seen]) -> Result<()>;
    /// How many packs a listing of all of them names.
    fn listed(&self, packs: u64) -> Result<()>;
}

impl Ledger for JobFile {
    fn add(&self, items: &[NewItem]) -> Result<()> {
        self.add(items)
    }
    fn add_failures(&self, failed: &[(TreePath, String)]) -> Result<()> {
        self.add_failures(failed)
    }
    fn first_name(&self, link: HardLink, content: Sha256, path: &TreePath) -> Result<Option<TreePath>> {
        self.first_name(link, content, path)
    }
    fn pack_from(&self, from: i64) -> Result<Option<i64>> {
        self.pack_from(0, from)
    }
    fn runs_of(&self, pack: i64, each: &mut dyn FnMut(u32, u32)) -> Result<()> {
        self.runs_of(pack, each)
    }
    fn first_file_of(&self, pack: i64) -> Result<Option<i64>> {
        self.first_file_of(pack)
    }
    fn add_packs(&self, packs: &[NewPack]) -> Result<()> {
        self.add_packs(packs)
    }
    fn pack_of_hash(&self, hash: Sha256) -> Result<Option<i64>> {
        self.pack_of_hash(hash)
    }
    fn thaw_seen(&self, seen: &[Seen]) -> Result<()> {
        self.thaw_seen(seen)
    }
    fn listed(&self, packs: u64) -> Result<()> {
        self.set_fact("listed", packs.cast_signed())
    }
}

/// Sums up, and is gone when the plan is made.
pub(super) struct Sum<'a> {
    /// Holds the first names of hard links: there may be millions.
    scratch: &'a JobFile,
    needed: RefCell<BTreeMap<i64, Chunks>>,
    packs: RefCell<HashMap<Sha256, i64>>,
}

/// Needed chunks of a pack, a bit each.
type Chunks = Vec<u64>;

impl<'a> Sum<'a> {
    pub fn new(scratch: &'a JobFile) -> Self {
        Self { scratch, needed: RefCell::default(), packs: RefCell::default() }
    }
}

fn mark(chunks: &mut Chunks, first: u32, count: u32) {
    let (first, end) = (first as usize, first as usize + count as usize);
    if chunks.len() * 64 < end {
        chunks.resize(end.div_ceil(64), 0);
    }
    (first..end).for_each(|at| chunks[at / 64] |= 1 << (at % 64));
}

impl Ledger for Sum<'_> {
    fn add(&self, items: &[NewItem]) -> Result<()> {
        let mut needed = self.needed.borrow_mut();
        for item in items {
            match item {
                NewItem::Small { pack, chunk, .. } => mark(needed.entry(*pack).or_default(), *chunk, 1),
                NewItem::File { runs, .. } => {
                    for Run { pack, first, count, .. } in runs {
                        mark(needed.entry(*pack).or_default(), *first, *count);
                    }
                }
                NewItem::Link { .. } | NewItem::Other { .. } | NewItem::Folder { .. } => {}
            }
        }
        Ok(())
    }
    fn add_failures(&self, _: &[(TreePath, String)]) -> Result<()> {
        Ok(())
    }
    fn first_name(&self, link: HardLink, content: Sha256, path: &TreePath) -> Result<Option<TreePath>> {
        self.scratch.first_name(link, content, path)
    }
    fn pack_from(&self, from: i64) -> Result<Option<i64>> {
        Ok(self.needed.borrow().range(from..).next().map(|(pack, _)| *pack))
    }
    fn runs_of(&self, pack: i64, each: &mut dyn FnMut(u32, u32)) -> Result<()> {
        if let Some(chunks) = self.needed.borrow().get(&pack) {
            let all =
                (0u32..).zip(chunks).flat_map(|(word, bits)| (0..64).map(move |bit| (word * 64 + bit, bits >> bit)));
            all.filter(|(_, bits)| bits & 1 == 1).for_each(|(chunk, _)| each(chunk, 1));
        }
        Ok(())
    }
    fn first_file_of(&self, _: i64) -> Result<Option<i64>> {
        Ok(None)
    }
    fn add_packs(&self, packs: &[NewPack]) -> Result<()> {
        self.packs.borrow_mut().extend(packs.iter().map(|new| (new.pack.hash, new.pack.id)));
        Ok(())
    }
    fn pack_of_hash(&self, hash: Sha256) -> Result<Option<i64>> {
        Ok(self.packs.borrow().get(&hash).copied())
    }
    fn thaw_seen(&self, _: &[Seen]) -> Result<()> {
        Ok(())
    }
    fn listed(&self, _: u64) -> Result<()> {
        Ok(())
    }
}
