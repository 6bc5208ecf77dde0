//! Dying while the vault is looked through and what it lost is healed: nothing that was safe gets out of reach, nothing is
//! called lost that is not, and in the end the vault is what the source is.

use super::bed::{Bed, VAULT, noise, write};
use super::deaths::{Cut, Deaths};
use super::odd_list::OddList;
use super::tree::look;
use panicroom::catalog::{Again, Check, Word};
use panicroom::error::{Kind, Result};
use panicroom::seal::SystemEntropy;
use panicroom::store::ObjectName;
use panicroom::upkeep::heal::Healing;
use panicroom::upkeep::verify::{Keeping, Scope, Verifying};
use panicroom::worker::Faults;
use std::fs;
use std::time::Duration;

pub const STEPS: [&str; 8] = [
    "verify.begin",
    "verify.learn",
    "verify.suspect",
    "verify.looked",
    "verify.end",
    "heal.risk",
    "heal.lost",
    "heal.judge",
];

/// A look through everything, and what follows from it.
fn look_and_heal(bed: &Bed) -> Result<()> {
    let (engine, store) = (bed.engine(), OddList::over(&bed.store.memory));
    let tag = |name: ObjectName| (name.to_string(), format!("tag of {name}"));
    *store.etags.lock().unwrap() = bed.store.memory.names().into_iter().map(tag).collect();
    let healing = Healing { catalog: &engine.catalog, clock: &*engine.clock, faults: &engine.faults };
    for check in Check::ALL {
        bed.clock.advance(Duration::from_secs(1));
        let verifying = Verifying {
            store: &store,
            catalog: &engine.catalog,
            keeping: Keeping::Catalog,
            vault: VAULT,
            open: None,
            entropy: &SystemEntropy,
            clock: &*engine.clock,
            faults: &engine.faults,
            stop: &engine.stop,
        };
        verifying.run(check, Scope::All)?;
        healing.give_up(Word::OfItself)?;
    }
    Ok(())
}

fn judge(bed: &Bed) -> Result<()> {
    let engine = bed.engine();
    let healing = Healing { catalog: &engine.catalog, clock: &*engine.clock, faults: &engine.faults };
    healing.judge(Again::Yes).map(drop)
}

/// Dies at `cut`; the step, none when all was over before.
fn run_and_die(cut: Cut) -> Vec<&'static str> {
    let mut bed = Bed::new();
    for n in 0..5 {
        write(&bed.source().join(format!("file{n}")), &noise(n, 1_200_000));
    }
    bed.pass().unwrap();
    let packs: Vec<_> = bed.store.memory.names().into_iter().filter(|n| n.as_str().starts_with("data_")).collect();
    fs::remove_file(bed.source().join("file0")).unwrap();
    bed.pass().unwrap();
    bed.store.memory.lose(&packs[0]);
    bed.store.memory.damage(&packs[1], |bytes| bytes[9000] ^= 1);
    // At first while it is looked at, and then once more over the judgement; how a pass dies is tried elsewhere.
    let faults = cut.faults();
    bed.engine.as_mut().expect("an engine is open").faults = faults.clone();
    let mut lives = 0;
    while let Err(e) = look_and_heal(&bed) {
        assert_eq!(e.kind(), Kind::Stopping, "{e}");
        lives += 1;
        assert!(lives < 3, "it dies but once");
        let defects = bed.engine().catalog.defects(9).unwrap().0;
        assert!(defects.iter().all(|d| packs[..2].iter().any(|p| d.name == p.as_str())), "{defects:?}");
        bed.reopen(Faults::default());
    }
    bed.reopen(Faults::default());
    bed.pass().unwrap();
    bed.engine.as_mut().expect("an engine is open").faults = Faults::die_at(1);
    assert_eq!(judge(&bed).unwrap_err().kind(), Kind::Stopping);
    assert_eq!(bed.engine().faults.told().1, Some("heal.judge"));
    bed.reopen(Faults::default());
    judge(&bed).unwrap();
    let now = look(&bed.source());
    bed.check_end(&now);
    bed.check_rebuilt(&now);
    let sums = bed.engine().catalog.loss_sums().unwrap();
    assert_eq!((sums.healing, bed.engine().catalog.defects(9).unwrap().1), (0, 0), "{sums:?}");
    assert_eq!(bed.engine().catalog.waiting_losses().unwrap().packs, 0);
    faults.told().1.into_iter().collect()
}

#[test]
fn promises_hold_wherever_a_look_through_the_vault_and_its_healing_die() {
    let deaths = Deaths::default();
    let steps: Vec<_> = STEPS.into_iter().filter(|step| *step != "heal.judge").collect();
    deaths.at_every_step(&steps, || (), |(), cut| run_and_die(cut));
    deaths.were_at(&steps);
}
