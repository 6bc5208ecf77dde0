//! What happens to an object under way when sending is shut: a window closes, a cap is reached, a link is not to be
//! used. It ends when little is left, else it is given up and sent again; what went of it is spent.

use super::Throttle;
use crate::clock::Steady;
use crate::error::{Error, Result};
use std::time::Duration;

/// An object under way ends when less than this is left at the rate it had.
pub const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// The estimate may be wrong by so much: then it is given up after all.
const PATIENCE: Duration = Duration::from_secs(75);

/// Since when nothing new begins, and how fast it went until then, bytes per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shut {
    pub(super) at: Steady,
    pub(super) had: u64,
}

impl Shut {
    /// Whether `left` bytes may still go.
    fn allows(&self, left: u64, now: Steady) -> bool {
        let passed = now.since(self.at);
        let needed = left.checked_div(self.had).unwrap_or(u64::MAX);
        passed < PATIENCE && passed.as_secs().saturating_add(needed) < ENDS_WITHIN.as_secs()
            || left == 0
            || passed < PATIENCE && needed < 1
    }
}

/// One object on its way.
#[derive(Clone, Debug)]
pub struct Underway {
    throttle: Throttle,
    /// One that began while it was shut was let through on purpose.
    let_through: bool,
}

impl Underway {
    pub(super) fn begin(throttle: &Throttle) -> Self {
        Self { throttle: throttle.clone(), let_through: throttle.is_shut() }
    }

    /// Whether the object goes on with `left` bytes to go. Retry: it is given up.
    pub fn goes_on(&self, left: u64) -> Result<()> {
        if self.let_through {
            return Ok(());
        }
        match self.throttle.shut_since() {
            Some((shut, now)) if !shut.allows(left, now) => {
                Err(Error::retry("send: the window closed; it is sent again"))
            }
            _ => Ok(()),
        }
    }
}
