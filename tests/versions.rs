//! Buckets that keep versions: what lies behind a delete marker or beneath other bytes is listed, read, looked at and
//! thawed (promises 6 and 9), at as many calls as a listing. The answers of AWS are played; moto and SeaweedFS keep
//! versions for real.

#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;
#[path = "support/wire.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod wire;

use panicroom::clock::SystemClock;
use panicroom::config::url::VaultUrl;
use panicroom::error::{Kind, Result};
use panicroom::format::Name;
use panicroom::model::{Sha256, Tier};
use panicroom::store::abilities::{Abilities, Ability};
use panicroom::store::s3::{Credentials, S3Store, Settings};
use panicroom::store::throttle::Throttle;
use panicroom::store::{
    Access, Body, Cover, Created, Depth, Held, Inventory, NewObject, ObjectName, ObjectStore, Requests, Speed, Thaw,
    is_frozen,
};
use panicroom::worker::Stop;
use servers::Server;
use sha2::Digest;
use std::path::PathBuf;
use std::sync::OnceLock;
use wire::{Answer, Request, Wire, marker, version};

fn connect(place: &str, query: &str, keys: PathBuf, abilities: Abilities) -> S3Store {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let build = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let VaultUrl::Bucket(bucket) = format!("s3://{place}?{query}").parse().unwrap() else { panic!() };
    let settings = Settings { bucket, credentials: Credentials::File(keys), abilities };
    let throttle = Throttle::new(None, SystemClock::shared());
    S3Store::connect(settings, RUNTIME.get_or_init(build).handle().clone(), throttle).unwrap()
}

fn store(wire: &Wire, abilities: Abilities) -> S3Store {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    std::fs::write(&keys, "[default]\naws_access_key_id = a\naws_secret_access_key = b\n").unwrap();
    connect("box/p", &format!("region=eu-west-1&path_style=true&endpoint={}", wire.endpoint), keys, abilities)
}

fn aws() -> Abilities {
    let yes = Ability::Yes;
    Abilities {
        conditional_create: yes,
        checksum_header: yes,
        checksum_echo: yes,
        etag_is_md5: yes,
        ..Abilities::default()
    }
}

fn name(n: &str) -> ObjectName {
    ObjectName::new(n).unwrap()
}

