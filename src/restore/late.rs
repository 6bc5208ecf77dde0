//! Packs that show themselves frozen when they are read, in a job whose plan saw nothing frozen: a class that archives by
//! itself tells no listing of it, and a rule may have moved them since. What was fetched stays; the rest is looked at,
//! one listing, and what that does not tell, pack by pack. The plan then says what it is, and the job waits until
//! somebody agreed to the price of their thaw.
//!
//! Dying here leaves the job as it was, with some packs noted as frozen: the next run reads one, and looks again.

use super::plan::{FEW, Plan};
use super::thaw::pace::Terms;
use super::thaw::{count, name, state_of};
use crate::catalog::jobs::{Cursor, JobFile, ThawState};
use crate::clock::Wall;
use crate::error::{Error, Kind, Result};
use crate::format::{Name, pack_prefix};
use crate::model::{Size, Tier};
use crate::store::{Access, Held, ObjectInfo, ObjectName, ObjectStore, is_archive};
use crate::worker::{Faults, Stop};

/// Packs noted together.
const AT_ONCE: usize = 500;

/// What the packs that are left are looked at with.
pub(super) struct Late<'a> {
    pub store: &'a dyn ObjectStore,
    pub job: &'a JobFile,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
}

struct Found {
    plan: Plan,
    seen: Vec<(i64, ThawState, Option<Wall>)>,
}

impl Late<'_> {
    /// What a read that found its pack frozen comes to: Operator, once the job says what a thaw takes. Where nothing looks
    /// frozen, the read's own error.
    pub fn settle(&self, refused: Error) -> Result<Error> {
        let cursor = self.job.cursor()?;
        let Some(mut plan) = Plan::of(self.job)? else { return Ok(refused) };
        (plan.frozen_packs, plan.frozen_bytes, plan.thawed_packs, plan.untold_packs) = (0, 0, 0, 0);
        let mut found = Found { plan, seen: vec![] };
        if cursor.round > 0 {
            self.enter_round(cursor)?;
        }
        self.look(cursor, &mut found)?;
        self.note(&mut found)?;
        let mut plan = found.plan;
        if plan.frozen_packs == 0 {
            return Ok(refused.remedy(
                "the server says of it that it can be read, and refuses to read it: give the same command again later, \
                 it goes on from here",
            ));
        }
        (plan.packs, plan.pack_bytes) = self.job.thaws_from(cursor.round, cursor.pack)?;
        if cursor.round > 0 {
            plan.pack_bytes = plan.frozen_bytes;
        }
        self.faults.at("thaw.late")?;
        self.job.begin_turns(cursor, &plan.text()?)?;
        let class = plan.class.as_deref().unwrap_or("an archive class");
        Ok(Error::operator(format!(
            "read {} ({}) that {} frozen in {class}, of which no listing told when this was planned",
            count(plan.frozen_packs),
            Size(plan.frozen_bytes),
            if plan.frozen_packs == 1 { "is" } else { "are" },
        ))
        .remedy("the same command shows what their thaw costs, and asks; what is here is not fetched again"))
    }

    /// Packs of a later round have no row in it before cold storage matters.
    fn enter_round(&self, cursor: Cursor) -> Result<()> {
        let mut at = 0;
        while let Some(pack) = self.job.pack_from(cursor.round, at)? {
            self.stop.check()?;
            self.faults.at("thaw.late")?;
            self.job.thaw_in_round(cursor.round, pack, ThawState::Ready, None)?;
            at = pack + 1;
        }
        Ok(())
    }

    /// From the cursor on: a few one by one, else what listings tell, and what they do not.
    fn look(&self, cursor: Cursor, found: &mut Found) -> Result<()> {
        let (mut at, mut few) = (cursor.pack, vec![]);
        while let Some(pack) = self.job.thaw_from(cursor.round, at)?.filter(|_| few.len() <= FEW) {
            few.push(pack);
            at = pack + 1;
        }
        if few.len() <= FEW {
            for pack in few {
                if let Some(known) = self.job.pack(pack)? {
                    self.look_at(pack, &name(known.hash, known.tier), found)?;
                }
            }
            return Ok(());
        }
        for tier in [Tier::Cold, Tier::Hot] {
            self.store.inventory(pack_prefix(tier), &mut |Held { object: info, .. }| {
                self.stop.check()?;
                let Some(Name::Pack(_, hash)) = Name::parse(info.name.as_str()) else { return Ok(()) };
                let Some(pack) = self.job.pack_of_hash(hash)?.filter(|pack| *pack >= cursor.pack) else {
                    return Ok(());
                };
                if self.job.thaw_from(cursor.round, pack)? != Some(pack) {
                    return Ok(());
                }
                if info.access.is_none() && !info.class.as_deref().is_some_and(is_archive) {
                    return self.look_at(pack, &info.name, found);
                }
                self.told(pack, info, found)
            })?;
        }
        Ok(())
    }

    /// What is missing shows itself when it is read.
    fn look_at(&self, pack: i64, object: &ObjectName, found: &mut Found) -> Result<()> {
        self.stop.check()?;
        match self.store.head(object) {
            Ok(Some(info)) => self.told(pack, info, found),
            Ok(None) => Ok(()),
            Err(e) if e.kind() == Kind::Damaged => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// An archive of which nothing is told is frozen, as far as can be known without asking.
    fn told(&self, pack: i64, info: ObjectInfo, found: &mut Found) -> Result<()> {
        let (state, until) = state_of(info.access).unwrap_or((ThawState::Frozen, None));
        match (state, info.access) {
            (ThawState::Ready, Some(Access::Thawed { .. })) => {
                found.plan.thawed_packs += 1;
                found.plan.note_class(info.class);
            }
            (ThawState::Ready, _) => {}
            _ => found.plan.add_frozen(info.size, info.class),
        }
        found.seen.push((pack, state, until));
        if found.seen.len() >= AT_ONCE { self.note(found) } else { Ok(()) }
    }

    fn note(&self, found: &mut Found) -> Result<()> {
        self.faults.at("thaw.late")?;
        self.job.thaw_seen(&found.seen)?;
        found.seen.clear();
        Ok(())
    }
}

/// Whether a job waits for somebody to agree to what its thaw costs.
pub fn waits_for_a_word(job: &JobFile) -> Result<bool> {
    Ok(Plan::of(job)?.is_some_and(|plan| plan.needs_terms()) && Terms::read(job)?.is_none())
}
