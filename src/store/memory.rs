//! A test double of a vault, kept in memory: cold, slow and rude on request. It keeps the promises of
//! [`ObjectStore`] itself; what it simulates is the world behind a store. Not for keeping anything.
//!
//! Faults are scripted one per call ([`MemoryStore::next_faults`]) or strike at random from a seed
//! ([`MemoryStore::random_faults`]), so that every failure can be repeated.

use super::access::frozen;
use super::body::BodyReader;
use super::proof::Sum;
use super::throttle::Throttle;
use super::{Access, Created, MAX_OBJECT, NewObject, ObjectInfo, ObjectName, ObjectStore, Requests, Speed, Thaw};
use crate::clock::{Clock, Steady, Wall};
use crate::error::{Error, Result};
use crate::model::Rate;
use crate::worker::Stop;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: a place in a script.
    None,
    /// A 5xx; nothing happened.
    ServerError,
    /// No answer in time; nothing happened.
    TimeOut,
    /// Rights, bucket or account: only a person can mend it.
    Refused,
    /// The connection broke off after so many bytes, or names of a listing; nothing was kept.
    Cut { after: u64 },
    /// A sloppy server keeps the first half of the body; the echoed checksum tells.
    CutKept,
    /// It was done; the answer never came.
    LostAnswer,
    /// What was kept, or what is read, has one byte flipped.
    Flipped,
    /// Confirmed, and gone right after; or gone before it is read.
    Vanished,
    /// It takes so long by the clock of the store.
    Slow(Duration),
}

/// One call that reached the double.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Create(ObjectName),
    Read(ObjectName, Option<Range<u64>>),
    Head(ObjectName),
    List(String),
    Thaw(ObjectName, Speed),
}

#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    class: Option<String>,
    modified: Wall,
    cold: Cold,
}

/// What freezes, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cold {
    Warm,
    Frozen,
    /// Readable between these.
    Copy {
        from: Steady,
        until: Steady,
    },
}

impl Cold {
    /// As it is now: a copy that expired is none.
    fn access(self, clock: &dyn Clock) -> Access {
        let now = clock.steady();
        match self {
            Self::Warm => Access::Warm,
            Self::Copy { from, .. } if from > now => Access::Thawing,
            Self::Copy { until, .. } if until > now => {
                Access::Thawed { until: Some(clock.wall().plus(until.since(now))) }
            }
            _ => Access::Frozen,
        }
    }
}

/// A day of a copy.
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<ObjectName, Kept>,
    script: VecDeque<Fault>,
    random: Option<Random>,
    calls: Vec<Call>,
    requests: Requests,
    sent: u64,
    /// Speeds a thaw is refused at.
    refused: Vec<Speed>,
    thaws: Vec<AskedFor>,
    frozen_reads: u64,
}

/// A thaw that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedFor {
    pub at: Wall,
    pub name: ObjectName,
    pub days: u32,
}

#[derive(Debug)]
struct Random {
    dice: u64,
    per_mille: u64,
}

#[derive(Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    throttle: Option<Throttle>,
    cold: Option<Duration>,
    lists: Lists,
    downlink: Option<Rate>,
    state: Mutex<State>,
}

/// What listings tell of frozen objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lists {
    Thaws,
    Classes,
}

