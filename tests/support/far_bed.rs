//! A server behind a line that is measured or cut: stores at the far end, by plain HTTP or by TLS.

use super::narrow::{Family, Look, Narrow, watch};
use super::servers::Server;
use panicroom::clock::SystemClock;
use panicroom::config::url::VaultUrl;
use panicroom::model::Sha256;
use panicroom::store::abilities::{Abilities, Ability};
use panicroom::store::s3::{Credentials, S3Store, Settings};
use panicroom::store::throttle::Throttle;
use panicroom::store::{Body, NewObject, ObjectName};
use panicroom::uplink::Rates;
use sha2::Digest;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A server behind a line that is measured.
pub struct Bed {
    pub narrow: Narrow,
    pub server: Server,
    runtime: tokio::runtime::Runtime,
    /// As seen from the far end.
    pub endpoint: String,
    object: AtomicU64,
    _relay: Option<TlsRelay>,
}

/// TLS before the server.
struct TlsRelay(Child);

impl Drop for TlsRelay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Set in the run of a test that trusts what lies in the file it names.
const TRUSTED: &str = "SSL_CERT_FILE";
const INSIDE: &str = "UPLINK_WIRE_INSIDE";

/// Whom a process trusts it reads from its environment: runs this test again with one of its own. Whether this is that run.
pub fn trusting(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]).env(INSIDE, "yes").env(TRUSTED, dir.path().join("authority"));
    assert!(again.status().unwrap().success(), "{test} failed in a run of its own");
    false
}

impl Bed {
    pub fn new(family: Family) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: bytes on the wire are not measured: it takes root, for a network namespace");
            return None;
        }
        let narrow = Narrow::new(family)
            .inspect_err(|why| eprintln!("SKIPPED: bytes on the wire are not measured: no network namespace: {why}"))
            .ok()?;
        let server = Server::seaweedfs()?;
        server.make_bucket("box");
        let endpoint = format!("http://{}", narrow.relay_to(&address(&server)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(narrow.entrance())
            .build()
            .unwrap();
        Some(Self { narrow, server, runtime, endpoint, object: AtomicU64::new(0), _relay: None })
    }

    /// As [`new`](Self::new), reached by TLS, by those who trust what [`TRUSTED`] names.
    pub fn secure() -> Option<Self> {
        let bed = Self::new(Family::V4)?;
        let python = std::env::var_os("PANICROOM_PYTHON").expect("the server's");
        let port = address(&bed.server).rsplit(':').next().expect("a port").to_owned();
        let mut relay = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/tls_relay.py"))
            .args([bed.narrow.address(), &port])
            .arg(std::env::var_os(TRUSTED).expect("the file for the authority"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(relay.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
        let endpoint = format!("https://{}:{}", bed.narrow.address(), port.trim());
        Some(Self { endpoint, _relay: Some(TlsRelay(relay)), ..bed })
    }

    /// A store as after a start; call it at the far end.
    pub fn store(&self, rates: Rates) -> (S3Store, Throttle) {
        let throttle = Throttle::new(None, SystemClock::shared());
        throttle.set(rates);
        (self.store_at(&self.endpoint, &throttle), throttle)
    }

    pub fn store_at(&self, endpoint: &str, throttle: &Throttle) -> S3Store {
        let url = format!("s3://box/p?region=us-east-1&path_style=true&endpoint={endpoint}");
        let VaultUrl::Bucket(bucket) = url.parse().unwrap() else { panic!() };
        let credentials = Credentials::File(self.server.credentials());
        // Known to refuse a name that exists: nothing is sent twice to find out.
        let abilities = Abilities { conditional_create: Ability::Yes, ..Abilities::default() };
        let settings = Settings { bucket, credentials, abilities };
        S3Store::connect(settings, self.runtime.handle().clone(), throttle.clone()).unwrap()
    }

    pub fn object(&self, size: usize) -> NewObject {
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
    pub fn measured(&self, work: impl FnOnce() + Send) -> Vec<Look> {
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

/// `host:port` of a server on this machine.
fn address(server: &Server) -> String {
    server.query().rsplit("http://").next().unwrap().to_owned()
}
