//! What goes over the wire to an S3 server, and the answers of AWS that no local server gives (promises 2, 6, 7).

#[path = "support/wire.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod wire;

use panicroom::clock::{SystemClock, Wall};
use panicroom::config::url::VaultUrl;
use panicroom::error::{Kind, Result};
use panicroom::model::{Rate, Sha256};
use panicroom::store::abilities::{Abilities, Ability};
use panicroom::store::s3::{Credentials, S3Store, Settings};
use panicroom::store::throttle::Throttle;
use panicroom::store::{
    Access, Body, Created, NewObject, ObjectInfo, ObjectName, ObjectStore, Speed, Thaw, is_body_damage, is_frozen,
};
use panicroom::worker::Stop;
use sha2::Digest;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;
use wire::{Answer, Request, Wire};

const BYTES: &[u8] = b"sealed bytes";

fn object() -> NewObject {
    NewObject {
        name: ObjectName::new("data_1").unwrap(),
        body: Body::Bytes(BYTES.to_vec()),
        size: BYTES.len() as u64,
        sha256: Sha256(sha2::Sha256::digest(BYTES).into()),
    }
}

fn md5(bytes: &[u8]) -> String {
    use md5::Digest;
    md5::Md5::digest(bytes).iter().fold(String::new(), |hex, b| hex + &format!("{b:02x}"))
}

fn base64_sum(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(bytes))
}

/// AWS as it answers a PUT it kept.
fn kept() -> Answer {
    Answer::ok(vec![("etag", format!("\"{}\"", md5(BYTES))), ("x-amz-checksum-sha256", base64_sum(BYTES))])
}

fn aws() -> Abilities {
    Abilities {
        conditional_create: Ability::Yes,
        checksum_header: Ability::Yes,
        checksum_echo: Ability::Yes,
        etag_is_md5: Ability::Yes,
        ..Abilities::default()
    }
}

fn throttle(rate: Option<u64>) -> Throttle {
    Throttle::new(rate.and_then(Rate::bytes_per_second), SystemClock::shared())
}

fn store(wire: &Wire, abilities: Abilities, throttle: Throttle) -> S3Store {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    std::fs::write(&keys, "[default]\naws_access_key_id = a\naws_secret_access_key = b\n").unwrap();
    store_with(wire, keys, abilities, throttle)
}

fn store_with(wire: &Wire, keys: PathBuf, abilities: Abilities, throttle: Throttle) -> S3Store {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let build = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let url = format!("s3://box/p?region=eu-west-1&path_style=true&class=DEEP_ARCHIVE&endpoint={}", wire.endpoint);
    let VaultUrl::Bucket(bucket) = url.parse().unwrap() else { panic!() };
    let settings = Settings { bucket, credentials: Credentials::File(keys), abilities };
    S3Store::connect(settings, RUNTIME.get_or_init(build).handle().clone(), throttle).unwrap()
}

fn create(store: &S3Store) -> Result<Created> {
    store.create(&object(), &Stop::new())
}

fn methods(wire: &Wire) -> Vec<String> {
    wire.heard()
        .into_iter()
        .map(|r| if r.target.contains("list-type") { "LIST".to_owned() } else { r.method })
        .collect()
}

