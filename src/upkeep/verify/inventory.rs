//! One listing of the whole vault, in name order, against the catalog's stored packs and segments in the same order: what
//! is not there, what is of another size or ETag, what lies behind a delete marker, what was moved to an archive class,
//! and what is not ours. As many calls as the listing has pages, and a page of each side in memory.
//!
//! What is stored while the listing runs is no loss: only what was stored before it began must be in it. What is not
//! ours is counted, never touched, never called lost. A listing that lacks more than a few packs is asked about: whether
//! this is the vault at all (promise 10).

mod settle;

use super::{Report, Verifying};
use crate::catalog::{Check, Defect, Fence, PackToSee, SegmentRow, Sight, Wrong};
use crate::error::Result;
use crate::format::{META_PREFIX, Name};
use crate::model::{SegmentNo, Sha256, Tier};
use crate::store::{Cover, Depth, Held, Inventory, ObjectInfo, is_archive};
use std::collections::VecDeque;

/// Rows read or written together.
const PAGE: usize = 1000;
/// Single objects asked for by HEAD, at most, to settle what a listing left open.
const ASKED: usize = 16;

/// Stored packs of one tier, in name order.
struct Packs {
    tier: Tier,
    after: Vec<u8>,
    page: VecDeque<PackToSee>,
    ended: bool,
}

impl Packs {
    fn of(tier: Tier) -> Self {
        Self { tier, after: vec![], page: VecDeque::new(), ended: false }
    }
}

/// Stored segments, in number order.
struct Segments {
    after: SegmentNo,
    page: VecDeque<SegmentRow>,
    ended: bool,
}

struct Work<'a> {
    with: &'a Verifying<'a>,
    fence: Fence,
    cold: Packs,
    hot: Packs,
    segments: Segments,
    report: Report,
    has_vault_file: bool,
    /// Objects that are not as they should be and not yet written down.
    suspects: Vec<Defect>,
    /// ETags seen for the first time and not yet written down.
    learnt: Vec<(i64, String)>,
    learnt_segments: Vec<(SegmentNo, String)>,
    /// Missing packs, the first of them.
    missing: Vec<Defect>,
    missing_packs: u64,
    /// The newest stored segment is not there.
    is_behind: bool,
    /// Packs of another ETag than before, the first of them.
    changed: Vec<(PackToSee, String)>,
    /// The same of segments.
    changed_segments: Vec<(SegmentRow, String)>,
}

impl Verifying<'_> {
    /// Operator, with nothing called lost: there is no vault, or another one, or one put back to an older state.
    pub(super) fn inventory(&self) -> Result<Report> {
        let mut work = Work {
            with: self,
            fence: self.catalog.fence()?,
            cold: Packs::of(Tier::Cold),
            hot: Packs::of(Tier::Hot),
            segments: Segments { after: SegmentNo(0), page: VecDeque::new(), ended: false },
            report: Report::new(Check::Inventory, self.clock.wall()),
            has_vault_file: false,
            suspects: vec![],
            learnt: vec![],
            learnt_segments: vec![],
            missing: vec![],
            missing_packs: 0,
            is_behind: false,
            changed: vec![],
            changed_segments: vec![],
        };
        if self.keeping == super::Keeping::Catalog {
            self.faults.at("verify.begin")?;
            self.catalog.forget_suspects()?;
        }
        let Inventory { depth, strange } = self.store.inventory("", &mut |held| {
            self.stop.check()?;
            work.see(held)
        })?;
        work.report.run.looked += strange;
        work.report.run.foreign += strange;
        work.finish(depth)
    }
}

