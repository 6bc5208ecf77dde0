//! The calendar, the caps and orders with an end, as a household meets them: the real program, its clock on the wall set
//! by the zone it runs in; and what may go while a cap is used up, on a bench.

#[path = "support/bed.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod bed;
#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;
#[path = "support/read_vault.rs"]
mod read_vault;
#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod tree;
#[path = "support/witness.rs"]
mod witness;

use bed::Bed;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use machine::{Machine, Ran, noise, sent};
use panicroom::backup::upload::{Freight, Uploaded};
use panicroom::catalog::SpooledObject;
use panicroom::clock::SystemClock;
use servers::Server;
use std::fs;
use std::process::Stdio;

/// Windows that are shut now and for half a day to come, and open for an hour after that.
fn shut_now() -> String {
    let now = Timestamp::from_millisecond(SystemClock::shared().wall().0).unwrap().to_zoned(TimeZone::system());
    let (from, to) = (now.checked_add(12.hours()).unwrap(), now.checked_add(13.hours()).unwrap());
    format!("calendar = [\"daily off\", \"daily {}-{} unlimited\"]\n", from.strftime("%H:%M"), to.strftime("%H:%M"))
}

/// Packs that lie in the vault.
fn packs(machine: &Machine) -> usize {
    let names = fs::read_dir(machine.path("vault")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("data_")).count()
}

#[test]
fn nothing_goes_while_a_window_is_off_and_an_order_opens_it_for_its_time() {
    let machine = Machine::new();
    machine.configure(&format!("[uplink]\n{}", shut_now()));
    let mut daemon = machine.daemon();
    let status = daemon.until("what was captured to wait", |s| s["vaults"][0]["spool_bytes"].as_u64() > Some(0));
    let line = &status["uplink"];
    assert_eq!((line["hold"]["kind"].as_str(), line["why"].as_str()), (Some("window"), Some("window")), "{line:#}");
    assert_eq!((line["week"].as_array().map(Vec::len), packs(&machine)), (Some(7), 0));
    machine.run(&["status"]).exits(0).says("Waiting: 0 of 10 files are safe").says("Nothing is sent until");
    machine.run(&["limit"]).exits(0).says("by the window \"daily off\"");
    machine.run(&["limit", "none", "--for", "1h"]).exits(0).says("No limit until").says("then as configured");
    daemon.until_safe(10);
    // Given back, the window is off again, and a restart finds it so.
    machine.run(&["limit", "configured"]).exits(0).says("Nothing is sent until");
    fs::write(machine.data().join("new"), "waits").unwrap();
    daemon.until("the new file to wait", |s| s["vaults"][0]["spool_bytes"].as_u64() > Some(0));
    let before = packs(&machine);
    daemon.stop().exits(0);
    let mut daemon = machine.daemon();
    daemon.until("the vault to wait", |s| s["vaults"][0]["state"] == "waiting");
    assert_eq!(packs(&machine), before);
    machine.run(&["limit", "1 MB/s", "--until", "change"]).exits(0).says("1.00 MB/s until");
    daemon.until_safe(11);
    daemon.stop().exits(0).says_not("panic");
}

#[test]
fn a_pause_says_until_when_and_ends_by_itself_over_a_restart_too() {
    let machine = Machine::new();
    let mut daemon = machine.daemon();
    daemon.until_safe(10);
    machine.run(&["pause", "--until", "tomorrow"]).exits(0).says("Paused until tomorrow 00:00: nothing is sent");
    machine.run(&["status"]).exits(0).says("Paused until tomorrow 00:00: 10 of 10 files are safe");
    daemon.stop().exits(0);
    let mut daemon = machine.daemon();
    let status = daemon.until("the pause to hold", |s| s["state"] == "paused");
    assert!(status["uplink"]["paused"]["until"].is_string(), "{status:#}");
    // Another one in its place, that is soon over.
    machine.run(&["pause", "--for", "2s"]).exits(0).says("Paused until");
    fs::write(machine.data().join("new"), "waits").unwrap();
    daemon.until_safe(11);
    assert_eq!(daemon.status()["uplink"]["paused"], serde_json::Value::Null);
    for bad in [&["pause", "--until", "2001-01-01 00:00"][..], &["pause", "--for", "0s"], &["limit", "--for", "1h"]] {
        machine.run(bad).exits(2);
    }
    daemon.stop().exits(0);
}

