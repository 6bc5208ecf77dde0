//! Whether vaults are sound, as the console speaks of it: the last looks, what waits for the owner, what cannot be
//! brought back; and a look somebody asks for.

use crate::backup::Engine;
use crate::catalog::{Casualty, Check, Checked, Defect, Rereading, Rot, Word};
use crate::config::VerifySettings;
use crate::daemon::checks::{self, Asked, Outcome, count};
use crate::daemon::console::{CheckStatus, DefectShown, LostVersion, RottenFile, Verified, VerifyAsk, VerifyStatus};
use crate::daemon::reread;
use crate::daemon::run::{Daemon, Vault};
use crate::daemon::spell::{legible, rfc3339};
use crate::error::{Error, Kind, Result};
use crate::upkeep::reread::{Portion, as_of};
use crate::upkeep::verify::{Scope, proves};

/// Versions shown of those that cannot be brought back.
const MOST_LOST: usize = 1000;
/// Defects looked through for their kinds.
const MOST_DEFECTS: usize = 100;
/// The level that looks at the roots, not at the vault.
pub const REREAD: &str = "reread";

/// One run, as it is shown.
pub fn shown(run: &Checked, opened: bool) -> CheckStatus {
    let (proved, not) = proves(run.check, opened);
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    CheckStatus {
        at: rfc3339(run.ended),
        looked: run.looked,
        bytes: run.bytes,
        wrong: run.wrong,
        not_looked: run.skipped,
        foreign: run.foreign,
        unnamed: run.unnamed,
        note: said(&run.note),
        never: None,
        oldest: None,
        next: None,
        proves: proved.to_owned(),
        does_not_prove: said(not),
    }
}

fn reread_shown(run: &Rereading) -> CheckStatus {
    CheckStatus {
        at: rfc3339(run.ended),
        looked: run.looked,
        bytes: run.bytes,
        wrong: run.wrong,
        not_looked: run.skipped,
        note: (!run.note.is_empty()).then(|| run.note.clone()),
        proves: "the files on this machine still are, byte for byte, what was captured of them".to_owned(),
        does_not_prove: Some("that the vault has it: the other levels look there".to_owned()),
        ..CheckStatus::default()
    }
}

fn rotten_file(rot: &Rot) -> RottenFile {
    let (path, path_b64) = legible(&rot.path);
    RottenFile {
        path,
        path_b64,
        wrong: rot.what.word().to_owned(),
        said: rot.said.clone(),
        captured: rfc3339(as_of(rot.captured)),
        since: rfc3339(rot.at),
    }
}

pub fn defect_shown(defect: &Defect) -> DefectShown {
    DefectShown {
        name: defect.name.clone(),
        wrong: defect.wrong.word().to_owned(),
        said: defect.said.clone(),
        since: rfc3339(defect.at),
    }
}

/// Since when each is known: a look tells when it found it, the catalog when it was found first.
fn shown_since(defects: &[Defect], before: &[Defect]) -> Vec<DefectShown> {
    let known = |d: &Defect| before.iter().find(|b| (&b.name, b.wrong) == (&d.name, d.wrong)).map_or(d.at, |b| b.at);
    defects.iter().map(|d| DefectShown { since: rfc3339(known(d)), ..defect_shown(d) }).collect()
}

fn lost_version(vault: &str, one: &Casualty) -> LostVersion {
    let (path, path_b64) = legible(&one.path);
    LostVersion {
        vault: vault.to_owned(),
        path,
        path_b64,
        captured: rfc3339(one.captured),
        latest: one.is_latest,
        pack: one.pack.clone(),
        why: one.why.clone(),
    }
}

pub(super) fn lost(engine: &Engine, most: usize) -> Result<Vec<LostVersion>> {
    Ok(engine.catalog.casualties(most)?.iter().map(|c| lost_version(&engine.name, c)).collect())
}

