//! A laptop: `backup` under a limit, interrupted again and again (SIGKILL and SIGINT at moments of chance), ends in the
//! same state as a pass that was left alone: the same counts, the same tree, nothing twice in the vault, nothing that was
//! stored sent again. Into a folder, and into a bucket of a real server (`PANICROOM_PYTHON`; else skipped, loudly). And an
//! order to pause holds a pass, which goes on once it is lifted.
//!
//! From `PANICROOM_KILL_SEED`, drawn and printed.

#[path = "support/portable.rs"]
mod portable;
#[path = "support/read_vault.rs"]
mod read_vault;
#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;
#[path = "support/tree.rs"]
mod tree;

use panicroom::format::vault::VaultFile;
use panicroom::format::{Name, VAULT_NAME};
use panicroom::seal::{SystemEntropy, random, words};
use panicroom::worker::Stop;
use portable::assert_same;
use read_vault::{NOW, Objects, ReadVault};
use serde_json::Value;
use servers::Server;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tree::{differences, look};

/// All of it takes some five seconds.
const LIMIT: &str = "8 MB/s";
const LIMIT_PER_MS: u64 = 8000;
const INTERRUPTIONS: u64 = 6;
/// Of a server's bucket.
const BUCKET: &str = "box";
/// What a pack cut short, its name in the log and a segment more may cost for each interruption.
const SLACK: u64 = 64 << 10;

/// Splitmix64: a history can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
    fn bytes(&mut self, len: u64) -> Vec<u8> {
        (0..len.div_ceil(8)).flat_map(|_| self.below(u64::MAX).to_le_bytes()).collect()
    }
}