#[test]
fn a_put_is_one_request_with_length_condition_checksum_class_and_a_signature_over_all_of_them() {
    let wire = Wire::new(|_, _| kept());
    assert_eq!(create(&store(&wire, aws(), throttle(None))).unwrap(), Created::Now);
    let heard = wire.heard();
    assert_eq!(heard.len(), 1);
    let Request { method, target, headers, body } = &heard[0];
    assert_eq!((method.as_str(), target.split('?').next().unwrap()), ("PUT", "/box/p/data_1"));
    assert_eq!(body, BYTES);
    assert_eq!(headers["content-length"], BYTES.len().to_string());
    assert_eq!(headers["if-none-match"], "*");
    assert_eq!(headers["x-amz-checksum-sha256"], base64_sum(BYTES));
    assert_eq!(headers["x-amz-sdk-checksum-algorithm"], "SHA256");
    assert_eq!(headers["x-amz-content-sha256"], object().sha256.to_string());
    assert_eq!(headers["x-amz-storage-class"], "DEEP_ARCHIVE");
    assert!(!headers.contains_key("transfer-encoding") && !headers.contains_key("content-encoding"), "{headers:?}");
    let signed = headers["authorization"].split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
    for header in ["if-none-match", "x-amz-checksum-sha256", "x-amz-content-sha256", "x-amz-storage-class"] {
        assert!(signed.split(';').any(|s| s == header), "{header} is not signed: {signed}");
    }
}

#[test]
fn keys_that_are_missing_are_the_operators_business() {
    let wire = Wire::new(|_, _| kept());
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    std::fs::write(&keys, "[default]\naws_access_key_id = a\n").unwrap();
    let error = create(&store_with(&wire, keys, aws(), throttle(None))).unwrap_err();
    assert!(error.kind() == Kind::Operator && error.to_string().contains("credentials_file"), "{error}");
    assert!(wire.heard().is_empty());
}

#[test]
fn only_cold_packs_carry_the_class() {
    let wire = Wire::new(|_, _| kept());
    let store = store(&wire, aws(), throttle(None));
    for name in ["hot_1", "meta_log_1", "meta_vault"] {
        store.create(&NewObject { name: ObjectName::new(name).unwrap(), ..object() }, &Stop::new()).unwrap();
    }
    assert!(wire.heard().iter().all(|r| !r.headers.contains_key("x-amz-storage-class")));
}

#[test]
fn passing_answers_are_tried_again_by_the_caller_and_never_here() {
    for (status, code) in [
        (503, "SlowDown"),
        (500, "InternalError"),
        (409, "ConditionalRequestConflict"),
        (400, "RequestTimeout"),
        (400, "BadDigest"),
    ] {
        let wire = Wire::new(move |_, _| Answer::error(status, code, "once more"));
        let error = create(&store(&wire, aws(), throttle(None))).unwrap_err();
        assert_eq!(error.kind(), Kind::Retry, "{code}: {error}");
        assert!(error.to_string().contains(code), "{error}");
        assert_eq!(methods(&wire), ["PUT"], "{code}");
    }
}