pub(super) fn status(engine: &Engine, settings: &VerifySettings) -> Result<VerifyStatus> {
    let of = |check: Check| -> Result<Option<CheckStatus>> {
        let Some(run) = engine.catalog.last_check(check)? else { return Ok(None) };
        let next = checks::next_run(check, settings, engine, Some(&run)).map(rfc3339);
        let coverage = if check == Check::Inventory { None } else { Some(engine.catalog.coverage(check)?) };
        Ok(Some(CheckStatus {
            next,
            never: coverage.map(|c| c.never),
            oldest: coverage.and_then(|c| c.oldest).map(rfc3339),
            ..shown(&run, false)
        }))
    };
    let (waiting, sums) = (engine.catalog.waiting_losses()?, engine.catalog.loss_sums()?);
    let (defects, all) = engine.catalog.defects(MOST_DEFECTS)?;
    let (rot, rotten) = engine.catalog.rot(MOST_DEFECTS)?;
    let last = engine.catalog.last_rereading()?;
    let status = VerifyStatus {
        inventory: of(Check::Inventory)?,
        checksum: of(Check::Checksum)?,
        read: of(Check::Read)?,
        reread: last.map(|run| CheckStatus {
            next: reread::next_run(settings.reread, run.ended).map(rfc3339),
            ..reread_shown(&run)
        }),
        rotten,
        rot: rot.iter().map(rotten_file).collect(),
        defects: all,
        waiting_packs: waiting.packs,
        waiting_bytes: waiting.bytes,
        healing_packs: sums.healing,
        lost_versions: sums.casualties,
        unacknowledged: sums.unseen,
        unsound: None,
    };
    Ok(VerifyStatus { unsound: unsound(&status, &defects, rot.first()), ..status })
}

/// The worst in a sentence, with what to do after a semicolon.
fn unsound(status: &VerifyStatus, defects: &[Defect], rot: Option<&Rot>) -> Option<String> {
    if status.waiting_packs > 0 {
        return Some(format!(
            "{}; look at the vault first: when it is the right one and they are really gone, 'panicroom verify --heal' sends them again",
            checks::waits(status.waiting_packs, status.waiting_bytes)
        ));
    }
    if let Some(first) = defects.iter().find(|d| d.pack.is_none() || !d.wrong.is_loss()) {
        let others = if status.defects > 1 { format!(" (and {} more)", status.defects - 1) } else { String::new() };
        return Some(format!(
            "{} is {}{others}; {}. 'panicroom verify' looks again",
            first.name,
            first.wrong.word(),
            first.said
        ));
    }
    if status.unacknowledged > 0 {
        return Some(format!(
            "{} cannot be brought back from it; 'panicroom verify' names them, 'panicroom verify --acknowledge' ends this alarm",
            count(status.unacknowledged, "version of a file", "versions of files")
        ));
    }
    rot.map(|rot| {
        let others = if status.rotten > 1 { format!(" ({} more)", status.rotten - 1) } else { String::new() };
        format!("{}{others}", reread::in_words(rot))
    })
}

/// Looks through the vaults that are asked for, one after the other; one that fails never hides the others.
pub(super) fn ask(daemon: &Daemon, asked: &VerifyAsk) -> Result<Vec<Verified>> {
    let check = Check::from_word(&asked.level);
    if check.is_none() && asked.level != REREAD {
        return Err(Error::operator(format!("verify: there is no level '{}'", asked.level)));
    }
    let chosen: Vec<&std::sync::Arc<Vault>> =
        daemon.vaults.iter().filter(|v| asked.vault.as_ref().is_none_or(|name| *name == v.settings.name)).collect();
    if chosen.is_empty() {
        let known: Vec<&str> = daemon.vaults.iter().map(|v| v.settings.name.as_str()).collect();
        return Err(Error::operator("verify a vault: no vault of this name is configured")
            .remedy(format!("there are {}", known.join(", "))));
    }
    let one = |vault: &Vault| -> Verified {
        let name = vault.settings.name.clone();
        let done = vault
            .engine()
            .ok_or_else(|| match vault.worst() {
                Some(trouble) => Error::new(trouble.kind, trouble.text),
                None => Error::retry(format!("verify the vault {name}: it is not open yet")),
            })
            .and_then(|engine| match check {
                Some(check) => verified(vault, &engine, check, asked),
                None => read_again(vault, &engine, asked),
            });
        done.unwrap_or_else(|e| Verified {
            vault: name,
            level: asked.level.clone(),
            needs_owner: matches!(e.kind(), Kind::Operator | Kind::Damaged),
            error: Some(e.to_string()),
            ..Verified::default()
        })
    };
    Ok(chosen.into_iter().map(|vault| one(vault)).collect())
}

