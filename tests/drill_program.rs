//! `panicroom drill` as people meet it: the real program on a folder vault, and on moto's cold storage (that one needs
//! `PANICROOM_PYTHON`; without it the test says so and checks nothing).

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;
#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;

use machine::{Machine, Ran, patiently};
use panicroom::catalog::Catalog;
use panicroom::format::segment::Receipt;
use panicroom::model::{Proof, Verdict};
use panicroom::worker::Stop;
use serde_json::Value;
use servers::Server;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn drills(machine: &Machine) -> Vec<Receipt> {
    Catalog::look(&machine.catalog()).unwrap().drills(10).unwrap()
}

fn unpublished(machine: &Machine) -> usize {
    Catalog::look(&machine.catalog()).unwrap().unpublished_drills().unwrap().len()
}

/// Nothing but the lock lies where jobs and scratch folders were.
#[track_caller]
fn cleared_away(jobs: &Path) {
    let left: Vec<_> = fs::read_dir(jobs).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| Path::new(name).extension().is_some_and(|e| e == "lock")), "{left:?}");
}

fn with_words(machine: &Machine) -> [String; 2] {
    ["--key-file".to_owned(), machine.words().display().to_string()]
}

fn run(machine: &Machine, arguments: &[&str], words: &[String; 2]) -> Ran {
    let all: Vec<&str> = arguments.iter().copied().chain(words.iter().map(String::as_str)).collect();
    machine.run(&all)
}

#[test]
fn a_drill_proves_the_contents_with_the_words_and_the_sealed_bytes_without_and_both_are_in_the_log() {
    let machine = Machine::new();
    machine.all_safe(10);
    let words = with_words(&machine);
    let segments = machine.segments().len();
    let plan = run(&machine, &["drill", "--plan", "--json"], &words).exits(0).json();
    assert_eq!((&plan["files"], &plan["proof"]), (&10.into(), &"contents".into()), "{plan:#}");
    let told = run(&machine, &["drill", "--json"], &words).exits(0).json();
    assert_eq!(
        (&told["verdict"], &told["files"], &told["live"]),
        (&"proved".into(), &10.into(), &10.into()),
        "{told:#}"
    );
    assert_eq!((&told["failed"], &told["for_the_log"]), (&0.into(), &true.into()), "{told:#}");
    machine.run(&["drill", "--sealed"]).exits(0).says("Proved").says("'--key-file' only").says("is in the vault's log");
    let seen: Vec<_> = drills(&machine).iter().map(|r| (r.proof, r.verdict)).collect();
    assert_eq!(seen, [(Proof::Sealed, Verdict::Proved), (Proof::Contents, Verdict::Proved)]);
    assert_eq!((unpublished(&machine), machine.segments().len()), (0, segments + 2));
    cleared_away(&machine.state().join("jobs"));

    // The independent reader has nothing to say of them.
    if let Some(python) = std::env::var_os("PANICROOM_PYTHON") {
        let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rescue/panicroom-rescue.py");
        let mut list = Command::new(python);
        list.arg(reader).arg("list").arg(machine.vault()).args(&words);
        Ran::from(list.output().unwrap()).exits(0).says("file9").says_not("skipped");
    }

    // Known again on a machine that has only the vault and the words.
    fs::remove_dir_all(machine.state()).unwrap();
    run(&machine, &["rebuild"], &words).exits(0);
    assert_eq!(drills(&machine).len(), 2);
}

#[test]
fn a_flipped_byte_fails_the_drill_names_the_file_and_the_status_is_amber_until_one_succeeds() {
    let machine = Machine::new();
    machine.all_safe(10);
    let words = with_words(&machine);
    let (name, _) = machine.objects().into_iter().find(|o| o.0.starts_with("data_")).unwrap();
    let pack = machine.vault().join(&name);
    let whole = fs::read(&pack).unwrap();
    let flip = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, bytes).unwrap();
    };
    flip(200);
    run(&machine, &["drill"], &words).exits(1).says("NOT proved").says("file9").says(&name);
    machine.run(&["drill"]).exits(1).says("NOT proved").says(&name);
    assert!(drills(&machine).iter().all(|r| r.verdict == Verdict::Failed && r.damaged.len() == 1));
    let status = machine.run(&["backup", "--json"]).exits(0).json();
    let vault = &status["vaults"][0];
    assert_eq!((&vault["drill"]["ok"], &vault["drill_due"]), (&false.into(), &true.into()), "{status:#}");
    assert_ne!(status["mood"], "alarm");
    flip(0);
    fs::write(&pack, &whole).unwrap();
    run(&machine, &["drill"], &words).exits(0);
    let status = machine.run(&["backup", "--json"]).exits(0).json();
    let vault = &status["vaults"][0];
    assert_eq!((&vault["drill"]["ok"], &vault["drill_due"]), (&true.into(), &false.into()), "{status:#}");
    assert_eq!((&vault["drill"]["kind"], &vault["drill"]["files"]), (&"contents".into(), &10.into()), "{status:#}");
}

