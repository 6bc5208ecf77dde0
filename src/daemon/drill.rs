//! Drills as the shell knows them: whether one is due, and how a receipt that was handed over reaches the log where no
//! daemon is at work.

use super::open::{House, Opened};
use super::run::Vault;
use super::uplink::{May, Place, Uplink};
use crate::backup::upload::{Claims, Freight, Uploaded};
use crate::catalog::SpooledObject;
use crate::clock::Wall;
use crate::config::VaultSettings;
use crate::error::Result;
use crate::format::segment::Receipt;
use crate::model::Verdict;
use std::sync::Arc;
use std::time::Duration;

/// Somebody is asked again for a drill that is due after this.
const PATIENCE: Duration = Duration::from_secs(30 * 86_400);

/// How much the way out can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Proved,
    /// The newest one found something wrong, or could not try everything.
    NotProved,
    /// Too long ago, or never since the vault began.
    LongAgo,
}

/// `last`: the newest drill; `proved`: when one last proved all it tried; `begun`: when the vault began.
pub fn standing(
    last: Option<&Receipt>,
    proved: Option<Wall>,
    begun: Option<Wall>,
    warn_after: Duration,
    now: Wall,
) -> Standing {
    if last.is_some_and(|r| r.verdict != Verdict::Proved) {
        return Standing::NotProved;
    }
    match proved.or(begun) {
        Some(at) if now.since(at) > warn_after => Standing::LongAgo,
        _ => Standing::Proved,
    }
}

/// Whether somebody is to be asked for a drill; `asked`: when that was last done.
pub fn is_to_be_asked(standing: Standing, asked: Option<Wall>, now: Wall) -> bool {
    standing != Standing::Proved && asked.is_none_or(|at| now.since(at) >= PATIENCE)
}

/// Whether a receipt is in the log now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    InTheLog,
    /// Nothing may be sent now: it goes with the next publication.
    Later,
}

impl House {
    /// Opens a vault as the daemon does, publishes what may be published, and with it the receipts handed over. The caller
    /// holds the state folder's lock: there is one writer.
    pub fn write_drills(&self, vault: &VaultSettings) -> Result<Written> {
        let uplink = Uplink::open(self, Place::Here)?;
        let kept = [Arc::new(Vault::on(&uplink.line, vault.clone(), &self.settings.uplink))];
        uplink.settle(&kept)?;
        if kept[0].may() == May::Nothing {
            return Ok(Written::Later);
        }
        let Opened { engine, .. } = self.open_engine(vault, kept[0].throttle.clone())?;
        let claims = Claims::default();
        let segments = || -> Result<()> {
            while matches!(engine.catalog.spooled(1)?.first(), Some(SpooledObject::Segment(_))) {
                if engine.upload(&claims, Freight::Log)? == Uploaded::Nothing {
                    break;
                }
            }
            Ok(())
        };
        // One that was under way goes first: what is published later never overtakes.
        segments()?;
        engine.publish()?;
        segments()?;
        engine.catalog.close()?;
        uplink.close(&kept)?;
        Ok(Written::InTheLog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Proof;

    const NOW: Wall = Wall(1_800_000_000_000);
    const AFTER: Duration = Duration::from_secs(180 * 86_400);

    fn days_ago(days: i64) -> Wall {
        Wall(NOW.0 - days * 86_400_000)
    }

    fn receipt(verdict: Verdict) -> Receipt {
        Receipt {
            id: [0; 16],
            at: days_ago(1),
            proof: Proof::Sealed,
            verdict,
            files: 0,
            live: 0,
            failed: 0,
            bytes: 0,
            sound: vec![],
            damaged: vec![],
            cost: None,
        }
    }

    #[test]
    fn a_drill_is_due_half_a_year_after_the_last_that_succeeded_or_after_the_vault_began() {
        let of = |last: Option<Verdict>, proved, begun| standing(last.map(receipt).as_ref(), proved, begun, AFTER, NOW);
        assert_eq!(of(None, None, None), Standing::Proved);
        assert_eq!(of(None, None, Some(days_ago(180))), Standing::Proved);
        assert_eq!(of(None, None, Some(days_ago(181))), Standing::LongAgo);
        let ok = Some(Verdict::Proved);
        assert_eq!(of(ok, Some(days_ago(1)), Some(days_ago(900))), Standing::Proved);
        assert_eq!(of(ok, Some(days_ago(181)), Some(days_ago(900))), Standing::LongAgo);
        for verdict in [Verdict::Failed, Verdict::Partly] {
            assert_eq!(
                of(Some(verdict), Some(days_ago(1)), None),
                Standing::NotProved,
                "never green from one that failed"
            );
        }
    }

    #[test]
    fn who_is_due_is_asked_once_a_month() {
        assert!(is_to_be_asked(Standing::LongAgo, None, NOW) && !is_to_be_asked(Standing::Proved, None, NOW));
        assert!(!is_to_be_asked(Standing::LongAgo, Some(days_ago(29)), NOW));
        assert!(is_to_be_asked(Standing::NotProved, Some(days_ago(30)), NOW));
    }
}
