//! What goes wrong around the program, tried on the real one: each time a message with the remedy, the right exit code,
//! nothing lost, and all safe once it is mended.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;

use machine::{Machine, Mounted, NOBODY, is_root, noise, objects, packs, sent, skip};
use panicroom::format::{MAGIC, Name};
use panicroom::seal::sha256;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

// --- sources that cannot be read --------------------------------------------------------------------------------

#[test]
fn promise_12_one_unreadable_file_is_named_and_never_stops_the_rest() {
    if !is_root() {
        return skip("an unreadable file", "only root can run the program as somebody else");
    }
    let machine = Machine::of_nobody();
    let secret = machine.data().join("sub/secret");
    fs::write(&secret, "not for nobody").unwrap();
    mode(&secret, 0o600);
    let ran = machine.backup().exits(3).says("sub/secret").says("ermission denied").says("CAP_DAC_READ_SEARCH");
    assert!(ran.out.contains("10 of 11 files safe"), "{ran:#?}");
    let status = machine.run(&["backup", "--json"]).exits(3).json();
    assert_eq!(status["roots"][0]["failed"], 1);
    assert_eq!(status["mood"], "alarm");
    assert_eq!(status["failed"][0]["path"], secret.to_str().unwrap());
    chown(&secret, Some(NOBODY), None).unwrap();
    machine.all_safe(11);
}

#[test]
fn a_folder_without_permission_is_named_and_what_it_held_is_not_deleted() {
    if !is_root() {
        return skip("a folder without permission", "only root can run the program as somebody else");
    }
    let machine = Machine::of_nobody();
    let before = sent(&machine.all_safe(10));
    let folder = machine.data().join("sub/deep");
    chown(&folder, Some(0), None).unwrap();
    mode(&folder, 0o700);
    fs::write(machine.data().join("new"), "goes on").unwrap();
    machine.backup().exits(3).says("sub/deep").says("ermission denied").says("CAP_DAC_READ_SEARCH");
    chown(&folder, Some(NOBODY), None).unwrap();
    let after = machine.all_safe(11);
    // Nothing of the folder was forgotten: only the new file went up, and the log.
    assert!(sent(&after) - before < 20_000, "{before} {after:#}");
}

#[test]
fn promise_3_a_folder_that_can_be_read_again_is_walked_and_not_only_looked_at() {
    if !is_root() {
        return skip("a folder without permission", "only root can run the program as somebody else");
    }
    let machine = Machine::of_nobody();
    let folder = machine.data().join("sub/closed");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("will"), "to my heirs").unwrap();
    chown(&folder, Some(0), None).unwrap();
    mode(&folder, 0o700);
    let mut daemon = machine.daemon();
    daemon.until("the folder is named", |s| s["roots"][0]["failed"] == 1 && s["roots"][0]["safe_files"] == 10);
    chown(&folder, Some(NOBODY), None).unwrap();
    // Nobody touches what lies in it: only a walk finds that.
    daemon.until_safe(11);
}

#[test]
fn a_log_whose_newest_segment_is_gone_or_unreadable_is_written_on_after_its_number() {
    for is_gone in [true, false] {
        let machine = Machine::new();
        machine.all_safe(10);
        fs::write(machine.data().join("second"), "second").unwrap();
        machine.all_safe(11);
        let newest = machine.segments().pop().unwrap();
        let mut bytes = fs::read(&newest).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        mode(&newest, 0o600);
        if is_gone {
            fs::remove_file(&newest).unwrap();
        } else {
            fs::write(&newest, bytes).unwrap();
        }
        fs::remove_file(machine.catalog()).unwrap();
        machine.run(&["rebuild"]);
        fs::write(machine.data().join("third"), "third").unwrap();
        machine.all_safe(12);
        let url = format!("file://{}", machine.vault().display());
        let words = machine.words().display().to_string();
        let back = machine.run(&["restore", "--vault", &url, "--key-file", &words, "--to", "out"]);
        // A log of which a part cannot be read is never whole, even where nothing is lost by it.
        back.exits(if is_gone { 0 } else { 3 }).says("Restored 12 files");
        let out = machine.path("out").join(machine.data().strip_prefix("/").unwrap());
        for name in ["second", "third"] {
            assert!(out.join(name).exists(), "{name}");
        }
    }
}

