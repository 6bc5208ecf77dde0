//! An S3 vault as people meet it: the real program against a real server (SeaweedFS), from the first command to the
//! restore on a machine that knows nothing. Needs `PANICROOM_PYTHON`; without it the tests say so and check nothing.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;
#[path = "support/portable.rs"]
mod portable;
#[path = "support/servers.rs"]
mod servers;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod tree;

use machine::{Machine, Ran, patiently};
use portable::assert_same;
use serde_json::Value;
use servers::Server;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where the program finds its keys.
#[derive(Clone, Copy, PartialEq)]
enum Keys {
    Environment,
    SharedFile,
    /// Only what its configuration names.
    Nowhere,
}

/// The program on a machine whose only knowledge of the server is `keys`.
fn program(server: &Server, keys: Keys, machine: &Machine) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
    command.stdin(Stdio::null()).current_dir(machine.path(""));
    for name in ["RUST_LOG", "JOURNAL_STREAM", "PANICROOM_CONFIG", "PANICROOM_KEY_FILE", "AWS_PROFILE"] {
        command.env_remove(name);
    }
    command.env("HOME", machine.path("nobody's home")).env("XDG_CACHE_HOME", machine.path("cache"));
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    match keys {
        Keys::Environment => {
            let text = fs::read_to_string(server.credentials()).unwrap();
            let value = |name: &str| text.lines().find_map(|l| l.strip_prefix(&format!("{name} = "))).unwrap();
            command.env("AWS_ACCESS_KEY_ID", value("aws_access_key_id"));
            command.env("AWS_SECRET_ACCESS_KEY", value("aws_secret_access_key"));
        }
        Keys::SharedFile => drop(command.env("AWS_SHARED_CREDENTIALS_FILE", server.credentials())),
        Keys::Nowhere => {}
    }
    command
}

struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let file = fs::File::create(&log).unwrap();
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { child, log }
    }
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
    #[track_caller]
    fn until(&mut self, text: &str) -> String {
        let log = self.log.clone();
        let said = || fs::read_to_string(&log).unwrap_or_default();
        patiently(
            || {
                let said = said();
                let ended = self.child.try_wait().unwrap();
                assert!(ended.is_none() || said.contains(text), "waiting for '{text}': it ended: {said}");
                said.contains(text).then_some(said)
            },
            || format!("waited in vain for '{text}': {}", fs::read_to_string(&log).unwrap_or_default()),
        )
    }
    #[track_caller]
    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let ended = patiently(|| self.child.try_wait().unwrap(), || "it does not stop".to_owned());
        assert_eq!(ended.code(), Some(0), "{}", self.said());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn back(machine: &Machine, out: &Path) -> PathBuf {
    out.join(machine.data().strip_prefix("/").unwrap())
}

