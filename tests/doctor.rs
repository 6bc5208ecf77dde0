//! `panicroom doctor` as people meet it: the real program on folders and real servers.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;
#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;
#[path = "support/wire.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod wire;

use machine::Machine;
use serde_json::Value;
use servers::Server;
use std::fs;
use wire::{Answer, Wire};

/// A machine whose vault is a bucket of this server.
fn with_bucket(server: &Server, url: &str) -> Machine {
    let machine = Machine::bare();
    bucket_config(&machine, server, url);
    machine
}

fn bucket_config(machine: &Machine, server: &Server, url: &str) {
    let text = format!(
        "[[root]]\npath = \"{}\"\nquiet = \"0s\"\n[[vault]]\nname = \"main\"\nurl = \"s3://{url}{}{}\"\n\
         credentials_file = \"{}\"\ngather = \"0s\"\n[state]\ndir = \"{}\"\n[http]\nlisten = \"off\"\n",
        machine.data().display(),
        if url.contains('?') { "&" } else { "?" },
        server.query(),
        server.credentials().display(),
        machine.state().display()
    );
    fs::write(machine.config(), text).unwrap();
}

fn verdict(document: &Value, check: &str) -> String {
    let findings = document["vaults"][0]["findings"].as_array().unwrap();
    let found = findings.iter().find(|f| f["check"] == check);
    found.map_or_else(|| panic!("no {check} in {document:#}"), |f| f["verdict"].as_str().unwrap().to_owned())
}

fn keys(server: &Server, bucket: &str) -> String {
    server
        .boto3(&format!("print(' '.join(o['Key'] for o in s3.list_objects_v2(Bucket='{bucket}').get('Contents', [])))"))
}

#[test]
fn a_folder_is_tried_and_left_as_it_was() {
    let machine = Machine::new();
    let before = machine.objects();
    machine.run(&["doctor"]).exits(0).says("passed").says("same disk");
    let document = machine.run(&["doctor", "--vault-name", "main", "--json"]).exits(0).json();
    assert_eq!(verdict(&document, "write"), "passed");
    assert_eq!(machine.objects().len(), before.len());
    machine.run(&["doctor", "--vault-name", "other"]).exits(2).says("there are main");
    fs::remove_dir_all(machine.vault()).unwrap();
    machine.run(&["doctor"]).exits(1).says("plugged in");
}