#[test]
fn answers_only_a_person_can_mend_say_how() {
    for (status, code, word) in [
        (403, "AccessDenied", "s3:PutObject"),
        (403, "InvalidAccessKeyId", "access key"),
        (403, "RequestTimeTooSkewed", "clock"),
        (404, "NoSuchBucket", "bucket"),
        (301, "PermanentRedirect", "region"),
    ] {
        let wire = Wire::new(move |_, _| Answer::error(status, code, "no"));
        let error = create(&store(&wire, aws(), throttle(None))).unwrap_err();
        assert_eq!(error.kind(), Kind::Operator, "{code}: {error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_lost_answer_is_settled_by_a_listing_without_sending_the_body_again() {
    let wire = Wire::new(|request, before| match before {
        0 => Answer::HangUp,
        _ if request.method == "GET" => Answer::listing(&[("p/data_1", BYTES.len() as u64, &md5(BYTES))]),
        _ => kept(),
    });
    let store = store(&wire, aws(), throttle(None));
    assert_eq!(create(&store).unwrap_err().kind(), Kind::Retry);
    assert_eq!(create(&store).unwrap(), Created::Before);
    assert_eq!(methods(&wire), ["PUT", "LIST"]);
}

#[test]
fn after_a_restart_a_lost_answer_is_settled_by_412_and_a_listing() {
    let wire = Wire::new(|request, _| match request.method.as_str() {
        "PUT" => Answer::error(412, "PreconditionFailed", "At least one of the pre-conditions did not hold"),
        _ => Answer::listing(&[("p/data_1", BYTES.len() as u64, &md5(BYTES))]),
    });
    assert_eq!(create(&store(&wire, aws(), throttle(None))).unwrap(), Created::Before);
    assert_eq!(methods(&wire), ["PUT", "LIST"]);
}

#[test]
fn an_etag_that_is_no_md5_is_settled_by_the_checksum() {
    for (there, outcome) in [(BYTES, Ok(Created::Before)), (b"other bytes!".as_slice(), Err(Kind::Damaged))] {
        let wire = Wire::new(move |request, _| match request.method.as_str() {
            "PUT" => Answer::error(412, "PreconditionFailed", "it exists"),
            "HEAD" => Answer::ok(vec![("x-amz-checksum-sha256", base64_sum(there))]),
            _ => Answer::listing(&[("p/data_1", BYTES.len() as u64, "0123456789abcdef0123456789abcdef")]),
        });
        let abilities = Abilities { etag_is_md5: Ability::Unknown, ..aws() };
        assert_eq!(create(&store(&wire, abilities, throttle(None))).map_err(|e| e.kind()), outcome);
        assert_eq!(methods(&wire), ["PUT", "LIST", "HEAD"]);
    }
}

#[test]
fn a_checksum_that_comes_back_wrong_is_damage_and_never_stored() {
    let wire = Wire::new(|_, _| {
        Answer::ok(vec![("etag", format!("\"{}\"", md5(BYTES))), ("x-amz-checksum-sha256", base64_sum(b"else"))])
    });
    let error = create(&store(&wire, aws(), throttle(None))).unwrap_err();
    assert!(error.kind() == Kind::Damaged && !is_body_damage(&error), "{error}");
}

#[test]
fn a_server_without_checksums_proves_by_md5_and_one_without_either_by_the_bytes_themselves() {
    let abilities = Abilities { conditional_create: Ability::Yes, ..Abilities::default() };
    let wire = Wire::new(|_, _| Answer::ok(vec![("etag", format!("\"{}\"", md5(BYTES)))]));
    assert_eq!(create(&store(&wire, abilities, throttle(None))).unwrap(), Created::Now);
    assert_eq!(methods(&wire), ["PUT"]);

    for (there, outcome) in [("sealed bytes", Ok(Created::Now)), ("sealed bytez", Err(Kind::Damaged))] {
        let wire = Wire::new(move |request, _| match request.method.as_str() {
            "PUT" | "HEAD" => Answer::ok(vec![("etag", "\"opaque\"".to_owned())]),
            _ if request.target.contains("list-type") => Answer::listing(&[("p/data_1", there.len() as u64, "opaque")]),
            _ => Answer::Say { status: 206, headers: vec![], body: there.to_owned() },
        });
        assert_eq!(create(&store(&wire, abilities, throttle(None))).map_err(|e| e.kind()), outcome);
        assert_eq!(methods(&wire), ["PUT", "LIST", "HEAD", "GET"]);
    }
}

#[test]
fn a_server_that_refuses_a_header_is_met_with_the_next_best_proof_and_remembered() {
    for header in ["if-none-match", "x-amz-checksum-sha256"] {
        let wire = Wire::new(move |request, _| match request.method.as_str() {
            "PUT" if request.headers.contains_key(header) => {
                Answer::error(501, "NotImplemented", &format!("A header you provided is not implemented: {header}"))
            }
            "PUT" => Answer::ok(vec![("etag", format!("\"{}\"", md5(BYTES)))]),
            _ => Answer::listing(&[]),
        });
        let first = store(&wire, Abilities::default(), throttle(None));
        assert_eq!(create(&first).unwrap(), Created::Now, "{header}");
        let before = wire.heard().len();
        let again = store(&wire, first.abilities(), throttle(None));
        assert_eq!(create(&again).unwrap(), Created::Now, "{header}");
        let refused = wire.heard()[before..].iter().filter(|r| r.headers.contains_key(header)).count();
        assert_eq!(refused, 0, "{header} is sent again: {:?}", first.abilities());
    }
}

#[test]
fn a_server_that_overwrites_silently_is_found_out_and_never_overwritten() {
    let wire = Wire::new(|request, before| match request.method.as_str() {
        "PUT" => kept(),
        _ if before == 0 => Answer::listing(&[]),
        _ => Answer::listing(&[("p/data_1", BYTES.len() as u64, &md5(b"other bytes!"))]),
    });
    let store = store(&wire, Abilities::default(), throttle(None));
    assert_eq!(create(&store).unwrap(), Created::Now);
    assert_eq!(store.abilities().conditional_create, Ability::No);
    assert_eq!(methods(&wire), ["LIST", "PUT", "PUT"], "looked, created, and tried once whether it refuses");
    assert_eq!(create(&store).unwrap_err().kind(), Kind::Damaged);
    assert_eq!(methods(&wire)[3..], ["LIST"]);
}

#[test]
fn a_body_cut_while_reading_is_passing_trouble_and_a_short_object_is_damage() {
    let wire = Wire::new(|_, before| match before {
        0 => Answer::HangUp,
        _ => Answer::Say { status: 206, headers: vec![], body: "short".to_owned() },
    });
    let store = store(&wire, aws(), throttle(None));
    let read = || store.read(&object().name, Some(0..12), &Stop::new()).unwrap_err().kind();
    assert_eq!(read(), Kind::Retry);
    assert_eq!(read(), Kind::Damaged);
}

#[test]
fn a_stop_ends_a_body_that_trickles_and_nothing_is_created() {
    let wire = Wire::new(|_, _| kept());
    let slow = store(&wire, aws(), throttle(Some(100)));
    let bytes = vec![7; 100_000];
    let large = NewObject {
        size: 100_000,
        sha256: Sha256(sha2::Sha256::digest(&bytes).into()),
        body: Body::Bytes(bytes),
        ..object()
    };
    let stop = Stop::new();
    let ended = std::thread::scope(|s| {
        let creating = s.spawn(|| slow.create(&large, &stop));
        stop.wait(Duration::from_millis(100));
        stop.ask();
        creating.join().unwrap()
    });
    assert_eq!(ended.unwrap_err().kind(), Kind::Stopping);
    assert!(wire.heard().is_empty());
}

fn trickling(size: usize) -> NewObject {
    let bytes = vec![7; size];
    NewObject {
        size: size as u64,
        sha256: Sha256(sha2::Sha256::digest(&bytes).into()),
        body: Body::Bytes(bytes),
        ..object()
    }
}

/// Until so many bytes went out.
fn gone(throttle: &Throttle, bytes: u64) {
    while throttle.wire_bytes().up < bytes {
        Stop::new().wait(Duration::from_millis(5));
    }
}

#[test]
fn when_sending_is_shut_a_long_object_is_given_up_and_its_bytes_count() {
    let wire = Wire::new(|_, _| kept());
    let throttle = throttle(Some(20_000));
    let slow = store(&wire, aws(), throttle.clone());
    let ended = std::thread::scope(|s| {
        let creating = s.spawn(|| slow.create(&trickling(5_000_000), &Stop::new()));
        gone(&throttle, 4000);
        throttle.shut();
        creating.join().unwrap()
    });
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), Kind::Retry);
    assert!(error.to_string().contains("the window closed; it is sent again"), "{error}");
    assert!(wire.heard().is_empty() && throttle.wire_bytes().up >= 4000);
}

