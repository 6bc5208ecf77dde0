//! Which packs of a job need a thaw, by what the vault lists, behind delete markers too: nothing else is
//! asked. Dying here leaves a job that is not planned.

use super::bill::Plan;
use super::ledger::Ledger;
use crate::catalog::Catalog;
use crate::catalog::jobs::ThawState;
use crate::clock::Wall;
use crate::error::Result;
use crate::format::{Name, pack_prefix};
use crate::model::Tier;
use crate::store::{Access, Cover, Held, ObjectInfo, ObjectName, ObjectStore, is_archive};
use crate::worker::{Faults, Stop};
use std::time::Duration;

/// Items written to the job at once.
const AT_ONCE: usize = 1000;
/// So many packs, at most, are looked for by a listing each, where the vault holds more pages of them than that.
pub(in crate::restore) const FEW: usize = 16;
/// Names on a page of a listing.
const PAGE_OF_LIST: u64 = 1000;
/// A copy that stays for less is thawed once more.
const DAY: Duration = Duration::from_secs(86_400);

/// What a look is done with.
pub(in crate::restore) struct Look<'a> {
    pub catalog: &'a Catalog,
    pub store: &'a dyn ObjectStore,
    pub ledger: &'a dyn Ledger,
    pub now: Wall,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
}

impl Look<'_> {
    /// `few`: the names of the packs where they are at most [`FEW`], else any [`FEW`] of them and one more; `tiers`: those
    /// any of them is of. Hot ones too: a rule of the bucket may have moved them.
    pub fn at(&self, few: &[ObjectName], tiers: &[Tier], plan: &mut Plan) -> Result<()> {
        let packs = self.catalog.vault_counts()?.stored_objects;
        let pages = packs / PAGE_OF_LIST + 1;
        let (mut seen, mut listed) = (Vec::new(), 0u64);
        let before = self.store.requests();
        let mut each = |Held { object: info, cover }: Held| -> Result<()> {
            self.stop.check()?;
            listed += 1;
            let pack = self.pack(&info)?;
            match cover {
                Cover::DeleteMarker if pack.is_some() => plan.hidden_packs += 1,
                Cover::OtherBytes if pack.is_some() => plan.overwritten_packs += 1,
                _ => {}
            }
            // Of a class that needs a thaw, and nothing is said of one: frozen, as far as can be known without asking.
            let of_archive = info.class.as_deref().is_some_and(is_archive);
            let state = match info.access {
                Some(Access::Thawed { until }) => (ThawState::Ready, until),
                Some(Access::Thawing) => (ThawState::Asked, None),
                Some(Access::Frozen) => (ThawState::Frozen, None),
                None if of_archive => (ThawState::Frozen, None),
                None => {
                    plan.untold_packs += u64::from(pack.is_some());
                    return Ok(());
                }
                Some(Access::Warm) => return Ok(()),
            };
            let Some(pack) = pack else { return Ok(()) };
            if state.1.is_some_and(|until| until > self.now.plus(DAY)) {
                plan.thawed_packs += 1;
                plan.note_class(info.class);
            } else {
                plan.add_frozen(info.size, info.class);
            }
            seen.push((pack, state.0, state.1));
            if seen.len() >= AT_ONCE {
                self.faults.at("plan.thaw")?;
                self.ledger.thaw_seen(&seen)?;
                seen.clear();
            }
            Ok(())
        };
        if (few.len() as u64) < pages && few.len() <= FEW {
            few.iter().try_for_each(|name| self.store.inventory(name.as_str(), &mut each).map(drop))?;
        } else {
            tiers.iter().try_for_each(|tier| self.store.inventory(pack_prefix(*tier), &mut each).map(drop))?;
        }
        self.faults.at("plan.thaw")?;
        self.ledger.thaw_seen(&seen)?;
        self.ledger.listed(listed.max(packs))?;
        plan.lists = self.store.requests().since(before).list;
        Ok(())
    }
    /// The pack of the job that the object is.
    fn pack(&self, info: &ObjectInfo) -> Result<Option<i64>> {
        let Some(Name::Pack(_, hash)) = Name::parse(info.name.as_str()) else { return Ok(None) };
        self.ledger.pack_of_hash(hash)
    }
}
