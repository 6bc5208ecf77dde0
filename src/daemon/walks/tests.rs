use super::*;
use crate::daemon::console::Console;
use crate::daemon::trial::{MINUTE as A_MINUTE, Started, Trial};
use std::fs;
use std::path::PathBuf;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// When a root that is walked whenever it is due is walked, minute by minute, from a first walk at `start`.
fn walks(start: i64, days: i64, every: Duration, hours: Option<Hours>) -> Vec<i64> {
    let mut walks = vec![start];
    for minute in start / MINUTE..start / MINUTE + days * 24 * 60 {
        let now = Wall(minute * MINUTE);
        if is_due(now, now.since(Wall(walks[walks.len() - 1])), every, hours) {
            walks.push(now.0);
        }
    }
    walks
}

#[test]
fn every_root_is_walked_every_night_and_never_outside_the_hours() {
    let hours: Hours = "02:00-05:00".parse().unwrap();
    for start in [0, 7, 14, 23].map(|h| 1_700_000_000_000 / DAY * DAY + h * 60 * MINUTE) {
        let walks = walks(start, 20, Duration::from_secs(86_400), Some(hours));
        assert!((20..=21).contains(&walks.len()), "{}", walks.len());
        assert!(walks[1..].iter().all(|at| hours.hold(minute_of_day(Wall(*at)))));
        assert!(walks.windows(2).all(|w| w[1] - w[0] <= DAY + 10 * MINUTE), "{walks:?}");
    }
}

#[test]
fn without_hours_it_is_walked_as_often_as_it_says() {
    assert_eq!(walks(0, 10, Duration::from_secs(86_400), None).len(), 10);
    let often = walks(0, 2, Duration::from_secs(3600), Some("02:00-05:00".parse().unwrap()));
    assert!((6..=9).contains(&often.len()), "each hour of the hours: {often:?}");
}

/// The minutes of so many days, of a daemon that looks each minute; in which of them a walk came.
fn walked(trial: &Trial, started: &Started, minutes: u64) -> Vec<u64> {
    let walked = |minute: &u64| {
        started.daemon.walks_due();
        let came = started.walk() > 0;
        trial.clock.advance(A_MINUTE);
        came.then_some(*minute)
    };
    (0..minutes).filter_map(|minute| walked(&minute)).collect()
}

#[test]
fn the_walk_of_a_start_and_a_rescan_come_at_once_and_others_in_their_hours() {
    let trial = Trial::new("[walk]\nwake = true\nevery = \"1d\"\nhours = \"02:00-05:00\"\n");
    let noon = 12 * 60;
    trial.clock.advance(A_MINUTE * noon);
    let started = trial.start();
    assert_eq!(started.walk(), 1, "before the walk of a start nothing is known to be safe, whatever the hour");
    assert_eq!(started.walk(), 0);
    let first_days = walked(&trial, &started, 3 * 24 * 60);
    let at_two = 14 * 60;
    assert_eq!(first_days, [at_two, at_two + 1440, at_two + 2880], "minutes after noon");
    started.desk.rescan().unwrap();
    assert_eq!(started.walk(), 1, "a rescan waits for no hour");
    assert!(walked(&trial, &started, 13 * 60).is_empty(), "and nothing comes by day");
    started.dies();
    assert_eq!(trial.start().walk(), 1, "at one in the morning a start walks too");
}

#[test]
fn a_walk_that_is_due_is_walked_by_all_engines_once_in_its_time() {
    let trial = Trial::new("[walk]\nevery = \"6h\"\nwake = true\n");
    let started = trial.start();
    assert_eq!(walked(&trial, &started, 24 * 60), [0, 360, 720, 1080]);
}

/// `/sys` and the table of mounts of a machine with one disk, on which everything lies.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(disk.at("sys/devices/sda/queue")).unwrap();
        fs::create_dir_all(disk.at("sys/dev/block")).unwrap();
        std::os::unix::fs::symlink("../../devices/sda", disk.at("sys/dev/block/8:1")).unwrap();
        fs::write(disk.at("sys/devices/sda/queue/rotational"), "1\n").unwrap();
        fs::write(disk.at("mounts"), "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n").unwrap();
        disk.used(1);
        disk
    }
    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn used(&self, reads: u64) {
        fs::write(self.at("sys/devices/sda/stat"), format!("{reads} 0 0 0 1 0 0 0 0 0 0\n")).unwrap();
    }
}

#[test]
fn where_walks_may_wake_no_disk_they_wait_until_somebody_else_does() {
    let trial = Trial::new("[walk]\nevery = \"6h\"\n");
    let disk = Disk::new();
    let started = trial.start();
    started.daemon.sleepers.0.lock().unwrap().0 = Disks::at(disk.at("sys"), disk.at("mounts"));
    assert_eq!(started.walk(), 1, "the walk of a start comes though the disk may sleep");
    assert!(walked(&trial, &started, 24 * 60).is_empty(), "nobody used the disk for a day");
    started.desk.rescan().unwrap();
    assert_eq!(started.walk(), 1, "a rescan asks no disk");
    assert!(walked(&trial, &started, 7 * 60).is_empty());
    disk.used(2);
    assert_eq!(walked(&trial, &started, 60), [0], "it turns, and the walk has long been due");
    // Used an hour after that walk, and asleep when the next one is due: events may not have told everything.
    disk.used(3);
    assert_eq!(walked(&trial, &started, 48 * 60), [11 * 60], "at twice its time it is woken, and not again");
}

#[test]
fn a_walk_owes_another_look_to_a_changed_file_that_capture_has_in_hand_and_to_no_other() {
    let trial = Trial::new("");
    fs::write(trial.source().join("letter"), "first").unwrap();
    let started = trial.start();
    assert_eq!(started.walk(), 1);
    let engine = &started.engine;
    let path = TreePath::from_typed(&trial.source().join("letter")).unwrap();
    let node = engine.catalog.find(&path).unwrap().unwrap();
    let generation = || engine.catalog.dirty_row(node).unwrap().unwrap().generation;
    let noticed = generation();
    let again = || {
        started.desk.rescan().unwrap();
        assert_eq!(started.walk(), 1);
        generation()
    };
    fs::write(trial.source().join("letter"), "second, and longer").unwrap();
    assert_eq!(again(), noticed, "its look is still to come");
    engine.in_hand.take([node]);
    assert_ne!(again(), noticed, "it may have been read before it changed");
}