#[test]
fn when_sending_is_shut_an_object_that_is_nearly_done_ends() {
    let bytes = vec![7; 30_000];
    let (tag, sum) = (format!("\"{}\"", md5(&bytes)), base64_sum(&bytes));
    let wire = Wire::new(move |_, _| Answer::ok(vec![("etag", tag.clone()), ("x-amz-checksum-sha256", sum.clone())]));
    let throttle = throttle(Some(20_000));
    let slow = store(&wire, aws(), throttle.clone());
    let ended = std::thread::scope(|s| {
        let creating = s.spawn(|| slow.create(&trickling(30_000), &Stop::new()));
        gone(&throttle, 4000);
        throttle.shut();
        creating.join().unwrap()
    });
    assert_eq!(ended.unwrap(), Created::Now);
}

#[test]
fn in_a_pause_an_object_stands_still_and_questions_are_answered() {
    let (wire, other) = (Wire::new(|_, _| kept()), Wire::new(|_, _| Answer::listing(&[])));
    let throttle = throttle(Some(50_000));
    let slow = store(&wire, aws(), throttle.clone());
    let asks = store(&other, aws(), throttle.clone());
    let stop = Stop::new();
    let ended = std::thread::scope(|s| {
        let creating = s.spawn(|| slow.create(&trickling(5_000_000), &stop));
        gone(&throttle, 4000);
        throttle.pause();
        let listed = asks.list("data_", &mut |_| Ok(()));
        stop.ask();
        listed.unwrap();
        creating.join().unwrap()
    });
    assert_eq!(ended.unwrap_err().kind(), Kind::Stopping);
    assert_eq!((methods(&wire).len(), methods(&other)), (0, vec!["LIST".to_owned()]));
}