#[test]
fn promise_3_a_vanished_root_is_red_and_nothing_of_it_is_taken_for_deleted() {
    let machine = Machine::new();
    let before = sent(&machine.all_safe(10));
    fs::rename(machine.data(), machine.path("elsewhere")).unwrap();
    let packed = packs(&machine.objects()).len();
    machine.backup().exits(4).says(machine.data().to_str().unwrap()).says("it is missing");
    let status = machine.run(&["backup", "--json"]).exits(4).json();
    assert_eq!((&status["mood"], &status["roots"][0]["state"]), (&"alarm".into(), &"missing".into()), "{status:#}");
    assert_eq!(status["roots"][0]["safe_files"], 0, "{status:#}");
    fs::rename(machine.path("elsewhere"), machine.data()).unwrap();
    let after = machine.all_safe(10);
    assert_eq!(packs(&machine.objects()).len(), packed);
    assert!(sent(&after) - before < 2000, "{after:#}");
}

#[test]
fn a_vanished_mount_beneath_a_root_is_an_alarm_never_a_deletion() {
    let machine = Machine::bare();
    let disk = machine.data().join("disk");
    let Some(mounted) = Mounted::tmpfs(&disk, "size=1m") else {
        return skip("a vanished mount", "mounting is not allowed here");
    };
    fs::write(disk.join("precious"), "on its own disk").unwrap();
    machine.init();
    machine.all_safe(11);
    let before = machine.segments().len();
    mounted.unmount();
    machine.backup().exits(3).says("data/disk").says("not mounted");
    // Whatever the log says now, it does not say that the file is gone.
    let status = machine.run(&["backup", "--json"]).json();
    assert_eq!((&status["mood"], &status["roots"][0]["files"]), (&"alarm".into(), &11.into()), "{status:#}");
    assert!(machine.segments().len() <= before + 1);
    let _mounted = Mounted::tmpfs(&disk, "size=1m").unwrap();
    fs::write(disk.join("precious"), "on its own disk").unwrap();
    machine.all_safe(11);
}

#[test]
fn a_vanished_mount_that_is_the_root_itself_is_an_alarm() {
    let machine = Machine::bare();
    fs::rename(machine.data(), machine.path("elsewhere")).unwrap();
    let Some(mounted) = Mounted::tmpfs(&machine.data(), "size=1m") else {
        return skip("a vanished mount", "mounting is not allowed here");
    };
    fs::write(machine.data().join("precious"), "on its own disk").unwrap();
    machine.init();
    machine.all_safe(1);
    mounted.unmount();
    machine.backup().exits(4).says("not mounted").says("mount it");
    let _mounted = Mounted::tmpfs(&machine.data(), "size=1m").unwrap();
    fs::write(machine.data().join("precious"), "on its own disk").unwrap();
    machine.all_safe(1);
}

// --- vaults that are not what they should be ---------------------------------------------------------------------

#[test]
fn promise_10_nothing_is_written_to_a_vault_of_another_id() {
    let (one, two) = (Machine::new(), Machine::new());
    one.all_safe(10);
    two.all_safe(10);
    let aside = one.path("aside");
    fs::rename(one.vault(), &aside).unwrap();
    copy(&two.vault(), &one.vault());
    fs::write(one.data().join("new"), "waits").unwrap();
    let before = one.objects();
    one.backup().exits(4).says("this machine's keys and catalog are those of vault").says("panicroom init");
    assert_eq!(one.objects(), before);
    fs::remove_dir_all(one.vault()).unwrap();
    fs::rename(&aside, one.vault()).unwrap();
    one.all_safe(11);
}

#[test]
fn promise_10_nothing_is_written_to_an_empty_vault_or_one_that_is_not_there() {
    let machine = Machine::new();
    machine.all_safe(10);
    let aside = machine.path("aside");
    fs::rename(machine.vault(), &aside).unwrap();
    fs::write(machine.data().join("new"), "waits").unwrap();
    machine.backup().exits(4).says("mounted");
    assert!(!machine.vault().exists());
    fs::create_dir(machine.vault()).unwrap();
    machine.backup().exits(4).says("there is no vault here").says("panicroom init");
    assert_eq!(machine.objects(), []);
    fs::remove_dir(machine.vault()).unwrap();
    fs::rename(&aside, machine.vault()).unwrap();
    machine.all_safe(11);
}

