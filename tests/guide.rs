//! `docs/guide/the-day-after.md` is followed to the letter: its commands are taken from the page and run in order by a
//! shell, on a machine that has the program, the sheet and nothing else. Only the four lines in which the reader writes
//! down their own address, folder and access key are filled in.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;
#[path = "support/portable.rs"]
mod portable;
#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod tree;

use machine::{Machine, Ran};
use portable::assert_same;
use servers::Server;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Every command of the page, in its order.
fn commands(page: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let blocks = text.split("\n```sh\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    blocks.collect::<Vec<_>>().join("\n")
}

/// The page with the reader's own values; each must stand there exactly once.
fn filled_in(commands: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(commands.to_owned(), |text, (name, value)| {
        let line = text.lines().find(|l| l.starts_with(&format!("{name}='"))).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(text.matches(line).count(), 1, "{line}");
        text.replace(line, &format!("{name}='{value}'"))
    })
}

/// A computer with a shell, the program, and what was typed from the sheet.
fn follow(machine: &Machine, vault: &str, key: (&str, &str)) -> tempfile::TempDir {
    let computer = tempfile::tempdir().unwrap();
    let (home, programs) = (computer.path().join("home"), computer.path().join("programs"));
    fs::create_dir_all(&home).unwrap();
    fs::create_dir_all(&programs).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_panicroom"), programs.join("panicroom")).unwrap();
    fs::copy(machine.words(), home.join("words.txt")).unwrap();
    let sub = machine.data().join("sub");
    let script = filled_in(
        &commands("docs/guide/the-day-after.md"),
        &[
            ("VAULT", vault),
            ("FOLDER", sub.to_str().unwrap()),
            ("export AWS_ACCESS_KEY_ID", key.0),
            ("export AWS_SECRET_ACCESS_KEY", key.1),
        ],
    );
    let mut shell = Command::new("sh");
    shell.args(["-euxc", &script]).current_dir(&home).stdin(Stdio::null()).env_clear();
    shell.env("HOME", &home).env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
    shell.env("AWS_EC2_METADATA_DISABLED", "true");
    let ran = Ran::from(shell.output().unwrap()).exits(0);
    let ran = ran.says("Right: the sheet's words open the vault").says(sub.to_str().unwrap()).says("Restored");
    assert!(!home.join("words.txt").exists() && !home.join(".cache/panicroom").exists(), "{ran:#?}");
    assert_same(&home.join("restored").join(machine.data().strip_prefix("/").unwrap()), &machine.data());
    computer
}

#[test]
fn the_guides_commands_bring_everything_back_from_a_folder_and_from_a_bucket() {
    let machine = Machine::new();
    machine.backup().exits(0);
    let vault = format!("file://{}", machine.vault().display());
    // The old machine is gone.
    fs::remove_dir_all(machine.state()).unwrap();
    fs::remove_file(machine.config()).unwrap();
    drop(follow(&machine, &vault, ("", "")));

    let Some(server) = Server::seaweedfs() else { return };
    server.make_bucket("my-bucket");
    let machine = Machine::bare();
    let vault = format!("s3://my-bucket/nas?{}", server.query());
    let folder = format!("url = \"file://{}\"", machine.vault().display());
    let cloud = format!("url = \"{vault}\"\ncredentials_file = \"{}\"", server.credentials().display());
    let config = fs::read_to_string(machine.config()).unwrap();
    fs::write(machine.config(), config.replace(&folder, &cloud)).unwrap();
    machine.init();
    machine.backup().exits(0);
    fs::remove_dir_all(machine.state()).unwrap();
    fs::remove_file(machine.config()).unwrap();
    let keys = fs::read_to_string(server.credentials()).unwrap();
    let value = |name: &str| keys.lines().find_map(|l| l.strip_prefix(&format!("{name} = "))).unwrap();
    drop(follow(&machine, &vault, (value("aws_access_key_id"), value("aws_secret_access_key"))));
}

#[test]
fn every_command_the_guide_speaks_of_is_run_or_shown_to_parse() {
    let page = commands("docs/guide/the-day-after.md");
    for command in ["panicroom --version", "key check", "panicroom ls", "restore --plan", "restore \"$FOLDER\""] {
        assert!(page.contains(command), "{command}");
    }
    assert!(page.ends_with("/panicroom\""), "the last thing is to leave nothing behind: {page}");
}

#[test]
fn the_vault_keeps_a_copy_of_a_static_program_and_says_why_it_keeps_none_of_another() {
    let machine = Machine::new();
    // The head of a static program for x86_64, and something after it.
    let mut program = b"\x7fELF\x02\x01".to_vec();
    program.resize(64, 0);
    program[18] = 62;
    program.extend(machine::noise(1, 200_000));
    let path = machine.path("static");
    fs::write(&path, &program).unwrap();
    let config = fs::read_to_string(machine.config()).unwrap();
    let with = |path: &Path| {
        let line = format!("[[vault]]\nrescue_program = \"{}\"", path.display());
        fs::write(machine.config(), config.replace("[[vault]]", &line)).unwrap();
    };
    with(Path::new(env!("CARGO_BIN_EXE_panicroom")));
    let mut daemon = machine.daemon();
    let is_said = |status: &serde_json::Value, text: &str| status["events"].to_string().contains(text);
    daemon.until("the refusal is said", |status| is_said(status, "keep the program"));
    daemon.stop().exits(0);
    assert!(!machine.objects().iter().any(|(name, _)| name.contains("panicroom-format")));

    with(&path);
    let mut daemon = machine.daemon();
    daemon.until("the copy is said", |status| is_said(status, "the vault keeps a copy of the program"));
    daemon.stop().exits(0);
    let objects = machine.objects();
    let (name, _) = objects.iter().find(|(name, _)| name.ends_with("_panicroom-format1-x86_64")).unwrap();
    assert_eq!(fs::read(machine.vault().join(name)).unwrap(), program);
}
