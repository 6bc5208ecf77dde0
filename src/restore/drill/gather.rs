//! What there is to drill, as a catalog has it, put before the chooser. Two looks at every file, one after the other, in
//! constant memory: the first finds what is due, the second what else lies in the packs that are read anyway.

use super::choose::{Bounds, Candidate, Choice, Chooser, Needs, mix};
use crate::catalog::{Catalog, DrillFile, DrillPack, When};
use crate::clock::Wall;
use crate::error::Result;
use crate::model::{Proof, Seq, TreePath};
use crate::place::Clobber;
use crate::restore::{Layout, Wanted};
use crate::worker::Stop;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Packs looked up and kept for the next file.
const KEPT: usize = 4096;

/// What is chosen with.
pub struct Gathering<'a> {
    pub catalog: &'a Catalog,
    pub proof: Proof,
    pub bounds: Bounds,
    pub now: Wall,
    /// Of the dice.
    pub seed: u64,
    /// Whether so many packs of so many bytes may be read for the money there is.
    pub affordable: &'a dyn Fn(u64, u64) -> bool,
    pub stop: &'a Stop,
}

/// What a drill tries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// None where only sealed bytes are read.
    pub files: Vec<(TreePath, Seq, u64)>,
    pub packs: Vec<DrillPack>,
    pub pack_bytes: u64,
    /// Files, or packs, that need more than one such drill may take.
    pub too_large: u64,
}

impl Gathering<'_> {
    pub fn choose(&self) -> Result<Chosen> {
        match self.proof {
            Proof::Sealed => self.packs(),
            Proof::Contents => self.files(),
        }
    }

    fn chooser(&self) -> Chooser<'_> {
        Chooser::new(self.bounds, self.now, self.seed, self.affordable)
    }

    fn needs(&self, pack: &DrillPack) -> Needs {
        let drilled = match self.proof {
            Proof::Sealed => pack.drilled.sealed,
            Proof::Contents => pack.drilled.contents,
        };
        Needs { pack: pack.id, size: pack.size, drilled }
    }

    fn packs(&self) -> Result<Chosen> {
        let mut chooser = self.chooser();
        self.catalog.packs_to_drill(&mut |pack| {
            self.stop.check()?;
            let needs = vec![self.needs(&pack)];
            chooser.meet(&Candidate { id: pack.id, root: 0, size: pack.size, captured: Wall(0), needs });
            Ok(())
        })?;
        self.chosen(chooser.pick(), vec![])
    }

    fn chosen(&self, choice: Choice, files: Vec<(TreePath, Seq, u64)>) -> Result<Chosen> {
        let mut packs = Vec::with_capacity(choice.packs.len());
        for id in &choice.packs {
            packs.extend(self.catalog.pack_to_drill(*id)?);
        }
        Ok(Chosen { files, packs, pack_bytes: choice.pack_bytes, too_large: choice.too_large })
    }

    fn files(&self) -> Result<Chosen> {
        let (mut chooser, mut known) = (self.chooser(), HashMap::new());
        let mut unfit = 0;
        self.catalog.files_to_drill(&mut |file| {
            self.stop.check()?;
            if file.packs.len() > self.bounds.packs {
                unfit += 1;
            } else if let Some(candidate) = self.candidate(&file, &mut known)? {
                chooser.meet(&candidate);
            }
            Ok(())
        })?;
        let mut choice = chooser.pick();
        choice.too_large += unfit;
        let picked = self.with_neighbours(&mut choice)?;
        let mut files = Vec::with_capacity(picked.len());
        for file in picked {
            let path = self.catalog.path_of(file.node)?;
            // A folder above it may have gone, and the deletion of the file itself not be noted yet.
            let wanted =
                Wanted { paths: vec![path.clone()], when: When::Now, layout: Layout::Whole, clobber: Clobber::Keep };
            if wanted.is_in(self.catalog)? {
                files.push((path, file.seq, file.size));
            }
        }
        self.chosen(choice, files)
    }

    /// None: a pack it needs is not stored, which is known already.
    fn candidate(&self, file: &DrillFile, known: &mut HashMap<i64, Option<Needs>>) -> Result<Option<Candidate>> {
        let mut needs = Vec::with_capacity(file.packs.len());
        for id in &file.packs {
            let found = if let Some(found) = known.get(id) {
                *found
            } else {
                let found = self.catalog.pack_to_drill(*id)?.map(|pack| self.needs(&pack));
                if known.len() >= KEPT {
                    known.clear();
                }
                known.insert(*id, found);
                found
            };
            let Some(found) = found else { return Ok(None) };
            needs.push(found);
        }
        let (id, root) = (file.node.0, file.root.0);
        Ok(Some(Candidate { id, root, size: file.size, captured: file.captured, needs }))
    }

    /// The files that were picked, and as many as there is room for of those that need no other packs: to read a pack
    /// costs the same however much of it is proved.
    fn with_neighbours(&self, choice: &mut Choice) -> Result<Vec<DrillFile>> {
        let picked: HashSet<i64> = choice.ids.iter().copied().collect();
        let room = self.bounds.files.saturating_sub(picked.len());
        let (mut files, mut more) = (Vec::with_capacity(picked.len()), BTreeMap::new());
        if picked.is_empty() {
            return Ok(files);
        }
        self.catalog.files_to_drill(&mut |file| {
            self.stop.check()?;
            if picked.contains(&file.node.0) {
                files.push(file);
            } else if room > 0 && file.packs.iter().all(|pack| choice.packs.contains(pack)) {
                more.insert((mix(self.seed, file.node.0), file.node.0), file);
                if more.len() > room {
                    more.pop_last();
                }
            }
            Ok(())
        })?;
        for file in more.into_values() {
            if choice.bytes.saturating_add(file.size) <= self.bounds.bytes {
                choice.bytes += file.size;
                files.push(file);
            }
        }
        Ok(files)
    }
}