// --- cold storage ------------------------------------------------------------------------------------------------

/// A listing of archived packs; `status` goes into each of them.
fn archived(objects: &[(&str, &str)]) -> Answer {
    let contents = objects.iter().fold(String::new(), |all, (name, status)| {
        all + &format!(
            "<Contents><Key>p/{name}</Key><Size>12</Size><StorageClass>DEEP_ARCHIVE</StorageClass>{status}</Contents>"
        )
    });
    let body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    );
    Answer::Say { status: 200, headers: vec![("content-type", "application/xml".to_owned())], body }
}

const UNDERWAY: &str = "<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus>";
const THAWED: &str = "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>\
    <RestoreExpiryDate>2012-12-21T00:00:00.000Z</RestoreExpiryDate></RestoreStatus>";
const UNTIL: Option<Wall> = Some(Wall(1_356_048_000_000));

fn listed(store: &S3Store) -> Vec<Option<Access>> {
    let mut found = vec![];
    let mut each = |info: ObjectInfo| -> Result<()> {
        found.push(info.access);
        Ok(())
    };
    store.list("data_", &mut each).unwrap();
    found
}

#[test]
fn a_listing_asks_for_thaws_and_believes_silence_only_from_a_server_that_has_spoken() {
    let wire = Wire::new(|_, before| match before {
        1 => archived(&[("data_1", UNDERWAY), ("data_2", THAWED), ("data_3", "")]),
        _ => archived(&[("data_1", "")]),
    });
    let store = store(&wire, aws(), throttle(None));
    assert_eq!(listed(&store), [None], "nothing is made up");
    let told = [Access::Thawing, Access::Thawed { until: UNTIL }, Access::Frozen].map(Some);
    assert_eq!(listed(&store), told);
    assert_eq!(store.abilities().thaw_in_list, Ability::Yes);
    assert_eq!(listed(&store), [Some(Access::Frozen)]);
    for request in wire.heard() {
        assert_eq!(request.headers["x-amz-optional-object-attributes"], "RestoreStatus");
    }
    store.list("meta_", &mut |_| Ok(())).unwrap();
    assert!(!wire.heard().last().unwrap().headers.contains_key("x-amz-optional-object-attributes"));
}

