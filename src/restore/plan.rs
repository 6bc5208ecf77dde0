//! What a restore will do, and the durable job that does it. Reads the catalog and looks at the target; of the vault
//! it reads at most a pack the log lost the record of.
//!
//! A file that stands at the target with the size and time of the wanted version counts as restored, unless
//! overwriting: then everything is fetched, since equal stamps prove nothing to someone who doubts what is there.

mod bill;
mod frozen;
mod ledger;

pub(super) use frozen::{FEW, Look};

pub use bill::{Cost, Plan, SpeedPlan};

use super::Wanted;
use super::layout::{Layouts, Records};
use super::progress::{Phase, Progress};
use super::walk::{Found, Visit, Walk};
use crate::catalog::jobs::{JobFile, JobPack, NewItem, NewPack, NewThaw};
use crate::catalog::{Catalog, CatalogPiece, pieces_of};
use crate::clock::Wall;
use crate::error::{Error, Kind, Result};
use crate::format::Name;
use crate::format::pack::PackRecord;
use crate::model::{Entry, FileTime, HardLink, Shape, Size, Tier, TreePath};
use crate::place::{Clobber, Standing, Target};
use crate::seal::keys::SealKeys;
use crate::seal::sha256;
use crate::store::ObjectStore;
use crate::worker::{Faults, Stop};
use ledger::{Ledger, Sum};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Items written to the job at once.
const AT_ONCE: usize = 1000;
/// Packs written to the job at once, each with its record of a few kilobytes.
const PACKS_AT_ONCE: usize = 256;
/// Bytes that order packs wanted for the same path.
const WANTED_BYTES: u32 = 40;

/// What a plan is made with.
pub struct Planning<'a> {
    pub catalog: &'a Catalog,
    pub store: &'a dyn ObjectStore,
    pub keys: &'a SealKeys,
    pub target: &'a Target,
    /// Where the target is: kept in the job, for whoever resumes it.
    pub target_path: &'a Path,
    pub progress: &'a Progress,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
    /// Time of folders nobody recorded.
    pub now: Wall,
}

/// Writes a new job and says what it will do. Operator: nothing that was wanted is there.
pub fn plan(with: &Planning<'_>, wanted: &Wanted, job: &JobFile) -> Result<Plan> {
    if job.fact::<i64>("begun")?.is_some() {
        return Err(Error::operator(format!("plan a restore into {}: a job is there", job.path().display()))
            .remedy("resume it, or remove the file and plan again"));
    }
    with.faults.at("plan.begin")?;
    job.begin(with.keys.vault, with.target_path, i64::from(wanted.clobber == Clobber::Replace))?;
    let plan = enter(with, wanted, job)?;
    with.faults.at("plan.end")?;
    job.set_fact("plan", plan.text()?)?;
    with.faults.at("plan.ended")?;
    Ok(plan)
}

/// What [`plan`] would say, without a job that could do it. `scratch` is of no use afterwards.
pub fn preview(with: &Planning<'_>, wanted: &Wanted, scratch: &JobFile) -> Result<Plan> {
    enter(with, wanted, &Sum::new(scratch))
}

fn enter(with: &Planning<'_>, wanted: &Wanted, ledger: &dyn Ledger) -> Result<Plan> {
    with.progress.enter(Phase::Planning);
    let records = Records { store: with.store, keys: with.keys, stop: with.stop, unknown: HashMap::new() };
    let mut planner = Planner {
        with,
        clobber: wanted.clobber,
        ledger,
        layouts: Layouts::new(with.catalog, records),
        items: Vec::new(),
        failed: Vec::new(),
        next: 1,
        parent: None,
        above: HashSet::new(),
        tops: Vec::new(),
        plan: Plan { free_bytes: with.target.free()?.0, ..Plan::default() },
    };
    let walk = Walk { catalog: with.catalog, when: wanted.when, stop: with.stop };
    let tops = wanted.tops()?;
    let mut missing = 0;
    for (source, path) in &tops {
        planner.tops.push(planner.next);
        if walk.top(source, path, &mut planner)? == Found::Nothing {
            missing += 1;
            planner.fail(source.clone(), "the vault has nothing of this name at that time".into())?;
        }
    }
    if missing == tops.len() {
        let what = tops.first().map_or_else(String::new, |(source, _)| source.to_string());
        return Err(Error::operator(format!("restore {what}: the vault has nothing of this name at that time"))
            .remedy("look with 'panicroom ls' and 'panicroom versions'"));
    }
    planner.flush()?;
    planner.packs()?;
    Ok(planner.plan)
}

struct Planner<'a> {
    with: &'a Planning<'a>,
    clobber: Clobber,
    ledger: &'a dyn Ledger,
    layouts: Layouts<'a>,
    items: Vec<NewItem>,
    failed: Vec<(TreePath, String)>,
    next: i64,
    /// The folder looked at last, and whether it stands at the target.
    parent: Option<(TreePath, bool)>,
    /// Folders above wanted paths that are planned.
    above: HashSet<TreePath>,
    /// The first id of each wanted path, in the order given.
    tops: Vec<i64>,
    plan: Plan,
}