#[test]
fn promise_10_a_vault_put_back_to_an_older_state_is_an_alarm_and_nothing_is_written_to_it() {
    let machine = Machine::new();
    machine.all_safe(10);
    let older = machine.path("older");
    copy(&machine.vault(), &older);
    fs::write(machine.data().join("more"), "a second segment").unwrap();
    machine.all_safe(11);
    let newer = machine.path("newer");
    fs::rename(machine.vault(), &newer).unwrap();
    fs::rename(&older, machine.vault()).unwrap();
    let before = machine.objects();
    fs::write(machine.data().join("new"), "waits").unwrap();
    machine.backup().exits(4).says("behind this machine's catalog").says("put back to an older state");
    // Emptied but for the file that says whose it is.
    for segment in machine.segments() {
        fs::remove_file(segment).unwrap();
    }
    machine.backup().exits(4).says("behind this machine's catalog");
    assert!(machine.objects().len() < before.len());
    fs::remove_dir_all(machine.vault()).unwrap();
    fs::rename(&newer, machine.vault()).unwrap();
    machine.all_safe(12);
}

#[test]
fn promise_10_a_second_machine_that_writes_is_detected_and_the_first_stops() {
    let machine = Machine::new();
    machine.all_safe(10);
    // A clone of the whole machine: same keys, same catalog.
    let clone = machine.path("clone-state");
    copy(&machine.state(), &clone);
    let config = fs::read_to_string(machine.config()).unwrap();
    let second = machine.path("second.toml");
    fs::write(&second, config.replace(machine.state().to_str().unwrap(), clone.to_str().unwrap())).unwrap();
    let of_clone = |arguments: &[&str]| {
        let mut all = vec!["--config", second.to_str().unwrap()];
        all.extend(arguments);
        machine::Ran::from(std::process::Command::new(env!("CARGO_BIN_EXE_panicroom")).args(all).output().unwrap())
    };
    fs::write(machine.data().join("one"), "by the first").unwrap();
    machine.all_safe(11);
    fs::write(machine.data().join("two"), "by the second").unwrap();
    let ran = of_clone(&["backup"]);
    if ran.code == 0 {
        // It took the first for its own past and rebuilt: now the first is the stranger.
        let ran = machine.backup();
        assert_eq!(ran.code, 4, "{ran:#?}");
        ran.says("another machine or another catalog").says("panicroom rebuild");
    } else {
        assert_eq!(ran.code, 4, "{ran:#?}");
        ran.says("another machine or another catalog").says("panicroom rebuild");
        machine.all_safe(12);
    }
}

#[test]
fn promise_16_a_vault_of_a_newer_format_is_refused_with_the_remedy_and_not_written_to() {
    let machine = Machine::new();
    machine.all_safe(10);
    let meta = machine.vault().join("meta_vault");
    let sound = fs::read(&meta).unwrap();
    let mut newer = sound.clone();
    // The version follows the magic.
    newer[MAGIC.len()] = 9;
    replace(&meta, &newer);
    let before = machine.objects();
    fs::write(machine.data().join("new"), "waits").unwrap();
    machine.backup().exits(4).says("newer");
    assert_eq!(machine.objects(), before);
    replace(&meta, &sound);
    machine.all_safe(11);
}

/// Puts a segment after the last one into the vault, as a later release would write it; where it lies.
fn segment_of_a_later_release(machine: &Machine) -> PathBuf {
    let last = machine.segments().pop().unwrap();
    let Some(Name::Segment(number, _)) = Name::parse(last.file_name().unwrap().to_str().unwrap()) else {
        panic!("{} is no segment", last.display());
    };
    let mut bytes = fs::read(&last).unwrap();
    bytes[MAGIC.len()] = 9;
    let newer = machine.vault().join(Name::Segment(number.next(), sha256(&bytes)).to_string());
    fs::write(&newer, bytes).unwrap();
    newer
}