#[test]
fn a_server_that_refuses_to_list_thaws_is_asked_once_and_remembered() {
    let wire = Wire::new(|request, _| {
        if request.headers.contains_key("x-amz-optional-object-attributes") {
            return Answer::error(501, "NotImplemented", "A header you provided is not implemented");
        }
        archived(&[("data_1", "")])
    });
    let first = store(&wire, aws(), throttle(None));
    assert_eq!(listed(&first), [None]);
    assert_eq!(first.abilities().thaw_in_list, Ability::No);
    assert_eq!(listed(&store(&wire, first.abilities(), throttle(None))), [None]);
    assert_eq!(methods(&wire), ["LIST", "LIST", "LIST"]);
}

#[test]
fn a_look_tells_whether_an_object_can_be_read_and_until_when() {
    let cold = ("x-amz-storage-class", "GLACIER".to_owned());
    let restore = |text: &str| ("x-amz-restore", text.to_owned());
    let thawed = "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\"";
    for (headers, access) in [
        (vec![], Access::Warm),
        (vec![("x-amz-storage-class", "GLACIER_IR".to_owned())], Access::Warm),
        (vec![cold.clone()], Access::Frozen),
        (vec![("x-amz-archive-status", "ARCHIVE_ACCESS".to_owned())], Access::Frozen),
        (vec![cold.clone(), restore("ongoing-request=\"true\"")], Access::Thawing),
        (vec![cold, restore(thawed)], Access::Thawed { until: UNTIL }),
    ] {
        let wire = Wire::new(move |_, _| Answer::ok(headers.clone()));
        let store = store(&wire, aws(), throttle(None));
        assert_eq!(store.head(&object().name).unwrap().unwrap().access, Some(access));
    }
}

#[test]
fn a_thaw_is_one_request_and_every_answer_of_aws_is_understood() {
    for (status, code, words, speed, thaw) in [
        (202, "", "", Speed::Bulk, Thaw::Asked),
        (200, "", "", Speed::Bulk, Thaw::Ready),
        (409, "RestoreAlreadyInProgress", "Object restore is already in progress", Speed::Bulk, Thaw::Underway),
        (403, "ObjectAlreadyInActiveTierError", "not allowed against this storage tier", Speed::Bulk, Thaw::Ready),
        (
            403,
            "InvalidObjectState",
            "Restore is not allowed for the object's current storage class",
            Speed::Bulk,
            Thaw::Ready,
        ),
        (503, "GlacierExpeditedRetrievalNotAvailable", "try again later", Speed::Expedited, Thaw::NotAtThisSpeed),
        (400, "InvalidArgument", "Expedited is not available", Speed::Expedited, Thaw::NotAtThisSpeed),
    ] {
        let wire = Wire::new(move |_, _| match code {
            "" => Answer::Say { status, headers: vec![], body: String::new() },
            _ => Answer::error(status, code, words),
        });
        let store = store(&wire, aws(), throttle(None));
        assert_eq!(store.thaw(&object().name, speed, 3).unwrap(), thaw, "{status} {code}");
        let heard = wire.heard();
        assert_eq!(heard.iter().filter(|r| r.method == "POST").count(), 1, "{code}");
        assert_eq!(heard[0].method, "POST", "{code}");
        assert!(heard[0].target.starts_with("/box/p/data_1?restore"), "{}", heard[0].target);
        let body = String::from_utf8_lossy(&heard[0].body);
        let tier = if speed == Speed::Bulk { "<Tier>Bulk</Tier>" } else { "<Tier>Expedited</Tier>" };
        assert!(body.contains("<Days>3</Days>") && body.contains(tier), "{body}");
    }
    for (status, code, kind) in
        [(503, "SlowDown", Kind::Retry), (403, "AccessDenied", Kind::Operator), (404, "NoSuchKey", Kind::Damaged)]
    {
        let wire = Wire::new(move |_, _| Answer::error(status, code, "no"));
        let error = store(&wire, aws(), throttle(None)).thaw(&object().name, Speed::Bulk, 3).unwrap_err();
        assert_eq!(error.kind(), kind, "{code}: {error}");
    }
}