fn read_again(vault: &Vault, engine: &Engine, asked: &VerifyAsk) -> Result<Verified> {
    let report = reread::ask(vault, engine, asked.sample.map_or(Portion::All, Portion::Files))?;
    let (standing, all) = engine.catalog.rot(MOST_DEFECTS)?;
    let shown = |rot: &Rot| DefectShown {
        name: legible(&rot.path).0,
        wrong: rot.what.word().to_owned(),
        said: format!("{} (captured {})", rot.said, rfc3339(as_of(rot.captured))),
        since: rfc3339(rot.at),
    };
    Ok(Verified {
        vault: engine.name.clone(),
        level: REREAD.to_owned(),
        sound: report.run.wrong == 0 && all == 0,
        needs_owner: all > 0,
        result: reread_shown(&report.run),
        defects: standing.iter().map(shown).collect(),
        ..Verified::default()
    })
}

fn verified(vault: &Vault, engine: &Engine, check: Check, asked: &VerifyAsk) -> Result<Verified> {
    let scope = asked.sample.map_or(Scope::All, Scope::Sample);
    let word = if asked.heal { Word::Owner } else { Word::OfItself };
    let (before, _) = engine.catalog.defects(MOST_DEFECTS)?;
    let Outcome { report, healed } = checks::ask(vault, engine, Asked { check, scope, word })?;
    let lost = lost(engine, MOST_LOST)?;
    if asked.acknowledge {
        engine.catalog.acknowledge_losses()?;
    }
    let (standing, all) = engine.catalog.defects(MOST_DEFECTS)?;
    let sums = engine.catalog.loss_sums()?;
    let alarms = standing.iter().any(|d| d.pack.is_none() || !d.wrong.is_loss());
    Ok(Verified {
        vault: engine.name.clone(),
        level: check.word().to_owned(),
        sound: report.is_sound() && all == 0 && sums.unseen == 0 && sums.healing == 0,
        needs_owner: healed.waiting.packs > 0 || alarms || sums.unseen > 0,
        result: shown(&report.run, report.opened),
        defects: shown_since(if report.defects.is_empty() { &standing } else { &report.defects }, &before),
        healed_packs: healed.packs,
        healed_files: healed.paths,
        waiting_packs: healed.waiting.packs,
        waiting_bytes: healed.waiting.bytes,
        lost_versions: sums.casualties,
        lost,
        error: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Wrong;
    use crate::clock::Wall;

    #[test]
    fn what_is_wrong_is_shown_since_it_was_found_first() {
        let defect = |name: &str, at| Defect {
            name: name.to_owned(),
            found: Check::Inventory,
            wrong: Wrong::Missing,
            pack: None,
            size: 0,
            at: Wall(at),
            said: String::new(),
        };
        let shown = shown_since(&[defect("old", 9000), defect("new", 9000)], &[defect("old", 1000)]);
        let since: Vec<&str> = shown.iter().map(|d| d.since.as_str()).collect();
        assert_eq!(since, ["1970-01-01T00:00:01Z", "1970-01-01T00:00:09Z"]);
    }
}
