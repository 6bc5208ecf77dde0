//! One run of a forecast: from now on, an hour or a stretch of the calendar at a time, until every root is safe.

use super::groups::{Groups, wait_for_company};
use super::learn::Given;
use super::{Case, HORIZON, Habits, Need, Room, real, whole};
use crate::clock::Wall;
use crate::model::Allowed;
use crate::uplink::calendar::LOG_ALONE;
use std::time::Duration;

/// So far each hour of the day has its own rate; later the mean of all does.
const FINE: f64 = 56.0 * 86_400.0;
/// No forecast takes more steps than this, whatever the calendar says.
const STEPS: usize = 60_000;
const HOUR: f64 = 3600.0;

/// What the plan last said, for as long as it holds.
#[derive(Debug)]
struct Hand {
    allowed: Allowed,
    /// Seconds of the run; and since when something may go, and when nothing will.
    until: f64,
    opened: f64,
    shuts: f64,
    /// Bytes a cap lets through from when it was asked on, and what had been sent then.
    left: f64,
    sent: f64,
}

impl Default for Hand {
    fn default() -> Self {
        Self { allowed: Allowed::Off, until: 0.0, opened: f64::NEG_INFINITY, shuts: 0.0, left: 0.0, sent: 0.0 }
    }
}

impl Hand {
    fn ask(&mut self, plan: &mut impl FnMut(Wall, u64) -> Room, at: Wall, t: f64, sent: f64) {
        if t < self.until {
            return;
        }
        let room = plan(at, whole(sent));
        let second = |then: Option<Wall>| then.map_or(f64::INFINITY, |then| t + then.since(at).as_secs_f64());
        let opens = t > 0.0 && self.allowed == Allowed::Off && room.allowed != Allowed::Off;
        *self = Self {
            allowed: room.allowed,
            until: second(room.until).clamp(t + 0.001, HORIZON.as_secs_f64() + 1.0),
            opened: if opens { t } else { self.opened },
            shuts: second(room.shuts_at),
            left: room.left.map_or(f64::INFINITY, real),
            sent,
        };
    }

    /// From when on nothing begins before the window closes: `daemon/run/last_call` leaves its last minute to the log, and
    /// asks for a little more time than a pack seems to need. The first of a window always begins.
    fn last_call(&self, line: f64, habits: &Habits, case: Case) -> f64 {
        let pack = if line > 0.0 { real(habits.object) / line } else { 0.0 };
        (self.shuts - LOG_ALONE.as_secs_f64() - case.wait() * pack / 0.95).max(self.opened + pack)
    }
}

/// One run: for each need the second it is safe at. None: the line's rate is not known.
pub(super) fn run<P: FnMut(Wall, u64) -> Room>(
    now: Wall,
    needs: &[Need],
    given: &Given,
    habits: &Habits,
    plan: &mut P,
    case: Case,
    days: f64,
) -> Option<Vec<Option<f64>>> {
    let mut groups = Groups::of(needs, habits, case);
    let gather = wait_for_company(needs, habits, case);
    let mut hand = Hand::default();
    let (mut t, mut sent) = (0.0, 0.0);
    for _ in 0..STEPS {
        if groups.are_safe() || t >= HORIZON.as_secs_f64() {
            break;
        }
        let at = now.plus(Duration::from_secs_f64(t));
        hand.ask(plan, at, t, sent);
        let line = given.rate(hand.allowed, (t < FINE).then_some(at), case, days)?;
        let left = hand.left - (sent - hand.sent);
        let last_call = hand.last_call(line, habits, case);
        let data = if left < 1.0 || t >= last_call { 0.0 } else { line };
        if t >= last_call {
            groups.name_from(t);
        }
        let end = if t < FINE { hand.until.min(next_hour(at, t)) } else { hand.until };
        let mut step = if t < last_call { end.min(last_call) - t } else { end - t };
        if data > 0.0 {
            step = step.min((left / data).max(0.001));
        }
        // A group that runs empty ends a part of the step; each does so about once.
        while step > 0.0 {
            let passed = groups.pour(data, step, real(habits.spool), &mut sent);
            groups.end(t + passed, habits, gather, case);
            groups.name(line, t, passed, given);
            t += passed;
            step -= passed;
        }
    }
    let found = |n: &Need| if n.waits() { groups.safe_at(n.rank) } else { Some(0.0) };
    Some(needs.iter().map(found).collect())
}

/// The next whole hour after `at`, in seconds of the run.
fn next_hour(at: Wall, t: f64) -> f64 {
    let into = at.0.rem_euclid(3_600_000);
    t + HOUR - Duration::from_millis(into.unsigned_abs()).as_secs_f64()
}