/// Its archives give no copy that goes again, and refuse to hear of days; how, is not written anywhere.
#[test]
fn a_thaw_from_an_archive_of_the_tiering_class_asks_for_no_days() {
    for (status, code) in [(400, "InvalidArgument"), (400, "MalformedXML"), (403, "InvalidObjectState")] {
        let wire = Wire::new(move |request, _| match request.method.as_str() {
            "HEAD" => Answer::ok(vec![
                ("x-amz-storage-class", "INTELLIGENT_TIERING".to_owned()),
                ("x-amz-archive-status", "DEEP_ARCHIVE_ACCESS".to_owned()),
            ]),
            _ if String::from_utf8_lossy(&request.body).contains("<Days>") => {
                Answer::error(status, code, "Days must not be given for S3 Intelligent-Tiering")
            }
            _ => Answer::ok(vec![]).with_status(202),
        });
        let store = store(&wire, aws(), throttle(None));
        assert_eq!(store.thaw(&object().name, Speed::Bulk, 3).unwrap(), Thaw::Asked, "{code}");
        assert_eq!(methods(&wire), ["POST", "HEAD", "POST"], "{code}");
        assert!(String::from_utf8_lossy(&wire.heard()[2].body).contains("<Tier>Bulk</Tier>"));
    }
}

#[test]
fn a_copy_that_expired_half_way_is_told_from_every_other_refusal() {
    let wire = Wire::new(|_, before| match before {
        0 => Answer::Say { status: 206, headers: vec![], body: "sealed bytes".to_owned() },
        1 => Answer::error(403, "InvalidObjectState", "The operation is not valid for the object's storage class"),
        _ => Answer::error(403, "AccessDenied", "no"),
    });
    let store = store(&wire, aws(), throttle(None));
    let read = || store.read(&object().name, Some(0..12), &Stop::new());
    assert_eq!(read().unwrap(), BYTES);
    let gone = read().unwrap_err();
    assert!(is_frozen(&gone) && gone.kind() == Kind::Operator, "{gone}");
    assert!(!is_frozen(&read().unwrap_err()));
}

// --- the trial of a bucket, and its rules ----------------------------------------------------------------------------

fn rules_of(xml: &'static str) -> Vec<panicroom::store::rules::Rule> {
    let wire = Wire::new(move |_, _| Answer::Say {
        status: 200,
        headers: vec![("content-type", "application/xml".to_owned())],
        body: format!("<?xml version=\"1.0\"?><LifecycleConfiguration>{xml}</LifecycleConfiguration>"),
    });
    store(&wire, aws(), throttle(None)).rules().unwrap()
}

#[test]
fn rules_are_read_in_every_form_that_aws_writes_them() {
    use panicroom::store::rules::Effect;
    let rules = rules_of(
        "<Rule><ID>old</ID><Prefix>a/</Prefix><Status>Enabled</Status><Expiration><Date>2030-01-01T00:00:00Z</Date>\
         </Expiration></Rule>\
         <Rule><ID>and</ID><Filter><And><Prefix>b/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>\
         <ObjectSizeGreaterThan>500</ObjectSizeGreaterThan></And></Filter><Status>Disabled</Status>\
         <Transition><Days>0</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition></Rule>\
         <Rule><Filter/><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>\
         </Expiration><NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays></NoncurrentVersionExpiration>\
         <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>\
         </Rule>",
    );
    assert_eq!(
        (rules[0].prefix.as_str(), &rules[0].effects[..], rules[0].enabled),
        ("a/", &[Effect::Expires][..], true)
    );
    assert_eq!((rules[1].prefix.as_str(), rules[1].tagged, rules[1].larger_than), ("b/", true, Some(500)));
    assert_eq!((rules[1].enabled, &rules[1].effects[..]), (false, &[Effect::Moves("DEEP_ARCHIVE".into())][..]));
    assert_eq!(rules[2].effects, [Effect::DropsMarkers, Effect::ExpiresOld(9), Effect::EndsUploads]);
}