fn sum(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

fn base64_sum(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(sum(bytes).0)
}

/// A pack under the name its bytes give it.
fn pack(bytes: &[u8]) -> NewObject {
    let name = Name::Pack(Tier::Cold, sum(bytes)).into();
    NewObject { name, body: Body::Bytes(bytes.to_vec()), size: bytes.len() as u64, sha256: sum(bytes) }
}

fn told(store: &dyn ObjectStore, prefix: &str) -> (Inventory, Vec<Held>) {
    let mut held = vec![];
    let mut each = |one| -> Result<()> {
        held.push(one);
        Ok(())
    };
    let inventory = store.inventory(prefix, &mut each).unwrap();
    (inventory, held)
}

fn inventory(store: &dyn ObjectStore, prefix: &str) -> (Depth, Vec<Held>) {
    let (inventory, held) = told(store, prefix);
    (inventory.depth, held)
}

fn covers(store: &dyn ObjectStore) -> Vec<(String, u64, Cover)> {
    counted_covers(store, 0)
}

fn counted_covers(store: &dyn ObjectStore, strange: u64) -> Vec<(String, u64, Cover)> {
    let (inventory, held) = told(store, "data_");
    assert_eq!(inventory, Inventory { depth: Depth::Versions, strange });
    held.into_iter().map(|h| (h.object.name.to_string(), h.object.size, h.cover)).collect()
}

/// What a request is, in a word or two.
fn words(request: &Request) -> String {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    match () {
        () if query.contains("list-type") => "LIST".to_owned(),
        () if query.split('&').any(|pair| pair.trim_end_matches('=') == "versions") => "VERSIONS".to_owned(),
        () if query.split('&').any(|pair| pair.trim_end_matches('=') == "versioning") => "VERSIONING".to_owned(),
        () => [&request.method, value("versionId").unwrap_or_default()].join(" ").trim_end().to_owned(),
    }
}

fn said(wire: &Wire) -> Vec<String> {
    wire.heard().iter().map(words).collect()
}

// --- the inventory ---------------------------------------------------------------------------------------------------

#[test]
fn an_inventory_puts_each_name_together_over_page_borders_and_costs_a_call_a_page() {
    let (a, b, c) = ("p/data_a", "p/data_b", "p/data_c");
    let wire = Wire::new(move |_, before| match before {
        0 => Answer::versions(
            &[
                version((a, "a1"), (3, "x"), true),
                version(("p/data_a foreign key", "f"), (1, "f"), true),
                version((b, "b3"), (9, "z"), true),
                marker((b, "b2"), false),
            ],
            Some((b, "b2")),
        ),
        1 => Answer::versions(&[version((b, "b1"), (3, "y"), false), marker((c, "c2"), true)], Some((c, "c2"))),
        _ => Answer::versions(&[version((c, "c1"), (3, "y"), false), marker(("p/data_d", "d1"), true)], None),
    });
    let store = store(&wire, aws());
    let held = counted_covers(&store, 1);
    let expected = [("data_a", Cover::Bare), ("data_b", Cover::OtherBytes), ("data_c", Cover::DeleteMarker)];
    assert_eq!(
        held,
        expected.map(|(name, cover)| (name.to_owned(), 3, cover)),
        "of ours the oldest; markers alone are nothing"
    );
    assert_eq!(store.requests(), Requests { list: 3, ..Requests::default() });
    assert_eq!(said(&wire), ["VERSIONS"; 3]);
    let heard = wire.heard();
    assert!(heard[1].target.contains("key-marker=p%2Fdata_b") && heard[1].target.contains("version-id-marker=b2"));
    assert_eq!(heard[0].headers["x-amz-optional-object-attributes"], "RestoreStatus");
    assert_eq!((store.abilities().list_versions, store.abilities().keeps_versions), (Ability::Yes, Ability::Yes));
}

#[test]
fn a_retried_put_that_came_twice_is_no_alarm() {
    let k = "p/data_a";
    let wire = Wire::new(move |_, _| {
        Answer::versions(&[version((k, "2"), (3, "x"), true), version((k, "1"), (3, "x"), false)], None)
    });
    assert_eq!(covers(&store(&wire, aws())), [("data_a".to_owned(), 3, Cover::Bare)]);
}

#[test]
fn a_page_that_leads_nowhere_or_back_is_passing_trouble() {
    for next in ["p/data_a", ""] {
        let wire =
            Wire::new(move |_, _| Answer::versions(&[version(("p/data_a", "1"), (3, "x"), true)], Some((next, "1"))));
        let error = store(&wire, aws()).inventory("data_", &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), Kind::Retry, "{error}");
        assert!(said(&wire).len() <= 2);
    }
}

#[test]
fn a_server_that_lists_no_versions_is_asked_once_and_remembered() {
    let plain = || Answer::listing(&[("p/data_a", 3, "x")]);
    for status in [501, 405, 200] {
        let wire = Wire::new(move |request, _| match words(request).as_str() {
            // Some take it for a plain listing.
            "VERSIONS" if status != 200 => Answer::error(status, "NotImplemented", "not here"),
            _ => plain(),
        });
        let first = store(&wire, aws());
        let (depth, held) = inventory(&first, "data_");
        assert!(matches!(depth, Depth::Surface(why) if why.contains("server")), "{depth:?}");
        assert_eq!((held.len(), held[0].cover), (1, Cover::Bare));
        assert_eq!((first.abilities().list_versions, first.abilities().thaw_in_list), (Ability::No, Ability::Unknown));
        let before = said(&wire).len();
        assert!(matches!(inventory(&store(&wire, first.abilities()), "data_").0, Depth::Surface(_)));
        assert_eq!(said(&wire)[before..], ["LIST"], "{status}");
    }
}

