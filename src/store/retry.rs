//! How long to wait before the same again, and a store whose reads try a few times by themselves.
//!
//! Uploads are retried by their worker for as long as it takes; reads of a command must end, so [`Patient`] gives
//! up after a bounded number of tries. Randomness comes in as a seed, waiting goes through [`Stop`].

use super::{Created, NewObject, ObjectInfo, ObjectName, ObjectStore, Requests, Speed, Thaw};
use crate::error::{Kind, Result};
use crate::worker::Stop;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

/// First wait, before jitter.
pub const FIRST: Duration = Duration::from_secs(1);
/// Longest wait, before jitter: a network that is back is noticed within minutes even when nobody nudges.
pub const CAP: Duration = Duration::from_secs(300);

/// Capped exponential back-off with full jitter: the bound doubles with every failure up to the cap, and each wait
/// lies anywhere between nothing and the bound, so that many machines do not return in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    failures: u32,
    dice: u64,
}

impl Backoff {
    /// `seed` from the caller's randomness; any value.
    pub fn new(seed: u64) -> Self {
        Self::between(FIRST, CAP, seed)
    }
    pub fn between(first: Duration, cap: Duration, seed: u64) -> Self {
        Self { first, cap, failures: 0, dice: seed }
    }

    /// One more failure: how long to wait now. Never zero.
    pub fn failed(&mut self) -> Duration {
        let bound = self.bound();
        self.failures = self.failures.saturating_add(1);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.roll() % nanos + 1)
    }
    /// It worked, or there is reason to believe it will (the network is back): begin anew.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
    pub fn failures(&self) -> u32 {
        self.failures
    }
    /// The longest the next wait can be.
    pub fn bound(&self) -> Duration {
        2u32.checked_pow(self.failures).and_then(|n| self.first.checked_mul(n)).unwrap_or(self.cap).min(self.cap)
    }

    /// SplitMix64: jitter needs no more.
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A store whose reads, looks, listings and thaws are tried up to `tries` times while the trouble is passing.
/// `create` is passed on untouched.
#[derive(Debug)]
pub struct Patient<S> {
    inner: S,
    tries: u32,
    backoff: Mutex<Backoff>,
    stop: Stop,
}

impl<S: ObjectStore> Patient<S> {
    /// `backoff` is the pattern each call begins with.
    pub fn new(inner: S, tries: u32, backoff: Backoff, stop: Stop) -> Self {
        Self { inner, tries: tries.max(1), backoff: Mutex::new(backoff), stop }
    }
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn again<T>(&self, stop: &Stop, mut call: impl FnMut() -> Result<T>) -> Result<T> {
        let mut backoff = {
            let mut pattern = self.backoff.lock().expect("backoff lock");
            pattern.roll();
            pattern.clone()
        };
        loop {
            match call() {
                Err(e) if e.kind() == Kind::Retry && backoff.failures() + 1 < self.tries => {
                    if stop.wait(backoff.failed()) {
                        return Err(e);
                    }
                }
                other => return other,
            }
        }
    }
}

impl<S: ObjectStore> ObjectStore for Patient<S> {
    fn create(&self, object: &NewObject, stop: &Stop) -> Result<Created> {
        self.inner.create(object, stop)
    }
    fn read(&self, name: &ObjectName, range: Option<Range<u64>>, stop: &Stop) -> Result<Vec<u8>> {
        self.again(stop, || self.inner.read(name, range.clone(), stop))
    }
    fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        self.again(&self.stop, || self.inner.head(name))
    }
    /// A listing that breaks off goes on after the last name it told, so `each` sees every name once.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<()> {
        let mut last: Option<ObjectName> = None;
        self.again(&self.stop, || {
            let mut refused = None;
            let listed = self.inner.list(prefix, &mut |info| {
                if last.as_ref().is_some_and(|last| info.name <= *last) {
                    return Ok(());
                }
                last = Some(info.name.clone());
                each(info).map_err(|e| {
                    // The caller's own error is no trouble of the store: it ends the listing whatever its kind.
                    refused = Some(e);
                    crate::error::Error::stopping()
                })
            });
            match refused {
                Some(e) => Ok(Err(e)),
                None => listed.map(Ok),
            }
        })?
    }
    fn thaw(&self, name: &ObjectName, speed: Speed, days: u32) -> Result<Thaw> {
        self.again(&self.stop, || self.inner.thaw(name, speed, days))
    }
    fn requests(&self) -> Requests {
        self.inner.requests()
    }
    fn sent_bytes(&self) -> u64 {
        self.inner.sent_bytes()
    }
    fn url(&self) -> String {
        self.inner.url()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Wall};
    use crate::store::memory::{Fault, MemoryStore};
    use proptest::prelude::*;

    fn soon() -> Backoff {
        Backoff::between(Duration::from_nanos(1), Duration::from_nanos(9), 7)
    }

    proptest! {
        #[test]
        fn a_wait_is_never_nothing_and_never_above_the_cap(seed: u64, failures in 0usize..80) {
            let mut backoff = Backoff::new(seed);
            for _ in 0..failures {
                let bound = backoff.bound();
                let wait = backoff.failed();
                prop_assert!(wait > Duration::ZERO && wait <= bound && bound <= CAP);
            }
            backoff.reset();
            prop_assert_eq!(backoff.bound(), FIRST);
        }
    }

    #[test]
    fn two_machines_do_not_return_in_step() {
        let waits = |seed| {
            let mut b = Backoff::new(seed);
            (0..5).map(|_| b.failed()).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn a_patient_store_reads_through_passing_trouble_and_gives_up_in_the_end() {
        let memory = MemoryStore::new(ManualClock::at(Wall(0)));
        let name = ObjectName::new("meta_a").unwrap();
        memory.put(&name, b"abc");
        let patient = Patient::new(memory, 3, soon(), Stop::new());
        patient.inner().next_faults([Fault::ServerError, Fault::TimeOut]);
        assert_eq!(patient.read(&name, None, &Stop::new()).unwrap(), b"abc");
        patient.inner().next_faults([Fault::ServerError, Fault::TimeOut, Fault::ServerError]);
        assert_eq!(patient.read(&name, None, &Stop::new()).unwrap_err().kind(), Kind::Retry);
        assert_eq!(patient.inner().requests().get, 6);
    }

    #[test]
    fn a_listing_that_breaks_off_tells_every_name_once() {
        let memory = MemoryStore::new(ManualClock::at(Wall(0)));
        let names: Vec<_> = (0..9).map(|i| ObjectName::new(format!("meta_{i}")).unwrap()).collect();
        for name in &names {
            memory.put(name, b"");
        }
        memory.next_faults([Fault::Cut { after: 4 }, Fault::ServerError]);
        let patient = Patient::new(memory, 5, soon(), Stop::new());
        let mut seen = Vec::new();
        patient
            .list("meta_", &mut |info| {
                seen.push(info.name);
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, names);
    }
}
