//! The line: what goes is counted where it leaves, and checked there against what was set.

use super::*;

impl Household {
    /// Bytes a second the line gives now.
    pub(super) fn line(&self) -> f64 {
        let evening = (18..23).contains(&(self.now() / HOUR % 24));
        self.scenario.line * self.state().mood * if evening { self.scenario.evening } else { 1.0 }
    }

    pub(super) fn reach(&self, what: &str) -> Result<()> {
        if self.is_dead() {
            return Err(Error::stopping());
        }
        if self.now() < self.state().outage_until {
            self.pass(Duration::from_secs(15));
            return if self.is_dead() {
                Err(Error::stopping())
            } else {
                Err(Error::retry(what.to_owned()).because("no answer in time"))
            };
        }
        Ok(())
    }

    /// A body and what is said about it, over the throttle and the line.
    pub(super) fn carry(&self, object: &NewObject) -> Result<()> {
        let what = format!("create {}", object.name);
        let Some(throttle) = self.running().map(|r| r.vault.throttle.clone()) else { return Err(Error::stopping()) };
        let underway = throttle.begin();
        let (mut left, mut talk) = (object.size, HEAD);
        while left > 0 {
            let carried = self.reach(&what).and_then(|()| underway.goes_on(left));
            if let Err(e) = carried {
                self.state().tally.given_up += object.size - left;
                return Err(e);
            }
            let (want, freight) = if talk > 0 { (talk, Freight::Talk) } else { (left, Freight::Body) };
            match throttle.take(Way::Up, want, freight) {
                Grant::Go(n) => {
                    if freight == Freight::Body {
                        throttle.count_body(n);
                        left -= n;
                    } else {
                        talk -= n;
                    }
                    self.counted(n, 0, throttle.paused());
                    // What it takes; or, if that is longer, until about as much may go again.
                    let limit = throttle.pace(Way::Up).map_or(f64::INFINITY, |r| r.get() as f64 * 0.985);
                    self.pass(Duration::from_secs_f64(n as f64 / self.line().min(limit)));
                }
                Grant::Wait(_) if throttle.paused() => self.pass(Duration::from_secs(LOOK)),
                Grant::Wait(by) => self.pass(by),
            }
        }
        throttle.charge(Way::Down, ANSWER);
        self.counted(0, ANSWER, false);
        self.pass(ROUND);
        Ok(())
    }

    /// Bytes leave or come: the promise about them is checked here.
    pub(super) fn counted(&self, up: u64, down: u64, paused: bool) {
        let (now, wall) = (self.clock.steady(), self.clock.wall());
        let s = &self.scenario;
        let day = self.now() / DAY;
        assert!(!paused || up == 0, "day {day}: {up} bytes went during a pause");
        let mut state = self.state();
        // Over any time no more than the limit and one slice.
        let passed = now.since(state.counted_at).as_secs_f64();
        state.above = (state.above - s.limit as f64 * passed).max(0.0) + up as f64;
        state.counted_at = now;
        let most = slice(Rate::bytes_per_second(s.limit).unwrap());
        assert!(state.above <= most as f64 + 1.0, "day {day}: {} bytes above the limit", state.above);
        if let Some((from, to)) = s.window {
            let at = jiff::Timestamp::from_millisecond(wall.0).unwrap().to_zoned(self.zone.clone());
            let second =
                u64::try_from(i64::from(at.hour()) * 3600 + i64::from(at.minute()) * 60 + i64::from(at.second()));
            let (second, from, to) = (second.unwrap(), from * HOUR, to * HOUR + GRACE);
            assert!(second >= from || second <= to, "day {day}: bytes went at {at}, while nothing may");
        }
        state.tally.sent += up;
        let Some(cap) = s.month else { return };
        let at = jiff::Timestamp::from_millisecond(wall.0).unwrap().to_zoned(self.zone.clone()).date();
        let month = state.months.entry(month_of(at)).or_default();
        month.up += up;
        month.down += down;
        let (used, forgiven) = (month.up + month.down, month.forgiven);
        assert!(used <= cap + forgiven + LOOK * s.limit, "day {day}: {used} bytes of a cap of {cap}");
    }

    /// What a start finds counted is what went, but for what a power cut forgets.
    pub(super) fn what_was_counted_outlives(&self, daemon: &Daemon) {
        let wall = self.clock.wall();
        let at = jiff::Timestamp::from_millisecond(wall.0).unwrap().to_zoned(self.zone.clone()).date();
        let month = self.state().months.get(&month_of(at)).copied().unwrap_or_default();
        for cap in daemon.uplink.caps() {
            let (used, went) = (cap.used(wall, &self.zone), month.up + month.down);
            // What went in the last look of a month may be counted to the next.
            let late = LOOK * self.scenario.limit + HEAD + ANSWER;
            assert!(used <= went + late, "{used} bytes are counted, {went} went");
            assert!(went <= used + month.forgiven + late, "{used} bytes are counted, {went} went");
        }
    }

    /// A segment arrived: what it names is safe from now on.
    pub(super) fn named(&self, object: &NewObject) {
        let Body::File(file) = &object.body else { panic!("a segment lies in the spool") };
        let now = self.now();
        let mut state = self.state();
        state.tally.segments += 1;
        for record in records_of(&fs::read(file).unwrap(), &bed::keys()) {
            let Record::Version { version, more } = record else { continue };
            assert!(!more, "no file of this household is so long");
            for place in &mut state.places {
                place.is_safe(&version.path, version.entry.mtime);
            }
        }
        let State { places, told, .. } = &mut *state;
        for told in told.iter_mut().filter(|t| t.came.is_none()) {
            if places[told.folder].made[..told.mark].iter().all(|m| m.over || !m.known) {
                told.came = Some(now);
            }
        }
    }
}
