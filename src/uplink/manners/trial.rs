//! A bottleneck to try the controller on: one queue that takes packets at a rate and drops what does not fit, the
//! way there and back, a kernel that smooths its round-trip times and delays acknowledgements, and others on the line.

use super::{Manners, Sample};
use crate::clock::Steady;
use std::collections::VecDeque;
use std::time::Duration;

const TICK: f64 = 0.001;
const MSS: f64 = 1448.0;
const PACKET: f64 = 1500.0;
/// Linux delays the acknowledgement of a single segment by this.
const DELAYED_S: f64 = 0.040;

/// Who a packet belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    /// One of our connections.
    Ours(usize),
    Greedy,
    Probe,
    Steady,
}

struct Packet {
    whose: Whose,
    bytes: f64,
    sent: f64,
}

/// The kernel's side of one of our connections.
#[derive(Clone, Default)]
struct Kernel {
    rtt: Option<f64>,
    min_rtt: f64,
    acked: f64,
    acks: u64,
    unacked: f64,
    /// Segments the far side has not acknowledged yet, when the first was sent, when its patience ends.
    held: Option<(f64, f64, f64)>,
}

/// A loss-based flow that fills whatever there is: slow start, then one packet more with every window.
struct Greedy {
    window: f64,
    flying: f64,
    threshold: f64,
    back: VecDeque<(f64, f64)>,
    cut: f64,
}

/// The line and all who are on it.
pub(super) struct Trial {
    pub manners: Manners,
    pub now: f64,
    /// Bytes per second.
    pub line: f64,
    /// The empty way, there and back, seconds.
    pub way: f64,
    /// Most the queue holds, seconds of the line.
    pub depth: f64,
    /// Acknowledgements come later by up to this, seconds.
    pub jitter: f64,
    /// A plain limit, bytes per second.
    pub limit: f64,
    /// The pacer wakes up no more often than this in a second.
    pub grants: f64,
    /// Whether there is something to send.
    pub hungry: bool,
    /// Somebody's even flow, bytes per second.
    pub even: f64,
    queue: VecDeque<Packet>,
    queued: f64,
    budget: f64,
    credit: f64,
    kernels: Vec<Kernel>,
    /// Whether a small segment goes between others now and then, so that later ones are acknowledged late. Not where a
    /// packet takes 12 ms: late ones look like a queue of 24 to 40 there, and a third of the line may stay unused.
    pub odd: bool,
    turn: usize,
    granted: u64,
    /// (when, connection, bytes, sent): arrivals at the far side.
    arrivals: VecDeque<(f64, usize, f64, f64)>,
    acks: VecDeque<(f64, usize, f64, f64)>,
    greedy: Option<Greedy>,
    even_credit: f64,
    probe: f64,
    looked: f64,
    noise: u64,
    ours: f64,
    others: f64,
    /// What an interactive packet waited in the queue, seconds.
    waits: Vec<f64>,
}

/// What a stretch of time came to.
#[derive(Debug)]
pub(super) struct Seen {
    /// Share of the line that was ours.
    pub share: f64,
    pub others: f64,
    pub median_ms: f64,
    pub p95_ms: f64,
    /// What a full packet takes on this line.
    pub packet_ms: f64,
}

impl Trial {
    pub fn new(mbit: f64, way: f64, connections: usize) -> Self {
        Self {
            manners: Manners::new(),
            now: 0.0,
            line: mbit * 125_000.0,
            way,
            depth: 2.0,
            jitter: 0.0,
            limit: f64::INFINITY,
            grants: 250.0,
            hungry: true,
            even: 0.0,
            queue: VecDeque::new(),
            queued: 0.0,
            budget: 0.0,
            credit: 0.0,
            kernels: vec![Kernel { min_rtt: way, ..Kernel::default() }; connections],
            odd: mbit > 2.0,
            turn: 0,
            granted: 0,
            arrivals: VecDeque::new(),
            acks: VecDeque::new(),
            greedy: None,
            even_credit: 0.0,
            probe: 0.0,
            looked: 0.0,
            noise: 1,
            ours: 0.0,
            others: 0.0,
            waits: Vec::new(),
        }
    }

    pub fn greedy_begins(&mut self) {
        self.greedy =
            Some(Greedy { window: 10.0, flying: 0.0, threshold: f64::INFINITY, back: VecDeque::new(), cut: 0.0 });
    }

    pub fn greedy_ends(&mut self) {
        self.greedy = None;
    }