#[test]
fn a_key_without_the_right_sees_the_surface_and_is_heard_again_when_it_may() {
    let wire = Wire::new(|request, before| match words(request).as_str() {
        "VERSIONS" if before < 4 => Answer::error(403, "AccessDenied", "no"),
        "VERSIONS" => Answer::versions(&[version(("p/data_a", "1"), (3, "x"), true)], None),
        "LIST" => Answer::listing(&[("p/data_a", 3, "x")]),
        _ => Answer::error(404, "NoSuchKey", "none"),
    });
    let store = store(&wire, aws());
    assert!(matches!(inventory(&store, "data_").0, Depth::Surface(why) if why.contains("s3:ListBucketVersions")));
    let missing = || store.read(&name("data_b"), None, &Stop::new()).unwrap_err();
    for _ in 0..2 {
        let error = missing();
        assert!(error.kind() == Kind::Damaged && error.to_string().contains("s3:ListBucketVersions"), "{error}");
    }
    assert_eq!(said(&wire), ["VERSIONS", "LIST", "GET", "GET"], "a refusal is believed for single objects");
    assert_eq!(inventory(&store, "data_").0, Depth::Versions);
    missing();
    assert_eq!(said(&wire)[4..], ["VERSIONS", "GET", "VERSIONS"]);
    assert_eq!(store.abilities().list_versions, Ability::Yes);
}

#[test]
fn a_server_that_refuses_to_tell_of_thaws_is_asked_without() {
    let wire = Wire::new(|request, _| {
        if request.headers.contains_key("x-amz-optional-object-attributes") {
            return Answer::error(501, "NotImplemented", "A header you provided is not implemented");
        }
        Answer::versions(&[version(("p/data_a", "1"), (3, "x"), true)], None)
    });
    let store = store(&wire, aws());
    assert_eq!((inventory(&store, "data_").0, inventory(&store, "data_").0), (Depth::Versions, Depth::Versions));
    assert_eq!((store.abilities().thaw_in_list, said(&wire).len()), (Ability::No, 3));
}

// --- behind a delete marker ------------------------------------------------------------------------------------------

/// A bucket with one pack behind a delete marker.
fn hidden() -> Wire {
    Wire::new(|request, _| match words(request).as_str() {
        "VERSIONS" => {
            Answer::versions(&[marker(("p/data_a", "2"), true), version(("p/data_a", "1"), (3, "x"), false)], None)
        }
        "GET 1" => Answer::Say { status: 206, headers: vec![], body: "abc".to_owned() },
        "HEAD 1" => Answer::ok(vec![("x-amz-storage-class", "DEEP_ARCHIVE".to_owned())]),
        "POST 1" => Answer::Say { status: 202, headers: vec![], body: String::new() },
        "HEAD" => {
            Answer::Say { status: 404, headers: vec![("x-amz-delete-marker", "true".to_owned())], body: String::new() }
        }
        _ => Answer::hidden(),
    })
}

#[test]
fn what_lies_behind_a_delete_marker_is_read_looked_at_and_thawed_by_its_version() {
    let a = name("data_a");
    let (wire, stop) = (hidden(), Stop::new());
    let reading = store(&wire, aws());
    assert_eq!(reading.read(&a, Some(0..3), &stop).unwrap(), b"abc");
    assert_eq!(reading.read(&a, Some(0..3), &stop).unwrap(), b"abc");
    assert_eq!(said(&wire), ["GET", "VERSIONS", "GET 1", "GET 1"], "found once, then gone to at once");

    let wire = hidden();
    let info = store(&wire, aws()).head(&a).unwrap().unwrap();
    assert_eq!((info.name, info.access), (a.clone(), Some(Access::Frozen)));
    assert_eq!(said(&wire), ["HEAD", "VERSIONS", "HEAD 1"]);

    let wire = hidden();
    assert_eq!(store(&wire, aws()).thaw(&a, Speed::Bulk, 3).unwrap(), Thaw::Asked);
    assert_eq!(said(&wire), ["POST", "VERSIONS", "POST 1"]);

    // An inventory tells the version before anybody asks.
    let wire = hidden();
    let told = store(&wire, aws());
    assert_eq!(covers(&told), [("data_a".to_owned(), 3, Cover::DeleteMarker)]);
    assert_eq!(told.thaw(&a, Speed::Bulk, 3).unwrap(), Thaw::Asked);
    assert_eq!(said(&wire), ["VERSIONS", "POST 1"]);
}