impl Planner<'_> {
    fn id(&mut self) -> i64 {
        self.next += 1;
        self.next - 1
    }

    fn item(&mut self, item: NewItem) -> Result<()> {
        self.items.push(item);
        if self.items.len() >= AT_ONCE { self.flush() } else { Ok(()) }
    }

    fn fail(&mut self, path: TreePath, reason: String) -> Result<()> {
        self.plan.failed += 1;
        self.failed.push((path, reason));
        if self.failed.len() >= AT_ONCE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.with.faults.at("plan.items")?;
        self.ledger.add(&self.items)?;
        self.with.faults.at("plan.failures")?;
        self.ledger.add_failures(&self.failed)?;
        self.items.clear();
        self.failed.clear();
        Ok(())
    }

    /// What stands at the target; a folder that is not there is asked once for all it would hold.
    fn stands(&mut self, path: &TreePath) -> Result<Option<Standing>> {
        let Some(parent) = path.parent() else { return self.look(path) };
        let there = match &self.parent {
            Some((known, there)) if *known == parent => *there,
            _ => {
                let there = self.look(&parent)?.is_some();
                self.parent = Some((parent, there));
                there
            }
        };
        if there { self.look(path) } else { Ok(None) }
    }

    /// Something in the way of a path shows itself when it is to be placed.
    fn look(&self, path: &TreePath) -> Result<Option<Standing>> {
        match self.with.target.look(path) {
            Err(e) if e.kind() == Kind::Path => Ok(None),
            other => other,
        }
    }

    /// Whether a thing is to be placed; counts it where not.
    fn is_owed(&mut self, path: &TreePath, entry: &Entry) -> Result<bool> {
        if self.clobber == Clobber::Replace {
            return Ok(true);
        }
        let Some(standing) = self.stands(path)? else { return Ok(true) };
        if standing.is_like(entry) {
            self.plan.already += 1;
        } else {
            self.plan.skipped += 1;
        }
        Ok(false)
    }

    /// Names of one file have one time, too. Where they differ one was recorded later than the other: each comes back as it
    /// was recorded, as a file of its own.
    fn first_name(&self, link: HardLink, mtime: FileTime, content: &[u8], path: &TreePath) -> Result<Option<TreePath>> {
        self.with.faults.at("plan.link")?;
        let time = format!("{} {} ", mtime.secs, mtime.nanos);
        self.ledger.first_name(link, sha256(&[time.as_bytes(), content].concat()), path)
    }

    fn file(&mut self, path: TreePath, entry: Box<Entry>, content: &[u8]) -> Result<()> {
        let owed = self.is_owed(&path, &entry)?;
        let same = !owed && self.stands(&path)?.is_some_and(|s| s.is_like(&entry));
        if let Some(link) = entry.link.filter(|_| owed || same)
            && let Some(first) = self.first_name(link, entry.mtime, content, &path)?
            && owed
        {
            self.plan.files += 1;
            Progress::add(&self.with.progress.files_total, 1);
            let id = self.id();
            return self.item(NewItem::Link { id, path, entry, first });
        }
        if !owed {
            return Ok(());
        }
        let pieces = pieces_of(content)?;
        let (bytes, data) = (entry.size.0, pieces_need(&pieces, entry.size.0));
        let id = self.id();
        let item = match pieces[..] {
            [CatalogPiece::Run { pack, first, count: 1 }] => NewItem::Small { id, path, entry, pack, chunk: first },
            _ => match self.layouts.lay(&pieces) {
                Ok(laid) if laid.size == entry.size.0 => {
                    self.plan.needed_bytes += laid.data;
                    NewItem::File { id, path, entry, runs: laid.runs }
                }
                Ok(laid) => {
                    let reason = format!("its content is {} bytes long, its record says {}", laid.size, entry.size.0);
                    return self.fail(path, reason);
                }
                Err(e) if e.kind() == Kind::Path => return self.fail(path, e.to_string()),
                Err(e) => return Err(e),
            },
        };
        self.plan.needed_bytes += data;
        self.plan.files += 1;
        self.plan.bytes += bytes;
        Progress::add(&self.with.progress.files_total, 1);
        Progress::add(&self.with.progress.bytes_total, bytes);
        self.item(item)
    }

    /// Every pack that is needed, with its record and the bytes that will be read of it.
    fn packs(&mut self) -> Result<()> {
        let (mut tiers, mut few, mut found) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = 0;
        while let Some(id) = self.ledger.pack_from(at)? {
            self.with.stop.check()?;
            at = id + 1;
            let record = self.layouts.records.of(self.with.catalog, id)?;
            let hash = record.as_ref().map(|r| r.hash).or_else(|| self.layouts.records.unknown.get(&id).copied());
            let Some(hash) = hash else { continue };
            let tier = record.as_ref().map_or(Tier::Cold, |r| r.table.tier);
            let bytes = record.as_ref().map_or(Ok(0), |record| used_bytes(self.ledger, id, record))?;
            self.plan.packs += 1;
            self.plan.pack_bytes += bytes;
            let may_freeze = self.with.store.may_freeze();
            let thaw =
                if may_freeze { Some(NewThaw { wanted: self.wanted(id, bytes)?, bytes: bytes.max(1) }) } else { None };
            found.push(NewPack { pack: JobPack { id, hash, tier, record }, thaw });
            if found.len() >= PACKS_AT_ONCE {
                self.add_packs(&mut found)?;
            }
            if may_freeze {
                if !tiers.contains(&tier) {
                    tiers.push(tier);
                }
                if few.len() <= FEW {
                    few.push(Name::Pack(tier, hash).into());
                }
            }
        }
        self.add_packs(&mut found)?;
        if !tiers.is_empty() {
            let with = self.with;
            let look = Look {
                catalog: with.catalog,
                store: with.store,
                ledger: self.ledger,
                now: with.now,
                faults: with.faults,
                stop: with.stop,
            };
            look.at(&few, &tiers, &mut self.plan)?;
        }
        if self.plan.frozen_packs == 0 && is_free_of_charge(self.with.store) {
            self.plan.speeds = ["bulk", "standard", "expedited"].map(SpeedPlan::free).into();
        }
        Ok(())
    }

    fn add_packs(&self, found: &mut Vec<NewPack>) -> Result<()> {
        self.with.faults.at("plan.pack")?;
        self.ledger.add_packs(found)?;
        found.clear();
        Ok(())
    }

    /// The lower, the sooner: by the wanted paths in the order given, then by size.
    fn wanted(&self, pack: i64, bytes: u64) -> Result<u64> {
        let first = self.ledger.first_file_of(pack)?.unwrap_or_default();
        let path = self.tops.partition_point(|top| *top <= first) as u64;
        Ok(path << WANTED_BYTES | bytes.min((1 << WANTED_BYTES) - 1))
    }
}

