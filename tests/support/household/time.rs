//! Time: what the daemon's threads do while it passes, one after the other.

use super::*;

impl Household {
    /// Time passes, and what happens meanwhile happens. Not further than to the end of the power.
    pub(super) fn pass(&self, by: Duration) {
        let until = self.clock.steady().plus(by);
        loop {
            let now = self.clock.steady();
            if now >= until || self.is_dead() {
                return;
            }
            let next = Steady(Duration::from_secs(self.state().next));
            let to = until.min(next.max(now));
            self.clock.advance(to.since(now));
            if to >= next {
                self.moment();
            }
        }
    }

    /// Every few seconds, and whenever the calendar changes.
    pub(super) fn moment(&self) {
        let now = self.now();
        let (running, is_first) = {
            let mut state = self.state();
            let busy = std::mem::replace(&mut state.busy, true);
            if state.running.is_some() && now >= state.next_cut {
                state.dead = true;
                state.busy = busy;
                return;
            }
            state.next = (now / LOOK + 1) * LOOK;
            (state.running.clone(), !busy)
        };
        if let Some(running) = &running {
            self.did("the uplink", running.daemon.uplink.settle(&running.daemon.vaults).map(drop));
        }
        if is_first {
            if now.is_multiple_of(60) {
                self.minute(now, running.as_ref());
            }
            self.state().busy = false;
        }
    }

    pub(super) fn did(&self, who: &str, outcome: Result<()>) {
        match outcome.map_err(|e| (e.kind(), e)) {
            Ok(()) | Err((Kind::Retry, _)) => {}
            Err((Kind::Stopping, _)) => self.state().dead = true,
            Err((_, e)) => panic!("{who}: {e}"),
        }
    }

    pub(super) fn minute(&self, now: u64, running: Option<&Running>) {
        self.weather(now);
        if now.is_multiple_of(1800) {
            self.people(now, running);
        }
        let Some(running) = running else { return };
        if now == self.scenario.pause.0 * DAY + 10 * HOUR {
            running.desk.pause(Lasting::For(Duration::from_secs(self.scenario.pause.1 * HOUR))).unwrap();
            self.state().tally.paused += 1;
        }
        running.daemon.learn();
        if running.vault.may() == May::Log {
            self.state().tally.capped += 1;
        }
        if now.is_multiple_of(600) {
            running.daemon.walks_due();
        }
        self.workers(now, running);
        if self.is_dead() {
            return;
        }
        if now % DAY == 12 * HOUR {
            self.noon(now, running);
        }
    }

    /// Each when its bell rang, and every few minutes.
    pub(super) fn workers(&self, now: u64, Running { vault, engine, .. }: &Running) {
        let rung = |bell: &Nudge| bell.wait(Duration::ZERO) || now.is_multiple_of(300);
        if rung(&engine.bells.walk) {
            let walked = engine.walk_due(None);
            if let Ok(1..) = walked {
                engine.bells.capture.ring();
                engine.bells.publish.ring();
                for place in &mut self.state().places {
                    place.made.iter_mut().for_each(|m| m.known = true);
                }
            }
            self.did("the walk", walked.map(drop));
        }
        if rung(&engine.bells.capture) {
            self.did("capture", capture_step(vault, engine).map(drop));
        }
        if rung(&engine.bells.publish) {
            self.did("publish", publish_step(vault, engine).map(drop));
        }
    }
}