fn documents(source: &Path, dice: &mut Dice) {
    for n in 0..16 {
        let file = source.join(format!("films/{n}"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let len = 1_000_000 + dice.below(3_000_000);
        fs::write(file, dice.bytes(len)).unwrap();
    }
    for n in 0..200 {
        let file = source.join(format!("letters/{}/{n}", n % 9));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let len = dice.below(20_000);
        fs::write(file, dice.bytes(len)).unwrap();
    }
}

/// A state folder, a vault, a config.
struct Laptop<'s> {
    dir: PathBuf,
    /// Whose bucket holds the vault, beneath the folder's name; else a folder does.
    server: Option<&'s Server>,
}

impl<'s> Laptop<'s> {
    fn new(dir: PathBuf, source: &Path, server: Option<&'s Server>) -> Self {
        fs::create_dir(&dir).unwrap();
        let laptop = Self { dir, server };
        let vault = match server {
            None => format!("url = \"file://{}\"", laptop.at("vault").display()),
            Some(server) => format!(
                "url = \"s3://{BUCKET}/{}?{}\"\ncredentials_file = \"{}\"",
                laptop.prefix(),
                server.query(),
                server.credentials().display()
            ),
        };
        let config = format!(
            "[[root]]\npath = \"{}\"\nquiet = \"0s\"\n[[vault]]\nname = \"v\"\n{vault}\npack_size = \"4 MiB\"\n\
             [uplink]\nlimit = \"{LIMIT}\"\npolite = false\n[state]\ndir = \"{}\"\n[http]\nlisten = \"off\"\n",
            source.display(),
            laptop.at("state").display(),
        );
        fs::write(laptop.at("config.toml"), config).unwrap();
        let out = laptop
            .panicroom(&["init", "--words-file", laptop.at("words").to_str().unwrap()])
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        laptop
    }
    fn prefix(&self) -> &str {
        self.dir.file_name().unwrap().to_str().unwrap()
    }
    fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
    fn panicroom(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
        command.arg("--config").arg(self.at("config.toml")).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Whether it was still at work.
    fn interrupt_after(&self, ms: u64, signal: &str) -> bool {
        let mut child = self.panicroom(&["backup"]).spawn().unwrap();
        Stop::new().wait(Duration::from_millis(ms));
        let at_work = child.try_wait().unwrap().is_none();
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        child.wait().unwrap();
        at_work
    }

    /// Bytes of bodies sent in all passes, and of packs known to be stored; while nothing runs.
    fn sent_and_stored(&self) -> [u64; 2] {
        let catalog = rusqlite::Connection::open(self.at("state/v/catalog.db")).unwrap();
        let ask = ["SELECT sum(value) FROM fact WHERE name = 'sent'", "SELECT sum(size) FROM pack WHERE state = 1"];
        ask.map(|sql| {
            let answer: Option<i64> = catalog.query_row(sql, [], |row| row.get(0)).unwrap();
            u64::try_from(answer.unwrap_or(0)).unwrap()
        })
    }

    fn finish(&self) -> Value {
        let out = self.panicroom(&["--json", "backup"]).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }

    /// All objects of ours in the vault.
    fn objects(&self) -> Objects {
        let folder = match self.server {
            None => self.at("vault"),
            Some(server) => {
                let to = self.at("fetched");
                let _ = fs::create_dir(&to);
                let (prefix, to_text) = (self.prefix(), to.display());
                server.boto3(&format!(
                    "for o in s3.list_objects_v2(Bucket='{BUCKET}', Prefix='{prefix}/').get('Contents', []):\n  \
                     s3.download_file('{BUCKET}', o['Key'], '{to_text}/' + o['Key'].split('/')[-1])"
                ));
                to
            }
        };
        let mut objects = Objects::new();
        for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap()) {
            let name = entry.file_name().into_string().unwrap();
            if Name::parse(&name).is_some() {
                objects.insert(name, fs::read(entry.path()).unwrap());
            }
        }
        objects
    }

    fn vault(&self) -> ReadVault {
        let objects = self.objects();
        let file = VaultFile::read(&objects[VAULT_NAME]).unwrap();
        let text = fs::read_to_string(self.at("words")).unwrap();
        let secret = words::parse(&text, file.id, &file.check).unwrap();
        ReadVault::open(objects, secret.open_keys(file.id))
    }

    /// Of packs and segments in the vault.
    fn bytes(&self) -> u64 {
        let is_ours =
            |name: &str| matches!(Name::parse(name), Some(Name::Pack(..) | Name::Segment(..) | Name::Merge(..)));
        self.sizes().iter().filter(|(name, _)| is_ours(name)).map(|(_, size)| size).sum()
    }
    fn sizes(&self) -> Vec<(String, u64)> {
        match self.server {
            None => {
                let all = fs::read_dir(self.at("vault")).unwrap().map(|e| e.unwrap());
                all.map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len())).collect()
            }
            Some(server) => {
                let list = format!("s3.list_objects_v2(Bucket='{BUCKET}', Prefix='{}/')", self.prefix());
                let said = server
                    .boto3(&format!("for o in {list}.get('Contents', []): print(o['Key'].split('/')[-1], o['Size'])"));
                let lines = said.lines().map(|line| line.split_once(' ').unwrap());
                lines.map(|(name, size)| (name.to_owned(), size.parse().unwrap())).collect()
            }
        }
    }

    fn check_restored(&self, source: &Path) {
        let (to, words) = (self.at("restored"), self.at("words"));
        let args = ["restore", "--key-file", words.to_str().unwrap(), "--to", to.to_str().unwrap()];
        let out = self.panicroom(&args).stderr(Stdio::piped()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert_same(&to.join(source.strip_prefix("/").unwrap()), source);
    }
}

/// What two passes over the same files must agree in.
fn counts(status: &Value) -> Vec<(&'static str, Value)> {
    let (root, vault) = (&status["roots"][0], &status["vaults"][0]);
    let of_root =
        ["state", "files", "bytes", "safe_files", "safe_bytes", "dirty", "failed", "changed_while_read", "lag_s"];
    let of_vault = ["state", "queued_bytes", "queued_files", "spool_bytes", "last_error"];
    let whole = ["state", "limit_bytes_per_s"].map(|key| (key, status[key].clone()));
    let root = of_root.map(|key| (key, root[key].clone()));
    let vault = of_vault.map(|key| (key, vault[key].clone()));
    whole.into_iter().chain(root).chain(vault).collect()
}

