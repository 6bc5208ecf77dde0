//! A vault as large as they come, listed page by page as a server does.

use super::*;
use crate::clock::ManualClock;
use crate::error::Error;
use crate::model::Sha256;
use crate::store::{Cover, Created, Depth, Held, Inventory, NewObject, ObjectInfo, Requests, Speed, Thaw};
use std::ops::Range;
use std::sync::Mutex;

const PACKS: u64 = 400_000;
const PAGE: u64 = 1000;

/// A server with so many packs and one meta_vault; what is made of it is nothing but listings.
struct Server {
    requests: Mutex<Requests>,
    missing: Option<u64>,
}

/// Spread over all hashes, and in their order.
fn hash(n: u64) -> Sha256 {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(n * (u64::MAX / PACKS)).to_be_bytes());
    Sha256(bytes)
}

fn object(name: ObjectName, n: u64) -> Held {
    let object = ObjectInfo {
        name,
        size: 100,
        etag: Some(format!("{n:032x}")),
        class: Some("DEEP_ARCHIVE".to_owned()).filter(|_| n < PACKS),
        sha256: None,
        modified: None,
        access: None,
    };
    Held { object, cover: Cover::Bare }
}

impl ObjectStore for Server {
    fn inventory(&self, _: &str, each: &mut dyn FnMut(Held) -> Result<()>) -> Result<Inventory> {
        for n in 0..=PACKS {
            if n % PAGE == 0 {
                self.requests.lock().unwrap().list += 1;
            }
            if self.missing == Some(n) {
                continue;
            }
            let name = if n == PACKS { Name::Vault } else { Name::Pack(Tier::Cold, hash(n)) };
            each(object(ObjectName::from(name), n))?;
        }
        Ok(Inventory { depth: Depth::Versions, strange: 0 })
    }
    fn create(&self, _: &NewObject, _: &Stop) -> Result<Created> {
        Err(Error::operator("a look writes nothing"))
    }
    fn read_into(&self, _: &ObjectName, _: Option<Range<u64>>, _: &mut Vec<u8>, _: &Stop) -> Result<()> {
        Err(Error::operator("an inventory reads nothing"))
    }
    fn head(&self, _: &ObjectName) -> Result<Option<ObjectInfo>> {
        self.requests.lock().unwrap().head += 1;
        Ok(None)
    }
    fn list(&self, _: &str, _: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<()> {
        Err(Error::operator("an inventory lists versions"))
    }
    fn thaw(&self, _: &ObjectName, _: Speed, _: u32) -> Result<Thaw> {
        Err(Error::operator("a look thaws nothing"))
    }
    fn may_freeze(&self) -> bool {
        true
    }
    fn requests(&self) -> Requests {
        *self.requests.lock().unwrap()
    }
    fn sent_bytes(&self) -> u64 {
        0
    }
    fn url(&self) -> String {
        "s3://large".to_owned()
    }
}

fn fill(catalog: &Catalog) {
    catalog
        .write("fill", |tx| {
            let mut s = tx.prepare("INSERT INTO pack (hash, tier, size, state, record) VALUES (?, 0, 100, 1, x'')")?;
            (0..PACKS).try_for_each(|n| s.execute([&hash(n).0[..]]).map(drop))
        })
        .unwrap();
}

#[test]
fn an_inventory_of_400_000_packs_is_400_calls_and_one_page_of_each_side_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&dir.path().join("c.db")).unwrap();
    fill(&catalog);
    let (clock, faults, stop) = (ManualClock::at(Wall(1)), Faults::default(), Stop::new());
    let look = |missing| {
        let server = Server { requests: Mutex::default(), missing };
        let verifying = Verifying {
            store: &server,
            catalog: &catalog,
            keeping: Keeping::Catalog,
            vault: VaultId([1; 16]),
            open: None,
            entropy: &crate::seal::SystemEntropy,
            clock: &*clock,
            faults: &faults,
            stop: &stop,
        };
        (verifying.run(Check::Inventory, Scope::All).unwrap(), server.requests())
    };
    let (report, requests) = look(None);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.run.looked, PACKS + 1);
    // A page more for the one object after the last full one.
    assert_eq!(requests, Requests { list: PACKS / PAGE + 1, ..Requests::default() });
    // What was learnt by the first is compared by the second; a single missing one costs one call more.
    let (report, requests) = look(Some(123_456));
    assert_eq!((report.run.wrong, report.defects[0].wrong), (1, Wrong::Missing));
    assert_eq!((requests.list, requests.head, requests.get), (PACKS / PAGE + 1, 1, 0));
}