#[test]
fn a_version_that_went_too_is_looked_up_again_and_then_missing() {
    let wire = Wire::new(|request, before| match words(request).as_str() {
        "VERSIONS" if before < 2 => Answer::versions(&[version(("p/data_a", "1"), (3, "x"), false)], None),
        "VERSIONS" => Answer::versions(&[], None),
        "GET 1" if before < 3 => Answer::Say { status: 206, headers: vec![], body: "abc".to_owned() },
        "GET 1" => Answer::error(404, "NoSuchVersion", "gone"),
        _ => Answer::hidden(),
    });
    let store = store(&wire, aws());
    let read = || store.read(&name("data_a"), Some(0..3), &Stop::new());
    assert_eq!(read().unwrap(), b"abc");
    assert_eq!(read().unwrap_err().kind(), Kind::Damaged);
    assert_eq!(said(&wire)[3..], ["GET 1", "GET", "VERSIONS"]);
}

#[test]
fn a_missing_object_of_a_bucket_without_versions_costs_its_one_call() {
    let wire = Wire::new(|request, _| match words(request).as_str() {
        "VERSIONS" => Answer::versions(&[], None),
        "VERSIONING" => Answer::Say {
            status: 200,
            headers: vec![],
            body: "<?xml version=\"1.0\"?><VersioningConfiguration></VersioningConfiguration>".to_owned(),
        },
        _ => Answer::error(404, "NoSuchKey", "none"),
    });
    let first = store(&wire, aws());
    assert_eq!(first.head(&name("data_a")).unwrap(), None);
    assert_eq!(first.abilities().keeps_versions, Ability::No);
    let again = store(&wire, first.abilities());
    assert_eq!(first.read(&name("data_b"), None, &Stop::new()).unwrap_err().kind(), Kind::Damaged);
    assert_eq!(again.thaw(&name("data_b"), Speed::Bulk, 1).unwrap_err().kind(), Kind::Damaged);
    assert!(!again.uncover(&name("data_b")).unwrap());
    assert_eq!(said(&wire), ["HEAD", "VERSIONS", "VERSIONING", "GET", "POST"]);
}

#[test]
fn versions_switched_on_later_are_noticed() {
    let wire = hidden();
    let store = store(&wire, Abilities { keeps_versions: Ability::No, ..aws() });
    assert_eq!(store.read(&name("data_a"), Some(0..3), &Stop::new()).unwrap(), b"abc", "the delete marker says so");
    assert_eq!(store.abilities().keeps_versions, Ability::Yes);
}

// --- beneath other bytes ---------------------------------------------------------------------------------------------

const OURS: &[u8] = b"ours";

/// A pack that was overwritten twice; `sums`: whether the server keeps checksums.
fn overwritten(sums: bool) -> Wire {
    let key = format!("p/{}", pack(OURS).name);
    Wire::new(move |request, _| {
        let head =
            |bytes: &[u8]| Answer::ok(if sums { vec![("x-amz-checksum-sha256", base64_sum(bytes))] } else { vec![] });
        let k = key.as_str();
        match words(request).as_str() {
            "VERSIONS" => Answer::versions(
                &[
                    version((k, "3"), (4, "c"), true),
                    version((k, "2"), (4, "b"), false),
                    version((k, "1"), (4, "a"), false),
                ],
                None,
            ),
            "HEAD 2" => head(OURS),
            "HEAD 1" | "HEAD 3" => head(b"none"),
            "GET 1" => Answer::Say { status: 206, headers: vec![], body: "old!".to_owned() },
            "GET 2" => Answer::Say { status: 206, headers: vec![], body: "ours".to_owned() },
            _ => Answer::Say { status: 206, headers: vec![], body: "evil".to_owned() },
        }
    })
}

