//! Dying while a copy of the program goes into the vault: the next start sweeps the spool, looks, and sends it, once.

use panicroom::clock::SystemClock;
use panicroom::error::Kind;
use panicroom::spool::Spool;
use panicroom::store::memory::MemoryStore;
use panicroom::upkeep::program::{Kept, ProgramKeeping};
use panicroom::worker::{Faults, Stop};
use std::collections::BTreeSet;
use std::fs;

pub const STEPS: [&str; 3] = ["program.copy", "program.put", "program.unspool"];

/// The head of a static program for x86_64: no program headers at all, and something after it.
fn program() -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01".to_vec();
    bytes.resize(64, 0);
    bytes[18] = 62;
    bytes.extend(vec![7; 300_000]);
    bytes
}

#[test]
fn a_copy_of_the_program_is_whole_and_one_wherever_its_keeping_dies() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program");
    fs::write(&path, program()).unwrap();
    let mut died = BTreeSet::new();
    for at in 1..=STEPS.len() as u64 {
        let (store, folder) = (MemoryStore::new(SystemClock::shared()), dir.path().join(format!("spool{at}")));
        let keep = |faults: &Faults| {
            let spool = Spool::open(&folder).unwrap();
            spool.sweep(&BTreeSet::new()).unwrap();
            ProgramKeeping { store: &store, spool: &spool, faults, stop: &Stop::new() }.keep(&path)
        };
        let faults = Faults::die_at(at);
        assert_eq!(keep(&faults).unwrap_err().kind(), Kind::Stopping);
        let step = faults.told().1.unwrap();
        died.insert(step);
        let sent_before = step == "program.unspool";
        assert_eq!(keep(&Faults::default()).unwrap() == Kept::Before, sent_before, "died at {step}");
        let names = store.names();
        assert_eq!((names.len(), store.bytes(&names[0])), (1, Some(program())), "died at {step}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "died at {step}");
    }
    assert_eq!(died, BTreeSet::from(STEPS));
}
