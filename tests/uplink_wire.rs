//! What really goes over the line, read off a network interface (promise 7). Takes root, for a network namespace with a
//! veth pair, and a SeaweedFS (`PANICROOM_PYTHON`); else skipped, loudly. What must never be exceeded is a promise and
//! fails the test; how much of a limit is used is printed. Over IPv4, IPv6 and TLS; several vaults on one line; and what
//! happens when the network dies without a word.
//!
//! `UPLINK_WIRE_SECONDS=300` measures one limit (`UPLINK_WIRE_RATE`, bytes per second) for long: `--ignored --nocapture`.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::large_stack_arrays,
    reason = "real time on a real line, in figures for people"
)]

#[path = "support/far_bed.rs"]
mod far_bed;
#[path = "support/narrow.rs"]
mod narrow;
#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;

use far_bed::{Bed, trusting};
use narrow::{Family, Look, Passed, worst};
use panicroom::clock::SystemClock;
use panicroom::error::Kind;
use panicroom::model::Rate;
use panicroom::seal::{Entropy, SystemEntropy};
use panicroom::store::s3::S3Store;
use panicroom::store::throttle::{Line, Throttle};
use panicroom::store::{Created, NewObject, ObjectStore};
use panicroom::uplink::Rates;
use panicroom::worker::Stop;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(5);

fn rate(n: u64) -> Option<Rate> {
    Rate::bytes_per_second(n)
}

/// Never more than 2 % above the limit over any five seconds; says how much was used.
fn judge(what: &str, limit: u64, looks: &[Look], counted: u64, way: fn(&Passed) -> u64) {
    let (first, last) = (looks[0], looks[looks.len() - 1]);
    let bytes = way(&last.passed) - way(&first.passed);
    let seconds = (last.after - first.before).as_secs_f64();
    let most = worst(looks, WINDOW, way) / limit as f64 * 100.0;
    let mean = bytes as f64 / seconds / limit as f64 * 100.0;
    println!(
        "{what} at {limit} B/s: {bytes} bytes in {seconds:.1} s: mean {mean:.2} %, worst 5 s {most:.2} % of the limit; \
         counted {counted} ({:+.2} %)",
        (counted as f64 / bytes as f64 - 1.0) * 100.0
    );
    assert!(seconds > WINDOW.as_secs_f64(), "{what}: {seconds} s are too short to judge");
    assert!(most <= 102.0, "{what}: {most:.2} % of {limit} B/s over five seconds");
    assert!(bytes as f64 <= limit as f64 * (seconds * 1.02 + 0.3), "{what}: {bytes} bytes in {seconds} s");
}

/// Objects of `size` bytes, one per thread, at once.
fn judge_up(bed: &Bed, what: &str, (limit, size, threads): (u64, usize, u8)) {
    let mut counted = 0;
    let looks = bed.measured(|| {
        let (store, throttle) = bed.store(Rates::up(rate(limit)));
        std::thread::scope(|s| {
            for _ in 0..threads {
                s.spawn(|| store.create(&bed.object(size), &Stop::new()).unwrap());
            }
        });
        drop(store);
        counted = throttle.wire_bytes().up;
    });
    judge(what, limit, &looks, counted, |p| p.up);
}

/// The limits of both ways while an object comes down.
fn judge_down(bed: &Bed, what: &str) {
    let limit = 100_000;
    let object = bed.object(900_000);
    bed.measured(|| {
        let (store, _) = bed.store(Rates::FREE);
        store.create(&object, &Stop::new()).unwrap();
    });
    let mut counted = Passed::default();
    let looks = bed.measured(|| {
        let (store, throttle) = bed.store(Rates { up: rate(2_000), down: rate(limit) });
        assert_eq!(store.read(&object.name, None, &Stop::new()).unwrap().len(), 900_000);
        drop(store);
        counted = Passed { up: throttle.wire_bytes().up, down: throttle.wire_bytes().down };
    });
    judge(&format!("{what}, down"), limit, &looks, counted.down, |p| p.down);
    judge(&format!("{what}, acknowledgements"), 2_000, &looks, counted.up, |p| p.up);
}

#[test]
fn promise_7_on_the_wire_no_five_seconds_exceed_the_limit_from_the_first_byte() {
    let Some(bed) = Bed::new(Family::V4) else { return };
    for load in [(2_000, 14_000, 1), (100_000, 900_000, 1), (1_000_000, 4_000_000, 2)] {
        judge_up(&bed, "up", load);
    }
}

#[test]
fn promise_7_on_the_wire_what_is_read_keeps_the_limits_of_both_ways() {
    let Some(bed) = Bed::new(Family::V4) else { return };
    judge_down(&bed, "plain");
}