impl MemoryStore {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (lists, downlink) = (Lists::Thaws, None);
        Self { clock, throttle: None, cold: None, lists, downlink, state: Mutex::default() }
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
        if let Some(kept) = self.state().objects.get_mut(name) {
            (kept.cold, kept.class) = (Cold::Warm, None);
        }
    }
    /// The copy of an object goes before its time.
    pub fn freeze(&self, name: &ObjectName) {
        if let Some(kept) = self.state().objects.get_mut(name) {
            kept.cold = Cold::Frozen;
        }
    }

    /// What the next calls meet, one each; then the script ends.
    pub fn next_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().script.extend(faults);
    }
    /// From now on each call beyond the script fails with this probability (0 to 1), in a way drawn from `seed`;
    /// never so that bytes already confirmed are lost.
    pub fn random_faults(&self, seed: u64, probability: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped first")]
        let per_mille = (probability.clamp(0.0, 1.0) * 1000.0) as u64;
        self.state().random = (per_mille > 0).then_some(Random { dice: seed, per_mille });
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
        self.state().objects.keys().cloned().collect()
    }
    pub fn bytes(&self, name: &ObjectName) -> Option<Vec<u8>> {
        self.state().objects.get(name).map(|kept| kept.bytes.clone())
    }
    /// Puts an object behind everybody's back.
    pub fn put(&self, name: &ObjectName, bytes: &[u8]) {
        let kept = self.keep(name, bytes.to_vec());
        self.state().objects.insert(name.clone(), kept);
    }
    /// Loses an object; true when there was one.
    pub fn lose(&self, name: &ObjectName) -> bool {
        self.state().objects.remove(name).is_some()
    }
    /// Damages an object: `damage` is handed its bytes.
    pub fn damage(&self, name: &ObjectName, damage: impl FnOnce(&mut Vec<u8>)) {
        if let Some(kept) = self.state().objects.get_mut(name) {
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

    /// What a listing tells of an object.
    fn listed(&self, kept: &Kept) -> Option<Access> {
        let is_told = self.lists == Lists::Thaws || kept.cold == Cold::Warm;
        is_told.then(|| kept.cold.access(&*self.clock))
    }

    fn take_time(&self, range: Option<&Range<u64>>) {
        if let (Some(rate), Some(range)) = (self.downlink, range) {
            let nanos = u128::from(range.end - range.start) * 1_000_000_000 / u128::from(rate.get());
            self.clock.sleep(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
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
            (state.next_fault(), what)
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
    fn next_fault(&mut self) -> Fault {
        if let Some(fault) = self.script.pop_front() {
            return fault;
        }
        let Some(random) = &mut self.random else { return Fault::None };
        let mut roll = || {
            random.dice = random.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random.dice >> 33
        };
        if roll() % 1000 >= random.per_mille {
            return Fault::None;
        }
        match roll() % 4 {
            0 => Fault::ServerError,
            1 => Fault::TimeOut,
            2 => Fault::Cut { after: roll() % 100 },
            _ => Fault::LostAnswer,
        }
    }
}

/// The whole body, proved against what was sealed, through the throttle.
fn receive(object: &NewObject, throttle: Option<&Throttle>, stop: &Stop) -> Result<Vec<u8>> {
    let mut reader = BodyReader::open(object)?;
    let mut bytes = vec![0; usize::try_from(object.size).expect("bounded by MAX_OBJECT")];
    let mut at = 0;
    while at < bytes.len() {
        let want = (bytes.len() - at) as u64;
        let granted = match throttle {
            Some(throttle) => throttle.wait(want, stop)?,
            None => want,
        };
        let to = at + usize::try_from(granted).expect("at most what was wanted");
        reader.fill(&mut bytes[at..to])?;
        at = to;
    }
    reader.proved(Sum::of(&bytes))?;
    Ok(bytes)
}

impl ObjectStore for MemoryStore {
    fn create(&self, object: &NewObject, stop: &Stop) -> Result<Created> {
        let name = &object.name;
        let fault = self.meet(Call::Create(name.clone()))?;
        let mut bytes = receive(object, self.throttle.as_ref(), stop)?;
        if let Fault::Cut { after } = fault {
            self.state().sent += after.min(object.size);
            return Err(Error::retry(format!("create {name}")).because("connection closed"));
        }
        self.state().sent += object.size;
        match fault {
            Fault::CutKept => bytes.truncate(bytes.len() / 2),
            Fault::Flipped => bytes.iter_mut().take(1).for_each(|b| *b ^= 1),
            _ => {}
        }
        let mut state = self.state();
        if let Some(there) = state.objects.get(name) {
            if fault == Fault::LostAnswer {
                return Err(Error::retry(format!("create {name}")).because("connection closed"));
            }
            if Sum::of(&there.bytes) == object.sha256 {
                return Ok(Created::Before);
            }
            return Err(Error::damaged(format!("create {name}: other bytes are there under this name")));
        }
        let confirmed = Sum::of(&bytes) == object.sha256;
        state.objects.insert(name.clone(), self.keep(name, bytes));
        match fault {
            Fault::LostAnswer => Err(Error::retry(format!("create {name}")).because("connection closed")),
            Fault::Vanished => {
                state.objects.remove(name);
                Ok(Created::Now)
            }
            _ if confirmed => Ok(Created::Now),
            _ => Err(Error::damaged(format!("create {name}: the vault kept other bytes than were sent"))),
        }
    }

    fn read_into(&self, name: &ObjectName, range: Option<Range<u64>>, into: &mut Vec<u8>, stop: &Stop) -> Result<()> {
        let fault = self.meet(Call::Read(name.clone(), range.clone()))?;
        stop.check()?;
        self.take_time(range.as_ref());
        let mut state = self.state();
        if fault == Fault::Vanished {
            state.objects.remove(name);
        }
        let missing = || Error::damaged(format!("read {name}: the vault has no such object"));
        let kept = state.objects.get(name).ok_or_else(missing)?;
        if matches!(kept.cold.access(&*self.clock), Access::Frozen | Access::Thawing) {
            state.frozen_reads += 1;
            return Err(frozen(name));
        }
        let length = kept.bytes.len() as u64;
        let range = range.unwrap_or(0..length);
        if range.end > length || range.end.saturating_sub(range.start) > MAX_OBJECT {
            return Err(Error::damaged(format!("read {name}: it ends at {length}, before {}", range.end)));
        }
        let index = |at: u64| usize::try_from(at).expect("within the object");
        into.clear();
        into.extend_from_slice(&kept.bytes[index(range.start)..index(range.end)]);
        match fault {
            Fault::Cut { .. } | Fault::CutKept | Fault::LostAnswer => {
                Err(Error::retry(format!("read {name}")).because("connection closed"))
            }
            Fault::Flipped => {
                into.iter_mut().take(1).for_each(|b| *b ^= 1);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        let fault = self.meet(Call::Head(name.clone()))?;
        if !matches!(fault, Fault::None) {
            return Err(Error::retry(format!("look at {name}")).because("connection closed"));
        }
        Ok(self.state().objects.get(name).map(|kept| info(name, kept, Some(kept.cold.access(&*self.clock)))))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<()> {
        let fault = self.meet(Call::List(prefix.to_owned()))?;
        let mut found: Vec<_> = {
            let state = self.state();
            let here = state.objects.iter().filter(|o| o.0.as_str().starts_with(prefix));
            here.map(|o| info(o.0, o.1, self.listed(o.1))).collect()
        };
        let cut = match fault {
            Fault::Cut { after } => usize::try_from(after).unwrap_or(usize::MAX),
            Fault::LostAnswer | Fault::CutKept => 0,
            _ => usize::MAX,
        };
        let whole = cut == usize::MAX;
        found.truncate(cut);
        found.into_iter().try_for_each(each)?;
        if whole { Ok(()) } else { Err(Error::retry(format!("list {prefix}*")).because("connection closed")) }
    }

    fn thaw(&self, name: &ObjectName, speed: Speed, days: u32) -> Result<Thaw> {
        let fault = self.meet(Call::Thaw(name.clone(), speed))?;
        let mut guard = self.state();
        let state = &mut *guard;
        if state.refused.contains(&speed) {
            return Ok(Thaw::NotAtThisSpeed);
        }
        let missing = || Error::damaged(format!("thaw {name}: the vault has no such object"));
        let kept = state.objects.get_mut(name).ok_or_else(missing)?;
        let (now, stays) = (self.clock.steady(), DAY * days.max(1));
        let answer = match kept.cold.access(&*self.clock) {
            Access::Warm => Thaw::Ready,
            Access::Thawing => Thaw::Underway,
            Access::Thawed { .. } => {
                kept.cold = Cold::Copy { from: now, until: now.plus(stays) };
                Thaw::Ready
            }
            Access::Frozen => {
                let from = now.plus(self.cold.unwrap_or_default());
                kept.cold = Cold::Copy { from, until: from.plus(stays) };
                state.thaws.push(AskedFor { at: self.clock.wall(), name: name.clone(), days });
                Thaw::Asked
            }
        };
        if fault == Fault::None {
            Ok(answer)
        } else {
            Err(Error::retry(format!("thaw {name}")).because("connection closed"))
        }
    }
    fn may_freeze(&self) -> bool {
        self.cold.is_some()
    }

    fn requests(&self) -> Requests {
        self.state().requests
    }
    fn sent_bytes(&self) -> u64 {
        self.state().sent
    }
    fn url(&self) -> String {
        "memory:".to_owned()
    }
}

fn info(name: &ObjectName, kept: &Kept, access: Option<Access>) -> ObjectInfo {
    ObjectInfo {
        name: name.clone(),
        size: kept.bytes.len() as u64,
        etag: None,
        class: kept.class.clone(),
        sha256: Some(Sum::of(&kept.bytes)),
        modified: Some(kept.modified),
        access,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::error::Kind;
    use crate::store::{Body, is_frozen};

    fn object(bytes: &[u8]) -> NewObject {
        NewObject {
            name: ObjectName::new("data_1").unwrap(),
            body: Body::Bytes(bytes.to_vec()),
            size: bytes.len() as u64,
            sha256: Sum::of(bytes),
        }
    }

    #[test]
    fn a_lost_answer_is_settled_by_asking_again() {
        let store = MemoryStore::new(ManualClock::at(Wall(0)));
        store.next_faults([Fault::ServerError, Fault::LostAnswer]);
        let object = object(b"abc");
        let stop = Stop::new();
        assert_eq!(store.create(&object, &stop).unwrap_err().kind(), Kind::Retry);
        assert!(store.names().is_empty());
        assert_eq!(store.create(&object, &stop).unwrap_err().kind(), Kind::Retry);
        assert_eq!(store.create(&object, &stop).unwrap(), Created::Before);
        assert_eq!(store.requests().put, 3);
    }

    #[test]
    fn what_a_sloppy_server_kept_is_never_called_stored() {
        for fault in [Fault::CutKept, Fault::Flipped] {
            let store = MemoryStore::new(ManualClock::at(Wall(0)));
            store.next_faults([fault]);
            assert_eq!(store.create(&object(b"abc"), &Stop::new()).unwrap_err().kind(), Kind::Damaged);
            assert_eq!(store.create(&object(b"abc"), &Stop::new()).unwrap_err().kind(), Kind::Damaged);
        }
    }

    #[test]
    fn a_cold_object_is_read_only_after_its_thaw() {
        let clock = ManualClock::at(Wall(0));
        let store = MemoryStore::new(clock.clone()).cold(Duration::from_secs(12 * 3600));
        let object = object(b"abc");
        store.create(&object, &Stop::new()).unwrap();
        assert_eq!(store.read(&object.name, None, &Stop::new()).unwrap_err().kind(), Kind::Operator);
        let access = || store.head(&object.name).unwrap().unwrap().access.unwrap();
        let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
        assert_eq!(access(), Access::Frozen);
        assert_eq!(store.thaw(&object.name, Speed::Bulk, 7).unwrap(), Thaw::Asked);
        assert_eq!(store.thaw(&object.name, Speed::Bulk, 7).unwrap(), Thaw::Underway);
        clock.advance(12 * hour);
        assert_eq!(store.read(&object.name, Some(1..3), &Stop::new()).unwrap(), b"bc");
        assert_eq!(access(), Access::Thawed { until: Some(Wall(0).plus(12 * hour + 7 * day)) });
        clock.advance(6 * day);
        assert_eq!(store.thaw(&object.name, Speed::Bulk, 2).unwrap(), Thaw::Ready);
        clock.advance(2 * day);
        assert_eq!(access(), Access::Frozen);
        assert!(is_frozen(&store.read(&object.name, None, &Stop::new()).unwrap_err()));
        store.refuse(Speed::Expedited);
        assert_eq!(store.thaw(&object.name, Speed::Expedited, 1).unwrap(), Thaw::NotAtThisSpeed);
        assert_eq!(access(), Access::Frozen);
    }
}
