//! How a worker rests after passing trouble: as long as its back-off says, less when somebody rings, and less when a
//! server that could not be reached can be again. A line that was down for a night is used within seconds of coming
//! back, not at the end of a wait of minutes.
//!
//! Nothing durable: dying here changes nothing.

use crate::worker::Nudge;
use std::time::Duration;

/// How often a door that was shut is tried: a name looked up and a connection opened, no request, so it costs nothing.
pub const KNOCK: Duration = Duration::from_secs(5);

/// Why a rest was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rested {
    /// As long as was wanted.
    Out,
    /// Somebody rang.
    Rung,
    /// The server could not be reached, and now it can: whatever was learnt from failing is void.
    Back,
}

/// Rests at most `wait`. The door is tried at once and, only while it is shut, every `knock`.
pub fn rest(bell: &Nudge, wait: Duration, knock: Duration, is_open: impl Fn() -> bool) -> Rested {
    let rung = |by| if bell.wait(by) { Some(Rested::Rung) } else { None };
    if wait <= knock || is_open() {
        return rung(wait).unwrap_or(Rested::Out);
    }
    let mut left = wait;
    while !left.is_zero() {
        let part = left.min(knock);
        if let Some(rested) = rung(part) {
            return rested;
        }
        left -= part;
        if is_open() {
            return Rested::Back;
        }
    }
    Rested::Out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Nobody sits these out: a rest that does not end early hangs the test.
    const DAYS: Duration = Duration::from_secs(100 * 86_400);
    const SOON: Duration = Duration::from_millis(1);

    #[test]
    fn a_server_that_is_back_ends_the_rest_at_once() {
        let knocks = Cell::new(0);
        let door = || {
            knocks.set(knocks.get() + 1);
            knocks.get() > 3
        };
        assert_eq!(rest(&Nudge::new(), DAYS, SOON, door), Rested::Back);
        assert_eq!(knocks.get(), 4);
    }

    #[test]
    fn a_ring_ends_the_rest_whether_the_door_is_shut_or_open() {
        for is_open in [false, true] {
            let bell = Nudge::new();
            bell.ring();
            assert_eq!(rest(&bell, DAYS, SOON, || is_open), Rested::Rung);
        }
    }

    #[test]
    fn a_server_that_answers_badly_is_left_alone_for_the_whole_rest() {
        let knocks = Cell::new(0);
        let door = || {
            knocks.set(knocks.get() + 1);
            true
        };
        assert_eq!(rest(&Nudge::new(), 5 * SOON, SOON, door), Rested::Out);
        assert_eq!(knocks.get(), 1, "it was never shut: trying sooner would only add to its load");
        assert_eq!(rest(&Nudge::new(), 3 * SOON, SOON, || false), Rested::Out);
    }
}
