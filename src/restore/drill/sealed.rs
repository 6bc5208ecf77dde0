//! Packs read whole, and their SHA-256 compared with their names: what can be proved without a key. Those that are frozen
//! are thawed first, as a restore does it.
//!
//! Memory: one pack. Dying here costs reading one pack again.

use super::Drilling;
use crate::catalog::jobs::{Cursor, JobPack, NewPack, NewThaw, PackState};
use crate::error::{Error, Kind, Result};
use crate::format::Name;
use crate::model::Tier;
use crate::restore::late::{Late, waits_for_a_word};
use crate::restore::plan::{FEW, Look, Plan, SpeedPlan, is_free_of_charge};
use crate::restore::thaw::{Thawer, Turn};
use crate::seal::sha256;
use crate::store::{MAX_OBJECT, ObjectName, is_frozen};

/// The job's packs and what reading them takes; nothing is read but a listing.
pub(super) fn plan(with: &Drilling<'_>) -> Result<Plan> {
    let job = with.job;
    with.faults.at("plan.begin")?;
    job.begin(with.keys.vault, with.scratch, 0)?;
    let mut plan = Plan { free_bytes: with.target.free()?.0, ..Plan::default() };
    let (mut few, mut tiers): (Vec<ObjectName>, Vec<Tier>) = (Vec::new(), Vec::new());
    for (order, pack) in (0..).zip(job.tried_packs()?) {
        plan.packs += 1;
        plan.pack_bytes += pack.size;
        let may_freeze = with.store.may_freeze();
        let thaw = may_freeze.then_some(NewThaw { wanted: order, bytes: pack.size.max(1) });
        let found = JobPack { id: pack.pack, hash: pack.hash, tier: pack.tier, record: None };
        with.faults.at("plan.pack")?;
        job.add_packs(&[NewPack { pack: found, thaw }])?;
        if may_freeze && few.len() <= FEW {
            few.push(Name::Pack(pack.tier, pack.hash).into());
        }
        if !tiers.contains(&pack.tier) {
            tiers.push(pack.tier);
        }
    }
    if with.store.may_freeze() && !few.is_empty() {
        let now = with.clock.wall();
        let look =
            Look { catalog: with.catalog, store: with.store, ledger: job, now, faults: with.faults, stop: with.stop };
        look.at(&few, &tiers, &mut plan)?;
    }
    if plan.frozen_packs == 0 && is_free_of_charge(with.store) {
        plan.speeds = ["bulk", "standard", "expedited"].map(SpeedPlan::free).into();
    }
    Ok(plan)
}

/// Reads what was not read yet. An error leaves the job to be gone on with.
pub(super) fn prove(with: &Drilling<'_>) -> Result<()> {
    if waits_for_a_word(with.job)? {
        return Err(Error::operator("drill: packs are in cold storage, and nobody agreed to their thaw")
            .remedy("give the same command again: it shows what the thaw costs, and asks"));
    }
    let mut cursor = with.job.cursor()?;
    let Some(mut thawer) = Thawer::of(with.tending(), with.job, 0)? else {
        for pack in with.job.tried_packs()?.into_iter().filter(|pack| pack.state == PackState::Unknown) {
            match read(with, pack.pack, Cursor { pack: pack.pack + 1, ..cursor }) {
                Err(e) if is_frozen(&e) => {
                    let late = Late { store: with.store, job: with.job, faults: with.faults, stop: with.stop };
                    return Err(late.settle(e)?);
                }
                other => other?,
            }
        }
        return Ok(());
    };
    thawer.look_at_turns(cursor)?;
    loop {
        with.stop.check()?;
        match thawer.next(cursor.pack)? {
            Turn::Pack { turn, pack, .. } => {
                let after = Cursor { pack: turn + 1, ..cursor };
                match read(with, pack, after) {
                    Ok(()) => cursor = after,
                    Err(e) if is_frozen(&e) => thawer.frozen_again(cursor)?,
                    Err(e) => return Err(e),
                }
            }
            // Every pack of a first round is in the plan.
            Turn::Unpaid { turn, .. } => cursor.pack = turn + 1,
            Turn::NotYet => thawer.wait(&|| false)?,
            Turn::Over => return Ok(()),
        }
    }
}

fn read(with: &Drilling<'_>, id: i64, after: Cursor) -> Result<()> {
    with.stop.check()?;
    let pack = with.job.pack(id)?.ok_or_else(|| Error::damaged("read a pack of the drill from its job file"))?;
    let name = ObjectName::from(Name::Pack(pack.tier, pack.hash));
    let found = match with.store.read(&name, None, with.stop) {
        Ok(bytes) if bytes.len() as u64 > MAX_OBJECT => Some("it is larger than a pack can be".to_owned()),
        Ok(bytes) if sha256(&bytes) == pack.hash => None,
        Ok(bytes) => Some(format!("its {} bytes are not those that were sealed", bytes.len())),
        Err(e) if e.kind() == Kind::Damaged => Some(e.to_string()),
        Err(e) => return Err(e),
    };
    let state = if found.is_none() { PackState::Sound } else { PackState::Damaged };
    with.faults.at("drill.pack")?;
    with.job.pack_tried(id, state, found.as_deref(), after)
}
