//! "When is each root safe?", asked of the real program: while a slow line is at work, with suppositions, and when all is
//! safe. That what was learnt outlives a kill takes minutes: `daemon/forecast/tests.rs` lives them on a clock moved by hand.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;

use machine::{Machine, noise};
use serde_json::Value;
use std::fs;

const MB: usize = 1_000_000;

/// A machine with 12 MB of data that does not shrink, and a line of 200 kB/s.
fn slow() -> Machine {
    let machine = Machine::bare();
    fs::create_dir_all(machine.data()).unwrap();
    for n in 0..12 {
        fs::write(machine.data().join(format!("file {n}")), noise(n, MB)).unwrap();
    }
    machine.configure("[uplink]\nlimit = \"200 kB/s\"\n");
    machine.init().exits(0);
    machine
}

fn seconds(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key} is not known: {row}"))
}

#[test]
fn a_slow_line_says_when_and_what_would_be_faster() {
    let machine = slow();
    let mut daemon = machine.daemon();
    // Walked, and at work.
    let status = daemon.until("a range is told", |s| {
        s["roots"][0]["eta_latest_s"].as_u64().is_some_and(|s| s > 0) && s["vaults"][0]["spool_bytes"] != 0
    });
    let root = &status["roots"][0];
    let (earliest, likely, latest) =
        (seconds(root, "eta_earliest_s"), seconds(root, "eta_s"), seconds(root, "eta_latest_s"));
    assert!(1 <= earliest && earliest <= likely && likely <= latest, "{root}");
    assert!(likely < 3600 && root["eta_at"].is_string() && root["progress"].as_u64() < Some(1000), "{root}");
    assert!(status["vaults"][0]["lag_s"].is_u64() && status["vaults"][0]["eta_s"].as_u64() >= Some(1), "{status}");

    let told = machine.run(&["status", "--forecast", "--json"]).exits(0).json();
    let row = &told["roots"][0];
    assert_eq!(row["state"], "waiting", "{told}");
    let now = seconds(row, "likely_s");
    let half = machine.run(&["status", "--what-if", "limit 20 kB/s", "--json"]).exits(0).json();
    assert!(seconds(&half["roots"][0], "likely_s") > now, "{now}: {half}");
    let off = machine.run(&["status", "--what-if", "daily off", "--json"]).exits(0).json();
    assert_eq!(off["roots"][0]["state"], "never", "{off}");
    let text = machine.run(&["status", "--forecast", "--what-if", "daily 00:00-24:00 100 kB/s"]).exits(0);
    assert!(text.out.contains("SAFE BY") && text.out.contains("Supposed: daily 00:00-24:00 100 kB/s"), "{}", text.out);
    let refused = machine.run(&["status", "--what-if", "faster please"]).exits(4);
    assert!(refused.err.contains("faster please") && refused.err.contains("limit 5 Mbit/s"), "{}", refused.err);
    daemon.stop().exits(0);
}

#[test]
fn without_a_daemon_it_says_what_status_says_and_when_all_is_safe_it_says_so() {
    let machine = Machine::new();
    let status = machine.run(&["status"]);
    let forecast = machine.run(&["status", "--forecast"]);
    assert_eq!((status.code, &status.err), (forecast.code, &forecast.err));
    let mut daemon = machine.daemon();
    daemon.until("all is safe", |s| s["state"] == "idle");
    let told = machine.run(&["status", "--forecast", "--json"]).exits(0).json();
    assert_eq!((&told["roots"][0]["state"], seconds(&told["roots"][0], "likely_s")), (&Value::from("safe"), 0));
    daemon.stop().exits(0);
}
