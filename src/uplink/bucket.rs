//! How many bytes may go to an instant: a token bucket, arithmetic only.
//!
//! A [`Bucket`] fills at a little less than the limit and holds at most one [`slice`]. It starts empty, so that a limit
//! holds from the first byte of every start (promise 7), and nothing saved up while idle goes out at once. Bytes that
//! went without asking (what the kernel repeated) are charged afterwards; they are paid before anything else goes.
//!
//! From [`EXACT_FROM`] on, no five seconds ever see more than 2 % above the limit.

use crate::clock::Steady;
use crate::model::Rate;
use std::time::Duration;

/// Lowest limit that is kept to 2 % over any five seconds: 16 kbit/s. Below it a packet is too large a piece.
pub const EXACT_FROM: u64 = 2000;
/// Smallest grant when more is wanted, so that a very low limit does not send headers around crumbs, bytes.
pub const GRANT_MIN: u64 = 256;
/// Smallest slice: the smallest grant, and what a late wake-up may earn beside it, bytes.
const SLICE_MIN: u64 = 300;
/// Up to here a slice is what flows in 0.15 s: the largest that five seconds and 2 % leave room for, bytes.
const SLICE_LOW: u64 = 6000;
/// From there on it is what flows in this part of a second.
const SLICES_PER_SECOND: u64 = 20;
/// A full packet of Ethernet: one grant is no less where the slice allows, bytes.
pub const PACKET: u64 = 1500;
/// Else one grant is this part of a slice: whoever wakes late by less than the rest loses nothing.
const GRANTS_PER_SLICE: u64 = 4;
/// Largest grant without a limit, bytes.
const GRANT_FREE: u64 = 256 << 10;
/// A bucket fills at so many thousandths of the limit; the rest pays for what is counted late.
const FILL: i128 = 985;
/// One byte of credit: a thousandth of it is earned per nanosecond and byte per second.
const BYTE: i128 = 1_000_000_000 * 1000;

/// The most that ever goes out at once under a limit, bytes.
pub fn slice(rate: Rate) -> u64 {
    (rate.get() / SLICES_PER_SECOND).max((rate.get() * 3 / 20).min(SLICE_LOW)).max(SLICE_MIN)
}

/// The largest single grant under a limit, bytes.
pub fn grant(rate: Rate) -> u64 {
    let slice = slice(rate);
    (slice * 13 / 15).min(PACKET).max(slice / GRANTS_PER_SLICE).max(GRANT_MIN)
}

/// The answer to "may I send?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// So many bytes, at least one and at most what was asked for; they are counted as sent.
    Go(u64),
    /// Nothing now; ask again after this time. Somebody else may be faster.
    Wait(Duration),
}

/// Token bucket of everything that goes one way.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Option<Rate>,
    /// In units of [`BYTE`]; negative while charged bytes are not paid yet.
    credit: i128,
    at: Steady,
}

impl Bucket {
    pub fn new(rate: Option<Rate>, now: Steady) -> Self {
        Self { rate, credit: 0, at: now }
    }

    pub fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// A new limit from now on; what was earned under the old one stays, up to a slice of the new one.
    pub fn set(&mut self, rate: Option<Rate>, now: Steady) {
        self.settle(now);
        if self.rate.is_none() {
            self.credit = self.credit.min(0);
        }
        self.rate = rate;
        self.settle(now);
    }

    /// Asks for up to `want` bytes (at least one).
    pub fn take(&mut self, want: u64, now: Steady) -> Grant {
        let offer = self.offer(want, now);
        if let Grant::Go(n) = offer {
            self.charge(n, now);
        }
        offer
    }

