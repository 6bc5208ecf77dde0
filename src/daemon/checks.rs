//! The timetable by which vaults are looked at, and what follows from what is found: a worker of each vault, one small
//! step at a time, and the same when the operator asks.
//!
//! An inventory is one step. A round over packs takes one pack a step: so many a day that all have had their turn within
//! the configured time, those looked at longest ago first, so a restart costs nothing. Between two packs it waits: as long
//! as the read took, or a moment after a HEAD. A paused vault is left alone, and what was missed is made up for after;
//! last runs are in the catalog, so also what was missed while the daemon was off.

use super::run::{Step, Vault};
use super::uplink::May;
use crate::backup::Engine;
use crate::catalog::{Again, Check, Checked, Coverage, Defect, Level, Word};
use crate::clock::Wall;
use crate::config::VerifySettings;
use crate::error::{Error, Result};
use crate::model::Size;
use crate::seal::random;
use crate::store::ObjectStore;
use crate::store::retry::{Backoff, Patience, Patient};
use crate::upkeep::heal::{Healed, Healing};
use crate::upkeep::verify::{Keeping, Report, Round, Scope, TOLD, Turn, Verifying, is_not_the_vault};
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// Between two looks at single packs.
const BETWEEN_HEADS: Duration = Duration::from_millis(250);
/// Between two looks at the timetable.
pub(super) const LOOK: Duration = Duration::from_secs(10);
/// How often one call of a check without pauses is tried.
const TRIES: Patience = Patience::Tries(5);
/// Defects told one by one in events.
pub(super) const TOLD_SINGLY: usize = 5;

/// What the worker of one vault holds between two steps.
#[derive(Default)]
pub struct Timetable {
    round: Option<(Check, Round)>,
    /// Whether what an earlier run found, and did not live to follow up, was looked at.
    took_over: bool,
}

/// What an operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub check: Check,
    pub scope: Scope,
    pub word: Word,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub report: Report,
    pub healed: Healed,
}

fn verifying<'a>(engine: &'a Engine, store: &'a dyn ObjectStore) -> Verifying<'a> {
    Verifying {
        store,
        catalog: &engine.catalog,
        keeping: Keeping::Catalog,
        vault: engine.keys.vault,
        open: None,
        entropy: &*engine.entropy,
        clock: &*engine.clock,
        faults: &engine.faults,
        stop: &engine.stop,
    }
}

fn healing(engine: &Engine) -> Healing<'_> {
    Healing { catalog: &engine.catalog, clock: &*engine.clock, faults: &engine.faults }
}

/// How often a check runs, and within what time every pack has had its turn; None: not for this vault.
fn timetable_of(check: Check, settings: &VerifySettings, engine: &Engine) -> Option<(Duration, Duration)> {
    let every = match check {
        Check::Inventory => settings.inventory,
        // A folder keeps no checksums; a bucket is read only when somebody asks: that costs money.
        Check::Checksum => settings.checksum.filter(|_| engine.store.may_freeze()),
        Check::Read => settings.read.filter(|_| !engine.store.may_freeze()),
    }?;
    Some((if check == Check::Inventory { every } else { every.min(DAY) }, every))
}

/// When it is due next; None: at once.
pub fn next_run(check: Check, settings: &VerifySettings, engine: &Engine, last: Option<&Checked>) -> Option<Wall> {
    let (period, _) = timetable_of(check, settings, engine)?;
    last.map(|last| last.ended.plus(period))
}

pub(super) fn is_due(now: Wall, last: Option<Wall>, period: Duration) -> bool {
    // A clock that was put back must not put a look off for years.
    last.is_none_or(|last| last > now || now.since(last) >= period)
}

/// So many packs each time that all have had their turn after `every`.
fn share(coverage: Coverage, period: Duration, every: Duration) -> u64 {
    let part = u128::from(coverage.packs) * period.as_millis();
    u64::try_from(part.div_ceil(every.as_millis().max(1))).unwrap_or(u64::MAX)
}