#[test]
fn promise_7_on_the_wire_a_limit_holds_over_ipv6() {
    let Some(bed) = Bed::new(Family::V6) else { return };
    for load in [(2_000, 14_000, 1), (100_000, 900_000, 1)] {
        judge_up(&bed, "IPv6, up", load);
    }
}

#[test]
fn promise_7_on_the_wire_a_limit_holds_over_tls_its_greeting_included() {
    if !trusting("promise_7_on_the_wire_a_limit_holds_over_tls_its_greeting_included") {
        return;
    }
    let Some(bed) = Bed::secure() else { return };
    judge_up(&bed, "TLS, up", (2_000, 11_000, 1));
    judge_down(&bed, "TLS");
}

/// One vault with a lower limit of its own and two without, all with more to send than goes; then one of them leaves.
#[test]
fn promise_7_on_the_wire_vaults_share_one_line_and_what_one_leaves_the_others_take() {
    const LIMIT: u64 = 300_000;
    const OWN: u64 = 40_000;
    let Some(bed) = Bed::new(Family::V4) else { return };
    let line = Line::new(Rates::up(rate(LIMIT)), SystemClock::shared());
    let throttles = [rate(OWN), None, None].map(|own| Throttle::on(&line, Rates::up(own)));
    let stops = [(); 3].map(|()| Stop::new());
    let sent = || throttles.each_ref().map(|throttle| throttle.wire_bytes().up);
    let mut marks = vec![];
    let looks = bed.measured(|| {
        std::thread::scope(|s| {
            for (throttle, stop) in throttles.iter().zip(&stops) {
                let bed = &bed;
                s.spawn(move || {
                    bed.narrow.enter();
                    let store = bed.store_at(&bed.endpoint, throttle);
                    while let Ok(created) = store.create(&bed.object(400_000), stop) {
                        assert_eq!(created, Created::Now);
                    }
                });
            }
            // All at work; after that; one of them gone; the end.
            for after in [2, 7, 1, 6].map(Duration::from_secs) {
                sleep(after);
                marks.push((Instant::now(), sent()));
                if marks.len() == 2 {
                    stops[2].ask();
                }
            }
            stops.iter().for_each(Stop::ask);
        });
    });
    let share = |from: usize, to: usize| {
        let ((began, before), (ended, after)) = (marks[from], marks[to]);
        let seconds = (ended - began).as_secs_f64();
        [0, 1, 2].map(|i| (after[i] - before[i]) as f64 / seconds)
    };
    let (together, without) = (share(0, 1), share(2, 3));
    println!("of {LIMIT} B/s, one with its own {OWN}: {together:.0?}, then {without:.0?} B/s");
    judge("three vaults", LIMIT, &looks, sent().iter().sum(), |p| p.up);
    for own in [together[0], without[0]] {
        assert!(own <= OWN as f64 * 1.02, "its own limit: {own:.0} B/s");
        assert!(own >= OWN as f64 * 0.8, "and all of it: {own:.0} B/s");
    }
    assert!((together[1] / together[2] - 1.0).abs() < 0.2, "an equal part each: {together:.0?}");
    assert!(without[2] < 1000.0, "it is gone: {without:.0?}");
    assert!(without[1] > together[1] * 1.6, "who is left takes what it left: {without:.0?}");
}

fn at_far_end<T: Send>(bed: &Bed, work: impl FnOnce() -> T + Send) -> T {
    let work = || {
        bed.narrow.enter();
        work()
    };
    std::thread::scope(|s| s.spawn(work).join().unwrap())
}

/// How an object ended that is sent to `endpoint`, and when.
fn ended(bed: &Bed, store: &S3Store, object: &NewObject) -> (panicroom::error::Result<Created>, Instant) {
    bed.narrow.enter();
    (store.create(object, &Stop::new()), Instant::now())
}