#[test]
fn of_an_overwritten_pack_the_version_its_name_tells_is_found_by_its_checksum_else_the_oldest() {
    for (sums, found) in [(true, "ours"), (false, "old!")] {
        let wire = overwritten(sums);
        let store = store(&wire, aws());
        let read = || store.read(&pack(OURS).name, Some(0..4), &Stop::new()).unwrap();
        assert_eq!(read(), b"evil");
        assert!(store.uncover(&pack(OURS).name).unwrap());
        assert_eq!(read(), found.as_bytes());
        let heads = said(&wire).iter().filter(|w| w.starts_with("HEAD")).count();
        assert!(heads <= 3, "{:?}", said(&wire));
    }
}

#[test]
fn a_new_object_is_proved_against_what_its_name_answers_and_never_against_what_lies_behind() {
    let object = pack(OURS);
    let key = format!("p/{}", object.name);
    // Refused as existing, while the name answers with other bytes and ours lie beneath.
    let wire = Wire::new(move |request, _| match words(request).as_str() {
        "PUT" => Answer::error(412, "PreconditionFailed", "it exists"),
        "LIST" => Answer::listing(&[(&key, 4, "opaque")]),
        "HEAD" => Answer::ok(vec![("x-amz-checksum-sha256", base64_sum(b"evil"))]),
        "VERSIONS" => {
            Answer::versions(&[version((&key, "2"), (4, "b"), true), version((&key, "1"), (4, "a"), false)], None)
        }
        _ => Answer::ok(vec![("x-amz-checksum-sha256", base64_sum(OURS))]),
    });
    let store = store(&wire, Abilities { etag_is_md5: Ability::No, ..aws() });
    assert_eq!(covers(&store)[0].2, Cover::OtherBytes);
    assert_eq!(store.create(&object, &Stop::new()).unwrap_err().kind(), Kind::Damaged);
    assert_eq!(said(&wire), ["VERSIONS", "PUT", "LIST", "HEAD"]);
}

// --- real servers ----------------------------------------------------------------------------------------------------

/// What a server that keeps versions must do, deleted from and overwritten by an independent client.
fn sees_through(server: &Server) {
    server.boto3(
        "s3.create_bucket(Bucket='kept')\ns3.put_bucket_versioning(Bucket='kept', \
         VersioningConfiguration={'Status': 'Enabled'})",
    );
    let open = || connect("kept/v", &server.query(), server.credentials(), Abilities::default());
    let store = open();
    let packs: Vec<NewObject> = (0..4u8).map(|n| pack(&vec![n; 100 + usize::from(n)])).collect();
    for object in &packs {
        assert_eq!(store.create(object, &Stop::new()).unwrap(), Created::Now);
    }
    let key = |n: usize| format!("v/{}", packs[n].name);
    server.boto3(&format!(
        "s3.delete_object(Bucket='kept', Key='{}')\ns3.put_object(Bucket='kept', Key='{}', Body=b'evil')\n\
         s3.put_object(Bucket='kept', Key='{}', Body=bytes([3]) * 103)\ns3.delete_object(Bucket='kept', Key='{1}')\n\
         s3.delete_object(Bucket='kept', Key='v/data_never')",
        key(1),
        key(2),
        key(3),
    ));
    let store = open();
    let mut expected: Vec<_> = [Cover::Bare, Cover::DeleteMarker, Cover::DeleteMarker, Cover::Bare]
        .into_iter()
        .enumerate()
        .map(|(n, cover)| (packs[n].name.to_string(), packs[n].size, cover))
        .collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(covers(&store), expected);
    assert_eq!(store.requests(), Requests { list: 1, ..Requests::default() });
    let fresh = open();
    let mut listed = 0;
    let mut each = |_| -> Result<()> {
        listed += 1;
        Ok(())
    };
    fresh.list("data_", &mut each).unwrap();
    assert_eq!(listed, 2);
    for object in &packs {
        let read = fresh.read(&object.name, Some(0..object.size), &Stop::new()).unwrap();
        assert!(sum(&read) == object.sha256 && fresh.head(&object.name).unwrap().unwrap().size == object.size);
    }
    assert_eq!(fresh.head(&name("data_never")).unwrap(), None, "delete markers alone are nothing");

    // Overwritten and not deleted: nobody notices until the bytes are read.
    server.boto3(&format!("s3.put_object(Bucket='kept', Key='{}', Body=b'x' * 100)", key(0)));
    let fresh = open();
    let read = || sum(&fresh.read(&packs[0].name, Some(0..100), &Stop::new()).unwrap());
    assert_ne!(read(), packs[0].sha256);
    assert!(fresh.uncover(&packs[0].name).unwrap());
    assert_eq!(read(), packs[0].sha256);
    assert_eq!(fresh.head(&packs[0].name).unwrap().unwrap().size, 100);
    assert!(covers(&open()).contains(&(packs[0].name.to_string(), 100, Cover::OtherBytes)));

    // A delete marker is no object: what was deleted can be created again, and only that.
    assert_eq!(fresh.create(&packs[1], &Stop::new()).unwrap(), Created::Now);
    assert_eq!(fresh.create(&packs[1], &Stop::new()).unwrap(), Created::Before);
    assert!(covers(&open()).contains(&(packs[1].name.to_string(), 101, Cover::Bare)));
    assert_eq!(fresh.create(&packs[0], &Stop::new()).unwrap_err().kind(), Kind::Damaged, "other bytes are there");
    assert_eq!(fresh.abilities().keeps_versions, Ability::Yes);
}