/// One step of the worker.
pub(super) fn step(settings: &VerifySettings, vault: &Vault, engine: &Engine, table: &mut Timetable) -> Result<Step> {
    // Before everything was walked nobody knows what of a loss is owed a look.
    if vault.may() != May::Everything || !engine.all_walked() {
        return Ok(Step::Wait(LOOK));
    }
    let Ok(_alone) = vault.checking.try_lock() else { return Ok(Step::Wait(LOOK)) };
    if !table.took_over {
        healing(engine).give_up(Word::OfItself)?;
        table.took_over = true;
    }
    judge(engine, Again::No)?;
    is_it_back(vault, engine)?;
    if let Some((check, round)) = &mut table.round {
        let begun = engine.clock.steady();
        if verifying(engine, &*engine.store).step(round)? == Turn::More {
            let took = engine.clock.steady().since(begun);
            return Ok(Step::Wait(if *check == Check::Read { took } else { BETWEEN_HEADS }));
        }
    }
    if let Some((_, round)) = table.round.take() {
        let known = known(engine)?;
        let report = verifying(engine, &*engine.store).end(round)?;
        follow(engine, &report, &known, Word::OfItself)?;
        return Ok(Step::Again);
    }
    begin_what_is_due(settings, vault, engine, table)
}

fn begin_what_is_due(settings: &VerifySettings, vault: &Vault, engine: &Engine, table: &mut Timetable) -> Result<Step> {
    if engine.catalog.last_segment()?.is_none() {
        return Ok(Step::Wait(LOOK));
    }
    for check in Check::ALL {
        let Some((period, every)) = timetable_of(check, settings, engine) else { continue };
        let last = engine.catalog.last_check(check)?;
        if !is_due(engine.clock.wall(), last.map(|last| last.ended), period) {
            continue;
        }
        if check == Check::Inventory {
            run(vault, engine, check, Scope::All, Word::OfItself)?;
        } else {
            let coverage = engine.catalog.coverage(check)?;
            if coverage.packs == 0 {
                continue;
            }
            let scope = Scope::Sample(share(coverage, period, every));
            table.round = Some((check, verifying(engine, &*engine.store).begin(check, scope)));
        }
        return Ok(Step::Again);
    }
    Ok(Step::Wait(LOOK))
}

/// What the operator asks for, at once and without waiting between packs. Operator: a check is under way already.
pub fn ask(vault: &Vault, engine: &Engine, asked: Asked) -> Result<Outcome> {
    let Ok(_alone) = vault.checking.try_lock() else {
        return Err(Error::retry(format!("verify the vault {}: a check is under way", engine.store.url()))
            .remedy("try again in a moment"));
    };
    if let Some(why) = vault.link_hold() {
        return Err(Error::retry(format!("verify the vault {}: {why}", engine.store.url()))
            .remedy("look again on a network that may be used, or change [links]"));
    }
    judge(engine, Again::No)?;
    is_it_back(vault, engine)?;
    run(vault, engine, asked.check, asked.scope, asked.word)
}

/// A vault that was not the one it should be is looked at with a few calls until it is again.
fn is_it_back(vault: &Vault, engine: &Engine) -> Result<()> {
    if vault.barred.load(Ordering::SeqCst) {
        engine.look_at_vault()?;
        vault.barred.store(false, Ordering::SeqCst);
        engine.tell(Level::Good, "the vault is there again, as this machine knows it");
        engine.bells.ring_all();
    }
    Ok(())
}

fn run(vault: &Vault, engine: &Engine, check: Check, scope: Scope, word: Word) -> Result<Outcome> {
    let known = known(engine)?;
    let backoff = Backoff::new(u64::from_le_bytes(random(&*engine.entropy)));
    let store = Patient::new(&*engine.store, TRIES, backoff, engine.stop.clone(), |_| {});
    let report = verifying(engine, &store).run(check, scope).inspect_err(|e| {
        if is_not_the_vault(e) {
            vault.barred.store(true, Ordering::SeqCst);
        }
    })?;
    let healed = follow(engine, &report, &known, word)?;
    Ok(Outcome { report, healed })
}

