//! What one connection says about the way: the kernel's smoothed round-trip time taken apart again.
//!
//! The kernel keeps 7/8 of the old value and 1/8 of the new one with every acknowledgement that gives a time
//! (RFC 6298). At a trickle of three packets a second a queue that ended would be seen half a minute late. The
//! number of acknowledgements between two looks is known, so what they carried can be worked out: exactly for
//! one, their weighted mean for several. Counting too many only leaves some of the smoothing in.

use super::Sample;
use crate::clock::Steady;

/// What the kernel keeps of the old value with each acknowledgement.
const KEEPS: f64 = 7.0 / 8.0;
/// Beyond so many acknowledgements nothing of the old value is left.
const FORGOTTEN: u64 = 64;

/// One connection as last heard.
#[derive(Clone, Debug)]
pub(super) struct Ear {
    pub connection: u64,
    pub heard: Steady,
    /// When bytes were last acknowledged, or the way was last empty.
    moved: Steady,
    rtt: f64,
    acks: u64,
    acked: u64,
}

/// What is new since the last look at the same connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct News {
    /// Bytes acknowledged.
    pub bytes: u64,
    pub acks: u64,
    /// Round-trip time of what was acknowledged, seconds; None where nothing was.
    pub rtt: Option<f64>,
    /// How long bytes on the way have been waiting without any answer, seconds.
    pub silence: f64,
}

impl Ear {
    /// The first look: its time may be that of the handshake and says nothing of data.
    pub fn new(sample: &Sample) -> Self {
        Self {
            connection: sample.connection,
            heard: sample.at,
            moved: sample.at,
            rtt: sample.rtt.as_secs_f64(),
            acks: sample.acks,
            acked: sample.acked,
        }
    }

    pub fn hear(&mut self, sample: &Sample) -> News {
        let bytes = sample.acked.saturating_sub(self.acked);
        let acks = sample.acks.saturating_sub(self.acks);
        let rtt = sample.rtt.as_secs_f64();
        let news = (bytes > 0).then(|| {
            let rough = self.rtt + (rtt - self.rtt) / (1.0 - kept(acks.max(1)));
            rough.max(sample.min_rtt.as_secs_f64()).max(0.0)
        });
        if bytes > 0 || sample.unacked == 0 {
            self.moved = sample.at;
        }
        let silence = sample.at.since(self.moved).as_secs_f64();
        (self.heard, self.rtt) = (sample.at, rtt);
        (self.acks, self.acked) = (sample.acks, sample.acked);
        News { bytes, acks, rtt: news, silence }
    }
}

/// Share of the old value that is left after so many acknowledgements.
fn kept(acks: u64) -> f64 {
    KEEPS.powi(i32::try_from(acks.min(FORGOTTEN)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sample(n: u64, rtt: f64) -> Sample {
        Sample {
            connection: 1,
            at: Steady(Duration::from_millis(n * 100)),
            rtt: Duration::from_secs_f64(rtt),
            min_rtt: Duration::from_millis(20),
            acked: n * 1448,
            acks: n,
            unacked: 1448,
            unsent: 0,
        }
    }

    #[test]
    fn a_queue_that_ended_is_seen_with_the_next_acknowledgement_not_after_thirty() {
        let mut ear = Ear::new(&sample(0, 2.0));
        let mut smoothed = 2.0;
        for n in 1..5 {
            smoothed = smoothed * KEEPS + 0.02 / 8.0;
            let rtt = ear.hear(&sample(n, smoothed)).rtt.unwrap();
            assert!((rtt - 0.02).abs() < 1e-6, "{rtt}");
        }
        assert!(smoothed > 1.0);
    }

    #[test]
    fn silence_counts_only_while_something_is_on_its_way() {
        let mut ear = Ear::new(&sample(0, 0.02));
        let stuck = |n: u64, unacked| Sample { acked: 0, acks: 0, unacked, ..sample(n, 0.02) };
        assert!(ear.hear(&stuck(5, 0)).silence.abs() < 1e-9);
        assert!((ear.hear(&stuck(12, 9000)).silence - 0.7).abs() < 1e-9);
        assert_eq!(ear.hear(&stuck(13, 9000)).rtt, None);
    }
}