#[test]
fn a_pass_interrupted_again_and_again_ends_as_one_left_alone() {
    ends_as_one_left_alone(None);
}

#[test]
fn a_pass_into_a_bucket_interrupted_again_and_again_ends_as_one_left_alone() {
    let Some(server) = Server::seaweedfs() else { return };
    server.make_bucket(BUCKET);
    ends_as_one_left_alone(Some(&server));
}

fn ends_as_one_left_alone(server: Option<&Server>) {
    let drawn = || u64::from_le_bytes(random(&SystemEntropy));
    let seed = std::env::var("PANICROOM_KILL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(drawn);
    println!("again with PANICROOM_KILL_SEED={seed}");
    let mut dice = Dice(seed);
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().canonicalize().unwrap();
    let source = top.join("source");
    documents(&source, &mut dice);

    let (one, other) = (Laptop::new(top.join("one"), &source, server), Laptop::new(top.join("other"), &source, server));
    let left_alone = one.finish();
    let alone = one.bytes();
    // Of the time the line takes for it; to a bucket several packs go at once, so that the first takes longer.
    let part = alone / LIMIT_PER_MS / if server.is_some() { 6 } else { 8 };
    let mut at_work = 0;
    for n in 0..INTERRUPTIONS {
        let signal = if n % 3 == 2 { "-INT" } else { "-KILL" };
        at_work += u64::from(other.interrupt_after(part + dice.below(part), signal));
        println!("{signal}: {} of {alone} bytes lie in the vault", other.bytes());
    }
    let before = other.sent_and_stored();
    let interrupted = other.finish();
    assert!(at_work > 0, "no pass was interrupted: the limit does not hold");
    assert_eq!(counts(&interrupted), counts(&left_alone));

    let (vault, wanted) = (other.vault(), look(&source));
    assert_eq!(vault.chunks_sent_twice(), [], "no chunk lies in the vault twice");
    let differing = differences(&vault.tree(NOW).unwrap(), &wanted);
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    other.check_restored(&source);

    // What a kill cut off is sent again; what was stored is not: the last pass sends what was missing.
    let together = other.bytes();
    let after = other.sent_and_stored();
    let [sent, stored] = [0, 1].map(|i| after[i] - before[i]);
    println!("{together} bytes lie in the vault, {alone} in the other; the last pass sent {sent} and stored {stored}");
    assert!(together <= alone + INTERRUPTIONS * SLACK, "{together} bytes lie in the vault, {alone} in the other");
    assert!(sent <= stored + SLACK, "{sent} bytes were sent for {stored}");
}

#[test]
fn an_order_to_pause_holds_a_pass_until_it_is_lifted() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().canonicalize().unwrap();
    let source = top.join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("letter"), "dear").unwrap();
    let laptop = Laptop::new(top.join("one"), &source, None);
    fs::write(laptop.at("state/orders.json"), "{\"paused\":1700000000000}").unwrap();
    let mut pass = laptop.panicroom(&["backup"]).spawn().unwrap();
    // The pass answers, as a daemon does.
    let answers = |args: &[&str]| {
        let out = laptop.panicroom(args).stdout(Stdio::piped()).output().unwrap();
        serde_json::from_slice::<Value>(&out.stdout).ok()
    };
    let wait = |what: &str, done: &dyn Fn() -> bool| {
        for _ in 0..600 {
            if done() {
                return;
            }
            Stop::new().wait(Duration::from_millis(100));
        }
        panic!("waited in vain: {what}");
    };
    wait("it says that it is paused", &|| answers(&["--json", "status"]).is_some_and(|s| s["state"] == "paused"));
    assert!(pass.try_wait().unwrap().is_none(), "it goes on later");
    assert_eq!(laptop.bytes(), 0, "nothing is sent meanwhile");
    assert!(laptop.panicroom(&["resume"]).status().unwrap().success());
    assert!(pass.wait().unwrap().success());
    assert_ne!(laptop.bytes(), 0);
}