#[test]
fn a_bucket_without_rules_has_none_and_one_that_keeps_them_to_itself_says_so() {
    let wire = Wire::new(|_, _| Answer::error(404, "NoSuchLifecycleConfiguration", "none"));
    assert_eq!(store(&wire, aws(), throttle(None)).rules().unwrap(), []);
    let wire = Wire::new(|_, _| Answer::error(403, "AccessDenied", "no"));
    assert_eq!(store(&wire, aws(), throttle(None)).rules().unwrap_err().kind(), Kind::Operator);
}

#[test]
fn a_trial_never_touches_an_object_that_is_not_its_own_and_a_denial_is_a_pass() {
    use panicroom::store::finding::Verdict;
    let body = b"a trial of 'panicroom doctor', number 77; it may be deleted\n";
    let wire = Wire::new(move |request, _| {
        let own = request.target.contains("_probe_77") || request.target.contains("prefix=p%2F");
        let create_only = request.headers.contains_key("if-none-match");
        match request.method.as_str() {
            "PUT" | "DELETE" if !own => Answer::error(500, "InternalError", "this object is none of the trial's"),
            "PUT" if create_only && request.body == body && !request.target.contains("_sum") => {
                Answer::ok(vec![("etag", format!("\"{}\"", md5(body))), ("x-amz-checksum-sha256", base64_sum(body))])
            }
            "PUT" if request.target.contains("_sum") => Answer::error(400, "BadDigest", "not these bytes"),
            "PUT" if create_only => Answer::error(412, "PreconditionFailed", "it exists"),
            "PUT" | "DELETE" => Answer::error(403, "AccessDenied", "no"),
            "HEAD" => Answer::ok(vec![("x-amz-checksum-sha256", base64_sum(body))]),
            "GET" if request.target.contains("list-type") => Answer::listing(&[]),
            "GET" if request.target.contains("lifecycle") => Answer::error(403, "AccessDenied", "no"),
            "GET" if request.target.contains("versioning") => Answer::error(403, "AccessDenied", "no"),
            _ => Answer::Say { status: 200, headers: vec![], body: String::from_utf8(body.to_vec()).unwrap() },
        }
    });
    let store = store(&wire, aws(), throttle(None));
    let trial = panicroom::store::s3::probe::prove(&store, "77", &*SystemClock::shared());
    let verdict = |check: &str| {
        let found = trial.findings.iter().find(|f| f.check == check);
        found.unwrap_or_else(|| panic!("no {check} in {trial:#?}")).verdict
    };
    for check in
        ["create", "read", "checksum", "wrong checksum", "create only", "cut upload", "no overwrite", "no delete"]
    {
        assert_eq!(verdict(check), Verdict::Passed, "{check}: {trial:#?}");
    }
    assert_eq!(verdict("bucket rules"), Verdict::Note);
    let changes: Vec<String> =
        wire.heard().into_iter().filter(|r| r.method != "GET" && r.method != "HEAD").map(|r| r.target).collect();
    assert!(changes.iter().all(|target| target.contains("_probe_77") && !target.contains("lifecycle")), "{changes:?}");
    assert_eq!(trial.left, ["p/meta_probe_77", "p/data_probe_77"]);
}

/// What ends a worker's rest when the line is back: no request is made for it, so it costs nothing.
#[test]
fn whether_a_server_can_be_reached_is_found_without_a_request() {
    let there = Wire::new(|_, _| Answer::error(503, "SlowDown", "not now"));
    let open = store(&there, aws(), throttle(None));
    assert!(open.is_reachable(), "it answers the door whatever it says");
    assert!(there.heard().is_empty());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let mut gone = Wire::new(|_, _| Answer::error(503, "SlowDown", "not now"));
    gone.endpoint = endpoint;
    assert!(!store(&gone, aws(), throttle(None)).is_reachable());
}
