//! How the threads of the daemon are asked to end, woken, and, in tests, killed.
//!
//! [`Stop`] is how everything is asked to end, [`Nudge`] how one job tells another that there may be work. A
//! nudge is only a hint: every worker also looks by itself, so a lost nudge costs time, never data.

use crate::error::{Error, Result};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Asked once, stays asked. Cloned into everything that loops or waits.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn ask(&self) {
        *self.0.0.lock().expect("stop lock") = true;
        self.0.1.notify_all();
    }
    pub fn asked(&self) -> bool {
        *self.0.0.lock().expect("stop lock")
    }
    /// For the middle of a long step: an error of kind Stopping once asked.
    pub fn check(&self) -> Result<()> {
        if self.asked() { Err(Error::stopping()) } else { Ok(()) }
    }
    /// Waits at most `by` of real time; true when asked.
    pub fn wait(&self, by: Duration) -> bool {
        let guard = self.0.0.lock().expect("stop lock");
        *self.0.1.wait_timeout_while(guard, by, |asked| !*asked).expect("stop lock").0
    }
}

/// A door bell: any number of rings before somebody answers are one.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<(Mutex<bool>, Condvar)>);

impl Nudge {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn ring(&self) {
        *self.0.0.lock().expect("nudge lock") = true;
        self.0.1.notify_all();
    }
    /// Waits at most `by` of real time for a ring and takes it; true when there was one.
    pub fn wait(&self, by: Duration) -> bool {
        let guard = self.0.0.lock().expect("nudge lock");
        let (mut rung, _) = self.0.1.wait_timeout_while(guard, by, |rung| !*rung).expect("nudge lock");
        std::mem::take(&mut *rung)
    }
}

/// Where a durable step begins. In the daemon it does nothing; a test names the step at which to die, and from then
/// on every step refuses, as if the power had gone.
#[derive(Clone, Debug, Default)]
pub struct Faults(Option<Arc<Mutex<Script>>>);

#[derive(Debug, Default)]
struct Script {
    die_at: Option<u64>,
    die_at_first: Option<&'static str>,
    reached: u64,
    dead: Option<&'static str>,
}

impl Faults {
    /// Dies at the `n`-th durable step from now, counted from 1; 0: never, only counts.
    pub fn die_at(n: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(Script { die_at: (n > 0).then_some(n), ..Script::default() }))))
    }
    /// Dies the first time that a step of this name comes: where threads make the count of steps a matter of luck.
    pub fn die_at_first(step: &'static str) -> Self {
        Self(Some(Arc::new(Mutex::new(Script { die_at_first: Some(step), ..Script::default() }))))
    }
    /// A durable step is about to happen.
    pub fn at(&self, step: &'static str) -> Result<()> {
        let Some(script) = &self.0 else { return Ok(()) };
        let mut script = script.lock().expect("faults lock");
        script.reached += 1;
        let now = script.die_at == Some(script.reached) || script.die_at_first == Some(step);
        if script.dead.is_none() && now {
            script.dead = Some(step);
        }
        if script.dead.is_some() { Err(Error::stopping()) } else { Ok(()) }
    }
    /// How many steps were reached, and the one that died.
    pub fn told(&self) -> (u64, Option<&'static str>) {
        self.0.as_ref().map_or((0, None), |s| {
            let script = s.lock().expect("faults lock");
            (script.reached, script.dead)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_before_the_wait_is_not_lost() {
        let bell = Nudge::new();
        bell.ring();
        bell.ring();
        assert!(bell.wait(Duration::ZERO));
        assert!(!bell.wait(Duration::ZERO));
    }

    #[test]
    fn stop_stays_asked() {
        let stop = Stop::new();
        assert!(stop.check().is_ok());
        stop.clone().ask();
        assert!(stop.wait(Duration::from_secs(60)));
        assert_eq!(stop.check().unwrap_err().kind(), crate::error::Kind::Stopping);
    }
}
