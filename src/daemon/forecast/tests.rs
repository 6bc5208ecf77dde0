use crate::catalog::{Mark, Scope};
use crate::clock::Wall;
use crate::daemon::console::{Console, ForecastStatus};
use crate::daemon::trial::{MINUTE, Started, Trial};
use crate::model::TreePath;
use std::fs;

const MB: usize = 1_000_000;

/// Bytes that do not shrink.
fn noise(mut x: u64, len: usize) -> Vec<u8> {
    let mut next = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 33).to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

/// Walked, and all of it in the spool.
fn at_work(trial: &Trial) -> Started {
    let started = trial.start();
    assert_eq!(started.walk(), 1);
    started.capture();
    started
}

/// A look a minute; in every second of them a pack goes.
fn minutes(trial: &Trial, started: &Started, minutes: u32) {
    for minute in 0..minutes {
        if minute % 2 == 0 {
            started.upload();
        }
        trial.clock.advance(MINUTE);
        started.daemon.learn();
    }
}

/// What a root's files come to, as it is told.
fn ratio(told: &ForecastStatus) -> String {
    let said = told.assumptions.iter().find(|a| a.contains("bytes to send for a byte")).expect("a ratio is told");
    said.split("bytes to send").next().unwrap().to_owned()
}

#[test]
fn a_killed_daemon_still_knows_what_the_line_gives_and_what_files_come_to() {
    // No limit is set: of a line that nobody saw at work nothing can be said.
    let trial = Trial::new("[uplink]\nlimit = \"none\"\n");
    for n in 0..40 {
        fs::write(trial.source().join(n.to_string()), noise(n + 1, MB)).unwrap();
    }
    let first = at_work(&trial);
    let before = first.desk.forecast(&[]).unwrap();
    assert_eq!((before.roots[0].state.as_str(), before.roots[0].likely_s), ("unknown", None), "{before:?}");
    first.daemon.learn();
    minutes(&trial, &first, 10);
    let told = first.desk.forecast(&[]).unwrap();
    assert_eq!(told.roots[0].state, "waiting", "{told:?}");
    assert!(told.roots[0].to_send_bytes > 10 << 20, "{told:?}");
    first.dies();

    let second = at_work(&trial);
    let again = second.desk.forecast(&[]).unwrap();
    assert_eq!(again.roots[0].state, "waiting", "the line is known from before: {again:?}");
    assert_eq!(ratio(&again), ratio(&told));
    assert_eq!(again.roots[0].to_send_bytes, told.roots[0].to_send_bytes);
    // What was kept last is at most five minutes old.
    let (was, is) = (told.roots[0].likely_s.unwrap(), again.roots[0].likely_s.unwrap());
    assert!(is.abs_diff(was) * 2 < was, "{was} s, and then {is} s");
    second.dies();
}

#[test]
fn promise_3_a_root_of_which_something_cannot_be_read_is_never_foretold_safe_nor_soon_to_be() {
    let trial = Trial::new("[uplink]\nlimit = \"1 MB/s\"\n");
    fs::write(trial.source().join("letter"), "dear").unwrap();
    let started = trial.start();
    assert_eq!(started.walk(), 1);
    let path = TreePath::from_typed(&trial.source().join("letter")).unwrap();
    let letter = started.engine.catalog.find(&path).unwrap().unwrap();
    started.engine.catalog.put_back(letter, i64::MAX / 2, Some("permission denied")).unwrap();
    started.capture();
    minutes(&trial, &started, 2);
    let eta = || started.desk.status().roots[0].eta_s;
    let told = |state: &str| {
        trial.clock.advance(MINUTE);
        let told = started.desk.forecast(&[]).unwrap();
        assert_eq!((told.roots[0].state.as_str(), told.roots[0].likely_s), (state, None), "{told:?}");
        assert_eq!(eta(), None);
        told
    };
    assert_eq!(told("failed").roots[0].failed, 1);
    // A later walk of it: how long it takes is not known, and it is no five seconds for all that time.
    started.engine.catalog.mark(&[Mark::at_once(letter, started.engine.roots[0].id, Scope::Path, 1, Wall(0))]).unwrap();
    started.capture();
    minutes(&trial, &started, 2);
    started.engine.publish().unwrap();
    started.desk.rescan().unwrap();
    told("unknown");
}
