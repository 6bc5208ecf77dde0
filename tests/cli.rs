//! The command line as people meet it: the real program, its words, its exit codes.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;

use machine::{Machine, Mounted, Ran, patiently, skip};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Runs `panicroom quickstart` in a folder of its own.
struct Quick {
    machine: Machine,
}

impl Quick {
    fn new() -> Self {
        Self { machine: Machine::bare() }
    }
    fn home(&self) -> PathBuf {
        self.machine.path("home dir")
    }
    fn data(&self) -> String {
        self.machine.data().display().to_string()
    }
    fn words(&self) -> String {
        self.machine.words().display().to_string()
    }
    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
        command.args(["quickstart", &self.data(), "--home", self.home().to_str().unwrap(), "--http", "off"]).args(more);
        command.stdin(Stdio::null()).current_dir(self.machine.path("")).env_remove("RUST_LOG");
        command
    }
    fn run(&self, more: &[&str]) -> Ran {
        self.command(more).output().unwrap().into()
    }
    fn start(&self, more: &[&str]) -> Running {
        let log = self.machine.path("quick.log");
        let file = fs::File::create(&log).unwrap();
        let child = self.command(more).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Running { child, log }
    }
    fn config(&self) -> PathBuf {
        self.home().join("config.toml")
    }
    fn ask(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
        command.arg("--config").arg(self.config()).args(arguments).output().unwrap().into()
    }
    fn status(&self) -> Option<Value> {
        serde_json::from_str(&self.ask(&["status", "--json"]).out).ok()
    }
}

struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
    /// Waits until it has said this.
    #[track_caller]
    fn until(&mut self, text: &str) -> String {
        let found = patiently(
            || match self.said() {
                said if said.contains(text) => Some(Ok(said)),
                said => self.child.try_wait().unwrap().map(|e| Err(format!("it ended with {e}: {said}"))),
            },
            || format!("waited in vain for '{text}'"),
        );
        found.unwrap_or_else(|e| panic!("waiting for '{text}': {e}"))
    }
    #[track_caller]
    fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let ended = patiently(|| self.child.try_wait().unwrap(), || "it does not stop".to_owned());
        assert_eq!(ended.code(), Some(0), "{}", self.said());
        self.said()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
    command.args(arguments).stdin(Stdio::null()).env_remove("PANICROOM_CONFIG").output().unwrap().into()
}

// --- quickstart --------------------------------------------------------------------------------------------------