impl Visit for Planner<'_> {
    fn folder(&mut self, path: &TreePath, entry: Option<&Entry>) -> Result<()> {
        // The target itself is the operator's.
        if path.is_root() || (entry.is_none() && self.stands(path)?.is_some()) {
            return Ok(());
        }
        self.plan.folders += 1;
        let entry = Box::new(entry.cloned().unwrap_or_else(|| nobodys_folder(self.with.now)));
        let id = self.id();
        self.item(NewItem::Folder { id, path: path.clone(), entry })
    }

    /// Made like the original where it is missing, left alone where it stands.
    fn above(&mut self, path: &TreePath, entry: Option<&Entry>) -> Result<()> {
        if self.above.contains(path) || self.stands(path)?.is_some() {
            return Ok(());
        }
        self.above.insert(path.clone());
        self.folder(path, entry)
    }

    fn leaf(&mut self, path: TreePath, entry: Box<Entry>, content: Vec<u8>) -> Result<()> {
        if entry.shape == Shape::File {
            return self.file(path, entry, &content);
        }
        if !self.is_owed(&path, &entry)? {
            return Ok(());
        }
        self.plan.others += 1;
        Progress::add(&self.with.progress.files_total, 1);
        let id = self.id();
        self.item(NewItem::Other { id, path, entry })
    }
}

/// Bytes a small file takes; larger ones are counted when they are laid out.
fn pieces_need(pieces: &[CatalogPiece], size: u64) -> u64 {
    if matches!(pieces, [CatalogPiece::Run { count: 1, .. }]) { size } else { 0 }
}

/// What a folder is like that no record tells of: as `mkdir` makes it, owned by whoever restores.
fn nobodys_folder(now: Wall) -> Entry {
    Entry {
        shape: Shape::Dir,
        mode: 0o755,
        // "Leave as it is" to the kernel.
        uid: u32::MAX,
        gid: u32::MAX,
        user: None,
        group: None,
        mtime: FileTime {
            secs: now.0.div_euclid(1000),
            nanos: u32::try_from(now.0.rem_euclid(1000) * 1_000_000).unwrap_or(0),
        },
        birth: None,
        size: Size(0),
        xattrs: vec![],
        link: None,
    }
}

/// Bytes of the blocks that hold any needed chunk.
fn used_bytes(ledger: &dyn Ledger, pack: i64, record: &PackRecord) -> Result<u64> {
    let ends: Vec<u64> = record
        .table
        .blocks
        .iter()
        .scan(0, |at, b| {
            *at += u64::from(b.chunks);
            Some(*at)
        })
        .collect();
    let (mut bytes, mut next) = (0, 0);
    ledger.runs_of(pack, &mut |first, count| {
        let (first, end) = (u64::from(first), u64::from(first) + u64::from(count));
        while next < ends.len() && ends[next] <= first {
            next += 1;
        }
        let mut block = next;
        while block < ends.len() && block.checked_sub(1).map_or(0, |b| ends[b]) < end {
            bytes += u64::from(record.table.blocks[block].sealed);
            block += 1;
        }
        next = block.max(next);
    })?;
    Ok(bytes)
}

/// Folders and memory cost nothing to read; what a server takes for it is not known here.
pub(super) fn is_free_of_charge(store: &dyn ObjectStore) -> bool {
    !store.url().starts_with("s3:")
}