/// Names of what was wrong before.
fn known(engine: &Engine) -> Result<Vec<String>> {
    Ok(engine.catalog.defects(TOLD)?.0.into_iter().map(|d| d.name).collect())
}

/// What is found is told, and given up where it may be.
fn follow(engine: &Engine, report: &Report, known: &[String], word: Word) -> Result<Healed> {
    let new: Vec<&Defect> = report.defects.iter().filter(|d| !known.contains(&d.name)).collect();
    for defect in new.iter().take(TOLD_SINGLY) {
        let level = if defect.wrong.is_loss() && defect.pack.is_some() { Level::Warning } else { Level::Alarm };
        engine.tell(level, &format!("{}: {}: {}", defect.name, defect.wrong.word(), defect.said));
    }
    if new.len() > TOLD_SINGLY {
        engine.tell(Level::Warning, &format!("{} of {} defects found are new", new.len(), report.run.wrong));
    }
    let healed = healing(engine).give_up(word)?;
    if healed.packs > 0 {
        engine.tell(
            Level::Warning,
            &format!(
                "{} missing or damaged in the vault; what needs it ({}) is read again and sent anew",
                count(healed.packs, "pack is", "packs are"),
                count(healed.paths, "file", "files")
            ),
        );
        engine.bells.capture.ring();
        engine.bells.publish.ring();
    }
    if healed.waiting.packs > 0 && !new.is_empty() {
        engine.tell(Level::Alarm, &waits(healed.waiting.packs, healed.waiting.bytes));
    }
    if report.run.check == Check::Inventory {
        judge(engine, Again::Yes)?;
    }
    Ok(healed)
}

/// What is said of packs that wait for the owner.
pub fn waits(packs: u64, bytes: u64) -> String {
    format!(
        "{} ({}) {} missing or damaged in the vault: too many to be sent again unasked",
        count(packs, "pack", "packs"),
        Size(bytes),
        if packs == 1 { "is" } else { "are" }
    )
}

fn judge(engine: &Engine, again: Again) -> Result<()> {
    let before = engine.catalog.loss_sums()?;
    if before.healing == 0 && (before.casualties == 0 || again == Again::No) {
        return Ok(());
    }
    let judged = healing(engine).judge(again)?;
    if judged.healed > 0 {
        engine.tell(
            Level::Good,
            &format!("healed: all that {} held is in the vault again", count(judged.healed, "lost pack", "lost packs")),
        );
    }
    let after = engine.catalog.loss_sums()?;
    if after.casualties > before.casualties {
        engine.tell(
            Level::Alarm,
            &format!(
                "{} cannot be brought back: their bytes lay only in packs that are lost; 'panicroom verify' names them",
                count(after.casualties, "version of a file", "versions of files")
            ),
        );
    }
    Ok(())
}

pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_run_is_made_up_for_and_a_clock_put_back_puts_none_off() {
        let day = i64::try_from(DAY.as_millis()).unwrap();
        assert!(is_due(Wall(0), None, DAY));
        assert!(!is_due(Wall(day), Some(Wall(5)), DAY));
        assert!(is_due(Wall(day + 5), Some(Wall(5)), DAY));
        assert!(is_due(Wall(90 * day), Some(Wall(5)), DAY), "a machine that was off");
        assert!(is_due(Wall(0), Some(Wall(day)), DAY), "a last run in the future");
    }

    #[test]
    fn every_pack_has_its_turn_within_the_time() {
        let of = |packs, every: u32| share(Coverage { packs, ..Coverage::default() }, DAY, DAY * every);
        assert_eq!((of(400_000, 90), of(10, 90), of(0, 90), of(7, 1)), (4445, 1, 0, 7));
    }
}
