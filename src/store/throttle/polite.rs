//! Manners as a throttle keeps them: the controller's rate in a bucket of its own, for objects only.

use crate::clock::Steady;
use crate::model::Rate;
use crate::uplink::manners::{Manners, Sample};
use crate::uplink::{Bucket, Grant};
use std::time::Duration;

/// What is known of the line's other users, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MannersState {
    /// Not asked for.
    Off,
    /// Asked for, but this system does not tell of its connections: the plain limit holds.
    NoTcpInfo,
    /// The queue before the bottleneck as last seen, and what may go now.
    On { delay: Option<Duration>, rate: Rate },
}

#[derive(Debug)]
pub(super) struct Polite {
    manners: Manners,
    bucket: Bucket,
    deaf: bool,
}

impl Polite {
    pub(super) fn new(manners: Manners, now: Steady) -> Self {
        let bucket = Bucket::new(Some(manners.rate()), now);
        Self { manners, bucket, deaf: false }
    }

    pub(super) fn listens(&self) -> bool {
        !self.deaf
    }
    pub(super) fn pace(&self) -> Option<Rate> {
        (!self.deaf).then(|| self.manners.rate())
    }
    pub(super) fn state(&self) -> MannersState {
        match self.pace() {
            Some(rate) => MannersState::On { delay: self.manners.delay(), rate },
            None => MannersState::NoTcpInfo,
        }
    }

    pub(super) fn hear(&mut self, sample: &Sample, now: Steady) {
        self.manners.hear(sample);
        let rate = Some(self.manners.rate());
        if rate != self.bucket.rate() {
            self.bucket.set(rate, now);
        }
    }
    pub(super) fn give_up(&mut self) {
        if !self.deaf {
            self.deaf = true;
            tracing::warn!("this system does not tell of its connections (TCP_INFO): polite is off, the limit holds");
        }
    }

    pub(super) fn offer(&mut self, want: u64, now: Steady) -> Grant {
        if self.deaf { Grant::Go(want) } else { self.bucket.offer(want, now) }
    }
    pub(super) fn charge(&mut self, bytes: u64, now: Steady) {
        self.bucket.charge(bytes, now);
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::{ManualClock, Wall};
    use crate::store::throttle::{Freight, Throttle, Way};
    use crate::uplink::manners::Manners;
    use crate::uplink::{Grant, bucket};
    use std::time::Duration;

    /// Where there is no limit, what manners allow decides the pieces: on a slow line no more than a packet or so at once.
    #[test]
    fn without_a_limit_a_piece_of_an_object_is_what_manners_let_go_at_once() {
        let clock = ManualClock::at(Wall(0));
        let throttle = Throttle::new(None, clock.clone());
        throttle.mannered(Some(Manners::new()));
        let pace = throttle.pace(Way::Up).unwrap();
        let most = bucket::grant(pace);
        assert!(most <= bucket::PACKET, "{most} bytes at {pace:?}");
        let mut sent = 0;
        for _ in 0..1000 {
            clock.advance(Duration::from_millis(10));
            while let Grant::Go(n) = throttle.take(Way::Up, 256 << 10, Freight::Body) {
                assert!(n <= most, "{n}");
                sent += n;
            }
        }
        assert!((pace.get() * 9..=pace.get() * 10).contains(&sent), "{sent} bytes in ten seconds at {pace:?}");
        let talk = throttle.take(Way::Up, 100_000, Freight::Talk);
        assert_eq!(talk, Grant::Go(100_000), "questions are not held");
    }
}