/// Orders as the first release wrote them; a pause that was forgotten since is an alarm.
#[test]
fn a_pause_without_an_end_is_an_alarm_after_days() {
    let machine = Machine::new();
    let four_days_ago = SystemClock::shared().wall().0 - 4 * 86_400_000;
    fs::write(machine.path("state/orders.json"), format!("{{\"paused\":{four_days_ago}}}")).unwrap();
    let mut daemon = machine.daemon();
    daemon.until("the pause to hold", |s| s["state"] == "paused");
    machine.run(&["status"]).exits(1).says("Paused for 4 days, perhaps forgotten");
    machine.run(&["resume"]).exits(0);
    daemon.stop().exits(0);
}

#[test]
fn a_pass_waits_for_its_window() {
    let machine = Machine::new();
    machine.configure(&format!("[uplink]\n{}", shut_now()));
    // A daemon takes the pass over, so that it can be told that the window is open after all.
    let mut daemon = machine.daemon();
    daemon.until("its window to be shut", |s| s["uplink"]["hold"]["kind"] == "window");
    let pass = machine.command(&["backup"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    daemon.until("what was captured to wait", |s| s["vaults"][0]["spool_bytes"].as_u64() > Some(0));
    machine.run(&["limit", "none"]).exits(0);
    Ran::from(pass.wait_with_output().unwrap()).exits(0).says("10 of 10 files safe");
    daemon.stop().exits(0);
}

/// A zone in which a clock on the wall shows this now, in seconds after midnight.
fn zone_where_it_is(wanted: i64) -> String {
    let behind = SystemClock::shared().wall().0 / 1000 % 86_400 - wanted;
    let (sign, s) = (if behind < 0 { '-' } else { '+' }, behind.abs());
    format!("HERE{sign}{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

#[test]
fn what_is_stored_when_a_window_ends_is_safe_before_it_and_nothing_was_cut_off() {
    let mut machine = Machine::bare();
    for n in 0..40 {
        fs::write(machine.data().join(format!("video{n}")), noise(n, 1_500_000)).unwrap();
    }
    machine
        .configure("[uplink]\nlimit = \"1 MB/s\"\ncalendar = [\"daily 13:00-23:00 off\"]\n[publish]\nevery = \"1h\"\n");
    let config = fs::read_to_string(machine.config()).unwrap();
    fs::write(machine.config(), config.replace("\n\n[state]", "\npack_size = \"4 MiB\"\n\n[state]")).unwrap();
    machine.init();
    // 100 seconds before one o'clock.
    machine.set_env("TZ", zone_where_it_is(13 * 3600 - 100));
    let mut daemon = machine.daemon();
    let status = daemon.until("the window to end", |s| s["uplink"]["hold"]["kind"] == "window");
    let (root, vault) = (&status["roots"][0], &status["vaults"][0]);
    let stored = packs(&machine) as u64;
    assert!((3..14).contains(&stored), "{stored}");
    // The ten small files, and at least two videos of every pack but the first and the last.
    let safe = root["safe_files"].as_u64().unwrap();
    assert!((10 + 2 * (stored - 2)..50).contains(&safe), "{stored}: {status:#}");
    assert_eq!(sent(&status), vault["stored_bytes"].as_u64().unwrap(), "nothing went twice: {status:#}");
    daemon.stop().exits(0).says_not("the window closed");
}

#[test]
fn near_the_end_of_a_window_a_pack_that_ends_in_time_goes_before_one_that_does_not() {
    let bed = Bed::new();
    fs::write(bed.source().join("film"), noise(1, 3_000_000)).unwrap();
    let engine = bed.engine();
    engine.mark_root(&engine.roots[0]).unwrap();
    bed.clock.advance(std::time::Duration::from_secs(60));
    engine.walk_due(None).unwrap();
    engine.capture_due().unwrap();
    let sizes: Vec<u64> = engine
        .catalog
        .spooled(9)
        .unwrap()
        .iter()
        .map(|o| match o {
            SpooledObject::Pack { size, .. } => *size,
            SpooledObject::Segment(_) => panic!("nothing was published"),
        })
        .collect();
    let (least, most) = (*sizes.iter().min().unwrap(), *sizes.iter().max().unwrap());
    assert!(least < most && sizes.len() > 1, "{sizes:?}");
    assert_eq!(engine.upload(&bed.claims, Freight::UpTo(least - 1)).unwrap(), Uploaded::TooLarge);
    assert_eq!(engine.upload(&bed.claims, Freight::UpTo(least)).unwrap(), Uploaded::Pack);
    assert_eq!(engine.catalog.spooled(9).unwrap().len(), sizes.len() - 1);
    assert_eq!(engine.upload(&bed.claims, Freight::UpTo(least)).unwrap(), Uploaded::TooLarge);
    while engine.upload(&bed.claims, Freight::UpTo(most)).unwrap() == Uploaded::Pack {}
    assert_eq!(engine.upload(&bed.claims, Freight::UpTo(0)).unwrap(), Uploaded::Nothing, "nothing waits at all");
}

#[test]
fn while_a_cap_is_used_up_the_log_still_goes_and_packs_wait() {
    let bed = Bed::new();
    fs::write(bed.source().join("old"), bed::keys().seal.vault.0.repeat(1000)).unwrap();
    let engine = bed.engine();
    engine.mark_root(&engine.roots[0]).unwrap();
    bed.clock.advance(std::time::Duration::from_secs(60));
    engine.walk_due(None).unwrap();
    engine.capture_due().unwrap();
    assert!(matches!(engine.catalog.spooled(1).unwrap()[..], [SpooledObject::Pack { .. }]));
    assert_eq!(engine.upload(&bed.claims, Freight::Log).unwrap(), Uploaded::Nothing, "the pack waits");
    assert_eq!(engine.upload(&bed.claims, Freight::Everything).unwrap(), Uploaded::Pack);
    // Stored, and the cap is used up by it: what makes it safe goes from the reserve.
    fs::write(bed.source().join("new"), "another pack").unwrap();
    engine.mark_root(&engine.roots[0]).unwrap();
    engine.walk_due(None).unwrap();
    engine.publish().unwrap();
    engine.capture_due().unwrap();
    assert_eq!(engine.catalog.spooled(9).unwrap().len(), 2, "a segment and the second pack");
    assert_eq!(engine.upload(&bed.claims, Freight::Log).unwrap(), Uploaded::Segment);
    assert_eq!(engine.upload(&bed.claims, Freight::Log).unwrap(), Uploaded::Nothing);
    let counts = engine.catalog.root_counts(engine.roots[0].id).unwrap();
    assert_eq!((counts.files, counts.safe_files), (2, 1));
}

/// Against a real server, with what really goes over the wire. Needs `PANICROOM_PYTHON`; says so where it is not set.
#[test]
fn a_cap_stops_the_packs_of_a_bucket_in_time_and_what_was_used_outlives_a_restart() {
    const CAP: u64 = 40_000_000;
    let Some(server) = Server::seaweedfs() else { return };
    server.make_bucket("box");
    let machine = Machine::bare();
    for n in 0..12 {
        fs::write(machine.data().join(format!("video{n}")), noise(n, 5_000_000)).unwrap();
    }
    machine.configure("[uplink]\nday = \"40 MB\"\nmonth = \"1 TB\"\n");
    let config = fs::read_to_string(machine.config()).unwrap();
    let folder = format!("url = \"file://{}\"", machine.vault().display());
    let bucket = format!(
        "url = \"s3://box/nas?{}\"\ncredentials_file = \"{}\"\ngather = \"0s\"",
        server.query(),
        server.credentials().display()
    );
    fs::write(machine.config(), config.replace(&folder, &bucket)).unwrap();
    machine.init();
    let mut daemon = machine.daemon();
    let wanted = |s: &serde_json::Value| s["uplink"]["hold"]["kind"] == "cap" && s["vaults"][0]["queued_files"] == 0;
    let status = daemon.until("the cap to be used up", wanted);
    let day = |s: &serde_json::Value| s["uplink"]["caps"][1]["used"].as_u64().unwrap();
    assert!((CAP * 8 / 10..CAP).contains(&day(&status)), "{:#}", status["uplink"]);
    assert_eq!((&status["uplink"]["hold"]["log_goes"], &status["state"]), (&true.into(), &"working".into()));
    let stored = status["vaults"][0]["stored_bytes"].as_u64().unwrap();
    assert!(stored < CAP && stored > CAP / 2, "{stored}");
    // What is stored becomes safe all the same.
    daemon.until("the log to name it", |s| s["roots"][0]["safe_files"].as_u64() >= Some(5));
    machine.run(&["limit"]).exits(0).says("The 40.0 MB for today are used up: only the log still goes until");
    daemon.stop().exits(0);
    let mut daemon = machine.daemon();
    let again = daemon.until("the cap to hold", |s| s["uplink"]["hold"]["kind"] == "cap");
    assert!(day(&again) >= day(&status), "{:#}", again["uplink"]);
    daemon.stop().exits(0).says_not("panic");
}