    /// What [`take`](Self::take) would say; nothing is counted yet.
    pub fn offer(&mut self, want: u64, now: Steady) -> Grant {
        self.settle(now);
        let Some(rate) = self.rate else { return Grant::Go(want.clamp(1, GRANT_FREE)) };
        let most = want.clamp(1, grant(rate));
        let missing = i128::from(most) * BYTE - self.credit;
        if missing <= 0 {
            return Grant::Go(most);
        }
        let wait = missing.div_euclid(i128::from(rate.get()) * FILL) + 1;
        Grant::Wait(Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    /// Counts bytes that went, with or without asking.
    pub fn charge(&mut self, bytes: u64, now: Steady) {
        self.settle(now);
        if self.rate.is_some() {
            self.credit -= i128::from(bytes) * BYTE;
        }
    }

    /// Gives back what was granted and did not go.
    pub fn refund(&mut self, bytes: u64, now: Steady) {
        if let Some(rate) = self.rate {
            self.credit += i128::from(bytes.min(slice(rate))) * BYTE;
        }
        self.settle(now);
    }

    /// Earns for the time since the last look.
    fn settle(&mut self, now: Steady) {
        let elapsed = now.since(self.at).as_nanos();
        self.at = self.at.max(now);
        let Some(rate) = self.rate else {
            self.credit = 0;
            return;
        };
        let elapsed = i128::try_from(elapsed).unwrap_or(i128::MAX >> 80).min(i128::MAX >> 80);
        let earned = elapsed * i128::from(rate.get()) * FILL;
        self.credit = (self.credit + earned).min(i128::from(slice(rate)) * BYTE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NANOS: i128 = 1_000_000_000;
    use proptest::prelude::*;

    fn at(nanos: u64) -> Steady {
        Steady(Duration::from_nanos(nanos))
    }
    fn rate(n: u64) -> Rate {
        Rate::bytes_per_second(n).unwrap()
    }

    /// Sends for `seconds`; every wake-up is late by the next of `late`. Returns (time, bytes) of each grant.
    fn send(bucket: &mut Bucket, from: u64, seconds: u64, late: &[u64], want: u64) -> Vec<(u64, u64)> {
        let (mut now, mut sent, mut turn) = (from, Vec::new(), 0);
        while now < from + seconds * 1_000_000_000 {
            match bucket.take(want, at(now)) {
                Grant::Go(n) => sent.push((now, n)),
                Grant::Wait(by) => {
                    now += u64::try_from(by.as_nanos()).unwrap() + late[turn % late.len()];
                    turn += 1;
                }
            }
        }
        sent
    }

    /// The worst window ending at each grant, in one pass: what is sent above the limit since it began.
    fn most_over_any_window(sent: &[(u64, u64)], limit: u64, extra: u64) {
        let (mut above, mut last) = (0i128, 0);
        for (now, n) in sent {
            above = (above - i128::from(limit) * i128::from(now - last)).max(0) + i128::from(*n) * NANOS;
            last = *now;
            assert!(above <= i128::from(extra) * NANOS, "{} bytes above the limit at {now} ns", above / NANOS);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn over_any_window_no_more_than_the_limit_and_a_slice_goes_out(
            limit in 300u64..200_000_000, idle in 0u64..5_000_000_000, want in 20_000u64..1_000_000,
            late in prop::collection::vec(0u64..200_000_000, 1..9)
        ) {
            let mut bucket = Bucket::new(Some(rate(limit)), at(0));
            let mut sent = send(&mut bucket, 0, 2, &late, want);
            sent.extend(send(&mut bucket, 3_000_000_000 + idle, 2, &late, want));
            most_over_any_window(&sent, limit, slice(rate(limit)));
        }

        #[test]
        fn nearly_all_of_the_limit_is_used_though_every_wake_up_is_late(
            limit in 2_000u64..200_000_000, late in prop::collection::vec(0u64..20_000_000, 1..9)
        ) {
            let mut bucket = Bucket::new(Some(rate(limit)), at(0));
            let sent: u64 = send(&mut bucket, 0, 20, &late, 64 << 10).iter().map(|s| s.1).sum();
            prop_assert!(sent * 100 >= limit * 20 * 97, "{sent} of {}", limit * 20);
        }

        #[test]
        fn over_any_five_seconds_no_more_than_two_per_cent_above_the_limit_goes_out(
            limit in EXACT_FROM..200_000_000, late in prop::collection::vec(0u64..200_000_000, 1..9)
        ) {
            let mut bucket = Bucket::new(Some(rate(limit)), at(0));
            let sent = send(&mut bucket, 0, 12, &late, 64 << 10);
            let (mut first, mut sum) = (0, 0);
            for (now, n) in &sent {
                sum += n;
                while now - sent[first].0 >= 5_000_000_000 {
                    sum -= sent[first].1;
                    first += 1;
                }
                prop_assert!(sum * 100 <= limit * 5 * 102, "{sum} of {}", limit * 5);
            }
        }

        #[test]
        fn what_is_given_back_may_go_again_and_never_makes_a_burst(limit in 300u64..1_000_000, back in 1u64..1_000_000) {
            let mut bucket = Bucket::new(Some(rate(limit)), at(0));
            bucket.refund(back, at(0));
            let mut sent = 0;
            while let Grant::Go(n) = bucket.take(1 << 20, at(0)) {
                sent += n;
            }
            prop_assert!(sent <= slice(rate(limit)));
        }

        #[test]
        fn a_new_limit_holds_at_once(first in 300u64..50_000_000, second in 300u64..50_000_000) {
            let mut bucket = Bucket::new(Some(rate(first)), at(0));
            send(&mut bucket, 0, 1, &[0], 64 << 10);
            let change = 1_500_000_000;
            bucket.set(Some(rate(second)), at(change));
            let sent = send(&mut bucket, change, 2, &[0], 64 << 10);
            most_over_any_window(&sent, second, slice(rate(second)));
        }

        #[test]
        fn bytes_charged_afterwards_are_paid_before_anything_goes(limit in 300u64..1_000_000, head in 1u64..100_000) {
            let mut bucket = Bucket::new(Some(rate(limit)), at(0));
            bucket.charge(head, at(0));
            let sent = send(&mut bucket, 0, 400, &[0], 4096);
            let total: u64 = sent.iter().map(|s| s.1).sum::<u64>() + head;
            prop_assert!(total <= (limit * 401).max(head) + slice(rate(limit)));
        }
    }

    #[test]
    fn nothing_goes_in_the_first_instant_under_a_limit() {
        let mut bucket = Bucket::new(Some(rate(1000)), at(5));
        assert!(matches!(bucket.take(1, at(5)), Grant::Wait(_)));
        bucket.set(None, at(5));
        assert_eq!(bucket.take(10, at(5)), Grant::Go(10));
        bucket.set(Some(rate(1000)), at(99));
        assert!(matches!(bucket.take(1, at(99)), Grant::Wait(_)));
    }

    #[test]
    fn a_clock_that_stands_still_or_returns_gives_nothing() {
        let mut bucket = Bucket::new(Some(rate(1_000_000)), at(9_000_000_000));
        assert!(matches!(bucket.take(1, at(1)), Grant::Wait(_)));
    }
}