/// The program itself at the far end, in one pass with one object; whether it ended well is its answer.
struct Pass {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Pass {
    /// Takes a dozen seconds or so, alone.
    fn begin(bed: &Bed) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        fs::create_dir(at("source")).unwrap();
        // Nothing that could be made smaller.
        let mut film = vec![0; 3_000_000];
        SystemEntropy.fill(&mut film);
        fs::write(at("source/film"), film).unwrap();
        let config = format!(
            "[[root]]\npath = \"{}\"\nquiet = \"0s\"\n[[vault]]\nname = \"v\"\nurl = \"s3://box/pass?region=us-east-1&\
             path_style=true&endpoint={}\"\ncredentials_file = \"{}\"\n[uplink]\nlimit = \"300 kB/s\"\npolite = false\n\
             [state]\ndir = \"{}\"\n[http]\nlisten = \"off\"\n",
            at("source").display(),
            bed.endpoint,
            bed.server.credentials().display(),
            at("state").display()
        );
        fs::write(at("config.toml"), config).unwrap();
        let start = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
            command.arg("--config").arg(at("config.toml")).args(args).stdin(Stdio::null()).stdout(Stdio::null());
            command.spawn().unwrap()
        };
        let words = at("words");
        assert!(start(&["init", "--words-file", words.to_str().unwrap()]).wait().unwrap().success());
        Self { child: start(&["backup"]), _dir: dir }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is under way in the middle of its body and what waits for an answer end with an error that is tried again, and
/// the program goes on by itself once it can. What stands still longer than that in a pause, on a network that lives,
/// does not end.
#[test]
fn a_network_that_dies_without_a_word_is_noticed_in_a_minute_and_a_pause_is_none() {
    /// Half of it is the promise; else it would be five minutes at least.
    const SOON: Duration = Duration::from_secs(120);
    let (Some(bed), Some(beside)) = (Bed::new(Family::V4), Bed::new(Family::V4)) else { return };
    let (large, small) = (bed.object(10_000_000), bed.object(1000));
    let limited = Throttle::new(rate(50_000), SystemClock::shared());
    let free = Throttle::new(None, SystemClock::shared());
    let (mute, took) = bed.narrow.mute();
    let (listens, arrived) = beside.narrow.mute();
    let paused = Throttle::new(rate(100_000), SystemClock::shared());
    let stop = Stop::new();
    let mut pass = at_far_end(&bed, || Pass::begin(&bed));
    while bed.narrow.passed().up < 300_000 {
        sleep(Duration::from_millis(100));
    }
    std::thread::scope(|s| {
        let under_way = s.spawn(|| ended(&bed, &bed.store_at(&bed.endpoint, &limited), &large));
        let unanswered = s.spawn(|| ended(&bed, &bed.store_at(&format!("http://{mute}"), &free), &small));
        let standing = s.spawn(|| {
            beside.narrow.enter();
            let store = beside.store_at(&format!("http://{listens}"), &paused);
            store.create(&beside.object(1_000_000), &stop)
        });
        while limited.wire_bytes().up < 100_000 || took.load(Ordering::Relaxed) < 1000 {
            sleep(Duration::from_millis(100));
        }
        paused.pause();
        bed.narrow.cut();
        let cut = Instant::now();
        for (what, ending) in [("under way", under_way), ("unanswered", unanswered)] {
            let (answer, at) = ending.join().unwrap();
            let (error, after) = (answer.unwrap_err(), at - cut);
            println!("{what}: after {:.0} s: {error}", after.as_secs_f64());
            assert_eq!(error.kind(), Kind::Retry, "{what}: {error}");
            assert!(after < SOON, "{what}: {after:?}");
        }
        sleep(Duration::from_secs(75).saturating_sub(cut.elapsed()));
        let before = arrived.load(Ordering::Relaxed);
        assert!(before < 1_000_000 && !standing.is_finished(), "a pause is no dead network");
        paused.resume();
        paused.set(Rates::FREE);
        while arrived.load(Ordering::Relaxed) < 1_000_000 {
            assert!(!standing.is_finished(), "the same connection goes on");
            sleep(Duration::from_millis(100));
        }
        stop.ask();
        assert_eq!(standing.join().unwrap().unwrap_err().kind(), Kind::Stopping);
    });
    assert!(pass.child.try_wait().unwrap().is_none(), "the program waits for the network");
    bed.narrow.mend();
    let mended = Instant::now();
    limited.set(Rates::FREE);
    let (again, _) = at_far_end(&bed, || ended(&bed, &bed.store_at(&bed.endpoint, &limited), &large));
    assert!(pass.child.wait().unwrap().success(), "the program goes on by itself");
    println!("the program was done {:.0} s after the network was back", mended.elapsed().as_secs_f64());
    assert_eq!(again.unwrap(), Created::Now, "once the network is back it goes through");
}

#[test]
#[ignore = "measures for minutes: UPLINK_WIRE_RATE, UPLINK_WIRE_SECONDS"]
fn a_limit_for_minutes() {
    let Some(bed) = Bed::new(Family::V4) else { return };
    let number = |name: &str, or: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(or);
    let (limit, seconds) = (number("UPLINK_WIRE_RATE", 250_000), number("UPLINK_WIRE_SECONDS", 300));
    let mut counted = 0;
    let looks = bed.measured(|| {
        let (store, throttle) = bed.store(Rates::up(rate(limit)));
        let stop = Stop::new();
        let size = usize::try_from(limit * 10).unwrap().clamp(20_000, 25 << 20);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(seconds) {
            store.create(&bed.object(size), &stop).unwrap();
        }
        counted = throttle.wire_bytes().up;
    });
    judge("up", limit, &looks, counted, |p| p.up);
}