#[test]
fn quickstart_protects_a_folder_and_the_command_it_prints_brings_everything_back() {
    let quick = Quick::new();
    let mut running = quick.start(&["--words-file", "words"]);
    let said = running.until("panicroom --config");
    // The machine's folders all lie on one disk.
    assert!(said.contains("copied, but on the same disk: a fire takes both"), "{said}");
    let status = quick.status().unwrap();
    assert_eq!(status["mood"], "warning", "amber, never green: {status:#}");
    let words = fs::read_to_string(quick.machine.words()).unwrap();
    let words: Vec<&str> = words.split_whitespace().filter(|w| !w.ends_with('.')).collect();
    assert_eq!(words.len(), 24);
    // One alone may well be among the program's own words; three in a row are not.
    let shown: Vec<&str> = said.split_whitespace().filter(|w| !w.ends_with('.')).collect();
    let is_shown = shown.windows(3).any(|three| words.windows(3).any(|of_words| three == of_words));
    assert!(!is_shown, "words in a file are not shown: {said}");
    running.stop();
    // Exactly as printed, by a shell, on a machine that knows nothing.
    let line = said.lines().find(|l| l.trim().starts_with("panicroom restore")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let line = line.trim().replacen("panicroom", env!("CARGO_BIN_EXE_panicroom"), 1);
    let ran: Ran = Command::new("sh")
        .args(["-c", &line])
        .current_dir(elsewhere.path())
        .env("XDG_CACHE_HOME", elsewhere.path().join("cache"))
        .output()
        .unwrap()
        .into();
    let ran = ran.exits(0);
    let back = elsewhere.path().join("restored").join(quick.data().trim_start_matches('/'));
    let same = Command::new("diff").arg("-r").arg(quick.data()).arg(&back).output().unwrap();
    assert!(same.status.success(), "{ran:#?} {same:#?}");
    // And the other command it printed goes on.
    let config = said.lines().find(|l| l.trim().starts_with("panicroom --config")).unwrap();
    assert!(config.contains(&format!("'{}'", quick.config().display())), "quoted, for its name has a space: {config}");
}

#[test]
fn a_second_quickstart_continues_and_takes_what_is_new() {
    let quick = Quick::new();
    let words = quick.words();
    let mut running = quick.start(&["--words-file", &words]);
    running.until("a fire takes both");
    running.stop();
    let before = fs::read_to_string(&words).unwrap();
    fs::write(Path::new(&quick.data()).join("new"), "since").unwrap();
    // With the words file of this vault, and without any: nothing is started anew.
    for more in [&["--words-file", &words][..], &[]] {
        let mut running = quick.start(more);
        let said = running.until("11 files copied");
        assert!(!said.contains("Started vault"), "{said}");
        running.stop();
    }
    assert_eq!(fs::read_to_string(&words).unwrap(), before);
    assert_eq!(
        fs::read_dir(quick.home().join("vault"))
            .unwrap()
            .filter(|e| { e.as_ref().unwrap().file_name().to_string_lossy().starts_with("meta_vault") })
            .count(),
        1
    );
}

#[test]
fn quickstart_never_touches_a_words_file_that_is_not_this_vaults() {
    let quick = Quick::new();
    fs::write(quick.machine.words(), "my shopping list").unwrap();
    quick.run(&["--words-file", &quick.words()]).exits(4).says("a file is there already").says("name another one");
    assert_eq!(fs::read_to_string(quick.machine.words()).unwrap(), "my shopping list");
    let good = quick.machine.path("good").display().to_string();
    let mut running = quick.start(&["--words-file", &good]);
    running.until("a fire takes both");
    running.stop();
    quick.run(&["--words-file", &quick.words()]).exits(2).says("not the one of this vault");
    assert_eq!(fs::read_to_string(quick.machine.words()).unwrap(), "my shopping list");
}

#[test]
fn the_words_are_never_lost_in_a_pipe() {
    let quick = Quick::new();
    let ran = quick.run(&[]).exits(2).says("this is no terminal").says("--words-file");
    assert!(!quick.home().join("vault").exists(), "{ran:#?}");
    // And then it is done right.
    let mut running = quick.start(&["--words-file", &quick.words()]);
    running.until("a fire takes both");
    running.stop();
}

#[test]
fn in_a_terminal_the_words_are_shown_once_and_a_line_shows_how_it_goes() {
    let quick = Quick::new();
    let log = quick.machine.path("typescript");
    let inner = format!(
        "{} quickstart {} --home '{}' --http off",
        env!("CARGO_BIN_EXE_panicroom"),
        quick.data(),
        quick.home().display()
    );
    let script =
        Command::new("script").args(["-qefc", &inner]).arg(&log).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let Ok(script) = script else { return skip("a terminal", "script (util-linux) is missing") };
    let mut running = Running { child: script, log };
    let said = running.until("panicroom --config");
    assert!(said.contains(" 1. ") && said.contains("24. "), "{said}");
    assert!(said.contains("it asks for the words"), "{said}");
    assert!(said.contains('%'), "a live line: {said}");
    let Ok(pid) = fs::read_to_string(quick.home().join("state/lock")) else { panic!("no daemon") };
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = patiently(|| running.child.try_wait().unwrap(), || "it does not stop".to_owned());
    assert!(ended.success(), "{}", running.said());
    // Shown once: a second start does not know them. (One alone may well be among its own words.)
    let mut again = quick.start(&[]);
    let said = again.until("a fire takes both");
    assert!(!said.contains(" 1. ") && !said.contains("24. "), "{said}");
    again.stop();
}

#[test]
fn a_vault_on_another_disk_is_not_amber_once_its_sheet_was_checked() {
    let quick = Quick::new();
    let at = quick.machine.path("other disk");
    let Some(_disk) = Mounted::tmpfs(&at, "size=16m,mode=700") else {
        return skip("another disk", "mounting is not allowed here");
    };
    let url = format!("file://{}/vault", at.display().to_string().replace(' ', "%20"));
    let mut running = quick.start(&["--words-file", &quick.words(), "--vault", &url]);
    let said = running.until("panicroom --config");
    assert!(said.contains("Everything is safe: 10 files"), "{said}");
    assert!(said.contains("but the recovery sheet was never checked"), "{said}");
    // As it is printed, and the words from their file.
    let advice = said.split('\'').find(|part| part.ends_with("key check")).unwrap();
    assert!(advice.starts_with("panicroom --config "), "{advice}");
    quick.ask(&["key", "check", "--key-file", &quick.words()]).exits(0).says("Right: ");
    let good = || quick.status().filter(|s| s["mood"] == "good");
    patiently(good, || format!("still amber: {:#?}", quick.status()));
    running.stop();
}

#[test]
fn the_command_that_amber_asks_for_adds_a_vault() {
    let quick = Quick::new();
    let mut running = quick.start(&["--words-file", &quick.words()]);
    let said = running.until("panicroom --config");
    assert!(said.contains("init --vault s3://BUCKET/PREFIX"), "{said}");
    let at = quick.machine.path("other");
    let url = format!("file://{}/vault", at.display());
    let more = quick.machine.path("more-words").display().to_string();
    // Not while the daemon is at work.
    quick.ask(&["init", "--vault", &url, "--words-file", &more]).exits(4).says("another panicroom has it");
    running.stop();
    let Some(_disk) = Mounted::tmpfs(&at, "size=16m,mode=700") else {
        return skip("another disk", "mounting is not allowed here");
    };
    quick.ask(&["init", "--vault", &url, "--words-file", &more]).exits(0).says("Started vault");
    quick.ask(&["init", "--vault", &url]).exits(0).says("nothing to do");
    quick.ask(&["backup"]).exits(0).says("Everything is safe: 10 files").says("vault vault2");
}

#[test]
fn quickstart_keeps_a_limit_and_a_port_that_is_taken_stops_nothing() {
    let quick = Quick::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
    let log = quick.machine.path("quick.log");
    let file = fs::File::create(&log).unwrap();
    let child = command
        .args(["quickstart", &quick.data(), "--home", quick.home().to_str().unwrap(), "--http", &address])
        .args(["--limit", "80 Mbit/s", "--words-file", &quick.words()])
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let mut running = Running { child, log };
    let said = running.until("a fire takes both");
    assert!(said.contains("the backup runs without it"), "{said}");
    assert_eq!(quick.status().unwrap()["limit_bytes_per_s"], 10_000_000);
    running.stop();
    // A second start without the flag keeps it.
    let mut running = quick.start(&[]);
    running.until("a fire takes both");
    assert_eq!(quick.status().unwrap()["limit_bytes_per_s"], 10_000_000);
    running.stop();
}

#[test]
fn quickstart_refuses_what_it_cannot_protect() {
    let quick = Quick::new();
    let home = quick.home().display().to_string();
    let start = |dir: &str, more: &[&str]| {
        program(&[&["quickstart", dir, "--home", &home, "--words-file", &quick.words()], more].concat())
    };
    start("/nowhere/at/all", &[]).exits(2).says("not a folder");
    start(&quick.data(), &["--limit", "fast"]).exits(2).says("fast");
    start(&quick.data(), &["--http", "here"]).exits(2).says("127.0.0.1:8420");
    start(&quick.data(), &["--vault", "ftp://x"]).exits(2).says("begins with file:/// or s3://");
    assert!(!quick.config().exists());
    let mut running = quick.start(&["--words-file", &quick.words()]);
    running.until("a fire takes both");
    running.stop();
    let other = tempfile::tempdir().unwrap();
    start(other.path().to_str().unwrap(), &[]).exits(2).says("--home");
}

#[test]
fn quickstart_of_the_folder_that_holds_its_own_home_captures_nothing_of_its_own() {
    let machine = Machine::bare();
    let home = machine.data().join(".local/share/panicroom");
    let log = machine.path("quick.log");
    let file = fs::File::create(&log).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_panicroom"))
        .args(["quickstart", machine.data().to_str().unwrap(), "--http", "off"])
        .args(["--words-file", machine.words().to_str().unwrap()])
        .env("XDG_DATA_HOME", machine.data().join(".local/share"))
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let mut running = Running { child, log };
    running.until("10 files copied");
    let ran: Ran = Command::new(env!("CARGO_BIN_EXE_panicroom"))
        .arg("--config")
        .arg(home.join("config.toml"))
        .arg("explain")
        .arg(home.join("vault/meta_vault"))
        .output()
        .unwrap()
        .into();
    ran.exits(0).says("own");
    running.stop();
}

// --- the other commands ------------------------------------------------------------------------------------------

#[test]
fn usage_mistakes_exit_2_and_help_exits_0() {
    program(&["nonsense"]).exits(2);
    program(&[]).exits(2);
    program(&["restore"]).exits(2).says("--to");
    program(&["--help"]).exits(0).says("quickstart");
    program(&["--version"]).exits(0).says(env!("CARGO_PKG_VERSION"));
    program(&["status", "--config", "/nowhere/config.toml"]).exits(2).says("panicroom quickstart");
}

#[test]
fn completions_and_the_manual_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        program(&["completions", shell]).exits(0).says("quickstart").says("restore");
    }
    let page =
        program(&["man"]).exits(0).says(".TH panicroom 1").says("EXIT STATUS").says("quickstart").says("restore");
    assert!(!page.out.contains("panicroom\\-quickstart(1)"), "no page that is not there is named");
}

