//! What the workers of the way in do in one step, and when: captured once there is enough for a pack, published on
//! occasion, sent for as long as there is something. Dying in a step is told at what it calls.

use super::{LOOK, Step, Vault};
use crate::backup::upload::{Freight, Uploaded};
use crate::backup::{Engine, publish};
use crate::catalog::Level;
use crate::daemon::uplink::May;
use crate::error::{Kind, Result};
use crate::upkeep::merge::Merging;
use crate::upkeep::program::{Kept, ProgramKeeping};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Captures once there is enough for a pack, or something waited for as long as `gather` says.
pub fn capture_step(vault: &Vault, engine: &Engine) -> Result<Step> {
    if vault.holds_still() {
        return Ok(Step::Wait(LOOK));
    }
    let now = engine.now_ms();
    let (due, next) = engine.catalog.queue(now)?;
    let until_next = next.map_or(LOOK, |at| Duration::from_millis(u64::try_from(at - now).unwrap_or(0)));
    if due.rows == 0 {
        return Ok(Step::Wait(until_next));
    }
    let walking = engine.figures.walking.load(Ordering::SeqCst) > 0;
    // Gathering saves requests; but as long as nothing at all is safe, nothing waits for company but a walk's.
    let nothing_is_safe = !walking && engine.catalog.last_segment()?.is_none();
    if nothing_is_safe || !engine.ranks_to_capture()?.is_empty() {
        let captured = engine.capture_due();
        // Only now is nothing under way any more: the publisher looks again.
        engine.bells.publish.ring();
        captured?;
        return Ok(Step::Wait(Duration::from_millis(5)));
    }
    Ok(Step::Wait(if walking { Duration::from_millis(200) } else { until_next }))
}

pub fn publish_step(vault: &Vault, engine: &Engine) -> Result<Step> {
    if vault.holds_still() || vault.may() == May::Nothing {
        return Ok(Step::Wait(LOOK));
    }
    let uploading = engine.figures.uploading.load(Ordering::SeqCst);
    engine.figures.last_call.store(vault.last_call.is(engine.clock.wall(), uploading), Ordering::SeqCst);
    let occasion = engine.occasion()?;
    let in_a_pass = engine.is_hurried();
    if occasion.is_none() && !in_a_pass {
        let merging = Merging {
            store: &*engine.store,
            keys: &engine.keys,
            catalog: &engine.catalog,
            entropy: &*engine.entropy,
            level: engine.settings.level,
            now: engine.clock.wall(),
            faults: &engine.faults,
            stop: &engine.stop,
        };
        if let Some((from, to)) = merging.merge_due()? {
            tracing::info!(vault = %engine.name, "segments {} to {} of the log were merged", from.0, to.0);
        }
    }
    match occasion {
        Some(publish::Occasion::Heartbeat) if in_a_pass => Ok(Step::Wait(LOOK)),
        Some(_) => {
            engine.publish()?;
            Ok(Step::Wait(LOOK))
        }
        None => Ok(Step::Wait(LOOK)),
    }
}

/// The first thread always helps; the others only where the uplink is fast.
pub fn upload_step(vault: &Vault, engine: &Engine, thread: usize) -> Result<Step> {
    const FAST: u64 = 2_000_000;
    const SOON: Duration = Duration::from_millis(200);
    let slow = vault.throttle.rate().is_some_and(|r| r.get() < FAST);
    let freight = match vault.may() {
        May::Everything => Freight::Everything,
        // One after the other anyway: a segment must never be there before an earlier one.
        May::Log if thread == 0 => Freight::Log,
        May::Log | May::Nothing => return Ok(Step::Wait(LOOK)),
    };
    if vault.holds_still() || (thread > 0 && (slow || vault.sends_one_at_a_time())) {
        return Ok(Step::Wait(LOOK));
    }
    // Near the end of a cap: what others have under way is still to be counted.
    if vault.sends_one_at_a_time() && engine.figures.uploading.load(Ordering::SeqCst) > 0 {
        return Ok(Step::Wait(SOON));
    }
    let freight = match vault.last_call.ends_in_time(engine.clock.wall(), &vault.throttle) {
        Some(most) if freight == Freight::Everything => Freight::UpTo(most),
        _ => freight,
    };
    match engine.upload(&vault.claims, freight)? {
        Uploaded::Pack => {
            vault.last_call.stored();
            // A pack of a slow line takes minutes: the segment that is due by this one goes before the next.
            let segment_is_due = slow && engine.occasion()?.is_some();
            Ok(if segment_is_due { Step::Wait(SOON) } else { Step::Again })
        }
        Uploaded::Segment => Ok(Step::Again),
        Uploaded::TooLarge => {
            vault.last_call.nothing_fits();
            engine.bells.publish.ring();
            Ok(Step::Wait(LOOK))
        }
        Uploaded::Nothing => {
            if thread == 0 && freight != Freight::Log {
                keep_program(vault, engine)?;
            }
            Ok(Step::Wait(LOOK))
        }
    }
}

/// Once a run, when nothing else is to be sent. A program that cannot be taken is said and no hindrance.
fn keep_program(vault: &Vault, engine: &Engine) -> Result<()> {
    let Some(program) = &vault.settings.rescue_program else { return Ok(()) };
    if vault.program_seen.load(Ordering::SeqCst) || engine.is_hurried() || !engine.catalog.is_all_safe()? {
        return Ok(());
    }
    let keeping =
        ProgramKeeping { store: &*engine.store, spool: &engine.spool, faults: &engine.faults, stop: &engine.stop };
    match keeping.keep(program.as_path()) {
        Ok(Kept::Before) => {}
        Ok(Kept::Now(name)) => engine.tell(Level::Good, &format!("the vault keeps a copy of the program: {name}")),
        Err(e) if e.kind() == Kind::Operator => engine.tell(Level::Warning, &e.to_string()),
        Err(e) => return Err(e),
    }
    vault.program_seen.store(true, Ordering::SeqCst);
    Ok(())
}
