//! A drill: a proven sample of the way out. With the words, files are chosen, their packs thawed and read, the files
//! restored into a scratch folder and compared; without them, packs are read and their sealed bytes compared with their
//! names. It is a restore job like any other: planned, priced, agreed on, and gone on with after any interruption.
//!
//! What it came to is a receipt, kept in the job before anything else is done with it. Dying in the middle goes on from
//! the last batch; dying after the receipt hands over the same one again, which counts once.

pub mod choose;
pub mod gather;

mod compare;
mod sealed;

pub use choose::Bounds;
pub use gather::{Chosen, Gathering};

use super::thaw::Tending;
use super::{Fetching, Layout, Plan, Planning, Progress, Wanted, fetch, plan};
use crate::catalog::jobs::{FileState, JobFile, PackState, TriedSums};
use crate::catalog::{Catalog, DrillId, When};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::format::Name;
use crate::format::segment::{RECEIPT_PACKS, Receipt};
use crate::model::{Proof, Sha256, Verdict};
use crate::place::{Clobber, Target};
use crate::seal::keys::{OpenKeys, SealKeys};
use crate::store::ObjectStore;
use crate::worker::{Faults, Stop};
use std::collections::BTreeSet;
use std::path::Path;

/// Most packs of one drill: as many as its receipt can name.
pub const PACKS: usize = RECEIPT_PACKS;
/// Most files of one drill.
pub const FILES: usize = 1000;

/// What a drill is done with.
pub struct Drilling<'a> {
    pub catalog: &'a Catalog,
    pub store: &'a dyn ObjectStore,
    pub keys: &'a SealKeys,
    /// An empty folder of the drill's own, and it, open.
    pub scratch: &'a Path,
    pub target: &'a Target,
    pub job: &'a JobFile,
    pub progress: &'a Progress,
    pub clock: &'a dyn Clock,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
    /// Threads that read, open and write: at least 1.
    pub threads: usize,
    pub batch_bytes: u64,
}

/// Whether a job is a drill that was planned to the end, and which.
pub fn proof_of(job: &JobFile) -> Result<Option<Proof>> {
    let Some(name) = job.fact::<String>("drill_proof")? else { return Ok(None) };
    Ok([Proof::Sealed, Proof::Contents].into_iter().find(|proof| proof.name() == name))
}

/// What it costs, as it was agreed on: millionths, and the currency's letters.
pub fn keep_cost(job: &JobFile, cost: Option<(u64, &str)>) -> Result<()> {
    let Some((micros, currency)) = cost else { return Ok(()) };
    job.set_fact("drill_currency", currency)?;
    job.set_fact("drill_cost", micros.cast_signed())
}