#[test]
fn promise_16_a_log_that_a_newer_release_went_on_with_stops_every_command_with_the_remedy_and_nothing_is_written() {
    let machine = Machine::new();
    machine.all_safe(10);
    let newer = segment_of_a_later_release(&machine);
    let before = machine.objects();
    fs::write(machine.data().join("new"), "waits").unwrap();
    let remedy = "use a newer release of panicroom";
    let name = newer.file_name().unwrap().to_str().unwrap();
    machine.backup().exits(4).says("format version 9").says(remedy).says(name);
    machine.run(&["rebuild"]).exits(4).says("format version 9").says(remedy).says(name);
    let mut daemon = machine.daemon();
    let said = |s: &serde_json::Value| s["vaults"][0]["last_error"].as_str().unwrap_or_default().to_owned();
    let status = daemon.until("the vault to need somebody", |s| said(s).contains(remedy));
    assert_eq!((&status["mood"], &status["vaults"][0]["state"]), (&"alarm".into(), &"attention".into()), "{status:#}");
    assert_ne!(status["roots"][0]["safe_files"], 11, "{status:#}");
    daemon.stop().exits(0);
    let (vault, out) = (format!("file://{}", machine.vault().display()), machine.path("out"));
    for command in [&["ls"][..], &["find", "*"], &["restore", "--to", out.to_str().unwrap()]] {
        let mut all = command.to_vec();
        let words = machine.words();
        all.extend(["--vault", &vault, "--key-file", words.to_str().unwrap()]);
        let ran = machine.command(&all).env("XDG_CACHE_HOME", machine.path("cache")).output().unwrap();
        let ran = machine::Ran::from(ran).exits(4).says("format version 9").says(remedy).says(name);
        assert_eq!(ran.out, "", "{command:?}: nothing is shown of what may be old");
    }
    let left: Vec<_> = fs::read_dir(&out).into_iter().flatten().map(|e| e.unwrap().file_name()).collect();
    assert!(
        left.iter().all(|name| name.to_string_lossy().starts_with(".panicroom")),
        "nothing old is restored: {left:?}"
    );
    let out = machine.path("out of the reader");
    if let Some(python) = std::env::var_os("PANICROOM_PYTHON") {
        let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rescue/panicroom-rescue.py");
        let mut call = std::process::Command::new(python);
        call.arg(reader).arg("restore").arg(machine.vault()).arg("--key-file").arg(machine.words());
        machine::Ran::from(call.arg("--to").arg(&out).output().unwrap())
            .exits(1)
            .says("use a newer release")
            .says(name);
        assert!(!out.exists(), "nothing old is restored");
    } else {
        skip("the independent reader", "name a Python with its packages in PANICROOM_PYTHON");
    }
    assert_eq!(machine.objects(), before, "nothing is written");
    // What was there is all there: with the newer release's work away, everything goes on.
    fs::remove_file(newer).unwrap();
    machine.all_safe(11);
}

#[test]
fn promise_16_an_older_release_never_goes_on_where_a_newer_one_of_the_same_machine_wrote() {
    let machine = Machine::new();
    machine.all_safe(10);
    let newer = segment_of_a_later_release(&machine);
    let Some(Name::Segment(number, hash)) = Name::parse(newer.file_name().unwrap().to_str().unwrap()) else { panic!() };
    let size = fs::metadata(&newer).unwrap().len().cast_signed();
    let catalog = rusqlite::Connection::open(machine.catalog()).unwrap();
    let copied = catalog
        .execute(
            "INSERT INTO segment SELECT ?1, ?2, ?3, state, written FROM segment WHERE number = ?1 - 1",
            (number.0.cast_signed(), &hash.0[..], size),
        )
        .unwrap();
    assert_eq!(copied, 1);
    drop(catalog);
    let before = machine.objects();
    fs::write(machine.data().join("new"), "waits").unwrap();
    machine.backup().exits(4).says("format version 9").says("use a newer release of panicroom");
    assert_eq!(machine.objects(), before, "nothing is written");
}

#[test]
fn a_version_that_rot_made_newer_is_damage_and_the_rest_of_the_log_is_used() {
    let machine = Machine::new();
    machine.all_safe(10);
    fs::write(machine.data().join("new"), "in a segment of its own").unwrap();
    machine.all_safe(11);
    let first = &machine.segments()[0];
    let mut bytes = fs::read(first).unwrap();
    bytes[MAGIC.len()] = 9;
    replace(first, &bytes);
    machine.run(&["rebuild"]).exits(0).says("not what its name says").says_not("newer release");
}