#[test]
fn a_key_that_may_delete_fails_on_its_own_object_alone_and_what_the_server_can_is_kept() {
    let Some(server) = Server::seaweedfs() else { return };
    server.make_bucket("box");
    let machine = with_bucket(&server, "box/nas");
    machine.init();
    let before = keys(&server, "box");
    let document = machine.run(&["doctor", "--json"]).exits(1).json();
    eprintln!("{document:#}");
    for check in ["reach", "log", "create", "read", "create only", "cut upload", "wrong checksum", "bucket rules"] {
        assert_eq!(verdict(&document, check), "passed", "{check}");
    }
    assert_eq!(
        (verdict(&document, "no delete"), verdict(&document, "no overwrite")),
        ("failed".into(), "failed".into())
    );
    let after = keys(&server, "box");
    let left: Vec<&str> =
        document["vaults"][0]["left"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    for key in before.split(' ') {
        assert!(after.split(' ').any(|k| k == key), "{key} is gone");
    }
    for key in after.split(' ').filter(|key| !before.split(' ').any(|k| k == *key)) {
        assert!(left.contains(&key), "{key} was left and not named: {left:?}");
    }
    machine.run(&["backup"]).exits(0);
    assert!(machine.run(&["doctor"]).says("is kept and used").out.contains("docs/setup.md"));
}

#[test]
fn moto_is_found_out_to_believe_every_checksum_and_its_classes_are_seen() {
    let Some(server) = Server::moto() else { return };
    server.make_bucket("box");
    let machine = with_bucket(&server, "box/nas?class=DEEP_ARCHIVE");
    let document = machine.run(&["doctor", "--json"]).exits(1).json();
    assert_eq!(verdict(&document, "wrong checksum"), "failed");
    assert_eq!(verdict(&document, "class"), "passed");
    // moto lists no thaws, and the trial asks for none: nothing is known of it.
    assert_eq!(verdict(&document, "thaw status"), "note");
    let class = server.boto3(
        "print([o['StorageClass'] for o in s3.list_objects_v2(Bucket='box', Prefix='nas/data_probe_')['Contents']])",
    );
    assert_eq!(class, "['DEEP_ARCHIVE']");
    let thawed = "print([s3.head_object(Bucket='box', Key=o['Key']).get('Restore') for o in \
                  s3.list_objects_v2(Bucket='box', Prefix='nas/data_probe_')['Contents']])";
    assert_eq!(server.boto3(thawed), "[None]", "no thaw was asked for");
}

#[test]
fn versions_and_locks_are_told_with_what_follows_from_them() {
    let Some(server) = Server::moto() else { return };
    let lock = "s3.put_object_lock_configuration(Bucket='BUCKET', ObjectLockConfiguration={'ObjectLockEnabled': 'Enabled', 'Rule': \
                {'DefaultRetention': {'Mode': 'COMPLIANCE', 'Days': 30}}})";
    server.make_bucket("plain");
    server.boto3(&format!(
        "s3.create_bucket(Bucket='half', ObjectLockEnabledForBucket=True)\n\
         s3.create_bucket(Bucket='locked', ObjectLockEnabledForBucket=True)\n{}",
        lock.replace("BUCKET", "locked")
    ));
    // The key may delete all there is; of a locked object the refusal does not tell.
    for (bucket, versions, locks, delete, said) in [
        ("plain", "note", "note", None, "ends the vault"),
        ("half", "passed", "note", Some("failed"), "locks nothing by itself"),
        ("locked", "passed", "passed", Some("note"), "for 30 days, not even by its owner"),
    ] {
        let machine = with_bucket(&server, &format!("{bucket}/nas"));
        let ran = machine.run(&["doctor", "--json"]).says(said);
        let document = ran.json();
        assert_eq!(
            (verdict(&document, "versions"), verdict(&document, "object lock")),
            (versions.into(), locks.into())
        );
        if let Some(delete) = delete {
            assert_eq!(verdict(&document, "no delete of versions"), delete, "{bucket}: {document:#}");
        }
    }
}

#[test]
fn a_rule_that_would_delete_the_vault_is_named_and_stops_the_first_upload() {
    let Some(server) = Server::moto() else { return };
    server.make_bucket("box");
    let machine = with_bucket(&server, "box/nas");
    machine.init();
    let rules = |rules: &str| {
        server.boto3(&format!(
            "s3.put_bucket_lifecycle_configuration(Bucket='box', LifecycleConfiguration={{'Rules': [{rules}]}})"
        ))
    };
    rules("{'ID': 'tidy-up', 'Status': 'Enabled', 'Filter': {'Prefix': ''}, 'Expiration': {'Days': 365}}");
    machine.run(&["doctor"]).exits(1).says("'tidy-up' deletes data_*").says("take the expiration out");
    let stopped = machine.run(&["backup"]);
    assert_ne!(stopped.code, 0, "{stopped:#?}");
    stopped.says("tidy-up");
    assert!(!keys(&server, "box").contains("/data_"), "{}", keys(&server, "box"));
    rules(
        "{'ID': 'cold', 'Status': 'Enabled', 'Filter': {'Prefix': 'nas/data_'}, \
         'Transitions': [{'Days': 0, 'StorageClass': 'DEEP_ARCHIVE'}]}, \
         {'ID': 'typo', 'Status': 'Enabled', 'Filter': {'Prefix': '_data'}, 'Expiration': {'Days': 1}}",
    );
    machine.run(&["doctor"]).says("'typo'").says("no lifecycle rule deletes");
    machine.run(&["backup"]).exits(0);
    assert!(keys(&server, "box").contains("/data_"));
}

/// Before the first small object, and before the words are shown.
#[test]
fn a_vault_is_not_started_under_a_rule_that_would_delete_it_nor_where_the_rules_cannot_be_asked_for() {
    let Some(server) = Server::moto() else { return };
    server.make_bucket("box");
    server.boto3(
        "s3.put_bucket_lifecycle_configuration(Bucket='box', LifecycleConfiguration={'Rules': [{'ID': 'tidy-up', \
         'Status': 'Enabled', 'Filter': {'Prefix': ''}, 'Expiration': {'Days': 365}}]})",
    );
    let machine = with_bucket(&server, "box/nas?class=DEEP_ARCHIVE");
    let words = machine.words().display().to_string();
    let refused = machine.run(&["init", "--words-file", &words]).exits(4);
    refused.says("'tidy-up' deletes").says("take the expiration out");
    assert_eq!(keys(&server, "box"), "");
    assert!(!machine.words().exists(), "words that nothing is sealed to");
    server.boto3("s3.delete_bucket_lifecycle(Bucket='box')");
    machine.run(&["init", "--words-file", &words]).exits(0);
    assert!(keys(&server, "box").contains("nas/meta_vault"));
}

#[test]
fn rules_that_cannot_be_read_for_the_moment_are_no_leave_to_write() {
    let server = Wire::new(|request, _| match request.method.as_str() {
        "HEAD" => Answer::ok(vec![]).with_status(404),
        "GET" if request.target.contains("lifecycle") => Answer::error(503, "SlowDown", "later"),
        "GET" if request.target.contains("list-type") => Answer::listing(&[]),
        _ => Answer::ok(vec![]),
    });
    let machine = Machine::bare();
    let credentials = machine.path("credentials");
    fs::write(&credentials, "[default]\naws_access_key_id = a\naws_secret_access_key = b\n").unwrap();
    let text = format!(
        "[[root]]\npath = \"{}\"\n[[vault]]\nname = \"main\"\nurl = \"s3://box/nas?region=us-east-1&path_style=true&endpoint={}\"\n\
         credentials_file = \"{}\"\n[state]\ndir = \"{}\"\n[http]\nlisten = \"off\"\n",
        machine.data().display(),
        server.endpoint,
        credentials.display(),
        machine.state().display()
    );
    fs::write(machine.config(), text).unwrap();
    let words = machine.words().display().to_string();
    machine
        .run(&["init", "--words-file", &words])
        .exits(1)
        .says("no rule of the bucket harms the vault")
        .says("SlowDown");
    assert!(server.heard().iter().all(|r| r.method != "PUT"), "{:?}", server.heard());
    assert!(!machine.words().exists());
}