/// Head and body of a page, by a client that knows nothing of us.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn quickstart_into_a_bucket_becomes_safe_and_the_command_it_prints_brings_everything_back() {
    let Some(server) = Server::seaweedfs() else { return };
    // A name with dots too: it can only be reached by path.
    server.make_bucket("nas.of.tests");
    let machine = Machine::bare();
    let url = format!("s3://nas.of.tests/a/prefix?{}", server.query());
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let home = machine.path("home dir");
    let start = |more: &[&str]| {
        let mut command = program(&server, Keys::Environment, &machine);
        command.arg("quickstart").arg(machine.data()).arg("--home").arg(&home).args(["--http", &address]).args(more);
        Running::start(command, machine.path("quick.log"))
    };
    let mut running = start(&["--words-file", "words", "--vault", &url]);
    let said = running.until("panicroom --config");
    assert!(said.contains("Everything is safe: 10 files"), "{said}");
    assert!(!said.contains("a fire takes both") && said.contains("Started vault"), "{said}");
    let mut ask = program(&server, Keys::Nowhere, &machine);
    let ran = Ran::from(ask.arg("--config").arg(home.join("config.toml")).args(["status", "--json"]).output().unwrap());
    let status: Value = ran.exits(0).json();
    assert_eq!((&status["mood"], &status["roots"][0]["safe_files"]), (&"warning".into(), &10.into()), "{status:#}");
    assert_eq!(status["vaults"][0]["sheet_due"], true, "amber for the sheet alone: {status:#}");
    let vault = &status["vaults"][0];
    let bytes = |value: &Value| value.as_u64().unwrap_or(0);
    assert!(bytes(&vault["wire"]["sent_bytes"]) > bytes(&vault["stored_bytes"]), "heads count too: {vault:#}");
    assert!(bytes(&vault["wire"]["received_bytes"]) > 0, "{vault:#}");
    let manners = &vault["manners"];
    assert!(manners["state"] == "on" && bytes(&manners["rate_bytes_per_s"]) > 0, "{manners:#}");
    assert!(manners["text"].as_str().is_some_and(|said| said.starts_with("Polite: ")), "{manners:#}");
    let metrics = get(&address, "/metrics");
    assert!(metrics.contains("panicroom_vault_wire_bytes_total{vault=\"main\",direction=\"up\"}"), "{metrics}");
    let page = get(&address, "/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Everything is safe"), "{page}");
    assert!(page.contains("Polite: "), "{page}");
    assert!(!page.contains("a fire takes both"), "{page}");
    assert!(get(&address, "/healthz").starts_with("HTTP/1.1 200"));
    running.stop();

    // Exactly as printed, by a shell, on a machine that has only the keys.
    let line = said.lines().find(|l| l.trim().starts_with("panicroom restore")).unwrap().trim().to_owned();
    let line = line.replacen("panicroom", env!("CARGO_BIN_EXE_panicroom"), 1);
    let elsewhere = tempfile::tempdir().unwrap();
    for keys in [Keys::Environment, Keys::SharedFile] {
        let with = program(&server, keys, &machine);
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(elsewhere.path()).stdin(Stdio::null());
        for (name, value) in with.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.env("XDG_CACHE_HOME", elsewhere.path().join("cache"));
        Ran::from(shell.output().unwrap()).exits(0);
        let out = elsewhere.path().join("restored");
        assert_same(&back(&machine, &out), &machine.data());
        fs::remove_dir_all(out).unwrap();
    }

    // A second start goes on, with and without the address. It need not gather for a minute again.
    let config = home.join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("gather = \"1m\""), "{text}");
    fs::write(&config, text.replace("gather = \"1m\"", "gather = \"0s\"")).unwrap();
    for (more, files) in [(&["--vault", &url][..], 11), (&[], 12)] {
        fs::write(machine.data().join(format!("new{files}")), "since").unwrap();
        let mut running = start(more);
        let said = running.until(&format!("Everything is safe: {files} files"));
        assert!(!said.contains("Started vault"), "{said}");
        running.stop();
    }
    let founded = server.boto3(
        "print(len(s3.list_objects_v2(Bucket='nas.of.tests', Prefix='a/prefix/meta_vault').get('Contents', [])))",
    );
    assert_eq!(founded, "1");
}

