//! A mistake in the program itself ends it at once, whatever thread makes it: a daemon that goes on without one of its
//! threads would look well and miss changes. The next start says so.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;

use machine::{Machine, Ran};
use panicroom::daemon::home::Home;
use panicroom::daemon::mistake;
use panicroom::model::TreePath;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;

/// Names the state folder to the program beneath.
const STATE: &str = "MISTAKE_STATE";

/// One thread makes a mistake, others wait for it for ever: run as a program of its own by the test below.
#[test]
#[ignore = "it dies: the test below runs it"]
fn one_thread_of_three_makes_a_mistake() {
    let Some(state) = std::env::var_os(STATE) else { return };
    mistake::ends_the_program();
    mistake::is_left_in(&Home::new(&TreePath::from_typed(Path::new(&state)).unwrap()));
    let (_never, waits) = channel::<()>();
    std::thread::scope(|s| {
        s.spawn(move || waits.recv());
        s.spawn(|| {
            let one: Vec<u8> = vec![];
            assert!(one.len() > 5, "five are needed");
        });
    });
}

#[test]
fn a_mistake_on_any_thread_ends_the_program_and_the_next_start_says_it_once() {
    let machine = Machine::new();
    machine.all_safe(10);
    let died = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "one_thread_of_three_makes_a_mistake", "--nocapture"])
        .env(STATE, machine.state())
        .output()
        .unwrap();
    assert_eq!(died.status.signal(), Some(6), "{died:?}");
    let said = String::from_utf8_lossy(&died.stderr);
    assert!(said.contains("a mistake in the program: five are needed (tests/mistake.rs:"), "{said}");

    let told = |status: &serde_json::Value| {
        let events = status["events"].as_array().unwrap();
        events.iter().filter(|e| e["text"].as_str().unwrap().contains("five are needed")).count()
    };
    let mut daemon = machine.daemon();
    let status = daemon.until("said", |s| told(s) == 1);
    assert_eq!(status["events"].as_array().unwrap().iter().filter(|e| e["level"] == "alarm").count(), 1, "{status:#}");
    daemon.stop();
    assert!(!machine.state().join("mistake").exists());
    let mut daemon = machine.daemon();
    let status = daemon.until_safe(10);
    assert_eq!(told(&status), 1, "an old one, and no new one");
}

#[test]
fn a_reader_that_goes_away_is_no_mistake_and_output_that_cannot_be_kept_is_said() {
    let machine = Machine::new();
    machine.all_safe(10);
    let words = machine.words().display().to_string();
    for arguments in [&["ls"][..], &["ls", "--key-file", &words], &["cost"], &["man"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = Ran::from(machine.command(arguments).stdout(writer).output().unwrap());
        assert!(ran.code == 1 || ran.code == 0, "{arguments:?}: {ran:?}");
        ran.says_not("panicked").says_not("mistake");
    }
    // What could not be kept is said.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let ran = Ran::from(machine.command(&["ls", "--key-file", &words]).stdout(full).output().unwrap());
    ran.exits(1).says("No space left on device").says_not("mistake");
    let text = fs::read_dir(machine.state()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    assert!(!text.iter().any(|name| name == "mistake"), "{text:?}");
}
