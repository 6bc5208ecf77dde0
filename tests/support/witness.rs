//! A memory vault that watches what is written to it, and complains at once when a promise about writing is broken:
//! nothing names what is not there (1), nothing named is sent again (4), nothing is read but `meta_` (6).

use super::read_vault::{Objects, records_of};
use panicroom::clock::Clock;
use panicroom::error::Result;
use panicroom::format::Name;
use panicroom::format::segment::Record;
use panicroom::model::{Piece, Sha256};
use panicroom::seal::keys::OpenKeys;
use panicroom::store::memory::MemoryStore;
use panicroom::store::{
    Body, Created, Held, Inventory, NewObject, ObjectInfo, ObjectName, ObjectStore, Requests, Speed, Thaw,
};
use panicroom::worker::Stop;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};

pub struct Witness {
    pub memory: MemoryStore,
    keys: OpenKeys,
    /// Packs that were confirmed, whatever became of them since.
    stored: Mutex<BTreeSet<Sha256>>,
    /// Packs that confirmed segments name.
    named: Mutex<BTreeSet<Sha256>>,
    complaints: Mutex<Vec<String>>,
}

/// Packs a record needs to be restorable.
fn needs(record: &Record) -> BTreeSet<Sha256> {
    let of = |content: &[Piece]| {
        content.iter().filter_map(|p| if let Piece::Run { pack, .. } = p { Some(*pack) } else { None }).collect()
    };
    match record {
        Record::Pack(pack) => BTreeSet::from([pack.hash]),
        Record::Version { version, .. } => of(&version.content),
        Record::Part { content, .. } => of(content),
        _ => BTreeSet::new(),
    }
}

impl Witness {
    pub fn new(clock: Arc<dyn Clock>, keys: OpenKeys) -> Self {
        Self {
            memory: MemoryStore::new(clock),
            keys,
            stored: Mutex::default(),
            named: Mutex::default(),
            complaints: Mutex::default(),
        }
    }

    /// What was seen that must not be.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    /// All objects as they are, behind everybody's back.
    pub fn objects(&self) -> Objects {
        self.memory.names().iter().map(|n| (n.to_string(), self.memory.bytes(n).unwrap())).collect()
    }

    fn complain(&self, what: String) {
        self.complaints.lock().unwrap().push(what);
    }

    /// Packs the segment needs; those that are not there yet are a complaint.
    fn needed(&self, object: &NewObject) -> BTreeSet<Sha256> {
        let bytes = match &object.body {
            Body::Bytes(bytes) => bytes.clone(),
            Body::File(path) => std::fs::read(path).unwrap(),
        };
        let all: BTreeSet<_> = records_of(&bytes, &self.keys).iter().flat_map(needs).collect();
        for pack in all.difference(&self.stored.lock().unwrap()) {
            self.complain(format!("{} names pack {pack}, which was never stored", object.name));
        }
        all
    }
}

impl ObjectStore for Witness {
    fn create(&self, object: &NewObject, stop: &Stop) -> Result<Created> {
        let needed = match Name::parse(object.name.as_str()) {
            Some(Name::Pack(_, hash)) => {
                if self.named.lock().unwrap().contains(&hash) {
                    self.complain(format!("{} was stored and named, and is sent again", object.name));
                }
                BTreeSet::new()
            }
            Some(Name::Segment(..)) => self.needed(object),
            _ => BTreeSet::new(),
        };
        let created = self.memory.create(object, stop)?;
        if let Some(Name::Pack(_, hash)) = Name::parse(object.name.as_str()) {
            self.stored.lock().unwrap().insert(hash);
        }
        self.named.lock().unwrap().extend(needed);
        Ok(created)
    }
    fn read_into(&self, name: &ObjectName, range: Option<Range<u64>>, into: &mut Vec<u8>, stop: &Stop) -> Result<()> {
        if !name.as_str().starts_with("meta_") {
            self.complain(format!("routine work reads {name}"));
        }
        self.memory.read_into(name, range, into, stop)
    }
    fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        self.memory.head(name)
    }
    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<()> {
        self.memory.list(prefix, each)
    }
    fn inventory(&self, prefix: &str, each: &mut dyn FnMut(Held) -> Result<()>) -> Result<Inventory> {
        self.memory.inventory(prefix, each)
    }
    fn uncover(&self, name: &ObjectName) -> Result<bool> {
        self.memory.uncover(name)
    }
    fn thaw(&self, name: &ObjectName, speed: Speed, days: u32) -> Result<Thaw> {
        self.memory.thaw(name, speed, days)
    }
    fn may_freeze(&self) -> bool {
        self.memory.may_freeze()
    }
    fn requests(&self) -> Requests {
        self.memory.requests()
    }
    fn sent_bytes(&self) -> u64 {
        self.memory.sent_bytes()
    }
    fn url(&self) -> String {
        self.memory.url()
    }
}
