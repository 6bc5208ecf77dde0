//! One contract for every vault (promises 2, 6 and 7): the same trials run against the memory double, a folder, a
//! folder on exFAT, SeaweedFS and moto. What only some servers have (classes, thaws, keys) follows at the end.

#[path = "support/servers.rs"]
mod servers;

use panicroom::clock::{ManualClock, SystemClock, Wall};
use panicroom::config::url::VaultUrl;
use panicroom::error::Kind;
use panicroom::model::Sha256;
use panicroom::store::abilities::{Abilities, Ability};
use panicroom::store::folder::FolderStore;
use panicroom::store::memory::MemoryStore;
use panicroom::store::s3::{Credentials, S3Store, Settings};
use panicroom::store::throttle::Throttle;
use panicroom::store::{
    Access, Body, Created, NewObject, ObjectName, ObjectStore, Speed, Thaw, is_body_damage, is_frozen,
};
use panicroom::worker::Stop;
use servers::Server;
use sha2::Digest;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Opens a fresh empty vault under this name, or the one of this name again.
type Open<'a> = &'a dyn Fn(&str) -> Arc<dyn ObjectStore>;

fn name(n: &str) -> ObjectName {
    ObjectName::new(n).unwrap()
}

fn sum(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

fn object(n: &str, bytes: &[u8]) -> NewObject {
    NewObject { name: name(n), body: Body::Bytes(bytes.to_vec()), size: bytes.len() as u64, sha256: sum(bytes) }
}

/// Bytes that no server can compress or guess, the same for every `seed`.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

fn names(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    store
        .list(prefix, &mut |info| {
            names.push(info.name.to_string());
            Ok(())
        })
        .unwrap();
    names
}

fn keeps_the_contract(open: Open<'_>) {
    an_object_is_created_once_and_believed_before(open);
    other_bytes_under_a_taken_name_are_damage_and_change_nothing(open);
    bytes_that_are_not_what_was_sealed_are_never_kept(open);
    of_many_writers_of_one_name_one_wins(open);
    ranges_come_back_exactly(open);
    a_missing_object_is_damage_to_read_and_nothing_to_look_at(open);
    listings_are_whole_in_order_and_by_prefix(open);
    a_stop_is_felt(open);
}

fn an_object_is_created_once_and_believed_before(open: Open<'_>) {
    let store = open("once");
    let spool = tempfile::tempdir().unwrap();
    let large = noise(1, 9_000_001);
    std::fs::write(spool.path().join("pack"), &large).unwrap();
    let from_file = NewObject { body: Body::File(spool.path().join("pack")), ..object("data_file", &large) };
    for object in [object("meta_empty", b""), object("meta_small", b"abc"), from_file] {
        assert_eq!(store.create(&object, &Stop::new()).unwrap(), Created::Now, "{}", object.name);
        let info = store.head(&object.name).unwrap().unwrap();
        assert_eq!((info.size, &info.name), (object.size, &object.name));
        assert_eq!(store.create(&object, &Stop::new()).unwrap(), Created::Before, "{}", object.name);
        // Another process, which knows nothing of the first.
        assert_eq!(open("once").create(&object, &Stop::new()).unwrap(), Created::Before, "{}", object.name);
        assert_eq!(sum(&store.read(&object.name, None, &Stop::new()).unwrap()), object.sha256);
    }
    assert!(store.sent_bytes() >= 9_000_004 && store.requests().put >= 3);
}

fn other_bytes_under_a_taken_name_are_damage_and_change_nothing(open: Open<'_>) {
    let store = open("taken");
    store.create(&object("data_1", b"first"), &Stop::new()).unwrap();
    for other in [b"other".as_slice(), b"longer than first", b""] {
        let error = store.create(&object("data_1", other), &Stop::new()).unwrap_err();
        assert_eq!(error.kind(), Kind::Damaged, "{error}");
        assert!(!is_body_damage(&error), "{error}");
        let error = open("taken").create(&object("data_1", other), &Stop::new()).unwrap_err();
        assert_eq!(error.kind(), Kind::Damaged, "{error}");
    }
    assert_eq!(store.read(&name("data_1"), None, &Stop::new()).unwrap(), b"first");
}

fn bytes_that_are_not_what_was_sealed_are_never_kept(open: Open<'_>) {
    let store = open("wrong");
    store.create(&object("meta_vault", b"here"), &Stop::new()).unwrap();
    let sealed = noise(2, 700_000);
    let mut flipped = sealed.clone();
    flipped[350_000] ^= 1;
    let spool = tempfile::tempdir().unwrap();
    std::fs::write(spool.path().join("cut"), &sealed[..699_999]).unwrap();
    let right = object("data_1", &sealed);
    for body in [Body::Bytes(flipped), Body::File(spool.path().join("cut")), Body::File(spool.path().join("gone"))] {
        let error = store.create(&NewObject { body, ..right.clone() }, &Stop::new()).unwrap_err();
        assert!(error.kind() == Kind::Damaged && is_body_damage(&error), "{error}");
        assert_eq!(names(&*store, "data_"), Vec::<String>::new());
    }
    assert_eq!(store.create(&right, &Stop::new()).unwrap(), Created::Now);
}

fn of_many_writers_of_one_name_one_wins(open: Open<'_>) {
    let store = open("race");
    store.create(&object("meta_vault", b"here"), &Stop::new()).unwrap();
    let bodies: Vec<_> = (0..4).map(|i| noise(11 + 2 * i, 300_000)).collect();
    let outcomes: Vec<_> = std::thread::scope(|s| {
        let racers: Vec<_> =
            bodies.iter().map(|body| s.spawn(|| store.create(&object("data_race", body), &Stop::new()))).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    let kept = sum(&store.read(&name("data_race"), None, &Stop::new()).unwrap());
    for (body, outcome) in bodies.iter().zip(&outcomes) {
        match outcome {
            Ok(_) => assert_eq!(sum(body), kept, "told stored, and it is not: {outcomes:?}"),
            Err(e) => assert!(matches!(e.kind(), Kind::Damaged | Kind::Retry), "{e}"),
        }
    }
    assert!(outcomes.iter().filter(|o| o.is_ok()).count() <= 1, "{outcomes:?}");
}

fn ranges_come_back_exactly(open: Open<'_>) {
    let store = open("ranges");
    let bytes = noise(3, 1_500_000);
    store.create(&object("data_1", &bytes), &Stop::new()).unwrap();
    let read = |range| store.read(&name("data_1"), Some(range), &Stop::new());
    for (from, to) in [(0, 1), (0, 1_500_000), (1_499_999, 1_500_000), (65_535, 1_048_577), (7, 7)] {
        assert_eq!(read(from as u64..to as u64).unwrap(), bytes[from..to], "{from}..{to}");
    }
    for range in [0..1_500_001, 1_500_000..1_500_001, 9_000_000..9_000_010] {
        assert_eq!(read(range.clone()).unwrap_err().kind(), Kind::Damaged, "{range:?}");
    }
}

fn a_missing_object_is_damage_to_read_and_nothing_to_look_at(open: Open<'_>) {
    let store = open("missing");
    store.create(&object("data_10", b"x"), &Stop::new()).unwrap();
    for missing in ["data_1", "data_100", "meta_x"] {
        assert_eq!(store.read(&name(missing), None, &Stop::new()).unwrap_err().kind(), Kind::Damaged);
        assert_eq!(store.read(&name(missing), Some(0..1), &Stop::new()).unwrap_err().kind(), Kind::Damaged);
        assert_eq!(store.head(&name(missing)).unwrap(), None);
        // A server that knows no thaws says so.
        let thaw = store.thaw(&name(missing), Speed::Bulk, 1).unwrap_err().kind();
        assert!(matches!(thaw, Kind::Damaged | Kind::Operator), "{thaw:?}");
    }
}

fn listings_are_whole_in_order_and_by_prefix(open: Open<'_>) {
    let store = open("list");
    assert_eq!(names(&*store, ""), Vec::<String>::new());
    store.create(&object("meta_vault", b"v"), &Stop::new()).unwrap();
    std::thread::scope(|s| {
        for part in 0..4 {
            let store = &store;
            s.spawn(move || {
                for i in (part..1100).step_by(4) {
                    store.create(&object(&format!("data_{i:04}"), b"d"), &Stop::new()).unwrap();
                }
            });
        }
    });
    let expected: Vec<_> = (0..1100).map(|i| format!("data_{i:04}")).collect();
    assert_eq!(names(&*store, "data_"), expected);
    assert_eq!(names(&*store, "data_100"), expected[1000..1010]);
    assert_eq!(names(&*store, "meta_"), ["meta_vault"]);
    assert_eq!(names(&*store, "").len(), 1101);
    let mut seen = 0;
    let ended = store.list("", &mut |info| {
        seen += 1;
        assert!(info.size == 1 && info.modified.is_some());
        if seen == 5 { Err(panicroom::error::Error::damaged("enough")) } else { Ok(()) }
    });
    assert!(ended.unwrap_err().kind() == Kind::Damaged && seen == 5);
}

fn a_stop_is_felt(open: Open<'_>) {
    let store = open("stop");
    let stop = Stop::new();
    stop.ask();
    assert_eq!(store.create(&object("data_1", &noise(4, 10_000)), &stop).unwrap_err().kind(), Kind::Stopping);
    assert_eq!(names(&*store, ""), Vec::<String>::new());
}

#[test]
fn the_memory_double_keeps_the_contract() {
    let kept = std::sync::Mutex::new(std::collections::BTreeMap::<String, Arc<dyn ObjectStore>>::new());
    keeps_the_contract(&|vault| {
        let throttle = Throttle::new(None, SystemClock::shared());
        let new = || Arc::new(MemoryStore::new(ManualClock::at(Wall(0))).throttled(throttle)) as Arc<dyn ObjectStore>;
        kept.lock().unwrap().entry(vault.to_owned()).or_insert_with(new).clone()
    });
}

fn folder_keeps_the_contract(parent: &Path) {
    keeps_the_contract(&|vault| {
        let throttle = Throttle::new(None, SystemClock::shared());
        Arc::new(FolderStore::open_or_create(&parent.join(vault), throttle).unwrap())
    });
}

#[test]
fn a_folder_keeps_the_contract() {
    folder_keeps_the_contract(tempfile::tempdir().unwrap().path());
}

/// A mounted image of a file system without hard links; unmounted when dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn a_folder_on_exfat_or_fat_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let run = |program: &str, args: &[&str]| {
        Command::new(program).args(args).current_dir(&dir).output().is_ok_and(|out| out.status.success())
    };
    let mut tried = 0;
    for (make, kind) in [("mkfs.exfat", "exfat"), ("mkfs.vfat", "vfat")] {
        let point = dir.path().join(kind);
        std::fs::create_dir(&point).unwrap();
        let image = std::fs::File::create(dir.path().join("image")).unwrap();
        image.set_len(256 << 20).unwrap();
        if run(make, &["image"]) && run("mount", &["-t", kind, "-o", "loop", "image", kind]) {
            let mounted = Mounted(point);
            folder_keeps_the_contract(&mounted.0);
            tried += 1;
        } else {
            eprintln!("SKIPPED: {make} or mounting {kind} does not work here");
        }
    }
    eprintln!("{tried} file systems without hard links tried");
}

#[test]
fn a_full_read_only_or_unplugged_disk_is_the_operators_business_and_leaves_nothing_half_done() {
    let dir = tempfile::tempdir().unwrap();
    let mount =
        |args: &[&str]| Command::new("mount").args(args).arg(dir.path()).output().is_ok_and(|o| o.status.success());
    if !mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"]) {
        eprintln!("SKIPPED: a tmpfs cannot be mounted here");
        return;
    }
    let mounted = Mounted(dir.path().to_owned());
    let store = FolderStore::open(dir.path(), Throttle::new(None, SystemClock::shared())).unwrap();
    store.create(&object("meta_vault", b"v"), &Stop::new()).unwrap();
    let refused = |n: &str, bytes: &[u8]| {
        let error = store.create(&object(n, bytes), &Stop::new()).unwrap_err();
        assert!(error.kind() == Kind::Operator && error.remedy_text().is_some(), "{error}");
        error.to_string()
    };
    assert!(refused("data_1", &noise(1, 2 << 20)).contains("make room"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let small = object("data_2", &noise(3, 300_000));
    assert_eq!(store.create(&small, &Stop::new()).unwrap(), Created::Now);

    assert!(mount(&["-o", "remount,ro"]));
    assert!(refused("data_3", b"x").contains("read-only"));
    assert_eq!(store.create(&small, &Stop::new()).unwrap(), Created::Before);
    let reader = FolderStore::open(dir.path(), Throttle::new(None, SystemClock::shared())).unwrap();
    assert_eq!(names(&reader, ""), ["data_2", "meta_vault"]);

    // The handles keep the file system alive, as a lazy unmount of a busy disk does; the path leads elsewhere.
    assert!(Command::new("umount").arg("-l").arg(&mounted.0).status().unwrap().success());
    assert!(refused("data_4", b"x").contains("another folder"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

fn handle() -> tokio::runtime::Handle {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let build = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    RUNTIME.get_or_init(build).handle().clone()
}

fn connect_with(url: &str, credentials: PathBuf, abilities: Abilities) -> S3Store {
    let VaultUrl::Bucket(bucket) = url.parse().unwrap() else { panic!("{url} is no bucket") };
    let settings = Settings { bucket, credentials: Credentials::File(credentials), abilities };
    S3Store::connect(settings, handle(), Throttle::new(None, SystemClock::shared())).unwrap()
}

fn connect(server: &Server, place: &str, more: &str) -> S3Store {
    connect_with(&format!("s3://{place}?{}{more}", server.query()), server.credentials(), Abilities::default())
}

/// What every S3 server must do beyond the contract.
fn a_bucket_serves_as_a_vault(server: &Server) {
    server.make_bucket("contract");
    server.make_bucket("dotted.bucket.name");
    keeps_the_contract(&|vault| Arc::new(connect(server, &format!("contract/deep/er/{vault}"), "")));

    // A bucket without a prefix, with dots in its name, seen by an independent client.
    let store = connect(server, "dotted.bucket.name", "");
    store.create(&object("meta_vault", b"abc"), &Stop::new()).unwrap();
    let seen = "print(s3.get_object(Bucket='dotted.bucket.name', Key='meta_vault')['Body'].read().decode())";
    assert_eq!(server.boto3(seen), "abc");

    // Foreign objects in the same bucket are not taken for ours.
    server.boto3("s3.put_object(Bucket='dotted.bucket.name', Key='photos/data_1.jpg', Body=b'x')");
    server.boto3("s3.put_object(Bucket='dotted.bucket.name', Key='a b', Body=b'x')");
    assert_eq!(names(&store, ""), ["meta_vault"]);

    // Calls are money: once the server is known, one object costs one request.
    let known = store.abilities();
    let url = format!("s3://contract/calls?{}", server.query());
    let store = connect_with(&url, server.credentials(), known);
    store.create(&object("data_1", &noise(5, 100_000)), &Stop::new()).unwrap();
    let requests = store.requests();
    eprintln!("learnt {known:?}, one object costs {requests:?}");
    assert_eq!((requests.put, requests.get, requests.head), (1, 0, 0));
    assert_eq!(requests.list, u64::from(known.conditional_create != Ability::Yes));

    let nowhere = connect(server, "no-such-bucket-here", "");
    assert_eq!(nowhere.create(&object("data_1", b"x"), &Stop::new()).unwrap_err().kind(), Kind::Operator);
    assert_eq!(nowhere.list("", &mut |_| Ok(())).unwrap_err().kind(), Kind::Operator);
}

#[test]
fn seaweedfs_keeps_the_contract() {
    let Some(server) = Server::seaweedfs() else { return };
    a_bucket_serves_as_a_vault(&server);

    let url = format!("s3://contract/keys?{}", server.query());
    let stranger = connect_with(&url, server.wrong_credentials(), Abilities::default());
    let error = stranger.create(&object("data_1", b"x"), &Stop::new()).unwrap_err();
    assert!(error.kind() == Kind::Operator && error.remedy_text().is_some(), "{error}");
}

/// Run by `tests/aws`, which says where: what no server of a test machine can tell about the real one.
#[test]
#[ignore = "needs a bucket of one's own and its keys: tests/aws"]
fn a_bucket_of_ones_own_keeps_the_contract() {
    let place = std::env::var("PANICROOM_OWN_BUCKET").expect("PANICROOM_OWN_BUCKET=s3://bucket/prefix?region=REGION");
    let (place, query) = place.split_once('?').expect("an address with a region");
    keeps_the_contract(&|vault| {
        let VaultUrl::Bucket(bucket) = format!("{place}/{vault}?{query}").parse().unwrap() else {
            panic!("{place} is no bucket")
        };
        let settings = Settings { bucket, credentials: Credentials::Standard, abilities: Abilities::default() };
        Arc::new(S3Store::connect(settings, handle(), Throttle::new(None, SystemClock::shared())).unwrap())
    });
}

#[test]
fn moto_keeps_the_contract_and_knows_classes_and_thaws() {
    let Some(server) = Server::moto() else { return };
    a_bucket_serves_as_a_vault(&server);

    // Only cold packs go into the vault's class: the log and hot packs stay readable.
    let store = connect(&server, "contract/classes", "&class=GLACIER");
    for n in ["data_1", "meta_1", "hot_1"] {
        store.create(&object(n, b"abcdef"), &Stop::new()).unwrap();
    }
    let class = |n: &str| store.head(&name(n)).unwrap().unwrap().class;
    assert_eq!(class("data_1").as_deref(), Some("GLACIER"));
    assert!(class("meta_1").is_none_or(|c| c == "STANDARD") && class("hot_1").is_none_or(|c| c == "STANDARD"));

    // A frozen pack is settled without reading it, refused with the remedy, and read after its thaw.
    assert_eq!(store.create(&object("data_1", b"abcdef"), &Stop::new()).unwrap(), Created::Before);
    let frozen = store.read(&name("data_1"), None, &Stop::new()).unwrap_err();
    assert!(frozen.kind() == Kind::Operator && frozen.to_string().contains("thaw"), "{frozen}");
    assert!(is_frozen(&frozen), "{frozen}");
    let access = |n: &str| store.head(&name(n)).unwrap().unwrap().access;
    let listed = |n: &str| {
        let mut found = None;
        let mut each = |info: panicroom::store::ObjectInfo| -> panicroom::error::Result<()> {
            found = info.access;
            Ok(())
        };
        store.list(n, &mut each).unwrap();
        found
    };
    assert_eq!((access("data_1"), access("meta_1")), (Some(Access::Frozen), Some(Access::Warm)));
    // moto lists classes and no thaws: nothing is made up.
    assert_eq!((listed("data_1"), listed("hot_1")), (None, Some(Access::Warm)));
    assert_eq!(store.thaw(&name("meta_1"), Speed::Standard, 3).unwrap(), Thaw::Ready);
    server.slow_thaws(2);
    // One that is to come takes its time from when the object was made.
    let clock = SystemClock::shared();
    clock.sleep(Duration::from_secs(3));
    let heads = store.requests().head;
    assert_eq!(store.thaw(&name("data_1"), Speed::Bulk, 3).unwrap(), Thaw::Asked);
    assert_eq!(store.requests().head, heads, "a thaw is one request");
    assert_eq!(access("data_1"), Some(Access::Thawing));
    for _ in 0..600 {
        if matches!(access("data_1"), Some(Access::Thawed { until: Some(until) }) if until > clock.wall()) {
            break;
        }
        clock.sleep(Duration::from_millis(50));
    }
    assert_eq!(store.thaw(&name("data_1"), Speed::Bulk, 5).unwrap(), Thaw::Ready);
    assert_eq!(store.read(&name("data_1"), Some(2..4), &Stop::new()).unwrap(), b"cd");
}

#[test]
fn a_server_that_does_not_answer_is_passing_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    std::fs::write(&keys, "[default]\naws_access_key_id = a\naws_secret_access_key = b\n").unwrap();
    let url = "s3://bucket/p?region=us-east-1&path_style=true&endpoint=http://127.0.0.1:1";
    let store = connect_with(url, keys, Abilities { conditional_create: Ability::Yes, ..Abilities::default() });
    let error = store.create(&object("data_1", b"x"), &Stop::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::Retry, "{error}");
    let error = store.head(&name("data_1")).unwrap_err();
    assert_eq!(error.kind(), Kind::Retry, "{error}");
}
