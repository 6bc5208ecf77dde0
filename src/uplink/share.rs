//! One line divided between those who use it: an equal part each while all want, what one leaves goes to the others.
//!
//! Start-time fair queueing over a [`Bucket`]. Every grant moves its taker on by what it took; who was turned away and
//! stands behind goes first. A taker that comes back after a rest stands where the line is now: rest earns a slice at most, and
//! nobody pays for another's rest. A taker that does not come back for its turn loses it after [`GRACE`].

use super::bucket::{Bucket, Grant, slice};
use crate::clock::Steady;
use crate::model::Rate;
use std::collections::BTreeMap;
use std::time::Duration;

/// So long the line waits for one whose turn it is: longer than a thread is late, shorter than anybody notices.
const GRACE: Duration = Duration::from_millis(50);
/// Whoever is there may be ahead by this part of a slice, so that one who is late costs the line nothing.
const LEAD: u64 = 2;
/// Shortest wait of one who is there before its turn.
const AGAIN: Duration = Duration::from_millis(1);

/// Names one of those who share a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taker(u64);

/// A line and who uses it.
#[derive(Clone, Debug)]
pub struct Share {
    bucket: Bucket,
    turns: BTreeMap<Taker, Turn>,
    joined: u64,
    /// Where the line is: a slice before the beginning of the last grant, bytes.
    at: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// Where its next grant begins if it asks without a rest, bytes.
    end: u64,
    /// While turned away: where its grant begins, and when it said to be back.
    waits: Option<(u64, Steady)>,
}

impl Share {
    pub fn new(rate: Option<Rate>, now: Steady) -> Self {
        Self { bucket: Bucket::new(rate, now), turns: BTreeMap::new(), joined: 0, at: 0 }
    }

    pub fn rate(&self) -> Option<Rate> {
        self.bucket.rate()
    }
    pub fn set(&mut self, rate: Option<Rate>, now: Steady) {
        self.bucket.set(rate, now);
    }

    pub fn join(&mut self) -> Taker {
        self.joined += 1;
        let taker = Taker(self.joined);
        self.turns.insert(taker, Turn { end: self.at, waits: None });
        taker
    }
    pub fn leave(&mut self, taker: Taker) {
        self.turns.remove(&taker);
    }

    /// Asks for up to `want` bytes (at least one) of the line.
    pub fn take(&mut self, taker: Taker, want: u64, now: Steady) -> Grant {
        let Some(rate) = self.bucket.rate() else {
            return self.bucket.take(want, now);
        };
        let turn = self.turns.get(&taker).copied().unwrap_or_default();
        let begin = turn.waits.map_or(turn.end.max(self.at), |(begin, _)| begin);
        match self.bucket.offer(want, now) {
            Grant::Wait(by) => self.turned_away(taker, begin, by, now),
            Grant::Go(n) => {
                if let Some(back) = self.before(taker, begin.saturating_sub(slice(rate) / LEAD), now) {
                    let own = Duration::from_nanos(n.saturating_mul(1_000_000_000) / rate.get());
                    return self.turned_away(taker, begin, (back.since(now) + own).max(AGAIN), now);
                }
                self.bucket.charge(n, now);
                self.at = self.at.max(begin.saturating_sub(slice(rate)));
                self.turns.insert(taker, Turn { end: begin + n, waits: None });
                Grant::Go(n)
            }
        }
    }

    /// Counts bytes of this taker that went without asking.
    pub fn charge(&mut self, taker: Taker, bytes: u64, now: Steady) {
        self.bucket.charge(bytes, now);
        if self.bucket.rate().is_some()
            && let Some(turn) = self.turns.get_mut(&taker)
        {
            turn.end = turn.end.max(self.at) + bytes;
            if let Some((begin, _)) = &mut turn.waits {
                *begin += bytes;
            }
        }
    }

    /// Gives back what was granted and did not go.
    pub fn refund(&mut self, taker: Taker, bytes: u64, now: Steady) {
        self.bucket.refund(bytes, now);
        if let Some(turn) = self.turns.get_mut(&taker) {
            turn.end = turn.end.saturating_sub(bytes);
        }
    }

    /// When the one is back whose turn comes before a grant of `taker` that begins at `begin`; None: it is its turn.
    fn before(&self, taker: Taker, begin: u64, now: Steady) -> Option<Steady> {
        self.turns
            .iter()
            .filter(|(other, _)| **other != taker)
            .filter_map(|(_, turn)| turn.waits)
            .filter(|(theirs, back)| *theirs < begin && back.plus(GRACE) > now)
            .min_by_key(|(theirs, _)| *theirs)
            .map(|(_, back)| back)
    }