impl Drilling<'_> {
    fn tending(&self) -> Tending<'_> {
        let &Self { store, progress, clock, faults, stop, threads, .. } = self;
        Tending { store, progress, clock, faults, stop, threads }
    }

    /// Writes a new job and says what it takes. Reads no pack, thaws nothing.
    pub fn plan(&self, chosen: &Chosen, proof: Proof, id: DrillId) -> Result<Plan> {
        self.faults.at("drill.begin")?;
        self.job.add_tried(&chosen.packs, &chosen.files)?;
        self.job.set_fact("drill_id", &id[..])?;
        self.job.set_fact("drill_proof", proof.name())?;
        match proof {
            Proof::Sealed => {
                let plan = sealed::plan(self)?;
                self.faults.at("plan.end")?;
                self.job.set_fact("plan", plan.text()?)?;
                Ok(plan)
            }
            Proof::Contents => {
                let planning = Planning {
                    catalog: self.catalog,
                    store: self.store,
                    keys: self.keys,
                    target: self.target,
                    target_path: self.scratch,
                    progress: self.progress,
                    faults: self.faults,
                    stop: self.stop,
                    now: self.clock.wall(),
                };
                let paths = chosen.files.iter().map(|(path, ..)| path.clone()).collect();
                let wanted = Wanted { paths, when: When::Now, layout: Layout::Whole, clobber: Clobber::Keep };
                plan(&planning, &wanted, self.job)
            }
        }
    }

    /// Carries a planned and agreed job out, from wherever an earlier run came to. `keys`: those that open contents, which
    /// a drill of contents needs. An error leaves the job to be gone on with.
    pub fn carry_out(&self, keys: Option<&OpenKeys>) -> Result<Receipt> {
        if let Some(cbor) = self.job.fact::<Vec<u8>>("drill_receipt")? {
            return Receipt::from_cbor(&cbor);
        }
        let planned = || Error::operator("go on with a drill: its plan was not finished").remedy("begin it again");
        Plan::of(self.job)?.ok_or_else(planned)?;
        let proof = proof_of(self.job)?.ok_or_else(planned)?;
        if proof == Proof::Sealed {
            sealed::prove(self)?;
        } else {
            let keys = keys.ok_or_else(|| {
                Error::operator("go on with a drill of contents: that takes the words")
                    .remedy("give '--key-file FILE' as before")
            })?;
            fetch(&self.fetching(keys), self.job)?;
            compare::compare(self)?;
        }
        let receipt = self.receipt(proof)?;
        self.faults.at("drill.receipt")?;
        self.job.set_fact("drill_receipt", receipt.to_cbor())?;
        Ok(receipt)
    }

    fn fetching<'a>(&'a self, keys: &'a OpenKeys) -> Fetching<'a> {
        Fetching {
            catalog: self.catalog,
            store: self.store,
            keys,
            target: self.target,
            progress: self.progress,
            clock: self.clock,
            faults: self.faults,
            stop: self.stop,
            threads: self.threads,
            batch_bytes: self.batch_bytes,
        }
    }

    fn receipt(&self, proof: Proof) -> Result<Receipt> {
        let job = self.job;
        let sums = if proof == Proof::Sealed { job.packs_summed()? } else { job.files_summed()? };
        let (sound, damaged) = self.packs(proof)?;
        let id: Vec<u8> = job.fact("drill_id")?.unwrap_or_default();
        let currency: Option<String> = job.fact("drill_currency")?;
        let cost = job.fact::<i64>("drill_cost")?.map(i64::cast_unsigned);
        Ok(Receipt {
            id: id.as_slice().try_into().map_err(|_| Error::damaged("read the drill's id from its job file"))?,
            at: self.clock.wall(),
            proof,
            verdict: verdict(&sums, &damaged),
            files: if proof == Proof::Sealed { 0 } else { sums.as_recorded + sums.as_live },
            live: sums.as_live,
            failed: sums.failed,
            bytes: sums.bytes,
            sound,
            damaged,
            cost: cost.zip(currency),
        })
    }

    /// Sound ones and damaged ones. A file that came back from copies of its chunks elsewhere does not make the pack that
    /// should have had them sound.
    fn packs(&self, proof: Proof) -> Result<(Vec<Sha256>, Vec<Sha256>)> {
        let tried = self.job.tried_packs()?;
        if proof == Proof::Sealed {
            let of = |state| tried.iter().filter(|p| p.state == state).map(|p| p.hash).collect();
            return Ok((of(PackState::Sound), of(PackState::Damaged)));
        }
        let mut damaged: BTreeSet<Sha256> = self.job.packs_replaced()?.into_iter().collect();
        for (_, reason) in self.job.failures_after(None, FILES)? {
            damaged.extend(pack_of(&reason));
        }
        let (bad, sound): (Vec<_>, Vec<_>) = tried.iter().map(|p| p.hash).partition(|hash| damaged.contains(hash));
        Ok((sound, bad))
    }
}

/// The pack a failure of a restore is about.
fn pack_of(reason: &str) -> Option<Sha256> {
    let name = reason.strip_prefix("pack ")?.split(':').next()?;
    match Name::parse(name)? {
        Name::Pack(_, hash) => Some(hash),
        _ => None,
    }
}

fn verdict(sums: &TriedSums, damaged: &[Sha256]) -> Verdict {
    if sums.failed > 0 || !damaged.is_empty() {
        Verdict::Failed
    } else if sums.untried > 0 || sums.as_recorded + sums.as_live == 0 {
        Verdict::Partly
    } else {
        Verdict::Proved
    }
}

/// What was found, one line each: the path or the pack, and why. The first so many.
pub fn findings(job: &JobFile, most: usize) -> Result<Vec<(String, FileState, String)>> {
    job.wrong(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_that_tried_nothing_or_not_all_is_not_called_proved() {
        let sums = |as_recorded, failed, untried| TriedSums { as_recorded, failed, untried, ..TriedSums::default() };
        assert_eq!(verdict(&sums(3, 0, 0), &[]), Verdict::Proved);
        assert_eq!(verdict(&sums(3, 0, 1), &[]), Verdict::Partly);
        assert_eq!(verdict(&sums(0, 0, 0), &[]), Verdict::Partly);
        assert_eq!(verdict(&sums(3, 1, 1), &[]), Verdict::Failed);
        assert_eq!(verdict(&sums(3, 0, 0), &[Sha256([1; 32])]), Verdict::Failed);
    }

    #[test]
    fn the_pack_of_a_failure_is_told_from_its_reason() {
        let name = format!("data_{}", Sha256([7; 32]));
        assert_eq!(pack_of(&format!("pack {name}: read {name}: missing")), Some(Sha256([7; 32])));
        assert_eq!(pack_of("place /a in the restore target: no"), None);
    }
}