impl Work<'_> {
    fn see(&mut self, held: Held) -> Result<()> {
        let Held { object, cover } = held;
        self.report.run.looked += 1;
        self.report.run.bytes += object.size;
        let name = Name::parse(object.name.as_str());
        match name {
            None => self.report.run.foreign += 1,
            Some(Name::Pack(tier, hash)) => self.see_pack(tier, hash, &object)?,
            Some(Name::Segment(number, hash)) => self.see_segment(number, hash, &object)?,
            Some(Name::Vault) => self.has_vault_file = true,
            Some(Name::Merge(..) | Name::Key(_) | Name::Rescue(_)) => {}
        }
        if name.is_none() {
            return Ok(());
        }
        let what = match name {
            Some(Name::Pack(Tier::Cold, _)) => None,
            Some(Name::Pack(Tier::Hot, _)) => {
                Some("hot packs, which shall be read without a thaw: take hot_ out of it")
            }
            _ if object.name.as_str().starts_with(META_PREFIX) => {
                Some("the log, and restoring would take a thaw to begin with: take meta_ out of it")
            }
            _ => None,
        };
        if let (Some(what), Some(class)) = (what, object.class.as_deref().filter(|class| is_archive(class))) {
            let said = format!(
                "it is in the class {class}: some lifecycle rule moves {what}, thaw what it moved and copy it back to STANDARD"
            );
            self.suspect(&object, Wrong::Archived, None, said)?;
        }
        match cover {
            Cover::Bare => Ok(()),
            Cover::DeleteMarker => self.suspect(
                &object,
                Wrong::Hidden,
                None,
                "somebody deleted it; its bytes are still there, behind a delete marker".to_owned(),
            ),
            Cover::OtherBytes => self.suspect(
                &object,
                Wrong::Covered,
                None,
                "somebody put other bytes under its name; its own are still there, beneath".to_owned(),
            ),
        }
    }

    fn suspect(&mut self, object: &ObjectInfo, wrong: Wrong, pack: Option<i64>, said: String) -> Result<()> {
        let defect = self.defect(object.name.to_string(), wrong, pack, object.size, said);
        self.note(defect)
    }

    fn defect(&self, name: String, wrong: Wrong, pack: Option<i64>, size: u64, said: String) -> Defect {
        Defect { name, found: Check::Inventory, wrong, pack, size, at: self.report.run.begun, said }
    }

    fn note(&mut self, defect: Defect) -> Result<()> {
        self.report.wrong(&defect);
        self.suspects.push(defect);
        if self.suspects.len() >= PAGE { self.write_down() } else { Ok(()) }
    }

    fn write_down(&mut self) -> Result<()> {
        if self.with.keeping == super::Keeping::Catalog {
            if !self.learnt.is_empty() {
                self.with.faults.at("verify.learn")?;
                self.with.catalog.learn_etags(&self.learnt)?;
            }
            if !self.learnt_segments.is_empty() {
                self.with.faults.at("verify.learn")?;
                self.with.catalog.learn_segment_etags(&self.learnt_segments)?;
            }
            if !self.suspects.is_empty() {
                self.with.faults.at("verify.suspect")?;
                self.with.catalog.suspect(&self.suspects)?;
            }
        }
        self.learnt.clear();
        self.learnt_segments.clear();
        self.suspects.clear();
        Ok(())
    }

    fn next_pack(&mut self, tier: Tier) -> Result<Option<&PackToSee>> {
        let packs = if tier == Tier::Cold { &mut self.cold } else { &mut self.hot };
        if packs.page.is_empty() && !packs.ended {
            packs.page = self.with.catalog.packs_to_see(packs.tier, &packs.after, PAGE)?.into();
            packs.ended = packs.page.len() < PAGE;
            if let Some(last) = packs.page.back() {
                packs.after = last.hash.0.to_vec();
            }
        }
        Ok(packs.page.front())
    }

    fn take_pack(&mut self, tier: Tier) -> Option<PackToSee> {
        if tier == Tier::Cold { self.cold.page.pop_front() } else { self.hot.page.pop_front() }
    }

    /// Stored packs before `hash` were not listed; the one itself is compared.
    fn see_pack(&mut self, tier: Tier, hash: Sha256, object: &ObjectInfo) -> Result<()> {
        while let Some(hash_of_next) = self.next_pack(tier)?.map(|p| p.hash) {
            if hash_of_next > hash {
                break;
            }
            let Some(pack) = self.take_pack(tier) else { break };
            if hash_of_next == hash {
                return self.compare(pack, object);
            }
            self.not_listed(&pack)?;
        }
        // It may be on its way, or called lost: rows come before objects.
        if !self.with.catalog.knows_pack(hash)? {
            self.report.run.unnamed += 1;
        }
        Ok(())
    }

    fn compare(&mut self, pack: PackToSee, object: &ObjectInfo) -> Result<()> {
        if object.size != pack.size {
            let said = format!("it is {} bytes long, {} were sealed", object.size, pack.size);
            let defect = self.defect(object.name.to_string(), Wrong::Size, Some(pack.id), pack.size, said);
            return self.note(defect);
        }
        match (&object.etag, &pack.etag) {
            (Some(now), None) => {
                self.learnt.push((pack.id, now.clone()));
                if self.learnt.len() >= PAGE {
                    self.write_down()?;
                }
            }
            (Some(now), Some(before)) if now != before => return self.changed(pack, now.clone()),
            _ => {}
        }
        Ok(())
    }

    /// Other bytes, or a server that reckons ETags in another way: asked for at the end, as long as it is a few.
    fn changed(&mut self, pack: PackToSee, etag: String) -> Result<()> {
        if self.changed.len() < ASKED {
            self.changed.push((pack, etag));
            return Ok(());
        }
        let before = pack.etag.as_deref().unwrap_or_default().to_owned();
        self.etag_defect(&pack, &before, &etag)
    }

    fn etag_defect(&mut self, pack: &PackToSee, before: &str, now: &str) -> Result<()> {
        let said = another_etag(before, now);
        let name = Name::Pack(pack.tier, pack.hash).to_string();
        let defect = self.defect(name, Wrong::Etag, Some(pack.id), pack.size, said);
        self.note(defect)
    }

    fn not_listed(&mut self, pack: &PackToSee) -> Result<()> {
        if !self.fence.holds(pack.id) {
            return Ok(());
        }
        let name = Name::Pack(pack.tier, pack.hash).to_string();
        let said = "it is not in the vault's listing".to_owned();
        let defect = self.defect(name, Wrong::Missing, Some(pack.id), pack.size, said);
        self.missing_packs += 1;
        if self.missing.len() < ASKED {
            self.missing.push(defect);
            return Ok(());
        }
        self.note(defect)
    }

    fn next_segment(&mut self) -> Result<Option<SegmentRow>> {
        let segments = &mut self.segments;
        if segments.page.is_empty() && !segments.ended {
            segments.page = self.with.catalog.segments_after(segments.after, PAGE)?.into();
            segments.ended = segments.page.len() < PAGE;
            if let Some(last) = segments.page.back() {
                segments.after = last.number;
            }
        }
        Ok(segments.page.front().copied())
    }

    fn see_segment(&mut self, number: SegmentNo, hash: Sha256, object: &ObjectInfo) -> Result<()> {
        while let Some(row) = self.next_segment()? {
            if row.number > number || (row.number == number && row.hash != hash) {
                break;
            }
            self.segments.page.pop_front();
            if row.number == number {
                if row.size > 0 && object.size != row.size {
                    let said = format!("it is {} bytes long, {} were sealed", object.size, row.size);
                    let defect = self.defect(object.name.to_string(), Wrong::Size, None, row.size, said);
                    return self.note(defect);
                }
                return self.compare_segment(row, object);
            }
            self.segment_not_listed(&row)?;
        }
        // One of ours that was sealed meanwhile has its row before it is sent.
        if self.with.catalog.segment_hash(number)? != Some(hash) {
            let said =
                "no segment of this number is known here: another machine or another catalog writes to this vault"
                    .to_owned();
            let defect = self.defect(object.name.to_string(), Wrong::Stranger, None, object.size, said);
            return self.note(defect);
        }
        Ok(())
    }

    fn compare_segment(&mut self, row: SegmentRow, object: &ObjectInfo) -> Result<()> {
        let Some(now) = &object.etag else { return Ok(()) };
        match self.with.catalog.segment_etag(row.number)? {
            None => {
                self.learnt_segments.push((row.number, now.clone()));
                if self.learnt_segments.len() >= PAGE {
                    self.write_down()?;
                }
            }
            Some(before) if before != *now && self.changed_segments.len() < ASKED => {
                self.changed_segments.push((row, now.clone()));
            }
            Some(before) if before != *now => {
                let said = another_etag(&before, now);
                self.suspect(object, Wrong::Etag, None, said)?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn segment_not_listed(&mut self, row: &SegmentRow) -> Result<()> {
        if row.number > self.fence.segment {
            return Ok(());
        }
        self.is_behind |= row.number == self.fence.segment;
        let said = "it is not in the vault's listing: what was recorded in it, and not again later, cannot be restored"
            .to_owned();
        let name = Name::Segment(row.number, row.hash).to_string();
        let defect = self.defect(name, Wrong::Missing, None, row.size, said);
        self.note(defect)
    }

    fn finish(mut self, depth: Depth) -> Result<Report> {
        for tier in [Tier::Cold, Tier::Hot] {
            while self.next_pack(tier)?.is_some() {
                if let Some(pack) = self.take_pack(tier) {
                    self.not_listed(&pack)?;
                }
            }
        }
        while let Some(row) = self.next_segment()? {
            self.segments.page.pop_front();
            self.segment_not_listed(&row)?;
        }
        let sight = match depth {
            Depth::Versions => Sight::Beneath,
            Depth::Surface(why) => {
                self.report.note(&format!(
                    "only what lies on top was seen ({why}): what is missing may lie behind a delete marker"
                ));
                Sight::Surface
            }
        };
        self.is_it_the_vault()?;
        self.ask_for_the_missing()?;
        self.ask_for_the_changed()?;
        self.read_the_changed()?;
        self.write_down()?;
        self.report.run.ended = self.with.clock.wall();
        if self.with.keeping == super::Keeping::Catalog {
            self.with.faults.at("verify.end")?;
            self.with.catalog.end_inventory(&self.report.run, sight)?;
        }
        Ok(self.report)
    }
}

fn another_etag(before: &str, now: &str) -> String {
    format!(
        "its ETag was {before} and is {now}: other bytes, or a server that reckons it in another way; 'panicroom verify --level read' tells"
    )
}