    fn turned_away(&mut self, taker: Taker, begin: u64, by: Duration, now: Steady) -> Grant {
        let turn = self.turns.entry(taker).or_default();
        turn.waits = Some((begin, now.plus(by)));
        Grant::Wait(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(nanos: u64) -> Steady {
        Steady(Duration::from_nanos(nanos))
    }
    fn rate(n: u64) -> Option<Rate> {
        Rate::bytes_per_second(n)
    }

    /// What each of several takers got in `seconds`: a taker has its own limit (0: none) and comes back late.
    fn run(share: &mut Share, own: &[u64], seconds: u64, late: &[u64]) -> Vec<u64> {
        const END: u64 = 1_000_000_000;
        let takers: Vec<Taker> = own.iter().map(|_| share.join()).collect();
        let mut buckets: Vec<Bucket> = own.iter().map(|r| Bucket::new(rate(*r), at(0))).collect();
        let mut next = vec![0u64; own.len()];
        let mut got = vec![0u64; own.len()];
        let mut turn = 0;
        loop {
            let who = (0..own.len()).min_by_key(|i| next[*i]).unwrap();
            let now = next[who];
            if now >= seconds * END {
                return got;
            }
            turn += 1;
            let lateness = late[turn % late.len()];
            let answer = match buckets[who].offer(256 << 10, at(now)) {
                Grant::Go(n) => share.take(takers[who], n, at(now)),
                wait @ Grant::Wait(_) => wait,
            };
            next[who] += match answer {
                Grant::Go(n) => {
                    buckets[who].charge(n, at(now));
                    got[who] += n;
                    1000
                }
                Grant::Wait(by) => u64::try_from(by.as_nanos()).unwrap().min(200_000_000) + lateness,
            };
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn while_all_want_each_gets_an_equal_part_and_nothing_is_lost(
            limit in 2_000u64..50_000_000, takers in 1usize..5, late in prop::collection::vec(0u64..2_000_000, 1..9)
        ) {
            let mut share = Share::new(rate(limit), at(0));
            let got = run(&mut share, &vec![0; takers], 60, &late);
            let sum: u64 = got.iter().sum();
            prop_assert!(sum <= limit * 60 && sum * 100 >= limit * 60 * 96, "{got:?} of {}", limit * 60);
            for one in &got {
                prop_assert!(one * 100 * takers as u64 >= sum * 93, "{got:?}");
            }
        }

        #[test]
        fn who_wants_little_gets_it_and_the_rest_goes_to_the_others(
            limit in 20_000u64..50_000_000, little in 5u64..30, late in prop::collection::vec(0u64..1_000_000, 1..9)
        ) {
            let own = limit * little / 100;
            let mut share = Share::new(rate(limit), at(0));
            let got = run(&mut share, &[own, 0, 0], 60, &late);
            prop_assert!(got[0] * 100 >= own * 60 * 90, "{got:?}: the modest one wants {}", own * 60);
            prop_assert!(got.iter().sum::<u64>() * 100 >= limit * 60 * 95, "{got:?} of {}", limit * 60);
            let (a, b) = (got[1].min(got[2]), got[1].max(got[2]));
            prop_assert!(a * 100 >= b * 90, "{got:?}");
        }
    }

    #[test]
    fn a_taker_that_went_away_holds_nobody_up() {
        let mut share = Share::new(rate(100_000), at(0));
        let (gone, stays) = (share.join(), share.join());
        let mut now = 100_000_000;
        while let Grant::Go(_) = share.take(stays, 20_000, at(now)) {}
        assert!(matches!(share.take(gone, 20_000, at(now)), Grant::Wait(_)));
        let mut got = 0;
        while now < 2_100_000_000 {
            match share.take(stays, 20_000, at(now)) {
                Grant::Go(n) => got += n,
                Grant::Wait(by) => now += u64::try_from(by.as_nanos()).unwrap(),
            }
        }
        assert!(got >= 180_000, "{got}");
    }

    #[test]
    fn a_rest_earns_no_advance() {
        let mut share = Share::new(rate(100_000), at(0));
        let (busy, rests) = (share.join(), share.join());
        let mut now = 0;
        let mut alone = 0;
        while now < 10_000_000_000 {
            match share.take(busy, 20_000, at(now)) {
                Grant::Go(n) => alone += n,
                Grant::Wait(by) => now += u64::try_from(by.as_nanos()).unwrap(),
            }
        }
        assert!(alone > 970_000, "{alone}");
        let mut got = [0u64; 2];
        let mut next = [now; 2];
        while next[0].min(next[1]) < 20_000_000_000 {
            let i = usize::from(next[1] < next[0]);
            match share.take([busy, rests][i], 20_000, at(next[i])) {
                Grant::Go(n) => {
                    got[i] += n;
                    next[i] += 1000;
                }
                Grant::Wait(by) => next[i] += u64::try_from(by.as_nanos()).unwrap(),
            }
        }
        assert!(got[0].abs_diff(got[1]) < 50_000, "{got:?}");
    }
}
