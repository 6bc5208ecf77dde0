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
    /// The queue before the bottleneck, None while nothing is sent that could see it; and what may go now.
    On { delay: Option<Duration>, rate: Rate },
}

/// What was heard is worth telling for so long.
const LATELY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Polite {
    manners: Manners,
    bucket: Bucket,
    deaf: bool,
    heard: Option<Steady>,
}

impl Polite {
    pub(super) fn new(manners: Manners, now: Steady) -> Self {
        let bucket = Bucket::new(Some(manners.rate()), now);
        Self { manners, bucket, deaf: false, heard: None }
    }

    pub(super) fn listens(&self) -> bool {
        !self.deaf
    }
    pub(super) fn pace(&self) -> Option<Rate> {
        (!self.deaf).then(|| self.manners.rate())
    }
    pub(super) fn state(&self, now: Steady) -> MannersState {
        let is_fresh = self.heard.is_some_and(|at| now.since(at) < LATELY);
        match self.pace() {
            Some(rate) => MannersState::On { delay: self.manners.delay().filter(|_| is_fresh), rate },
            None => MannersState::NoTcpInfo,
        }
    }

    pub(super) fn hear(&mut self, sample: &Sample, now: Steady) {
        self.manners.hear(sample);
        self.heard = Some(now);
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
    use super::*;
    use crate::clock::{ManualClock, Wall};
    use crate::store::throttle::{Freight, Throttle, Way};
    use crate::uplink::bucket;

    #[test]
    fn the_wait_of_others_is_told_while_it_is_seen_and_not_after() {
        let at = |ms: u64| Steady(Duration::from_millis(ms));
        let mut polite = Polite::new(Manners::new(), at(0));
        let delay = |polite: &Polite, now| match polite.state(now) {
            MannersState::On { delay, .. } => delay,
            other => panic!("{other:?}"),
        };
        assert_eq!(delay(&polite, at(0)), None);
        for n in 1..=40 {
            let sample = Sample {
                connection: 1,
                at: at(n * 50),
                rtt: Duration::from_millis(20),
                min_rtt: Duration::from_millis(20),
                acked: n * 3000,
                acks: n * 2,
                unacked: 3000,
                unsent: 3000,
            };
            polite.hear(&sample, sample.at);
        }
        assert!(delay(&polite, at(2500)).is_some());
        assert_eq!(delay(&polite, at(12_500)), None, "what was seen long ago is not known now");
        polite.give_up();
        assert_eq!(polite.state(at(12_500)), MannersState::NoTcpInfo);
    }

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