#[test]
fn a_cut_or_flipped_meta_vault_is_damage_and_nothing_is_written() {
    let machine = Machine::new();
    machine.all_safe(10);
    let meta = machine.vault().join("meta_vault");
    let sound = fs::read(&meta).unwrap();
    for broken in [&sound[..sound.len() / 2], &[][..], &b"hello"[..]] {
        replace(&meta, broken);
        let before = machine.objects();
        machine.backup().exits(4).says(machine.vault().to_str().unwrap());
        assert_eq!(machine.objects(), before);
    }
    replace(&meta, &sound);
    machine.all_safe(10);
}

#[test]
fn a_full_vault_waits_and_goes_on_once_there_is_room() {
    let machine = Machine::bare();
    let Some(_small) = Mounted::tmpfs(&machine.vault(), "size=1m,mode=700") else {
        return skip("a full vault", "mounting is not allowed here");
    };
    machine.init();
    let big: Vec<u8> = noise(0, 2 << 20);
    fs::write(machine.data().join("big"), &big).unwrap();
    machine.backup().exits(4).says("space");
    let grown = std::process::Command::new("mount").args(["-o", "remount,size=32m"]).arg(machine.vault()).status();
    assert!(grown.unwrap().success());
    machine.all_safe(11);
}

// --- state that is not what it should be -------------------------------------------------------------------------

#[test]
fn a_catalog_of_a_newer_release_is_refused_and_left_as_it_is() {
    let machine = Machine::new();
    machine.all_safe(10);
    let sql = |text: &str| {
        rusqlite::Connection::open(machine.catalog()).unwrap().execute_batch(text).unwrap();
    };
    let version: i64 = rusqlite::Connection::open(machine.catalog())
        .unwrap()
        .query_row("PRAGMA user_version", [], |r| r.get(0))
        .unwrap();
    sql("PRAGMA user_version = 4711");
    fs::write(machine.data().join("new"), "waits").unwrap();
    machine.backup().exits(4).says("newer release").says("panicroom rebuild");
    sql(&format!("PRAGMA user_version = {version}"));
    machine.all_safe(11);
}