#[test]
fn status_pause_resume_limit_rescan_and_explain_reach_the_daemon() {
    let machine = Machine::new();
    machine.run(&["status"]).exits(4).says("is panicroom running");
    let mut daemon = machine.daemon();
    daemon.until_safe(10);
    machine.run(&["status"]).exits(0).says("10 of 10 files safe");
    machine.run(&["pause"]).exits(0);
    machine.run(&["status"]).exits(0).says("Paused");
    fs::write(machine.data().join("new"), "waits").unwrap();
    machine.run(&["resume"]).exits(0);
    daemon.until_safe(11);
    machine.run(&["limit", "2 Mbit/s"]).exits(0);
    assert_eq!(daemon.status()["limit_bytes_per_s"], 250_000);
    machine.run(&["limit", "fast"]).exits(2);
    machine.run(&["limit", "none"]).exits(0);
    assert_eq!(daemon.status()["limit_bytes_per_s"], Value::Null);
    machine.run(&["rescan"]).exits(0);
    daemon.until_safe(11);
    let path = machine.data().join("new").display().to_string();
    machine.run(&["explain", &path]).exits(0).says("included").says("is safe");
    machine.run(&["explain", "/proc/self"]).exits(0).says("no watched folder");
    let out = machine.path("planned").display().to_string();
    machine.run(&["restore", "--plan", "--to", &out]).exits(0).says("11 files");
    daemon.stop().exits(0).says_not("panic");
}

