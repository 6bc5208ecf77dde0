use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::error::Kind;
use crate::model::Rate;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

fn throttle(rate: Option<u64>) -> Throttle {
    Throttle::new(rate.and_then(Rate::bytes_per_second), SystemClock::shared())
}

fn name(n: &str) -> ObjectName {
    ObjectName::new(n).unwrap()
}

fn spooled(spool: &Path, n: &str, bytes: &[u8]) -> NewObject {
    let path = spool.join(n);
    std::fs::write(&path, bytes).unwrap();
    NewObject { name: name(n), body: Body::File(path), size: bytes.len() as u64, sha256: Sum::of(bytes) }
}

#[test]
fn a_spooled_file_of_the_same_disk_is_linked_in_and_never_copied() {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join("vault");
    let store = FolderStore::open_or_create(&vault, throttle(None)).unwrap();
    let object = spooled(dir.path(), "data_1", &vec![7; 100_000]);
    assert_eq!(store.create(&object, &Stop::new()).unwrap(), Created::Now);
    let inode = |p: &Path| std::fs::metadata(p).unwrap().ino();
    assert_eq!(inode(&vault.join("data_1")), inode(&dir.path().join("data_1")));
    assert_eq!(store.create(&object, &Stop::new()).unwrap(), Created::Before);
    assert_eq!(store.sent_bytes(), 100_000);
}

#[test]
fn a_linked_object_counts_against_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Wall(0));
    let slow = Throttle::new(Rate::bytes_per_second(100_000), clock.clone());
    let store = FolderStore::open_or_create(&dir.path().join("v"), slow).unwrap();
    let object = spooled(dir.path(), "data_1", &[7; 10_000]);
    let done = std::thread::scope(|s| {
        let creating = s.spawn(|| store.create(&object, &Stop::new()));
        let mut seconds = 0.0;
        while !creating.is_finished() {
            clock.advance(Duration::from_millis(1));
            seconds += 0.001;
            Stop::new().wait(Duration::from_micros(200));
        }
        creating.join().unwrap().unwrap();
        seconds
    });
    assert!(done >= 0.09, "10,000 bytes at 100,000 bytes/s took {done} s");
}

#[test]
fn a_spooled_file_that_changed_is_refused_before_it_has_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderStore::open_or_create(&dir.path().join("v"), throttle(None)).unwrap();
    let object = spooled(dir.path(), "data_1", b"sealed");
    std::fs::write(dir.path().join("data_1"), b"edited").unwrap();
    assert!(crate::store::is_body_damage(&store.create(&object, &Stop::new()).unwrap_err()));
    let as_bytes = NewObject { body: Body::Bytes(b"edited".to_vec()), ..object };
    assert!(crate::store::is_body_damage(&store.create(&as_bytes, &Stop::new()).unwrap_err()));
    assert_eq!(std::fs::read_dir(dir.path().join("v")).unwrap().count(), 0);
}

#[test]
fn an_unmounted_folder_is_an_alarm_and_never_an_empty_vault() {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join("v");
    let missing = FolderStore::open(&vault, throttle(None)).unwrap_err();
    assert_eq!(missing.kind(), Kind::Operator);
    let store = FolderStore::open_or_create(&vault, throttle(None)).unwrap();
    std::fs::rename(&vault, dir.path().join("unplugged")).unwrap();
    let object = NewObject { name: name("meta_a"), body: Body::Bytes(vec![1]), size: 1, sha256: Sum::of(&[1]) };
    let calls = |store: &FolderStore| {
        [
            store.create(&object, &Stop::new()).map(|_| ()).unwrap_err(),
            store.read(&object.name, None, &Stop::new()).map(|_| ()).unwrap_err(),
            store.head(&object.name).map(|_| ()).unwrap_err(),
            store.list("", &mut |_| Ok(())).unwrap_err(),
        ]
    };
    for error in calls(&store) {
        assert_eq!(error.kind(), Kind::Operator, "{error}");
    }
    std::fs::create_dir(&vault).unwrap();
    for error in calls(&store) {
        assert_eq!(error.kind(), Kind::Operator, "{error}");
        assert!(error.to_string().contains("another folder"), "{error}");
    }
    assert_eq!(std::fs::read_dir(&vault).unwrap().count(), 0);
}

#[test]
fn a_symlink_or_a_folder_under_an_objects_name_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderStore::open(dir.path(), throttle(None)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("data_link")).unwrap();
    std::fs::create_dir(dir.path().join("data_dir")).unwrap();
    for n in ["data_link", "data_dir"] {
        assert_eq!(store.read(&name(n), None, &Stop::new()).unwrap_err().kind(), Kind::Damaged, "{n}");
        assert_eq!(store.head(&name(n)).unwrap(), None);
    }
}

#[test]
fn a_folder_larger_than_a_page_is_listed_whole_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderStore::open(dir.path(), throttle(None)).unwrap();
    for i in 0..PAGE * 2 + 5 {
        File::create(dir.path().join(format!("meta_{i:06}"))).unwrap();
    }
    File::create(dir.path().join("data_1")).unwrap();
    let mut next = 0;
    store
        .list("meta_", &mut |info| {
            assert_eq!(info.name.as_str(), format!("meta_{next:06}"));
            next += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(next, PAGE * 2 + 5);
}

#[test]
fn nothing_half_written_stays_when_asked_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderStore::open(dir.path(), throttle(Some(1))).unwrap();
    let object =
        NewObject { name: name("meta_a"), body: Body::Bytes(vec![1; 999]), size: 999, sha256: Sum::of(&[1; 999]) };
    let stop = Stop::new();
    let ended = std::thread::scope(|s| {
        let creating = s.spawn(|| store.create(&object, &stop));
        stop.wait(Duration::from_millis(30));
        stop.ask();
        creating.join().unwrap()
    });
    assert_eq!(ended.unwrap_err().kind(), Kind::Stopping);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn names_that_no_vault_gives_are_counted_and_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderStore::open_or_create(&dir.path().join("vault"), throttle(None)).unwrap();
    std::fs::write(dir.path().join("vault/data_1"), b"told").unwrap();
    std::fs::write(dir.path().join("vault/data 1"), b"").unwrap();
    std::fs::write(dir.path().join("vault").join(OsStr::from_bytes(b"data_\xff")), b"").unwrap();
    std::fs::create_dir(dir.path().join("vault/data_folder")).unwrap();
    std::fs::write(dir.path().join("vault/.hidden"), b"perhaps ours").unwrap();
    let mut told = vec![];
    let mut each = |held: Held| -> Result<()> {
        told.push(held.object.name.to_string());
        Ok(())
    };
    let inventory = store.inventory("data_", &mut each).unwrap();
    assert_eq!(inventory, Inventory { depth: Depth::Versions, strange: 2 });
    assert_eq!(store.inventory("", &mut |_| Ok(())).unwrap().strange, 3);
    assert_eq!(told, ["data_1"]);
}
