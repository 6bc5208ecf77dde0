//! How long to wait before the same again, and a store whose reads wait out passing trouble by themselves.
//!
//! Uploads are retried by their worker for as long as it takes. Whoever reads (a restore, a look, a rebuild) does it
//! through a [`Patient`] store: a network error in the middle costs waiting, never the work done so far. What is not
//! passing (a missing object, wrong keys) ends at once as it always did. Randomness comes in as a seed, waiting goes
//! through [`Stop`].

use super::{Created, Held, Inventory, NewObject, ObjectInfo, ObjectName, ObjectStore, Requests, Speed, Thaw};
use crate::error::{Error, Kind, Result};
use crate::format::VAULT_NAME;
use crate::worker::Stop;
use std::ops::{Deref, Range};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// How long a call is tried again while the trouble is passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until it works or somebody asks to stop.
    AsLongAsItTakes,
    Tries(u32),
}

/// What a patient store tells whoever watches.
#[derive(Debug)]
pub enum Told<'a> {
    /// One call failed, `failures` times by now, and is made again after so long.
    Waits { by: Duration, failures: u32, why: &'a Error },
    /// No call waits any more.
    Answers,
}

/// From this failure of a read on, the vault is asked for something else each time.
const DOUBT: u32 = 3;
/// A read that failed so often in a row, minutes apart, while the vault answered for something else right after, is
/// that object's trouble, not the network's: some servers answer 500 for ever for what they lost.
const ALONE: u32 = 8;

/// How often in a row the vault answered for something else.
#[derive(Default)]
struct Doubt {
    alone: u32,
}

/// What a listing hands each thing to.
type Each<'a, T> = &'a mut dyn FnMut(T) -> Result<()>;

