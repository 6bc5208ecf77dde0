//! A test double of a vault, kept in memory: cold, slow and rude on request. It keeps the promises of
//! [`ObjectStore`] itself; what it simulates is the world behind a store. Not for keeping anything.
//!
//! Faults are scripted one per call ([`MemoryStore::next_faults`]) or strike at random from a seed
//! ([`MemoryStore::random_faults`]), so that every failure can be repeated. It keeps versions: what is hidden or
//! overwritten ([`MemoryStore::hide`], [`MemoryStore::overwrite`]) lies beneath, as in a bucket that keeps them.

mod calls;
mod fault;
mod pile;
#[cfg(test)]
mod tests;

pub use fault::{Call, Fault};

use super::throttle::Throttle;
use super::{Access, ObjectName, Requests, Speed, TIERING};
use crate::clock::{Clock, Steady, Wall};
use crate::error::{Error, Result};
use crate::model::Rate;
use fault::{Faults, Random};
use pile::{Cold, Kept, Pile};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<ObjectName, Pile>,
    faults: Faults,
    calls: Vec<Call>,
    requests: Requests,
    sent: u64,
    /// Speeds a thaw is refused at.
    refused: Vec<Speed>,
    thaws: Vec<AskedFor>,
    frozen_reads: u64,
    line_busy_until: Steady,
}

/// A thaw that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedFor {
    pub at: Wall,
    pub name: ObjectName,
    pub days: u32,
}

#[derive(Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    throttle: Option<Throttle>,
    cold: Option<Duration>,
    lists: Lists,
    versions: Versions,
    downlink: Option<Rate>,
    state: Mutex<State>,
}

/// What listings tell of frozen objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lists {
    Thaws,
    Classes,
}

/// Whether what lies behind what lies on top is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Versions {
    Listed,
    NotListed,
}

