//! SIGKILL at random moments: the real binary is kept busy by a limit while files are edited, and killed again and
//! again. What the vault holds is read after every kill by a reader of its own; in the end a pass is left to finish,
//! the tree is restored and compared, and the bytes sent are held to those that lie in the vault plus what was under
//! way at each kill (promises 1, 3, 4, 7, 14).
//!
//! `PANICROOM_KILLS` rounds (20) from `PANICROOM_KILL_SEED` (drawn and printed). The restored tree comes from the binary
//! itself and, where `PANICROOM_PYTHON` names an interpreter, from the independent reader too.

#[path = "support/portable.rs"]
mod portable;
#[path = "support/read_vault.rs"]
mod read_vault;
#[path = "support/tree.rs"]
mod tree;

use panicroom::format::vault::VaultFile;
use panicroom::format::{Name, VAULT_NAME};
use panicroom::model::{Sha256, TreePath};
use panicroom::seal::{SystemEntropy, random, words};
use panicroom::worker::Stop;
use portable::assert_same;
use read_vault::{NOW, Objects, ReadVault};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tree::{differences, look};

/// A pack takes a second, a round is up to four.
const LIMIT: &str = "4 MB/s";
/// The smallest there is.
const PACK: u64 = 4 << 20;
/// A segment under way beside a pack, and what a pack may be larger than its target.
const SLACK: u64 = 1 << 20;

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

