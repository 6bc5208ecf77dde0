//! A machine of its own in a temporary folder: files, a configuration, a state folder and a folder vault, and the real
//! program to run on them.

use panicroom::clock::{Clock, Steady, SystemClock};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// As long as a slow machine may take for anything at all here; no test waits it out when all is well.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Owns nothing and may do nothing.
pub const NOBODY: u32 = 65534;

/// Bytes that do not compress, other ones for each seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = 0x9E37_79B9_7F4A_7C15_u64 ^ (seed << 32) ^ seed;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x.to_le_bytes()[3]
        })
        .collect()
}

static CLOCK: LazyLock<Arc<dyn Clock>> = LazyLock::new(SystemClock::shared);

/// Asks again and again until there is an answer, or panics with `otherwise`.
#[track_caller]
pub fn patiently<T>(mut ask: impl FnMut() -> Option<T>, otherwise: impl FnOnce() -> String) -> T {
    let begun: Steady = CLOCK.steady();
    while CLOCK.steady().since(begun) < PATIENCE {
        if let Some(answer) = ask() {
            return answer;
        }
        CLOCK.sleep(Duration::from_millis(50));
    }
    panic!("{}", otherwise())
}

pub struct Machine {
    dir: tempfile::TempDir,
    /// Whom the program runs as.
    user: Option<u32>,
    env: Vec<(String, String)>,
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(o: Output) -> Self {
        let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
        Self { code: o.status.code().unwrap_or(-1), out: text(o.stdout), err: text(o.stderr) }
    }
}

impl Ran {
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
    /// Somewhere on either stream.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text) || self.err.contains(text), "'{text}' is missing in {self:#?}");
        self
    }
    #[track_caller]
    pub fn says_not(self, text: &str) -> Self {
        assert!(!self.out.contains(text) && !self.err.contains(text), "'{text}' is in {self:#?}");
        self
    }
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A test that cannot run here says so.
pub fn skip(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {why}");
}

impl Machine {
    /// Ten files, a configuration, nothing started.
    pub fn bare() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap(), user: None, env: vec![] };
        fs::create_dir_all(machine.data().join("sub/deep")).unwrap();
        for n in 0..10_u8 {
            let folder = ["", "sub", "sub/deep"][usize::from(n % 3)];
            fs::write(machine.data().join(folder).join(format!("file{n}")), vec![n; 3000 * usize::from(n) + 1])
                .unwrap();
        }
        machine.configure("");
        machine
    }
    /// With its vault started.
    pub fn new() -> Self {
        let machine = Self::bare();
        machine.init();
        machine
    }
    /// Like [`Machine::new`], all of it owned and run by a user without rights. Root only.
    pub fn of_nobody() -> Self {
        let mut machine = Self::bare();
        machine.user = Some(NOBODY);
        fs::set_permissions(machine.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        // Where the tests are built may be closed to that user.
        fs::copy(env!("CARGO_BIN_EXE_panicroom"), machine.path("panicroom")).unwrap();
        machine.give_away();
        machine.init();
        machine
    }
    pub fn give_away(&self) {
        let status = Command::new("chown").arg("-R").arg(format!("{NOBODY}:{NOBODY}")).arg(self.path("")).status();
        assert!(status.unwrap().success());
    }
    pub fn init(&self) -> Ran {
        self.run(&["init", "--words-file", self.words().to_str().unwrap()]).exits(0)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        // The folder itself may be reached by a link (macOS, TMPDIR).
        self.dir.path().canonicalize().unwrap().join(name)
    }
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }
    pub fn vault(&self) -> PathBuf {
        self.path("vault")
    }
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }
    pub fn config(&self) -> PathBuf {
        self.path("config.toml")
    }
    pub fn words(&self) -> PathBuf {
        self.path("words")
    }
    pub fn catalog(&self) -> PathBuf {
        self.state().join("main/catalog.db")
    }

    /// Writes the configuration; `more` is put at its end.
    pub fn configure(&self, more: &str) {
        let (data, vault, state) = (self.data(), self.vault(), self.state());
        let text = format!(
            "[[root]]\npath = \"{}\"\nquiet = \"0s\"\n\n[[vault]]\nname = \"main\"\nurl = \"file://{}\"\n\n\
             [state]\ndir = \"{}\"\n\n[http]\nlisten = \"off\"\n{more}",
            data.display(),
            vault.display(),
            state.display()
        );
        fs::write(self.config(), text).unwrap();
    }
    pub fn set_env(&mut self, name: &str, value: impl Into<String>) {
        self.env.push((name.to_owned(), value.into()));
    }
    pub fn clear_env(&mut self) {
        self.env.clear();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = if self.user.is_some() { self.path("panicroom") } else { env!("CARGO_BIN_EXE_panicroom").into() };
        let mut command = Command::new(program);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.arg("--config").arg(self.config()).args(arguments).stdin(Stdio::null()).current_dir(self.path(""));
        command.env_remove("RUST_LOG").env_remove("JOURNAL_STREAM").env_remove("NOTIFY_SOCKET");
        command.envs(self.env.iter().map(|(a, b)| (a, b)));
        command
    }
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }
    pub fn backup(&self) -> Ran {
        self.run(&["backup"])
    }
    /// One pass whose status document says that all `files` files are safe.
    #[track_caller]
    pub fn all_safe(&self, files: u64) -> Value {
        let status = self.run(&["backup", "--json"]).exits(0).json();
        let root = &status["roots"][0];
        assert_eq!((&root["files"], &root["safe_files"]), (&files.into(), &files.into()), "{status:#}");
        assert_eq!(root["failed"], 0, "{status:#}");
        status
    }

    /// The daemon, until dropped.
    pub fn daemon(&self) -> Daemon<'_> {
        self.daemon_by(&["run"])
    }
    pub fn daemon_by(&self, arguments: &[&str]) -> Daemon<'_> {
        let log = self.path("log");
        let file = fs::File::create(&log).unwrap();
        let child = self.command(arguments).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Daemon { machine: self, child, log }
    }

    /// Everything in the vault, by name, with sizes.
    pub fn objects(&self) -> Vec<(String, u64)> {
        objects(&self.vault())
    }
    pub fn segments(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = self
            .objects()
            .into_iter()
            .filter(|o| o.0.starts_with("meta_log_"))
            .map(|o| self.vault().join(o.0))
            .collect();
        found.sort();
        found
    }
}