impl MemoryStore {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (lists, downlink) = (Lists::Thaws, None);
        let versions = Versions::Listed;
        Self { clock, throttle: None, cold: None, lists, versions, downlink, state: Mutex::default() }
    }
    #[must_use]
    pub fn throttled(mut self, throttle: Throttle) -> Self {
        self.throttle = Some(throttle);
        self
    }
    /// `data_` objects freeze as they arrive and need `thaw`, which takes so long.
    #[must_use]
    pub fn cold(mut self, thaw_takes: Duration) -> Self {
        self.cold = Some(thaw_takes);
        self
    }

    /// Listings tell classes and no thaws.
    #[must_use]
    pub fn without_thaws_in_lists(mut self) -> Self {
        self.lists = Lists::Classes;
        self
    }
    /// Nobody tells what lies behind a delete marker or beneath other bytes.
    #[must_use]
    pub fn without_versions(mut self) -> Self {
        self.versions = Versions::NotListed;
        self
    }
    /// Reads take time by the store's clock.
    #[must_use]
    pub fn read_at(mut self, rate: Rate) -> Self {
        self.downlink = Some(rate);
        self
    }
    /// Thaws at this speed are refused from now on.
    pub fn refuse(&self, speed: Speed) {
        self.state().refused.push(speed);
    }
    /// An object in a class that needs no thaw.
    pub fn warm(&self, name: &ObjectName) {
        if let Some(kept) = self.state().ours_mut(name) {
            (kept.cold, kept.class) = (Cold::Warm, None);
        }
    }
    /// The bucket's own configuration moves an object to an archive of the tiering class: no listing tells, a look does.
    pub fn tier_away(&self, name: &ObjectName) {
        if let Some(kept) = self.state().ours_mut(name) {
            (kept.cold, kept.class) = (Cold::Frozen, Some(TIERING.to_owned()));
        }
    }
    /// A rule moves an object to an archive.
    pub fn archive(&self, name: &ObjectName, class: &str) {
        if let Some(kept) = self.state().ours_mut(name) {
            (kept.cold, kept.class) = (Cold::Frozen, Some(class.to_owned()));
        }
    }
    /// The copy of an object goes before its time.
    pub fn freeze(&self, name: &ObjectName) {
        if let Some(kept) = self.state().ours_mut(name) {
            kept.cold = Cold::Frozen;
        }
    }

    /// What the next calls meet, one each; then the script ends.
    pub fn next_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.script.extend(faults);
    }
    /// From now on each call beyond the script fails with this probability (0 to 1), in a way drawn from `seed`;
    /// never so that bytes already confirmed are lost.
    pub fn random_faults(&self, seed: u64, probability: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped first")]
        let per_mille = (probability.clamp(0.0, 1.0) * 1000.0) as u64;
        self.state().faults.random = (per_mille > 0).then_some(Random { dice: seed, per_mille });
    }
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }
    /// Thaws that were begun, in order.
    pub fn thaws(&self) -> Vec<AskedFor> {
        self.state().thaws.clone()
    }
    /// Reads that met a frozen object.
    pub fn frozen_reads(&self) -> u64 {
        self.state().frozen_reads
    }
    pub fn names(&self) -> Vec<ObjectName> {
        self.state().objects.iter().filter(|o| !o.1.is_empty()).map(|o| o.0.clone()).collect()
    }
    pub fn bytes(&self, name: &ObjectName) -> Option<Vec<u8>> {
        self.state().objects.get(name).and_then(Pile::ours).map(|kept| kept.bytes.clone())
    }
    /// Puts an object behind everybody's back.
    pub fn put(&self, name: &ObjectName, bytes: &[u8]) {
        let kept = self.keep(name, bytes.to_vec());
        self.state().objects.insert(name.clone(), Pile::of(kept));
    }
    /// Deletes an object as a bucket with versions does: a delete marker lies on it.
    pub fn hide(&self, name: &ObjectName) {
        self.state().objects.entry(name.clone()).or_default().lay(None);
    }
    /// Overwrites an object as a bucket with versions does: what was there stays beneath. Needs no thaw.
    pub fn overwrite(&self, name: &ObjectName, bytes: &[u8]) {
        let kept = Kept { class: None, cold: Cold::Warm, ..self.keep(name, bytes.to_vec()) };
        self.state().objects.entry(name.clone()).or_default().lay(Some(kept));
    }
    /// Takes away what lies on top of an object, as its owner does by version id.
    pub fn take_off(&self, name: &ObjectName) {
        self.state().objects.entry(name.clone()).or_default().take_off();
    }
    /// Loses an object with all its versions; true when there was one.
    pub fn lose(&self, name: &ObjectName) -> bool {
        self.state().objects.remove(name).is_some()
    }
    /// Damages an object: `damage` is handed its bytes.
    pub fn damage(&self, name: &ObjectName, damage: impl FnOnce(&mut Vec<u8>)) {
        if let Some(kept) = self.state().ours_mut(name) {
            damage(&mut kept.bytes);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("memory store lock")
    }

    fn keep(&self, name: &ObjectName, bytes: Vec<u8>) -> Kept {
        let frozen = self.cold.is_some() && name.as_str().starts_with("data_");
        Kept {
            bytes,
            class: frozen.then(|| "DEEP_ARCHIVE".to_owned()),
            modified: self.clock.wall(),
            cold: if frozen { Cold::Frozen } else { Cold::Warm },
        }
    }

    /// What is read under a name.
    fn found<'a>(&self, state: &'a State, name: &ObjectName) -> Option<&'a Kept> {
        let pile = state.objects.get(name)?;
        if self.versions == Versions::Listed { pile.ours() } else { pile.top() }
    }
    fn found_mut<'a>(&self, state: &'a mut State, name: &ObjectName) -> Option<&'a mut Kept> {
        self.found(state, name)?;
        state.ours_mut(name)
    }

    /// What a listing tells of an object.
    fn listed(&self, kept: &Kept) -> Option<Access> {
        let is_tiered = kept.class.as_deref() == Some(TIERING);
        let is_told = !is_tiered && (self.lists == Lists::Thaws || kept.cold == Cold::Warm);
        is_told.then(|| kept.cold.access(&*self.clock))
    }

    /// One line, shared by all who read at once.
    fn take_time(&self, range: Option<&Range<u64>>) {
        if let (Some(rate), Some(range)) = (self.downlink, range) {
            let nanos = u128::from(range.end - range.start) * 1_000_000_000 / u128::from(rate.get());
            let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            let now = self.clock.steady();
            let ours = {
                let mut state = self.state();
                state.line_busy_until = state.line_busy_until.max(now).plus(takes);
                state.line_busy_until
            };
            self.clock.sleep(ours.since(now));
        }
    }

    /// Writes the call down and says what it meets; passing trouble that stops it at the door is the error.
    fn meet(&self, call: Call) -> Result<Fault> {
        let (fault, what) = {
            let mut state = self.state();
            let count = &mut state.requests;
            let what = match &call {
                Call::Create(name) => (count.put += 1, format!("create {name}")).1,
                Call::Read(name, _) => (count.get += 1, format!("read {name}")).1,
                Call::Head(name) => (count.head += 1, format!("look at {name}")).1,
                Call::List(prefix) => (count.list += 1, format!("list {prefix}*")).1,
                Call::Thaw(name, _) => (count.thaw += 1, format!("thaw {name}")).1,
            };
            state.calls.push(call);
            (state.faults.next(), what)
        };
        match fault {
            Fault::ServerError => Err(Error::retry(what).because("503 Slow Down")),
            Fault::TimeOut => Err(Error::retry(what).because("no answer in time")),
            Fault::Refused => Err(Error::operator(what).because("403 Access Denied").remedy("check the key's rights")),
            Fault::Slow(by) => {
                self.clock.sleep(by);
                Ok(Fault::None)
            }
            other => Ok(other),
        }
    }
}

impl State {
    fn ours_mut(&mut self, name: &ObjectName) -> Option<&mut Kept> {
        self.objects.get_mut(name)?.ours_mut()
    }
}