#[test]
fn a_limit_of_a_vaults_own_is_said_wherever_the_limit_is() {
    let machine = Machine::bare();
    machine.configure("");
    let text = fs::read_to_string(machine.config()).unwrap();
    fs::write(machine.config(), text.replace("name = \"main\"\n", "name = \"main\"\nlimit = \"400 kB/s\"\n")).unwrap();
    machine.init();
    let own = "Vault main keeps its own limit of 400 kB/s.";
    let mut daemon = machine.daemon();
    daemon.until_safe(10);
    machine.run(&["limit"]).exits(0).says("No limit, as configured.").says(own);
    machine.run(&["limit", "none"]).exits(0).says("No limit from now on, as ordered.").says(own);
    machine.run(&["status"]).exits(0).says(own);
    let status = daemon.status();
    assert_eq!(status["vaults"][0]["limit_bytes_per_s"], 400_000);
    assert_eq!(status["uplink"]["own_limits"][0], own);
    machine.run(&["limit", "100 kB/s"]).exits(0).says("At most 100 kB/s").says_not("its own limit");
    machine.run(&["limit", "1 MB/s"]).exits(0).says("At most 1.00 MB/s").says(own);
    daemon.stop().exits(0);
}

#[test]
fn manners_are_told_of_a_bucket_and_not_of_a_folder() {
    let machine = Machine::new();
    let mut daemon = machine.daemon();
    let status = daemon.until_safe(10);
    assert_eq!(status["vaults"][0]["manners"], Value::Null, "a folder has nobody to give way to");
    assert!(status["vaults"][0]["wire"]["sent_bytes"].as_u64() > Some(0), "{:#}", status["vaults"]);
    daemon.stop().exits(0);
    // Nothing listens there: what is said does not rest on an answer.
    let text = fs::read_to_string(machine.config()).unwrap();
    let folder = format!("url = \"file://{}\"", machine.vault().display());
    let bucket = "url = \"s3://box/nas?region=us-east-1&endpoint=http://127.0.0.1:1&path_style=true\"";
    let text = text.replace(&folder, bucket);
    for (polite, state, said) in [
        ("true", "on", "nothing is being sent; it begins with at most 32.0 kB/s"),
        ("false", "off", "Polite is off, as configured"),
    ] {
        fs::write(machine.config(), format!("{text}[uplink]\npolite = {polite}\n")).unwrap();
        let mut daemon = machine.daemon();
        let status = daemon.until("an answer", |_| true);
        let manners = &status["vaults"][0]["manners"];
        assert_eq!(manners["state"], state, "{manners:#}");
        assert!(manners["text"].as_str().unwrap().contains(said), "{manners:#}");
        assert_eq!(manners["delay_ms"], Value::Null);
    }
}

#[test]
fn promise_7_a_limit_set_while_running_stands_after_a_restart() {
    let machine = Machine::new();
    let mut daemon = machine.daemon();
    daemon.until_safe(10);
    machine.run(&["limit", "1 MB/s"]).exits(0);
    machine.run(&["pause"]).exits(0);
    daemon.stop().exits(0);
    let mut daemon = machine.daemon();
    let status = daemon.until("the vault to be open", |s| s["vaults"][0]["state"] == "paused");
    assert_eq!(status["limit_bytes_per_s"], 1_000_000);
    daemon.stop().exits(0);
}
