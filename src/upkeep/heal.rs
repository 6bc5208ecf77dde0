//! What becomes of packs that a check found missing or damaged: a few are given up at once, and their files are read
//! again from where they are; more than a few wait for the owner, since a vault that was emptied, exchanged or badly
//! listed must never make everything go out again by itself (promise 10).
//!
//! Objects are created once: what is read again goes into new packs, the log says that the old ones are lost, and the
//! damaged object stays where it is. Once nothing is owed a look any more, each loss is judged: healed, or, where the only
//! bytes of a version were in it, named file by file until the owner has acknowledged it.
//!
//! Giving up is ONE transaction ([`Catalog::packs_lost`]); judging is another. Dying between them leaves dirty rows and a
//! loss to be judged.

use crate::catalog::{Again, Catalog, Check, Judged, Waiting, Word};
use crate::clock::{Clock, Wall};
use crate::error::Result;
use crate::worker::Faults;
use std::time::Duration;

/// So many packs are given up without asking, within [`WINDOW`] and never more than half of all.
pub const FEW: u64 = 3;
/// Losses so long ago no longer count.
pub const WINDOW: Duration = Duration::from_secs(30 * 86_400);

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Healed {
    /// Packs given up.
    pub packs: u64,
    /// Paths that are read again.
    pub paths: u64,
    /// Packs that wait for the owner.
    pub waiting: Waiting,
}

pub struct Healing<'a> {
    pub catalog: &'a Catalog,
    pub clock: &'a dyn Clock,
    pub faults: &'a Faults,
}

impl Healing<'_> {
    /// Gives up what may be given up. Their files are dirty when this returns.
    pub fn give_up(&self, word: Word) -> Result<Healed> {
        let waiting = self.catalog.waiting_losses()?;
        let waits = waiting.packs > 0 && word == Word::OfItself && !self.are_few(waiting.packs)?;
        if waiting.packs == 0 || waits {
            // What needs them is not safe as long as they wait.
            self.faults.at("heal.risk")?;
            self.catalog.count_risk()?;
            return Ok(Healed { waiting, ..Healed::default() });
        }
        let packs: Vec<(i64, String)> =
            self.catalog.losses_waiting(usize::MAX)?.into_iter().map(|(id, _, why)| (id, why)).collect();
        self.faults.at("heal.lost")?;
        let paths = self.catalog.packs_lost(&packs, word, self.clock.wall())?;
        Ok(Healed { packs: packs.len() as u64, paths, waiting: Waiting::default() })
    }

    fn are_few(&self, packs: u64) -> Result<bool> {
        let now = self.clock.wall();
        let since = Wall(now.0.saturating_sub(i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX)));
        let stored = self.catalog.coverage(Check::Read)?.packs;
        Ok(packs + self.catalog.lost_unasked(since)? <= FEW && packs * 2 <= stored)
    }

    /// Judges the losses whose files were all looked at since; with [`Again::Yes`] those too that were not whole before.
    /// To be called once every root was walked.
    pub fn judge(&self, again: Again) -> Result<Judged> {
        self.catalog.place_losses()?;
        let (mut sum, mut after) = (Judged::default(), 0);
        loop {
            let packs = self.catalog.losses_to_judge(again, after)?;
            let Some(last) = packs.last() else { return Ok(sum) };
            after = *last;
            self.faults.at("heal.judge")?;
            let one = self.catalog.judge(&packs)?;
            sum.healed += one.healed;
            sum.broken += one.broken;
            sum.casualties += one.casualties;
            sum.waiting += one.waiting;
        }
    }
}