#[test]
fn a_live_file_that_changed_is_compared_with_its_record_and_one_whose_bytes_rotted_is_named() {
    let machine = Machine::new();
    machine.all_safe(10);
    let words = with_words(&machine);
    fs::write(machine.data().join("sub/file4"), "changed since").unwrap();
    fs::remove_file(machine.data().join("sub/deep/file5")).unwrap();
    let told = run(&machine, &["drill", "--json"], &words).exits(0).json();
    assert_eq!((&told["files"], &told["live"]), (&10.into(), &8.into()), "{told:#}");

    // Other bytes under the stamp the catalog knows, as a failing disk would have it: the record is set to what is there.
    let path = machine.data().join("file9");
    let mut bytes = fs::read(&path).unwrap();
    bytes[7] ^= 1;
    fs::write(&path, bytes).unwrap();
    let catalog = Catalog::open(&machine.catalog()).unwrap();
    let node = catalog.find(&panicroom::model::TreePath::from_typed(&path).unwrap()).unwrap().unwrap();
    let look = fs::metadata(&path).unwrap();
    stamped(&machine.catalog(), node.0, &look);
    drop(catalog);
    let told = run(&machine, &["drill", "--json"], &words).exits(1).json();
    let wrong = told["wrong"].as_array().unwrap();
    assert!(wrong.len() == 1 && wrong[0]["what"].as_str().unwrap().ends_with("/file9"), "{told:#}");
    assert!(wrong[0]["why"].as_str().unwrap().contains("on this machine differs"), "{told:#}");
    assert_eq!(told["damaged_packs"], Value::Array(vec![]), "the vault has it as it was");
}

/// Writes into the catalog what a captured file's stamp would be.
fn stamped(catalog: &Path, node: i64, look: &fs::Metadata) {
    use std::os::unix::fs::MetadataExt;
    let nanos = |s: i64, n: i64| s * 1_000_000_000 + n;
    let (mtime, ctime) = (nanos(look.mtime(), look.mtime_nsec()), nanos(look.ctime(), look.ctime_nsec()));
    let c = rusqlite::Connection::open(catalog).unwrap();
    c.execute(
        "UPDATE node SET mtime = ?, ctime = ?, ino = ? WHERE id = ?",
        (mtime, ctime, look.ino().cast_signed(), node),
    )
    .unwrap();
}

#[test]
fn beside_a_running_daemon_the_receipt_goes_with_its_next_segment() {
    let machine = Machine::new();
    let mut daemon = machine.daemon();
    daemon.until_safe(10);
    run(&machine, &["drill"], &with_words(&machine)).exits(0).says("running daemon takes the receipt");
    assert_eq!(drills(&machine).len(), 1);
    patiently(|| (unpublished(&machine) == 0).then_some(()), || format!("it is not published: {}", daemon.log()));
    let status = daemon.until("the drill in the status", |s| s["vaults"][0]["drill"]["ok"] == true);
    assert_eq!((&status["vaults"][0]["drill_due"], &status["vaults"][0]["drill"]["packs"]), (&false.into(), &1.into()));
    daemon.stop();
}

#[test]
fn with_the_address_and_the_words_alone_a_drill_writes_nothing_and_says_so() {
    let machine = Machine::new();
    machine.all_safe(10);
    let before = machine.objects();
    let url = format!("file://{}", machine.vault().display());
    let mut alone = Command::new(env!("CARGO_BIN_EXE_panicroom"));
    alone.args(["--config", "/nowhere/config.toml", "drill", "--vault", &url, "--key-file"]).arg(machine.words());
    alone.env("XDG_CACHE_HOME", machine.path("cache")).stdin(Stdio::null());
    Ran::from(alone.output().unwrap()).exits(0).says("10 files").says("its log does not get the receipt");
    assert_eq!(machine.objects(), before);
    assert!(drills(&machine).is_empty());

    // The same address where the machine does back up to it: the receipt is its own.
    let config = machine.config().display().to_string();
    let mut known = Command::new(env!("CARGO_BIN_EXE_panicroom"));
    known.args(["--config", &config, "drill", "--vault", &url, "--key-file"]).arg(machine.words());
    known.env("XDG_CACHE_HOME", machine.path("cache")).stdin(Stdio::null());
    Ran::from(known.output().unwrap()).exits(0).says("is in the vault's log");
    assert_eq!(drills(&machine).len(), 1);
}