fn panicroom(args: &[&OsStr]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

struct Bed {
    dir: tempfile::TempDir,
    dice: Dice,
    /// Contents the vault gave back after the last kill, and the source that it met since.
    had: BTreeSet<Sha256>,
}

impl Bed {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("source")).unwrap();
        let mut bed = Self { dir, dice: Dice(seed), had: BTreeSet::new() };
        for n in 0..6 {
            bed.write(&format!("large/{n}"), 1_500_000);
        }
        for n in 0..300 {
            bed.write(&format!("small/{}/{n}", n % 7), 5_000);
        }
        bed
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }
    fn source(&self, name: &str) -> PathBuf {
        self.at("source").join(name)
    }

    fn write(&mut self, name: &str, most: u64) {
        let len = self.dice.below(most);
        let (path, bytes) = (self.source(name), self.dice.bytes(len));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Over a folder, or beneath a file: then not.
        let _ = fs::write(path, bytes);
    }

    fn any(&mut self) -> PathBuf {
        let all: Vec<TreePath> = look(&self.at("source")).into_keys().skip(1).collect();
        let at = usize::try_from(self.dice.below(all.len() as u64)).unwrap();
        all[at].as_path().to_owned()
    }

    /// A few edits; what cannot be done as things stand is not done.
    fn edit(&mut self) {
        // Enough to keep the uplink busy for most of a round: now and then everything becomes safe, often it does not.
        let n = self.dice.below(1000);
        self.write(&format!("large/again{n}"), 8_000_000);
        for _ in 0..=self.dice.below(6) {
            let one = self.any();
            match self.dice.below(7) {
                0 => {
                    let to = self.dice.below(1000);
                    let _ = fs::rename(one, self.source(&format!("moved{to}")));
                }
                1 if one.is_file() => fs::remove_file(one).unwrap(),
                2 => {
                    let (n, m) = (self.dice.below(7), self.dice.below(1000));
                    self.write(&format!("small/{n}/new{m}"), 5_000);
                }
                3 => {
                    let n = self.dice.below(1000);
                    self.write(&format!("large/new{n}"), 2_000_000);
                }
                4 if one.is_file() => {
                    let mut file = fs::File::options().write(true).open(&one).unwrap();
                    let (at, bytes) = (self.dice.below(1_000_000), self.dice.bytes(50));
                    file.seek(SeekFrom::Start(at)).unwrap();
                    file.write_all(&bytes).unwrap();
                }
                5 if one.is_file() => {
                    let n = self.dice.below(1000);
                    let _ = fs::hard_link(one, self.source(&format!("linked{n}")));
                }
                _ => {
                    let n = self.dice.below(1000);
                    let _ = std::os::unix::fs::symlink(one, self.source(&format!("pointer{n}")));
                }
            }
        }
    }

    fn start(&self) -> Child {
        let (source, home, file) = (self.at("source"), self.at("home"), self.at("words"));
        let args: [&OsStr; 10] = [
            "quickstart".as_ref(),
            source.as_ref(),
            "--home".as_ref(),
            home.as_ref(),
            "--words-file".as_ref(),
            file.as_ref(),
            "--http".as_ref(),
            "off".as_ref(),
            "--limit".as_ref(),
            LIMIT.as_ref(),
        ];
        panicroom(&args).spawn().unwrap()
    }

    /// Lets it run for a moment of chance and kills it.
    fn kill_after(&mut self, most_ms: u64) {
        let mut child = self.start();
        Stop::new().wait(Duration::from_millis(self.dice.below(most_ms)));
        assert!(child.try_wait().unwrap().is_none(), "the daemon ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn is_founded(&self) -> bool {
        self.at("home/config.toml").exists() && self.at("home/vault").join(VAULT_NAME).exists()
    }

    /// The very first start, killed early or not, until there is a vault. Packs are made small then.
    fn found(&mut self) {
        self.kill_after(60);
        while !self.is_founded() {
            self.kill_after(700);
        }
        let config = self.at("home/config.toml");
        let text = fs::read_to_string(&config).unwrap();
        let text = text.replace("[[vault]]", "[[vault]]\npack_size = \"4 MiB\"");
        fs::write(&config, text.replace("quiet = \"2s\"", "quiet = \"0s\"")).unwrap();
    }

    fn vault(&self) -> ReadVault {
        let mut objects = Objects::new();
        for entry in fs::read_dir(self.at("home/vault")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if Name::parse(&name).is_some() {
                objects.insert(name, fs::read(entry.path()).unwrap());
            }
        }
        let file = VaultFile::read(&objects[VAULT_NAME]).unwrap();
        let text = fs::read_to_string(self.at("words")).unwrap();
        let secret = words::parse(&text, file.id, &file.check).unwrap();
        ReadVault::open(objects, secret.open_keys(file.id))
    }

    /// After a kill: all that is named can be read, and what could be and still exists still can (promise 14).
    fn check_instant(&mut self) {
        let tree = self.vault().tree(NOW).unwrap();
        let there: BTreeSet<Sha256> = tree.values().filter_map(|t| t.content).collect();
        let source: BTreeSet<Sha256> = look(&self.at("source")).values().filter_map(|t| t.content).collect();
        let gone: Vec<_> = self.had.iter().filter(|c| source.contains(c) && !there.contains(c)).collect();
        assert!(gone.is_empty(), "contents that were safe and still exist cannot be restored: {gone:?}");
        self.had = there;
    }

    /// Lets one pass finish: bytes ever sent.
    fn finish(&self) -> u64 {
        let config = self.at("home/config.toml");
        let args: [&OsStr; 4] = ["--config".as_ref(), config.as_ref(), "--json".as_ref(), "backup".as_ref()];
        let output = panicroom(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        status["vaults"][0]["sent_bytes_total"].as_u64().unwrap()
    }

    /// Bytes of packs and segments in the vault.
    fn distinct(&self) -> u64 {
        let all = fs::read_dir(self.at("home/vault")).unwrap().map(|e| e.unwrap());
        let counts = all.filter(|e| {
            matches!(
                e.file_name().to_str().and_then(Name::parse),
                Some(Name::Pack(..) | Name::Segment(..) | Name::Merge(..))
            )
        });
        counts.map(|e| e.metadata().unwrap().len()).sum()
    }

    fn restored_by(&self, name: &str, mut command: Command) {
        let to = self.at(name);
        let output = command.arg("--to").arg(&to).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let source = self.at("source");
        assert_same(&to.join(source.strip_prefix("/").unwrap()), &source);
    }

    fn check_restored(&self) {
        let (vault, words) = (self.at("home/vault"), self.at("words"));
        let url = format!("file://{}", vault.display());
        let args: [&OsStr; 5] =
            ["restore".as_ref(), "--vault".as_ref(), url.as_ref(), "--key-file".as_ref(), words.as_ref()];
        self.restored_by("restored", panicroom(&args));
        let Some(python) = std::env::var_os("PANICROOM_PYTHON") else {
            eprintln!("the independent reader was not tried: PANICROOM_PYTHON is not set");
            return;
        };
        let mut rescue = Command::new(python);
        rescue.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rescue/panicroom-rescue.py"));
        rescue.arg("restore").arg(vault).arg("--key-file").arg(words);
        self.restored_by("rescued", rescue);
    }
}

fn rounds_of_kills(rounds: u64) {
    let drawn = || u64::from_le_bytes(random(&SystemEntropy));
    let seed = std::env::var("PANICROOM_KILL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(drawn);
    println!("{rounds} rounds; again with PANICROOM_KILL_SEED={seed}");
    let mut bed = Bed::new(seed);
    bed.found();
    for round in 0..rounds {
        bed.edit();
        bed.kill_after(4_000);
        bed.check_instant();
        println!("round {round}: {} contents are safe, {} bytes lie in the vault", bed.had.len(), bed.distinct());
    }
    let sent = bed.finish();
    let (distinct, under_way) = (bed.distinct(), rounds * (PACK + SLACK) + 2 * (25 << 20));
    println!("{sent} bytes were sent, {distinct} lie in the vault");
    assert!(sent <= distinct + under_way, "{sent} bytes were sent for {distinct} and {under_way} under way");
    let vault = bed.vault();
    let differing = differences(&vault.tree(NOW).unwrap(), &look(&bed.at("source")));
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert_eq!(vault.chunks_sent_twice(), [], "no chunk lies in the vault twice");
    bed.check_restored();
}

#[test]
fn a_few_kills_lose_nothing_and_send_nothing_twice() {
    rounds_of_kills(3);
}

#[test]
#[ignore = "takes minutes; tests/all runs it with PANICROOM_KILLS rounds"]
fn any_number_of_kills_loses_nothing_and_sends_nothing_twice() {
    rounds_of_kills(std::env::var("PANICROOM_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(20));
}