#[test]
fn moto_lets_see_through_delete_markers_frozen_packs_and_pages_too() {
    let Some(server) = Server::moto() else { return };
    sees_through(&server);

    let cold = format!("{}&class=DEEP_ARCHIVE", server.query());
    let store = connect("kept/cold", &cold, server.credentials(), Abilities::default());
    let object = pack(b"a frozen pack");
    store.create(&object, &Stop::new()).unwrap();
    server.boto3(&format!("s3.delete_object(Bucket='kept', Key='cold/{}')", object.name));
    assert!(is_frozen(&store.read(&object.name, None, &Stop::new()).unwrap_err()));
    assert_eq!(store.head(&object.name).unwrap().unwrap().access, Some(Access::Frozen));
    assert_eq!(inventory(&store, "data_").1[0].object.class.as_deref(), Some("DEEP_ARCHIVE"));
    // It thaws what a name answers with alone, whatever version is asked for.
    assert_eq!(store.thaw(&object.name, Speed::Bulk, 2).unwrap_err().kind(), Kind::Damaged);

    // More versions of one name than a page holds.
    server.boto3(
        "for n in range(1003):\n  s3.put_object(Bucket='kept', Key='many/data_a', Body=b'x' * (1 + n % 2))\n\
         s3.put_object(Bucket='kept', Key='many/data_b', Body=b'b')",
    );
    let store = connect("kept/many", &server.query(), server.credentials(), Abilities::default());
    let expected = [("data_a".to_owned(), 1, Cover::Bare), ("data_b".to_owned(), 1, Cover::Bare)];
    assert_eq!(covers(&store), expected);
    assert_eq!(store.requests().list, 2);
}

#[test]
fn seaweedfs_lets_see_through_delete_markers() {
    let Some(server) = Server::seaweedfs() else { return };
    sees_through(&server);

    // A bucket that never kept any is known as such after one look (moto's answer to that question is none of S3's).
    server.make_bucket("plain");
    let plain = connect("plain/v", &server.query(), server.credentials(), Abilities::default());
    assert_eq!(plain.head(&name("data_1")).unwrap(), None);
    let before = plain.requests();
    assert_eq!(plain.head(&name("data_1")).unwrap(), None);
    assert_eq!(plain.requests(), Requests { head: before.head + 1, ..before });
    assert_eq!(inventory(&plain, "").0, Depth::Versions);
}
