use super::*;
use crate::clock::ManualClock;
use crate::error::Kind;
use crate::format::Name;
use crate::model::Tier;
use crate::store::proof::Sum;
use crate::store::{Body, Cover, Created, Depth, Held, NewObject, ObjectStore, Thaw, is_frozen};
use crate::worker::Stop;

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

fn pack(bytes: &[u8]) -> NewObject {
    NewObject { name: Name::Pack(Tier::Cold, Sum::of(bytes)).into(), ..object(bytes) }
}

fn inventory(store: &MemoryStore) -> (Depth, Vec<Held>) {
    let mut held = vec![];
    let mut each = |one| -> Result<()> {
        held.push(one);
        Ok(())
    };
    let depth = store.inventory("data_", &mut each).unwrap().depth;
    (depth, held)
}

#[test]
fn what_is_hidden_or_overwritten_lies_beneath_and_is_read() {
    let store = MemoryStore::new(ManualClock::at(Wall(0))).cold(Duration::from_secs(60));
    let (a, b) = (pack(b"abc"), pack(b"xyz"));
    store.create(&a, &Stop::new()).unwrap();
    store.create(&b, &Stop::new()).unwrap();
    store.hide(&a.name);
    store.overwrite(&b.name, b"other");
    let mut listed = 0;
    let mut each = |_| -> Result<()> {
        listed += 1;
        Ok(())
    };
    store.list("data_", &mut each).unwrap();
    assert_eq!(listed, 1, "a plain listing tells of what lies on top");
    assert!(store.head(&a.name).unwrap().is_some() && store.read(&b.name, None, &Stop::new()).unwrap() == b"other");
    assert!(store.uncover(&b.name).unwrap(), "by its sum");
    assert!(is_frozen(&store.read(&b.name, None, &Stop::new()).unwrap_err()), "ours is frozen, what lay on it was not");
    let (depth, held) = inventory(&store);
    let of = |object: &NewObject| held.iter().find(|h| h.object.name == object.name).unwrap();
    assert_eq!((depth, of(&a).cover, of(&b).cover), (Depth::Versions, Cover::DeleteMarker, Cover::OtherBytes));
    assert_eq!((of(&a).object.size, of(&b).object.size), (3, 3));
    assert_eq!(store.thaw(&a.name, Speed::Bulk, 1).unwrap(), Thaw::Asked);
    assert_eq!(store.create(&a, &Stop::new()).unwrap(), Created::Now, "a delete marker is no object");
}

#[test]
fn a_place_that_tells_no_versions_says_so_and_what_is_hidden_there_is_missing() {
    let store = MemoryStore::new(ManualClock::at(Wall(0))).without_versions();
    let a = pack(b"abc");
    store.create(&a, &Stop::new()).unwrap();
    store.hide(&a.name);
    assert!(matches!(inventory(&store), (Depth::Surface(_), held) if held.is_empty()));
    assert_eq!(store.head(&a.name).unwrap(), None);
    assert!(!store.uncover(&a.name).unwrap());
}
