//! Rot as people meet it: the real program names a file that changed under an unchanged stamp, by a command and by its
//! timetable, and the command it names brings the file back.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;
#[path = "support/rot.rs"]
mod rot;

use machine::Machine;
use rot::rot;
use std::fs;

fn with_rot() -> (Machine, std::path::PathBuf, Vec<u8>) {
    let machine = Machine::new();
    machine.backup().exits(0);
    machine.run(&["verify", "--level", "reread"]).exits(0).says("10 files").says("byte for byte");
    let file = machine.data().join("sub/file4");
    let good = fs::read(&file).unwrap();
    rot(&machine.catalog(), &file, 1000);
    (machine, file, good)
}

#[test]
fn a_re_read_names_rot_the_backup_leaves_it_alone_and_a_restore_brings_the_file_back() {
    let (machine, file, good) = with_rot();
    machine.backup().exits(0);
    let name = file.display().to_string();
    machine.run(&["verify"]).exits(0);
    let told = machine.run(&["verify", "--level", "reread", "--json"]).exits(4).json();
    let told = &told["vaults"][0];
    assert_eq!(
        (&told["sound"], &told["level"], &told["result"]["wrong"]),
        (&false.into(), &"reread".into(), &1.into())
    );
    assert_eq!((&told["defects"][0]["name"], &told["defects"][0]["wrong"]), (&name.as_str().into(), &"rot".into()));
    machine.run(&["verify", "--level", "reread", "--sample", "1"]).exits(4).says("rot").says(&name);
    let mut daemon = machine.daemon();
    let status = daemon.until("attention", |s| s["state"] == "attention");
    let found = &status["vaults"][0]["verify"]["rot"][0];
    assert_eq!((&found["path"], &found["wrong"]), (&name.as_str().into(), &"rot".into()));
    let captured = found["captured"].as_str().unwrap();
    let headline = status["headline"].as_str().unwrap();
    assert!(headline.contains(&name), "{status:#}");
    let wanted = format!("panicroom restore \"{name}\" --at {captured} --to DIR");
    assert!(status["advice"].to_string().replace('\\', "").contains(&wanted), "{status:#}");
    machine.run(&["status"]).exits(1).says(&name);
    drop(daemon);
    // Somebody writes it anew; what was good stays restorable.
    fs::write(&file, "rotten, and written anew").unwrap();
    machine.backup().exits(0);
    machine.run(&["verify", "--level", "reread"]).exits(0);
    machine.run(&["restore", &name, "--at", captured, "--key-file", "words", "--to", "out", "--strip"]).exits(0);
    assert_eq!(fs::read(machine.path("out").join("file4")).unwrap(), good);
}

#[test]
fn the_daemon_reads_again_by_its_timetable_and_raises_an_alarm() {
    let (machine, file, _) = with_rot();
    let name = file.display().to_string();
    let config = fs::read_to_string(machine.config()).unwrap();
    fs::write(machine.config(), config + "\n[verify]\nreread = \"1m\"\n").unwrap();
    // The run that was asked for lies long enough ago.
    let c = rusqlite::Connection::open(machine.catalog()).unwrap();
    c.execute("UPDATE rereading SET ended = ended - 3600000", []).unwrap();
    drop(c);
    let mut daemon = machine.daemon();
    let status = daemon.until("attention", |s| s["state"] == "attention");
    assert_eq!(status["vaults"][0]["verify"]["rotten"], 1, "{status:#}");
    let alarm = |e: &serde_json::Value| e["level"] == "alarm" && e["text"].as_str().unwrap().contains(&name);
    assert!(status["events"].as_array().unwrap().iter().any(alarm), "{status:#}");
    assert_eq!(status["roots"][0]["safe_files"], 10, "what was captured of it is safe");
}

#[test]
fn a_re_read_takes_this_machine_and_says_so() {
    let machine = Machine::new();
    let url = format!("file://{}", machine.vault().display());
    machine.run(&["verify", "--level", "reread", "--vault", &url]).exits(2).says("this machine");
    machine.run(&["verify", "--level", "reread", "--heal"]).exits(2).says("leave out");
}