    pub fn run(&mut self, seconds: f64) -> Seen {
        (self.ours, self.others) = (0.0, 0.0);
        self.waits.clear();
        let until = self.now + seconds;
        while self.now < until {
            self.tick();
        }
        self.waits.sort_by(f64::total_cmp);
        let at = |share: usize| self.waits.get(self.waits.len() * share / 100).copied().unwrap_or(0.0) * 1000.0;
        let all = self.line * seconds;
        Seen {
            share: self.ours / all,
            others: self.others / all,
            median_ms: at(50),
            p95_ms: at(95),
            packet_ms: PACKET / self.line * 1000.0,
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        self.send();
        self.others_send();
        self.drain();
        self.far_side();
        self.near_side();
        if self.now - self.looked >= 0.05 {
            self.looked = self.now;
            self.look();
        }
    }

    /// A pacer that lets an eightieth of a second of bytes go at once, two segments at least.
    fn send(&mut self) {
        let rate = f64::min(super::real(self.manners.rate().get()), self.limit);
        let grant = super::real(self.manners.grant()).max(rate / self.grants);
        self.credit = (self.credit + rate * TICK).min(2.0 * grant);
        if !self.hungry {
            self.credit = 0.0;
        }
        if self.credit >= grant {
            self.turn = (self.turn + 1) % self.kernels.len();
            self.granted += 1;
            // A head or the end of an object: one small segment more.
            if self.granted.is_multiple_of(100) && self.odd {
                self.kernels[self.turn].unacked += MSS / 4.0;
                self.enqueue(Whose::Ours(self.turn), PACKET / 4.0);
            }
            while self.credit >= MSS {
                self.credit -= MSS;
                self.kernels[self.turn].unacked += MSS;
                self.enqueue(Whose::Ours(self.turn), PACKET);
            }
        }
    }

    fn others_send(&mut self) {
        self.even_credit += self.even * TICK;
        while self.even_credit >= PACKET {
            self.even_credit -= PACKET;
            self.enqueue(Whose::Steady, PACKET);
        }
        if self.now - self.probe >= 0.05 {
            self.probe = self.now;
            self.enqueue(Whose::Probe, 100.0);
        }
        let Some(mut greedy) = self.greedy.take() else { return };
        while let Some(&(when, sent)) = greedy.back.front()
            && when <= self.now
        {
            greedy.back.pop_front();
            greedy.flying -= 1.0;
            if sent < 0.0 && self.now > greedy.cut {
                greedy.window = (greedy.window * 0.7).max(2.0);
                greedy.threshold = greedy.window;
                greedy.cut = self.now + self.way + self.queued / self.line;
            } else if sent >= 0.0 {
                greedy.window += if greedy.window < greedy.threshold { 1.0 } else { 1.0 / greedy.window };
            }
        }
        let mut lost = Vec::new();
        while greedy.flying < greedy.window {
            greedy.flying += 1.0;
            if !self.enqueue(Whose::Greedy, PACKET) {
                lost.push((self.now + self.way + self.queued / self.line, -1.0));
            }
        }
        greedy.back.extend(lost);
        greedy.back.make_contiguous().sort_by(|a, b| a.0.total_cmp(&b.0));
        self.greedy = Some(greedy);
    }

    fn enqueue(&mut self, whose: Whose, bytes: f64) -> bool {
        if self.queued + bytes > self.depth * self.line {
            return false;
        }
        self.queued += bytes;
        self.queue.push_back(Packet { whose, bytes, sent: self.now });
        true
    }

    fn drain(&mut self) {
        self.budget = if self.queue.is_empty() { 0.0 } else { self.budget + self.line * TICK };
        while let Some(first) = self.queue.front()
            && first.bytes <= self.budget
        {
            let packet = self.queue.pop_front().expect("seen");
            self.budget -= packet.bytes;
            self.queued -= packet.bytes;
            let there = self.now + self.way;
            match packet.whose {
                Whose::Ours(n) => {
                    self.ours += packet.bytes;
                    self.arrivals.push_back((there, n, packet.bytes / PACKET * MSS, packet.sent));
                }
                Whose::Greedy => {
                    self.others += packet.bytes;
                    if let Some(greedy) = &mut self.greedy {
                        greedy.back.push_back((there, packet.sent));
                    }
                }
                Whose::Steady => self.others += packet.bytes,
                Whose::Probe => self.waits.push(self.now - packet.sent),
            }
        }
    }

    /// Every second segment is acknowledged at once, a single one after a while.
    fn far_side(&mut self) {
        while let Some(&(when, n, bytes, sent)) = self.arrivals.front()
            && when <= self.now
        {
            self.arrivals.pop_front();
            match self.kernels[n].held.take() {
                None => self.kernels[n].held = Some((bytes, sent, self.now + DELAYED_S)),
                Some((held, first, _)) => self.acknowledge(n, held + bytes, first),
            }
        }
        for n in 0..self.kernels.len() {
            if let Some((held, first, end)) = self.kernels[n].held
                && end <= self.now
            {
                self.kernels[n].held = None;
                self.acknowledge(n, held, first);
            }
        }
    }

    fn acknowledge(&mut self, n: usize, bytes: f64, sent: f64) {
        self.noise = self.noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let late = self.jitter * f64::from(u32::try_from(self.noise >> 40).unwrap_or(0)) / f64::from(1 << 24);
        self.acks.push_back((self.now + late, n, bytes, sent));
    }

    fn near_side(&mut self) {
        self.acks.make_contiguous().sort_by(|a, b| a.0.total_cmp(&b.0));
        while let Some(&(when, n, bytes, sent)) = self.acks.front()
            && when <= self.now
        {
            self.acks.pop_front();
            let kernel = &mut self.kernels[n];
            let rtt = when - sent;
            kernel.rtt = Some(kernel.rtt.map_or(rtt, |old| old * 7.0 / 8.0 + rtt / 8.0));
            kernel.min_rtt = kernel.min_rtt.min(rtt);
            kernel.acked += bytes;
            kernel.acks += 1;
            kernel.unacked -= bytes;
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of a simulation")]
    fn look(&mut self) {
        for (n, kernel) in self.kernels.iter().enumerate() {
            self.manners.hear(&Sample {
                connection: n as u64,
                at: Steady(Duration::from_secs_f64(self.now)),
                rtt: Duration::from_secs_f64(kernel.rtt.unwrap_or(self.way)),
                min_rtt: Duration::from_secs_f64(kernel.min_rtt),
                acked: kernel.acked as u64,
                acks: kernel.acks,
                unacked: kernel.unacked.max(0.0) as u64,
                unsent: 0,
            });
        }
    }
}