#[test]
fn init_backup_restore_and_rebuild_work_with_a_bucket_and_keys_from_a_file() {
    let Some(server) = Server::seaweedfs() else { return };
    server.make_bucket("box");
    let machine = Machine::bare();
    let url = format!("s3://box/v?{}", server.query());
    let config = fs::read_to_string(machine.config()).unwrap();
    let folder = format!("url = \"file://{}\"", machine.vault().display());
    let keys = |file: &Path| format!("url = \"{url}\"\ncredentials_file = \"{}\"", file.display());
    fs::write(machine.config(), config.replace(&folder, &keys(&server.credentials()))).unwrap();
    // Nothing but what the configuration names.
    let configured = |arguments: &[&str]| {
        let mut command = program(&server, Keys::Nowhere, &machine);
        Ran::from(command.arg("--config").arg(machine.config()).args(arguments).output().unwrap())
    };
    configured(&["init", "--words-file", "words"]).exits(0).says("Started vault");
    configured(&["init"]).exits(0).says("nothing to do");
    configured(&["backup"]).exits(0).says("Everything is safe: 10 files");
    configured(&["restore", "--key-file", "words", "--to", "out"]).exits(0);
    assert_same(&back(&machine, &machine.path("out")), &machine.data());

    // Another machine: the address, the words, and keys in the standard places.
    let alone = |keys: Keys, arguments: &[&str]| {
        let mut command = program(&server, keys, &machine);
        Ran::from(command.args(arguments).args(["--vault", &url, "--key-file", "words"]).output().unwrap())
    };
    let file = machine.data().join("file3").display().to_string();
    alone(Keys::Environment, &["ls", machine.data().to_str().unwrap()]).exits(0).says(&file);
    alone(Keys::SharedFile, &["find", "file3"]).exits(0).says(&file);
    alone(Keys::SharedFile, &["versions", &file]).exits(0).says("safe");
    alone(Keys::SharedFile, &["restore", "--to", "out2"]).exits(0);
    assert_same(&back(&machine, &machine.path("out2")), &machine.data());
    alone(Keys::Nowhere, &["restore", "--to", "out3"]).exits(4).says("credentials");

    // A new machine takes the vault over and goes on with it.
    fs::remove_dir_all(machine.state()).unwrap();
    configured(&["rebuild", "--key-file", "words"]).exits(0).says("main: rebuilt from");
    fs::write(machine.data().join("new"), "on the new machine").unwrap();
    configured(&["backup"]).exits(0).says("Everything is safe: 11 files");
    alone(Keys::Environment, &["restore", "--to", "out4"]).exits(0);
    assert_same(&back(&machine, &machine.path("out4")), &machine.data());

    // Keys that are wrong, a bucket that is not there: at once, with the remedy, nothing waited for.
    fs::write(machine.config(), config.replace(&folder, &keys(&server.wrong_credentials()))).unwrap();
    configured(&["restore", "--key-file", "words", "--to", "out5"]).exits(4).says("rights").says_not("waiting");
    configured(&["backup"]).exits(4);
    let text = config.replace(&folder, &keys(&server.credentials())).replace("s3://box/", "s3://no-such-box/");
    fs::write(machine.config(), text.replace("/state\"", "/state2\"")).unwrap();
    configured(&["init", "--words-file", "words2"]).exits(4).says("bucket");
}