pub fn objects(vault: &Path) -> Vec<(String, u64)> {
    let mut found: Vec<(String, u64)> = fs::read_dir(vault)
        .map(|entries| {
            entries
                .map(|e| e.unwrap())
                .map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len()))
                .collect()
        })
        .unwrap_or_default();
    found.sort();
    found
}

/// Sent to a vault ever, as its status says.
pub fn sent(status: &Value) -> u64 {
    status["vaults"][0]["sent_bytes_total"].as_u64().unwrap()
}

/// Bytes of all packs of a vault.
pub fn packs(objects: &[(String, u64)]) -> Vec<&(String, u64)> {
    objects.iter().filter(|o| o.0.starts_with("data_") || o.0.starts_with("hot_")).collect()
}

pub struct Daemon<'a> {
    machine: &'a Machine,
    pub child: Child,
    log: PathBuf,
}

impl Daemon<'_> {
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
    /// Its status once it answers.
    #[track_caller]
    pub fn status(&mut self) -> Value {
        self.until("an answer", |_| true)
    }
    /// Asks until the status is as wanted.
    #[track_caller]
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let (last, log) = (std::cell::RefCell::new(Value::Null), self.log.clone());
        let log = || fs::read_to_string(&log).unwrap_or_default();
        let found = patiently(
            || {
                let ran = self.machine.run(&["status", "--json"]);
                if let Ok(status) = serde_json::from_str::<Value>(&ran.out) {
                    if wanted(&status) {
                        return Some(Ok(status));
                    }
                    last.replace(status);
                }
                let ended = self.child.try_wait().unwrap();
                ended.map(|e| Err(format!("waiting for {what}: the daemon ended with {e}: {}", log())))
            },
            || format!("waiting for {what} in vain: {:#}\n{}", last.borrow(), log()),
        );
        found.unwrap_or_else(|e| panic!("{e}"))
    }
    #[track_caller]
    pub fn until_safe(&mut self, files: u64) -> Value {
        self.until("all to be safe", |s| {
            let root = &s["roots"][0];
            root["files"] == files && root["safe_files"] == files && root["dirty"] == 0 && s["state"] == "idle"
        })
    }
    /// Waits for its end.
    #[track_caller]
    pub fn ends(mut self) -> Ran {
        let log = self.log();
        let ended = patiently(|| self.child.try_wait().unwrap(), || format!("the daemon does not end: {log}"));
        Ran { code: ended.code().unwrap_or(-1), out: self.log(), err: String::new() }
    }
    /// Asks it to stop as systemd does.
    #[track_caller]
    pub fn stop(self) -> Ran {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.ends()
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file system mounted beneath a machine, until dropped. None where mounting is not allowed.
pub struct Mounted(PathBuf);

impl Mounted {
    pub fn tmpfs(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        done.is_ok_and(|o| o.status.success()).then(|| Self(at.to_owned()))
    }
    pub fn overlay(at: &Path, options: &str) -> Option<Self> {
        let done = Command::new("mount").args(["-t", "overlay", "-o", options, "overlay"]).arg(at).output();
        done.is_ok_and(|o| o.status.success()).then(|| Self(at.to_owned()))
    }
    /// A new file system of `bytes` in a file.
    pub fn ext4(at: &Path, image: &Path, bytes: u64) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        fs::File::create(image).unwrap().set_len(bytes).unwrap();
        let does = |command: &mut Command| command.output().is_ok_and(|o| o.status.success());
        let made = does(Command::new("mkfs.ext4").args(["-q", "-F", "-O", "^has_journal"]).arg(image));
        (made && does(Command::new("mount").args(["-o", "loop"]).args([image, at]))).then(|| Self(at.to_owned()))
    }
    pub fn unmount(self) {
        drop(self);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
