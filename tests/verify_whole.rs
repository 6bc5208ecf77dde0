//! `verify` as people meet it: the real program, a folder vault, packs that go and rot; and buckets on real servers.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;
#[path = "support/portable.rs"]
mod portable;
#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod tree;

use machine::{Machine, Ran, noise};
use portable::assert_same;
use serde_json::Value;
use servers::Server;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A vault of five packs, one of each pass: the ten files of the machine, then one large file each.
fn five_packs() -> Machine {
    let machine = Machine::new();
    machine.backup().exits(0);
    for n in 0..4_u64 {
        fs::write(machine.data().join(format!("large{n}")), noise(n, 300_000)).unwrap();
        machine.backup().exits(0);
    }
    assert_eq!(packs(&machine).len(), 5);
    machine
}

/// Packs by when they were written.
fn packs(machine: &Machine) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(machine.vault())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("data_"))
        .collect();
    found.sort_by_key(|p| fs::metadata(p).unwrap().modified().unwrap());
    found
}

fn name(path: &std::path::Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn flip(path: &std::path::Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Restores everything and compares.
fn check_restore(machine: &Machine, to: &str) {
    machine.run(&["restore", "--key-file", "words", "--to", to]).exits(0);
    let back = machine.path(to).join(machine.data().strip_prefix("/").unwrap());
    assert_same(&back, &machine.data());
}

#[test]
fn the_daemon_heals_a_pack_that_went_and_one_that_rotted() {
    let machine = five_packs();
    let mut daemon = machine.daemon();
    daemon.until_safe(14);
    machine.run(&["verify"]).exits(0).says("sound").says("proves that every object");
    let gone = packs(&machine)[1].clone();
    fs::remove_file(&gone).unwrap();
    machine.run(&["verify"]).exits(1).says("missing").says(&name(&gone)).says("is read again and sent anew");
    daemon.until_safe(14);
    machine.run(&["verify"]).exits(0);
    let rotten = packs(&machine)[0].clone();
    flip(&rotten);
    machine.run(&["verify"]).exits(0).says("does not prove that its bytes");
    let ran = machine.run(&["verify", "--level", "read", "--json"]).exits(1).json();
    let told = &ran["vaults"][0];
    assert_eq!(
        (&told["sound"], &told["needs_owner"], &told["healed_packs"]),
        (&false.into(), &false.into(), &1.into())
    );
    assert_eq!(told["defects"][0]["name"], name(&rotten));
    let status = daemon.until_safe(14);
    machine.run(&["verify", "--level", "read"]).exits(0).says("proves that the bytes read");
    let said: Vec<&str> = status["events"].as_array().unwrap().iter().filter_map(|e| e["text"].as_str()).collect();
    assert!(said.iter().any(|t| t.contains("healed")), "{said:?}");
    let requests = &status["vaults"][0]["requests"];
    assert!(requests["list"].as_u64() > Some(2), "{requests}");
    drop(daemon);
    check_restore(&machine, "out");
    assert!(rotten.exists(), "nothing is deleted");
}

#[test]
fn promise_10_an_emptied_vault_waits_for_a_word_and_promise_3_nothing_of_it_is_called_safe() {
    let machine = five_packs();
    let mut daemon = machine.daemon();
    daemon.until_safe(14);
    for pack in packs(&machine) {
        fs::remove_file(pack).unwrap();
    }
    machine.run(&["verify"]).exits(4).says("5 packs").says("verify --heal");
    let status = daemon.until("attention", |s| s["state"] == "attention");
    assert_eq!((&status["roots"][0]["safe_files"], &status["mood"]), (&0.into(), &"alarm".into()), "{status:#}");
    assert_eq!(status["vaults"][0]["verify"]["waiting_packs"], 5);
    assert!(status["headline"].as_str().unwrap().contains("5 packs"), "{status:#}");
    machine.run(&["status"]).exits(1).says("5 packs");
    let file = machine.data().join("sub/file1").display().to_string();
    machine.run(&["explain", &file]).exits(0).says("not safe: a pack it needs is missing or damaged");
    assert_eq!(packs(&machine).len(), 0, "nothing was sent again");
    machine.run(&["verify", "--heal"]).exits(1).says("sent anew");
    daemon.until_safe(14);
    machine.run(&["verify"]).exits(0);
    drop(daemon);
    check_restore(&machine, "out");
}

#[test]
fn promise_10_nothing_is_written_to_a_vault_that_stops_being_one_until_it_is_back() {
    let machine = five_packs();
    let mut daemon = machine.daemon();
    daemon.until_safe(14);
    let (file, aside) = (machine.vault().join("meta_vault"), machine.path("meta_vault"));
    fs::rename(&file, &aside).unwrap();
    machine.run(&["verify"]).exits(4).says("no meta_vault");
    daemon.until("attention", |s| s["state"] == "attention");
    let before = machine.objects();
    fs::write(machine.data().join("new"), noise(77, 5000)).unwrap();
    // The events come, and nothing follows from them.
    daemon.until("the change to be noticed", |s| s["roots"][0]["dirty"].as_u64() > Some(0));
    panicroom::worker::Stop::new().wait(std::time::Duration::from_secs(2));
    assert_eq!(machine.objects(), before);
    assert_eq!(daemon.status()["vaults"][0]["verify"]["defects"], 0, "nothing is called lost");
    fs::rename(&aside, &file).unwrap();
    machine.run(&["verify"]).exits(0);
    daemon.until_safe(15);
}

#[test]
fn what_cannot_be_healed_is_named_file_by_file_until_it_is_acknowledged() {
    let machine = five_packs();
    let gone = machine.data().join("large2");
    fs::remove_file(&gone).unwrap();
    machine.backup().exits(0);
    fs::remove_file(&packs(&machine)[3]).unwrap();
    // Without a daemon: it is written down, and the next pass heals what it can.
    machine.run(&["verify"]).exits(1).says("missing");
    machine.backup().exits(0);
    let path = gone.display().to_string();
    machine.run(&["verify"]).exits(4).says("cannot be brought back").says(&path);
    let mut daemon = machine.daemon();
    let status = daemon.until("what is lost", |s| s["lost"][0]["path"] == path.as_str());
    assert_eq!(status["lost"][0]["latest"], false);
    daemon.until("attention", |s| s["state"] == "attention" && s["mood"] == "alarm");
    machine.run(&["explain", &path]).exits(0).says("cannot be brought back");
    machine.run(&["verify", "--acknowledge"]).exits(0).says(&path);
    daemon.until_safe(13);
    let status = daemon.status();
    assert_eq!(
        (&status["lost"][0]["path"], &status["mood"]),
        (&path.as_str().into(), &"warning".into()),
        "still named"
    );
}

#[test]
fn a_vault_alone_is_looked_at_with_its_address_and_the_words_and_nothing_is_written() {
    let machine = five_packs();
    let url = format!("file://{}", machine.vault().display());
    let alone = |more: &[&str]| {
        let mut line = vec!["verify", "--vault", &url, "--key-file", "words"];
        line.extend(more);
        machine.run(&line)
    };
    fs::write(machine.vault().join("holiday.jpg"), "not ours").unwrap();
    alone(&[]).exits(0).says("not ours and left alone: 1 object");
    alone(&["--level", "read"]).exits(0).says("the words open every chunk");
    alone(&["--heal"]).exits(2);
    let all = packs(&machine);
    flip(&all[2]);
    fs::remove_file(&all[4]).unwrap();
    let before = machine.objects();
    alone(&[]).exits(1).says("missing");
    alone(&["--level", "read"]).exits(1).says("missing").says("other bytes");
    assert_eq!(machine.objects(), before);
    machine.run(&["verify", "--level", "checksum"]).exits(1).says("keeps no checksum").says("missing");
}

#[test]
fn the_timetable_looks_by_itself_and_its_runs_outlive_a_restart() {
    let machine = five_packs();
    let mut daemon = machine.daemon();
    let looked = |s: &Value| {
        let verify = &s["vaults"][0]["verify"];
        verify["inventory"]["looked"].as_u64() > Some(5) && verify["read"]["looked"] == 1
    };
    let status = daemon.until("an inventory and the first day's share of reading", looked);
    let verify = &status["vaults"][0]["verify"];
    assert_eq!((&verify["read"]["never"], &verify["checksum"]), (&4.into(), &Value::Null), "{verify:#}");
    assert!(verify["inventory"]["next"].as_str() > verify["inventory"]["at"].as_str());
    let at = verify["inventory"]["at"].clone();
    daemon.stop();
    let mut daemon = machine.daemon();
    let status = daemon.until_safe(14);
    assert_eq!(status["vaults"][0]["verify"]["inventory"]["at"], at, "not due again");
    drop(daemon);
    machine.configure("[verify]\ninventory = \"off\"\nread = \"off\"\n");
    let mut daemon = machine.daemon();
    let status = daemon.until_safe(14);
    assert_eq!(status["vaults"][0]["verify"]["inventory"]["next"], Value::Null);
}

/// The program on a machine that keeps its vault on a server.
struct Cloud {
    machine: Machine,
    server: Server,
    url: String,
}

impl Cloud {
    fn new(server: Server, class: &str) -> Self {
        server.make_bucket("box");
        let machine = Machine::bare();
        let url = format!("s3://box/v?{class}{}", server.query());
        let config = fs::read_to_string(machine.config()).unwrap();
        let folder = format!("url = \"file://{}\"", machine.vault().display());
        let bucket =
            format!("url = \"{url}\"\ngather = \"0s\"\ncredentials_file = \"{}\"", server.credentials().display());
        fs::write(machine.config(), config.replace(&folder, &bucket)).unwrap();
        let cloud = Self { machine, server, url };
        cloud.run(&["init", "--words-file", "words"]).exits(0);
        for n in 0..4_u64 {
            fs::write(cloud.machine.data().join(format!("large{n}")), noise(n, 200_000)).unwrap();
            cloud.run(&["backup"]).exits(0);
        }
        cloud
    }
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
        command.stdin(Stdio::null()).current_dir(self.machine.path(""));
        command.env("HOME", self.machine.path("home")).env("XDG_CACHE_HOME", self.machine.path("cache"));
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_SHARED_CREDENTIALS_FILE", self.server.credentials());
        command.arg("--config").arg(self.machine.config()).args(arguments);
        command.output().unwrap().into()
    }
    fn boto3(&self, lines: &str) -> String {
        self.server.boto3(&format!(
            "keys = [o['Key'] for o in s3.list_objects_v2(Bucket='box', Prefix='v/data_')['Contents']]\n{lines}"
        ))
    }
}

#[test]
fn seaweedfs_is_verified_by_listing_by_its_checksums_and_by_reading() {
    let Some(server) = Server::seaweedfs() else { return };
    let cloud = Cloud::new(server, "");
    cloud.run(&["verify"]).exits(0);
    let told = cloud.run(&["verify", "--level", "checksum", "--json"]).exits(0).json();
    let result = &told["vaults"][0]["result"];
    // Of what is only a few hundred bytes long SeaweedFS may keep none.
    assert!(result["looked"].as_u64() >= Some(3), "{told:#}");
    cloud.run(&["verify", "--level", "read", "--vault", &cloud.url, "--key-file", "words"]).exits(0);
    // Somebody puts other bytes of the same length over a pack, and takes another away.
    cloud.boto3("k = max(keys, key=lambda k: s3.head_object(Bucket='box', Key=k)['ContentLength'])\nn = s3.head_object(Bucket='box', Key=k)['ContentLength']\ns3.put_object(Bucket='box', Key=k, Body=b'x' * n, ChecksumAlgorithm='SHA256')");
    cloud.run(&["verify", "--level", "checksum"]).exits(1).says("other bytes").says("sent anew");
    cloud.boto3("k = min(keys, key=lambda k: s3.head_object(Bucket='box', Key=k)['ContentLength'])\ns3.delete_object(Bucket='box', Key=k)");
    cloud.run(&["verify"]).exits(1).says("missing");
    cloud.run(&["backup"]).exits(0).says("14 files");
    cloud.run(&["verify"]).exits(0);
    cloud.run(&["verify", "--level", "checksum", "--all"]).exits(0);
    cloud.run(&["restore", "--key-file", "words", "--to", "out"]).exits(0);
    let back = cloud.machine.path("out").join(cloud.machine.data().strip_prefix("/").unwrap());
    assert_same(&back, &cloud.machine.data());
}

#[test]
fn promise_6_a_vault_in_deep_archive_is_verified_without_a_thaw_and_without_a_read() {
    let Some(server) = Server::moto() else { return };
    let cloud = Cloud::new(server, "class=DEEP_ARCHIVE&");
    cloud.run(&["verify"]).exits(0);
    cloud.run(&["verify", "--level", "checksum"]).exits(0);
    // What could not be looked at is no success.
    let told = cloud.run(&["verify", "--level", "read", "--all", "--json"]).exits(1).json();
    let result = &told["vaults"][0]["result"];
    assert_eq!((&result["looked"], &result["not_looked"]), (&0.into(), &4.into()), "{told:#}");
    assert!(result["note"].as_str().unwrap().contains("frozen"), "{told:#}");
    assert_eq!(cloud.boto3("print(any(s3.head_object(Bucket='box', Key=k).get('Restore') for k in keys))"), "False");
    cloud.boto3("s3.delete_object(Bucket='box', Key=keys[0])");
    cloud.run(&["verify"]).exits(1).says("missing");
    cloud.run(&["backup"]).exits(0);
    cloud.run(&["verify"]).exits(0);
    // The trap that ruins a vault after a month.
    cloud.boto3("for o in s3.list_objects_v2(Bucket='box', Prefix='v/meta_log_')['Contents'][:1]:\n  b = s3.get_object(Bucket='box', Key=o['Key'])['Body'].read()\n  s3.put_object(Bucket='box', Key=o['Key'], Body=b, StorageClass='DEEP_ARCHIVE')");
    cloud.run(&["verify"]).exits(4).says("in an archive class").says("lifecycle");
}
