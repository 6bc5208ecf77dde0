//! When is each root safe? Arithmetic only: no clock, no row, no thread; nothing durable, so dying here does nothing.
//!
//! What is still to send is poured, higher ranks first, through what will be allowed (calendar, limits, caps) and what
//! the line really gives of it ([`learn`]), while new files arrive at the top. That is done three times: as it is likely,
//! and once each with everything a little better and a little worse than it was seen to be. A root is safe when its last
//! byte is stored *and* a segment that names it: publication and the objects that are left take their time in every
//! answer, so that none says "0 s" while something waits.
//!
//! The work is bounded: by the hour for eight weeks, by stretches of the calendar after that, [`HORIZON`] at most.

mod groups;
pub mod learn;
pub mod plan;
mod run;

use crate::clock::Wall;
use crate::model::Allowed;
use learn::{Given, Spread};
use run::run;
use std::time::Duration;

/// Nothing is foretold beyond this: ten years.
pub const HORIZON: Duration = Duration::from_secs(3653 * 86_400);

/// What may go from one moment on, for as long as it stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub allowed: Allowed,
    /// When it is another; None: never again.
    pub until: Option<Wall>,
    /// While something may, when nothing may; None: not as far as is known. Before that nothing begins that would be cut off,
    /// and what is stored is named.
    pub shuts_at: Option<Wall>,
    /// What a cap still lets through before `until`, bytes; None: no cap. At 0 the log alone goes, out of its reserve.
    pub left: Option<u64>,
}

/// What waits of one root in one vault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    /// Lower goes first; what has the same goes together.
    pub rank: u32,
    /// Bytes of files not yet captured, before dedup and compression.
    pub unread: u64,
    /// Sealed bytes that wait in the spool.
    pub sealed: u64,
    /// Sealed bytes made of a byte of its files.
    pub ratio: Spread,
    /// Bytes of files that become new or other in a day.
    pub new_per_day: u64,
    /// Everything is stored, but a segment that names it.
    pub unnamed: bool,
}

impl Need {
    /// Whether anything at all is not safe.
    pub fn waits(&self) -> bool {
        self.unread > 0 || self.sealed > 0 || self.unnamed
    }
}

/// How the daemon goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    pub publish_every: Duration,
    /// How long a change may wait for a full pack, and what is full, bytes.
    pub gather: Duration,
    pub pack: u64,
    /// What a pack has that is sent now, bytes: the spool's mean.
    pub object: u64,
    /// What the spool holds, bytes: what lies in it goes before what is new of the same rank.
    pub spool: u64,
}

/// When a root is safe, in seconds from now; None: not within [`HORIZON`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    pub earliest: Option<u64>,
    pub likely: Option<u64>,
    pub latest: Option<u64>,
}

impl Outlook {
    /// It is safe already.
    pub const SAFE: Self = Self { earliest: Some(0), likely: Some(0), latest: Some(0) };

    /// When the later of both is there.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let later = |a: Option<u64>, b: Option<u64>| Some(a?.max(b?));
        Self {
            earliest: later(self.earliest, other.earliest),
            likely: later(self.likely, other.likely),
            latest: later(self.latest, other.latest),
        }
    }
}

/// Which of the three runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Early,
    Likely,
    Late,
}

impl Case {
    /// The part of a wait of unknown length that is expected.
    fn wait(self) -> f64 {
        match self {
            Self::Early => 0.0,
            Self::Likely => 0.5,
            Self::Late => 1.0,
        }
    }
}

/// When each of `needs` is safe. `plan` makes a fresh teller of what is allowed for each run: asked with times that only
/// grow and with the bytes sent since `now`. None: no line of no limit was ever seen at work, so nothing can be said.
pub fn forecast<P>(
    now: Wall,
    needs: &[Need],
    given: &Given,
    habits: &Habits,
    plan: impl Fn() -> P,
) -> Option<Vec<Outlook>>
where
    P: FnMut(Wall, u64) -> Room,
{
    let likely = run(now, needs, given, habits, &mut plan(), Case::Likely, 1.0)?;
    // How far the mean of the days to come may be off falls with their number.
    let days = likely.iter().flatten().fold(1.0, |most: f64, s| most.max(s / 86_400.0));
    let early = run(now, needs, given, habits, &mut plan(), Case::Early, days)?;
    let late = run(now, needs, given, habits, &mut plan(), Case::Late, days)?;
    let outlook = |i: usize| {
        let (earliest, likely, latest) = (early[i].map(whole), likely[i].map(whole), late[i].map(whole));
        Outlook {
            earliest: earliest.or(likely).map(|e| e.min(likely.unwrap_or(e))),
            likely,
            latest: latest.map(|l| l.max(likely.unwrap_or(l))),
        }
    };
    Some((0..needs.len()).map(outlook).collect())
}

#[expect(clippy::cast_precision_loss, reason = "a forecast needs no more than 15 digits")]
fn real(n: u64) -> f64 {
    n as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative; saturates")]
fn whole(x: f64) -> u64 {
    x.ceil() as u64
}

#[cfg(test)]
mod tests;
