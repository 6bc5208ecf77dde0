//! The memory double as a store.

use super::pile::{Cold, Kept, Pile};
use super::{AskedFor, Call, Fault, MemoryStore, Versions};
use crate::error::{Error, Result};
use crate::format::Name;
use crate::store::access::frozen;
use crate::store::body::BodyReader;
use crate::store::proof::Sum;
use crate::store::throttle::Throttle;
use crate::store::{
    Access, Cover, Created, Depth, Held, Inventory, MAX_OBJECT, NewObject, ObjectInfo, ObjectName, ObjectStore,
    Requests, Speed, Thaw,
};
use crate::worker::Stop;
use std::ops::Range;
use std::time::Duration;

/// A day of a copy.
const DAY: Duration = Duration::from_secs(86_400);

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
        if let Some(there) = state.objects.get(name).and_then(Pile::top) {
            if fault == Fault::LostAnswer {
                return Err(Error::retry(format!("create {name}")).because("connection closed"));
            }
            if Sum::of(&there.bytes) == object.sha256 {
                return Ok(Created::Before);
            }
            return Err(Error::damaged(format!("create {name}: other bytes are there under this name")));
        }
        let confirmed = Sum::of(&bytes) == object.sha256;
        let pile = state.objects.entry(name.clone()).or_default();
        pile.lay(Some(self.keep(name, bytes)));
        match fault {
            Fault::LostAnswer => Err(Error::retry(format!("create {name}")).because("connection closed")),
            Fault::Vanished => {
                pile.vanish();
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
        let kept = self.found(&state, name).ok_or_else(missing)?;
        let access = kept.cold.access(&*self.clock);
        if fault == Fault::Frozen || matches!(access, Access::Frozen | Access::Thawing) {
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
        Ok(self.found(&self.state(), name).map(|kept| info(name, kept, Some(kept.cold.access(&*self.clock)))))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<()> {
        self.tell(prefix, each, &mut |name, pile| Some(info(name, pile.top()?, self.listed(pile.top()?))))
    }

    fn inventory(&self, prefix: &str, each: &mut dyn FnMut(Held) -> Result<()>) -> Result<Inventory> {
        if self.versions == Versions::NotListed {
            self.list(prefix, &mut |object| each(Held { object, cover: Cover::Bare }))?;
            return Ok(Inventory { depth: Depth::Surface("this double lists no versions"), strange: 0 });
        }
        self.tell(prefix, each, &mut |name, pile| {
            let (kept, cover) = pile.held()?;
            Some(Held { object: info(name, kept, self.listed(kept)), cover })
        })?;
        Ok(Inventory { depth: Depth::Versions, strange: 0 })
    }

    fn uncover(&self, name: &ObjectName) -> Result<bool> {
        let fault = self.meet(Call::List(name.to_string()))?;
        if !matches!(fault, Fault::None) {
            return Err(Error::retry(format!("list {name}*")).because("connection closed"));
        }
        let sum = Name::parse(name.as_str()).and_then(Name::sum);
        let mut state = self.state();
        let pile = state.objects.get_mut(name).filter(|_| self.versions == Versions::Listed);
        Ok(pile.is_some_and(|pile| pile.choose(sum)))
    }

    fn thaw(&self, name: &ObjectName, speed: Speed, days: u32) -> Result<Thaw> {
        let fault = self.meet(Call::Thaw(name.clone(), speed))?;
        let mut guard = self.state();
        let state = &mut *guard;
        if state.refused.contains(&speed) {
            return Ok(Thaw::NotAtThisSpeed);
        }
        let missing = || Error::damaged(format!("thaw {name}: the vault has no such object"));
        let kept = self.found_mut(state, name).ok_or_else(missing)?;
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

impl MemoryStore {
    /// One listing: whatever is told of each name.
    fn tell<T>(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(T) -> Result<()>,
        of: &mut dyn FnMut(&ObjectName, &mut Pile) -> Option<T>,
    ) -> Result<()> {
        let fault = self.meet(Call::List(prefix.to_owned()))?;
        let mut found: Vec<T> = {
            let mut state = self.state();
            let here = state.objects.iter_mut().filter(|o| o.0.as_str().starts_with(prefix));
            here.filter_map(|(name, pile)| of(name, pile)).collect()
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
}