#[test]
fn bounds_and_folders_that_make_no_sense_are_refused_before_anything_is_read() {
    let machine = Machine::new();
    machine.all_safe(10);
    let words = with_words(&machine);
    run(&machine, &["drill", "--budget", "0,10"], &words).exits(2).says("0.05");
    run(&machine, &["drill", "--bytes", "a lot"], &words).exits(2);
    run(&machine, &["drill", "--bytes", "100"], &words).exits(4).says("--bytes");
    run(&machine, &["drill", "--resume", "0123456789ab"], &words).exits(2).says("no such job");
    let inside = machine.data().join("sub").display().to_string();
    run(&machine, &["drill", "--scratch", &inside], &words).exits(2).says("watched folder");
    run(&machine, &["drill", "--scratch", "elsewhere"], &words).exits(0);
    assert_eq!(fs::read_dir(machine.path("elsewhere")).unwrap().count(), 0, "the scratch folder goes when it is over");
    machine.run(&["drill", "--vault-name", "none"]).exits(2).says("there are main");
    cleared_away(&machine.state().join("jobs"));
}

/// The vault of a machine in moto's DEEP_ARCHIVE.
fn in_deep_archive(server: &Server, machine: &Machine) {
    let url = format!("s3://cold/v?class=DEEP_ARCHIVE&{}", server.query());
    let config = fs::read_to_string(machine.config()).unwrap();
    let folder = format!("url = \"file://{}\"", machine.vault().display());
    let keys = format!("url = \"{url}\"\ncredentials_file = \"{}\"", server.credentials().display());
    fs::write(machine.config(), config.replace(&folder, &keys)).unwrap();
}

#[test]
fn promise_11_a_drill_of_a_deep_archive_asks_thaws_once_survives_a_kill_and_reads_nothing_frozen() {
    let Some(server) = Server::moto() else { return };
    server.make_bucket("cold");
    let mut machine = Machine::bare();
    machine.set_env("AWS_EC2_METADATA_DISABLED", "true");
    in_deep_archive(&server, &machine);
    machine.init();
    machine.all_safe(10);
    server.slow_thaws(4);
    Stop::new().wait(Duration::from_secs(5));
    let words = with_words(&machine);
    let thaws = || {
        server.boto3(
            "print(sum('Restore' in s3.head_object(Bucket='cold', Key=o['Key']) for o in \
             s3.list_objects_v2(Bucket='cold', Prefix='v/data_')['Contents']))",
        )
    };
    let plan = run(&machine, &["drill", "--plan", "--json"], &words).exits(0).json();
    assert_eq!((&plan["class"], &plan["frozen_packs"]), (&"DEEP_ARCHIVE".into(), &plan["packs"]), "{plan:#}");
    for proof in [&["drill"][..], &["drill", "--sealed"]] {
        run(&machine, proof, &words).exits(4).says("nobody is there to be asked").says("--yes");
    }
    assert_eq!(thaws(), "0", "nothing was asked for");

    let mut first = machine.command(&["drill", "--yes", "--poll", "1s"]);
    first.args(&words);
    let log = fs::File::create(machine.path("drill.log")).unwrap();
    let mut child = first.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let said = || fs::read_to_string(machine.path("drill.log")).unwrap();
    patiently(|| said().contains("waiting for").then_some(()), || format!("it does not wait: {}", said()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(thaws(), plan["packs"].to_string());

    let ran = run(&machine, &["drill", "--json"], &words).exits(0).says("going on with the drill");
    let told = ran.json();
    assert_eq!(
        (&told["verdict"], &told["files"], &told["live"]),
        (&"proved".into(), &10.into(), &10.into()),
        "{told:#}"
    );
    assert_eq!((drills(&machine).len(), unpublished(&machine)), (1, 0));
    cleared_away(&machine.state().join("jobs"));
}