type Tell = Box<dyn Fn(Told<'_>) + Send + Sync>;

/// A store whose reads, looks, listings and thaws are made again while the trouble is passing. `create` is passed on
/// untouched. An object that alone is refused again and again is Damaged in the end, so that one bad object never
/// stops the rest.
pub struct Patient<S> {
    inner: S,
    patience: Patience,
    backoff: Mutex<Backoff>,
    stop: Stop,
    waiting: AtomicUsize,
    tell: Tell,
}

impl<S> Patient<S>
where
    S: Deref<Target: ObjectStore> + Send + Sync,
{
    /// `backoff` is the pattern each call begins with.
    pub fn new(
        inner: S,
        patience: Patience,
        backoff: Backoff,
        stop: Stop,
        tell: impl Fn(Told<'_>) + Send + Sync + 'static,
    ) -> Self {
        let (waiting, tell) = (AtomicUsize::new(0), Box::new(tell));
        Self { inner, patience, backoff: Mutex::new(backoff), stop, waiting, tell }
    }

    fn again<T>(&self, stop: &Stop, mut call: impl FnMut(u32) -> Result<T>) -> Result<T> {
        let mut backoff = {
            let mut pattern = self.backoff.lock().expect("backoff lock");
            pattern.roll();
            pattern.clone()
        };
        let answer = loop {
            let failures = backoff.failures();
            match call(failures) {
                Err(e) if e.kind() == Kind::Retry && self.goes_on(failures + 1) => {
                    if failures == 0 {
                        self.waiting.fetch_add(1, Ordering::SeqCst);
                    }
                    let by = backoff.failed();
                    (self.tell)(Told::Waits { by, failures: failures + 1, why: &e });
                    if stop.wait(by) {
                        break Err(Error::stopping());
                    }
                }
                other => break other,
            }
        };
        if backoff.failures() > 0 && self.waiting.fetch_sub(1, Ordering::SeqCst) == 1 && answer.is_ok() {
            (self.tell)(Told::Answers);
        }
        answer
    }

    /// A listing, whatever it tells of each name: every name once, however often it breaks off.
    fn through<T, D>(
        &self,
        name: &mut dyn FnMut(&T) -> ObjectName,
        each: Each<'_, T>,
        list: &mut dyn FnMut(Each<'_, T>) -> Result<D>,
    ) -> Result<D> {
        let mut last: Option<ObjectName> = None;
        self.again(&self.stop, |_| {
            let mut refused = None;
            let listed = list(&mut |told| {
                let name = name(&told);
                if last.as_ref().is_some_and(|last| name <= *last) {
                    return Ok(());
                }
                last = Some(name);
                each(told).map_err(|e| {
                    // The caller's own error is no trouble of the store: it ends the listing whatever its kind.
                    refused = Some(e);
                    Error::stopping()
                })
            });
            match refused {
                Some(e) => Ok(Err(e)),
                None => listed.map(Ok),
            }
        })?
    }

    fn goes_on(&self, failures: u32) -> bool {
        match self.patience {
            Patience::AsLongAsItTakes => true,
            Patience::Tries(most) => failures < most,
        }
    }

    /// Passing trouble, unless it is this object's alone.
    fn judge(&self, e: Error, name: &ObjectName, failures: u32, doubt: &mut Doubt) -> Error {
        if e.kind() != Kind::Retry || failures + 1 < DOUBT || name.as_str() == VAULT_NAME {
            return e;
        }
        doubt.alone = if self.answers() { doubt.alone + 1 } else { 0 };
        if doubt.alone < ALONE {
            return e;
        }
        Error::damaged(format!("read {name}: the vault answers, but not for this object")).because(e)
    }

    /// Whether the vault answers at all, asked for the one object every vault has.
    fn answers(&self) -> bool {
        ObjectName::new(VAULT_NAME).is_some_and(|vault| matches!(self.inner.head(&vault), Ok(Some(_))))
    }
}

impl<S> ObjectStore for Patient<S>
where
    S: Deref<Target: ObjectStore> + Send + Sync,
{
    fn create(&self, object: &NewObject, stop: &Stop) -> Result<Created> {
        self.inner.create(object, stop)
    }
    fn read_into(&self, name: &ObjectName, range: Option<Range<u64>>, into: &mut Vec<u8>, stop: &Stop) -> Result<()> {
        let mut doubt = Doubt::default();
        self.again(stop, |failures| {
            let answer = self.inner.read_into(name, range.clone(), into, stop);
            answer.map_err(|e| self.judge(e, name, failures, &mut doubt))
        })
    }
    fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        let mut doubt = Doubt::default();
        self.again(&self.stop, |failures| self.inner.head(name).map_err(|e| self.judge(e, name, failures, &mut doubt)))
    }
    /// A listing that breaks off goes on after the last name it told, so `each` sees every name once.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<()> {
        self.through(&mut |object: &ObjectInfo| object.name.clone(), each, &mut |each| self.inner.list(prefix, each))
    }
    fn inventory(&self, prefix: &str, each: &mut dyn FnMut(Held) -> Result<()>) -> Result<Inventory> {
        self.through(&mut |held: &Held| held.object.name.clone(), each, &mut |each| self.inner.inventory(prefix, each))
    }
    fn uncover(&self, name: &ObjectName) -> Result<bool> {
        self.again(&self.stop, |_| self.inner.uncover(name))
    }
    fn thaw(&self, name: &ObjectName, speed: Speed, days: u32) -> Result<Thaw> {
        self.again(&self.stop, |_| self.inner.thaw(name, speed, days))
    }
    fn may_freeze(&self) -> bool {
        self.inner.may_freeze()
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
    use crate::store::{Cover, Depth};
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

    /// A store with one object, and the vault file every vault has.
    fn memory() -> (MemoryStore, ObjectName) {
        let memory = MemoryStore::new(ManualClock::at(Wall(0)));
        let name = ObjectName::new("meta_a").unwrap();
        memory.put(&name, b"abc");
        memory.put(&ObjectName::new(VAULT_NAME).unwrap(), b"vault");
        (memory, name)
    }
    fn patient(memory: &MemoryStore, patience: Patience) -> Patient<&MemoryStore> {
        Patient::new(memory, patience, soon(), Stop::new(), |_| {})
    }

    #[test]
    fn a_patient_store_reads_through_passing_trouble_and_gives_up_where_it_shall() {
        let (memory, name) = memory();
        let bounded = patient(&memory, Patience::Tries(3));
        memory.next_faults([Fault::ServerError, Fault::TimeOut]);
        assert_eq!(bounded.read(&name, None, &Stop::new()).unwrap(), b"abc");
        memory.next_faults([Fault::ServerError, Fault::TimeOut, Fault::Cut { after: 1 }]);
        assert_eq!(bounded.read(&name, None, &Stop::new()).unwrap_err().kind(), Kind::Retry);
        assert_eq!(memory.requests().get, 6);
        memory.next_faults([Fault::ServerError; 500]);
        assert!(patient(&memory, Patience::AsLongAsItTakes).head(&name).unwrap().is_some());
    }

    #[test]
    fn what_is_not_passing_ends_at_once() {
        let (memory, name) = memory();
        let patient = patient(&memory, Patience::AsLongAsItTakes);
        let gone = ObjectName::new("meta_gone").unwrap();
        assert_eq!(patient.read(&gone, None, &Stop::new()).unwrap_err().kind(), Kind::Damaged);
        memory.next_faults([Fault::Refused]);
        assert_eq!(patient.read(&name, None, &Stop::new()).unwrap_err().kind(), Kind::Operator);
        assert_eq!(memory.requests().get, 2);
    }

    #[test]
    fn an_object_that_alone_is_refused_for_ever_is_damage_in_the_end_and_an_outage_never_is() {
        let (memory, name) = memory();
        let patient = patient(&memory, Patience::AsLongAsItTakes);
        // Each read fails, each look for the vault that follows does not.
        memory.next_faults([Fault::ServerError; 2]);
        memory.next_faults([Fault::ServerError, Fault::None].repeat(8));
        let e = patient.read(&name, None, &Stop::new()).unwrap_err();
        assert!(e.kind() == Kind::Damaged && e.to_string().contains("503"), "{e}");
        assert_eq!((memory.requests().get, memory.requests().head), (10, 8));
        // Where nothing answers, the look for the vault fails too.
        memory.next_faults([Fault::ServerError; 101]);
        assert_eq!(patient.read(&name, None, &Stop::new()).unwrap(), b"abc");
        assert!(memory.calls().len() > 101);
    }

    #[test]
    fn it_says_that_it_waits_why_and_when_the_vault_answers_again() {
        let (memory, name) = memory();
        let said = std::sync::Arc::new(Mutex::new(Vec::new()));
        let notes = std::sync::Arc::clone(&said);
        let patient = Patient::new(&memory, Patience::AsLongAsItTakes, soon(), Stop::new(), move |told| {
            notes.lock().unwrap().push(match told {
                Told::Waits { failures, why, .. } => format!("{failures}: {why}"),
                Told::Answers => "answers".to_owned(),
            });
        });
        memory.next_faults([Fault::ServerError, Fault::TimeOut]);
        patient.read(&name, None, &Stop::new()).unwrap();
        patient.read(&name, None, &Stop::new()).unwrap();
        let expected = ["1: read meta_a: 503 Slow Down", "2: read meta_a: no answer in time", "answers"];
        assert_eq!(*said.lock().unwrap(), expected);
    }

    #[test]
    fn a_stop_ends_the_waiting() {
        let (memory, name) = memory();
        let stop = Stop::new();
        let asked = stop.clone();
        let long = Backoff::between(Duration::from_secs(3600), Duration::from_secs(3600), 1);
        let patient = Patient::new(&memory, Patience::AsLongAsItTakes, long, stop, move |_| asked.ask());
        memory.next_faults([Fault::ServerError]);
        assert_eq!(patient.head(&name).unwrap_err().kind(), Kind::Stopping);
    }

    #[test]
    fn an_inventory_that_breaks_off_tells_every_name_once_and_what_is_beneath_is_asked_for_again() {
        let memory = MemoryStore::new(ManualClock::at(Wall(0)));
        let names: Vec<_> = (0..9).map(|i| ObjectName::new(format!("meta_{i}")).unwrap()).collect();
        for name in &names {
            memory.put(name, b"ours");
        }
        memory.hide(&names[2]);
        memory.overwrite(&names[7], b"other");
        memory.next_faults([Fault::Cut { after: 4 }, Fault::ServerError, Fault::None, Fault::TimeOut]);
        let patient = patient(&memory, Patience::Tries(5));
        let mut seen = Vec::new();
        let mut each = |held: Held| -> Result<()> {
            seen.push((held.object.name, held.cover));
            Ok(())
        };
        assert_eq!(patient.inventory("meta_", &mut each).unwrap().depth, Depth::Versions);
        let cover = |i| match i {
            2 => Cover::DeleteMarker,
            7 => Cover::OtherBytes,
            _ => Cover::Bare,
        };
        assert_eq!(seen, names.iter().enumerate().map(|(i, name)| (name.clone(), cover(i))).collect::<Vec<_>>());
        assert!(patient.uncover(&names[7]).unwrap());
        assert_eq!(memory.requests().list, 5);
    }

    #[test]
    fn a_listing_that_breaks_off_tells_every_name_once() {
        let memory = MemoryStore::new(ManualClock::at(Wall(0)));
        let names: Vec<_> = (0..9).map(|i| ObjectName::new(format!("meta_{i}")).unwrap()).collect();
        for name in &names {
            memory.put(name, b"");
        }
        memory.next_faults([Fault::Cut { after: 4 }, Fault::ServerError]);
        let patient = patient(&memory, Patience::Tries(5));
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
