//! Dying in a drill of a frozen vault: while it is planned, thawed, read, compared, written down and cleared away. The next
//! life goes on, pays for nothing twice, ends with the one receipt, and leaves nothing behind (promises 4 and 11).

use super::deaths::{Cut, Deaths};
use super::fast_clock::FastClock;
use super::vault_builder::{VaultBuilder, noise};
use panicroom::catalog::Catalog;
use panicroom::catalog::jobs::JobFile;
use panicroom::clock::{Clock, Wall};
use panicroom::error::{Kind, Result};
use panicroom::format::segment::Receipt;
use panicroom::model::{Proof, Speed, Verdict};
use panicroom::place::{Target, scratch};
use panicroom::restore::drill::{Bounds, Drilling, Gathering};
use panicroom::restore::thaw::agree;
use panicroom::restore::thaw::pace::Terms;
use panicroom::restore::{Plan, Progress};
use panicroom::store::memory::MemoryStore;
use panicroom::upkeep::rebuild::rebuild;
use panicroom::worker::{Faults, Stop};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub const STEPS: [&str; 5] = ["drill.begin", "drill.pack", "drill.compared", "drill.receipt", "scratch.remove"];

const PACKS: u64 = 3;

struct Trip {
    vault: VaultBuilder,
    clock: Arc<FastClock>,
    catalog: Catalog,
    dir: tempfile::TempDir,
    proof: Proof,
}

impl Trip {
    fn new(proof: Proof) -> Self {
        let clock = FastClock::at(Wall(1_700_000_000_000));
        let mut vault = VaultBuilder::on(MemoryStore::new(clock.clone()).cold(Duration::from_secs(48 * 3600)));
        vault.folder("/d");
        for n in 0..PACKS {
            vault.file(&format!("/d/file{n}"), &noise(n, 5000));
            vault.file(&format!("/d/small{n}"), &noise(50 + n, 600));
            vault.cut_pack();
        }
        vault.publish();
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&dir.path().join("catalog.db")).unwrap();
        rebuild(&vault.store, &vault.keys.seal, &catalog, &[], &Stop::new(), &|_, _| {}).unwrap();
        Self { vault, clock, catalog, dir, proof }
    }

    fn job(&self) -> PathBuf {
        self.dir.path().join("drill.db")
    }
    fn folder(&self) -> PathBuf {
        scratch::path(&self.dir.path().canonicalize().unwrap(), "trip")
    }

    /// As the command does it: a job that has its plan is gone on with, any other begun anew.
    fn live(&self, faults: &Faults) -> Result<Receipt> {
        let none = Faults::default();
        let mut job = JobFile::open(&self.job())?;
        let is_planned = Plan::of(&job)?.is_some();
        if !is_planned {
            drop(job);
            scratch::remove(&self.folder(), &none)?;
            JobFile::remove(&self.job(), &none)?;
            job = JobFile::open(&self.job())?;
        }
        let folder = scratch::make(&self.dir.path().canonicalize().unwrap(), "trip")?;
        let target = Target::open(&folder)?;
        let stop = Stop::new();
        let drill = Drilling {
            catalog: &self.catalog,
            store: &self.vault.store,
            keys: &self.vault.keys.seal,
            scratch: &folder,
            target: &target,
            job: &job,
            progress: &Progress::default(),
            clock: &*self.clock,
            faults,
            stop: &stop,
            threads: 1,
            batch_bytes: 6000,
        };
        if !is_planned {
            let affordable = |_, _| true;
            let gathering = Gathering {
                catalog: &self.catalog,
                proof: self.proof,
                bounds: Bounds { bytes: 1 << 20, files: 100, packs: 2 },
                now: self.clock.wall(),
                seed: 4,
                affordable: &affordable,
                stop: &stop,
            };
            drill.plan(&gathering.choose()?, self.proof, [9; 16])?;
        }
        if Terms::read(&job)?.is_none() {
            let usual = Terms::of(Some("DEEP_ARCHIVE"), Speed::Bulk);
            agree(&job, &Terms { poll: Duration::from_secs(24 * 3600), ..usual }, u64::MAX, faults)?;
        }
        let receipt = drill.carry_out(Some(&self.vault.keys))?;
        Catalog::hand_over(self.catalog.path(), &receipt)?;
        scratch::remove(&folder, faults)?;
        drop(job);
        JobFile::remove(&self.job(), faults)?;
        Ok(receipt)
    }

    fn all_well(&self, receipt: &Receipt, died: &[&str]) {
        assert_eq!((receipt.verdict, receipt.sound.len()), (Verdict::Proved, 2), "died at {died:?}: {receipt:?}");
        assert_eq!(self.catalog.drills(9).unwrap(), std::slice::from_ref(receipt), "died at {died:?}");
        let paid: Vec<_> = self.vault.store.thaws();
        let packs: BTreeSet<_> = paid.iter().map(|t| t.name.clone()).collect();
        assert_eq!((paid.len(), packs.len()), (2, 2), "died at {died:?}: something is paid for twice");
        assert_eq!(self.vault.store.frozen_reads(), 0, "died at {died:?}");
        let left: Vec<_> = fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        let ours = |name: &std::ffi::OsString| !name.to_str().unwrap().starts_with("catalog.db");
        assert!(!left.iter().any(ours), "died at {died:?}: {left:?}");
    }
}

/// Dies at `cut`, and soon again in the next life; the steps it died at, none when the drill ended before.
fn run_and_die(proof: Proof, cut: Cut) -> Vec<&'static str> {
    let (trip, mut steps) = (Trip::new(proof), vec![]);
    for faults in [cut.faults(), Faults::die_at(2 + cut.number() % 5)] {
        match trip.live(&faults) {
            Ok(_) => break,
            Err(e) => assert_eq!(e.kind(), Kind::Stopping, "{cut:?}: {e}"),
        }
        steps.extend(faults.told().1);
    }
    // Cleared away by half, what is left is no job any more: the next drill is a new one.
    if !steps.is_empty() && !steps.contains(&"job.remove") {
        trip.all_well(&trip.live(&Faults::default()).unwrap(), &steps);
    }
    steps
}

#[test]
fn promises_4_and_11_hold_wherever_a_drill_dies() {
    let deaths = Deaths::default();
    // Those of the thaw that a drill buys, too.
    let steps = [&STEPS[..], &["thaw.ask", "settle.note", "plan.thaw"]].concat();
    for proof in [Proof::Sealed, Proof::Contents] {
        deaths.at_every_step(&steps, || (), |(), cut| run_and_die(proof, cut));
    }
    deaths.were_at(&steps);
}
