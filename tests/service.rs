//! The daemon as a service: what it tells systemd, how it stops, whom it alarms; and the real unit in a systemd that
//! was booted for it.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;

use machine::{Machine, Mounted, is_root, noise, patiently, skip};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Plays systemd's end of the notify socket.
struct Notified(UnixDatagram);

impl Notified {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        Self(socket)
    }
    #[track_caller]
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut heard = vec![];
        patiently(
            || {
                let mut buffer = [0; 4096];
                let n = self.0.recv(&mut buffer).ok()?;
                let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                heard.push(text.clone());
                text.lines().any(|l| l == wanted).then_some(())
            },
            || format!("{wanted} never came"),
        );
        heard
    }
}

#[test]
fn systemd_is_told_ready_then_alive_then_stopping_and_a_term_ends_it_in_order() {
    let mut machine = Machine::new();
    let socket = machine.path("notify");
    let systemd = Notified::at(&socket);
    machine.set_env("NOTIFY_SOCKET", socket.to_str().unwrap());
    machine.set_env("WATCHDOG_USEC", "10000000");
    let mut daemon = machine.daemon_by(&["run"]);
    let heard = systemd.until("READY=1");
    assert_eq!(heard.len(), 1, "ready comes first: {heard:?}");
    systemd.until("WATCHDOG=1");
    systemd.until("WATCHDOG=1");
    daemon.until_safe(10);
    let pid = rustix::process::Pid::from_child(&daemon.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    systemd.until("STOPPING=1");
    let ran = daemon.ends().exits(0);
    assert!(!ran.out.contains("panicked"), "{ran:#?}");
    assert!(!machine.state().join("socket").exists(), "its socket goes with it");
}

#[test]
fn a_term_in_the_middle_of_a_first_backup_ends_it_soon_and_nothing_is_lost() {
    let mut machine = Machine::new();
    fs::write(machine.data().join("big"), vec![7; 64 << 20]).unwrap();
    // A limit that keeps it busy for hours; what is waited for must not be the upload.
    let text = fs::read_to_string(machine.config()).unwrap();
    fs::write(machine.data().join("noise"), noise(0, 4 << 20)).unwrap();
    fs::write(machine.config(), format!("{text}\n[uplink]\nlimit = \"1 kB/s\"\n")).unwrap();
    let socket = machine.path("notify");
    let systemd = Notified::at(&socket);
    machine.set_env("NOTIFY_SOCKET", socket.to_str().unwrap());
    let mut daemon = machine.daemon();
    systemd.until("READY=1");
    daemon.until("something to be sent", |s| s["vaults"][0]["spool_bytes"].as_u64() > Some(0));
    let ran = daemon.stop().exits(0);
    assert!(!ran.out.contains("panicked"), "{ran:#?}");
    machine.clear_env();
    fs::write(machine.config(), text).unwrap();
    machine.all_safe(12);
}

// --- alarms ------------------------------------------------------------------------------------------------------

/// A machine whose alert command writes down what it was told.
fn alarmed() -> (Machine, PathBuf) {
    let machine = Machine::bare();
    let told = machine.path("told");
    machine.configure(&format!(
        "[alert]\ncommand = 'printf \"%s: %s\\n\" \"$PANICROOM_EVENT\" \"$PANICROOM_TEXT\" >> {}'\n",
        told.display()
    ));
    machine.init();
    (machine, told)
}

#[track_caller]
fn until_told(told: &Path, text: &str) -> String {
    let read = || fs::read_to_string(told).unwrap_or_default();
    patiently(|| Some(read()).filter(|t| t.contains(text)), || format!("never told '{text}': {}", read()))
}

#[test]
fn promise_3_a_root_that_vanishes_is_told() {
    let (machine, told) = alarmed();
    let mut daemon = machine.daemon();
    daemon.until_safe(10);
    assert!(!told.exists(), "nothing to tell while all is well");
    fs::rename(machine.data(), machine.path("elsewhere")).unwrap();
    let said = until_told(&told, "alarm: ");
    assert!(said.contains(machine.data().to_str().unwrap()) && said.contains("cannot be read"), "{said}");
    machine.run(&["status"]).exits(1).says("cannot be read");
    let status = daemon.status();
    assert_eq!((&status["mood"], &status["state"]), (&"alarm".into(), &"attention".into()));
    daemon.stop().exits(0);
}

#[test]
#[ignore = "an alarm counts as over after a minute: takes two"]
fn that_all_is_well_again_is_told_too() {
    let (machine, told) = alarmed();
    let mut daemon = machine.daemon();
    daemon.until_safe(10);
    fs::rename(machine.data(), machine.path("elsewhere")).unwrap();
    until_told(&told, "alarm: ");
    fs::rename(machine.path("elsewhere"), machine.data()).unwrap();
    daemon.until_safe(10);
    let said = until_told(&told, "recovered: ");
    assert!(said.contains("All is well again"), "{said}");
    assert_eq!(said.matches("alarm: ").count(), 1, "{said}");
    daemon.stop().exits(0);
}

#[test]
fn a_refused_vault_is_told() {
    let (machine, told) = alarmed();
    machine.all_safe(10);
    fs::rename(machine.vault(), machine.path("unplugged")).unwrap();
    let mut daemon = machine.daemon();
    let said = until_told(&told, "alarm: ");
    assert!(said.contains("vault main"), "{said}");
    machine.run(&["status"]).exits(1);
    // And it goes on by itself once the disk is back.
    fs::rename(machine.path("unplugged"), machine.vault()).unwrap();
    daemon.until_safe(10);
    daemon.stop().exits(0);
}

// --- the unit ----------------------------------------------------------------------------------------------------

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_unit_is_one_that_systemd_understands() {
    let dir = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(repository().join("systemd/panicroom.service")).unwrap();
    // The program lies elsewhere here, and so does the manual.
    let unit = unit.replace("/usr/bin/panicroom", "/bin/true").replace("Documentation=man:panicroom(1)\n", "");
    fs::write(dir.path().join("panicroom.service"), unit).unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").arg(dir.path().join("panicroom.service")).output();
    let Ok(verified) = verified else { return skip("the unit", "systemd-analyze is missing") };
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let mine: Vec<&str> = said.lines().filter(|l| l.contains("panicroom.service")).collect();
    // Older systemds do not know the growing pause yet; the unit says so.
    let known = |l: &&&str| !l.contains("RestartSteps") && !l.contains("RestartMaxDelaySec");
    assert!(verified.status.success() && mine.iter().filter(known).count() == 0, "{said}");
}

#[test]
fn what_the_unit_says_of_credentials_is_what_the_program_reads() {
    for file in ["systemd/panicroom.service", "config/example.toml"] {
        let text = fs::read_to_string(repository().join(file)).unwrap();
        assert!(text.contains("LoadCredential=aws-cloud:/"), "{file}: the credential of vault 'cloud' is 'aws-cloud'");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("aws-cloud"), "").unwrap();
    let found = panicroom::store::s3::Credentials::of_vault("cloud", None, Some(dir.path()));
    assert_eq!(found, panicroom::store::s3::Credentials::File(dir.path().join("aws-cloud")));
}

/// What is done inside the booted system; each line of its result is `ok WHAT` or `FAILED WHAT`.
const TRIAL: &str = include_str!("support/service_trial.sh");

#[test]
#[ignore = "boots a systemd of its own: root, systemd-nspawn and overlay mounts"]
fn the_real_unit_works_in_a_booted_systemd() {
    if !is_root() || Command::new("systemd-nspawn").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skip("a booted systemd", "it takes root and systemd-nspawn (Debian package systemd-container)");
    }
    let dir = tempfile::tempdir().unwrap();
    let layers = dir.path().join("layers");
    // This very system, with everything that is written to it kept in memory.
    let Some(_memory) = Mounted::tmpfs(&layers, "size=1g,mode=755") else {
        return skip("a booted systemd", "mounting is not allowed here");
    };
    for name in ["upper", "work", "root", "share"] {
        fs::create_dir(layers.join(name)).unwrap();
    }
    let root = layers.join("root");
    let options = format!("lowerdir=/,upperdir={0}/upper,workdir={0}/work", layers.display());
    let Some(_overlay) = Mounted::overlay(&root, &options) else {
        return skip("a booted systemd", "overlay mounts are not allowed here");
    };
    let share = layers.join("share");
    fs::copy(env!("CARGO_BIN_EXE_panicroom"), share.join("panicroom")).unwrap();
    fs::write(share.join("trial.sh"), TRIAL).unwrap();
    fs::set_permissions(share.join("trial.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let _ = fs::remove_file(root.join("etc/machine-id"));
    fs::write(
        root.join("etc/systemd/system/trial.service"),
        "[Unit]\nAfter=basic.target dbus.socket\n[Service]\nType=oneshot\nExecStart=/share/trial.sh\n\
         StandardOutput=append:/share/log\nStandardError=append:/share/log\n",
    )
    .unwrap();
    let booted = Command::new("timeout")
        .args(["300", "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--boot"])
        .arg(format!("--machine=panicroom-trial-{}", std::process::id()))
        .arg("--directory")
        .arg(&root)
        .arg(format!("--bind={}:/share", share.display()))
        .arg(format!("--bind-ro={}:/source", repository().display()))
        .args(["systemd.unit=basic.target", "systemd.wants=trial.service"])
        // Where the host still has the old control groups, the guest must be told.
        .env(
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY",
            if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { "1" } else { "0" },
        )
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let read = |name: &str| fs::read_to_string(share.join(name)).unwrap_or_default();
    let (result, log) = (read("result"), read("log"));
    let console = String::from_utf8_lossy(&booted.stdout).into_owned();
    assert!(result.lines().last() == Some("over"), "it did not come to its end: {result}\n{log}\n{console}");
    assert!(!result.contains("FAILED"), "{result}\n{log}");
    eprintln!("{result}");
}
