//! What really goes over the line, read off a network interface (promise 7). Takes root, for a network namespace with a
//! veth pair, and a SeaweedFS (`PANICROOM_PYTHON`); else skipped, loudly. What must never be exceeded is a promise and
//! fails the test; how much of a limit is used is printed.
//!
//! `UPLINK_WIRE_SECONDS=300` measures one limit (`UPLINK_WIRE_RATE`, bytes per second) for long: `--ignored --nocapture`.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::large_stack_arrays,
    reason = "real time on a real line, in figures for people"
)]

#[path = "support/narrow.rs"]
mod narrow;
#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;

use narrow::{Look, Narrow, Passed, watch, worst};
use panicroom::clock::SystemClock;
use panicroom::config::url::VaultUrl;
use panicroom::model::{Rate, Sha256};
use panicroom::store::abilities::{Abilities, Ability};
use panicroom::store::s3::{Credentials, S3Store, Settings};
use panicroom::store::throttle::Throttle;
use panicroom::store::{Body, NewObject, ObjectName, ObjectStore};
use panicroom::uplink::Rates;
use panicroom::worker::Stop;
use servers::Server;
use sha2::Digest;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(5);

/// A server behind a line that is measured.
struct Bed {
    narrow: Narrow,
    server: Server,
    runtime: tokio::runtime::Runtime,
    relay: String,
    object: AtomicU64,
}

impl Bed {
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: bytes on the wire are not measured: it takes root, for a network namespace");
            return None;
        }
        let narrow = Narrow::new()
            .inspect_err(|why| eprintln!("SKIPPED: bytes on the wire are not measured: no network namespace: {why}"))
            .ok()?;
        let server = Server::seaweedfs()?;
        server.make_bucket("box");
        let endpoint = server.query().rsplit("http://").next().unwrap().to_owned();
        let relay = narrow.relay_to(&endpoint);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(narrow.entrance())
            .build()
            .unwrap();
        Some(Self { narrow, server, runtime, relay, object: AtomicU64::new(0) })
    }

    /// A store as after a start; call it at the far end.
    fn store(&self, rates: Rates) -> (S3Store, Throttle) {
        let url = format!("s3://box/p?region=us-east-1&path_style=true&endpoint=http://{}", self.relay);
        let VaultUrl::Bucket(bucket) = url.parse().unwrap() else { panic!() };
        let credentials = Credentials::File(self.server.credentials());
        let throttle = Throttle::new(None, SystemClock::shared());
        // Known to refuse a name that exists: nothing is sent twice to find out.
        let abilities = Abilities { conditional_create: Ability::Yes, ..Abilities::default() };
        throttle.set(rates);
        let settings = Settings { bucket, credentials, abilities };
        (S3Store::connect(settings, self.runtime.handle().clone(), throttle.clone()).unwrap(), throttle)
    }

    fn object(&self, size: usize) -> NewObject {
        let number = self.object.fetch_add(1, Ordering::Relaxed);
        let bytes: Vec<u8> = (0..size).map(|i| (i * 31 + size + i / 251) as u8 ^ number as u8).collect();
        NewObject {
            name: ObjectName::new(format!("data_{number}")).unwrap(),
            size: bytes.len() as u64,
            sha256: Sha256(sha2::Sha256::digest(&bytes).into()),
            body: Body::Bytes(bytes),
        }
    }

    /// Does `work` at the far end while the line is watched.
    fn measured(&self, work: impl FnOnce() + Send) -> Vec<Look> {
        let done = AtomicBool::new(false);
        std::thread::scope(|s| {
            let watching = s.spawn(|| watch(&self.narrow, &done));
            let working = s.spawn(|| {
                self.narrow.enter();
                work();
            });
            let ended = working.join();
            done.store(true, Ordering::Relaxed);
            let looks = watching.join().unwrap();
            ended.unwrap();
            looks
        })
    }
}

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

#[test]
fn promise_7_on_the_wire_no_five_seconds_exceed_the_limit_from_the_first_byte() {
    let Some(bed) = Bed::new() else { return };
    for (limit, size, threads) in [(2_000, 14_000, 1), (100_000, 900_000, 1), (1_000_000, 4_000_000, 2)] {
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
        judge("up", limit, &looks, counted, |p| p.up);
    }
}

#[test]
fn promise_7_on_the_wire_what_is_read_keeps_the_limits_of_both_ways() {
    let Some(bed) = Bed::new() else { return };
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
    judge("down", limit, &looks, counted.down, |p| p.down);
    judge("acknowledgements", 2_000, &looks, counted.up, |p| p.up);
}

#[test]
#[ignore = "measures for minutes: UPLINK_WIRE_RATE, UPLINK_WIRE_SECONDS"]
fn a_limit_for_minutes() {
    let Some(bed) = Bed::new() else { return };
    let number = |name: &str, or: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(or);
    let (limit, seconds) = (number("UPLINK_WIRE_RATE", 250_000), number("UPLINK_WIRE_SECONDS", 300));
    let mut counted = 0;
    let looks = bed.measured(|| {
        let (store, throttle) = bed.store(Rates::up(rate(limit)));
        let stop = Stop::new();
        let size = usize::try_from(limit * 10).unwrap().clamp(20_000, 25 << 20);
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(seconds) {
            store.create(&bed.object(size), &stop).unwrap();
        }
        counted = throttle.wire_bytes().up;
    });
    judge("up", limit, &looks, counted, |p| p.up);
}