#[test]
fn promise_11_a_vault_in_deep_archive_is_priced_agreed_on_thawed_and_restored_through_an_interruption() {
    let Some(server) = Server::moto() else { return };
    server.make_bucket("cold");
    let machine = Machine::bare();
    let url = format!("s3://cold/v?class=DEEP_ARCHIVE&{}", server.query());
    let config = fs::read_to_string(machine.config()).unwrap();
    let folder = format!("url = \"file://{}\"", machine.vault().display());
    let keys = format!("url = \"{url}\"\ncredentials_file = \"{}\"", server.credentials().display());
    fs::write(machine.config(), config.replace(&folder, &keys)).unwrap();
    let configured = |arguments: &[&str]| {
        let mut command = program(&server, Keys::Nowhere, &machine);
        command.arg("--config").arg(machine.config()).args(arguments);
        command
    };
    let ran = |arguments: &[&str]| Ran::from(configured(arguments).output().unwrap());
    ran(&["init", "--words-file", "words"]).exits(0);
    ran(&["backup"]).exits(0).says("Everything is safe: 10 files");
    // A thaw of moto takes its time only of objects older than that.
    server.slow_thaws(2);
    panicroom::worker::Stop::new().wait(std::time::Duration::from_secs(3));

    let restore = ["restore", "--key-file", "words", "--to", "out"];
    let with = |more: &[&'static str]| [&restore[..], more].concat();
    let plan: Value = ran(&with(&["--plan", "--json"])).exits(0).json();
    assert!(plan["frozen_packs"].as_u64().unwrap() > 0 && plan["class"] == "DEEP_ARCHIVE", "{plan:#}");
    assert_eq!(plan["speeds"][0]["speed"], "bulk", "{plan:#}");
    assert!(plan["speeds"][0]["hours_last"].is_null(), "a server of one's own has no known hours: {plan:#}");
    let thawed = "print(s3.head_object(Bucket='cold', Key=[o['Key'] for o in s3.list_objects_v2(Bucket='cold', \
        Prefix='v/data_')['Contents']][0]).get('Restore'))";
    ran(&restore).exits(4).says("nobody is there to be asked").says("--yes");
    assert_eq!(server.boto3(thawed), "None", "nothing was asked for");
    assert!(!back(&machine, &machine.path("out")).exists());

    let waits = with(&["--yes", "--max-cost", "1", "--poll", "1s"]);
    let running = Running::start(configured(&waits), machine.path("thaw.log"));
    let mut running = running;
    running.until("waiting for");
    assert!(running.said().contains("to thaw (bulk), the first by 20"), "{}", running.said());
    let pid = rustix::process::Pid::from_child(&running.child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = patiently(|| running.child.try_wait().unwrap(), || "it does not stop".to_owned());
    let said = running.said();
    assert!(ended.code() == Some(1) && said.contains("interrupted"), "{said}");
    assert_ne!(server.boto3(thawed), "None");
    let job = said.split("--resume ").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    ran(&["restore", "--key-file", "words", "--resume", &job]).exits(0).says("thawing at the speed bulk");
    assert_same(&back(&machine, &machine.path("out")), &machine.data());

    // Alone with the address and the words. moto does not list what is thawed, so it is asked for again, and there at once.
    let mut alone = program(&server, Keys::Environment, &machine);
    alone.args(["restore", "--vault", &url, "--key-file", "words", "--to", "out2", "--yes"]);
    Ran::from(alone.output().unwrap()).exits(0);
    assert_same(&back(&machine, &machine.path("out2")), &machine.data());

    // A disk that has it all goes before the archive, and is named; a disk that is gone is passed over.
    fs::create_dir(machine.path("usb")).unwrap();
    let config = fs::read_to_string(machine.config()).unwrap();
    let usb = format!("{config}\n[[vault]]\nname = \"usb\"\nurl = \"file://{}\"\n", machine.path("usb").display());
    fs::write(machine.config(), usb).unwrap();
    ran(&["init", "--words-file", "words2"]).exits(0);
    ran(&["backup"]).exits(0);
    let asked = "print(sum(1 for o in s3.list_objects_v2(Bucket='cold', Prefix='v/data_')['Contents']))";
    let packs = server.boto3(asked);
    ran(&["restore", "--key-file", "words2", "--to", "out3"]).exits(0).says("from the vault 'usb'");
    assert_same(&back(&machine, &machine.path("out3")), &machine.data());
    ran(&["restore", "--vault", "main", "--key-file", "words", "--to", "out4"]).exits(4).says("nobody is there");
    ran(&["restore", "--vault", "disk", "--key-file", "words", "--to", "out4"]).exits(2).says("there are main, usb");
    fs::rename(machine.path("usb"), machine.path("drawer")).unwrap();
    let without = ["restore", "--key-file", "words", "--to", "out4", "--plan"];
    ran(&without)
        .exits(0)
        .says("'usb' is passed over")
        .says("from the vault 'main'")
        .says("are frozen in DEEP_ARCHIVE");
    assert_eq!(server.boto3(asked), packs);
}

#[test]
fn promise_11_packs_that_froze_after_the_plan_are_shown_with_their_price_asked_about_and_thawed() {
    let Some(server) = Server::moto() else { return };
    server.make_bucket("box");
    let machine = Machine::bare();
    let url = format!("s3://box/v?{}", server.query());
    let config = fs::read_to_string(machine.config()).unwrap();
    let folder = format!("url = \"file://{}\"", machine.vault().display());
    let keys = format!("url = \"{url}\"\ncredentials_file = \"{}\"", server.credentials().display());
    fs::write(machine.config(), config.replace(&folder, &keys)).unwrap();
    let configured = |arguments: &[&str]| {
        let mut command = program(&server, Keys::Nowhere, &machine);
        Ran::from(command.arg("--config").arg(machine.config()).args(arguments).output().unwrap())
    };
    configured(&["init", "--words-file", "words"]).exits(0);
    configured(&["backup"]).exits(0).says("Everything is safe: 10 files");

    let by = |url: &str, more: &[&str]| {
        let mut command = program(&server, Keys::Environment, &machine);
        command.args(["restore", "--vault", url, "--key-file", "words", "--to", "out"]).args(more);
        Ran::from(command.output().unwrap())
    };
    // By a name of the server that no price list has: planned, and stopped before anything is read.
    by(&url.replace("127.0.0.1", "127.1"), &["--max-cost", "1", "--yes"]).exits(4).says("not known");
    let alone = |more: &[&str]| by(&url, more);
    server.boto3(
        "for o in s3.list_objects_v2(Bucket='box', Prefix='v/data_')['Contents']:\n  \
         s3.copy_object(Bucket='box', Key=o['Key'], CopySource={'Bucket': 'box', 'Key': o['Key']}, StorageClass='GLACIER')",
    );
    let thawed = "print(sum('Restore' in s3.head_object(Bucket='box', Key=o['Key']) for o in \
        s3.list_objects_v2(Bucket='box', Prefix='v/data_')['Contents']))";
    for _ in 0..2 {
        alone(&[]).exits(4).says("frozen in GLACIER").says("nobody is there to be asked").says("--yes");
        assert_eq!(server.boto3(thawed), "0", "nothing was asked for");
    }
    alone(&["--yes", "--poll", "1s"]).exits(0).says("frozen in GLACIER");
    assert_ne!(server.boto3(thawed), "0");
    assert_same(&back(&machine, &machine.path("out")), &machine.data());
}

#[test]
fn promise_9_a_vault_whose_objects_somebody_deleted_comes_back_whole_and_is_not_written_to() {
    let Some(server) = Server::moto() else { return };
    server.boto3(
        "s3.create_bucket(Bucket='kept')\ns3.put_bucket_versioning(Bucket='kept', \
         VersioningConfiguration={'Status': 'Enabled'})",
    );
    let machine = Machine::bare();
    let url = format!("s3://kept/v?{}", server.query());
    let config = fs::read_to_string(machine.config()).unwrap();
    let folder = format!("url = \"file://{}\"", machine.vault().display());
    let keys = format!("url = \"{url}\"\ncredentials_file = \"{}\"", server.credentials().display());
    fs::write(machine.config(), config.replace(&folder, &keys)).unwrap();
    let configured = |arguments: &[&str]| {
        let mut command = program(&server, Keys::Nowhere, &machine);
        Ran::from(command.arg("--config").arg(machine.config()).args(arguments).output().unwrap())
    };
    let alone = |arguments: &[&str]| {
        let mut command = program(&server, Keys::Environment, &machine);
        Ran::from(command.args(arguments).args(["--vault", &url, "--key-file", "words"]).output().unwrap())
    };
    configured(&["init", "--words-file", "words"]).exits(0);
    configured(&["backup"]).exits(0).says("Everything is safe: 10 files");
    fs::write(machine.data().join("later"), "since").unwrap();
    configured(&["backup"]).exits(0).says("Everything is safe: 11 files");

    // By a key that may, without naming versions: all packs and the first half of the log.
    let hide = |which: &str| {
        server.boto3(&format!(
            "keys = sorted(o['Key'] for o in s3.list_objects_v2(Bucket='kept', Prefix='v/')['Contents'])\n\
             packs = [k for k in keys if '/data_' in k]\nlog = [k for k in keys if '/meta_log_' in k]\n\
             for key in {which}:\n  s3.delete_object(Bucket='kept', Key=key)\nprint(len(packs))"
        ))
    };
    let packs: u64 = hide("packs + log[:-1]").parse().unwrap();
    let plan: Value = alone(&["restore", "--to", "out", "--plan", "--json"]).exits(0).json();
    assert_eq!((&plan["hidden_packs"], &plan["packs"]), (&packs.into(), &packs.into()), "{plan:#}");
    assert_eq!(plan["failed"], 0, "{plan:#}");
    alone(&["restore", "--to", "out", "--plan"])
        .exits(0)
        .says("behind delete markers: somebody deleted them")
        .says("objects of the vault's log lie behind delete markers")
        .says_not("lost what they need");
    alone(&["restore", "--to", "out", "--yes"]).exits(0);
    assert_same(&back(&machine, &machine.path("out")), &machine.data());

    // What is hidden further up is told and no hindrance; the end of the log is.
    configured(&["backup"]).exits(0).says("behind delete markers");
    hide("log");
    let kept = || {
        server.boto3(
            "found = s3.list_object_versions(Bucket='kept')\nprint(len(found['Versions']), len(found['DeleteMarkers']))",
        )
    };
    let before = kept();
    configured(&["backup"]).exits(4).says("behind delete markers").says("reaper");
    // Nor is it by a machine that knows nothing of what is hidden.
    fs::remove_dir_all(machine.state()).unwrap();
    configured(&["rebuild", "--key-file", "words"]).exits(0).says("main: rebuilt from").says("behind delete markers");
    configured(&["backup"]).exits(4).says("behind delete markers");
    assert_eq!(kept(), before, "nothing was written");
    alone(&["restore", "--to", "out2", "--yes"]).exits(0);
    assert_same(&back(&machine, &machine.path("out2")), &machine.data());

    // As docs/setup.md says: with the markers taken away all is as it was.
    server.boto3(
        "for marker in s3.list_object_versions(Bucket='kept', Prefix='v/')['DeleteMarkers']:\n  \
         if marker['IsLatest']: s3.delete_object(Bucket='kept', Key=marker['Key'], VersionId=marker['VersionId'])",
    );
    configured(&["backup"]).exits(0).says("Everything is safe: 11 files").says_not("delete markers");
}

#[test]
#[ignore = "builds the program once more: run by tests/all"]
fn the_script_for_a_bucket_of_ones_own_passes_on_a_test_server_and_fails_on_one_that_believes_every_checksum() {
    let Some(server) = Server::seaweedfs() else { return };
    server.make_bucket("own");
    let mut script = Command::new("bash");
    script.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    script.env("AWS_SHARED_CREDENTIALS_FILE", server.credentials()).env("AWS_EC2_METADATA_DISABLED", "true");
    script.args(["tests/aws", "--class", "STANDARD", "--vault", &format!("s3://own/trial?{}", server.query())]);
    Ran::from(script.output().unwrap()).exits(0).says("everything came back").says("aws s3 rm --recursive");
    let believes = Server::moto().expect("as the other");
    believes.make_bucket("own");
    let mut script = Command::new("bash");
    script.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    script.env("AWS_SHARED_CREDENTIALS_FILE", believes.credentials()).env("AWS_EC2_METADATA_DISABLED", "true");
    script.args(["tests/aws", "--class", "STANDARD", "--vault", &format!("s3://own/trial?{}", believes.query())]);
    Ran::from(script.output().unwrap()).exits(1).says("no right of this key explains").says("wrong checksum");
    let mut nowhere = Command::new("bash");
    nowhere.current_dir(env!("CARGO_MANIFEST_DIR")).args(["tests/aws", "--vault", "own"]);
    Ran::from(nowhere.output().unwrap()).exits(2).says("usage: tests/aws --vault");
}