#[test]
fn a_broken_catalog_is_moved_aside_and_rebuilt_without_sending_anything_again() {
    for (name, how) in [("no database", Break::Header), ("a torn page", Break::Middle), ("gone", Break::Gone)] {
        let machine = Machine::new();
        machine.all_safe(10);
        let packed = packs(&machine.objects()).len();
        let vault_bytes: u64 = machine.objects().iter().map(|o| o.1).sum();
        break_catalog(&machine, how);
        let ran = machine.backup();
        assert_eq!(ran.code, 0, "{name}: {ran:#?}");
        machine.all_safe(10);
        let after = machine.objects();
        assert_eq!(packs(&after).len(), packed, "{name}: data was sent again");
        let grown = after.iter().map(|o| o.1).sum::<u64>() - vault_bytes;
        assert!(grown < 3000, "{name}: {grown} bytes more in the vault");
        if how != Break::Gone {
            let kept = fs::read_dir(machine.state().join("main"))
                .unwrap()
                .any(|e| e.unwrap().file_name().to_string_lossy().starts_with("catalog.db.damaged-"));
            assert!(kept, "{name}: the broken file was not kept");
            ran.says("moved to").says("rebuilt");
        }
        fs::write(machine.data().join("new"), "goes on").unwrap();
        machine.all_safe(11);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Break {
    Header,
    Middle,
    Gone,
}

fn break_catalog(machine: &Machine, how: Break) {
    let path = machine.catalog();
    let side = |suffix: &str| Path::new(&format!("{}{suffix}", path.display())).to_owned();
    // All in one file, and not closed in order, as after a power cut.
    let c = rusqlite::Connection::open(&path).unwrap();
    c.execute_batch("DELETE FROM fact WHERE name = 'closed'; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(c);
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(side(suffix));
    }
    let mut bytes = fs::read(&path).unwrap();
    match how {
        Break::Header => bytes[..100].fill(0xAA),
        Break::Middle => {
            for page in 2..bytes.len() / 4096 {
                bytes[page * 4096..page * 4096 + 64].fill(0xAA);
            }
        }
        Break::Gone => return fs::remove_file(&path).unwrap(),
    }
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_state_folder_in_use_is_refused_and_says_who_has_it() {
    let machine = Machine::new();
    let mut daemon = machine.daemon();
    daemon.until_safe(10);
    let who = daemon.child.id().to_string();
    machine.run(&["run"]).exits(4).says(&format!("process {who}")).says("panicroom status");
    machine.init_again().exits(4).says(&who);
    // A pass beside it asks it.
    fs::write(machine.data().join("new"), "by the daemon").unwrap();
    machine.all_safe(11);
    daemon.stop().exits(0);
}

#[test]
fn a_state_folder_that_cannot_be_written_is_named_with_the_remedy() {
    if !is_root() {
        return skip("a read-only state folder", "only root can run the program as somebody else");
    }
    let machine = Machine::of_nobody();
    machine.all_safe(10);
    fs::write(machine.data().join("new"), "waits").unwrap();
    let everything = |owner: u32| {
        let status = std::process::Command::new("chown").arg("-R").arg(owner.to_string()).arg(machine.state()).status();
        assert!(status.unwrap().success());
    };
    everything(0);
    mode(&machine.state(), 0o755);
    machine.backup().exits(4).says(machine.state().to_str().unwrap()).says("writable");
    everything(NOBODY);
    machine.all_safe(11);
}

#[test]
fn a_state_folder_on_a_read_only_disk_is_named_with_the_remedy() {
    let machine = Machine::bare();
    let Some(_disk) = Mounted::tmpfs(&machine.state(), "size=32m,mode=700") else {
        return skip("a read-only disk", "mounting is not allowed here");
    };
    machine.init();
    machine.all_safe(10);
    let remount = |how: &str| {
        let done = std::process::Command::new("mount").args(["-o", how]).arg(machine.state()).status();
        assert!(done.unwrap().success());
    };
    remount("remount,ro");
    machine.backup().exits(4).says(machine.state().to_str().unwrap()).says("writable");
    remount("remount,rw");
    machine.all_safe(10);
}

#[test]
fn a_full_disk_under_the_state_folder_is_never_put_down_to_a_file() {
    let machine = Machine::bare();
    let Some(_disk) = Mounted::tmpfs(&machine.state(), "size=3m,mode=700") else {
        return skip("a full disk", "mounting is not allowed here");
    };
    machine.init();
    fs::write(machine.data().join("big"), noise(0, 8 << 20)).unwrap();
    let ran = machine.backup().exits(4).says("free space");
    assert!(!ran.out.contains("failed /"), "{ran:#?}");
    let grown = std::process::Command::new("mount").args(["-o", "remount,size=64m"]).arg(machine.state()).status();
    assert!(grown.unwrap().success());
    machine.all_safe(11);
}

// --- words of the operator ---------------------------------------------------------------------------------------

#[test]
fn mistakes_in_the_config_are_named_with_line_and_remedy() {
    let machine = Machine::new();
    for (more, says) in [
        ("[alert]\ncomand = \"x\"\n", "command"),
        ("[alert]\nlag = \"soon\"\n", "config.toml:15"),
        ("[uplink]\nlimit = \"fast\"\n", "limit"),
        ("[state\n", "TOML"),
        ("[[root]]\npath = \"relative\"\n", "absolute"),
    ] {
        machine.configure(more);
        for command in ["run", "backup", "status", "init"] {
            machine.run(&[command]).exits(2).says(says).says("config.toml");
        }
    }
    machine.configure("");
    machine.all_safe(10);
    fs::remove_file(machine.config()).unwrap();
    machine.run(&["run"]).exits(2).says("config.toml").says("panicroom quickstart");
}

#[test]
fn a_vault_without_keys_here_says_how_to_start_it() {
    let machine = Machine::bare();
    machine.backup().exits(4).says("panicroom init");
}

#[test]
fn a_second_init_never_starts_a_vault_over_another() {
    let machine = Machine::new();
    machine.all_safe(10);
    fs::remove_dir_all(machine.state()).unwrap();
    fs::remove_file(machine.words()).unwrap();
    let before = machine.objects();
    machine.init_again().exits(4).says("one is there already").says("panicroom rebuild");
    assert_eq!(machine.objects(), before);
}

#[test]
fn a_taken_port_never_stops_the_backup() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let machine = Machine::new();
    let text = fs::read_to_string(machine.config()).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fs::write(machine.config(), text.replace("\"off\"", &format!("\"{address}\""))).unwrap();
    let mut daemon = machine.daemon();
    daemon.until_safe(10);
    let log = daemon.log();
    assert!(log.contains(&address) && log.contains("the backup runs without it"), "{log}");
    daemon.stop().exits(0);
}

// --- clocks ------------------------------------------------------------------------------------------------------

#[test]
fn a_clock_in_1970_or_2036_or_going_back_loses_nothing() {
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]
        .map(|dir| format!("{dir}/faketime/libfaketimeMT.so.1"))
        .into_iter()
        .find(|path| Path::new(path).exists());
    let Some(library) = library else {
        return skip("clocks that are wrong", "libfaketime is missing (Debian package faketime)");
    };
    let mut machine = Machine::new();
    let mut files = 10;
    for when in ["1970-01-01 00:00:10", "2036-02-07 06:28:20", "2001-09-09 01:46:40", ""] {
        machine.clear_env();
        if !when.is_empty() {
            machine.set_env("LD_PRELOAD", &library);
            machine.set_env("FAKETIME", when);
            // Waits are counted with the steady clock, which nobody sets.
            machine.set_env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        fs::write(machine.data().join(format!("new{files}")), format!("{files} {when}")).unwrap();
        files += 1;
        let before = packs(&machine.objects()).len();
        let status = machine.all_safe(files);
        assert_eq!(packs(&machine.objects()).len(), before + 1, "{when}: {status:#}");
        // The same again in the daemon.
        let mut daemon = machine.daemon();
        daemon.until_safe(files);
        daemon.stop().exits(0);
        assert_eq!(packs(&machine.objects()).len(), before + 1, "{when}: sent again");
    }
}

// --- words that do not fit ---------------------------------------------------------------------------------------

#[test]
fn a_wrong_word_is_named_and_nothing_is_restored() {
    let machine = Machine::bare();
    let passphrase = machine.path("passphrase");
    fs::write(&passphrase, "correct horse battery staple\n").unwrap();
    machine
        .run(&[
            "init",
            "--words-file",
            machine.words().to_str().unwrap(),
            "--passphrase-file",
            passphrase.to_str().unwrap(),
        ])
        .exits(0);
    machine.all_safe(10);
    let out = machine.path("out");
    let words = fs::read_to_string(machine.words()).unwrap();
    let vault = format!("file://{}", machine.vault().display());
    let restore = |text: &str| {
        let file = machine.path("typed");
        fs::write(&file, text).unwrap();
        let mut command = machine.command(&["restore", "--vault", &vault, "--to", out.to_str().unwrap()]);
        command.arg("--key-file").arg(&file).env("XDG_CACHE_HOME", machine.path("cache"));
        machine::Ran::from(command.output().unwrap())
    };
    // One word of the list in place of another: the checksum or the check value finds it, and its place is told.
    let seventh = words.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap();
    let other = if seventh == "abandon" { "zoo" } else { "abandon" };
    restore(&words.replacen(&format!(" 7. {seventh}"), &format!(" 7. {other}"), 1)).exits(4).says("word 7");
    restore(&words.replacen(seventh, "qwertz", 1)).exits(4).says("qwertz");
    restore("only three words").exits(4);
    restore("another horse battery staple").exits(4).says("wrong passphrase").says("24 words");
    assert!(!out.exists() || fs::read_dir(&out).unwrap().next().is_none());
    restore("correct horse battery staple").exits(0).says("Restored 10 files");
    fs::remove_dir_all(&out).unwrap();
    restore(&words).exits(0).says("Restored 10 files");
    let no_file = machine.command(&["restore", "--vault", &vault, "--to", out.to_str().unwrap()]).output().unwrap();
    machine::Ran::from(no_file).exits(2).says("--key-file");
}

// --- small tools -------------------------------------------------------------------------------------------------

impl Machine {
    fn init_again(&self) -> machine::Ran {
        self.run(&["init", "--words-file", self.words().to_str().unwrap()])
    }
}

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.unwrap().success());
    assert_eq!(objects(from), objects(to));
}

/// Objects are made once and read-only to us; a hand that breaks them is not.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}
