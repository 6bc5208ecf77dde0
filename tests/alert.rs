//! Alerts as they reach somebody: the operator's command really run, the ping really sent.

use panicroom::alert::{Alarm, Alerter, Settings};
use panicroom::clock::{Clock, ManualClock, Wall};
use panicroom::config::Secret;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn lag() -> Vec<Alarm> {
    vec![Alarm { kind: "lag /data".into(), text: "a change in /data has not been safe for 2 days".into() }]
}

fn alerter(command: Option<&str>, ping: Option<&str>) -> (Alerter, Arc<ManualClock>) {
    let clock = ManualClock::at(Wall(0));
    let settings = Settings {
        settle: Duration::ZERO,
        retry: Duration::from_millis(50),
        ..Settings::new(command.map(Secret::new), ping.map(Secret::new))
    };
    (Alerter::start(settings, clock.clone() as Arc<dyn Clock>).unwrap(), clock)
}

/// Waits until the file holds `text`; what it holds at last.
fn comes(file: &Path, text: &str) -> String {
    let wait = panicroom::worker::Stop::new();
    for _ in 0..600 {
        let held = std::fs::read_to_string(file).unwrap_or_default();
        if held.contains(text) {
            return held;
        }
        wait.wait(Duration::from_millis(50));
    }
    panic!("{text} never came; there is: {:?}", std::fs::read_to_string(file));
}

#[test]
fn the_command_gets_event_and_text_and_all_is_well_again_follows() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let line = format!("{{ echo \"<$PANICROOM_EVENT> $PANICROOM_TEXT\"; cat; echo; }} >> {}", log.display());
    let (mut alerter, clock) = alerter(Some(&line), None);
    for _ in 0..5 {
        alerter.update(lag());
        clock.advance(Duration::from_secs(60));
    }
    comes(&log, "<alarm>");
    alerter.update(vec![]);
    let all = comes(&log, "<recovered>");
    assert_eq!(all.matches("<alarm>").count(), 1, "{all}");
    let text = "a change in /data has not been safe for 2 days";
    assert!(all.starts_with(&format!("<alarm> {text}\n{text}\n")), "{all}");
    assert!(all.contains("<recovered> All is well again. It is over: a change in /data"), "{all}");
}

#[test]
fn a_command_that_fails_is_tried_again_until_it_works() {
    let folder = tempfile::tempdir().unwrap();
    let (tries, log) = (folder.path().join("tries"), folder.path().join("log"));
    let line = format!(
        "echo x >> {0}; [ $(wc -l < {0}) -ge 3 ] || {{ echo no network >&2; exit 1; }}; echo $PANICROOM_EVENT >> {1}",
        tries.display(),
        log.display()
    );
    let (mut alerter, _) = alerter(Some(&line), None);
    alerter.update(lag());
    assert_eq!(comes(&log, "alarm"), "alarm\n");
    assert_eq!(std::fs::read_to_string(&tries).unwrap(), "x\nx\nx\n");
}

#[test]
fn a_command_that_talks_for_ever_or_leaves_something_behind_does_not_block_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let line = format!(
        "sleep 8 & head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; echo $PANICROOM_EVENT >> {}",
        log.display()
    );
    let (mut alerter, clock) = alerter(Some(&line), None);
    alerter.update(lag());
    clock.advance(Duration::from_secs(60));
    alerter.update(vec![]);
    assert_eq!(comes(&log, "recovered"), "alarm\nrecovered\n");
}

#[test]
fn credentials_do_not_travel_to_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let (mut alerter, _) = alerter(Some(&format!("env > {0}.new; mv {0}.new {0}", log.display())), None);
    alerter.test();
    let seen = comes(&log, "PANICROOM_EVENT=test");
    for line in seen.lines().filter(|line| line.starts_with("PANICROOM_") || line.starts_with("AWS_")) {
        assert!(line.starts_with("PANICROOM_EVENT=") || line.starts_with("PANICROOM_TEXT="), "{line}");
    }
}

/// Answers one request with `status`; its first line.
fn serve_one(listener: &TcpListener, status: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    String::from_utf8(head).unwrap().lines().next().unwrap().to_owned()
}

#[test]
fn the_ping_says_well_on_schedule_and_fail_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ping/secret?rid=1", listener.local_addr().unwrap());
    let (mut alerter, clock) = alerter(None, Some(&url));
    alerter.update(vec![]);
    assert_eq!(serve_one(&listener, "200 OK"), "GET /ping/secret?rid=1 HTTP/1.1");
    // Nothing for a while, then again; that nothing came between shows in the order.
    clock.advance(Duration::from_secs(60));
    alerter.update(vec![]);
    clock.advance(Duration::from_secs(60));
    alerter.update(lag());
    assert_eq!(serve_one(&listener, "500 Broken"), "GET /ping/secret/fail?rid=1 HTTP/1.1");
    clock.advance(Duration::from_secs(60));
    alerter.update(vec![]);
    assert_eq!(serve_one(&listener, "200 OK"), "GET /ping/secret?rid=1 HTTP/1.1");
    clock.advance(Duration::from_secs(300));
    alerter.update(vec![]);
    assert_eq!(serve_one(&listener, "200 OK"), "GET /ping/secret?rid=1 HTTP/1.1");
}

#[test]
fn settings_and_errors_never_show_command_or_address() {
    let settings = Settings::new(Some(Secret::new("mail hunter2")), Some(Secret::new("ftp://h/hunter2")));
    assert!(!format!("{settings:?}").contains("hunter2"));
    let refused = Alerter::start(settings, ManualClock::at(Wall(0)) as Arc<dyn Clock>).err().unwrap();
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
}
